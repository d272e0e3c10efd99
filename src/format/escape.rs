//! Text that comes piece by piece, escaped on its way into a record.

use core::fmt::{self, Write};

use super::Record;
use crate::decimal::Ascii;
#[cfg(feature = "records")]
use crate::wire::text::escape;

/// The characters that are escaped in a text that comes piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Quotes and backslashes, as JSON wants it.
    Json,
    #[cfg(feature = "records")]
    /// Those, spaces and all that is not printable ASCII, as in an identity.
    Text,
}

/// A record that escapes what is written to it.
pub(crate) struct Escaped<'r> {
    /// The record.
    pub(crate) record: &'r mut Record,
    /// The characters that are escaped.
    pub(crate) escape: Escape,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: &u8| match (byte, self.escape) {
            (b'"' | b'\\', _) => false,
            #[cfg(feature = "records")]
            (..=0x20 | 0x7f.., Escape::Text) => false,
            _ => true,
        };
        let mut rest = text.as_bytes();
        loop {
            // What needs no escaping goes in one piece.
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            let (before, after) = rest.split_at_checked(plain).ok_or(fmt::Error)?;
            self.record.write_ascii(before)?;
            let Some((byte, after)) = after.split_first() else { return Ok(()) };
            match byte {
                b'"' | b'\\' => self.record.write_ascii(&[b'\\', *byte])?,
                #[cfg(feature = "records")]
                _ => self.record.write_ascii(&escape(*byte))?,
                #[cfg(not(feature = "records"))]
                _ => {}
            }
            rest = after;
        }
    }
}
