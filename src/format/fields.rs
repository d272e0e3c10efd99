//! The fields of a record, as one table: a row is the name, and where the value comes from.
//!
//! Who wants other fields than the usual ones, or another order, names them; nothing is read that nobody
//! named. The value is the same in every format (`value`), and so is its name.

use core::cell::OnceCell;
use core::net::IpAddr;

#[cfg(feature = "records")]
use super::value::FieldValue;
use crate::message::event::Event;
#[cfg(feature = "records")]
use crate::message::geoip::AutonomousSystem;
use crate::message::geoip::NetworkDatabase;
#[cfg(feature = "records")]
use crate::time::Time;
use crate::values::choice;
use crate::wire::dnstap::Dnstap;
#[cfg(feature = "records")]
use crate::wire::dnstap::Policy;
#[cfg(feature = "records")]
use crate::wire::{
    edns::Edns,
    iana::{Class, Family, HttpProtocol, MessageType, Opcode, Protocol, Rcode, RrType},
    name::Name,
    registered_domain::registered_domain,
};

/// The source of a record: an event, and the frame that it came in.
#[derive(Debug)]
pub(crate) struct RecordSource<'e> {
    /// The event.
    pub(crate) event: &'e Event<'e>,
    #[cfg_attr(not(feature = "records"), expect(dead_code, reason = "nobody asks"))]
    frame: &'e [u8],
    /// The device of who asked.
    pub(crate) device: Option<&'e str>,
    /// Whether usual records have it.
    pub(crate) shows_device: bool,
    /// Whose addresses are, and that of who asked as it was sent.
    pub(crate) network: Option<(&'e NetworkDatabase, IpAddr)>,
    /// The rest of the frame, read once somebody asks.
    #[cfg_attr(not(feature = "records"), expect(dead_code, reason = "nobody asks"))]
    dnstap: OnceCell<Dnstap<'e>>,
}

impl<'e> RecordSource<'e> {
    /// An event with its frame.
    #[inline]
    pub(crate) fn new(event: &'e Event<'e>, frame: &'e [u8]) -> Self {
        RecordSource {
            event,
            frame,
            device: None,
            shows_device: false,
            network: None,
            dnstap: OnceCell::new(),
        }
    }

    #[cfg(feature = "records")]
    fn network(&self) -> AutonomousSystem<'e> {
        self.network.map_or(AutonomousSystem::default(), |(database, address)| database.look_up(address))
    }

    #[cfg(feature = "records")]
    fn dnstap(&self) -> &Dnstap<'e> {
        self.dnstap.get_or_init(|| Dnstap::parse(self.frame).unwrap_or_default())
    }
}

/// Makes the table: a choice for the configuration, and one function from a field to its value.
macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $word:literal: |$source:ident| $value:expr,)+) => {
        choice! {
            /// A field of a record.
            Field { $($(#[$doc])* $field = $word,)+ }
        }

        #[cfg(feature = "records")]
        impl Field {
            /// Its value in a record.
            pub(crate) fn value<'e>(self, source: &RecordSource<'e>) -> FieldValue<'e> {
                match self { $(Field::$field => { let $source = source; $value })+ }
            }

            /// The text before its value in JSON, when it is not the first one.
            #[inline]
            pub(super) fn json_key(self) -> &'static str {
                match self { $(Field::$field => concat!(",\"", $word, "\":"),)+ }
            }
        }
    };
}

/// A number by its name, else in words.
#[cfg(feature = "records")]
macro_rules! named {
    ($kind:ident, $number:expr) => {
        match $number {
            Some(number) => match number.mnemonic() {
                Some(name) => FieldValue::Word(name),
                None => FieldValue::Numbered($kind::PREFIX, u32::from(number.0)),
            },
            None => FieldValue::Missing,
        }
    };
}

fields! {
    /// Query time of queries, response time of responses.
    Timestamp = "timestamp": |source| FieldValue::time(source.event.time),
    /// The server that saw the message.
    Identity = "identity": |source| FieldValue::Text(source.event.identity),
    /// Side and direction.
    Message = "message": |source| named!(MessageType, Some(source.event.message_type)),
    /// How it went.
    Rcode = "rcode": |source| named!(Rcode, source.event.dns.rcode),
    /// Who asked.
    QueryIp = "query-ip": |source| FieldValue::address(source.event.query.address),
    /// The port of who asked.
    QueryPort = "query-port": |source| FieldValue::number(source.event.query.port.map(|port| port.get())),
    /// Address family of the transport.
    Family = "family": |source| named!(Family, source.event.family),
    /// The transport.
    Protocol = "protocol": |source| named!(Protocol, source.event.protocol),
    /// Bytes of the DNS message.
    Length = "length": |source| FieldValue::Length(source.event.length),
    /// The name asked for.
    Qname = "qname": |source| FieldValue::name(source.event.dns.question.map(|question| question.name)),
    /// The type asked for.
    Rrtype = "rrtype": |source| named!(RrType, source.event.dns.question.and_then(|question| question.qtype)),
    /// Time from query to response.
    Latency = "latency": |source| source.event.latency.map_or(FieldValue::Missing, FieldValue::Latency),
    /// Who answered, or was asked.
    ResponseIp = "response-ip": |source| FieldValue::address(source.event.response().address),
    /// Its port.
    ResponsePort = "response-port": |source| FieldValue::number(source.event.response().port.map(|port| port.get())),
    /// Query or response.
    Type = "type": |source| FieldValue::Word(if source.event.is_response() { "response" } else { "query" }),
    /// The number of the DNS message.
    Id = "id": |source| FieldValue::number(source.event.dns.id),
    /// The flags that are set.
    Flags = "flags": |source| source.event.dns.flags.map_or(FieldValue::Missing, FieldValue::Flags),
    /// The country of who asked.
    Country = "country": |source| FieldValue::text(source.event.location.as_ref().map(|place| place.country)),
    /// Its city.
    City = "city": |source| FieldValue::text(source.event.location.as_ref().map(|place| place.city)),
    /// The records of the answer section.
    Answers = "answers": |source| match source.event.sections() {
        Some(sections) if sections.answer_count > 0 => FieldValue::Answers(sections),
        _ => FieldValue::Missing,
    },
    /// How many there are, as the header counts them.
    AnswersCount = "answers-count": |source| FieldValue::number(answers_count(source.event)),
    /// The OPT record and its options.
    Edns = "edns": |source| match source.event.sections().and_then(|sections| Edns::in_sections(&sections)) {
        Some(edns) => FieldValue::Edns(edns, source.event.client_subnets),
        None => FieldValue::Missing,
    },
    /// The software of the server that saw the message.
    Version = "version": |source| FieldValue::stranger(source.dnstap().version),
    /// Whatever the server adds.
    Extra = "extra": |source| FieldValue::stranger(source.dnstap().extra),
    /// The policy that was applied to the message.
    Policy = "policy": |source| match source.dnstap().message.policy {
        Some(policy) if source.event.name_rewritten => {
            FieldValue::Policy(Policy { rule: None, value: None, ..policy }, source.event.client_subnets.is_some())
        }
        Some(policy) => FieldValue::Policy(policy, source.event.client_subnets.is_some()),
        None => FieldValue::Missing,
    },
    /// The zone that the query was about.
    Zone = "zone": |source| FieldValue::name(
        source
            .dnstap()
            .message
            .query_zone
            .filter(|_| !source.event.name_rewritten)
            .and_then(|zone| Name::parse(zone).ok())
            .map(|(name, _)| name)
    ),
    /// The version of HTTP below DNS over HTTPS.
    HttpProtocol = "http-protocol": |source| named!(HttpProtocol, source.dnstap().message.http_protocol),
    /// The class asked for.
    Qclass = "qclass": |source| named!(Class, source.event.dns.question.and_then(|question| question.qclass)),
    /// The kind of query.
    Opcode = "opcode": |source| named!(Opcode, source.event.dns.opcode),
    /// When the response passed.
    ResponseTime = "response-time": |source| FieldValue::time(
        source.dnstap().message.response_time.parts().and_then(|(seconds, rest)| Time::new(seconds, rest))
    ),
    /// The part of the name that somebody owns.
    RegisteredDomain = "registered-domain": |source| FieldValue::name(source.event.dns.question.and_then(|question| {
        registered_domain(&question.name).map(|(domain, _)| domain)
    })),
    /// The number of the network of who asked.
    Asn = "asn": |source| source.network().number.map_or(FieldValue::Missing, |number| FieldValue::Number(u64::from(number))),
    /// Its name.
    AsOrg = "as-org": |source| FieldValue::text(Some(source.network().organization)),
    /// The device of who asked.
    Device = "device": |source| FieldValue::text(source.device),
    /// How the exchange ended.
    Status = "status": |source| source.event.status.map_or(FieldValue::Missing, |status| FieldValue::Word(status.as_str())),
}

/// The number of answers, as the header counts them.
#[cfg(feature = "records")]
fn answers_count(event: &Event<'_>) -> Option<u16> {
    let head = event.payload.first_chunk::<8>();
    head.map(|[_, _, _, _, _, _, high, low]| u16::from_be_bytes([*high, *low]))
}
