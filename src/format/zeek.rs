//! Zeek's `dns.log` in JSON: one object a response.
//!
//! ```text
//! {"ts":1600282313.591736,"id.orig_h":"192.0.2.1","id.orig_p":5353,"id.resp_h":"192.0.2.53","id.resp_p":53,"proto":"udp",
//!  "trans_id":1234,"rtt":0.048,"query":"example.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A",
//!  "rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,
//!  "answers":["192.0.2.7"],"TTLs":[60.0],"rejected":false}
//! ```
//!
//! As in Zeek, `ts` is the time of the query where it is known, names have no final dot, what is missing is
//! left out, `Z` is the three bits that were reserved at first, `rejected` says that a response has no record
//! at all, and an answer is the part of its data that matters: an address, a name, text (`TXT 3 abc`). Where
//! Zeek has no form, it is that of zone files.

use core::fmt::{self, Write};

use super::Record;
use super::ecs::list;
use super::escape::{Escape, Escaped};
use super::value::{TAIL_BYTES, write_data};
use crate::decimal::{Ascii, write_address, write_decimal, write_padded};
use crate::message::event::{Endpoint, Event};
use crate::time::{Time, write_short_seconds};
use crate::wire::answers::{AnswerRecord, Sections, read_name};
use crate::wire::cursor::Cursor;
use crate::wire::iana::{Class, Protocol};
use crate::wire::name::{self, NAME_MAX};
use crate::wire::rdata::NameForm;

/// Writes the object.
pub(crate) fn encode(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    out.write_ascii(b"{")?;
    if let Some(time) = query_time(event) {
        out.write_ascii(b"\"ts\":")?;
        write_decimal(out, time.seconds)?;
        out.write_ascii(b".")?;
        write_padded(out, u64::from(time.nanoseconds / 1_000), 6)?;
        out.write_ascii(b",")?;
    }
    endpoint(out, "orig", event.query)?;
    endpoint(out, "resp", event.response())?;
    if let Some(transport) = event.protocol.and_then(Protocol::transport) {
        write!(out, "\"proto\":\"{transport}\",")?;
    }
    if let Some(id) = event.dns.id {
        write!(out, "\"trans_id\":{id},")?;
    }
    if let Some(latency) = event.latency {
        out.write_ascii(b"\"rtt\":")?;
        write_short_seconds(out, latency)?;
        out.write_ascii(b",")?;
    }
    if let Some(question) = &event.dns.question {
        out.write_ascii(b"\"query\":\"")?;
        NameForm::NoFinalDot.write(&question.name, &mut Escaped { record: out, escape: Escape::Json })?;
        out.write_ascii(b"\",")?;
        if let Some(class) = question.qclass {
            write!(out, "\"qclass\":{},\"qclass_name\":\"", class.0)?;
            match class {
                Class(1) => out.write_ascii(b"C_INTERNET")?,
                Class(2) => out.write_ascii(b"C_CSNET")?,
                Class(3) => out.write_ascii(b"C_CHAOS")?,
                Class(4) => out.write_ascii(b"C_HESOD")?, // sic
                Class(254) => out.write_ascii(b"C_NONE")?,
                Class(255) => out.write_ascii(b"C_ANY")?,
                Class(other) => write!(out, "qclass-{other}")?,
            }
            out.write_ascii(b"\",")?;
        }
        if let Some(qtype) = question.qtype {
            write!(out, "\"qtype\":{},\"qtype_name\":\"", qtype.0)?;
            match qtype.mnemonic() {
                Some("ANY") => out.write_ascii(b"*")?,
                Some(name) => out.write_str(name)?,
                None => write!(out, "query-{}", qtype.0)?,
            }
            out.write_ascii(b"\",")?;
        }
    }
    if let Some(rcode) = event.dns.rcode {
        write!(out, "\"rcode\":{},\"rcode_name\":\"", rcode.0)?;
        match rcode.mnemonic() {
            Some(name) => out.write_str(name)?,
            None => write!(out, "rcode-{}", rcode.0)?,
        }
        out.write_ascii(b"\",")?;
    }
    let flags = event.dns.flags.unwrap_or_default().0;
    for (bit, name) in [(0x0400, "AA"), (0x0200, "TC"), (0x0100, "RD"), (0x0080, "RA")] {
        write!(out, "\"{name}\":{},", flags & bit != 0)?;
    }
    write!(out, "\"Z\":{}", flags >> 4 & 7)?;
    let sections = Sections::of(event.payload);
    if let Some(sections) = &sections {
        // Both lists are of one length, so the first one leaves room for the second.
        let mut ttl_bytes = 0;
        let count = list(out, ",\"answers\":[", sections.answers(), |out, record| {
            answer(out, &record)?;
            ttl_bytes += TTL_BYTES;
            if out.room() < ttl_bytes + 2 * TAIL_BYTES { Err(fmt::Error) } else { Ok(()) }
        })?;
        let ttls = sections.answers().take(count);
        list(out, ",\"TTLs\":[", ttls, |out, record| write!(out, "{}.0", record.ttl))?;
    }
    let is_empty = |sections: Sections<'_>| {
        [sections.answer_count, sections.authority_count, sections.additional_count] == [0; 3]
    };
    write!(out, ",\"rejected\":{}}}", sections.is_some_and(is_empty))
}

/// When the query passed, or else its response.
fn query_time(event: &Event<'_>) -> Option<Time> {
    let before = |time: Time| {
        let latency = event.latency?.nanoseconds();
        let nanoseconds =
            (time.seconds.checked_mul(NANOSECONDS)?).checked_add(u64::from(time.nanoseconds))?;
        let asked = nanoseconds.checked_sub(latency)?;
        Time::new(asked / NANOSECONDS, u32::try_from(asked % NANOSECONDS).ok()?)
    };
    event.query_time.or_else(|| event.time.and_then(before)).or(event.time)
}

/// Bytes of the longest TTL in the list of them.
const TTL_BYTES: usize = "4294967295.0,".len();

const NANOSECONDS: u64 = 1_000_000_000;

fn endpoint(out: &mut Record, side: &str, end: Endpoint) -> fmt::Result {
    if let Some(address) = end.address {
        write!(out, "\"id.{side}_h\":\"")?;
        write_address(out, address)?;
        out.write_ascii(b"\",")?;
    }
    if let Some(port) = end.port {
        write!(out, "\"id.{side}_p\":{port},")?;
    }
    Ok(())
}

fn answer(out: &mut Record, record: &AnswerRecord<'_>) -> fmt::Result {
    out.write_ascii(b"\"")?;
    let start = out.used;
    if special(out, record).is_err() {
        out.used = start;
        write_data(record, NameForm::NoFinalDot, Escape::Json, out)?;
    }
    out.write_ascii(b"\"")
}

/// The answers that Zeek shows in a form of its own.
///
/// # Errors
///
/// It has none for the record, or there is no room.
fn special(out: &mut Record, record: &AnswerRecord<'_>) -> fmt::Result {
    let skipped = match record.rr_type.mnemonic() {
        Some("MX") => 2,
        Some("SRV") => 6,
        Some("SOA") => 0,
        Some("TXT" | "SPF") => return texts(out, record).ok_or(fmt::Error)?,
        _ => return Err(fmt::Error),
    };
    let mut cursor = Cursor::new(record.data.get(skipped..).unwrap_or_default());
    name::skip(&mut cursor).ok_or(fmt::Error)?;
    let mut room = [0; NAME_MAX];
    let name = read_name(record.message, record.data_start + skipped, &mut room).ok_or(fmt::Error)?;
    NameForm::NoFinalDot.write(&name, &mut Escaped { record: out, escape: Escape::Json })
}

/// `TXT 3 abc`, for each text.
fn texts(out: &mut Record, record: &AnswerRecord<'_>) -> Option<fmt::Result> {
    let mut cursor = Cursor::new(record.data);
    let mut between = "";
    while !cursor.is_empty() {
        let length = cursor.u8()?;
        let text = cursor.take(usize::from(length))?;
        write!(out, "{}{} {length} ", core::mem::replace(&mut between, " "), record.rr_type).ok()?;
        let mut escaped = Escaped { record: out, escape: Escape::Json };
        for &byte in text {
            match byte {
                b' ' | 0x21..=0x7e => escaped.write_char(char::from(byte)).ok()?,
                _ => write!(escaped, "\\x{byte:02x}").ok()?,
            }
        }
    }
    Some(Ok(()))
}
