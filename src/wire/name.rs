//! Domain names: in wire form, and on to text.
//!
//! ```text
//!   07 e x a m p l e 03 c o m 00        13 bytes of wire form
//!      e x a m p l e  . c o m  .        12 bytes of text
//! ```
//!
//! A name is borrowed from the message it is in. Only the first question's is read, and before that stands
//! nothing but the header, so a pointer (RFC 1035, 4.1.4) has no name to point at: it is refused, and loops
//! do not exist. Labels have 1 to 63 bytes of any value, a name at most 255 with its length bytes and the
//! root (RFC 1035, 2.3.4); the two other label types are refused.
//!
//! The text follows RFC 1035, 5.1, so strictly that no byte of a stranger can end a line or a field: bytes
//! 0x21 to 0x7e stand for themselves, except that a dot within a label, a backslash and a double quote get a
//! backslash before them; every other byte is `\DDD`. Case is kept. The final dot is always there, and
//! the root is `.`.
//!
//! How names are compared without regard to case is [`hash`](super::hash)'s business.

use super::cursor::{Composer, Cursor};
use super::text::{escape, is_plain};
use crate::copy::copy_short;
use crate::reasons::reasons;
use core::fmt;

/// The most bytes a name has in wire form.
pub const NAME_MAX: usize = 255;

/// The most bytes the text of a name takes: four labels fill 255 bytes with 250 that may each become
/// four, and four dots.
pub const TEXT_MAX: usize = 1004;

/// The most bytes a label has.
const LABEL_MAX: u8 = 63;

/// A domain name in uncompressed wire form. `1 <= bytes <= NAME_MAX`, and the last one is the root's 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    bytes: &'a [u8],
    /// Where the last label begins, with its length byte; 0 in the root, too.
    last: u8,
}

reasons! {
    /// Why there is no name.
    pub enum NameError {
        /// The message ends first.
        Truncated = "name_truncated", "cut within a name";
        /// A label of a type other than plain (0x00) and pointer (0xc0).
        LabelType = "name_label_type", "a name with a label of unknown type";
        /// A pointer, where there is nothing to point at.
        Pointer = "name_pointer", "a name with a pointer";
        /// More than [`NAME_MAX`] bytes.
        TooLong = "name_too_long", "a name of more than 255 bytes";
    }
}

impl<'a> Name<'a> {
    /// The root: no labels.
    pub(crate) const ROOT: Name<'static> = Name { bytes: &[0], last: 0 };

    /// Reads the name at the front of `bytes`, and returns it with what is after it.
    ///
    /// # Errors
    ///
    /// [`NameError`], for the first thing that is wrong.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<(Name<'a>, &'a [u8]), NameError> {
        let (mut end, mut last) = (0, 0);
        loop {
            match bytes.get(end).copied().ok_or(NameError::Truncated)? {
                0 => break,
                length @ 1..=LABEL_MAX => (last, end) = (end, end + 1 + usize::from(length)),
                0xc0.. => return Err(NameError::Pointer),
                _ => return Err(NameError::LabelType),
            }
        }
        let (bytes, rest) = bytes.split_at_checked(end + 1).ok_or(NameError::Truncated)?;
        if bytes.len() > NAME_MAX {
            return Err(NameError::TooLong);
        }
        Ok((Name { bytes, last: last as u8 }, rest)) // below `NAME_MAX`
    }

    /// The name in wire form, with the root's 0 at the end.
    #[inline]
    pub fn wire_form(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it has no labels.
    pub fn is_root(&self) -> bool {
        self.bytes.len() == 1
    }

    /// The last label, as it was sent; that of the root is empty.
    #[inline]
    pub fn last_label(&self) -> &'a [u8] {
        let start = usize::from(self.last) + 1;
        self.bytes.get(start..self.bytes.len() - 1).unwrap_or_default()
    }

    /// The labels from left to right, without the root's empty one.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut cursor = Cursor::new(self.bytes);
        core::iter::from_fn(move || {
            let length = cursor.u8()?;
            if length == 0 { None } else { cursor.take(usize::from(length)) }
        })
    }

    /// Writes the text to the front of `out` and returns its length; `None` when `out` is too short, which
    /// [`TEXT_MAX`] bytes never are.
    #[inline]
    pub fn write_text(&self, out: &mut [u8]) -> Option<usize> {
        self.write_plain_text(out).or_else(|| self.write_escaped_text(out))
    }

    /// Writes the text of a name that needs no escapes, else `None`.
    ///
    /// Such a text is the wire form without its first byte and with a dot for every later length byte, so
    /// the bytes are copied in one go and the dots set after. Then the special ones are counted: as many as
    /// there are labels means that they are our dots and nothing else. 255 fits the counter.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn write_plain_text(&self, out: &mut [u8]) -> Option<usize> {
        let (_, tail) = self.bytes.split_first()?;
        let (text, after) = out.split_at_mut_checked(tail.len())?;
        copy_short(text, tail);
        let (mut dots, mut at) = (0u8, usize::from(*self.bytes.first()?));
        while let Some(dot) = text.get_mut(at) {
            at += 1 + usize::from(core::mem::replace(dot, b'.'));
            dots += 1;
        }
        let length = text.len();
        // Filled up to whole words, which are counted without a loop over a rest of unknown length.
        let special = match after.first_chunk_mut() {
            Some(filling) => {
                *filling = [b'a'; 8];
                let words = out.as_chunks().0.get(..length.div_ceil(8))?;
                // Up to 32 in each byte; all of them are the topmost byte of the product.
                let counts =
                    words.iter().map(|word| special_bytes(u64::from_le_bytes(*word)) >> 7).sum::<u64>();
                (counts.wrapping_mul(EACH_BYTE) >> 56) as u8
            }
            None => text.iter().fold(0, |count: u8, byte| count + u8::from(!is_plain_in_label(*byte))),
        };
        (dots > 0 && special == dots).then_some(length)
    }

    /// Writes the text of any name, also of one that needs escapes.
    pub(crate) fn write_escaped_text(&self, out: &mut [u8]) -> Option<usize> {
        let mut composer = Composer::new(out);
        for label in self.labels() {
            label.iter().try_for_each(|byte| put_byte(&mut composer, *byte))?;
            composer.put(b".")?;
        }
        if self.is_root() {
            composer.put(b".")?;
        }
        Some(composer.written())
    }
}

/// Ones in each byte.
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// The top bit of each of eight bytes that is not its own text within a label, see [`is_plain_in_label`].
///
/// All eight are looked at in their seven lower bits, so that no carry reaches the neighbour: adding `0x80 -
/// 0x21` sets the top bit of what is printable, adding 1 that of 0x7f, and adding 0x7f to the difference to a
/// byte that of all others.
#[inline]
const fn special_bytes(bytes: u64) -> u64 {
    const LOW: u64 = 0x7f * EACH_BYTE;
    const fn other_than(low: u64, byte: u8) -> u64 {
        (low ^ (byte as u64 * EACH_BYTE)) + LOW
    }
    let low = bytes & LOW;
    let printable = (low + (0x80 - 0x21) * EACH_BYTE) & !(low + EACH_BYTE) & !bytes;
    let plain = printable & other_than(low, b'.') & other_than(low, b'\\') & other_than(low, b'"');
    !plain & !LOW
}

/// Whether a byte within a label is its own text.
#[inline]
const fn is_plain_in_label(byte: u8) -> bool {
    is_plain(byte) && byte != b'.'
}

/// Writes one byte of a label.
fn put_byte(composer: &mut Composer<'_>, byte: u8) -> Option<()> {
    match byte {
        b'.' | b'\\' | b'"' => composer.put(&[b'\\', byte]),
        _ if is_plain_in_label(byte) => composer.put(&[byte]),
        _ => composer.put(&escape(byte)),
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0; TEXT_MAX];
        let length = self.write_text(&mut out).ok_or(fmt::Error)?;
        let text = out.get(..length).ok_or(fmt::Error)?;
        f.pad(core::str::from_utf8(text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// Moves a cursor after a name without reading it; `None` when it is cut short or of no known kind.
/// Pointers are not followed.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(crate) fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        match cursor.u8()? {
            0 => return Some(()),
            length @ 1..=LABEL_MAX => cursor.take(usize::from(length))?,
            0xc0.. => return cursor.u8().map(|_| ()),
            _ => return None,
        };
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
