//! `/config`: the keys that are set, and the memory that tables and buffers take.
//!
//! ```text
//! {"file": "/etc/dnstapd/dnstap.toml", "keys": [["web-api.local-port", "8080"], ["web-api.password", null]],
//!  "left-out": 0, "memory": [["history", 1400048], ...], "total": 4130080}
//! ```
//!
//! Both change at a start and at a reload alone, so the answer is made then and lies ready. The value of a
//! secret is `null` before it comes here.

use core::cell::RefCell;
use core::fmt::{self, Write};
use std::path::Path;
use std::rc::Rc;

use super::counters::write_string;
use crate::limits::HTTP_CONFIG_BYTES;

/// The answer, ready.
#[derive(Debug, Default)]
pub struct ConfigText {
    /// Tables and buffers with their bytes.
    memory: Vec<(String, usize)>,
    text: RefCell<Rc<Vec<u8>>>,
}

impl ConfigText {
    /// No key is set yet.
    pub(crate) fn new(memory: Vec<(String, usize)>) -> Self {
        ConfigText { memory, text: RefCell::default() }
    }

    /// Makes the answer of these keys; what is beyond [`HTTP_CONFIG_BYTES`] is left out and counted.
    pub(crate) fn set(&self, file: Option<&Path>, keys: &[(String, Option<String>)]) {
        let mut text = String::new();
        let _ = self.write(&mut text, file, keys);
        text.shrink_to_fit();
        *self.text.borrow_mut() = Rc::new(text.into_bytes());
    }

    /// The answer.
    pub(crate) fn text(&self) -> Rc<Vec<u8>> {
        Rc::clone(&self.text.borrow())
    }

    fn write(&self, out: &mut String, file: Option<&Path>, keys: &[(String, Option<String>)]) -> fmt::Result {
        out.write_str("{\"file\": ")?;
        match file {
            Some(file) => write_string(out, &file.to_string_lossy())?,
            None => out.write_str("null")?,
        }
        out.write_str(", \"keys\": [")?;
        let (mut separator, mut left_out) = ("", 0u32);
        for (key, value) in keys {
            let length = key.len() + value.as_ref().map_or(0, String::len);
            if out.len() + length > HTTP_CONFIG_BYTES {
                left_out += 1;
                continue;
            }
            write!(out, "{separator}[")?;
            write_string(out, key)?;
            out.write_str(", ")?;
            match value {
                Some(value) => write_string(out, value)?,
                None => out.write_str("null")?,
            }
            out.push(']');
            separator = ", ";
        }
        write!(out, "], \"left-out\": {left_out}, \"memory\": [")?;
        separator = "";
        for (table, bytes) in &self.memory {
            write!(out, "{separator}[")?;
            write_string(out, table)?;
            write!(out, ", {bytes}]")?;
            separator = ", ";
        }
        let total: usize = self.memory.iter().map(|(_, bytes)| bytes).sum();
        write!(out, "], \"total\": {total}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_and_counted() {
        let config = ConfigText::new(vec![("history".to_owned(), 3), ("web API".to_owned(), 4)]);
        let mut keys = vec![("web-api.password".to_owned(), None)];
        config.set(None, &keys);
        let expected = "{\"file\": null, \"keys\": [[\"web-api.password\", null]], \"left-out\": 0, \
                        \"memory\": [[\"history\", 3], [\"web API\", 4]], \"total\": 7}";
        assert_eq!(core::str::from_utf8(&config.text()), Ok(expected));
        keys.clear();
        keys.extend(
            (0..2_000).map(|number| (format!("names.static.\"{number}\""), Some("\"tv\"".to_owned()))),
        );
        config.set(Some(Path::new("/etc/a")), &keys);
        let text = String::from_utf8(config.text().to_vec()).unwrap();
        assert!(text.len() < 2 * HTTP_CONFIG_BYTES && text.starts_with("{\"file\": \"/etc/a\""), "{text}");
        let (_, rest) = text.split_once("\"left-out\": ").unwrap();
        let left_out: usize = rest.split(',').next().unwrap().parse().unwrap();
        assert_eq!(left_out + text.matches("static").count(), 2_000);
    }
}
