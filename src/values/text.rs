//! Strings with a meaning: names, paths, patterns, secrets.

use super::plain::Plain;
use super::{Invalid, RawValue, Value, deserialize};
use regex_lite::Regex;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A string that is not empty and has no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// A string of ours.
    pub fn new(text: &'static str) -> Self {
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

/// The path of a file, not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// A path of ours, or of the command line.
    pub fn new(path: impl Into<PathBuf>) -> Self {
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
pub struct Account(String);

impl Account {
    /// The name, or the number in digits.
    pub fn as_str(&self) -> &str {
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

/// A regular expression that must match from the start of a text on; the end is free.
///
/// Matching takes time linear in the text. No look-around, no Unicode classes (regex-lite's syntax). A text has no
/// line break in it.
#[derive(Clone)]
pub struct Pattern {
    /// As it was written.
    source: String,
    matcher: Matcher,
}

/// What decides.
#[derive(Clone)]
enum Matcher {
    /// Plain alternatives.
    Plain(Plain),
    /// The engine, with `^(?:source)`.
    Engine(Regex),
}

impl Pattern {
    /// Whether the start of the text matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Plain(plain) => plain.is_match(text),
            Matcher::Engine(anchored) => anchored.is_match(text),
        }
    }

    /// Whether it is plain alternatives, which cost next to nothing.
    pub fn is_plain(&self) -> bool {
        matches!(self.matcher, Matcher::Plain(_))
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Value for Pattern {
    fn allowed() -> String {
        "a regular expression, matched from the start".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        // Alone first: `a)(?:b` is balanced only inside our own group.
        let alone = Regex::new(text);
        let anchored = alone.and_then(|_| Regex::new(&format!("^(?:{text})")));
        let anchored = anchored.map_err(|error| Invalid::Because(error.to_string()))?;
        let matcher = Plain::of(text).map_or(Matcher::Engine(anchored), Matcher::Plain);
        Ok(Pattern { source: text.to_owned(), matcher })
    }
}

/// A password or key: never shown, not even by `Debug`. Empty means: this method is off.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What the reference's package ships with, and what nobody may be exposed with.
    pub const SHIPPED: &'static str = "changeme";

    /// A secret read from somewhere else than the configuration.
    pub fn new(secret: impl Into<String>) -> Self {
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
    pub fn is_shipped(&self) -> bool {
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

/// A table of the web API: `<what>/query` or `<what>/response`, such as `hit/query` or `nxdomain/response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// A flag of ours.
    pub fn new(flag: &'static str) -> Self {
        TableName(flag.to_owned())
    }

    /// The flag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for TableName {
    fn allowed() -> String {
        "`<what>/query` or `<what>/response`, where <what> is `hit`, `length`, an rcode or a type in lower case"
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let what = text.strip_suffix("/query").or_else(|| text.strip_suffix("/response"));
        let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        if what.is_some_and(|what| !what.is_empty() && what.bytes().all(plain)) {
            return Ok(TableName(text.to_owned()));
        }
        Err(Invalid::Value)
    }
}

/// Names and values handed to a library as they are; a dotted TOML key is the same as a quoted one.
///
/// Values may hold passwords: `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value, as with `Secret`.
        let table = match RawValue::deserialize(deserializer)? {
            RawValue::Table(table) => table,
            other => {
                return Err(Error::custom(format_args!("invalid type: {}, expected a table", other.kind())));
            }
        };
        let mut properties = BTreeMap::new();
        flatten("", table, &mut properties).map_err(Error::custom)?;
        Ok(Properties(properties))
    }
}

/// Writes a table's values under their dotted names.
fn flatten(
    prefix: &str,
    table: BTreeMap<String, RawValue>,
    into: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let text = match value {
            RawValue::Text(text) | RawValue::Scalar(text) => text,
            RawValue::Table(inner) => {
                flatten(&name, inner, into)?;
                continue;
            }
            RawValue::List(_) => {
                return Err(format!(
                    "`{name}` is neither text nor number, expected a string, number or boolean"
                ));
            }
        };
        if into.insert(name.clone(), text).is_some() {
            return Err(format!("`{name}` is given twice, dotted and quoted, expected one of the two"));
        }
    }
    Ok(())
}

deserialize!(Text, FilePath, Account, Pattern, TableName);

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's own examples, for names and for identities.
    #[test]
    fn patterns_are_anchored_at_the_start_only() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Pattern::from_text(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        };
        for identity in ["dnsdist01", "dnsdist01-bis", "unbound01"] {
            check("dnsdist01|unbound01", identity, true);
        }
        for identity in ["my-dnsdist01", "my-unbound01", "-"] {
            check("dnsdist01|unbound01", identity, false);
        }
        for name in ["a.com.", "www.a.com.", "xcom.org."] {
            check(".*.com", name, true);
        }
        for name in ["comx.org.", "b.COM."] {
            check(".*.com", name, false);
        }
        check("", "anything", true);
        check("^a$", "a", true);
        check("(?i)WWW", "www.a.", true);
    }

    #[test]
    fn broken_patterns_say_why() {
        for (pattern, why) in [
            ("(", "found open group without closing ')'"),
            ("a)(?:b", "found closing ')' without matching '('"),
            ("(?=a)", "look-around is not supported"),
        ] {
            assert_eq!(Pattern::from_text(pattern), Err(Invalid::Because(why.to_owned())), "{pattern}");
        }
    }

    #[test]
    fn flags_name_a_table_and_a_direction() {
        for flag in
            ["hit/query", "length/response", "nxdomain/response", "type65/query", "nsec3-params/query"]
        {
            assert_eq!(TableName::from_text(flag).unwrap().as_str(), flag);
        }
        for wrong in ["", "hit", "/query", "hit/", "hit/ip", "a/b/query", "HIT/query", "hit/query/"] {
            assert_eq!(TableName::from_text(wrong), Err(Invalid::Value), "{wrong:?}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let secret = Secret::new("topsecret");
        assert_eq!(format!("{secret:?}"), "Secret");
        let properties: Properties = toml::from_str("sasl.password = 'topsecret'").unwrap();
        assert_eq!(format!("{properties:?}"), "{\"sasl.password\"}");
    }

    #[test]
    fn properties_are_flat_and_textual() {
        let text =
            "sasl.username = 'u'\n\"security.protocol\" = 'ssl'\nlinger.ms = 5\nlog = false\nratio = 0.5";
        let properties: Properties = toml::from_str(text).unwrap();
        let pairs: Vec<_> = properties.iter().collect();
        let expected = [
            ("linger.ms", "5"),
            ("log", "false"),
            ("ratio", "0.5"),
            ("sasl.username", "u"),
            ("security.protocol", "ssl"),
        ];
        assert_eq!(pairs, expected);
    }
}
