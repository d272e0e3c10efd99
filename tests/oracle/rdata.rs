//! Records in presentation form, and the options of EDNS.

use dnstapd::wire::answers::{AnswerRecord, Sections};
use dnstapd::wire::edns::Edns;
use dnstapd::wire::rdata::{NameForm, write_known, write_unknown};

/// Checks a message of any bytes: each answer has a text of printable ASCII, and the form of unknown types gives its data back.
pub fn check_message(message: &[u8]) {
    let Some(sections) = Sections::of(message) else { return };
    let mut count = 0;
    for record in sections.answers() {
        count += 1;
        check_record(&record);
    }
    assert!(count <= usize::from(sections.answer_count));
    if let Some(edns) = Edns::of(message) {
        assert!(edns.errors().count() <= message.len() / 6);
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
