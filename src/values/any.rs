//! A value of whatever kind, read without a word of what was written: it may be a secret.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A value of any kind but a date.
#[derive(Clone, PartialEq)]
pub enum Any {
    /// A string.
    Text(String),
    /// A number or a boolean, as text.
    Scalar(String),
    /// An array.
    List(Vec<Any>),
    /// A table.
    Table(BTreeMap<String, Any>),
}

impl Any {
    /// What kind it is, in serde's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Any::Text(_) => "string",
            Any::Scalar(_) => "number or boolean",
            Any::List(_) => "sequence",
            Any::Table(_) => "map",
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

/// serde's half of [`Any`].
struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number, boolean, list or table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Any, E> {
        Ok(Any::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<Any, E> {
        Ok(Any::Scalar(boolean.to_string()))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Any, E> {
        Ok(Any::Scalar(integer.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Any, E> {
        Ok(Any::Scalar(number.to_string()))
    }

    /// The digits of a number with a fraction, as the configuration's deserializer gives them.
    fn visit_bytes<E: Error>(self, digits: &[u8]) -> Result<Any, E> {
        Ok(Any::Scalar(String::from_utf8_lossy(digits).into_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            table.insert(key, value);
        }
        Ok(Any::Table(table))
    }
}
