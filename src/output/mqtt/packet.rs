//! The packets of MQTT that a client needs, of version 5 and of 3.1.1.
//!
//! ```text
//! | kind, flags | length, 1 to 4 bytes | ... |          MQTT 5, 2.1; the same in 3.1.1, 2.2
//! ```
//!
//! Composed: CONNECT with a will, PUBLISH, SUBSCRIBE, PUBACK's opposite number is parsed; PINGREQ,
//! DISCONNECT. Parsed: CONNACK, PUBACK, PUBLISH, PINGRESP, DISCONNECT; SUBACK is passed over. Left out:
//! quality of service 2, topic aliases, authentication in several steps.

use super::Version;

/// Kinds of packets, in the upper half of the first byte.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;

/// PINGREQ, whole.
pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

/// DISCONNECT without a word why: the will is not to be published.
pub(crate) const GOODBYE: [u8; 2] = [DISCONNECT, 0];

/// The words at the beginning of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectPacket<'a> {
    /// The version spoken.
    pub(crate) version: Version,
    /// Our name.
    pub(crate) client_id: &'a str,
    /// User and password.
    pub(crate) credentials: Option<(&'a str, Option<&'a str>)>,
    /// Seconds without a packet of ours after which the broker may give us up.
    pub(crate) keep_alive: u16,
    /// The words of the broker in our place when we are gone: topic, payload, quality of service; retained.
    pub(crate) will: (&'a str, &'a [u8], u8),
}

impl ConnectPacket<'_> {
    /// Writes CONNECT (MQTT 5, 3.1).
    pub(crate) fn compose(&self, out: &mut Vec<u8>) {
        let is_5 = self.version == Version::V5;
        let (topic, payload, qos) = self.will;
        // A clean start, a will that is retained.
        let mut flags = 0x02 | 0x04 | 0x20 | qos << 3;
        let mut rest = Vec::new();
        put_text(b"MQTT", &mut rest);
        rest.push(if is_5 { 5 } else { 4 });
        if let Some((_, password)) = self.credentials {
            flags |= 0x80 | if password.is_some() { 0x40 } else { 0 };
        }
        rest.push(flags);
        rest.extend_from_slice(&self.keep_alive.to_be_bytes());
        rest.extend_from_slice(no_properties(is_5));
        put_text(self.client_id.as_bytes(), &mut rest);
        rest.extend_from_slice(no_properties(is_5));
        put_text(topic.as_bytes(), &mut rest);
        put_text(payload, &mut rest);
        if let Some((user, password)) = self.credentials {
            put_text(user.as_bytes(), &mut rest);
            password.iter().for_each(|password| put_text(password.as_bytes(), &mut rest));
        }
        out.push(CONNECT);
        put_length(rest.len(), out);
        out.extend_from_slice(&rest);
    }
}

/// A message to publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishPacket<'a> {
    /// Its topic: two parts that are written one after the other.
    pub(crate) topic: (&'a str, &'a str),
    /// Whether the broker keeps it for those who come later.
    pub(crate) retain: bool,
    /// The number by which it is acknowledged; `None` with quality of service 0.
    pub(crate) id: Option<u16>,
}

impl PublishPacket<'_> {
    /// Writes PUBLISH (MQTT 5, 3.3) with a payload that is made of parts.
    pub(crate) fn compose(&self, version: Version, payload: &[&[u8]], out: &mut Vec<u8>) {
        let properties = no_properties(version == Version::V5);
        let bytes: usize = payload.iter().map(|part| part.len()).sum();
        let topic = self.topic.0.len() + self.topic.1.len();
        out.push(PUBLISH | if self.id.is_some() { 0x02 } else { 0 } | u8::from(self.retain));
        put_length(2 + topic + self.id.map_or(0, |_| 2) + properties.len() + bytes, out);
        out.extend_from_slice(&(topic as u16).to_be_bytes());
        out.extend_from_slice(self.topic.0.as_bytes());
        out.extend_from_slice(self.topic.1.as_bytes());
        out.extend(self.id.iter().flat_map(|id| id.to_be_bytes()));
        out.extend_from_slice(properties);
        payload.iter().for_each(|part| out.extend_from_slice(part));
    }

    /// Bytes of one with a payload of that length.
    pub(crate) fn length(topic: usize, payload: usize) -> usize {
        topic + payload + PUBLISH_BYTES
    }
}

/// Bytes of a PUBLISH at most, beside topic and payload.
pub(crate) const PUBLISH_BYTES: usize = 1 + 4 + 2 + 2 + 1;

/// Writes SUBSCRIBE (MQTT 5, 3.8) to one topic, with quality of service 0.
pub(crate) fn compose_subscribe(version: Version, id: u16, topic: (&str, &str), out: &mut Vec<u8>) {
    let properties = no_properties(version == Version::V5);
    let length = topic.0.len() + topic.1.len();
    out.push(SUBSCRIBE);
    put_length(2 + properties.len() + 2 + length + 1, out);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(properties);
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(topic.0.as_bytes());
    out.extend_from_slice(topic.1.as_bytes());
    out.push(0);
}

/// A packet of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerPacket<'a> {
    /// Its answer to CONNECT.
    Connected(BrokerLimits),
    /// It has a message.
    Taken {
        /// The message's number.
        id: u16,
        /// 0, or why it does not want it.
        reason: u8,
    },
    /// A message of somebody else's.
    Message {
        /// Its topic.
        topic: &'a [u8],
        /// Its content.
        payload: &'a [u8],
    },
    /// Its answer to PINGREQ.
    Pong,
    /// It ends the connection.
    Goodbye(u8),
    /// Of no consequence.
    Other,
}

/// The limits that a broker names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokerLimits {
    /// 0, or why it does not want us.
    pub(crate) reason: u8,
    /// Messages that it takes before it has acknowledged the first.
    pub(crate) receive_maximum: u16,
    /// Bytes of the longest packet that it takes.
    pub(crate) packet_maximum: u32,
    /// The best quality of service that it knows.
    pub(crate) qos_maximum: u8,
    /// Seconds without a packet of ours, in the place of our own.
    pub(crate) keep_alive: Option<u16>,
}

/// No MQTT comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotMqtt;

/// The length of the packet at the front of some bytes, and where its body begins; `None` while that is not
/// known.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<(usize, usize)>, NotMqtt> {
    let mut length = 0;
    for at in 0..4 {
        let Some(&byte) = bytes.get(1 + at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + at + length, 2 + at)));
        }
    }
    Err(NotMqtt)
}

/// The packet with that first byte and that body.
pub(crate) fn parse(version: Version, first: u8, body: &[u8]) -> Result<BrokerPacket<'_>, NotMqtt> {
    let is_5 = version == Version::V5;
    match first & 0xf0 {
        CONNACK => {
            let (&[_, reason], rest) = body.split_first_chunk::<2>().ok_or(NotMqtt)?;
            let mut welcome = BrokerLimits {
                reason,
                receive_maximum: u16::MAX,
                packet_maximum: u32::MAX,
                qos_maximum: 2,
                keep_alive: None,
            };
            if is_5 {
                read_properties(rest, &mut welcome)?;
            }
            Ok(BrokerPacket::Connected(welcome))
        }
        PUBACK => {
            let (id, rest) = body.split_first_chunk::<2>().ok_or(NotMqtt)?;
            let reason = rest.first().copied().filter(|_| is_5).unwrap_or(0);
            Ok(BrokerPacket::Taken { id: u16::from_be_bytes(*id), reason })
        }
        // We asked for quality of service 0.
        PUBLISH => {
            let (topic, rest) = take_text(body)?;
            let payload = if is_5 {
                let (length, rest) = take_length(rest)?;
                rest.get(length..).ok_or(NotMqtt)?
            } else {
                rest
            };
            Ok(BrokerPacket::Message { topic, payload })
        }
        PINGRESP => Ok(BrokerPacket::Pong),
        DISCONNECT => Ok(BrokerPacket::Goodbye(body.first().copied().unwrap_or(0))),
        SUBACK => Ok(BrokerPacket::Other),
        _ => Err(NotMqtt),
    }
}

/// MQTT 5, 3.2.2.3.
fn read_properties(bytes: &[u8], welcome: &mut BrokerLimits) -> Result<(), NotMqtt> {
    let (length, rest) = take_length(bytes)?;
    let mut rest = rest.get(..length).ok_or(NotMqtt)?;
    while let Some((&kind, value)) = rest.split_first() {
        let number = |bytes: usize| {
            let value = value.get(..bytes).ok_or(NotMqtt)?;
            Ok::<u32, NotMqtt>(value.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte)))
        };
        let length = match kind {
            0x11 => 4, // session expiry
            0x21 => {
                welcome.receive_maximum = number(2)? as u16;
                2
            }
            0x24 => {
                welcome.qos_maximum = number(1)? as u8;
                1
            }
            0x27 => {
                welcome.packet_maximum = number(4)?;
                4
            }
            0x13 => {
                welcome.keep_alive = Some(number(2)? as u16);
                2
            }
            0x22 => 2,                      // topic aliases
            0x25 | 0x28 | 0x29 | 0x2a => 1, // whether some things are available
            // Texts: our name, reasons, authentication.
            0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => 2 + number(2)? as usize,
            // A name and a value of the user's.
            0x26 => {
                let (_, after) = take_text(value)?;
                let (_, after) = take_text(after)?;
                value.len() - after.len()
            }
            _ => return Err(NotMqtt),
        };
        rest = value.get(length..).ok_or(NotMqtt)?;
    }
    Ok(())
}

/// Properties of a packet of ours: none, which version 5 wants said.
fn no_properties(is_5: bool) -> &'static [u8] {
    if is_5 { &[0] } else { &[] }
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// MQTT 5, 1.5.5: seven bits a byte, the lowest first.
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        out.push(byte | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            return;
        }
    }
}

fn take_length(bytes: &[u8]) -> Result<(usize, &[u8]), NotMqtt> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((length, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(NotMqtt)
}

fn take_text(bytes: &[u8]) -> Result<(&[u8], &[u8]), NotMqtt> {
    let (length, rest) = bytes.split_first_chunk().ok_or(NotMqtt)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(NotMqtt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GREETING: ConnectPacket<'_> = ConnectPacket {
        version: Version::V5,
        client_id: "c",
        credentials: Some(("u", Some("p"))),
        keep_alive: 60,
        will: ("t/status", b"offline", 1),
    };

    #[test]
    fn greetings_of_both_versions() {
        let mut out = Vec::new();
        GREETING.compose(&mut out);
        let expected = [
            &b"\x10\x28\0\x04MQTT\x05\xee\0\x3c\0"[..], /* length, protocol, version, flags, keep alive,
                                                         * no properties */
            b"\0\x01c\0\0\x08t/status\0\x07offline", // name, no properties of the will, will
            b"\0\x01u\0\x01p",                       // user, password
        ];
        assert_eq!(out, expected.concat());
        out.clear();
        let old = Version::V311;
        ConnectPacket { version: old, credentials: None, will: ("t", b"x", 0), ..GREETING }.compose(&mut out);
        assert_eq!(out, b"\x10\x13\0\x04MQTT\x04\x26\0\x3c\0\x01c\0\x01t\0\x01x");
    }

    #[test]
    fn messages_of_both_versions() {
        let compose = |version, publish: PublishPacket<'_>, payload: &[&[u8]]| {
            let mut out = Vec::new();
            publish.compose(version, payload, &mut out);
            assert!(out.len() <= PublishPacket::length(3, payload.concat().len()));
            out
        };
        let publish = PublishPacket { topic: ("a", "/b"), retain: false, id: None };
        assert_eq!(compose(Version::V5, publish, &[b"x", b"yz"]), b"\x30\x09\0\x03a/b\0xyz");
        assert_eq!(compose(Version::V311, publish, &[b"x"]), b"\x30\x06\0\x03a/bx");
        let publish = PublishPacket { retain: true, id: Some(0x0102), ..publish };
        assert_eq!(compose(Version::V5, publish, &[]), b"\x33\x08\0\x03a/b\x01\x02\0");
        assert_eq!(compose(Version::V5, publish, &[&[0; 120]])[..3], [0x33, 0x80, 1]);
        let mut out = Vec::new();
        compose_subscribe(Version::V5, 7, ("a", "/b"), &mut out);
        compose_subscribe(Version::V311, 7, ("a", "/b"), &mut out);
        assert_eq!(out, b"\x82\x09\0\x07\0\0\x03a/b\0\x82\x08\0\x07\0\x03a/b\0");
    }

    #[test]
    fn packets_of_a_broker() {
        let check = |version, bytes: &[u8], expected: Result<BrokerPacket<'_>, NotMqtt>| {
            for cut in 0..2 {
                assert_eq!(frame(&bytes[..cut]), Ok(None));
            }
            let (length, start) = frame(bytes).unwrap().unwrap();
            assert_eq!(length, bytes.len());
            assert_eq!(parse(version, bytes[0], &bytes[start..]), expected);
        };
        let welcome = BrokerLimits {
            reason: 0,
            receive_maximum: u16::MAX,
            packet_maximum: u32::MAX,
            qos_maximum: 2,
            keep_alive: None,
        };
        check(
            Version::V311,
            b"\x20\x02\0\x05",
            Ok(BrokerPacket::Connected(BrokerLimits { reason: 5, ..welcome })),
        );
        // Receive maximum 20, quality 1, a name, keep alive 30, a pair.
        check(
            Version::V5,
            b"\x20\x17\0\0\x14\x21\0\x14\x24\x01\x12\0\x02ab\x13\0\x1e\x26\0\x01k\0\x01v",
            Ok(BrokerPacket::Connected(BrokerLimits {
                receive_maximum: 20,
                qos_maximum: 1,
                keep_alive: Some(30),
                ..welcome
            })),
        );
        check(Version::V5, b"\x40\x03\0\x07\x97", Ok(BrokerPacket::Taken { id: 7, reason: 0x97 }));
        check(Version::V5, b"\x40\x02\0\x07", Ok(BrokerPacket::Taken { id: 7, reason: 0 }));
        check(Version::V5, b"\x30\x06\0\x01t\0on", Ok(BrokerPacket::Message { topic: b"t", payload: b"on" }));
        check(Version::V311, b"\x30\x05\0\x01ton", Ok(BrokerPacket::Message { topic: b"t", payload: b"on" }));
        check(Version::V5, b"\xd0\0", Ok(BrokerPacket::Pong));
        check(Version::V5, b"\xe0\x01\x8e", Ok(BrokerPacket::Goodbye(0x8e)));
        check(Version::V5, b"\x90\x04\0\x07\0\0", Ok(BrokerPacket::Other));
        check(Version::V5, b"\x40\x01\0", Err(NotMqtt));
        check(Version::V5, b"\xf0\0", Err(NotMqtt));
        assert_eq!(frame(b"\x30\xff\xff\xff\xff"), Err(NotMqtt));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..60), is_5: bool) {
            let version = if is_5 { Version::V5 } else { Version::V311 };
            if let (Ok(Some((_, start))), Some(&first)) = (frame(&bytes), bytes.first()) {
                let _ = parse(version, first, bytes.get(start..).unwrap_or_default());
            }
        }
    }
}
