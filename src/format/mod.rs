//! Events as people and programs read them: text, JSON, YAML, CSV, and the schemas of Elastic and Zeek.
//!
//! A format writes one event into a [`Record`] of fixed size and never allocates. A record carries no
//! terminator: the output adds its own. The first four show the same values; what is missing is `-`. Names
//! and identities are shown in one escaped form (`wire::text`), so no record can hold a line break, a quote
//! or a space that the sender made up.
//!
//! The size of the longest record is the sum of its parts (see `limits::RECORD_BYTES`), so a record that does
//! not fit cannot happen; if it did, it would be dropped and counted as `oversize`.

pub(crate) mod alarm;
#[cfg(feature = "records")]
mod chosen;
#[cfg(feature = "records")]
pub(crate) mod ecs;
pub(crate) mod encoding;
mod escape;
mod fields;
pub(crate) mod json;
pub(crate) mod text;
#[cfg(feature = "records")]
mod value;
#[cfg(feature = "records")]
pub(crate) mod zeek;

pub(crate) use encoding::{Encoding, Layout, Template};
pub(crate) use fields::{Field, RecordSource};

use core::fmt;

#[cfg(feature = "records")]
use value::ValueStyle;

use crate::copy::copy_short;
use crate::decimal::Ascii;
use crate::limits::{self, RECORD_BYTES};
use crate::time::{Time, TimestampText};
use crate::values::Format;
#[cfg(feature = "records")]
use crate::wire::name::Name;
use crate::wire::text::write_label_text;

/// One encoded event, without terminator.
#[derive(Debug)]
pub(crate) struct Record {
    bytes: Box<[u8]>,
    /// Bytes in use; `used <= bytes.len()`.
    used: usize,
    /// Bytes that may be in use at the end; `longest <= bytes.len()`.
    longest: usize,
    /// Bytes that lists leave free.
    #[cfg(feature = "records")]
    tail: usize,
    /// The last name that was written, if it still stands there.
    #[cfg(feature = "records")]
    name: Option<WrittenName>,
    timestamp: TimestampText,
}

impl Record {
    /// A record with that much room.
    pub(crate) fn new(bytes: usize) -> Self {
        Record {
            bytes: limits::table(bytes, 0),
            used: 0,
            longest: bytes,
            #[cfg(feature = "records")]
            tail: value::TAIL_BYTES,
            #[cfg(feature = "records")]
            name: None,
            timestamp: TimestampText::default(),
        }
    }

    /// The bytes of the event.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Lets `write` put text at the end; it tells how many bytes, or that there is no room.
    fn append_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> fmt::Result {
        let room = self.bytes.get_mut(self.used..self.longest).unwrap_or_default();
        let written = write(room).ok_or(fmt::Error)?;
        self.used += written.min(room.len());
        Ok(())
    }

    /// Writes a name, in JSON as the inside of a string.
    #[cfg(feature = "records")]
    #[inline]
    fn append_name(&mut self, name: &Name<'_>, style: ValueStyle) -> fmt::Result {
        let start = self.used;
        // Plain text has nothing that JSON wants escaped.
        if self.append_with(|room| name.write_plain_text(room)).is_err() {
            self.append_escaped_name(name, style)?;
        }
        let address = name.wire_form().as_ptr().addr();
        self.name = Some(WrittenName { address, start, length: self.used - start });
        Ok(())
    }

    /// The same of a name that is not plain.
    #[cfg(feature = "records")]
    #[inline(never)]
    fn append_escaped_name(&mut self, name: &Name<'_>, style: ValueStyle) -> fmt::Result {
        match style {
            ValueStyle::Json => self.append_escaped_with(|room| name.write_escaped_text(room)),
            _ => self.append_with(|room| name.write_escaped_text(room)),
        }
    }

    /// Writes the last name once more, if it is the one that begins there in the message; whether it is.
    #[cfg(feature = "records")]
    #[inline]
    fn repeat_name(&mut self, wire: &[u8]) -> bool {
        let Some(WrittenName { start, length, .. }) =
            self.name.filter(|name| name.address == wire.as_ptr().addr())
        else {
            return false;
        };
        let (before, room) = self.bytes.split_at_mut(self.used.min(self.longest));
        match (before.get(start..start + length), room.get_mut(..length)) {
            (Some(name), Some(place)) => {
                copy_short(place, name);
                self.used += length;
                true
            }
            _ => false,
        }
    }

    /// Bytes that are free.
    #[cfg(feature = "records")]
    fn room(&self) -> usize {
        self.longest.saturating_sub(self.used)
    }

    /// Whether it has no more bytes than it may.
    fn fits(&self) -> bool {
        self.used <= self.longest
    }

    /// Puts what was written from `start` on between quotes, if CSV wants it so (RFC 4180, 2).
    fn quote_csv_from(&mut self, start: usize) -> fmt::Result {
        let text = self.bytes.get(start..self.used).unwrap_or_default();
        if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
            return Ok(());
        }
        let quotes = text.iter().filter(|byte| **byte == b'"').count();
        #[cfg(feature = "records")]
        {
            // What was written moves.
            self.name = None;
        }
        let (mut from, mut to) = (self.used, self.used + quotes + 1);
        if to + 1 > self.longest {
            return Err(fmt::Error);
        }
        self.used = to + 1;
        // From the end, as below: what is written is always behind what is read.
        while from > start {
            from -= 1;
            let byte = self.bytes.get(from).copied().ok_or(fmt::Error)?;
            for _ in 0..if byte == b'"' { 2 } else { 1 } {
                to -= 1;
                *self.bytes.get_mut(to).ok_or(fmt::Error)? = byte;
            }
        }
        *self.bytes.get_mut(start).ok_or(fmt::Error)? = b'"';
        *self.bytes.get_mut(self.used - 1).ok_or(fmt::Error)? = b'"';
        Ok(())
    }

    /// Writes the moment of a message.
    #[inline]
    fn write_timestamp(&mut self, time: Time) -> fmt::Result {
        let text = self.timestamp.of(time);
        self.write_ascii(&text)
    }

    /// The same, with a backslash put before each quote and backslash of the text: the only two characters of
    /// an escaped name that JSON wants escaped once more. Most texts have none.
    #[cfg_attr(for_size, optimize(speed))]
    fn append_escaped_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> fmt::Result {
        let start = self.used;
        self.append_with(write)?;
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
        let text = self.bytes.get(start..self.used).unwrap_or_default();
        let special = text.iter().map(|byte| usize::from(is_special(byte))).sum::<usize>();
        if special == 0 {
            return Ok(());
        }
        let (mut from, mut to) = (text.len(), text.len() + special);
        if start + to > self.longest {
            return Err(fmt::Error);
        }
        let room = self.bytes.get_mut(start..start + to).ok_or(fmt::Error)?;
        self.used += special;
        // From the end, so that nothing is overwritten before it was moved; `from <= to` throughout. The
        // number of backslashes is known, so the end is as well, and the loop stops where both meet:
        // what is before has nothing to escape.
        //
        //     a " b " c _ _       c, b and the quotes move to the right, the last one first
        //     a \ " b \ " c       at the first quote `from` and `to` are one apart, after its backslash they
        // meet
        while from < to {
            from -= 1;
            to -= 1;
            let Some(&byte) = room.get(from) else { return Err(fmt::Error) };
            room.get_mut(to).map(|place| *place = byte).ok_or(fmt::Error)?;
            if is_special(&byte) {
                to -= 1;
                room.get_mut(to).map(|place| *place = b'\\').ok_or(fmt::Error)?;
            }
        }
        Ok(())
    }
}

/// A name in a record, and where it is in the message: no two are at one address.
#[cfg(feature = "records")]
#[derive(Debug, Clone, Copy)]
struct WrittenName {
    address: usize,
    start: usize,
    length: usize,
}

impl Default for Record {
    fn default() -> Self {
        Record::new(RECORD_BYTES)
    }
}

impl Ascii for Record {
    #[inline]
    fn write_ascii(&mut self, bytes: &[u8]) -> fmt::Result {
        // Whether the record became too long is asked once, at its end.
        let end = self.used + bytes.len();
        copy_short(self.bytes.get_mut(self.used..end).ok_or(fmt::Error)?, bytes);
        self.used = end;
        Ok(())
    }

    #[inline]
    fn write_front<const N: usize>(&mut self, bytes: &[u8; N], length: usize) -> fmt::Result {
        match self.bytes.get_mut(self.used..).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => {
                *place = *bytes;
                self.used += length.min(N);
                Ok(())
            }
            None => self.write_ascii(bytes.get(..length).unwrap_or_default()),
        }
    }
}

impl fmt::Write for Record {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_ascii(text.as_bytes()) // UTF-8 is taken just as well
    }

    #[inline]
    fn write_char(&mut self, character: char) -> fmt::Result {
        self.write_str(character.encode_utf8(&mut [0; 4]))
    }
}

/// Writes an event into `record`, which is cleared first.
///
/// # Errors
///
/// When the record is too small; it then holds a part of the event.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn encode(encoding: &Encoding, source: &RecordSource<'_>, record: &mut Record) -> fmt::Result {
    record.used = 0;
    record.longest = encoding.longest.min(record.bytes.len());
    #[cfg(feature = "records")]
    {
        record.tail = value::TAIL_BYTES;
        record.name = None;
    }
    let encoded = match (encoding.format, &encoding.layout) {
        (Format::Text | Format::Json | Format::Yaml, Layout::Usual) if source.shows_device => {
            with_device(encoding.format, source, record)
        }
        (Format::Text, Layout::Usual) => text::encode(source.event, record),
        (Format::Json, Layout::Usual) => json::encode(source.event, json::JsonStyle::Json, record),
        (Format::Yaml, Layout::Usual) => json::encode(source.event, json::JsonStyle::Yaml, record),
        #[cfg(feature = "records")]
        (Format::Ecs, _) => ecs::encode(source.event, record),
        #[cfg(feature = "records")]
        (Format::Zeek, _) => zeek::encode(source.event, record),
        #[cfg(feature = "records")]
        _ => chosen::encode(encoding, source, record),
        // The configuration was refused.
        #[cfg(not(feature = "records"))]
        _ => Err(fmt::Error),
    };
    if record.fits() { encoded } else { Err(fmt::Error) }
}

/// Writes a usual record, and the device of who asked behind all else.
#[cold]
fn with_device(format: Format, source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    let device = source.device.unwrap_or(MISSING).as_bytes();
    let (before, end): (&[u8], &[u8]) = match format {
        Format::Text => {
            text::encode(source.event, out)?;
            out.write_ascii(b" ")?;
            return out.append_with(|room| write_label_text(device, room));
        }
        Format::Yaml => (b"\ndevice: \"", b"\""),
        _ => (b",\"device\":\"", b"\"}"),
    };
    let style = if format == Format::Yaml { json::JsonStyle::Yaml } else { json::JsonStyle::Json };
    json::encode(source.event, style, out)?;
    // The brace at the end of JSON comes later.
    out.used -= end.len() - 1;
    out.write_ascii(before)?;
    out.append_escaped_with(|room| write_label_text(device, room))?;
    out.write_ascii(end)
}

/// The text of a missing value.
pub(crate) const MISSING: &str = "-";
