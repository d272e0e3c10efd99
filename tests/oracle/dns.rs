//! DNS messages as two libraries read them.
//!
//! Whatever `dns-parser` accepts, and whatever `domain` finds, our summary must have as well. Where we
//! differ:
//!
//! * A qname with a pointer is none to us, since there is no name before it. To both libraries it may be,
//!   when the bytes of the header happen to look like labels.
//! * A name of more than 255 bytes is one to dns-parser.

use super::text;
use dnstapd::wire::dns::{HEADER_BYTES, Malformed, Question, Summary};
use dnstapd::wire::iana::{Class, Opcode, Rcode, RrType};
use dnstapd::wire::name::NameError;
use domain::base::{Message, name::ToLabelIter};
use std::panic::catch_unwind;

/// Checks the summary of any bytes against itself and against both libraries.
pub fn check(payload: &[u8]) {
    let summary = Summary::parse(payload);
    check_alone(payload, &summary);
    check_domain(payload, &summary);
    check_dns_parser(payload, &summary);
}

/// Checks what a summary says of itself.
fn check_alone(payload: &[u8], summary: &Summary<'_>) {
    assert_eq!(summary.id.is_some(), payload.len() >= 2);
    assert_eq!(summary.flags.is_some(), payload.len() >= 4);
    assert_eq!(summary.opcode.is_some(), summary.flags.is_some());
    assert_eq!(summary.rcode.is_some(), summary.flags.is_some());
    let short = (1..HEADER_BYTES).contains(&payload.len());
    assert_eq!(summary.malformed == Some(Malformed::ShortHeader), short);
    if let Some(Question { name, qtype, qclass }) = &summary.question {
        text::check_name(name);
        assert!(qtype.is_some() || qclass.is_none());
        assert_eq!(qclass.is_none(), summary.malformed == Some(Malformed::Question));
    }
    assert!(!matches!(summary.malformed, Some(Malformed::Name(_))) || summary.question.is_none());
    // A longer message says the same of what was there already.
    if summary.malformed.is_none() && !payload.is_empty() {
        assert_eq!(&Summary::parse(&[payload, &[0xff]].concat()), summary);
    }
}

/// Checks that our summary is what `domain` finds.
fn check_domain(payload: &[u8], summary: &Summary<'_>) {
    let Ok(message) = Message::from_slice(payload) else {
        assert!(payload.len() < HEADER_BYTES);
        return;
    };
    let header = message.header();
    assert_eq!(summary.id, Some(header.id()));
    assert_eq!(summary.opcode, Some(Opcode(header.opcode().to_int())));
    let flags = summary.flags.expect("a header").to_string();
    let theirs = header.flags().to_string();
    assert_eq!(flags, theirs);

    let whole = summary.question.as_ref().filter(|question| question.qclass.is_some());
    match (message.first_question(), whole) {
        (Some(theirs), Some(ours)) => {
            let labels: Vec<_> = theirs.qname().iter_labels().map(|label| label.as_slice()).collect();
            assert_eq!(labels.split_last().expect("the root").1, ours.name.labels().collect::<Vec<_>>());
            assert_eq!(ours.qtype, Some(RrType(theirs.qtype().to_int())));
            assert_eq!(ours.qclass, Some(Class(theirs.qclass().to_int())));
        }
        (None, None) => {}
        (Some(_), None) => assert_eq!(summary.malformed, Some(Malformed::Name(NameError::Pointer))),
        (None, Some(_)) => panic!("a question that domain does not see"),
    }
    if let Some(opt) = message.opt()
        && !matches!(summary.malformed, Some(Malformed::Name(_)))
    {
        assert_eq!(summary.rcode, Some(Rcode(opt.rcode(header).to_int())));
    }
}

/// Checks that our summary is what `dns-parser` accepts. It may panic on what it does not.
fn check_dns_parser(payload: &[u8], summary: &Summary<'_>) {
    // It reserves memory for as many records as the header says; a few are enough for a judge.
    let many = payload.get(4..HEADER_BYTES).is_none_or(|counts| counts.chunks(2).any(|count| count[0] > 0));
    let Ok(Ok(packet)) =
        catch_unwind(|| (!many).then(|| dns_parser::Packet::parse(payload).ok()).flatten().ok_or(()))
    else {
        return;
    };
    let header = packet.header;
    assert_eq!(summary.id, Some(header.id));
    let opcode: u16 = header.opcode.into();
    assert_eq!(summary.opcode, Some(Opcode(opcode as u8)));
    let named = [
        (!header.query, "QR"),
        (header.authoritative, "AA"),
        (header.truncated, "TC"),
        (header.recursion_desired, "RD"),
        (header.recursion_available, "RA"),
        (header.authenticated_data, "AD"),
        (header.checking_disabled, "CD"),
    ];
    let flags: Vec<_> = named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    assert_eq!(summary.flags.expect("a header").to_string(), flags.join(" "));

    let Some(theirs) = packet.questions.first() else {
        assert!(summary.question.is_none() && summary.malformed.is_none());
        return;
    };
    if matches!(summary.malformed, Some(Malformed::Name(NameError::Pointer | NameError::TooLong))) {
        return;
    }
    assert_eq!(summary.malformed, None);
    let ours = summary.question.as_ref().expect("a question");
    // It escapes nothing, and writes the root as a dot too many or not at all.
    let labels: Vec<_> =
        ours.name.labels().map(|label| String::from_utf8_lossy(label).into_owned()).collect();
    assert_eq!(theirs.qname.to_string().trim_end_matches('.'), labels.join(".").trim_end_matches('.'));
    assert_eq!(ours.qtype, Some(RrType(theirs.qtype as u16)));
    assert_eq!(ours.qclass.expect("a class").0 & 0x7fff, theirs.qclass as u16);
    if let Some(opt) = packet.opt {
        let lower: u8 = header.response_code.into();
        assert_eq!(summary.rcode, Some(Rcode(u16::from(opt.extrcode) << 4 | u16::from(lower))));
    }
}
