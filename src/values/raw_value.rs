//! A value of whatever kind, read without a word of what was written: it may be a secret.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A value of any kind but a date.
#[derive(Clone, PartialEq)]
pub(crate) enum RawValue {
    /// A string.
    Text(String),
    /// A number or a boolean, as text.
    Scalar(String),
    /// An array.
    List(Vec<RawValue>),
    /// A table.
    Table(BTreeMap<String, RawValue>),
}

impl RawValue {
    /// Its kind, in serde's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            RawValue::Text(_) => "string",
            RawValue::Scalar(_) => "number or boolean",
            RawValue::List(_) => "sequence",
            RawValue::Table(_) => "map",
        }
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

/// serde's half of [`RawValue`].
struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number, boolean, list or table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(boolean.to_string()))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(integer.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(number.to_string()))
    }

    /// The digits of a number with a fraction, as the configuration's deserializer gives them.
    fn visit_bytes<E: Error>(self, digits: &[u8]) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(String::from_utf8_lossy(digits).into_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            table.insert(key, value);
        }
        Ok(RawValue::Table(table))
    }
}
