//! All we know of one message: the value that filters, statistics and outputs share.
//!
//! An [`Event`] is made from a parsed dnstap message by [`Event::from_dnstap`] and lives on the stack of one
//! `ingest`. It is the only place where the two halves of a message meet: an odd type takes the query's time
//! and payload, an even one the response's (the parity rule). The query address is always the query address,
//! whatever the type. Absence is `Option`; the dash is made by the formats.
//!
//! Identity and name are borrowed from the frame: an event is small, and copied nowhere.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU16;

use crate::limits::IDENTITY_BYTES;
use crate::message::geoip::Location;
use crate::message::pairing::ExchangeMark;
use crate::message::privacy::Privacy;
use crate::message::status::ExchangeStatus;
use crate::time::{Latency, Time};
use crate::wire::answers::Sections;
use crate::wire::dns::{HEADER_BYTES, Summary};
use crate::wire::dnstap::{self, Dnstap};
use crate::wire::iana::{Family, MessageType, Protocol};

/// One DNS message as a server saw it.
#[derive(Debug)]
pub struct Event<'a> {
    /// First 128 bytes of the sender's identity; empty when it sent none.
    pub(crate) identity: &'a [u8],
    /// Side and direction, such as CLIENT_QUERY.
    pub(crate) message_type: MessageType,
    /// Address family of the transport.
    pub(crate) family: Option<Family>,
    /// Transport of the message.
    pub(crate) protocol: Option<Protocol>,
    /// Who asked.
    pub(crate) query: Endpoint,
    /// Who answered, or was asked, as it was sent: few outputs want to know.
    pub(crate) response_end: RawEndpoint<'a>,
    /// Query time of queries, response time of responses.
    pub(crate) time: Option<Time>,
    /// Bytes of the DNS payload; 0 when the sender left it out.
    pub(crate) length: u32,
    /// The DNS payload; empty when the sender left it out.
    pub(crate) payload: &'a [u8],
    /// The summary of the payload.
    pub(crate) dns: Summary<'a>,
    /// Query time that a response brought along.
    pub(crate) query_time: Option<Time>,
    /// Time from query to response; responses only.
    pub(crate) latency: Option<Latency>,
    /// The exchange that it belongs to, where exchanges are kept.
    pub(crate) exchange: ExchangeMark,
    /// Where the query address is; `None` if nobody looks.
    pub(crate) location: Option<Location<'a>>,
    /// How its exchange ended, as far as it says; `None` if nobody asks.
    pub(crate) status: Option<ExchangeStatus>,
    /// Whether a stage changed the query address: outputs that send frames on must not show that of the
    /// frame.
    pub(crate) query_rewritten: bool,
    /// Whether a stage changed the name; the payload is without the old one, too.
    pub(crate) name_rewritten: bool,
    /// Who changes the EDNS client subnets in the payload for them, if anybody.
    pub(crate) client_subnets: Option<&'a Privacy>,
}

impl<'a> Event<'a> {
    /// Takes from `dnstap` what its message type makes relevant.
    #[inline(always)] // built in place, not moved
    pub fn from_dnstap(dnstap: &Dnstap<'a>) -> Self {
        let message = &dnstap.message;
        let is_response = message.message_type.is_response();
        let (time, payload) = if is_response {
            (message.response_time, message.response_message)
        } else {
            (message.query_time, message.query_message)
        };
        let payload = payload.unwrap_or_default();
        let time = to_time(time);
        let query_time = if is_response { to_time(message.query_time) } else { None };
        let family = message.socket_family;
        let identity = dnstap.identity.unwrap_or_default();
        Event {
            identity: identity.get(..IDENTITY_BYTES).unwrap_or(identity),
            message_type: message.message_type,
            family,
            protocol: message.socket_protocol,
            query: Endpoint::from_wire(family, message.query_address, message.query_port),
            response_end: RawEndpoint { address: message.response_address, port: message.response_port },
            time,
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            payload,
            dns: Summary::parse(payload),
            query_time,
            latency: None,
            exchange: ExchangeMark::default(),
            location: None,
            status: None,
            query_rewritten: false,
            name_rewritten: false,
            client_subnets: None,
        }
    }

    /// Where the first question ends in the payload, if it was read whole.
    #[inline]
    pub(crate) fn question_end(&self) -> Option<usize> {
        let question = self.dns.question.as_ref().filter(|question| question.qclass.is_some())?;
        Some(HEADER_BYTES + question.name.wire_form().len() + 4)
    }

    /// The sections behind the questions.
    #[inline]
    pub(crate) fn sections(&self) -> Option<Sections<'a>> {
        match self.question_end() {
            Some(end) => Sections::after_question(self.payload, end),
            None => Sections::of(self.payload),
        }
    }

    /// Who answered, or was asked.
    pub(crate) fn response(&self) -> Endpoint {
        Endpoint::from_wire(self.family, self.response_end.address, self.response_end.port)
    }

    /// Whether a stage changed something that its frame shows.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.query_rewritten || self.name_rewritten || self.client_subnets.is_some()
    }

    /// Whether the message answers another one.
    pub(crate) fn is_response(&self) -> bool {
        self.message_type.is_response()
    }
}

/// One end of a conversation as it was sent: any bytes, and any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEndpoint<'a> {
    /// The address.
    pub(crate) address: Option<&'a [u8]>,
    /// The port.
    pub(crate) port: Option<u32>,
}

/// One end of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The address; absent when not sent or of a length that is not an address.
    pub(crate) address: Option<IpAddr>,
    /// The port; absent when not sent, 0, or above 65,535.
    pub(crate) port: Option<NonZeroU16>,
}

impl Endpoint {
    /// Reads the dnstap fields: 4 or 16 bytes, and a port in 32 bits.
    #[cfg_attr(for_size, optimize(speed))]
    fn from_wire(family: Option<Family>, address: Option<&[u8]>, port: Option<u32>) -> Self {
        Endpoint {
            address: address.and_then(|bytes| parse_address(family, bytes)),
            port: port.and_then(|port| u16::try_from(port).ok()).and_then(NonZeroU16::new),
        }
    }
}

/// A time as sent; absent when it is not a moment.
#[cfg_attr(for_size, optimize(speed))]
fn to_time(sent: dnstap::SentTime) -> Option<Time> {
    let (seconds, nanoseconds) = sent.parts()?;
    Time::new(seconds, nanoseconds)
}

/// An address by the length of its bytes; family INET in 16 bytes is unmapped, as older CoreDNS sends it.
#[cfg_attr(for_size, optimize(speed))]
fn parse_address(family: Option<Family>, bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    match v6.to_ipv4_mapped() {
        Some(v4) if family == Some(Family::INET) => Some(IpAddr::V4(v4)),
        _ => Some(IpAddr::V6(v6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_unmapped_for_inet_alone() {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets();
        assert_eq!(parse_address(Some(Family::INET), &mapped), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(parse_address(Some(Family::INET6), &mapped), Some("::ffff:192.0.2.1".parse().unwrap()));
        assert_eq!(parse_address(Some(Family::INET), &[192, 0, 2, 1]), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(parse_address(Some(Family::INET), &[1, 2, 3]), None);
    }

    #[test]
    fn ports_out_of_range_are_absent() {
        let port = |port| Endpoint::from_wire(None, None, port).port.map(NonZeroU16::get);
        assert_eq!([port(None), port(Some(0)), port(Some(65_536))], [None; 3]);
        assert_eq!(port(Some(65_535)), Some(65_535));
    }
}
