//! The values a configuration is written in: sizes, ports, addresses, patterns, choices.
//!
//! Every type here refuses, while it is read, what it could not mean, so that the error still knows the
//! place in the file. A value that exists is a possible one; only rules between several keys are left to
//! the sections (`check`) and to `config`.
//!
//! A type says what it takes in [`Value::allowed`], once: the error message, the command line and the
//! "missing" message are all made of that sentence.
//!
//! Left out: file names are not opened, host names not resolved, users not looked up. That depends on the
//! machine, and is done where the thing is used.

mod address;
mod choice;
pub(crate) mod encoding;
mod nearest;
mod number;
mod plan_error;
mod raw_value;
mod several;
mod text;
mod tls;

pub(crate) use address::{Host, ListenAddress, Network};
pub(crate) use choice::choice;
pub use choice::{Format, WhenFull};
pub(crate) use nearest::nearest;
pub(crate) use number::{Bounded, ByteSize, ListenPort, Port, Seconds};
pub(crate) use plan_error::PlanError;
pub(crate) use raw_value::RawValue;
pub(crate) use several::Several;
pub(crate) use text::{Account, FilePath, Label, Secret, Text};
pub(crate) use tls::{ClientTls, ServerTls};

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use std::fmt;

/// A value read from one TOML string or one TOML integer.
pub(crate) trait Value: Sized {
    /// The values taken, as the end of a sentence: "a port, 1 to 65535".
    fn allowed() -> String;

    /// The value a string stands for.
    ///
    /// # Errors
    /// [`Invalid::Type`] unless the type is written as a string.
    fn from_text(_text: &str) -> Result<Self, Invalid> {
        Err(Invalid::Type)
    }

    /// The value an integer stands for.
    ///
    /// # Errors
    /// [`Invalid::Type`] unless the type is written as an integer.
    fn from_integer(_integer: i64) -> Result<Self, Invalid> {
        Err(Invalid::Type)
    }
}

/// Why a string or an integer is not the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// This kind of TOML value is never one.
    Type,
    /// The kind is right, the value impossible.
    Value,
    /// The same, with more to say.
    Because(String),
}

/// Reads a value where serde wants one; for `Deserialize` of the types here.
pub(crate) fn read<'de, V: Value, D: Deserializer<'de>>(deserializer: D) -> Result<V, D::Error> {
    let mut value = None;
    let mut take = |given: Given<'_>| {
        value = Some(match given {
            Given::Text(text) => V::from_text(text)?,
            Given::Integer(integer) => V::from_integer(integer)?,
        });
        Ok(())
    };
    deserializer.deserialize_any(Reader { allowed: V::allowed, take: &mut take })?;
    value.ok_or_else(|| Error::custom("no value"))
}

/// Reads a value from a command line argument, which does not tell strings from integers.
///
/// # Errors
/// The mistake, and what is allowed; the argument is not repeated.
pub(crate) fn from_argument<V: Value>(text: &str) -> Result<V, String> {
    let tried = match V::from_text(text) {
        Err(Invalid::Type) => text.parse().map_err(|_| Invalid::Value).and_then(V::from_integer),
        other => other,
    };
    tried.map_err(|wrong| match wrong {
        Invalid::Because(why) => format!("{why}; allowed: {}", V::allowed()),
        Invalid::Type | Invalid::Value => format!("impossible; allowed: {}", V::allowed()),
    })
}

/// The mistake between the keys of one section; the value of each key alone is fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    /// The key in its section, as it is written in the file.
    pub(crate) key: &'static str,
    /// The mistake, and what is allowed.
    pub(crate) text: String,
    /// Further ones of the section.
    pub(crate) more: Vec<KeyError>,
}

impl KeyError {
    /// A fault of one key.
    pub(crate) fn new(key: &'static str, text: impl Into<String>) -> Self {
        KeyError { key, text: text.into(), more: Vec::new() }
    }

    /// The fault of a key that is missing, but needed once its section is enabled.
    pub(crate) fn missing<V: Value>(key: &'static str) -> Self {
        KeyError::new(key, format!("missing, and needed here; allowed: {}", V::allowed()))
    }
}

/// Asks for a key that must be there once its section is enabled.
///
/// # Errors
/// [`KeyError::missing`] when it is not.
pub(crate) fn required<V: Value>(key: &'static str, value: &Option<V>) -> Result<(), KeyError> {
    if value.is_some() { Ok(()) } else { Err(KeyError::missing::<V>(key)) }
}

/// All that is wrong of several rules, as one error.
///
/// # Errors
/// The first, with the others in it.
pub(crate) fn all<const N: usize>(rules: [Result<(), KeyError>; N]) -> Result<(), KeyError> {
    let mut errors = rules.into_iter().filter_map(Result::err);
    let Some(mut first) = errors.next() else { return Ok(()) };
    first.more.extend(errors);
    Err(first)
}

/// Gives the types named their `Deserialize`, all alike.
macro_rules! deserialize {
    ($($name:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::values::read(deserializer)
            }
        }
    )+};
}
pub(crate) use deserialize;

/// The value as it is written.
enum Given<'t> {
    /// A string.
    Text(&'t str),
    /// An integer.
    Integer(i64),
}

/// serde's half of [`Value`]; one for all types, for it is made once for each.
struct Reader<'v> {
    /// [`Value::allowed`].
    allowed: fn() -> String,
    /// Makes the value and keeps it.
    take: &'v mut dyn FnMut(Given<'_>) -> Result<(), Invalid>,
}

impl Reader<'_> {
    /// Makes serde's error of ours, in serde's words, so that all messages read alike.
    fn judge<E: Error>(self, given: Unexpected<'_>, value: Option<Given<'_>>) -> Result<(), E> {
        match value.map_or(Err(Invalid::Value), &mut *self.take) {
            Ok(()) => Ok(()),
            Err(Invalid::Type) => Err(E::invalid_type(given, &self)),
            Err(Invalid::Value) => Err(E::invalid_value(given, &self)),
            Err(Invalid::Because(why)) => {
                Err(E::custom(format_args!("invalid value: {given}: {why}, expected {}", (self.allowed)())))
            }
        }
    }
}

impl Visitor<'_> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.allowed)())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.judge(Unexpected::Str(text), Some(Given::Text(text)))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<(), E> {
        self.judge(Unexpected::Signed(integer), Some(Given::Integer(integer)))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<(), E> {
        self.judge(Unexpected::Unsigned(integer), i64::try_from(integer).ok().map(Given::Integer))
    }
}
