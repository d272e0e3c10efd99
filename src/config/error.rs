//! Errors of a configuration, and whose fault they are.

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
pub(crate) struct ConfigError {
    /// The file as it was named.
    file: String,
    /// Line and column, counted from one, columns in characters; `None` if the file could not be read.
    place: Option<(usize, usize)>,
    /// The dotted key; empty when the text is no TOML at all.
    key: String,
    /// The error, and what is allowed.
    text: String,
    /// Whose fault it is.
    class: ExitClass,
}

impl ConfigError {
    /// An error of the words.
    pub(super) fn words(file: &str, place: (usize, usize), key: &str, text: &str) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            place: Some(place),
            key: key.to_owned(),
            text: text.to_owned(),
            class: ExitClass::Words,
        }
    }

    /// The error of a file that cannot be read.
    pub(super) fn unreadable(file: &str, error: &io::Error) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            place: None,
            key: String::new(),
            text: format!("cannot read it: {error}"),
            class: ExitClass::Machine,
        }
    }

    /// The same error, of another class.
    pub(super) fn of(self, class: ExitClass) -> ConfigError {
        ConfigError { class, ..self }
    }

    /// Whose fault it is.
    pub(crate) const fn class(&self) -> ExitClass {
        self.class
    }

    /// The dotted key, as it is named in the message; empty when the text is no TOML at all.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is about a key, or about a section that the key is in.
    pub(super) fn is_about(&self, key: &str) -> bool {
        // A rule names the only one of several without its number.
        let known = self.key.replacen("[0]", "", 1);
        let is_in = |known: &str| {
            key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        is_in(&self.key) || is_in(&known)
    }

    /// Whether it is about a key of a section.
    pub(super) fn is_in(&self, section: &str) -> bool {
        self.key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Line and column.
    pub(super) fn place(&self) -> Option<(usize, usize)> {
        self.place
    }
}

impl fmt::Display for ConfigError {
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

/// All errors of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, put in the order of the file; `None` if there are none.
    pub(super) fn of(mut errors: Vec<ConfigError>) -> Option<Self> {
        errors.sort_by_key(ConfigError::place);
        errors.dedup();
        (!errors.is_empty()).then_some(ConfigErrors(errors))
    }

    /// Whose fault it is: that of the words, when any word is wrong.
    pub fn class(&self) -> ExitClass {
        let is_of_words = self.0.iter().any(|error| error.class() == ExitClass::Words);
        if is_of_words { ExitClass::Words } else { ExitClass::Machine }
    }

    /// The dotted key of the first.
    pub fn key(&self) -> &str {
        self.0.first().map_or("", ConfigError::key)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

/// One error a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if at > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
