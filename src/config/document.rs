//! A parsed TOML text that still knows where everything stood.
//!
//! Rules between keys know the key, not the place: it is found by walking the parsed tables.

use super::Error;
use super::deserializer::TomlDeserializer;
use crate::values::KeyError;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// A text that is TOML.
pub(super) struct ConfigDocument<'t> {
    /// The text.
    text: &'t str,
    /// The name of the file in errors.
    name: &'t str,
    /// The text, parsed: a table.
    root: DeValue<'t>,
}

impl<'t> ConfigDocument<'t> {
    /// Parses a text.
    ///
    /// # Errors
    /// It is not TOML; when it looks like YAML, the error says so instead.
    pub(super) fn parse(text: &'t str, name: &'t str) -> Result<Self, Error> {
        match DeTable::parse(text) {
            Ok(root) => Ok(ConfigDocument { text, name, root: DeValue::Table(root.into_inner()) }),
            Err(error) => Err(not_toml(text, name, &error)),
        }
    }

    /// Reads the whole as a value.
    ///
    /// # Errors
    /// The first key that does not fit.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(TomlDeserializer(&self.root)).map_err(|refused| {
            let refusal = refused.into_inner();
            let place = position(self.text.as_bytes(), refusal.start.unwrap_or(0));
            Error::words(self.name, place, &refusal.key, &in_our_words(&refusal.text))
        })
    }

    /// An error of a dotted key, at its place or that of the nearest table around it.
    pub(super) fn error(&self, key: &str, text: &str) -> Error {
        Error::words(self.name, position(self.text.as_bytes(), self.start_of(key)), key, text)
    }

    /// The error of a section's fault.
    pub(super) fn fault(&self, section: &str, fault: &KeyError) -> Error {
        self.error(&format!("{section}.{}", fault.key), &fault.text)
    }

    /// Where a key stands: the octet its last known part begins with.
    fn start_of(&self, key: &str) -> usize {
        let mut start = 0;
        let mut table = self.root.as_table();
        for part in key.split('.') {
            let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
                Some((name, index)) => (name, index.parse().unwrap_or(0)),
                None => (part, 0),
            };
            let Some((name, value)) = table.and_then(|table| table.get_key_value(name)) else { break };
            start = name.span().start;
            let element = match value.get_ref() {
                DeValue::Array(elements) => elements.get(index),
                _ => Some(value),
            };
            table = element.and_then(|element| element.get_ref().as_table());
            if let (Some(_), Some(element)) = (table, element) {
                start = element.span().start;
            }
        }
        start
    }
}

/// Line and column of an octet, counted from one; columns are characters.
pub(super) fn position(text: &[u8], octet: usize) -> (usize, usize) {
    let before = text.get(..octet).unwrap_or(text);
    let line = before.split(|octet| *octet == b'\n').next_back().unwrap_or_default();
    let lines = before.iter().filter(|octet| **octet == b'\n').count();
    (lines + 1, String::from_utf8_lossy(line).chars().count() + 1)
}

/// A part of a key as it would be written: quoted when it must be.
pub(super) fn shown(name: &str) -> String {
    let bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// toml's message with our word for what is allowed.
fn in_our_words(message: &str) -> String {
    // A quoted key may hold anything; a terminal must not obey it.
    let message: String =
        message.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    if let Some(rest) = message.strip_prefix("duplicate field `") {
        let key = rest.trim_end_matches('`');
        return format!("`{key}` is given twice, once by another name; allowed: once");
    }
    let message = message.replacen("type: byte array", "type: a number with a fraction", 1);
    let message = message.replacen("unknown field", "unknown key", 1);
    let Some((wrong, allowed)) = message.rsplit_once(", expected ") else { return message };
    let allowed = match allowed.strip_prefix("one of ").unwrap_or(allowed) {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        // serde names our types where it wants a table.
        name if name == "a map" || name.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{wrong}; allowed: {allowed}")
}

/// The error of a text that is not TOML.
fn not_toml(text: &str, name: &str, error: &toml::de::Error) -> Error {
    if let Some(start) = start_of_yaml(text) {
        return Error::words(
            name,
            position(text.as_bytes(), start),
            "",
            "this looks like YAML, as dnstap_receiver reads; allowed: TOML, which scripts/yaml2toml makes of it",
        );
    }
    let span = error.span().unwrap_or(0..0);
    let place = position(text.as_bytes(), span.start);
    // A key given twice is the one mistake of form whose place is a key.
    match text.get(span) {
        Some(key) if error.message().starts_with("duplicate key") => {
            Error::words(name, place, key.trim(), "given twice; allowed: once")
        }
        _ => Error::words(name, place, "", &in_our_words(error.message())),
    }
}

/// The first line that says something, when it is YAML: `---`, or a key and a colon.
fn start_of_yaml(text: &str) -> Option<usize> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let key = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'"' | b'\'');
    let is_yaml = line == "---"
        || line.split_once(':').is_some_and(|(name, rest)| {
            !name.is_empty() && name.bytes().all(key) && (rest.is_empty() || rest.starts_with([' ', '\t']))
        });
    // `line` is a part of `text`, so the difference of the addresses is its place.
    is_yaml.then(|| line.as_ptr() as usize - text.as_ptr() as usize)
}
