//! A DNS message without the names in it: header and question, with another name, and of the rest what tells
//! of no name.
//!
//! ```text
//! header | new name, type, class | A, AAAA: pointer to the question, type, class, TTL, address | OPT: error codes, client subnet
//! ```
//!
//! Other records have names in their data, or are named after something else than the question; other
//! options, and the texts of errors, may have one as well. A message that cannot be read keeps its header.

use super::answers::Sections;
use super::cursor::{Composer, Cursor};
use super::dns::HEADER_BYTES;
use super::iana::{Class, RrType};
use super::name::{self, NAME_MAX, Name};

/// Bytes of such a message at most.
pub(crate) const HIDDEN_MESSAGE_BYTES: usize =
    HEADER_BYTES + NAME_MAX + 4 + ADDRESSES_KEPT * 28 + 11 + ERRORS_KEPT * 6 + 24;

/// Writes the message with another name in its question to the front of `out`, and returns the length; `None`
/// for the name is a message without a question that could be read.
pub(crate) fn compose(message: &[u8], name: Option<Name<'_>>, out: &mut [u8; HIDDEN_MESSAGE_BYTES]) -> usize {
    let Some((header, body)) = message.split_first_chunk::<HEADER_BYTES>() else {
        // Not even a header: there is no name in it.
        let length = message.len().min(HEADER_BYTES);
        out.iter_mut().zip(message).for_each(|(to, from)| *to = *from);
        return length;
    };
    let mut composer = Composer::new(out);
    let mut counts = [0u16; 4];
    let whole = compose_sections(message, header, body, name, &mut composer, &mut counts);
    let length = if whole.is_some() { composer.written() } else { HEADER_BYTES };
    if whole.is_none() {
        counts = [0; 4];
    }
    // The counts are known now.
    let counts = counts.iter().flat_map(|count| count.to_be_bytes());
    out.iter_mut().skip(4).zip(counts).for_each(|(place, byte)| *place = byte);
    length
}

fn compose_sections(
    message: &[u8],
    header: &[u8; HEADER_BYTES],
    body: &[u8],
    name: Option<Name<'_>>,
    out: &mut Composer<'_>,
    counts: &mut [u16; 4],
) -> Option<()> {
    out.put(header)?;
    let [questions, answers, _, additional] = counts;
    let Some(name) = name else { return Some(()) };
    let mut cursor = Cursor::new(body);
    name::skip(&mut cursor)?;
    out.put(name.wire_form())?;
    *questions = 1;
    // A message may end behind the name or the type.
    let Some(rest) = cursor.array::<4>() else { return out.put(cursor.rest()) };
    out.put(&rest)?;
    let Some(sections) = Sections::of(message) else { return Some(()) };
    let addresses =
        sections.answers().filter(|record| record.class == Class::IN && record.address().is_some());
    for record in addresses.take(ADDRESSES_KEPT) {
        out.put(&[0xc0, HEADER_BYTES as u8])?;
        put_fields(out, record.rr_type, record.class.0, record.ttl, record.data.len())?;
        out.put(record.data)?;
        *answers += 1;
    }
    if let Some(opt) = sections.opt() {
        let mut options = [0; ERRORS_KEPT * 6 + 24];
        let mut kept = Composer::new(&mut options);
        keep_options(opt.data, &mut kept);
        let length = kept.written();
        out.put(&[0])?;
        put_fields(out, opt.rr_type, opt.class.0, opt.ttl, length)?;
        out.put(options.get(..length)?)?;
        *additional = 1;
    }
    Some(())
}

fn put_fields(out: &mut Composer<'_>, rr_type: RrType, class: u16, ttl: u32, length: usize) -> Option<()> {
    out.put(&rr_type.0.to_be_bytes())?;
    out.put(&class.to_be_bytes())?;
    out.put(&ttl.to_be_bytes())?;
    out.put(&u16::try_from(length).ok()?.to_be_bytes())
}

/// Copies the options that have no name: client subnets, and the codes of errors; as far as there is room.
fn keep_options(options: &[u8], out: &mut Composer<'_>) -> Option<()> {
    let mut cursor = Cursor::new(options);
    loop {
        let (code, length) = (cursor.u16()?, cursor.u16()?);
        let data = cursor.take(usize::from(length))?;
        let kept = match code {
            CLIENT_SUBNET if data.len() <= SUBNET_BYTES => data,
            EXTENDED_ERROR => data.get(..2)?,
            _ => continue,
        };
        let mut option = [0; 4 + SUBNET_BYTES];
        let mut whole = Composer::new(&mut option);
        whole.put(&code.to_be_bytes())?;
        whole.put(&u16::try_from(kept.len()).ok()?.to_be_bytes())?;
        whole.put(kept)?;
        let length = whole.written();
        out.put(option.get(..length)?)?;
    }
}

/// Addresses that stay.
const ADDRESSES_KEPT: usize = 16;
/// Extended errors that stay.
const ERRORS_KEPT: usize = 4;
/// Bytes of the longest client subnet.
const SUBNET_BYTES: usize = 20;

/// Codes of the options.
const CLIENT_SUBNET: u16 = 8;
const EXTENDED_ERROR: u16 = 15;

#[cfg(test)]
mod tests {
    use super::super::dns::Summary;
    use super::super::edns::Edns;
    use super::*;
    use proptest::prelude::*;

    /// `secret.test. A`, with an alias, an address, a SOA record, and an OPT record with a subnet, an error
    /// and a cookie.
    const MESSAGE: &[u8] = b"\0\x07\x81\x80\0\x01\0\x02\0\x01\0\x01\x06secret\x04test\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x09\x06hidden\xc0\x13\x06hidden\xc0\x13\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01\
        \xc0\x13\0\x06\0\x01\0\0\0\x3c\0\x02\0\0\
        \0\0\x29\x04\xd0\x01\0\x80\0\0\x27\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x0f\0\x0c\0\x11secret.tes\0\x0a\0\x08abcdefgh";

    fn hidden(message: &[u8], name: Option<&[u8]>) -> Vec<u8> {
        let mut room = [0; HIDDEN_MESSAGE_BYTES];
        let length = compose(message, name.map(|name| Name::parse(name).unwrap().0), &mut room);
        room[..length].to_vec()
    }

    #[test]
    fn names_are_gone_and_the_rest_can_be_read() {
        let shown = hidden(MESSAGE, Some(b"\x01x\0"));
        let (whole, before) = (Summary::parse(&shown), Summary::parse(MESSAGE));
        assert_eq!(whole.question.unwrap().name.to_string(), "x.");
        assert_eq!(
            (whole.id, whole.flags, whole.rcode, whole.malformed),
            (before.id, before.flags, before.rcode, None)
        );
        let text = String::from_utf8_lossy(&shown);
        assert!(!text.contains("secret") && !text.contains("hidden") && !text.contains("abcdefgh"));
        let sections = Sections::of(&shown).unwrap();
        let record = sections.answers().next().unwrap();
        let mut room = [0; NAME_MAX];
        assert_eq!(
            (sections.answer_count, record.name(&mut room).unwrap().to_string()),
            (1, "x.".to_owned())
        );
        assert_eq!(record.address(), Some("192.0.2.1".parse().unwrap()));
        let edns = Edns::of(&shown).unwrap();
        assert_eq!(
            (edns.is_do, edns.errors().next().map(|error| (error.code, error.text))),
            (true, Some((17, &b""[..])))
        );
        assert!(edns.subnet().is_some() && edns.cookie().is_none());
    }

    proptest! {
        #[test]
        fn of_any_message_no_name_stays(
            end in 0..MESSAGE.len(),
            changes in proptest::collection::vec((0..MESSAGE.len(), any::<u8>()), 0..6),
        ) {
            let mut message = MESSAGE[..end].to_vec();
            for (at, byte) in changes {
                if let Some(place) = message.get_mut(at).filter(|_| at >= 4) {
                    *place = byte;
                }
            }
            let has_name = Summary::parse(&message).question.is_some();
            let shown = hidden(&message, has_name.then_some(&b"\x01x\0"[..]));
            prop_assert!(!String::from_utf8_lossy(&shown).contains("secret"));
        }
    }
}
