//! A data frame into a dnstap message.
//!
//! The schema is `proto/dnstap.proto`: a `Dnstap` with one `Message` in it. Here it is read by a walker over
//! raw bytes, since every frame comes this way: fields are borrowed, nothing is copied, and what is not
//! asked for is stepped over. The decoder that micropb makes from the schema is its oracle in the tests.
//!
//! A tag is a field number and a wire type in one varint; for all fields but one it is one byte:
//!
//! ```text
//!   0x72 = 0 1110 010        field 14 (message), wire type 2 (a length and bytes)
//! ```
//!
//! Everything that senders may do is accepted: any order, fields of newer schemas, numbers without a name, a
//! repeated scalar (the last one wins), a repeated submessage (they merge). What cannot be used is refused
//! with a [`Reject`]: bytes that are not Protocol Buffers, groups, a known field of another wire type, and a frame
//! that lacks what the schema requires. Whether the values make sense (addresses of 5 bytes, ports above
//! 65535, nanoseconds of a billion) is left to who uses them.

use super::cursor::{Cursor, VarintError};
use super::expected;
use super::iana::{Family, HttpProtocol, MessageType, Protocol};
use crate::reasons::reasons;

/// A frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dnstap<'a> {
    /// Which server it is from; any bytes.
    pub identity: Option<&'a [u8]>,
    /// Which software it is from; any bytes.
    pub version: Option<&'a [u8]>,
    /// Whatever the sender adds; any bytes.
    pub extra: Option<&'a [u8]>,
    /// Its subject.
    pub message: Message<'a>,
}

/// One DNS message, and how it travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Message<'a> {
    /// Who spoke to whom, query or response.
    pub message_type: MessageType,
    /// The network protocol.
    pub socket_family: Option<Family>,
    /// The transport.
    pub socket_protocol: Option<Protocol>,
    /// Who asks; 4 or 16 bytes, if the sender is right.
    pub query_address: Option<&'a [u8]>,
    /// Who answers; 4 or 16 bytes, if the sender is right.
    pub response_address: Option<&'a [u8]>,
    /// The port of who asks.
    pub query_port: Option<u32>,
    /// The port of who answers.
    pub response_port: Option<u32>,
    /// When the query passed.
    pub query_time: SentTime,
    /// The query in DNS wire form.
    pub query_message: Option<&'a [u8]>,
    /// The zone the query was about, as a name in wire form.
    pub query_zone: Option<&'a [u8]>,
    /// When the response passed.
    pub response_time: SentTime,
    /// The response in DNS wire form.
    pub response_message: Option<&'a [u8]>,
    /// The action of a policy on it.
    pub policy: Option<Policy<'a>>,
    /// The version of HTTP below DNS over HTTPS.
    pub http_protocol: Option<HttpProtocol>,
}

/// A time since 1970 in UTC, as it was sent: the two halves are fields of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentTime {
    /// Whole seconds.
    pub seconds: Option<u64>,
    /// And nanoseconds; a billion and more comes up.
    pub nanoseconds: Option<u32>,
}

/// The action of a policy (RPZ) on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy<'a> {
    /// Its kind, such as `RPZ`; text, if the sender is right.
    pub policy_type: Option<&'a [u8]>,
    /// Which rule; for RPZ a name in wire form.
    pub rule: Option<&'a [u8]>,
    /// The action: 1 NXDOMAIN, 2 NODATA, 3 PASS, 4 DROP, 5 TRUNCATE, 6 LOCAL_DATA.
    pub action: Option<u32>,
    /// The trigger: 1 QNAME, 2 CLIENT_IP, 3 RESPONSE_IP, 4 NS_NAME, 5 NS_IP.
    pub matched: Option<u32>,
    /// The value that set it off.
    pub value: Option<&'a [u8]>,
}

impl Policy<'_> {
    /// The action that lets a message pass.
    const PASS: u32 = 3;

    /// Whether it does something else to a message than let it pass.
    #[inline]
    pub(crate) fn intervenes(self) -> bool {
        self.action != Some(Self::PASS)
    }
}

reasons! {
    /// Why a frame is of no use.
    pub enum Reject {
        /// It ends within a field.
        Truncated = "truncated", "cut within a field";
        /// A varint of more than ten bytes.
        Varint = "varint", "varint of more than ten bytes";
        /// Field number 0.
        FieldNumber = "field_number", "field number 0";
        /// A group, which the schema never had.
        Group = "group", "a group";
        /// A wire type that does not exist.
        UnknownWireType = "unknown_wire_type", "a wire type that does not exist";
        /// A field of the schema with another wire type.
        WrongWireType = "wrong_wire_type", "a known field with another wire type";
        /// No `Dnstap.type`.
        MissingType = "missing_type", "no type";
        /// A `Dnstap.type` other than `MESSAGE`.
        NotMessage = "not_message", "a type other than MESSAGE";
        /// No `Dnstap.message`.
        MissingMessage = "missing_message", "no message";
        /// No `Message.type`.
        MissingMessageType = "missing_message_type", "a message without type";
    }
}

/// `Dnstap.type` of a message.
const TYPE_MESSAGE: u32 = 1;

/// Wire type: a varint.
const VARINT: u32 = 0;
/// Wire type: 8 bytes.
const FIXED64: u32 = 1;
/// Wire type: a length and that many bytes.
pub(super) const LENGTH: u32 = 2;
/// Wire types: the ends of a group.
const GROUPS: [u32; 2] = [3, 4];
/// Wire type: 4 bytes.
const FIXED32: u32 = 5;

/// The tags of the schema's fields.
pub(super) mod tag {
    use super::{FIXED32, LENGTH, VARINT};

    /// The tag of a field.
    const fn of(number: u32, wire_type: u32) -> u32 {
        number << 3 | wire_type
    }

    pub(crate) const IDENTITY: u32 = of(1, LENGTH);
    pub(crate) const VERSION: u32 = of(2, LENGTH);
    pub(crate) const EXTRA: u32 = of(3, LENGTH);
    pub(crate) const MESSAGE: u32 = of(14, LENGTH);
    pub(crate) const TYPE: u32 = of(15, VARINT);

    pub(crate) const MESSAGE_TYPE: u32 = of(1, VARINT);
    pub(crate) const SOCKET_FAMILY: u32 = of(2, VARINT);
    pub(crate) const SOCKET_PROTOCOL: u32 = of(3, VARINT);
    pub(crate) const QUERY_ADDRESS: u32 = of(4, LENGTH);
    pub(crate) const RESPONSE_ADDRESS: u32 = of(5, LENGTH);
    pub(crate) const QUERY_PORT: u32 = of(6, VARINT);
    pub(crate) const RESPONSE_PORT: u32 = of(7, VARINT);
    pub(crate) const QUERY_TIME_SEC: u32 = of(8, VARINT);
    pub(crate) const QUERY_TIME_NSEC: u32 = of(9, FIXED32);
    pub(crate) const QUERY_MESSAGE: u32 = of(10, LENGTH);
    pub(crate) const QUERY_ZONE: u32 = of(11, LENGTH);
    pub(crate) const RESPONSE_TIME_SEC: u32 = of(12, VARINT);
    pub(crate) const RESPONSE_TIME_NSEC: u32 = of(13, FIXED32);
    pub(crate) const RESPONSE_MESSAGE: u32 = of(14, LENGTH);
    pub(crate) const POLICY: u32 = of(15, LENGTH);
    pub(crate) const HTTP_PROTOCOL: u32 = of(16, VARINT);

    pub(crate) const POLICY_TYPE: u32 = of(1, LENGTH);
    pub(crate) const POLICY_RULE: u32 = of(2, LENGTH);
    pub(crate) const POLICY_ACTION: u32 = of(3, VARINT);
    pub(crate) const POLICY_MATCH: u32 = of(4, VARINT);
    pub(crate) const POLICY_VALUE: u32 = of(5, LENGTH);
}

impl<'a> Dnstap<'a> {
    /// Reads the payload of a data frame.
    ///
    /// # Errors
    ///
    /// [`Reject`], for the first thing that is wrong with the bytes, or else the first that is missing.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Self, Reject> {
        let mut dnstap = Dnstap::default();
        let mut dnstap_type = None;
        let mut message_type = None;
        let mut has_message = false;
        let mut fields = Fields::new(frame);
        // As below: what is usual first.
        if fields.passes(tag::IDENTITY) {
            dnstap.identity = Some(fields.bytes()?);
        }
        if fields.passes(tag::VERSION) {
            dnstap.version = Some(fields.bytes()?);
        }
        if fields.passes(tag::TYPE) {
            dnstap_type = Some(fields.u32()?);
        }
        if fields.passes(tag::MESSAGE) {
            has_message = true;
            dnstap.message.read(fields.bytes()?, &mut message_type)?;
        }
        if fields.passes(tag::TYPE) {
            dnstap_type = Some(fields.u32()?);
        }
        while let Some(tag) = fields.next_tag()? {
            match tag {
                tag::IDENTITY => dnstap.identity = Some(fields.bytes()?),
                tag::VERSION => dnstap.version = Some(fields.bytes()?),
                tag::EXTRA => dnstap.extra = Some(fields.bytes()?),
                tag::MESSAGE => {
                    has_message = true;
                    dnstap.message.read_late(fields.bytes()?, &mut message_type)?;
                }
                tag::TYPE => dnstap_type = Some(fields.u32()?),
                _ => fields = fields.behind_unknown(tag, |number| matches!(number, 1..=3 | 14 | 15))?,
            }
        }
        match dnstap_type {
            None => return Err(Reject::MissingType),
            Some(TYPE_MESSAGE) if !has_message => return Err(Reject::MissingMessage),
            Some(TYPE_MESSAGE) => {}
            Some(_) => return Err(Reject::NotMessage),
        }
        dnstap.message.message_type = message_type.ok_or(Reject::MissingMessageType)?;
        Ok(dnstap)
    }
}

impl<'a> Message<'a> {
    /// The same for a message in an unusual place; apart, so that the usual one is built in where it is read.
    #[cold]
    #[inline(never)]
    fn read_late(&mut self, bytes: &'a [u8], message_type: &mut Option<MessageType>) -> Result<(), Reject> {
        self.read(bytes, message_type)
    }

    /// Reads the fields of a message over what has been read before.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn read(&mut self, bytes: &'a [u8], message_type: &mut Option<MessageType>) -> Result<(), Reject> {
        let mut fields = Fields::new(bytes);
        // The fields that are nearly always there, in the order of their numbers, as senders write them: for
        // one sender each of these branches goes the same way each time, and a jump by the tag does
        // not.
        if let Some(([kind, family, protocol], rest)) = expected::head(fields.rest()) {
            *message_type = Some(MessageType(kind));
            self.socket_family = Some(Family(family));
            self.socket_protocol = Some(Protocol(protocol));
            fields = Fields::new(self.read_expected_ends(rest));
        } else {
            if fields.passes(tag::MESSAGE_TYPE) {
                *message_type = Some(MessageType(fields.u32()?));
            }
            if fields.passes(tag::SOCKET_FAMILY) {
                self.socket_family = Some(Family(fields.u32()?));
            }
            if fields.passes(tag::SOCKET_PROTOCOL) {
                self.socket_protocol = Some(Protocol(fields.u32()?));
            }
            if fields.passes(tag::QUERY_ADDRESS) {
                self.query_address = Some(fields.bytes()?);
            }
            if fields.passes(tag::RESPONSE_ADDRESS) {
                self.response_address = Some(fields.bytes()?);
            }
            if fields.passes(tag::QUERY_PORT) {
                self.query_port = Some(fields.u32()?);
            }
            if fields.passes(tag::RESPONSE_PORT) {
                self.response_port = Some(fields.u32()?);
            }
        }
        if let Some((time, rest)) = expected::time(fields.rest(), [tag::QUERY_TIME_SEC, tag::QUERY_TIME_NSEC])
        {
            self.query_time = time;
            fields = Fields::new(rest);
        } else {
            if fields.passes(tag::QUERY_TIME_SEC) {
                self.query_time.seconds = Some(fields.u64()?);
            }
            if fields.passes(tag::QUERY_TIME_NSEC) {
                self.query_time.nanoseconds = Some(fields.fixed32()?);
            }
        }
        if fields.passes(tag::QUERY_MESSAGE) {
            self.query_message = Some(fields.bytes()?);
        }
        if fields.passes(tag::QUERY_ZONE) {
            self.query_zone = Some(fields.bytes()?);
        }
        if let Some((time, rest)) =
            expected::time(fields.rest(), [tag::RESPONSE_TIME_SEC, tag::RESPONSE_TIME_NSEC])
        {
            self.response_time = time;
            fields = Fields::new(rest);
        } else {
            if fields.passes(tag::RESPONSE_TIME_SEC) {
                self.response_time.seconds = Some(fields.u64()?);
            }
            if fields.passes(tag::RESPONSE_TIME_NSEC) {
                self.response_time.nanoseconds = Some(fields.fixed32()?);
            }
        }
        if fields.passes(tag::RESPONSE_MESSAGE) {
            self.response_message = Some(fields.bytes()?);
        }
        while let Some(tag) = fields.next_tag()? {
            match tag {
                tag::MESSAGE_TYPE => *message_type = Some(MessageType(fields.u32()?)),
                tag::SOCKET_FAMILY => self.socket_family = Some(Family(fields.u32()?)),
                tag::SOCKET_PROTOCOL => self.socket_protocol = Some(Protocol(fields.u32()?)),
                tag::QUERY_ADDRESS => self.query_address = Some(fields.bytes()?),
                tag::RESPONSE_ADDRESS => self.response_address = Some(fields.bytes()?),
                tag::QUERY_PORT => self.query_port = Some(fields.u32()?),
                tag::RESPONSE_PORT => self.response_port = Some(fields.u32()?),
                tag::QUERY_TIME_SEC => self.query_time.seconds = Some(fields.u64()?),
                tag::QUERY_TIME_NSEC => self.query_time.nanoseconds = Some(fields.fixed32()?),
                tag::QUERY_MESSAGE => self.query_message = Some(fields.bytes()?),
                tag::QUERY_ZONE => self.query_zone = Some(fields.bytes()?),
                tag::RESPONSE_TIME_SEC => self.response_time.seconds = Some(fields.u64()?),
                tag::RESPONSE_TIME_NSEC => self.response_time.nanoseconds = Some(fields.fixed32()?),
                tag::RESPONSE_MESSAGE => self.response_message = Some(fields.bytes()?),
                tag::POLICY => self.policy.get_or_insert_default().read(fields.bytes()?)?,
                tag::HTTP_PROTOCOL => self.http_protocol = Some(HttpProtocol(fields.u32()?)),
                _ => fields = fields.behind_unknown(tag, |number| matches!(number, 1..=16))?,
            }
        }
        Ok(())
    }
}

impl<'a> Message<'a> {
    /// Reads addresses and ports that have the expected shape, in either order; what follows them.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn read_expected_ends(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        if let Some((address, after)) = expected::address(rest, tag::QUERY_ADDRESS) {
            (self.query_address, rest) = (Some(address), after);
        }
        if let Some((address, after)) = expected::address(rest, tag::RESPONSE_ADDRESS) {
            (self.response_address, rest) = (Some(address), after);
        }
        if let Some((port, after)) = expected::port(rest, tag::QUERY_PORT) {
            (self.query_port, rest) = (Some(port), after);
        }
        if let Some((address, after)) = expected::address(rest, tag::RESPONSE_ADDRESS) {
            (self.response_address, rest) = (Some(address), after);
        }
        if let Some((port, after)) = expected::port(rest, tag::RESPONSE_PORT) {
            (self.response_port, rest) = (Some(port), after);
        }
        rest
    }
}

impl<'a> Policy<'a> {
    /// Reads the fields of a policy over what has been read before.
    #[cfg_attr(for_size, optimize(speed))]
    #[cold]
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), Reject> {
        let mut fields = Fields::new(bytes);
        while let Some(tag) = fields.next_tag()? {
            match tag {
                tag::POLICY_TYPE => self.policy_type = Some(fields.bytes()?),
                tag::POLICY_RULE => self.rule = Some(fields.bytes()?),
                tag::POLICY_ACTION => self.action = Some(fields.u32()?),
                tag::POLICY_MATCH => self.matched = Some(fields.u32()?),
                tag::POLICY_VALUE => self.value = Some(fields.bytes()?),
                _ => fields = fields.behind_unknown(tag, |number| matches!(number, 1..=5))?,
            }
        }
        Ok(())
    }
}

impl SentTime {
    /// A time of both halves.
    pub(crate) const fn new(seconds: u64, nanoseconds: u32) -> Self {
        SentTime { seconds: Some(seconds), nanoseconds: Some(nanoseconds) }
    }

    /// Seconds and nanoseconds, when there are seconds; nanoseconds that were not sent are 0.
    #[inline]
    pub(crate) fn parts(self) -> Option<(u64, u32)> {
        self.seconds.map(|seconds| (seconds, self.nanoseconds.unwrap_or(0)))
    }
}

/// The fields of a Protocol Buffers message, one tag and one value after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Fields<'a> {
    /// Fields before the first one.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Fields { cursor: Cursor::new(bytes) }
    }

    /// The bytes from here on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.cursor.rest()
    }

    /// The tag of the next field; `None` after the last.
    #[inline]
    pub(super) fn next_tag(&mut self) -> Result<Option<u32>, Reject> {
        if self.cursor.is_empty() { Ok(None) } else { self.u32().map(Some) }
    }

    /// Whether the next field has that tag, of one byte, which then is behind.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn passes(&mut self, tag: u32) -> bool {
        match self.cursor.rest() {
            [next, rest @ ..] if u32::from(*next) == tag => {
                self.cursor = Cursor::new(rest);
                true
            }
            _ => false,
        }
    }

    /// The value of a field of bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let length = self.u64()?;
        self.cursor.take_long(length).ok_or(Reject::Truncated)
    }

    /// The value of a varint field, of which 64 bits are kept.
    #[inline]
    fn u64(&mut self) -> Result<u64, Reject> {
        self.cursor.varint().map_err(Reject::from)
    }

    /// The value of a varint field, of which 32 bits are kept: so a negative enumerator, which is sent in
    /// ten bytes, is the same number as in any other decoder.
    #[inline]
    fn u32(&mut self) -> Result<u32, Reject> {
        self.u64().map(|value| value as u32)
    }

    /// The value of a field of four bytes.
    #[inline]
    fn fixed32(&mut self) -> Result<u32, Reject> {
        self.cursor.u32_le().ok_or(Reject::Truncated)
    }

    /// The error after the value of a field that the schema does not have; of one that it has, a complaint
    /// about its wire type. By value, for the reason that `long_varint` of the cursor gives.
    #[cold]
    fn behind_unknown(mut self, tag: u32, is_known: impl Fn(u32) -> bool) -> Result<Self, Reject> {
        match tag & 0x07 {
            VARINT | FIXED64 | LENGTH | FIXED32 if is_known(tag >> 3) => Err(Reject::WrongWireType),
            _ => self.skip(tag).map(|()| self),
        }
    }

    /// Steps over the value of a field.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn skip(&mut self, tag: u32) -> Result<(), Reject> {
        let (number, wire_type) = (tag >> 3, tag & 0x07);
        match wire_type {
            _ if number == 0 => Err(Reject::FieldNumber),
            VARINT => self.u64().map(drop),
            FIXED64 => self.cursor.take(8).map(drop).ok_or(Reject::Truncated),
            LENGTH => self.bytes().map(drop),
            FIXED32 => self.cursor.take(4).map(drop).ok_or(Reject::Truncated),
            _ if GROUPS.contains(&wire_type) => Err(Reject::Group),
            _ => Err(Reject::UnknownWireType),
        }
    }
}

impl From<VarintError> for Reject {
    #[inline]
    fn from(error: VarintError) -> Self {
        match error {
            VarintError::Truncated => Reject::Truncated,
            VarintError::TooLong => Reject::Varint,
        }
    }
}

#[cfg(test)]
#[path = "dnstap_tests.rs"]
mod tests;
