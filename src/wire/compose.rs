//! A dnstap message into the payload of a data frame, and a frame with some fields changed.
//!
//! [`Dnstap::compose`] writes any message: micropb does it, by the schema, from the bytes they borrow.
//! [`PacketMessage`] is what the sniffer knows of a message; it is written by hand, field by field in the
//! order of their numbers, a few million times an hour, and micropb is its oracle. [`rewrite`] is for those
//! of others: the fields are copied as the bytes they are, so one of a newer schema survives, and so does the
//! way a number was written.

use super::cursor::{Composer, Cursor};
use super::dnstap::{Dnstap, Fields, Message, Policy, SentTime, tag};
use super::generated::dnstap_ as schema;
use super::iana::{Family, MessageType, Protocol};
use core::net::IpAddr;
use micropb::{MessageEncode, PbEncoder};

impl Dnstap<'_> {
    /// Writes the payload of a data frame to the front of `out` and returns its length; `None` when `out`
    /// is too short.
    #[cfg_attr(for_size, optimize(speed))]
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

/// A message that was made of a packet: what is known of every one of them, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketMessage<'a> {
    /// Of the sniffer.
    pub(crate) identity: &'a [u8],
    /// Who spoke to whom.
    pub(crate) message_type: MessageType,
    /// How.
    pub(crate) protocol: Protocol,
    /// Who asks.
    pub(crate) query: (IpAddr, u16),
    /// Who answers; of the same family.
    pub(crate) response: (IpAddr, u16),
    /// When, if that is known.
    pub(crate) time: SentTime,
    /// The DNS message.
    pub(crate) payload: &'a [u8],
}

/// Bytes before the payload in a message, at most: three numbers, two addresses, two ports, a time, and the
/// payload's length.
const PACKET_HEAD_BYTES: usize = 3 * 2 + 2 * 18 + 2 * 4 + 11 + 5 + 6;

impl PacketMessage<'_> {
    /// Writes the payload of a data frame to the front of `out` and returns its length; `None` when `out`
    /// is too short.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn compose(&self, out: &mut [u8]) -> Option<usize> {
        let mut head = [0; PACKET_HEAD_BYTES];
        let mut composer = Composer::new(&mut head);
        self.compose_head(&mut composer)?;
        let head_bytes = composer.written();
        let head = Cursor::new(&head).take(head_bytes)?;
        let mut composer = Composer::new(out);
        composer.put(&[tag::IDENTITY as u8])?;
        composer.put_varint(self.identity.len() as u64)?;
        composer.put(self.identity)?;
        composer.put(&[tag::MESSAGE as u8])?;
        composer.put_varint((head.len() + self.payload.len()) as u64)?;
        composer.put(head)?;
        composer.put(self.payload)?;
        composer.put(&[tag::TYPE as u8, 1])?;
        Some(composer.written())
    }

    /// Writes the fields before the payload, and its tag and length.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn compose_head(&self, composer: &mut Composer<'_>) -> Option<()> {
        // All three are below 128, as those of the schema are, so that each is its own varint.
        let family = if self.query.0.is_ipv4() { Family::INET } else { Family::INET6 };
        composer.put(&[
            tag::MESSAGE_TYPE as u8,
            self.message_type.0 as u8 & 0x7f,
            tag::SOCKET_FAMILY as u8,
            family.0 as u8 & 0x7f,
            tag::SOCKET_PROTOCOL as u8,
            self.protocol.0 as u8 & 0x7f,
        ])?;
        for (tag, (address, _)) in [(tag::QUERY_ADDRESS, self.query), (tag::RESPONSE_ADDRESS, self.response)]
        {
            match address {
                IpAddr::V4(address) => {
                    let [a, b, c, d] = address.octets();
                    composer.put(&[tag as u8, 4, a, b, c, d])?;
                }
                IpAddr::V6(address) => {
                    composer.put(&[tag as u8, 16])?;
                    composer.put(&address.octets())?;
                }
            }
        }
        for (tag, (_, port)) in [(tag::QUERY_PORT, self.query), (tag::RESPONSE_PORT, self.response)] {
            composer.put(&[tag as u8])?;
            composer.put_varint(port.into())?;
        }
        let is_response = self.message_type.is_response();
        let [seconds, nanoseconds, payload] = if is_response {
            [tag::RESPONSE_TIME_SEC, tag::RESPONSE_TIME_NSEC, tag::RESPONSE_MESSAGE]
        } else {
            [tag::QUERY_TIME_SEC, tag::QUERY_TIME_NSEC, tag::QUERY_MESSAGE]
        };
        if let Some((whole, part)) = self.time.parts() {
            composer.put(&[seconds as u8])?;
            composer.put_varint(whole)?;
            let [a, b, c, d] = part.to_le_bytes();
            composer.put(&[nanoseconds as u8, a, b, c, d])?;
        }
        composer.put(&[payload as u8])?;
        composer.put_varint(self.payload.len() as u64)
    }
}

/// Changes to a frame that is sent on. `None` leaves a field as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameChanges<'a> {
    /// Another identity, also where there was none.
    pub identity: Option<&'a [u8]>,
    /// Another query address, in 4 or 16 bytes, or none, wherever the message has one.
    pub query_address: Option<&'a [u8]>,
    /// A policy that matched the address of a client, or does not say what it matched, keeps neither its
    /// rule nor its value: they may have the address, too.
    pub hides_clients: bool,
    /// Another DNS message, without the names that the old one has; whether it is the response, not the
    /// query. The other one of the two, the zone, and rule and value of a policy are left out.
    pub payload: Option<(bool, &'a [u8])>,
}

/// Copies a data frame's payload to the front of `out` with some fields changed, and returns the length.
/// `None` when `out` is too short, or the frame is not made of fields.
///
/// The frame grows by at most the new value and 6 bytes of tag and length for each field that is replaced.
pub fn rewrite(frame: &[u8], changes: &FrameChanges<'_>, out: &mut [u8]) -> Option<usize> {
    let mut composer = Composer::new(out);
    if let Some(identity) = changes.identity {
        put_field(&mut composer, tag::IDENTITY, identity)?;
    }
    let mut fields = Fields::new(frame);
    loop {
        let before = fields.rest();
        let Some(tag) = fields.next_tag().ok()? else { return Some(composer.written()) };
        let value = fields;
        fields.skip(tag).ok()?;
        match tag {
            tag::IDENTITY if changes.identity.is_some() => {}
            tag::MESSAGE
                if changes.query_address.is_some() || changes.hides_clients || changes.payload.is_some() =>
            {
                let message = { value }.bytes().ok()?;
                composer.put_varint(tag.into())?;
                composer.put_varint(u64::try_from(changed(message, changes, None)?).ok()?)?;
                changed(message, changes, Some(&mut composer))?;
            }
            _ => composer.put(between(before, fields.rest())?)?,
        }
    }
}

/// Copies a message with its changes, and returns its length. It is called twice, first without a composer:
/// the length comes before the message, and takes more or fewer bytes itself.
fn changed(message: &[u8], changes: &FrameChanges<'_>, mut out: Option<&mut Composer<'_>>) -> Option<usize> {
    let (mut fields, mut length) = (Fields::new(message), 0);
    loop {
        let before = fields.rest();
        let Some(tag) = fields.next_tag().ok()? else { return Some(length) };
        let value = fields;
        fields.skip(tag).ok()?;
        let policy = if tag == tag::POLICY { { value }.bytes().ok() } else { None };
        let hides_policy =
            |policy: &&[u8]| changes.payload.is_some() || changes.hides_clients && is_of_client(policy);
        let replaced = match (tag, changes.payload) {
            (tag::QUERY_ADDRESS, _) => changes.query_address,
            (tag::QUERY_MESSAGE, Some((false, payload))) | (tag::RESPONSE_MESSAGE, Some((true, payload))) => {
                Some(payload)
            }
            (tag::QUERY_MESSAGE | tag::RESPONSE_MESSAGE | tag::QUERY_ZONE, Some(_)) => continue,
            _ => None,
        };
        if let Some(value) = replaced {
            // The tags of these fields take one byte.
            length += 1 + varint_bytes(value.len()) + value.len();
            if let Some(out) = &mut out {
                put_field(out, tag, value)?;
            }
        } else if let Some(policy) = policy.filter(hides_policy) {
            let policy_length = without_client(policy, None)?;
            length += 1 + varint_bytes(policy_length) + policy_length;
            if let Some(out) = &mut out {
                out.put_varint(tag.into())?;
                out.put_varint(u64::try_from(policy_length).ok()?)?;
                without_client(policy, Some(out))?;
            }
        } else {
            let field = between(before, fields.rest())?;
            length += field.len();
            if let Some(out) = &mut out {
                out.put(field)?;
            }
        }
    }
}

/// Whether a policy matched the address of a client, as far as it says.
fn is_of_client(policy: &[u8]) -> bool {
    let mut fields = Fields::new(policy);
    let mut is_of_client = true;
    while let Ok(Some(tag)) = fields.next_tag() {
        let before = fields.rest();
        if fields.skip(tag).is_err() {
            break;
        }
        if tag == tag::POLICY_MATCH {
            is_of_client = Cursor::new(before).varint().is_ok_and(|matched| matched as u32 == CLIENT_IP);
        }
    }
    is_of_client
}

/// Copies a policy without rule and value, and returns its length; called twice, as [`changed`] is.
fn without_client(policy: &[u8], mut out: Option<&mut Composer<'_>>) -> Option<usize> {
    let (mut fields, mut length) = (Fields::new(policy), 0);
    loop {
        let before = fields.rest();
        let Some(tag) = fields.next_tag().ok()? else { return Some(length) };
        fields.skip(tag).ok()?;
        if !matches!(tag, tag::POLICY_RULE | tag::POLICY_VALUE) {
            let field = between(before, fields.rest())?;
            length += field.len();
            if let Some(out) = &mut out {
                out.put(field)?;
            }
        }
    }
}

/// `Policy.Match` of the schema: the address of who asked.
const CLIENT_IP: u32 = 2;

/// Bytes of a number as a varint.
fn varint_bytes(number: usize) -> usize {
    1 + number.checked_ilog2().map_or(0, |log| log as usize / 7)
}

/// Writes a field of bytes.
fn put_field(composer: &mut Composer<'_>, tag: u32, value: &[u8]) -> Option<()> {
    composer.put_varint(tag.into())?;
    composer.put_varint(u64::try_from(value.len()).ok()?)?;
    composer.put(value)
}

/// The bytes of `before` up to where `rest`, its end, begins.
fn between<'a>(before: &'a [u8], rest: &[u8]) -> Option<&'a [u8]> {
    Cursor::new(before).take(before.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::super::iana::HttpProtocol;
    use super::*;

    #[test]
    fn a_packets_message_is_what_micropb_makes_of_it() {
        let v4 = |port| (IpAddr::from([192, 0, 2, 1]), port);
        let v6 = |port| (IpAddr::from([1, 2, 3, 4, 5, 6, 7, 8]), port);
        let parsed = |bytes: &[u8]| Dnstap::parse(bytes).map(|dnstap| format!("{dnstap:?}")).unwrap();
        for (message_type, ends, time, length) in [
            (MessageType::CLIENT_QUERY, [v4(53), v4(65_535)], SentTime::new(1_700_000_000, 999_999_999), 12),
            (MessageType::CLIENT_RESPONSE, [v6(0), v6(127)], SentTime::new(u64::MAX, 0), 300),
            (MessageType::RESOLVER_QUERY, [v4(128), v4(16_384)], SentTime::default(), 65_535),
            (MessageType::FORWARDER_RESPONSE, [v6(1), v6(53)], SentTime::new(0, 5), 0),
        ] {
            let payload = vec![7; length];
            let [query, response] = ends;
            let message = PacketMessage {
                identity: b"sniffer",
                message_type,
                protocol: Protocol::TCP,
                query,
                response,
                time,
                payload: &payload,
            };
            let bytes = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let (query_address, response_address) = (bytes(query.0), bytes(response.0));
            let (mut full, payload) = (Message::default(), Some(&payload[..]));
            full.message_type = message_type;
            full.socket_family = Some(if query.0.is_ipv4() { Family::INET } else { Family::INET6 });
            full.socket_protocol = Some(Protocol::TCP);
            (full.query_address, full.response_address) =
                (Some(&query_address[..]), Some(&response_address[..]));
            (full.query_port, full.response_port) = (Some(query.1.into()), Some(response.1.into()));
            if message_type.is_response() {
                (full.response_time, full.response_message) = (time, payload);
            } else {
                (full.query_time, full.query_message) = (time, payload);
            }
            let dnstap = Dnstap { identity: Some(b"sniffer"), message: full, ..Dnstap::default() };
            let (mut one, mut other) = (vec![0; 70_000], vec![0; 70_000]);
            let one_length = message.compose(&mut one).unwrap();
            let other_length = dnstap.compose(&mut other).unwrap();
            assert_eq!(one_length, other_length);
            assert_eq!(parsed(&one[..one_length]), parsed(&other[..other_length]));
            for short in (0..one_length).step_by(1 + one_length / 50) {
                assert_eq!(message.compose(&mut one[..short]), None);
            }
        }
    }

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
            query_time: SentTime::new(u64::MAX, u32::MAX),
            query_message: Some(b"query"),
            query_zone: Some(b"\0"),
            response_time: SentTime { seconds: None, nanoseconds: Some(1) },
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

    /// Another identity, and nothing else.
    fn identity(identity: &[u8]) -> FrameChanges<'_> {
        FrameChanges { identity: Some(identity), ..FrameChanges::default() }
    }

    #[test]
    fn the_query_address_changes_and_its_message_is_as_long_as_it_says() {
        // A message of an address, an unknown field and a type, and a type.
        let frame = b"\x72\x0b\x22\x04\x01\x02\x03\x04\xf8\x07\x09\x08\x05\x78\x01";
        let mut out = [0; 64];
        let changes = FrameChanges { query_address: Some(&[9; 16]), ..FrameChanges::default() };
        let length = rewrite(frame, &changes, &mut out).unwrap();
        let expected = [b"\x72\x17\x22\x10", &[9; 16][..], b"\xf8\x07\x09\x08\x05\x78\x01"].concat();
        assert_eq!(&out[..length], expected);
        for short in 0..length {
            assert_eq!(rewrite(frame, &changes, &mut out[..short]), None);
        }
    }

    /// A policy that matched the address loses what tells of it; one that matched a name keeps everything.
    #[test]
    fn a_policy_of_the_client_keeps_neither_rule_nor_value() {
        let kept = [Some(&b"32.1.2.0.192"[..]), Some(&[192, 0, 2, 1][..])];
        for (matched, hides_clients, [rule, value]) in [
            (Some(2), true, [None, None]),
            (None, true, [None, None]),
            (Some(1), true, kept),
            (Some(2), false, kept),
        ] {
            let policy = Policy {
                policy_type: Some(b"RPZ"),
                rule: Some(b"32.1.2.0.192"),
                action: Some(1),
                matched,
                value: Some(&[192, 0, 2, 1]),
            };
            let message = Message {
                message_type: MessageType::CLIENT_QUERY,
                query_address: Some(&[192, 0, 2, 1]),
                policy: Some(policy),
                ..Message::default()
            };
            let (mut frame, mut out) = ([0; 128], [0; 128]);
            let length = Dnstap { message, ..Dnstap::default() }.compose(&mut frame).unwrap();
            let query_address = Some(&[10, 0, 0, 0][..]);
            let changes = FrameChanges { query_address, hides_clients, ..FrameChanges::default() };
            let length = rewrite(&frame[..length], &changes, &mut out).unwrap();
            let policy = Policy { rule, value, ..policy };
            let message = Message { query_address, policy: Some(policy), ..message };
            assert_eq!(Dnstap::parse(&out[..length]).unwrap().message, message);
        }
    }

    #[test]
    fn only_the_identity_changes() {
        let new_identity = identity(b"new");
        // Unknown field 17, identity, message of one field, type in two bytes, identity again.
        let frame = b"\x88\x01\x07\x0a\x01a\x72\x02\x08\x05\x78\x81\x00\x0a\x02bb";
        let mut out = [0; 64];
        let length = rewrite(frame, &new_identity, &mut out).unwrap();
        assert_eq!(&out[..length], b"\x0a\x03new\x88\x01\x07\x72\x02\x08\x05\x78\x81\x00");
        for short in 0..length {
            assert_eq!(rewrite(frame, &new_identity, &mut out[..short]), None);
        }
        assert_eq!(rewrite(b"\x78\x01", &identity(b""), &mut out), Some(4));
        assert_eq!(&out[..4], b"\x0a\x00\x78\x01");
    }

    #[test]
    fn what_is_no_frame_is_not_copied() {
        let mut out = [0; 64];
        for frame in [&b"\x0a\x05a"[..], b"\x78", b"\x0b", b"\x00\x01"] {
            assert_eq!(rewrite(frame, &identity(b"x"), &mut out), None);
        }
    }
}
