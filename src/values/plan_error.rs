//! Why a section cannot be put to work on this machine.

use std::fmt;
use std::io;

use super::KeyError;

/// Why an input or output cannot be made on this machine: a key's file is of no use, or something else
/// failed.
#[derive(Debug)]
pub enum PlanError {
    /// The mistake, and its key.
    Key(KeyError),
    /// The error of the system.
    Io(io::Error),
}

impl From<KeyError> for PlanError {
    fn from(error: KeyError) -> Self {
        PlanError::Key(error)
    }
}

impl From<io::Error> for PlanError {
    fn from(error: io::Error) -> Self {
        PlanError::Io(error)
    }
}

/// The text after the name of the section: `.key: text` or `: text`.
impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Key(KeyError { key, text, .. }) => write!(f, ".{key}: {text}"),
            PlanError::Io(error) => write!(f, ": {error}"),
        }
    }
}
