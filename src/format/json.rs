//! JSON and YAML: the same keys in the same order with the same values, in two dresses.
//!
//! JSON is one compact object; YAML is a `---` line and one `key: value` line for each key, the value being the
//! JSON one. Written by hand: `serde-json-core` takes half as long again for this record, and has no decimal
//! number without exponent for the latency.
//!
//! The strings need little escaping: names and identities are in their escaped form already, so only the
//! quote and the backslash can meet JSON's rules, and everything else is printable.

use core::fmt::{self, Display, Write};
use core::net::IpAddr;

use super::Record;
use crate::decimal::{write_address, write_decimal};
use crate::message::event::{Endpoint, Event};
use crate::time::{write_short_seconds, write_timestamp};
use crate::wire::text::write_label_text;

/// What stands around keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `{"key":value,...}`
    Json,
    /// `---`, then `key: value` lines.
    Yaml,
}

/// What comes before a value, in both styles.
macro_rules! key {
    (first $name:literal) => {
        (concat!("{\"", $name, "\":"), concat!("---\n", $name, ": "))
    };
    ($name:literal) => {
        (concat!(",\"", $name, "\":"), concat!("\n", $name, ": "))
    };
}

/// Writes the object or document, without line break at the end.
pub fn encode(event: &Event<'_>, style: Style, out: &mut Record) -> fmt::Result {
    let mut out = Members { out, style };
    let question = event.dns.question.as_ref();
    let identity = (!event.identity.is_empty()).then_some(event.identity);
    out.escaped(key!(first "identity"), identity, write_label_text)?;
    out.escaped(key!("qname"), question, |question, room| question.name.write_text(room))?;
    let qtype = question.and_then(|question| question.qtype);
    out.name(key!("rrtype"), qtype.and_then(|qtype| qtype.mnemonic()), qtype)?;
    out.address(key!("query-ip"), event.query.address)?;
    out.name(key!("message"), event.message_type.mnemonic(), Some(event.message_type))?;
    out.name(key!("family"), event.family.and_then(|family| family.mnemonic()), event.family)?;
    out.name(key!("protocol"), event.protocol.and_then(|protocol| protocol.mnemonic()), event.protocol)?;
    out.port(key!("query-port"), event.query)?;
    let response = event.response();
    out.address(key!("response-ip"), response.address)?;
    out.port(key!("response-port"), response)?;
    out.name(key!("type"), Some(if event.is_response() { "response" } else { "query" }), None::<&str>)?;
    out.number(key!("length"), Some(u64::from(event.length)))?;
    out.quoted(key!("timestamp"), event.time, |time, to| write_timestamp(to, time))?;
    out.name(key!("rcode"), event.dns.rcode.and_then(|rcode| rcode.mnemonic()), event.dns.rcode)?;
    out.number(key!("id"), event.dns.id.map(u64::from))?;
    out.name(key!("flags"), None, event.dns.flags)?;
    out.value(key!("latency"), event.latency, |latency, to| write_short_seconds(to, latency))?;
    if let Some(place) = &event.location {
        out.label(key!("country"), place.country)?;
        out.label(key!("city"), place.city)?;
    }
    match style {
        Style::Json => out.out.write_char('}'),
        Style::Yaml => Ok(()),
    }
}

/// The members written so far.
struct Members<'o> {
    out: &'o mut Record,
    style: Style,
}

/// Text before a value: JSON's, YAML's.
type Key = (&'static str, &'static str);

impl Members<'_> {
    /// A value as `write` gives it, or the string for a missing one.
    fn value<T>(
        &mut self,
        key: Key,
        value: Option<T>,
        write: impl FnOnce(T, &mut Record) -> fmt::Result,
    ) -> fmt::Result {
        self.out.write_str(match self.style {
            Style::Json => key.0,
            Style::Yaml => key.1,
        })?;
        match value {
            Some(value) => write(value, self.out),
            None => self.out.write_str("\"-\""),
        }
    }

    /// A string that needs no escaping.
    fn quoted<T>(
        &mut self,
        key: Key,
        value: Option<T>,
        write: impl FnOnce(T, &mut Record) -> fmt::Result,
    ) -> fmt::Result {
        self.value(key, value, |value, out| {
            out.write_char('"')?;
            write(value, out)?;
            out.write_char('"')
        })
    }

    /// A string whose backslashes and quotes need escaping.
    fn escaped<T>(
        &mut self,
        key: Key,
        value: Option<T>,
        write: impl FnOnce(T, &mut [u8]) -> Option<usize>,
    ) -> fmt::Result {
        self.quoted(key, value, |value, out| out.append_escaped_with(|room| write(value, room)))
    }

    /// A text of strangers; empty is missing.
    fn label(&mut self, key: Key, text: &str) -> fmt::Result {
        let octets = (!text.is_empty()).then_some(text.as_bytes());
        self.escaped(key, octets, write_label_text)
    }

    /// A mnemonic, else the number in words.
    fn name(&mut self, key: Key, mnemonic: Option<&str>, number: Option<impl Display>) -> fmt::Result {
        match mnemonic {
            Some(mnemonic) => self.quoted(key, Some(mnemonic), |mnemonic, out| out.write_str(mnemonic)),
            None => self.quoted(key, number, |number, out| write!(out, "{number}")),
        }
    }

    fn number(&mut self, key: Key, number: Option<u64>) -> fmt::Result {
        self.value(key, number, |number, out| write_decimal(out, number))
    }

    fn port(&mut self, key: Key, endpoint: Endpoint) -> fmt::Result {
        self.number(key, endpoint.port.map(|port| u64::from(port.get())))
    }

    fn address(&mut self, key: Key, address: Option<IpAddr>) -> fmt::Result {
        self.quoted(key, address, |address, out| write_address(out, address))
    }
}
