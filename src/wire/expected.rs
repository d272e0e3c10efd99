//! A message as servers write it: the shapes that nearly all of them have, read several fields at once.
//!
//! ```text
//!   08 TT 10 FF 18 PP                      type, family, transport: three tags and three small numbers, one word
//!   08 TT 18 PP 10 FF                      dnsdist and the Recursor have them in another order
//!   22 04 a a a a    or   22 10 a ... a    an address
//!   30 p (p (p))                           a port
//!   40 s s s s s 4d n n n n                seconds of the years 1978 to 2242 in five bytes, and nanoseconds
//! ```
//!
//! Each function takes what has exactly its shape off the front, and gives `None` for anything else: a field
//! that is missing, in another place or of another size, and what is wrong. Then the walker of
//! [`dnstap`](super::dnstap) reads on from there, as if it had read the fields before itself; so the shapes
//! decide how quickly a message is read and nothing else. That walker is their oracle.

use super::dnstap::SentTime;

/// Type, family and transport, and what follows.
#[inline]
pub(super) fn head(bytes: &[u8]) -> Option<([u32; 3], &[u8])> {
    /// Which bits of the six bytes are of the shape: the tags, and the top bits of the numbers, which must be
    /// clear.
    const MASK: u64 = u64::from_le_bytes([0xff, 0x80, 0xff, 0x80, 0xff, 0x80, 0, 0]);
    const IN_ORDER: u64 = u64::from_le_bytes([0x08, 0, 0x10, 0, 0x18, 0, 0, 0]);
    const TRANSPORT_FIRST: u64 = u64::from_le_bytes([0x08, 0, 0x18, 0, 0x10, 0, 0, 0]);
    // Eight bytes are one load, and no message is shorter.
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let number = |at: u32| (word >> (8 * at)) as u32 & 0x7f;
    let numbers = match word & MASK {
        IN_ORDER => [number(1), number(3), number(5)],
        TRANSPORT_FIRST => [number(1), number(5), number(3)],
        _ => return None,
    };
    Some((numbers, bytes.get(6..)?))
}

/// An address of that tag, and what follows.
#[inline]
pub(super) fn address(bytes: &[u8], tag: u32) -> Option<(&[u8], &[u8])> {
    match bytes {
        [first, length @ (4 | 16), rest @ ..] if u32::from(*first) == tag => {
            rest.split_at_checked(usize::from(*length))
        }
        _ => None,
    }
}

/// A port of that tag, of up to three bytes, and what follows.
#[inline]
pub(super) fn port(bytes: &[u8], tag: u32) -> Option<(u32, &[u8])> {
    match bytes {
        [first, a @ ..0x80, rest @ ..] if u32::from(*first) == tag => Some((u32::from(*a), rest)),
        [first, a, b @ ..0x80, rest @ ..] if u32::from(*first) == tag => {
            Some((u32::from(*a & 0x7f) | u32::from(*b) << 7, rest))
        }
        [first, a, b, c @ ..0x80, rest @ ..] if u32::from(*first) == tag => {
            Some((u32::from(*a & 0x7f) | u32::from(*b & 0x7f) << 7 | u32::from(*c) << 14, rest))
        }
        _ => None,
    }
}

/// A time of those two tags, and what follows.
#[inline]
pub(super) fn time(bytes: &[u8], [seconds_tag, nanoseconds_tag]: [u32; 2]) -> Option<(SentTime, &[u8])> {
    /// The tags, and the top bits of the seconds: set in the first four bytes, clear in the last.
    const MASK: u64 = u64::from_le_bytes([0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0xff, 0]);
    let (field, rest) = bytes.split_first_chunk::<11>()?;
    let word = u64::from_le_bytes(*field.first_chunk()?);
    let shape = u64::from(seconds_tag) | 0x80_8080_8000 | u64::from(nanoseconds_tag) << 48;
    if word & MASK != shape {
        return None;
    }
    // Groups of seven bits, pushed together: two to fourteen, two of those to twenty-eight, and the fifth on
    // top.
    let groups = word >> 8 & 0x7f_7f7f_7f7f;
    let pairs = groups & 0x7f_007f_007f | (groups & 0x7f00_7f00) >> 1;
    let seconds = pairs & 0x3fff | (pairs & 0x3fff_0000) >> 2 | (pairs & 0x7f_0000_0000) >> 4;
    let nanoseconds = u32::from_le_bytes(*field.last_chunk()?);
    Some((SentTime::new(seconds, nanoseconds), rest))
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Composer;
    use super::*;
    use proptest::prelude::*;

    /// A field with a number.
    fn varint_field(tag: u64, value: u64) -> Vec<u8> {
        let mut out = [0; 20];
        let mut composer = Composer::new(&mut out);
        composer.put_varint(tag).unwrap();
        composer.put_varint(value).unwrap();
        let length = composer.written();
        out[..length].to_vec()
    }

    #[test]
    fn heads_in_both_orders() {
        let rest = [1, 2];
        let check = |bytes: [u8; 6], expected| {
            assert_eq!(head(&[&bytes[..], &rest].concat()), expected);
        };
        check([8, 5, 16, 1, 24, 2], Some(([5, 1, 2], &rest[..])));
        check([8, 5, 24, 2, 16, 1], Some(([5, 1, 2], &rest[..])));
        check([8, 127, 16, 0, 24, 0], Some(([127, 0, 0], &rest[..])));
        check([8, 128, 16, 1, 24, 2], None);
        check([16, 1, 8, 5, 24, 2], None);
        assert_eq!(head(&[8, 5, 16, 1, 24, 2, 1]), None);
    }

    proptest! {
        #[test]
        fn ports_and_times_are_what_varints_are(port: u32, seconds: u64, bits in 0u32..64, nanoseconds: u32) {
            let port = port >> (bits / 2);
            let seconds = seconds >> bits;
            let field = varint_field(0x30, port.into());
            let expected = (field.len() <= 4).then_some((port, &[9u8][..]));
            let longer = [&field[..], &[9]].concat();
            prop_assert_eq!(super::port(&longer, 0x30), expected);
            prop_assert_eq!(super::port(&field, 0x38), None);
            let field = [varint_field(0x40, seconds), vec![0x4d], nanoseconds.to_le_bytes().to_vec()].concat();
            let expected = (1u64 << 28..1 << 35).contains(&seconds);
            let expected = expected.then_some((SentTime::new(seconds, nanoseconds), &[9u8][..]));
            let longer = [&field[..], &[9]].concat();
            prop_assert_eq!(time(&longer, [0x40, 0x4d]), expected);
            prop_assert_eq!(time(&field, [0x60, 0x6d]), None);
            for length in 0..field.len() {
                prop_assert_eq!(time(&field[..length], [0x40, 0x4d]), None);
            }
        }
    }
}
