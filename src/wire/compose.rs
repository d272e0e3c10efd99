//! A dnstap message into the payload of a data frame, and a frame with another identity.
//!
//! [`Dnstap::compose`] is for messages we make ourselves, such as the sniffer's: micropb writes them, by the
//! schema, from the bytes they borrow. [`replace_identity`] is for those of others: the fields are copied
//! as the bytes they are, so one of a newer schema survives, and so does the way a number was written.

use super::cursor::{Composer, Cursor};
use super::dnstap::{Dnstap, Fields, Message, Policy, tag};
use super::generated::dnstap_ as schema;
use micropb::{MessageEncode, PbEncoder};

impl Dnstap<'_> {
    /// Writes the payload of a data frame to the front of `out` and returns its length; `None` when `out`
    /// is too short.
    pub fn compose(&self, out: &mut [u8]) -> Option<usize> {
        let dnstap = schema::Dnstap {
            identity: self.identity,
            version: self.version,
            extra: self.extra,
            r#type: Some(schema::Dnstap_::Type::Message),
            message: Some(message(&self.message)),
        };
        let room = out.len();
        let mut rest = out;
        dnstap.encode(&mut PbEncoder::new(&mut rest)).ok()?;
        Some(room - rest.len())
    }
}

/// The message as the schema has it.
fn message<'a>(message: &Message<'a>) -> schema::Message<'a> {
    schema::Message {
        r#type: Some(schema::Message_::Type(message.message_type.0)),
        socket_family: message.socket_family.map(|family| schema::SocketFamily(family.0)),
        socket_protocol: message.socket_protocol.map(|protocol| schema::SocketProtocol(protocol.0)),
        query_address: message.query_address,
        response_address: message.response_address,
        query_port: message.query_port,
        response_port: message.response_port,
        query_time_sec: message.query_time.seconds,
        query_time_nsec: message.query_time.nanoseconds,
        query_message: message.query_message,
        query_zone: message.query_zone,
        response_time_sec: message.response_time.seconds,
        response_time_nsec: message.response_time.nanoseconds,
        response_message: message.response_message,
        policy: message.policy.as_ref().map(policy),
        http_protocol: message.http_protocol.map(|protocol| schema::HttpProtocol(protocol.0)),
    }
}

/// The policy as the schema has it.
fn policy<'a>(policy: &Policy<'a>) -> schema::Policy<'a> {
    schema::Policy {
        r#type: policy.policy_type,
        rule: policy.rule,
        action: policy.action.map(schema::Policy_::Action),
        r#match: policy.matched.map(schema::Policy_::Match),
        value: policy.value,
    }
}

/// Copies a data frame's payload to the front of `out` with `identity` instead of its own, and returns the
/// length. `None` when `out` is too short, or the frame is not made of fields.
///
/// The frame grows by at most the identity and 6 bytes of tag and length.
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
    use super::super::dnstap::Time;
    use super::super::iana::{Family, HttpProtocol, MessageType, Protocol};
    use super::*;

    #[test]
    fn what_is_composed_is_parsed_again() {
        let policy = Policy {
            policy_type: Some(b"RPZ\xff"),
            rule: Some(b"\0"),
            action: Some(1),
            matched: Some(u32::MAX),
            value: Some(b""),
        };
        let message = Message {
            message_type: MessageType(99),
            socket_family: Some(Family::INET6),
            socket_protocol: Some(Protocol(300)),
            query_address: Some(&[1; 16]),
            response_address: Some(&[2; 16]),
            query_port: Some(65535),
            response_port: Some(0),
            query_time: Time::new(u64::MAX, u32::MAX),
            query_message: Some(b"query"),
            query_zone: Some(b"\0"),
            response_time: Time { seconds: None, nanoseconds: Some(1) },
            response_message: Some(&[3; 300]),
            policy: Some(policy),
            http_protocol: Some(HttpProtocol(3)),
        };
        let full = Dnstap { identity: Some(b"id"), version: Some(b""), extra: Some(b"\xff"), message };
        let bare = Dnstap {
            message: Message { message_type: MessageType(1), ..Message::default() },
            ..Dnstap::default()
        };
        for dnstap in [full, bare] {
            let mut out = [0; 600];
            let length = dnstap.compose(&mut out).unwrap();
            assert_eq!(Dnstap::parse(&out[..length]), Ok(dnstap));
            for short in 0..length {
                assert_eq!(dnstap.compose(&mut out[..short]), None);
            }
        }
        let mut out = [0; 8];
        let length = bare.compose(&mut out).unwrap();
        assert_eq!(&out[..length], b"\x78\x01\x72\x02\x08\x01");
    }

    #[test]
    fn only_the_identity_changes() {
        // Unknown field 17, identity, message of one field, type in two bytes, identity again.
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
