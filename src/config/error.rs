//! Errors of a configuration, and whose fault it is.

use std::fmt;
use std::io;

/// Why the program does not start, as its exit status tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitClass {
    /// Wrong from the words alone: usage, configuration text.
    Words,
    /// The words are fine, this machine is not: a file, a permission.
    Machine,
}

impl ExitClass {
    /// The exit status of the program.
    pub const fn exit_status(self) -> u8 {
        match self {
            ExitClass::Words => 2,
            ExitClass::Machine => 1,
        }
    }
}

/// One error, shown as `FILE:LINE:COLUMN: KEY: what is wrong; allowed: what is`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file as it was named.
    file: String,
    /// Line and column, counted from one, columns in characters; none when the file could not be read.
    place: Option<(usize, usize)>,
    /// The dotted key; empty when the text is no TOML at all.
    key: String,
    /// The error, and what is allowed.
    text: String,
    /// Whose fault it is.
    class: ExitClass,
}

impl Error {
    /// An error of the words.
    pub(super) fn words(file: &str, place: (usize, usize), key: &str, text: &str) -> Error {
        Error {
            file: file.to_owned(),
            place: Some(place),
            key: key.to_owned(),
            text: text.to_owned(),
            class: ExitClass::Words,
        }
    }

    /// The error of a file that cannot be read.
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Error {
        Error {
            file: file.to_owned(),
            place: None,
            key: String::new(),
            text: format!("cannot read it: {error}"),
            class: ExitClass::Machine,
        }
    }

    /// The same error, of another class.
    pub(super) fn of(self, class: ExitClass) -> Error {
        Error { class, ..self }
    }

    /// Whose fault it is.
    pub const fn class(&self) -> ExitClass {
        self.class
    }

    /// The dotted key, as it is named in the message; empty when the text is no TOML at all.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for Error {}
