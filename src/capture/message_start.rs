//! Whether a stream of DNS over TCP may be read from here on.
//!
//! After a hole, and in a connection that was there before us, nobody says where a message begins: there is a
//! length of two bytes before each and nothing else. What lies there by chance is a length, too, so much more
//! has to fit:
//!
//! ```text
//! | length 2 | ID | flags | 1 question | that many records | qname, no pointer | type | a class that exists |
//! ```
//!
//! and if the message is whole, the same of what comes after it. A message with another number of questions
//! (the later ones of a zone transfer) is not recognised: one that is missed is a gap that is counted, one
//! that is made up is a lie.

use crate::wire::cursor::Cursor;
use crate::wire::name::{Name, NameError};

/// The meaning of some bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A message begins here.
    Message,
    /// No message begins here.
    Other,
    /// Too few bytes to say.
    Undecided,
}

/// Bytes of a DNS header.
const HEADER_BYTES: usize = 12;

/// Bytes of a question at least: the root, type and class.
const QUESTION_BYTES: usize = 5;

/// Bytes of a record at least: the root, type, class, TTL and a length of 0.
const RECORD_BYTES: usize = 11;

impl Start {
    /// Looks at bytes of a stream, up to where something is missing.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut rest = Cursor::new(bytes);
        let mut is_message = false;
        loop {
            match Start::of_one(&mut rest) {
                // Whole; at the end of the bytes that is all there is to see.
                Start::Message if rest.is_empty() => return Start::Message,
                Start::Message => is_message = true,
                Start::Undecided if is_message => return Start::Message,
                other => return other,
            }
        }
    }

    /// Looks at one message, and steps over it; over all that is left when it is not whole.
    #[cfg_attr(for_size, optimize(speed))]
    fn of_one(rest: &mut Cursor<'_>) -> Self {
        let Some(length) = rest.u16().map(usize::from) else { return Start::Undecided };
        if length < HEADER_BYTES + QUESTION_BYTES {
            return Start::Other;
        }
        let message = rest.take(rest.len().min(length)).unwrap_or_default();
        let mut cursor = Cursor::new(message);
        let header = cursor.array::<HEADER_BYTES>();
        let may_be = match (header, message) {
            (Some(header), _) => is_header(header, length),
            // The beginning of one: an opcode is there or not.
            (None, [_, _, flags, ..]) => has_opcode(*flags),
            (None, _) => true,
        };
        if !may_be {
            return Start::Other;
        }
        if header.is_none() {
            return Start::Undecided;
        }
        match Name::parse(cursor.rest()) {
            Ok((_, [_, _, class @ ..])) => match class {
                // IN, CH, HS, NONE, ANY (RFC 6895, 3.2).
                [0, 1 | 3 | 4 | 254 | 255, ..] => Start::Message,
                [] | [0] if message.len() < length => Start::Undecided,
                _ => Start::Other,
            },
            Ok(_) | Err(NameError::Truncated) if message.len() < length => Start::Undecided,
            _ => Start::Other,
        }
    }
}

/// Whether this is the header of a message of that length, with one question.
fn is_header(
    [_, _, flags, _, qd1, qd0, an1, an0, ns1, ns0, ar1, ar0]: [u8; HEADER_BYTES],
    length: usize,
) -> bool {
    let records: usize =
        [[an1, an0], [ns1, ns0], [ar1, ar0]].map(|count| usize::from(u16::from_be_bytes(count))).iter().sum();
    let least = HEADER_BYTES + QUESTION_BYTES + RECORD_BYTES * records;
    has_opcode(flags) && (qd1, qd0) == (0, 1) && least <= length
}

/// Whether the upper half of the flags has an opcode that is in use: QUERY, STATUS, NOTIFY or UPDATE.
fn has_opcode(flags: u8) -> bool {
    matches!(flags >> 3 & 0x0f, 0 | 2 | 4 | 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length, ID, flags RD, one question, an OPT record; `www.a.` A IN.
    const QUERY: &[u8] =
        b"\0\x22\xaa\xbb\x01\0\0\x01\0\0\0\0\0\x01\x03www\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn every_prefix_of_messages_may_be_one() {
        let two = [QUERY, QUERY].concat();
        for length in 0..two.len() {
            let expected = if length >= 2 + 12 + 7 + 4 { Start::Message } else { Start::Undecided };
            assert_eq!(Start::of(&two[..length]), expected, "{length}");
        }
    }

    #[test]
    fn what_begins_in_the_middle_is_none() {
        let two = [QUERY, QUERY].concat();
        for from in 1..QUERY.len() {
            assert_eq!(Start::of(&two[from..]), Start::Other, "{from}");
        }
    }

    #[test]
    fn each_part_has_to_fit() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = QUERY.to_vec();
            bytes[at] = byte;
            Start::of(&bytes)
        };
        assert_eq!(changed(1, 0x10), Start::Other, "a length below a question's");
        assert_eq!(changed(1, 0x30), Start::Message, "a length beyond the bytes");
        assert_eq!(changed(4, 0x19), Start::Other, "opcode 3");
        assert_eq!(changed(4, 0x29), Start::Message, "opcode 5, an update");
        assert_eq!(changed(7, 2), Start::Other, "two questions");
        assert_eq!(changed(9, 9), Start::Other, "more records than there is room for");
        assert_eq!(changed(14, 0xc0), Start::Other, "a qname with a pointer");
        assert_eq!(changed(24, 9), Start::Other, "a class that does not exist");
    }
}
