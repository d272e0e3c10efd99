//! The value of a field, and how each format writes it.
//!
//! | value | text | JSON, YAML | CSV |
//! |---|---|---|---|
//! | missing | `-` | `"-"` | `-` |
//! | number | `53` | `53` | `53` |
//! | latency | `0.048` | `0.048` | `0.048` |
//! | length | `59b` | `59` | `59` |
//! | flags | `QR,RD,RA` | `"QR RD RA"` | `QR RD RA` |
//! | answers | `name/type/ttl/data,...` | `[{"name","type","ttl","data"},...]` | as text |
//! | EDNS | `version=0,size=1232,do=1,...` | `{"version","size","do","subnet","ede","cookie","nsid"}` | as text |
//! | policy | `type/rule/action/match/value` | `{"type","rule","action","match","value"}` | as text |
//!
//! Text of strangers is escaped as identities are, so it has no space. A field of CSV is between quotes if it
//! has a comma, a quote or a line break in it, and each quote is two (RFC 4180).
//!
//! Answers and errors that there is no room for are left out: the record stays whole.

use core::fmt::{self, Write};
use core::net::IpAddr;

use super::escape::{Escape, Escaped};
use super::{MISSING, Record};
use crate::decimal::{Ascii, write_address, write_decimal};
use crate::limits::STRANGER_BYTES;
use crate::message::privacy::Privacy;
use crate::time::{Latency, Time, write_seconds, write_short_seconds};
use crate::wire::answers::{AnswerRecord, Sections};
use crate::wire::dns::Flags;
use crate::wire::dnstap::Policy;
use crate::wire::edns::Edns;
use crate::wire::iana::{Class, RrType};
use crate::wire::name::{NAME_MAX, Name};
use crate::wire::rdata::{self, NameForm};
use crate::wire::text::write_label_text;

/// The value of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldValue<'e> {
    /// There is none.
    Missing,
    /// A word of our own.
    Word(&'static str),
    /// A number that has no name, behind the word for its kind.
    Numbered(&'static str, u32),
    /// A number.
    Number(u64),
    /// Bytes of a message.
    Length(u32),
    /// A moment.
    Time(Time),
    /// A span.
    Latency(Latency),
    /// A domain name.
    Name(Name<'e>),
    /// An address.
    Address(IpAddr),
    /// Bytes of strangers; none are missing.
    Text(&'e [u8]),
    /// Flags of a DNS message.
    Flags(Flags),
    /// The answers of a DNS message.
    Answers(Sections<'e>),
    /// Its EDNS, and who changes client subnets in it.
    Edns(Edns<'e>, Option<&'e Privacy>),
    /// The action of a policy, and whether the client's address is hidden.
    Policy(Policy<'e>, bool),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueStyle {
    /// A field of a line.
    Text,
    /// A value of JSON.
    Json,
    /// A field of CSV.
    Csv,
}

impl<'e> FieldValue<'e> {
    /// A moment, if there is one.
    pub(crate) fn time(time: Option<Time>) -> Self {
        time.map_or(FieldValue::Missing, FieldValue::Time)
    }

    /// A number, if there is one.
    pub(crate) fn number(number: Option<u16>) -> Self {
        number.map_or(FieldValue::Missing, |number| FieldValue::Number(u64::from(number)))
    }

    /// A name, if there is one.
    pub(crate) fn name(name: Option<Name<'e>>) -> Self {
        name.map_or(FieldValue::Missing, FieldValue::Name)
    }

    /// An address, if there is one.
    pub(crate) fn address(address: Option<IpAddr>) -> Self {
        address.map_or(FieldValue::Missing, FieldValue::Address)
    }

    /// The first bytes of what a sender may make as long as it likes.
    pub(crate) fn stranger(bytes: Option<&'e [u8]>) -> Self {
        let bytes = bytes.unwrap_or_default();
        FieldValue::Text(bytes.get(..STRANGER_BYTES).unwrap_or(bytes))
    }

    /// A text, if there is one.
    pub(crate) fn text(text: Option<&'e str>) -> Self {
        FieldValue::Text(text.unwrap_or_default().as_bytes())
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// No room.
    pub(crate) fn write(self, style: ValueStyle, out: &mut Record) -> fmt::Result {
        match style {
            ValueStyle::Text => self.write_line_field(out),
            ValueStyle::Json => self.write_json(out),
            ValueStyle::Csv => {
                let start = out.used;
                match self {
                    FieldValue::Length(bytes) => write_decimal(out, u64::from(bytes)),
                    FieldValue::Latency(latency) => write_short_seconds(out, latency),
                    FieldValue::Flags(flags) => write!(out, "{flags}"),
                    _ => self.write_line_field(out),
                }?;
                out.quote_csv_from(start)
            }
        }
    }

    fn write_line_field(self, out: &mut Record) -> fmt::Result {
        match self {
            FieldValue::Missing | FieldValue::Text([]) => out.write_str(MISSING),
            FieldValue::Length(bytes) => {
                write_decimal(out, u64::from(bytes))?;
                out.write_ascii(b"b")
            }
            FieldValue::Latency(latency) => write_seconds(out, latency),
            FieldValue::Flags(Flags(bits)) if Flags(bits).names().next().is_none() => out.write_str(MISSING),
            FieldValue::Flags(flags) => {
                let mut between = "";
                flags.names().try_for_each(|name| {
                    out.write_str(core::mem::replace(&mut between, ","))?;
                    out.write_str(name)
                })
            }
            FieldValue::Answers(sections) => {
                let start = out.used;
                for record in sections.answers() {
                    if !whole(out, |out| answer_text(&record, out)) {
                        break;
                    }
                }
                if out.used == start {
                    return out.write_str(MISSING);
                }
                // The comma behind the last.
                out.used -= 1;
                Ok(())
            }
            FieldValue::Edns(edns, privacy) => edns_text(&edns, privacy, out),
            FieldValue::Policy(policy, hides_client) => {
                let mut between = "";
                POLICY_PARTS.iter().try_for_each(|part| {
                    out.write_str(core::mem::replace(&mut between, "/"))?;
                    policy_part(part, &policy, hides_client).write_line_field(out)
                })
            }
            _ => self.write_plain(out),
        }
    }

    /// Those that are the same everywhere.
    fn write_plain(self, out: &mut Record) -> fmt::Result {
        match self {
            FieldValue::Word(word) => out.write_ascii(word.as_bytes()),
            FieldValue::Numbered(prefix, number) => {
                out.write_ascii(prefix.as_bytes())?;
                write_decimal(out, u64::from(number))
            }
            FieldValue::Number(number) => write_decimal(out, number),
            FieldValue::Time(time) => out.write_timestamp(time),
            FieldValue::Name(name) => out.append_name(&name, ValueStyle::Text),
            FieldValue::Address(address) => write_address(out, address),
            FieldValue::Text(text) => out.append_with(|room| write_label_text(text, room)),
            _ => out.write_str(MISSING),
        }
    }

    fn write_json(self, out: &mut Record) -> fmt::Result {
        match self {
            FieldValue::Number(number) => write_decimal(out, number),
            FieldValue::Length(bytes) => write_decimal(out, u64::from(bytes)),
            FieldValue::Latency(latency) => write_short_seconds(out, latency),
            FieldValue::Answers(sections) => {
                let start = out.used;
                for record in sections.answers() {
                    if !whole(out, |out| answer_json(&record, out)) {
                        break;
                    }
                }
                if out.used == start {
                    return out.write_ascii(b"\"-\"");
                }
                // In place of the comma before the first.
                if let Some(place) = out.bytes.get_mut(start) {
                    *place = b'[';
                }
                out.write_ascii(b"]")
            }
            FieldValue::Edns(edns, privacy) => edns_json(&edns, privacy, out),
            FieldValue::Policy(policy, hides_client) => {
                let mut before = "{\"";
                for part in POLICY_PARTS {
                    out.write_str(core::mem::replace(&mut before, ",\""))?;
                    out.write_str(part)?;
                    out.write_ascii(b"\":")?;
                    policy_part(part, &policy, hides_client).write_json(out)?;
                }
                out.write_ascii(b"}")
            }
            _ => {
                out.write_ascii(b"\"")?;
                match self {
                    FieldValue::Missing | FieldValue::Text([]) => out.write_str(MISSING)?,
                    FieldValue::Name(name) => out.append_name(&name, ValueStyle::Json)?,
                    FieldValue::Text(text) => out.append_escaped_with(|room| write_label_text(text, room))?,
                    FieldValue::Flags(flags) => {
                        let (text, length) = flags.text();
                        out.write_ascii(text.get(..length).unwrap_or_default())?;
                    }
                    _ => self.write_plain(out)?,
                }
                out.write_ascii(b"\"")
            }
        }
    }
}

/// Writes a part of a list, or nothing of it where there is no room for it and what comes after the list.
pub(super) fn whole(out: &mut Record, write: impl FnOnce(&mut Record) -> fmt::Result) -> bool {
    let start = out.used;
    let is_written = write(out).is_ok() && out.room() >= out.tail;
    if !is_written {
        (out.used, out.name) = (start, None);
    }
    is_written
}

/// Writes the data of a record, in the form of its type or else of an unknown one; `out` gets it piece by
/// piece.
#[inline]
pub(super) fn write_data(
    record: &AnswerRecord<'_>,
    names: NameForm,
    escape: Escape,
    out: &mut Record,
) -> fmt::Result {
    // Most of them are addresses, which need no escaping.
    if record.class == Class::IN
        && let Some(address) = record.address()
    {
        return write_address(out, address);
    }
    write_other_data(record, names, escape, out)
}

#[inline(never)]
fn write_other_data(
    record: &AnswerRecord<'_>,
    names: NameForm,
    escape: Escape,
    out: &mut Record,
) -> fmt::Result {
    let start = out.used;
    if rdata::write_known(record, names, &mut Escaped { record: out, escape }).is_err() {
        out.used = start;
        rdata::write_unknown(record, &mut Escaped { record: out, escape })?;
    }
    Ok(())
}

fn write_type(rr_type: RrType, out: &mut Record) -> fmt::Result {
    match rr_type.mnemonic() {
        Some(name) => out.write_ascii(name.as_bytes()),
        None => write!(out, "{rr_type}"),
    }
}

/// Writes the name of a record.
#[inline]
fn write_owner(record: &AnswerRecord<'_>, style: ValueStyle, out: &mut Record) -> fmt::Result {
    let Some(wire) = record.pointed_at() else { return write_whole_owner(record, style, out) };
    if out.repeat_name(wire) {
        return Ok(());
    }
    match Name::parse(wire) {
        Ok((name, _)) => out.append_name(&name, style),
        Err(_) => write_whole_owner(record, style, out),
    }
}

/// The same of a name that has to be put together.
#[cold]
fn write_whole_owner(record: &AnswerRecord<'_>, style: ValueStyle, out: &mut Record) -> fmt::Result {
    let mut room = [0; NAME_MAX];
    let written = out.append_name(&record.name(&mut room).ok_or(fmt::Error)?, style);
    // The next one may be put together in the same place.
    out.name = None;
    written
}

/// Writes a record before a comma.
fn answer_text(record: &AnswerRecord<'_>, out: &mut Record) -> fmt::Result {
    write_owner(record, ValueStyle::Text, out)?;
    out.write_ascii(b"/")?;
    write_type(record.rr_type, out)?;
    out.write_ascii(b"/")?;
    write_decimal(out, u64::from(record.ttl))?;
    out.write_ascii(b"/")?;
    write_data(record, NameForm::FinalDot, Escape::Text, out)?;
    out.write_ascii(b",")
}

/// Writes a record behind a comma.
fn answer_json(record: &AnswerRecord<'_>, out: &mut Record) -> fmt::Result {
    out.write_ascii(b",{\"name\":\"")?;
    write_owner(record, ValueStyle::Json, out)?;
    match record.rr_type {
        RrType::A => out.write_ascii(b"\",\"type\":\"A\",\"ttl\":")?,
        RrType::AAAA => out.write_ascii(b"\",\"type\":\"AAAA\",\"ttl\":")?,
        other => {
            out.write_ascii(b"\",\"type\":\"")?;
            write_type(other, out)?;
            out.write_ascii(b"\",\"ttl\":")?;
        }
    }
    write_decimal(out, u64::from(record.ttl))?;
    out.write_ascii(b",\"data\":\"")?;
    write_data(record, NameForm::FinalDot, Escape::Json, out)?;
    out.write_ascii(b"\"}")
}

/// Writes the client subnet, as the address and how many bits of it were sent; `false` if it is none.
fn write_subnet(edns: &Edns<'_>, privacy: Option<&Privacy>, out: &mut Record) -> Result<bool, fmt::Error> {
    let Some(subnet) = edns.subnet() else { return Ok(false) };
    let mut room = [0; 16];
    let Some(prefix) = room.get_mut(..subnet.prefix.len()) else { return Ok(false) };
    prefix.copy_from_slice(subnet.prefix);
    if let Some(privacy) = privacy {
        privacy.hide_subnet(subnet.family, subnet.bits, prefix);
    }
    let Some(address) = subnet.address(prefix) else { return Ok(false) };
    write_address(out, address)?;
    out.write_ascii(b"/")?;
    write_decimal(out, u64::from(subnet.bits))?;
    Ok(true)
}

fn edns_text(edns: &Edns<'_>, privacy: Option<&Privacy>, out: &mut Record) -> fmt::Result {
    out.write_ascii(b"version=")?;
    write_decimal(out, u64::from(edns.version))?;
    out.write_ascii(b",size=")?;
    write_decimal(out, u64::from(edns.size))?;
    out.write_ascii(if edns.is_do { b",do=1" } else { b",do=0" })?;
    let start = out.used;
    out.write_ascii(b",subnet=")?;
    if !write_subnet(edns, privacy, out)? {
        out.used = start;
    }
    for error in edns.errors() {
        let is_written = whole(out, |out| {
            write!(out, ",ede={}/", error.code)?;
            FieldValue::stranger(Some(error.text)).write_line_field(out)
        });
        if !is_written {
            break;
        }
    }
    if let Some(cookie) = edns.cookie() {
        whole(out, |out| out.write_str(",cookie=").and_then(|()| rdata::write_hex(cookie, out)));
    }
    if let Some(name_server) = edns.name_server().filter(|bytes| !bytes.is_empty()) {
        whole(out, |out| {
            out.write_str(",nsid=")?;
            FieldValue::stranger(Some(name_server)).write_line_field(out)
        });
    }
    Ok(())
}

fn edns_json(edns: &Edns<'_>, privacy: Option<&Privacy>, out: &mut Record) -> fmt::Result {
    out.write_ascii(b"{\"version\":")?;
    write_decimal(out, u64::from(edns.version))?;
    out.write_ascii(b",\"size\":")?;
    write_decimal(out, u64::from(edns.size))?;
    out.write_ascii(if edns.is_do { b",\"do\":true" } else { b",\"do\":false" })?;
    out.write_ascii(b",\"subnet\":\"")?;
    if !write_subnet(edns, privacy, out)? {
        out.write_str(MISSING)?;
    }
    out.write_ascii(b"\",\"ede\":[")?;
    let start = out.used;
    for error in edns.errors() {
        let between = if out.used == start { "" } else { "," };
        let is_written = whole(out, |out| {
            write!(out, "{between}{{\"code\":{},\"text\":", error.code)?;
            // A text that is there and empty says no less than one that is missing.
            match error.text {
                [] => out.write_ascii(b"\"\"")?,
                text => FieldValue::stranger(Some(text)).write_json(out)?,
            }
            out.write_ascii(b"}")
        });
        if !is_written {
            break;
        }
    }
    out.write_ascii(b"],\"cookie\":\"")?;
    let cookie = edns.cookie().unwrap_or_default();
    if cookie.is_empty() || !whole(out, |out| rdata::write_hex(cookie, out)) {
        out.write_str(MISSING)?;
    }
    out.write_ascii(b"\",\"nsid\":")?;
    let name_server = edns.name_server().unwrap_or_default();
    if !whole(out, |out| FieldValue::stranger(Some(name_server)).write_json(out)) {
        out.write_ascii(b"\"-\"")?;
    }
    out.write_ascii(b"}")
}

/// The parts of a policy, in their order.
const POLICY_PARTS: [&str; 5] = ["type", "rule", "action", "match", "value"];

/// The names of actions and triggers in `dnstap.proto`, from 1 on.
const POLICY_ACTIONS: [&str; 6] = ["NXDOMAIN", "NODATA", "PASS", "DROP", "TRUNCATE", "LOCAL_DATA"];
const POLICY_MATCHES: [&str; 5] = ["QNAME", "CLIENT_IP", "RESPONSE_IP", "NS_NAME", "NS_IP"];

/// The trigger that is the address of a client.
const MATCHED_CLIENT: u32 = 2;

/// A part of a policy; what tells of a client whose address is hidden is missing.
fn policy_part<'e>(part: &str, policy: &Policy<'e>, hides_client: bool) -> FieldValue<'e> {
    let hides_client = hides_client && policy.matched.is_none_or(|matched| matched == MATCHED_CLIENT);
    let word = |number: Option<u32>, names: &[&'static str], prefix| match number {
        None => FieldValue::Missing,
        Some(number) => match names.get(number.wrapping_sub(1) as usize) {
            Some(name) => FieldValue::Word(name),
            None => FieldValue::Numbered(prefix, number),
        },
    };
    let bytes = |bytes: Option<&'e [u8]>| match bytes.filter(|_| !hides_client) {
        None => FieldValue::Missing,
        // A name in wire form, as RPZ has it, or whatever it is.
        Some(bytes) => match Name::parse(bytes) {
            Ok((name, [])) => FieldValue::Name(name),
            _ => FieldValue::stranger(Some(bytes)),
        },
    };
    match part {
        "type" => FieldValue::stranger(policy.policy_type),
        "rule" => bytes(policy.rule),
        "action" => word(policy.action, &POLICY_ACTIONS, "ACTION"),
        "match" => word(policy.matched, &POLICY_MATCHES, "MATCH"),
        _ => match (policy.matched, policy.value.filter(|_| !hides_client).map(address_of)) {
            (Some(2 | 3 | 5), Some(Some(address))) => FieldValue::Address(address),
            _ => bytes(policy.value),
        },
    }
}

/// The address in 4 or 16 bytes.
fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Bytes that stay free behind a list at least, for its end and a little more.
pub(super) const TAIL_BYTES: usize = 64;
