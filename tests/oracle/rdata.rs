//! Records in presentation form, and the options of EDNS, also as `domain` reads them.
//!
//! Where it reads another thing:
//!
//! * A name whose pointers look forward, or are more than sixteen one behind the other, is none to us: RFC
//!   1035, 4.1.4 speaks of a prior occurrence. Its data is then shown as that of an unknown type.
//! * Addresses, services and parameters mean nothing in classes other than IN (RFC 1035, 3.4.1; RFC 3596,
//!   2.1; RFC 2782; RFC 9460, 2): they are of an unknown type there.
//! * TXT has a string at least (RFC 1035, 3.3.14); without one it is data of an unknown type.
//! * A tag of CAA is of letters and digits, and not empty (RFC 8659, 4.1); parameters of a service are as RFC
//!   9460, 2.2 has them.

use dnstapd::wire::answers::{AnswerRecord, Sections};
use dnstapd::wire::edns::Edns;
use dnstapd::wire::name::NAME_MAX;
use dnstapd::wire::rdata::{NameForm, write_known, write_unknown};
use domain::base::name::ToLabelIter;
use domain::base::opt::UnknownOptData;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;

/// Checks a message of any bytes: each answer has a text of printable ASCII, and the form of unknown types
/// gives its data back.
pub fn check_message(message: &[u8]) {
    let Some(sections) = Sections::of(message) else { return };
    let mut count = 0;
    for record in sections.answers() {
        count += 1;
        check_record(&record);
    }
    assert!(count <= usize::from(sections.answer_count));
    check_domain(message, &sections);
    if let Some(edns) = Edns::of(message) {
        assert!(edns.errors().count() <= message.len() / 6);
        check_options(message, &edns);
        if let Some(subnet) = edns.subnet() {
            let bits =
                if subnet.address(subnet.prefix).is_some_and(|address| address.is_ipv4()) { 32 } else { 128 };
            assert!(subnet.address(subnet.prefix).is_none() || subnet.bits <= bits);
        }
    }
}

/// Checks data of a type: its number in the first two bytes.
pub fn check(bytes: &[u8]) {
    let Some((rr_type, data)) = bytes.split_first_chunk::<2>() else { return };
    let Ok(length) = u16::try_from(data.len()) else { return };
    let head = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x01\0\x01\xc0\x0c";
    let message = [&head[..], &rr_type[..], b"\0\x01\0\0\0\x3c", &length.to_be_bytes(), data].concat();
    check_message(&message);
    let record = Sections::of(&message).expect("sections").answers().next().expect("one answer");
    assert_eq!((record.rr_type.0.to_be_bytes(), record.data, record.ttl), (*rr_type, data, 60));
}

fn check_record(record: &AnswerRecord<'_>) {
    let text = |names| {
        let mut text = String::new();
        write_known(record, names, &mut text).ok().map(|()| text)
    };
    let (dotted, bare) = (text(NameForm::FinalDot), text(NameForm::NoFinalDot));
    assert_eq!(dotted.is_some(), bare.is_some());
    let mut unknown = String::new();
    write_unknown(record, &mut unknown).expect("room enough");
    for text in [dotted.as_deref(), bare.as_deref(), Some(&unknown)].into_iter().flatten() {
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
    }
    if let (Some(dotted), Some(bare)) = (&dotted, &bare) {
        assert!(!dotted.is_empty() && bare.len() <= dotted.len());
    }
    let mut words = unknown.split(' ');
    assert_eq!(words.next(), Some("\\#"));
    assert_eq!(words.next(), Some(&*record.data.len().to_string()));
    let digits = words.next().unwrap_or_default().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    let data: Vec<u8> = digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    assert_eq!(data, record.data);
}

/// Checks that `domain` reads the same records.
fn check_domain(message: &[u8], sections: &Sections<'_>) {
    let Ok(theirs) = Message::from_slice(message).map_err(drop).and_then(|all| all.answer().map_err(drop))
    else {
        return;
    };
    for (ours, theirs) in sections.answers().zip(theirs.map_while(Result::ok)) {
        assert_eq!((ours.rr_type.0, ours.class.0), (theirs.rtype().to_int(), theirs.class().to_int()));
        assert_eq!(ours.ttl, theirs.ttl().as_secs());
        let mut room = [0; NAME_MAX];
        if let Some(name) = ours.name(&mut room) {
            assert_eq!(name.to_string(), name_text(&theirs.owner()));
        }
        let mut text = String::new();
        let text = write_known(&ours, NameForm::FinalDot, &mut text).ok().map(|()| text);
        match (text, expected(&theirs)) {
            (Some(text), Expected::Whole(expected)) => assert_eq!(text, expected),
            (Some(text), Expected::Beginning(expected)) => {
                assert!(text.starts_with(&expected), "{text} {expected}")
            }
            (Some(text), Expected::Broken) => panic!("domain does not read {text}"),
            (Some(text), Expected::Other) => panic!("a type that we do not know: {text}"),
            (None, Expected::Whole(expected)) => {
                let has_pointer = message.iter().any(|byte| *byte >= 0xc0);
                let is_empty_text = ours.rr_type.0 == 16 && ours.data.is_empty();
                assert!(ours.class.0 != 1 || has_pointer || is_empty_text, "{expected}");
            }
            // What is wrong of a service is asked above, by dnspython's data and by hand.
            (None, Expected::Beginning(_) | Expected::Broken | Expected::Other) => {}
        }
    }
}

/// The text of a record, as `domain` reads it.
enum Expected {
    Whole(String),
    Beginning(String),
    Broken,
    Other,
}

fn expected(record: &ParsedRecord<'_, [u8]>) -> Expected {
    let Ok(record) = record.to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>() else {
        return Expected::Broken;
    };
    Expected::Whole(match record.data() {
        AllRecordData::A(data) => data.addr().to_string(),
        AllRecordData::Aaaa(data) => data.addr().to_string(),
        AllRecordData::Ns(data) => name_text(data.nsdname()),
        AllRecordData::Cname(data) => name_text(data.cname()),
        AllRecordData::Ptr(data) => name_text(data.ptrdname()),
        AllRecordData::Mx(data) => format!("{} {}", data.preference(), name_text(data.exchange())),
        AllRecordData::Srv(data) => {
            let target = name_text(data.target());
            format!("{} {} {} {target}", data.priority(), data.weight(), data.port())
        }
        AllRecordData::Soa(data) => {
            let numbers = [
                data.serial().into_int(),
                data.refresh().as_secs(),
                data.retry().as_secs(),
                data.expire().as_secs(),
                data.minimum().as_secs(),
            ];
            let numbers = numbers.map(|number| number.to_string()).join(" ");
            format!("{} {} {numbers}", name_text(data.mname()), name_text(data.rname()))
        }
        AllRecordData::Txt(data) => data.iter().map(quoted).collect::<Vec<_>>().join(" "),
        AllRecordData::Caa(data) => {
            let tag = data.tag().to_string();
            if tag.is_empty() {
                return Expected::Broken;
            }
            format!("{} {tag} {}", data.flags().bits(), quoted(data.value()))
        }
        AllRecordData::Svcb(data) => {
            return Expected::Beginning(format!("{} {}", data.priority(), name_text(data.target())));
        }
        AllRecordData::Https(data) => {
            return Expected::Beginning(format!("{} {}", data.priority(), name_text(data.target())));
        }
        _ => return Expected::Other,
    })
}

/// A name by its labels, escaped once more by hand.
fn name_text(name: &impl ToLabelIter) -> String {
    let mut text = String::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        for &byte in label.as_slice() {
            match byte {
                b'.' | b'\\' | b'"' => text.extend(['\\', char::from(byte)]),
                0x21..=0x7e => text.push(char::from(byte)),
                _ => text += &format!("\\{byte:03}"),
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn quoted(bytes: &[u8]) -> String {
    let characters = bytes.iter().map(|&byte| match byte {
        b'\\' | b'"' => format!("\\{}", char::from(byte)),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\{byte:03}"),
    });
    format!("\"{}\"", characters.collect::<String>())
}

/// Checks that `domain` reads the same OPT record, where it reads one.
fn check_options(message: &[u8], edns: &Edns<'_>) {
    let Some(theirs) = Message::from_slice(message).ok().and_then(|message| message.opt()) else { return };
    assert_eq!(
        (edns.version, edns.size, edns.is_do),
        (theirs.version(), theirs.udp_payload_size(), theirs.dnssec_ok())
    );
    let options: Vec<_> = theirs.opt().iter::<UnknownOptData<_>>().map_while(Result::ok).collect();
    let of = |code: u16| {
        options.iter().filter(move |option| option.code().to_int() == code).map(UnknownOptData::as_slice)
    };
    assert_eq!(edns.cookie(), of(10).next());
    assert_eq!(edns.name_server(), of(3).next());
    let errors = edns.errors().map(|error| [&error.code.to_be_bytes(), error.text].concat());
    assert!(errors.eq(of(15).filter(|data| data.len() >= 2)));
    let subnet = edns.subnet().map(|subnet| (subnet.family, subnet.bits, subnet.prefix));
    let theirs = of(8).next().and_then(|data| {
        let [high, low, bits, _, prefix @ ..] = data else { return None };
        Some((u16::from_be_bytes([*high, *low]), *bits, prefix))
    });
    assert_eq!(subnet, theirs);
}
