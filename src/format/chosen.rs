//! Records with fields of one's own choice, and CSV.

use core::fmt::{self, Write};

use super::encoding::{ChosenFields, Encoding, Layout, USUAL_FIELDS, USUAL_TEXT_FIELDS};
use super::fields::{Field, RecordSource};
use super::value::{TAIL_BYTES, ValueStyle};
use super::{Record, json, text};
use crate::decimal::Ascii;
use crate::values::Format;

/// Writes the record. Lists take what room there is; if too little is left for what comes behind them, it is
/// tried again with more of it kept free.
pub(crate) fn encode(encoding: &Encoding, source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    for tail in [TAIL_BYTES, out.longest / 4, out.longest / 4 * 3] {
        (out.used, out.tail, out.name) = (0, tail, None);
        if encode_once(encoding, source, out).is_ok() && out.fits() {
            return Ok(());
        }
    }
    Err(fmt::Error)
}

fn encode_once(encoding: &Encoding, source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    match &encoding.layout {
        Layout::Fields(chosen) => match encoding.format {
            Format::Json => object_of(chosen, source, out),
            Format::Text => line_of(chosen, source, out),
            format => fields_of(format, &chosen.fields, source, out),
        },
        Layout::Template(template) => template.pieces.iter().try_for_each(|piece| {
            out.write_str(&piece.text)?;
            piece.field.map_or(Ok(()), |field| field.value(source).write(ValueStyle::Text, out))
        }),
        Layout::Usual => {
            let places = if source.event.location.is_some() { 0 } else { 2 };
            let fields = USUAL_FIELDS.get(..USUAL_FIELDS.len() - places).unwrap_or_default();
            fields_of(encoding.format, fields, source, out)
        }
    }
}

/// The fields of YAML and CSV.
fn fields_of(format: Format, fields: &[Field], source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    let (style, [mut before, between]) = match format {
        Format::Yaml => (ValueStyle::Json, ["---\n", "\n"]),
        _ => (ValueStyle::Csv, ["", ","]),
    };
    for field in fields {
        out.write_str(core::mem::replace(&mut before, between))?;
        if style == ValueStyle::Json {
            out.write_str(field.as_str())?;
            out.write_ascii(b": ")?;
        }
        field.value(source).write(style, out)?;
    }
    Ok(())
}

/// The fields behind the usual ones, that many with the place of who asked, if these are all there in their
/// order.
#[inline]
fn behind_usual<'f>(
    chosen: &'f ChosenFields,
    usual: usize,
    source: &RecordSource<'_>,
) -> Option<&'f [Field]> {
    let usual = usual - if source.event.location.is_some() { 0 } else { 2 };
    chosen.fields.get(usual..).filter(|_| chosen.usual >= usual)
}

/// The fields as a line of text.
fn line_of(chosen: &ChosenFields, source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    let (mut rest, mut before): (&[Field], &[u8]) = (&chosen.fields, b"");
    if let Some(after) = behind_usual(chosen, USUAL_TEXT_FIELDS.len(), source) {
        text::encode(source.event, out)?;
        (rest, before) = (after, b" ");
    }
    for field in rest {
        out.write_ascii(core::mem::replace(&mut before, b" "))?;
        field.value(source).write(ValueStyle::Text, out)?;
    }
    Ok(())
}

/// The fields as an object of JSON.
fn object_of(chosen: &ChosenFields, source: &RecordSource<'_>, out: &mut Record) -> fmt::Result {
    let start = out.used;
    let mut rest: &[Field] = &chosen.fields;
    if let Some(after) = behind_usual(chosen, USUAL_FIELDS.len(), source) {
        json::encode(source.event, json::JsonStyle::Json, out)?;
        // Its end comes later.
        out.used -= 1;
        rest = after;
    }
    for field in rest {
        out.write_str(field.json_key())?;
        field.value(source).write(ValueStyle::Json, out)?;
    }
    // In place of the comma before the first.
    if let Some(place) = out.bytes.get_mut(start) {
        *place = b'{';
    }
    out.write_ascii(b"}")
}

#[cfg(test)]
mod tests {
    use super::super::{Record, encode, encoding};
    use super::*;
    use crate::format::Template;
    use crate::message::event::Event;
    use crate::message::geoip::Location;
    use crate::values::Value;
    use crate::wire::dnstap::{Dnstap, Message, Policy, SentTime};
    use crate::wire::iana::{Family, HttpProtocol, MessageType, Protocol};
    use proptest::prelude::*;

    /// The query `www.example.com. HTTPS`, with two answers and an OPT record.
    const PAYLOAD: &[u8] = b"\x04\xd2\x81\xa0\0\x01\0\x02\0\0\0\x01\x03www\x07example\x03com\0\0\x41\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03a b\xc0\x10\xc0\x0c\0\x01\0\x01\0\0\0\x07\0\x04\xc0\0\x02\x01\
        \0\0\x29\x04\xd0\0\0\x80\0\0\x26\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x0f\0\x05\0\x0fa b\
        \0\x0a\0\x08abcdefgh\0\x03\0\x02ns";

    fn message(payload: &[u8]) -> Dnstap<'_> {
        let message = Message {
            message_type: MessageType::CLIENT_RESPONSE,
            socket_family: Some(Family::INET),
            socket_protocol: Some(Protocol::DOH),
            query_address: Some(&[192, 0, 2, 10]),
            query_port: Some(5353),
            response_time: SentTime::new(1_600_282_313, 591_736_999),
            response_message: Some(payload),
            query_zone: Some(b"\x03com\0"),
            policy: Some(Policy {
                policy_type: Some(b"RPZ"),
                rule: Some(b"\x03www\x03rpz\0"),
                action: Some(1),
                matched: Some(3),
                value: Some(&[192, 0, 2, 1]),
            }),
            http_protocol: Some(HttpProtocol(2)),
            ..Message::default()
        };
        Dnstap { identity: Some(b"lb,\"1"), version: Some(b"Unbound 1.19"), extra: None, message }
    }

    /// A record in some encoding.
    fn record(encoding: &Encoding, dnstap: &Dnstap<'_>, location: Option<Location<'static>>) -> String {
        let mut frame = vec![0; 4096 + dnstap.message.response_message.map_or(0, <[u8]>::len)];
        let length = dnstap.compose(&mut frame).unwrap();
        let parsed = Dnstap::parse(&frame[..length]).unwrap();
        let mut event = Event::from_dnstap(&parsed);
        event.location = location;
        let mut record = Record::new(encoding.longest);
        encode(encoding, &RecordSource::new(&event, &frame[..length]), &mut record).unwrap();
        String::from_utf8(record.as_slice().to_vec()).unwrap()
    }

    fn of_fields(format: Format, fields: &str) -> Encoding {
        let fields: Vec<_> = fields.split(' ').map(|field| Field::from_text(field).unwrap()).collect();
        Encoding::new(format, Some(&fields), None).with_long_records()
    }

    #[test]
    fn usual_fields_in_their_order_are_the_usual_record() {
        let text = "timestamp identity message rcode query-ip query-port family protocol length qname rrtype latency country city";
        let place = Location { country: "Z\"a", city: "" };
        let dnstap = message(PAYLOAD);
        for (dnstap, place, count) in
            [(dnstap, Some(place), 2), (dnstap, None, 0), (Dnstap::default(), Some(Location::default()), 2)]
        {
            let check = |format: Format, fields: &[Field]| {
                let fields = &fields[..fields.len() - 2 + count];
                let chosen = record(&Encoding::new(format, Some(fields), None), &dnstap, place);
                assert_eq!(chosen, record(&format.into(), &dnstap, place));
            };
            let text: Vec<_> = text.split(' ').map(|field| Field::from_text(field).unwrap()).collect();
            check(Format::Text, &text);
            check(Format::Json, &USUAL_FIELDS);
            check(Format::Yaml, &USUAL_FIELDS);
            check(Format::Csv, &USUAL_FIELDS);
        }
    }

    /// Before the usual fields and behind them are others.
    #[test]
    fn usual_fields_with_others_are_what_they_are_alone() {
        let text = "timestamp identity message rcode query-ip query-port family protocol length qname rrtype latency";
        let json: Vec<_> = USUAL_FIELDS.iter().map(|field| field.as_str()).collect();
        for place in [None, Some(Location { country: "X", city: "" })] {
            for (format, usual, [between, end]) in [
                (Format::Text, text, [" ", ""]),
                (Format::Json, &json[..json.len() - 2].join(" "), [",", "}"]),
            ] {
                for usual in [usual.to_owned(), format!("{usual} country city")] {
                    let dnstap = message(PAYLOAD);
                    let of = |fields: &str| record(&of_fields(format, fields), &dnstap, place);
                    let alone = |text: &str| text[end.len()..text.len() - end.len()].to_owned();
                    let (one, many) = (of("answers edns"), of(&format!("version {usual}")));
                    let (_, many) =
                        alone(&many).split_once(between).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
                    assert_eq!(
                        alone(&of(&format!("{usual} answers edns"))),
                        [many, alone(&one)].join(between)
                    );
                }
            }
        }
    }

    #[test]
    fn each_field_in_each_format() {
        let dnstap = message(PAYLOAD);
        let check = |fields, text: &str, json: &str| {
            assert_eq!(record(&of_fields(Format::Text, fields), &dnstap, None), text);
            assert_eq!(record(&of_fields(Format::Json, fields), &dnstap, None), json);
        };
        check(
            "answers-count answers",
            r"2 www.example.com./CNAME/60/a\\032b.example.com.,www.example.com./A/7/192.0.2.1",
            r#"{"answers-count":2,"answers":[{"name":"www.example.com.","type":"CNAME","ttl":60,"data":"a\\032b.example.com."},{"name":"www.example.com.","type":"A","ttl":7,"data":"192.0.2.1"}]}"#,
        );
        check(
            "edns",
            r"version=0,size=1232,do=1,subnet=192.0.2.0/24,ede=15/a\032b,cookie=6162636465666768,nsid=ns",
            r#"{"edns":{"version":0,"size":1232,"do":true,"subnet":"192.0.2.0/24","ede":[{"code":15,"text":"a\\032b"}],"cookie":"6162636465666768","nsid":"ns"}}"#,
        );
        check(
            "policy zone http-protocol",
            "RPZ/www.rpz./NXDOMAIN/RESPONSE_IP/192.0.2.1 com. HTTP2",
            r#"{"policy":{"type":"RPZ","rule":"www.rpz.","action":"NXDOMAIN","match":"RESPONSE_IP","value":"192.0.2.1"},"zone":"com.","http-protocol":"HTTP2"}"#,
        );
        check(
            "version extra opcode qclass registered-domain response-time status flags length",
            r"Unbound\0321.19 - QUERY IN example.com. 2020-09-16T18:51:53.591736+00:00 - QR,RD,RA,AD 116b",
            r#"{"version":"Unbound\\0321.19","extra":"-","opcode":"QUERY","qclass":"IN","registered-domain":"example.com.","response-time":"2020-09-16T18:51:53.591736+00:00","status":"-","flags":"QR RD RA AD","length":116}"#,
        );
        assert_eq!(
            record(&of_fields(Format::Csv, "identity flags query-port answers-count"), &dnstap, None),
            "\"lb,\\\"\"1\",QR RD RA AD,5353,2"
        );
        assert_eq!(
            record(&of_fields(Format::Yaml, "qname answers-count edns"), &Dnstap::default(), None),
            "---\nqname: \"-\"\nanswers-count: \"-\"\nedns: \"-\""
        );
        let template = Template::from_text("{{{qname}}} by {protocol}, {latency}!").unwrap();
        let encoding = Encoding::new(Format::Text, None, Some(&template));
        assert_eq!(record(&encoding, &dnstap, None), "{www.example.com.} by DOH, -!");
    }

    #[test]
    fn a_name_that_comes_again_is_the_same_name() {
        let answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x07\0\x04\xc0\0\x02\x01";
        let other = b"\x01x\0\0\x01\0\x01\0\0\0\x07\0\x04\xc0\0\x02\x02";
        let payload = [
            &b"\x04\xd2\x81\xa0\0\x01\0\x04\0\0\0\0\x04a,\"b\0\0\x01\0\x01"[..],
            answer,
            other,
            answer,
            answer,
        ]
        .concat();
        let dnstap = message(&payload);
        let check = |format, fields, expected: &str| {
            assert_eq!(record(&of_fields(format, fields), &dnstap, None), expected);
        };
        let name = "a,\\\"b.";
        let answers =
            format!("{name}/A/7/192.0.2.1,x./A/7/192.0.2.2,{name}/A/7/192.0.2.1,{name}/A/7/192.0.2.1");
        check(Format::Text, "qname answers qname", &format!("{name} {answers} {name}"));
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let csv = [quoted(name), quoted(&answers), quoted(name)].join(",");
        check(Format::Csv, "qname answers qname", &csv);
        let name = r#""a,\\\"b.""#;
        let address =
            |name: &str, last| format!(r#"{{"name":{name},"type":"A","ttl":7,"data":"192.0.2.{last}"}}"#);
        let [one, other] = [address(name, 1), address("\"x.\"", 2)];
        let json =
            format!(r#"{{"qname":{name},"answers":[{one},{other},{one},{one}],"registered-domain":"-"}}"#);
        check(Format::Json, "qname answers registered-domain", &json);
    }

    #[test]
    fn templates_that_are_none() {
        for (text, why) in [
            ("{qname} {colour}", "`{colour}` is no field"),
            ("{qname", "a brace without its other half at `{qname`"),
            ("qname}", "a brace without its other half at `}`"),
            ("{}", "`{}` is no field"),
            ("qname {{}}", "no field in it"),
            ("{qname}\n", "a control character in it"),
        ] {
            assert_eq!(Template::from_text(text), Err(crate::values::Invalid::Because(why.to_owned())));
        }
    }

    #[test]
    fn a_broken_answer_section_is_shown_as_far_as_it_goes() {
        let one = r#"{"answers":[{"name":"www.example.com.","type":"CNAME","ttl":60,"data":"a\\032b.example.com."}],"answers-count":2}"#;
        let encoding = of_fields(Format::Json, "answers answers-count");
        let first = 12 + 21 + 18;
        for end in 0..PAYLOAD.len() {
            let shown = record(&encoding, &message(&PAYLOAD[..end]), None);
            let expected = match end {
                ..8 => r#"{"answers":"-","answers-count":"-"}"#,
                _ if end < first => r#"{"answers":"-","answers-count":2}"#,
                _ if end < first + 16 => one,
                _ => continue,
            };
            assert_eq!(shown, expected, "{end}");
        }
    }

    #[test]
    fn answers_that_do_not_fit_are_left_out() {
        let mut payload = b"\0\x07\x81\x80\0\x01\x04\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec();
        (0..1024).for_each(|_| payload.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01"));
        let all = Field::ALL;
        for format in [Format::Text, Format::Json, Format::Csv] {
            let text =
                record(&Encoding::new(format, Some(all), None).with_long_records(), &message(&payload), None);
            assert!(text.matches("192.0.2.1").count() > 130 && text.contains("1024"), "{text}");
            assert!(text.len() <= crate::limits::LONG_RECORD_BYTES);
        }
        for format in [Format::Ecs, Format::Zeek] {
            let text = record(&Encoding::from(format).with_long_records(), &message(&payload), None);
            assert!(text.matches("192.0.2.1\"").count() > 130 && text.ends_with('}'), "{text}");
        }
    }

    #[test]
    fn zeek_shows_a_response() {
        let text = record(&Format::Zeek.into(), &message(PAYLOAD), None);
        assert_eq!(
            text,
            r#"{"ts":1600282313.591736,"id.orig_h":"192.0.2.10","id.orig_p":5353,"proto":"tcp","trans_id":1234,"query":"www.example.com","qclass":1,"qclass_name":"C_INTERNET","qtype":65,"qtype_name":"HTTPS","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":2,"answers":["a\\032b.example.com","192.0.2.1"],"TTLs":[60.0,7.0],"rejected":false}"#
        );
    }

    #[test]
    fn rules_between_the_keys() {
        let fields = |fields: &[Field], format| {
            encoding::check(Some(format), Some(fields), None).err().map(|fault| fault.key)
        };
        assert_eq!(fields(&[Field::Qname], Format::Json), None);
        for (chosen, format) in
            [(&[Field::Qname][..], Format::Ecs), (&[], Format::Json), (&[Field::Id, Field::Id], Format::Csv)]
        {
            assert_eq!(fields(chosen, format), Some("fields"));
        }
    }

    /// Whether strings and brackets of an object are closed, and nothing is behind it.
    fn is_whole(text: &str) -> bool {
        let (mut open, mut is_string, mut is_escaped) = (Vec::new(), false, false);
        for (at, byte) in text.bytes().enumerate() {
            match (byte, is_string) {
                _ if is_escaped => is_escaped = false,
                (b'\\', true) => is_escaped = true,
                (b'"', _) => is_string = !is_string,
                (b'{' | b'[', false) => open.push(byte + 2),
                (b'}' | b']', false)
                    if open.pop() != Some(byte) || (open.is_empty() && at + 1 < text.len()) =>
                {
                    return false;
                }
                _ => {}
            }
        }
        open.is_empty() && !is_string
    }

    proptest! {
        /// Whatever the payload, each format shows it, and JSON is JSON.
        #[test]
        fn any_payload_is_a_record(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            counts in any::<[u8; 4]>(),
            is_real in any::<bool>(),
        ) {
            let mut payload = if is_real { [PAYLOAD, &payload].concat() } else { payload };
            if let Some(counters) = payload.get_mut(4..12) {
                counters.copy_from_slice(&[0, 1, 0, counts[1] % 8, 0, counts[2] % 4, 0, counts[3] % 4]);
            }
            let dnstap = message(&payload);
            for format in Format::ALL {
                let encoding = match format {
                    Format::Ecs | Format::Zeek => (*format).into(),
                    _ => Encoding::new(*format, Some(Field::ALL), None),
                };
                let text = record(&encoding.with_long_records(), &dnstap, None);
                prop_assert!(text.bytes().all(|byte| byte >= 0x20 || *format == Format::Yaml && byte == b'\n'));
                if matches!(format, Format::Json | Format::Ecs | Format::Zeek) {
                    prop_assert!(is_whole(&text), "{text}");
                }
            }
        }
    }
}
