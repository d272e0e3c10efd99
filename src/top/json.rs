//! JSON (RFC 8259) as a tree of values.
//!
//! Our own reader, because that of `serde-json-core` 0.7 ends the program on a map that is cut off (`{"`).
//! Nothing a server sends does that here: values within values are bounded, and so is the text, by whoever
//! reads it. The escapes in strings are left to that crate.

use serde_json_core::str::{EscapedStr, EscapedStringFragment};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`, `true`, `false`
    Word,
    /// A number.
    Number(f64),
    /// A string, unescaped.
    Text(String),
    /// An array.
    List(Vec<JsonValue>),
    /// An object, in its order.
    Map(Vec<(String, JsonValue)>),
}

/// Values within values at most.
const DEPTH_MAX: usize = 16;

impl JsonValue {
    /// Reads a whole text; `None` when it is none.
    pub fn parse(bytes: &[u8]) -> Option<JsonValue> {
        let mut reader = JsonReader { rest: core::str::from_utf8(bytes).ok()? };
        let value = reader.value(0)?;
        reader.skip_blanks();
        reader.rest.is_empty().then_some(value)
    }

    /// The value of a key.
    pub fn get(&self, wanted: &str) -> Option<&JsonValue> {
        self.entries().find(|(key, _)| key == wanted).map(|(_, value)| value)
    }

    /// Keys and values; none unless it is an object.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &(String, JsonValue)> {
        if let JsonValue::Map(entries) = self { entries.as_slice() } else { &[] }.iter()
    }

    /// Values; none unless it is an array.
    pub(crate) fn items(&self) -> &[JsonValue] {
        if let JsonValue::List(items) = self { items } else { &[] }
    }

    /// The string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let JsonValue::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one, as a count: rounded down, and within bounds.
    pub(crate) fn count(&self) -> Option<u64> {
        self.number().map(|number| number as u64)
    }

    /// A number.
    pub(crate) fn number(&self) -> Option<f64> {
        if let JsonValue::Number(number) = self { Some(*number) } else { None }
    }
}

/// The value of a number, to some fifteen digits, which is more than a screen shows: `str::parse` would be
/// the only one of its kind in the program, and 15 KiB of it.
pub(crate) fn decimal(digits: &str) -> Option<f64> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.parse::<i16>().ok()?;
    let (is_negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    if whole.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 10.0 + f64::from(digit.to_digit(10)?);
    }
    let shift = i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
    let power = 10f64.powi(shift.abs());
    value = if shift < 0 { value / power } else { value * power };
    Some(if is_negative { -value } else { value })
}

struct JsonReader<'t> {
    rest: &'t str,
}

impl JsonReader<'_> {
    fn value(&mut self, depth: usize) -> Option<JsonValue> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip_blanks();
        match self.rest.bytes().next()? {
            b'"' => self.text().map(JsonValue::Text),
            b'[' => self.list(depth),
            b'{' => self.map(depth),
            b'n' => self.eat("null").then_some(JsonValue::Word),
            b't' => self.eat("true").then_some(JsonValue::Word),
            b'f' => self.eat("false").then_some(JsonValue::Word),
            _ => self.number(),
        }
    }

    fn list(&mut self, depth: usize) -> Option<JsonValue> {
        let mut items = Vec::new();
        self.eat("[");
        if self.eats("]") {
            return Some(JsonValue::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eats("]") {
                return Some(JsonValue::List(items));
            }
            self.eats(",").then_some(())?;
        }
    }

    fn map(&mut self, depth: usize) -> Option<JsonValue> {
        let mut entries = Vec::new();
        self.eat("{");
        if self.eats("}") {
            return Some(JsonValue::Map(entries));
        }
        loop {
            self.skip_blanks();
            let key = self.text()?;
            self.eats(":").then_some(())?;
            entries.push((key, self.value(depth + 1)?));
            if self.eats("}") {
                return Some(JsonValue::Map(entries));
            }
            self.eats(",").then_some(())?;
        }
    }

    fn number(&mut self) -> Option<JsonValue> {
        let is_part = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        decimal(digits).map(JsonValue::Number)
    }

    fn text(&mut self) -> Option<String> {
        self.eat("\"").then_some(())?;
        let (escaped, rest) = self.rest.split_at_checked(closing_quote(self.rest)?)?;
        self.rest = rest;
        self.eat("\"");
        let mut text = String::new();
        for fragment in EscapedStr(escaped).fragments() {
            match fragment.ok()? {
                EscapedStringFragment::NotEscaped(plain) => text.push_str(plain),
                // A line break would spoil a line; the screen shows other control characters in its own way.
                EscapedStringFragment::Escaped('\x08' | '\x0c' | '\n' | '\r' | '\t') => text.push(' '),
                EscapedStringFragment::Escaped(letter) => text.push(letter),
            }
        }
        Some(text)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The same after blanks.
    fn eats(&mut self, text: &str) -> bool {
        self.skip_blanks();
        self.eat(text)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// Where a string ends: at the first quote that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read() {
        let read =
            JsonValue::parse(br#" {"a": [1, -2.5e1, "x\u00fc\"\\\n", null], "b": {}, "c": true } "#).unwrap();
        let items = read.get("a").unwrap().items();
        assert_eq!(items.iter().map(JsonValue::count).collect::<Vec<_>>(), [Some(1), Some(0), None, None]);
        assert_eq!(items[2].text(), Some("xü\"\\ "));
        assert_eq!(JsonValue::parse(br#""\\""#).unwrap().text(), Some("\\"));
        assert_eq!(JsonValue::parse(br#""a\u0007\/\t""#).unwrap().text(), Some("a\u{7}/ "));
        assert_eq!(read.get("b"), Some(&JsonValue::Map(Vec::new())));
        assert_eq!(read.entries().count(), 3);
        assert_eq!(JsonValue::parse(b"18446744073709551615").unwrap().count(), Some(u64::MAX));
    }

    #[test]
    fn what_is_none_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "", "{\"", "{", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "\"\\", "\"\\u12", "1 2", "nul", "<html>",
            "[1]]", &deep,
        ] {
            assert_eq!(JsonValue::parse(text.as_bytes()), None, "{:.20}", text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn anything_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}\":,a1\\\\u é-]{0,60}") {
            let _ = (JsonValue::parse(&bytes), JsonValue::parse(text.as_bytes()));
        }
    }
}
