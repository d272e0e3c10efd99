//! JSON and YAML: the same keys in the same order with the same values, in two dresses.
//!
//! JSON is one compact object; YAML is a `---` line and one `key: value` line for each key, the value being
//! the JSON one. Written by hand: `serde-json-core` takes half as long again for this record, and has no
//! decimal number without exponent for the latency.
//!
//! The strings need little escaping: names and identities are in their escaped form already, so only the
//! quote and the backslash can meet JSON's rules, and everything else is printable.

use core::fmt::{self, Display, Write};
use core::net::IpAddr;

#[cfg(feature = "records")]
use super::value::ValueStyle;
use super::{MISSING, Record};
use crate::decimal::{Ascii, write_address, write_decimal};
use crate::message::event::{Endpoint, Event};
use crate::time::write_short_seconds;
use crate::wire::text::{is_plain_text, write_label_text};

/// The text around keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// `{"key":value,...}`
    Json,
    /// `---`, then `key: value` lines.
    Yaml,
}

/// The text before a value, in both styles: before that of a number, and before that of a string, with its
/// quote.
macro_rules! key {
    (first $name:literal) => {
        (concat!("{\"", $name, "\":\""), concat!("---\n", $name, ": \""))
    };
    (number $name:literal) => {
        (concat!(",\"", $name, "\":"), concat!("\n", $name, ": "))
    };
    ($name:literal) => {
        (concat!(",\"", $name, "\":\""), concat!("\n", $name, ": \""))
    };
}

/// Writes the object or document, without line break at the end.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn encode(event: &Event<'_>, style: JsonStyle, out: &mut Record) -> fmt::Result {
    match style {
        JsonStyle::Json => members::<true>(event, out),
        JsonStyle::Yaml => members::<false>(event, out),
    }
}

/// Writes the object or document: of each style code of its own, in which keys are constants.
#[cfg_attr(for_size, optimize(speed))]
fn members<const JSON: bool>(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    let mut out = JsonMembers::<JSON> { out };
    let question = event.dns.question.as_ref();
    let identity = (!event.identity.is_empty()).then_some(event.identity);
    out.quoted(key!(first "identity"), identity, |identity, to| match is_plain_text(identity) {
        true => to.write_ascii(identity),
        false => to.append_escaped_with(|room| write_label_text(identity, room)),
    })?;
    out.quoted(key!("qname"), question, |question, to| {
        #[cfg(feature = "records")]
        return to.append_name(&question.name, ValueStyle::Json);
        // Plain text has nothing that JSON wants escaped.
        #[cfg(not(feature = "records"))]
        match to.append_with(|room| question.name.write_plain_text(room)) {
            Err(fmt::Error) => to.append_escaped_with(|room| question.name.write_text(room)),
            written => written,
        }
    })?;
    let qtype = question.and_then(|question| question.qtype);
    out.name(key!("rrtype"), qtype.and_then(|qtype| qtype.mnemonic()), qtype)?;
    out.address(key!("query-ip"), event.query.address)?;
    out.name(key!("message"), event.message_type.mnemonic(), Some(event.message_type))?;
    out.name(key!("family"), event.family.and_then(|family| family.mnemonic()), event.family)?;
    out.name(key!("protocol"), event.protocol.and_then(|protocol| protocol.mnemonic()), event.protocol)?;
    out.port(key!(number "query-port"), event.query)?;
    let response = event.response();
    out.address(key!("response-ip"), response.address)?;
    out.port(key!(number "response-port"), response)?;
    out.name(key!("type"), Some(if event.is_response() { "response" } else { "query" }), None::<&str>)?;
    out.number(key!(number "length"), Some(u64::from(event.length)))?;
    out.quoted(key!("timestamp"), event.time, |time, to| to.write_timestamp(time))?;
    out.name(key!("rcode"), event.dns.rcode.and_then(|rcode| rcode.mnemonic()), event.dns.rcode)?;
    out.number(key!(number "id"), event.dns.id.map(u64::from))?;
    out.quoted(key!("flags"), event.dns.flags, |flags, to| {
        let (text, length) = flags.text();
        to.write_ascii(text.get(..length).unwrap_or_default())
    })?;
    out.value(key!(number "latency"), event.latency, |latency, to| write_short_seconds(to, latency))?;
    if let Some(place) = &event.location {
        out.label(key!("country"), place.country)?;
        out.label(key!("city"), place.city)?;
    }
    if JSON { out.out.write_ascii(b"}") } else { Ok(()) }
}

/// The members written so far.
struct JsonMembers<'o, const JSON: bool> {
    out: &'o mut Record,
}

/// Text before a value: JSON's, YAML's.
type Key = (&'static str, &'static str);

impl<const JSON: bool> JsonMembers<'_, JSON> {
    #[inline(always)] // so that the length of the key is known
    fn key(&mut self, key: Key) -> fmt::Result {
        self.out.write_ascii(if JSON { key.0.as_bytes() } else { key.1.as_bytes() })
    }

    /// A value as `write` gives it, or the string for a missing one.
    #[inline(always)]
    fn value<T>(
        &mut self,
        key: Key,
        value: Option<T>,
        write: impl FnOnce(T, &mut Record) -> fmt::Result,
    ) -> fmt::Result {
        self.key(key)?;
        match value {
            Some(value) => write(value, self.out),
            None => self.out.write_ascii(b"\"-\""),
        }
    }

    /// A string that needs no escaping.
    #[inline(always)]
    fn quoted<T>(
        &mut self,
        key: Key,
        value: Option<T>,
        write: impl FnOnce(T, &mut Record) -> fmt::Result,
    ) -> fmt::Result {
        self.key(key)?;
        match value {
            Some(value) => write(value, self.out)?,
            None => self.out.write_ascii(MISSING.as_bytes())?,
        }
        self.out.write_ascii(b"\"")
    }

    /// A string whose backslashes and quotes need escaping.
    #[cfg_attr(for_size, optimize(speed))]
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
        let bytes = (!text.is_empty()).then_some(text.as_bytes());
        self.escaped(key, bytes, write_label_text)
    }

    /// A mnemonic, else the number in words.
    #[inline(always)]
    fn name(&mut self, key: Key, mnemonic: Option<&str>, number: Option<impl Display>) -> fmt::Result {
        match mnemonic {
            Some(mnemonic) => {
                self.quoted(key, Some(mnemonic), |mnemonic, out| out.write_ascii(mnemonic.as_bytes()))
            }
            None => self.quoted(key, number, |number, out| write!(out, "{number}")),
        }
    }

    #[inline(always)]
    fn number(&mut self, key: Key, number: Option<u64>) -> fmt::Result {
        self.value(key, number, |number, out| write_decimal(out, number))
    }

    #[inline(always)]
    fn port(&mut self, key: Key, endpoint: Endpoint) -> fmt::Result {
        self.number(key, endpoint.port.map(|port| u64::from(port.get())))
    }

    #[inline(always)]
    fn address(&mut self, key: Key, address: Option<IpAddr>) -> fmt::Result {
        self.quoted(key, address, |address, out| write_address(out, address))
    }
}
