//! Words of the command line, taken apart as argh wants them: options and their values as words of their own.
//!
//! ```text
//! --port=7000    -p7000     -vc FILE
//! --port 7000    -p 7000    -v -c FILE
//! ```

/// Splits `--name=value`, `-nvalue` and bundles of letters into the words argh knows.
pub(super) fn taken_apart(words: &[String]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parts.push(word.clone());
            parts.extend(words.cloned());
            return parts;
        }
        let wants_value = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => take_long(long, &mut parts),
            (None, Some(letters)) => take_letters(letters, &mut parts),
            (None, None) => {
                parts.push(word.clone());
                false
            }
        };
        if wants_value {
            parts.extend(words.next().cloned());
        }
    }
    parts
}

/// Adds the parts of a long option; whether the next word is its value.
fn take_long(long: &str, parts: &mut Vec<String>) -> bool {
    match long.split_once('=') {
        Some((name, value)) => {
            parts.extend([format!("--{name}"), value.to_owned()]);
            false
        }
        None => {
            parts.push(format!("--{long}"));
            matches!(long, "config" | "listen" | "port" | "unix" | "interface" | "read" | "against")
        }
    }
}

/// Adds the parts of a word of letters; whether the next word is the value of the last one.
fn take_letters(letters: &str, parts: &mut Vec<String>) -> bool {
    if letters.is_empty() {
        parts.push("-".to_owned());
    }
    for (at, letter) in letters.char_indices() {
        parts.push(format!("-{letter}"));
        if WITH_VALUE.contains(&letter) {
            let value = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            if value.is_empty() {
                return true;
            }
            parts.push(value.to_owned());
            return false;
        }
    }
    false
}

/// Splits `--name=value` into the words argh knows.
pub(super) fn split_long(words: &[String]) -> Vec<&str> {
    words
        .iter()
        .flat_map(|word| match word.split_once('=').filter(|_| word.starts_with("--")) {
            Some((name, value)) => [Some(name), Some(value)],
            None => [Some(word.as_str()), None],
        })
        .flatten()
        .collect()
}

/// Options that take a value, by their letters.
const WITH_VALUE: &[char] = &['c', 'l', 'p', 'u', 'i', 'r'];
