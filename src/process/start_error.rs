//! Why the program does not run.

use core::fmt;
use std::io;

/// The machine lacks something the configuration needs, so the exit status is 1.
#[derive(Debug)]
pub struct StartError(pub String);

impl StartError {
    /// The error of the part that `what` names, by its section or key.
    pub(crate) fn of(what: impl fmt::Display) -> impl Fn(io::Error) -> StartError {
        move |error| StartError(format!("{what}: {error}"))
    }
}

impl StartError {
    /// Several as one, a line each; `None` if there are none.
    pub(crate) fn all(texts: Vec<String>) -> Option<StartError> {
        (!texts.is_empty()).then(|| StartError(texts.join("\n")))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
