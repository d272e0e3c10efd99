//! serde's deserializer over the parsed tables.
//!
//! toml has one too, but for any use of it (dates, spans, borrowed text): the code it makes of our sections
//! is several times as large, a tenth of the program on a router; and its errors know a place, not a key.
//! These collect the key on their way out.

use super::document::shown;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a value is not what was wanted. On the heap, since it is an arm of every result here.
#[derive(Debug)]
pub(super) struct DecodeError(Box<DecodeDetails>);

/// All that is known of it.
#[derive(Debug, Default)]
pub(super) struct DecodeDetails {
    /// The dotted key.
    pub(super) key: String,
    /// The byte where it stands; none until somebody knew.
    pub(super) start: Option<usize>,
    /// The error, in serde's words.
    pub(super) text: String,
}

impl DecodeError {
    /// All that is known of it.
    pub(super) fn into_inner(self) -> DecodeDetails {
        *self.0
    }

    /// The same, below a part of a key that is at `start`.
    fn below(mut self, part: &str, start: usize) -> Self {
        let dot = if self.0.key.is_empty() || self.0.key.starts_with('[') { "" } else { "." };
        self.0.key = format!("{part}{dot}{}", self.0.key);
        self.0.start.get_or_insert(start);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        DecodeError(Box::new(DecodeDetails { text: text.to_string(), ..DecodeDetails::default() }))
    }
}

/// A value of the document.
#[derive(Clone, Copy)]
pub(super) struct TomlDeserializer<'a>(pub(super) &'a DeValue<'a>);

impl<'de> Deserializer<'de> for TomlDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(integer) => visitor.visit_i64(integer),
                Err(_) => Err(refuse("an integer of more than 63 bits", &visitor)),
            },
            // No setting is one; who hands it on wants it as it was written.
            DeValue::Float(digits) => visitor.visit_bytes(digits.as_str().as_bytes()),
            DeValue::Boolean(boolean) => visitor.visit_bool(*boolean),
            DeValue::Datetime(_) => Err(refuse("a date or time", &visitor)),
            DeValue::Array(elements) => visitor.visit_seq(ArrayElements { rest: elements, at: 0 }),
            DeValue::Table(table) => visitor.visit_map(TableKeys { rest: table.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self) // TOML has no null
    }

    /// A table, and nothing else: serde would take the values of a section as a list, too, and make as much
    /// code of that again.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            DeValue::Table(table) => visitor.visit_map(TableKeys { rest: table.iter(), value: None }),
            other => Err(no_table(other, &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The error of another value where a table should be.
fn no_table(given: &DeValue<'_>, expected: &dyn de::Expected) -> DecodeError {
    let given = match given {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(integer) => Unexpected::Signed(integer),
            Err(_) => Unexpected::Other("an integer of more than 63 bits"),
        },
        DeValue::Float(_) => Unexpected::Other("a number with a fraction"),
        DeValue::Boolean(boolean) => Unexpected::Bool(*boolean),
        DeValue::Datetime(_) => Unexpected::Other("a date or time"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    };
    de::Error::invalid_type(given, expected)
}

/// The error of a kind of value that no setting is written in.
fn refuse(given: &str, expected: &dyn de::Expected) -> DecodeError {
    de::Error::invalid_type(Unexpected::Other(given), expected)
}

/// The elements of an array.
struct ArrayElements<'de> {
    /// Those to come.
    rest: &'de [Spanned<DeValue<'de>>],
    /// The number of the next one.
    at: usize,
}

impl<'de> SeqAccess<'de> for ArrayElements<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((element, rest)) = self.rest.split_first() else { return Ok(None) };
        let at = self.at;
        (self.rest, self.at) = (rest, at + 1);
        seed.deserialize(TomlDeserializer(element.get_ref()))
            .map(Some)
            .map_err(|refused| refused.below(&format!("[{at}]"), element.span().start))
    }
}

/// The keys and values of a table.
struct TableKeys<'de> {
    /// Those to come.
    rest: <&'de DeTable<'de> as IntoIterator>::IntoIter,
    /// The key that was read, and its value, which was not.
    value: Option<(&'de str, &'de Spanned<DeValue<'de>>)>,
}

impl<'de> MapAccess<'de> for TableKeys<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((name.get_ref(), value));
        seed.deserialize(KeyDeserializer(name.get_ref()))
            .map(Some)
            .map_err(|refused| refused.below(&shown(name.get_ref()), name.span().start))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some((name, value)) = self.value.take() else { return Err(de::Error::custom("no value")) };
        seed.deserialize(TomlDeserializer(value.get_ref()))
            .map_err(|refused| refused.below(&shown(name), value.span().start))
    }
}

/// A key.
struct KeyDeserializer<'de>(&'de str);

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
