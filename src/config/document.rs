//! A parsed TOML text that still knows where everything stood.
//!
//! Rules between keys know the key, not the place: it is found by walking the parsed tables.

use super::deserializer::TomlDeserializer;
use super::error::{ConfigError, ConfigErrors};
use crate::values::{KeyError, nearest};
use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable, DeValue};

/// A text that is TOML.
pub(super) struct ConfigDocument<'t> {
    /// The text.
    text: &'t str,
    /// The name of the file in errors.
    name: &'t str,
    /// The text, parsed: a table.
    root: DeValue<'t>,
}

/// Errors that are looked for in one file at most.
const ERRORS_MAX: usize = 100;

impl<'t> ConfigDocument<'t> {
    /// Parses a text.
    ///
    /// # Errors
    /// It is not TOML, line by line; when it looks like YAML, the error says so instead.
    pub(super) fn parse(text: &'t str, name: &'t str) -> Result<Self, ConfigErrors> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut found = Vec::new();
        for error in errors.iter().take(ERRORS_MAX) {
            let error = not_toml(text, name, error);
            // What follows a mistake on its line is mostly a mistake because of it.
            let line = |error: &ConfigError| error.place().map(|(line, _)| line);
            if found.last().map(line) != Some(line(&error)) {
                found.push(error);
            }
            if start_of_yaml(text).is_some() {
                break;
            }
        }
        match ConfigErrors::of(found) {
            Some(errors) => Err(errors),
            None => Ok(ConfigDocument { text, name, root: DeValue::Table(root.into_inner()) }),
        }
    }

    /// Reads the whole as a value. Each key that does not fit is an error, and is taken out, so that the
    /// others are read, too.
    ///
    /// # Errors
    /// A value that cannot be read even then; it is one of the errors in `found`.
    pub(super) fn read<T: DeserializeOwned>(&mut self, found: &mut Vec<ConfigError>) -> Option<T> {
        loop {
            let error = match T::deserialize(TomlDeserializer(&self.root)) {
                Ok(value) => return Some(value),
                Err(error) => error.into_inner(),
            };
            let start = error.start.unwrap_or(0);
            let place = position(self.text.as_bytes(), start);
            found.push(ConfigError::words(self.name, place, &error.key, &in_our_words(&error.text)));
            if found.len() >= ERRORS_MAX || !remove(&mut self.root, start) {
                return None;
            }
        }
    }

    /// An error of a dotted key, at its place or that of the nearest table around it.
    pub(super) fn error(&self, key: &str, text: &str) -> ConfigError {
        ConfigError::words(self.name, self.position(self.start_of(key).unwrap_or(0)), key, text)
    }

    /// Line and column of a byte.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        position(self.text.as_bytes(), byte)
    }

    /// The error of a section's fault.
    pub(super) fn fault(&self, section: &str, fault: &KeyError) -> ConfigError {
        self.error(&format!("{section}.{}", fault.key), &fault.text)
    }

    /// Where a key stands: the byte its last known part begins with; `None` if nothing of it is there.
    pub(super) fn start_of(&self, key: &str) -> Option<usize> {
        let mut start = None;
        let mut table = self.root.as_table();
        for part in key.split('.') {
            let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
                Some((name, index)) => (name, index.parse().unwrap_or(0)),
                None => (part, 0),
            };
            let Some((name, value)) = table.and_then(|table| table.get_key_value(name)) else { break };
            start = Some(name.span().start);
            let element = match value.get_ref() {
                DeValue::Array(elements) => elements.get(index),
                _ => Some(value),
            };
            table = element.and_then(|element| element.get_ref().as_table());
            if let (Some(_), Some(element)) = (table, element) {
                start = Some(element.span().start);
            }
        }
        start
    }
}

/// Takes out the innermost key or element that begins at a byte; whether there was one.
fn remove(value: &mut DeValue<'_>, start: usize) -> bool {
    match value {
        DeValue::Table(table) => {
            let mut gone = None;
            for (name, value) in table.iter_mut() {
                let begins = name.span().start == start || value.span().start == start;
                if remove(value.get_mut(), start) {
                    return true;
                }
                if begins {
                    gone = Some(name.get_ref().clone());
                }
            }
            gone.is_some_and(|name| table.remove(name.as_ref()).is_some())
        }
        DeValue::Array(elements) => {
            if elements.iter_mut().any(|element| remove(element.get_mut(), start)) {
                return true;
            }
            let all = std::mem::replace(elements, DeArray::new());
            let before = all.len();
            all.into_iter()
                .filter(|element| element.span().start != start)
                .for_each(|kept| elements.push(kept));
            elements.len() < before
        }
        _ => false,
    }
}

/// Line and column of a byte, counted from one; columns are characters.
pub(super) fn position(text: &[u8], byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    (lines + 1, String::from_utf8_lossy(line).chars().count() + 1)
}

/// A part of a key as it would be written: quoted when it must be.
pub(super) fn shown(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
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
    format!("{wrong}{}; allowed: {allowed}", suggestion(wrong, allowed))
}

/// The word among those that are allowed that was probably meant.
fn suggestion(wrong: &str, allowed: &str) -> String {
    let given = wrong.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`'));
    let given = given.or_else(|| {
        let text = ["invalid value: string \"", "invalid type: string \""];
        text.iter().find_map(|before| wrong.strip_prefix(before)).and_then(|rest| rest.strip_suffix('"'))
    });
    let words = allowed.split('`').skip(1).step_by(2);
    let is_flag = allowed == "true or false";
    let words = words.chain(["true", "false"].into_iter().filter(|_| is_flag));
    match given.and_then(|given| nearest(given, words)) {
        Some(word) => format!(" (did you mean `{word}`?)"),
        None if is_flag => as_flag(given.unwrap_or_default()),
        None => String::new(),
    }
}

/// The flag that a word of other programs stands for.
fn as_flag(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "enabled" => " (did you mean `true`?)".to_owned(),
        "false" | "no" | "off" | "0" | "disabled" => " (did you mean `false`?)".to_owned(),
        _ => String::new(),
    }
}

/// The error of a text that is not TOML.
fn not_toml(text: &str, name: &str, error: &toml::de::Error) -> ConfigError {
    if let Some(start) = start_of_yaml(text) {
        return ConfigError::words(
            name,
            position(text.as_bytes(), start),
            "",
            "this looks like YAML, as dnstap_receiver reads; allowed: TOML, which scripts/yaml2toml makes of it",
        );
    }
    let span = error.span().unwrap_or(0..0);
    let place = position(text.as_bytes(), span.start);
    // A key given twice is the one mistake of form whose place is a key.
    match text.get(span.clone()) {
        Some(key) if error.message().starts_with("duplicate key") => {
            ConfigError::words(name, place, key.trim(), "given twice; allowed: once")
        }
        _ => match bare_word(text, span.start) {
            Some((key, start, why)) => {
                let key = format!("{}{key}", section_at(text, start));
                ConfigError::words(name, position(text.as_bytes(), start), &key, &why)
            }
            None => ConfigError::words(name, place, "", &in_our_words(error.message())),
        },
    }
}

/// The section that a byte is in, with a dot, as its header names it.
fn section_at(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let header = before.lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let name =
        header.map_or("", |line| line.trim_start_matches('[').split(']').next().unwrap_or_default().trim());
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && name.bytes().all(is_bare) { format!("{name}.") } else { String::new() }
}

/// The key, place and explanation of a text without quotes, the commonest mistake of form: `key = 127.0.0.1`,
/// `key = 0660`, `key = yes`.
fn bare_word(text: &str, error_at: usize) -> Option<(&str, usize, String)> {
    let before = text.get(..error_at)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..)?.lines().next()?;
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let is_bare = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let word = value.split('#').next().unwrap_or_default().trim();
    let start = line_start + (line.len() - value.len()) + (value.len() - value.trim_start().len());
    // What is no key is not shown as one: it may hold anything.
    if key.is_empty() || !is_bare(key) {
        return None;
    }
    if let Some(why) = bare_list(key, word) {
        return Some((key, start, why));
    }
    let quotes = ['"', '\'', '[', '{'];
    if word.is_empty() || word.contains(quotes) || word.contains(']') {
        return None;
    }
    let flag = as_flag(word);
    let shown: String = word.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    let digits = word.split([' ', '\t', ';', '/']).next().unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.trim_start_matches('0');
    let why = if is_number && digits.len() < word.len() && word.contains([';', '/']) && !word.contains('.') {
        format!("what comes after the number is no comment; allowed: `{key} = {digits} # comment`")
    } else if is_number && digits == word && key != "mode" && !number.is_empty() {
        format!("a number has no zeros in front; allowed: `{key} = {number}`")
    } else if flag.is_empty() {
        format!("a text needs quotes; allowed: `{key} = \"{shown}\"`")
    } else {
        format!("`{shown}` is not a value{flag}; allowed: true or false")
    };
    Some((key, start, why))
}

/// The explanation of a list of texts without quotes: `key = [10.0.0.0/8]`.
fn bare_list(key: &str, value: &str) -> Option<String> {
    let items = value.strip_prefix('[')?.strip_suffix(']')?;
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/*@ ,".contains(&byte);
    if !items.bytes().all(is_bare) {
        return None;
    }
    let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
    let quoted: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
    Some(format!("texts in a list need quotes; allowed: `{key} = [{}]`", quoted.join(", ")))
}

/// The first line that says something, when it is YAML: `---`, or a key and a colon.
fn start_of_yaml(text: &str) -> Option<usize> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'"' | b'\'');
    let is_yaml = line == "---"
        || line.split_once(':').is_some_and(|(name, rest)| {
            !name.is_empty() && name.bytes().all(key) && (rest.is_empty() || rest.starts_with([' ', '\t']))
        });
    // `line` is a part of `text`, so the difference of the addresses is its place.
    is_yaml.then(|| line.as_ptr() as usize - text.as_ptr() as usize)
}
