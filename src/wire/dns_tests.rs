//! Messages of real servers, whole, cut and odd.

use super::*;

/// A response of BADVERS to a query for `ns2.google.com.` HTTPS: header, question, OPT.
const BADVERS: &[u8] = b"\
    \x1a\x2b\
    \x81\xb0\
    \x00\x01\x00\x00\x00\x00\x00\x01\
    \x03ns2\x06google\x03com\x00\x00\x41\x00\x01\
    \x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00";

/// A response with an answer by pointer, an authority and a glue record, and OPT after it.
const ANSWER: &[u8] = b"\
    \x00\x01\x84\x00\
    \x00\x01\x00\x01\x00\x01\x00\x02\
    \x01a\x02fr\x00\x00\x01\x00\x01\
    \xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x01\
    \xc0\x0e\x00\x02\x00\x01\x00\x00\x0e\x10\x00\x05\x02ns\xc0\x0e\
    \x02ns\xc0\x0e\x00\x1c\x00\x01\x00\x00\x0e\x10\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
    \x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";

#[test]
fn a_query_with_everything() {
    let summary = Summary::parse(BADVERS);
    assert_eq!(summary.id, Some(0x1a2b));
    assert_eq!(summary.flags.unwrap().to_string(), "QR RD RA AD CD");
    assert_eq!(summary.opcode, Some(Opcode(0)));
    assert_eq!(summary.rcode.unwrap().to_string(), "BADVERS");
    let question = summary.question.unwrap();
    assert_eq!(question.name.to_string(), "ns2.google.com.");
    assert_eq!(question.qtype.unwrap().to_string(), "HTTPS");
    assert_eq!(question.qclass.unwrap().to_string(), "IN");
    assert_eq!(summary.malformed, None);
}

#[test]
fn every_prefix_gives_what_there_is() {
    for (message, sections) in [(BADVERS, 32), (ANSWER, 22)] {
        let whole = Summary::parse(message);
        assert_eq!(whole.malformed, None);
        for cut in 0..message.len() {
            let summary = Summary::parse(&message[..cut]);
            assert_eq!(summary.id, if cut < 2 { None } else { whole.id });
            assert_eq!(summary.flags, if cut < 4 { None } else { whole.flags });
            assert_eq!(summary.rcode.is_some(), cut >= 4);
            let expected = match cut {
                0 => None,
                1..12 => Some(Malformed::ShortHeader),
                _ if cut < sections - 4 => Some(Malformed::Name(NameError::Truncated)),
                _ if cut < sections => Some(Malformed::Question),
                _ => Some(Malformed::Records),
            };
            assert_eq!(summary.malformed, expected, "{cut}");
            let name = summary.question.as_ref().map(|question| &question.name);
            let whole_question = whole.question.as_ref().unwrap();
            assert_eq!(name, (cut >= sections - 4).then_some(&whole_question.name), "{cut}");
            let qtype = summary.question.and_then(|question| question.qtype);
            assert_eq!(qtype, if cut < sections - 2 { None } else { whole_question.qtype });
        }
    }
}

#[test]
fn records_before_opt_are_stepped_over() {
    let summary = Summary::parse(ANSWER);
    assert_eq!((summary.rcode, summary.malformed), (Some(Rcode(0)), None));
    let mut extended = ANSWER.to_vec();
    let upper = extended.len() - 6;
    extended[upper] = 0xff;
    extended[3] = 0x0f;
    assert_eq!(Summary::parse(&extended).rcode, Some(Rcode(0xfff)));
}

#[test]
fn opt_counts_only_where_it_belongs() {
    // The same records, but OPT is the answer.
    let mut message = BADVERS.to_vec();
    (message[7], message[11]) = (1, 0);
    assert_eq!(Summary::parse(&message).rcode, Some(Rcode(0)));
    // Two of them (RFC 6891, 6.1.1: FORMERR): the first counts.
    let mut message = BADVERS.to_vec();
    message[11] = 2;
    message.extend(b"\x00\x00\x29\x04\xd0\x05\x00\x00\x00\x00\x00");
    assert_eq!(Summary::parse(&message).rcode, Some(Rcode(16)));
}

#[test]
fn what_came_before_the_cut_counts() {
    // BADVERS, and a record behind OPT that is not there.
    let mut message = BADVERS.to_vec();
    message[11] = 2;
    let summary = Summary::parse(&message);
    assert_eq!((summary.rcode, summary.malformed), (Some(Rcode(16)), Some(Malformed::Records)));
}

#[test]
fn no_payload_is_not_malformed() {
    assert_eq!(Summary::parse(b""), Summary::default());
}

#[test]
fn no_question() {
    // A DNS cookie request: header and OPT only (RFC 7873, 5.4).
    let message = b"\0\x07\x01\0\0\0\0\0\0\0\0\x01\x00\x00\x29\x04\xd0\0\0\0\0\0\x0c\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08";
    let summary = Summary::parse(message);
    assert_eq!((summary.question, summary.malformed), (None, None));
    assert_eq!(summary.rcode, Some(Rcode(0)));
}

#[test]
fn odd_questions() {
    let ask = |name: &[u8], qtype: u16, qclass: u16| {
        let header = b"\0\0\x01\0\0\x01\0\0\0\0\0\0";
        let message = [header, name, &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat();
        let summary = Summary::parse(&message);
        let question = summary.question.unwrap();
        assert_eq!(summary.malformed, None);
        format!("{} {} {}", question.name, question.qclass.unwrap(), question.qtype.unwrap())
    };
    assert_eq!(ask(b"\0", 64, 1), ". IN SVCB");
    assert_eq!(ask(b"\x07version\x04bind\0", 16, 3), "version.bind. CH TXT");
    assert_eq!(ask(b"\x04\xff\0. \x01x\0", 65535, 9), r"\255\000\.\032.x. CLASS9 TYPE65535");
    assert_eq!(ask(b"\x01x\0", 0, 254), "x. NONE TYPE0");
    assert_eq!(ask(b"\x01x\0", 43, 255), "x. ANY DS");
}

#[test]
fn bad_names_have_their_reason() {
    let malformed =
        |name: &[u8]| Summary::parse(&[&b"\0\0\0\0\0\x01\0\0\0\0\0\0"[..], name].concat()).malformed;
    assert_eq!(malformed(b"\xc0\x0c\0\x01\0\x01"), Some(Malformed::Name(NameError::Pointer)));
    assert_eq!(malformed(b"\x40\0\0\x01\0\x01"), Some(Malformed::Name(NameError::LabelType)));
    assert_eq!(malformed(&b"\x01a".repeat(130)), Some(Malformed::Name(NameError::Truncated)));
    let long = [b"\x01a".repeat(130), vec![0]].concat();
    assert_eq!(malformed(&long), Some(Malformed::Name(NameError::TooLong)));
}

#[test]
fn counts_that_lie_end_at_the_end() {
    let message = b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x00\0\x01\0\x01";
    let summary = Summary::parse(message);
    assert!(summary.question.is_some());
    assert_eq!(summary.malformed, Some(Malformed::Records));
}

#[test]
fn flags_are_printed_in_order() {
    assert_eq!(Flags(0xffff).to_string(), "QR AA TC RD RA AD CD");
    assert_eq!(Flags(0).to_string(), "");
    // Opcode, Z and rcode are not flags.
    assert_eq!(Flags(0x784f).to_string(), "");
    for ((bit, name), next) in Flags::NAMED.into_iter().zip(Flags::NAMED.into_iter().skip(1)) {
        assert_eq!(Flags(bit).to_string(), name);
        assert!(bit > next.0);
    }
    assert_eq!(Flags(0x2800).opcode().to_string(), "UPDATE");
}

#[test]
fn the_text_of_flags_is_their_names() {
    for number in 0..=u16::MAX {
        let (text, length) = Flags(number).text();
        assert_eq!(&text[..length], Flags(number).to_string().as_bytes());
    }
}
