//! Domain names: in wire form, and on to text.
//!
//! ```text
//!   07 e x a m p l e 03 c o m 00        13 octets of wire form
//!      e x a m p l e  . c o m  .        12 octets of text
//! ```
//!
//! A name is borrowed from the message it stands in. Only the first question's is read, and before that stands
//! nothing but the header, so a pointer (RFC 1035, 4.1.4) has no name to point at: it is refused, and loops do
//! not exist. Labels have 1 to 63 octets of any value, a name at most 255 with its length octets and the root
//! (RFC 1035, 2.3.4); the two other label types are refused.
//!
//! The text follows RFC 1035, 5.1, so strictly that no octet of a stranger can end a line or a field: octets
//! 0x21 to 0x7e stand for themselves, except that a dot within a label, a backslash and a double quote get a
//! backslash before them; every other octet is `\DDD`. Case is kept. The final dot is always there, and
//! the root is `.`.

use super::cursor::{Composer, Cursor};
use super::text::{escape, is_plain};
use core::fmt;
use core::hash::Hasher;

/// The most octets a name has in wire form.
pub const NAME_MAX: usize = 255;

/// The most octets the text of a name takes: four labels fill 255 octets with 250 that may each become
/// four, and four dots.
pub const TEXT_MAX: usize = 1004;

/// The most octets a label has.
const LABEL_MAX: u8 = 63;

/// A domain name in uncompressed wire form. `1 <= octets <= NAME_MAX`, and the last one is the root's 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    octets: &'a [u8],
    /// Where the last label begins, with its length octet; 0 in the root, too.
    last: u8,
}

/// Why there is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The message ends first.
    Truncated,
    /// A label of a type other than plain (0x00) and pointer (0xc0).
    LabelType,
    /// A pointer, where there is nothing to point at.
    Pointer,
    /// More than [`NAME_MAX`] octets.
    TooLong,
}

impl<'a> Name<'a> {
    /// The root: no labels.
    pub const ROOT: Name<'static> = Name { octets: &[0], last: 0 };

    /// Reads the name at the front of `octets`, and returns it with what stands behind it.
    ///
    /// # Errors
    ///
    /// [`NameError`], for the first thing that is wrong.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<(Name<'a>, &'a [u8]), NameError> {
        let (mut end, mut last) = (0, 0);
        loop {
            match octets.get(end).copied().ok_or(NameError::Truncated)? {
                0 => break,
                length @ 1..=LABEL_MAX => (last, end) = (end, end + 1 + usize::from(length)),
                0xc0.. => return Err(NameError::Pointer),
                _ => return Err(NameError::LabelType),
            }
        }
        let (octets, rest) = octets.split_at_checked(end + 1).ok_or(NameError::Truncated)?;
        if octets.len() > NAME_MAX {
            return Err(NameError::TooLong);
        }
        Ok((Name { octets, last: last as u8 }, rest)) // below `NAME_MAX`
    }

    /// The name in wire form, with the root's 0 at the end.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Whether it has no labels.
    pub fn is_root(&self) -> bool {
        self.octets.len() == 1
    }

    /// The last label, as it was sent; that of the root is empty.
    #[inline]
    pub fn last_label(&self) -> &'a [u8] {
        let start = usize::from(self.last) + 1;
        self.octets.get(start..self.octets.len() - 1).unwrap_or_default()
    }

    /// The [`label_end`] of the last label.
    #[inline]
    pub fn last_label_end(&self) -> u64 {
        let labels = self.octets.split_last().map_or(&[][..], |(_, labels)| labels);
        label_end_behind(labels, self.last_label().len())
    }

    /// The labels from left to right, without the root's empty one.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut cursor = Cursor::new(self.octets);
        core::iter::from_fn(move || {
            let length = cursor.u8()?;
            if length == 0 { None } else { cursor.take(usize::from(length)) }
        })
    }

    /// Gives the name in wire form to a hasher, with its letters in lower case. Length octets go through the same
    /// folding as the rest and come out as they are: at most 63, they are below `A`.
    #[inline]
    pub fn hash_folded(&self, hasher: &mut impl Hasher) {
        let mut write = |octets: [u8; 16]| {
            let both = u128::from_le_bytes(octets);
            hasher.write_u128(
                u128::from(fold_case((both >> 64) as u64)) << 64 | u128::from(fold_case(both as u64)),
            );
        };
        // Some octets twice, which is quicker than to count them: nearly all names have 8 to 32.
        let (chunks, rest) = self.octets.as_chunks();
        match (chunks, self.octets.last_chunk(), self.octets.first_chunk(), self.octets.last_chunk()) {
            ([first, more @ ..], Some(last), _, _) => {
                write(*first);
                more.iter().for_each(|chunk| write(*chunk));
                write(*last);
            }
            (_, _, Some(first), Some(last)) => {
                let both =
                    u128::from(u64::from_le_bytes(*last)) << 64 | u128::from(u64::from_le_bytes(*first));
                write(both.to_le_bytes());
            }
            _ => {
                let mut chunk = [0; 16];
                chunk.iter_mut().zip(rest).for_each(|(place, octet)| *place = *octet);
                write(chunk);
            }
        }
        hasher.write_usize(self.octets.len());
    }

    /// Writes the text to the front of `out` and returns its length; `None` when `out` is too short, which
    /// [`TEXT_MAX`] octets never are.
    #[inline]
    pub fn write_text(&self, out: &mut [u8]) -> Option<usize> {
        self.write_plain_text(out).or_else(|| self.write_escaped_text(out))
    }

    /// Writes the text of a name that needs no escapes, else `None`.
    ///
    /// Such a text is the wire form without its first octet and with a dot for every later length octet, so
    /// the octets are copied in one go and the dots set after. Then the special ones are counted: as many as
    /// there are labels means that they are our dots and nothing else. 255 fits the counter.
    #[inline]
    fn write_plain_text(&self, out: &mut [u8]) -> Option<usize> {
        let (_, tail) = self.octets.split_first()?;
        let (text, _) = out.split_at_mut_checked(tail.len())?;
        text.copy_from_slice(tail);
        let mut dots = 0u8;
        let mut rest = &mut *text;
        let mut label = self.octets.first().copied()?;
        while label > 0 {
            let (dot, after) = rest.split_at_mut_checked(usize::from(label))?.1.split_first_mut()?;
            label = core::mem::replace(dot, b'.');
            dots += 1;
            rest = after;
        }
        let special = |count: u8, octet: &u8| count.wrapping_add(u8::from(!is_plain_in_label(*octet)));
        let plain = dots > 0 && text.iter().fold(0, special) == dots;
        plain.then_some(text.len())
    }

    /// Writes the text of any name.
    fn write_escaped_text(&self, out: &mut [u8]) -> Option<usize> {
        let mut composer = Composer::new(out);
        for label in self.labels() {
            label.iter().try_for_each(|octet| put_octet(&mut composer, *octet))?;
            composer.put(b".")?;
        }
        if self.is_root() {
            composer.put(b".")?;
        }
        Some(composer.written())
    }
}

/// Octets in a [`label_end`].
pub const END_BYTES: usize = 8;

/// The last eight octets of a label as a number, the last one highest; of a shorter label all of it.
pub const fn label_end(label: &[u8]) -> u64 {
    let (mut end, mut rest, mut octets) = (0, label, 0);
    while let Some((&octet, before)) = rest.split_last()
        && octets < END_BYTES
    {
        end = end << 8 | octet as u64;
        (rest, octets) = (before, octets + 1);
    }
    end
}

/// The [`label_end`] of a label of that length, with which some octets end.
#[inline]
pub fn label_end_behind(octets: &[u8], length: usize) -> u64 {
    match octets.last_chunk() {
        // What stands before a short label is shifted out, which is quicker than to copy so many octets.
        Some(end) if length > 0 => u64::from_le_bytes(*end) >> (8 * (END_BYTES - length.min(END_BYTES))),
        _ => label_end(octets.get(octets.len().saturating_sub(length)..).unwrap_or_default()),
    }
}

/// Eight octets with their letters in lower case.
#[inline]
pub const fn fold_case(octets: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let rest = octets & (0x7f * EACH);
    let from_a = rest + (0x80 - b'A' as u64) * EACH;
    let behind_z = rest + (0x7f - b'Z' as u64) * EACH;
    octets | (from_a & !behind_z & !octets & (0x80 * EACH)) >> 2
}

/// Whether an octet within a label is its own text.
#[inline]
const fn is_plain_in_label(octet: u8) -> bool {
    is_plain(octet) && octet != b'.'
}

/// Writes one octet of a label.
fn put_octet(composer: &mut Composer<'_>, octet: u8) -> Option<()> {
    match octet {
        b'.' | b'\\' | b'"' => composer.put(&[b'\\', octet]),
        _ if is_plain_in_label(octet) => composer.put(&[octet]),
        _ => composer.put(&escape(octet)),
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

impl NameError {
    /// The error as a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            NameError::Truncated => "name_truncated",
            NameError::LabelType => "name_label_type",
            NameError::Pointer => "name_pointer",
            NameError::TooLong => "name_too_long",
        }
    }
}

/// Moves a cursor behind a name without reading it; `None` when it is cut short or of no known kind.
/// Pointers are not followed.
#[inline]
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
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
