//! One line an event, fields separated by one space, for people and `grep`.
//!
//! ```text
//! timestamp identity message rcode query-ip query-port family protocol <length>b qname rrtype latency [country city]
//! 2020-09-16T18:51:53.591736+00:00 lb2 CLIENT_RESPONSE NOERROR 192.0.2.10 50000 INET UDP 59b ns2.google.com. A 0.048
//! ```

use core::fmt::{self, Display, Write};

#[cfg(feature = "records")]
use super::value::ValueStyle;
use super::{MISSING, Record};
use crate::decimal::{Ascii, write_address, write_decimal};
use crate::message::event::Event;
use crate::time::write_seconds;
use crate::wire::text::write_label_text;

/// Writes the line, without line break.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn encode(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    match event.time {
        Some(time) => out.write_timestamp(time)?,
        None => out.write_str(MISSING)?,
    }
    out.write_ascii(b" ")?;
    match event.identity {
        [] => out.write_str(MISSING)?,
        identity => out.append_with(|room| write_label_text(identity, room))?,
    }
    name(out, event.message_type.mnemonic(), Some(event.message_type))?;
    name(out, event.dns.rcode.and_then(|rcode| rcode.mnemonic()), event.dns.rcode)?;
    out.write_ascii(b" ")?;
    match event.query.address {
        Some(address) => write_address(out, address)?,
        None => out.write_str(MISSING)?,
    }
    out.write_ascii(b" ")?;
    match event.query.port {
        Some(port) => write_decimal(out, u64::from(port.get()))?,
        None => out.write_str(MISSING)?,
    }
    name(out, event.family.and_then(|family| family.mnemonic()), event.family)?;
    name(out, event.protocol.and_then(|protocol| protocol.mnemonic()), event.protocol)?;
    out.write_ascii(b" ")?;
    write_decimal(out, u64::from(event.length))?;
    out.write_str("b ")?;
    match &event.dns.question {
        #[cfg(feature = "records")]
        Some(question) => out.append_name(&question.name, ValueStyle::Text)?,
        #[cfg(not(feature = "records"))]
        Some(question) => out.append_with(|room| question.name.write_text(room))?,
        None => out.write_str(MISSING)?,
    }
    let qtype = event.dns.question.as_ref().and_then(|question| question.qtype);
    name(out, qtype.and_then(|qtype| qtype.mnemonic()), qtype)?;
    out.write_ascii(b" ")?;
    match event.latency {
        Some(latency) => write_seconds(out, latency)?,
        None => out.write_str(MISSING)?,
    }
    match &event.location {
        Some(place) => [place.country, place.city].iter().try_for_each(|text| label(out, text)),
        None => Ok(()),
    }
}

/// Writes a space and a text of strangers, or what a missing one is shown as.
fn label(out: &mut Record, text: &str) -> fmt::Result {
    out.write_ascii(b" ")?;
    match text {
        "" => out.write_str(MISSING),
        text => out.append_with(|room| write_label_text(text.as_bytes(), room)),
    }
}

/// Writes a space and a mnemonic, else the number in words, else what a missing value is shown as.
fn name(out: &mut Record, mnemonic: Option<&str>, number: Option<impl Display>) -> fmt::Result {
    out.write_ascii(b" ")?;
    match (mnemonic, number) {
        (Some(mnemonic), _) => out.write_str(mnemonic),
        (None, Some(number)) => write!(out, "{number}"),
        (None, None) => out.write_str(MISSING),
    }
}
