//! EDNS client subnet options in a frame that is sent on: they tell, in place of the query address, of who
//! asked first.
//!
//! ```text
//! |code 8 |length |family |bits|scope| prefix, (bits + 7) / 8 bytes |
//!  2       2       2       1    1
//! ```
//!
//! Everything keeps its length, so the frame is changed in place. What of a message cannot be read, or is
//! after its end, may hide an option, too: it becomes zero. Too short for a header, a payload is none of DNS
//! and stays.
//!
//! RFC 1035, 4.1; RFC 6891, 6.1.2; RFC 7871, 6.

use core::ops::Range;

use super::cursor::Cursor;
use super::dnstap::{Fields, LENGTH, tag};
use super::name;

/// Hides a prefix in place; it gets the family and the bits of the option, too.
pub(crate) type HidePrefix<'h> = &'h dyn Fn(u16, u8, &mut [u8]);

/// Hides the prefix of every client subnet option in the queries and responses of a frame.
pub(crate) fn hide(frame: &mut [u8], hide: HidePrefix<'_>) {
    each_field(frame, &mut |tag, value| {
        if tag == tag::MESSAGE {
            each_field(value, &mut |tag, payload| {
                if matches!(tag, tag::QUERY_MESSAGE | tag::RESPONSE_MESSAGE) {
                    hide_in_payload(payload, hide);
                }
            });
        }
    });
}

/// Hands over every field of bytes.
fn each_field(message: &mut [u8], take: &mut dyn FnMut(u32, &mut [u8])) {
    let mut at = 0;
    while let Some((tag, value)) = field_at(message, at) {
        at = value.end;
        if tag & 0x07 == LENGTH
            && let Some(value) = message.get_mut(value)
        {
            take(tag, value);
        }
    }
}

/// The tag of the field that begins there, and where its bytes are; `None` after the last.
fn field_at(message: &[u8], at: usize) -> Option<(u32, Range<usize>)> {
    let mut fields = Fields::new(message.get(at..)?);
    let tag = fields.next_tag().ok()??;
    let value = fields;
    fields.skip(tag).ok()?;
    let end = message.len() - fields.rest().len();
    let length = if tag & 0x07 == LENGTH { { value }.bytes().ok()?.len() } else { 0 };
    Some((tag, end - length..end))
}

/// Hides the prefixes in one DNS message.
fn hide_in_payload(payload: &mut [u8], hide: HidePrefix<'_>) {
    let Some((mut at, records)) = header(payload) else { return };
    for _ in 0..records {
        let Some((record_type, rdata)) = record_at(payload, at) else { break };
        at = rdata.end;
        if record_type == OPT
            && let Some(options) = payload.get_mut(rdata)
        {
            hide_in_options(options, hide);
        }
    }
    payload.get_mut(at..).unwrap_or_default().fill(0);
}

/// Where the records begin, and how many there are; none if the questions cannot be read. `None` without a
/// header.
fn header(payload: &[u8]) -> Option<(usize, u32)> {
    let mut cursor = Cursor::new(payload);
    cursor.u32()?;
    let [questions, records @ ..] = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
    for _ in 0..questions {
        let before = cursor.len();
        if name::skip(&mut cursor).and_then(|()| cursor.u32()).is_none() {
            return Some((payload.len() - before, 0));
        }
    }
    Some((payload.len() - cursor.len(), records.iter().copied().map(u32::from).sum()))
}

/// The type of the record that begins there, and where its data is.
fn record_at(payload: &[u8], at: usize) -> Option<(u16, Range<usize>)> {
    let mut cursor = Cursor::new(payload.get(at..)?);
    name::skip(&mut cursor)?;
    let record_type = cursor.u16()?;
    // Class and time to live.
    cursor.u16()?;
    cursor.u32()?;
    let length = usize::from(cursor.u16()?);
    cursor.take(length)?;
    let end = payload.len() - cursor.len();
    Some((record_type, end - length..end))
}

/// Hides the prefixes in the data of an OPT record.
fn hide_in_options(options: &mut [u8], hide: HidePrefix<'_>) {
    let mut at = 0;
    while let Some((code, data)) = option_at(options, at) {
        at = data.end;
        let Some(data) = options.get_mut(data).filter(|_| code == CLIENT_SUBNET) else { continue };
        match data {
            [high, low, bits, _, prefix @ ..] => hide(u16::from_be_bytes([*high, *low]), *bits, prefix),
            _ => data.fill(0),
        }
    }
    options.get_mut(at..).unwrap_or_default().fill(0);
}

/// The code of the option that begins there, and where its data is.
fn option_at(options: &[u8], at: usize) -> Option<(u16, Range<usize>)> {
    let mut cursor = Cursor::new(options.get(at..)?);
    let code = cursor.u16()?;
    let length = usize::from(cursor.u16()?);
    cursor.take(length)?;
    let end = options.len() - cursor.len();
    Some((code, end - length..end))
}

/// The type of the record with EDNS options.
const OPT: u16 = 41;

/// The code of the option.
const CLIENT_SUBNET: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;

    /// A query of a name, a record of another type, an OPT with a cookie and a subnet.
    fn payload(options: &[u8]) -> Vec<u8> {
        let mut payload = b"\0\x01\x01\0\0\x01\0\x01\0\0\0\x01\x01a\0\0\x01\0\x01".to_vec();
        payload.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        payload.extend(b"\0\0\x29\x04\xd0\0\0\0\0");
        payload.extend((options.len() as u16).to_be_bytes());
        payload.extend(options);
        payload
    }

    const COOKIE: &[u8] = b"\0\x0a\0\x08abcdefgh";
    const SUBNET: &[u8] = b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02";

    fn hidden(payload: &[u8]) -> Vec<u8> {
        let mut payload = payload.to_vec();
        hide_in_payload(&mut payload, &|family, bits, prefix| {
            assert_eq!((family, bits), (1, 24));
            prefix.fill(9);
        });
        payload
    }

    #[test]
    fn a_subnet_changes_and_nothing_else() {
        let before = payload(&[COOKIE, SUBNET, COOKIE].concat());
        let expected = payload(&[COOKIE, &SUBNET[..8], &[9; 3], COOKIE].concat());
        assert_eq!(hidden(&before), expected);
        assert_eq!(hidden(&payload(&[])), payload(&[]), "without options");
        for short in 0..12 {
            assert_eq!(hidden(&before[..short]), before[..short], "no header");
        }
    }

    /// Cut short anywhere, it never shows a byte of the prefix.
    #[test]
    fn what_cannot_be_read_is_zero() {
        let before = payload(SUBNET);
        for short in 12..before.len() {
            let after = hidden(&before[..short]);
            assert_eq!(after.len(), short);
            // The record of the address ends at 35; the one with the options is whole at no length here.
            assert!(after[short.min(35)..].iter().all(|byte| *byte == 0), "{short}");
        }
        let trailing = [&payload(COOKIE)[..], SUBNET].concat();
        assert_eq!(hidden(&trailing), [&payload(COOKIE)[..], &[0; 11]].concat());
        assert_eq!(hidden(&payload(b"\0\x08\0\x02\0\x01")), payload(b"\0\x08\0\x02\0\0"), "no family");
        assert_eq!(hidden(&payload(&SUBNET[..10])), payload(&[0; 10]), "longer than the record");
    }

    #[test]
    fn both_messages_of_a_frame_change() {
        let (query, response) = (payload(SUBNET), payload(&[COOKIE, SUBNET].concat()));
        let message = Message {
            message_type: MessageType::CLIENT_RESPONSE,
            query_message: Some(&query),
            query_zone: Some(&query),
            response_message: Some(&response),
            ..Message::default()
        };
        let dnstap = Dnstap { identity: Some(SUBNET), message, ..Dnstap::default() };
        let mut frame = [0; 512];
        let length = dnstap.compose(&mut frame).unwrap();
        hide(&mut frame[..length], &|_, _, prefix| prefix.fill(9));
        let (query_after, response_after) = (hidden(&query), hidden(&response));
        assert_ne!(query, query_after);
        let message =
            Message { query_message: Some(&query_after), response_message: Some(&response_after), ..message };
        assert_eq!(Dnstap::parse(&frame[..length]), Ok(Dnstap { message, ..dnstap }));
    }
}
