//! A frame with another identity.
//!
//! The other fields are copied as the octets they are, so a field of a newer schema survives, and so does the
//! way a number was written.

use super::cursor::{Composer, Cursor};
use super::dnstap::{Fields, tag};

/// Copies a data frame's payload to the front of `out` with `identity` instead of its own, and returns the
/// length. `None` when `out` is too short, or the frame is not made of fields.
///
/// The frame grows by at most the identity and 6 octets of tag and length.
pub fn replace_identity(frame: &[u8], identity: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut composer = Composer::new(out);
    composer.put_varint(u64::from(tag::IDENTITY))?;
    composer.put_varint(u64::try_from(identity.len()).ok()?)?;
    composer.put(identity)?;
    let mut fields = Fields::new(frame);
    loop {
        let before = fields.rest();
        let Some(tag) = fields.next_tag().ok()? else { return Some(composer.written()) };
        fields.skip(tag).ok()?;
        if tag != tag::IDENTITY {
            composer.put(Cursor::new(before).take(before.len() - fields.rest().len())?)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_changes() {
        // Unknown field 17, identity, message of one field, type in two octets, identity again.
        let frame = b"\x88\x01\x07\x0a\x01a\x72\x02\x08\x05\x78\x81\x00\x0a\x02bb";
        let mut out = [0; 64];
        let length = replace_identity(frame, b"new", &mut out).unwrap();
        assert_eq!(&out[..length], b"\x0a\x03new\x88\x01\x07\x72\x02\x08\x05\x78\x81\x00");
        for short in 0..length {
            assert_eq!(replace_identity(frame, b"new", &mut out[..short]), None);
        }
        assert_eq!(replace_identity(b"\x78\x01", b"", &mut out), Some(4));
        assert_eq!(&out[..4], b"\x0a\x00\x78\x01");
    }

    #[test]
    fn what_is_no_frame_is_not_copied() {
        let mut out = [0; 64];
        for frame in [&b"\x0a\x05a"[..], b"\x78", b"\x0b", b"\x00\x01"] {
            assert_eq!(replace_identity(frame, b"x", &mut out), None);
        }
    }
}
