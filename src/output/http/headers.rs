//! The key `headers`: further fields of each request, as a table or as a list of `Name: value`.

use crate::values::{KeyError, RawValue};
use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;

/// Names and values. Values may be secrets: `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// All names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is one of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The rules: names and values that a request can hold, and none of those that we write ourselves.
    ///
    /// # Errors
    ///
    /// The first that is broken; a value is not shown.
    pub(crate) fn check(&self, has_credentials: bool) -> Result<(), KeyError> {
        for (name, value) in self.iter() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let wrong = if name.is_empty() || !name.bytes().all(is_token) {
                "no name of a field; allowed: letters, digits and `-`"
            } else if value.chars().any(char::is_control) {
                "its value has control characters; allowed: text"
            } else if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                "is written by dnstapd itself; allowed: other names"
            } else if has_credentials && name.eq_ignore_ascii_case("authorization") {
                "given beside `user` or `bearer-file`; allowed: one of the two"
            } else {
                continue;
            };
            return Err(KeyError::new("headers", format!("`{}`: {wrong}", name.escape_debug())));
        }
        Ok(())
    }
}

/// Fields on which the framing of a request depends.
const OURS: [&str; 6] =
    ["host", "content-length", "content-encoding", "transfer-encoding", "connection", "expect"];

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value: serde's own error would show what was written.
        let pairs: Option<Vec<_>> = match RawValue::deserialize(deserializer)? {
            RawValue::Table(table) => {
                table.into_iter().map(|(name, value)| Some((name, text(value)?))).collect()
            }
            RawValue::List(list) => list.into_iter().map(|line| pair(&text(line)?)).collect(),
            _ => None,
        };
        let wanted = "expected a table such as { X-Scope-OrgID = \"home\" }, or a list of \"Name: value\"";
        pairs.map(Headers).ok_or_else(|| Error::custom(format_args!("no names with values, {wanted}")))
    }
}

fn text(value: RawValue) -> Option<String> {
    match value {
        RawValue::Text(text) | RawValue::Scalar(text) => Some(text),
        RawValue::List(_) | RawValue::Table(_) => None,
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Keys {
        headers: Headers,
    }

    fn read(text: &str) -> Result<Headers, String> {
        toml::from_str(text).map(|Keys { headers }| headers).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn tables_and_lists_are_the_same() {
        let table = read("headers = { X-A = 'b: c', X-N = 1 }").unwrap();
        assert_eq!(table, read("headers = ['X-A: b: c', 'X-N:1']").unwrap());
        assert_eq!(table.check(true), Ok(()));
        assert_eq!(format!("{table:?}"), "{\"X-A\", \"X-N\"}");
    }

    #[test]
    fn what_is_wrong_shows_no_value() {
        for text in ["headers = 'topsecret'", "headers = ['topsecret']", "headers = { a = ['topsecret'] }"] {
            let why = read(text).unwrap_err();
            assert!(why.starts_with("no names") && !why.contains("secret"), "{why}");
        }
        for (name, words) in
            [("\"a b\"", "no name"), ("Host", "by dnstapd itself"), ("Authorization", "one of the two")]
        {
            let headers = read(&format!("headers = {{ {name} = 'topsecret' }}")).unwrap();
            let why = headers.check(true).unwrap_err().text;
            assert!(why.contains(words) && !why.contains("secret"), "{why}");
        }
        let headers = read("headers = { a = \"top\\nsecret\" }").unwrap();
        assert!(headers.check(false).unwrap_err().text.contains("control characters"));
    }
}
