//! Strings with a meaning: names, paths, secrets.

use super::{Invalid, RawValue, Value, deserialize};
use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A string that is not empty and has no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// A string of ours.
    pub(crate) fn new(text: &'static str) -> Self {
        Text(text.to_owned())
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Text {
    fn allowed() -> String {
        "a string that is not empty, without control characters".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Invalid::Value);
        }
        Ok(Text(text.to_owned()))
    }
}

/// A name that somebody gives to a thing, to find it in metrics and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// Bytes at most.
    const MAX: usize = 64;

    /// The string.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Label {
    fn allowed() -> String {
        format!("a name of 1 to {} octets, without control characters", Label::MAX)
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if !(1..=Label::MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(Invalid::Value);
        }
        Ok(Label(text.to_owned()))
    }
}

/// The path of a file, not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// A path of ours, or of the command line.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        FilePath(path.into())
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Value for FilePath {
    fn allowed() -> String {
        "the path of a file".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.contains('\0') {
            return Err(Invalid::Value);
        }
        Ok(FilePath(text.into()))
    }
}

/// A user or group: a name, or a number given as string or integer. Looked up where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account(String);

impl Account {
    /// The name, or the number in digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Account {
    fn allowed() -> String {
        "the name or number of a user or group".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        Text::from_text(text).map(|Text(name)| Account(name))
    }

    fn from_integer(integer: i64) -> Result<Self, Invalid> {
        u32::try_from(integer).map(|number| Account(number.to_string())).map_err(|_| Invalid::Value)
    }
}

/// A password or key: never shown, not even by `Debug`. Empty means: this method is off.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret the reference's package ships with, and what nobody may be exposed with.
    pub(crate) const SHIPPED: &'static str = "changeme";

    /// A secret read from somewhere else than the configuration.
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The secret itself; for comparing, not for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the method is off.
    pub fn is_off(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it was never changed.
    pub(crate) fn is_shipped(&self) -> bool {
        self.0 == Secret::SHIPPED
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value, since serde's own error would show what was written.
        match RawValue::deserialize(deserializer)? {
            RawValue::Text(secret) => Ok(Secret(secret)),
            other => Err(Error::custom(format_args!(
                "invalid type: {}, expected a string (empty turns this method off)",
                other.kind()
            ))),
        }
    }
}

deserialize!(Text, Label, FilePath, Account);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let secret = Secret::new("topsecret");
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
