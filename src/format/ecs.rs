//! Elastic Common Schema 8.11: one nested object a message, for Elasticsearch, OpenSearch and what reads
//! them.
//!
//! ```text
//! {"@timestamp":"2020-09-16T18:51:53.591736+00:00","ecs":{"version":"8.11"},"observer":{"name":"lb1"},
//!  "event":{"kind":"event","category":["network"],"type":["connection","protocol"],"action":"CLIENT_RESPONSE","duration":1000000},
//!  "source":{"ip":"192.0.2.1","port":5353},"destination":{"ip":"192.0.2.53","port":53},
//!  "network":{"transport":"udp","protocol":"dns"},
//!  "dns":{"type":"answer","id":"1234","op_code":"QUERY","header_flags":["RD","RA"],"response_code":"NOERROR",
//!         "question":{"name":"example.com","type":"A","class":"IN","registered_domain":"example.com","top_level_domain":"com"},
//!         "resolved_ip":["192.0.2.7"],"answers":[{"name":"example.com","type":"A","class":"IN","ttl":60,"data":"192.0.2.7"}]}}
//! ```
//!
//! `source` is who asked, `destination` who answers, in both directions. What a message lacks is left out, as
//! the schema wants it. Names have no final dot, and are escaped as everywhere. Answers come in their order,
//! as many as there is room for.

use core::fmt::{self, Write};
use core::net::IpAddr;

use super::Record;
use super::escape::{Escape, Escaped};
use super::value::{whole, write_data};
use crate::decimal::{Ascii, write_address, write_decimal};
use crate::message::event::{Endpoint, Event};
use crate::wire::answers::{AnswerRecord, Sections};
use crate::wire::iana::{Class, Protocol};
use crate::wire::name::{NAME_MAX, Name};
use crate::wire::rdata::NameForm;
use crate::wire::registered_domain::registered_domain;
use crate::wire::text::write_label_text;

/// Writes the object.
pub(crate) fn encode(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    out.write_ascii(b"{")?;
    if let Some(time) = event.time {
        out.write_ascii(b"\"@timestamp\":\"")?;
        out.write_timestamp(time)?;
        out.write_ascii(b"\",")?;
    }
    out.write_ascii(b"\"ecs\":{\"version\":\"8.11\"}")?;
    if !event.identity.is_empty() {
        out.write_ascii(b",\"observer\":{\"name\":\"")?;
        out.append_escaped_with(|room| write_label_text(event.identity, room))?;
        out.write_ascii(b"\"}")?;
    }
    out.write_ascii(
        b",\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\"type\":[\"connection\",\"protocol\"]",
    )?;
    string(out, ",\"action\":", event.message_type)?;
    if let Some(latency) = event.latency {
        out.write_ascii(b",\"duration\":")?;
        write_decimal(out, latency.nanoseconds())?;
    }
    out.write_ascii(b"}")?;
    source(event, out)?;
    endpoint(out, b",\"destination\":{", event.response())?;
    out.write_ascii(b",\"network\":{")?;
    if let Some(transport) = event.protocol.and_then(Protocol::transport) {
        write!(out, "\"transport\":\"{transport}\",")?;
    }
    out.write_ascii(b"\"protocol\":\"dns\"}")?;
    dns(event, out)?;
    out.write_ascii(b"}")
}

/// Who asked, and where that is.
fn source(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    let place = event.location.as_ref();
    // With `geoip.country-iso` it is two letters, which no country's name is.
    let country = |text: &str| if text.len() == 2 { "country_iso_code" } else { "country_name" };
    let place = place.map(|place| [(country(place.country), place.country), ("city_name", place.city)]);
    let mut geo = place.into_iter().flatten().filter(|(_, text)| !text.is_empty()).peekable();
    if geo.peek().is_none() {
        return endpoint(out, b",\"source\":{", event.query);
    }
    endpoint(out, b",\"source\":{", event.query)?;
    // Who has a place has an address, so there is an object to put it into.
    out.used = out.used.saturating_sub(1);
    let mut before = ",\"geo\":{\"";
    for (key, text) in geo {
        out.write_str(core::mem::replace(&mut before, ",\""))?;
        out.write_str(key)?;
        out.write_ascii(b"\":\"")?;
        out.append_escaped_with(|room| write_label_text(text.as_bytes(), room))?;
        out.write_ascii(b"\"")?;
    }
    out.write_ascii(b"}}")
}

/// An object with an address and a port, unless it has neither.
fn endpoint(out: &mut Record, key: &[u8], end: Endpoint) -> fmt::Result {
    if end == Endpoint::default() {
        return Ok(());
    }
    out.write_ascii(key)?;
    if let Some(address) = end.address {
        out.write_ascii(b"\"ip\":\"")?;
        write_address(out, address)?;
        out.write_ascii(if end.port.is_some() { b"\"," } else { b"\"" })?;
    }
    if let Some(port) = end.port {
        out.write_ascii(b"\"port\":")?;
        write_decimal(out, u64::from(port.get()))?;
    }
    out.write_ascii(b"}")
}

fn dns(event: &Event<'_>, out: &mut Record) -> fmt::Result {
    out.write_ascii(if event.is_response() {
        b",\"dns\":{\"type\":\"answer\""
    } else {
        b",\"dns\":{\"type\":\"query\""
    })?;
    string_of(out, ",\"id\":", event.dns.id)?;
    string_of(out, ",\"op_code\":", event.dns.opcode)?;
    if let Some(flags) = event.dns.flags {
        out.write_ascii(b",\"header_flags\":[")?;
        // The schema has none for what `type` says.
        for (number, name) in flags.names().filter(|name| *name != "QR").enumerate() {
            string(out, if number == 0 { "" } else { "," }, name)?;
        }
        out.write_ascii(b"]")?;
    }
    if event.is_response() {
        string_of(out, ",\"response_code\":", event.dns.rcode)?;
    }
    if let Some(question) = &event.dns.question {
        name_member(out, ",\"question\":{\"name\":\"", &question.name)?;
        string_of(out, ",\"type\":", question.qtype)?;
        string_of(out, ",\"class\":", question.qclass)?;
        whole(out, |out| parts_of_name(out, question.name));
        out.write_ascii(b"}")?;
    }
    if event.is_response()
        && let Some(sections) = Sections::of(event.payload)
    {
        resolved(out, &sections)?;
    }
    out.write_ascii(b"}")
}

/// The parts of a name, if there is room: who owns it, and what is below that.
fn parts_of_name(out: &mut Record, name: Name<'_>) -> fmt::Result {
    let Some((registered, below)) = registered_domain(&name) else { return Ok(()) };
    name_member(out, ",\"registered_domain\":\"", &registered)?;
    let domain = registered.wire_form();
    let above = domain.split_first().and_then(|(length, rest)| rest.get(usize::from(*length)..));
    if let Some(Ok((top, _))) = above.map(Name::parse) {
        name_member(out, ",\"top_level_domain\":\"", &top)?;
    }
    if below == 0 {
        return Ok(());
    }
    let length = name.wire_form().len().saturating_sub(domain.len());
    let mut room = [0; NAME_MAX];
    if let (Some(from), Some(to)) = (name.wire_form().get(..length), room.get_mut(..length)) {
        to.copy_from_slice(from);
        if let Ok((subdomain, _)) = Name::parse(&room) {
            name_member(out, ",\"subdomain\":\"", &subdomain)?;
        }
    }
    Ok(())
}

/// The addresses among the answers, then all answers.
fn resolved(out: &mut Record, sections: &Sections<'_>) -> fmt::Result {
    let of_internet = |record: &AnswerRecord<'_>| record.class == Class::IN;
    let addresses = sections.answers().filter(of_internet).filter_map(|record| record.address());
    list(out, ",\"resolved_ip\":[", addresses, |out, address: IpAddr| {
        out.write_ascii(b"\"")?;
        write_address(out, address)?;
        out.write_ascii(b"\"")
    })?;
    list(out, ",\"answers\":[", sections.answers(), |out, record| answer(out, &record)).map(|_| ())
}

fn answer(out: &mut Record, record: &AnswerRecord<'_>) -> fmt::Result {
    let mut room = [0; NAME_MAX];
    let name = record.name(&mut room).ok_or(fmt::Error)?;
    name_member(out, "{\"name\":\"", &name)?;
    string(out, ",\"type\":", record.rr_type)?;
    string(out, ",\"class\":", record.class)?;
    out.write_ascii(b",\"ttl\":")?;
    write_decimal(out, u64::from(record.ttl))?;
    out.write_ascii(b",\"data\":\"")?;
    write_data(record, NameForm::NoFinalDot, Escape::Json, out)?;
    out.write_ascii(b"\"}")
}

/// A list, unless it is empty, and how long it is; what there is no room for is left out.
pub(super) fn list<T>(
    out: &mut Record,
    key: &str,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Record, T) -> fmt::Result,
) -> Result<usize, fmt::Error> {
    let (mut before, mut count) = (key, 0);
    for value in values {
        if !whole(out, |out| out.write_str(before).and_then(|()| write(out, value))) {
            break;
        }
        before = ",";
        count += 1;
    }
    if count > 0 {
        out.write_ascii(b"]")?
    }
    Ok(count)
}

fn name_member(out: &mut Record, key: &str, name: &Name<'_>) -> fmt::Result {
    out.write_str(key)?;
    NameForm::NoFinalDot.write(name, &mut Escaped { record: out, escape: Escape::Json })?;
    out.write_ascii(b"\"")
}

/// A string that needs no escaping.
fn string(out: &mut Record, key: &str, value: impl fmt::Display) -> fmt::Result {
    write!(out, "{key}\"{value}\"")
}

fn string_of(out: &mut Record, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| string(out, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;

    fn encoded(payload: &[u8], identity: &[u8]) -> String {
        let message = Message {
            message_type: MessageType::CLIENT_RESPONSE,
            response_message: Some(payload),
            ..Message::default()
        };
        let dnstap = Dnstap { identity: Some(identity), message, ..Dnstap::default() };
        let mut record = Record::default();
        encode(&Event::from_dnstap(&dnstap), &mut record).unwrap();
        String::from_utf8(record.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn answers_that_do_not_fit_are_left_out_and_the_object_is_whole() {
        // The longest name there is, each of its bytes five in a JSON string.
        let mut name: Vec<u8> = Vec::new();
        for length in [63, 63, 63, 61] {
            name.push(length);
            name.extend(vec![1; usize::from(length)]);
        }
        name.push(0);
        let mut payload = vec![0, 7, 0x81, 0x80, 0, 1, 0, 40, 0, 0, 0, 0];
        payload.extend(&name);
        payload.extend(b"\0\x1c\0\x01");
        for _ in 0..40 {
            payload.extend(b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10");
            payload.extend([0x21; 16]);
        }
        let text = encoded(&payload, &[1; 200]);
        let address = "\"2121:2121:2121:2121:2121:2121:2121:2121\"";
        assert!(text.matches(address).count() >= 8, "{text}");
        let count = |letter| text.chars().filter(|each| *each == letter).count();
        assert_eq!((count('{'), count('[')), (count('}'), count(']')));
        assert!(text.ends_with("]}}"), "{text}");
    }

    #[test]
    fn what_is_missing_is_left_out() {
        assert_eq!(
            encoded(b"", b""),
            "{\"ecs\":{\"version\":\"8.11\"},\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\
             \"type\":[\"connection\",\"protocol\"],\"action\":\"CLIENT_RESPONSE\"},\"network\":{\"protocol\":\"dns\"},\"dns\":{\"type\":\"answer\"}}"
        );
    }
}
