//! Frames as servers send them, and as nobody should.

use super::*;

/// CLIENT_RESPONSE over UDP, with everything a resolver fills in but the payload cut to its header.
const RESPONSE: &[u8] = b"\
    \x0a\x03lb2\
    \x12\x05pdns1\
    \x72\x43\
        \x08\x06\
        \x10\x01\
        \x18\x01\
        \x22\x04\xc0\x00\x02\x0a\
        \x2a\x04\xc0\x00\x02\x35\
        \x30\xd0\x86\x03\
        \x38\x35\
        \x40\xd9\x8a\x89\xfb\x05\
        \x4d\x80\x0d\x5b\x20\
        \x5a\x05\x03com\x00\
        \x60\xd9\x8a\x89\xfb\x05\
        \x6d\x00\x6d\x37\x23\
        \x72\x0c\x1a\x2b\x81\x80\0\0\0\0\0\0\0\0\
    \x78\x01";

#[test]
fn a_response_as_it_is_sent() {
    let dnstap = Dnstap::parse(RESPONSE).unwrap();
    let expected = Dnstap {
        identity: Some(b"lb2"),
        version: Some(b"pdns1"),
        extra: None,
        message: Message {
            message_type: MessageType::CLIENT_RESPONSE,
            socket_family: Some(Family::INET),
            socket_protocol: Some(Protocol::UDP),
            query_address: Some(&[192, 0, 2, 10]),
            response_address: Some(&[192, 0, 2, 53]),
            query_port: Some(50000),
            response_port: Some(53),
            query_time: SentTime::new(1_600_275_801, 542_838_144),
            query_zone: Some(b"\x03com\0"),
            response_time: SentTime::new(1_600_275_801, 590_834_944),
            response_message: Some(b"\x1a\x2b\x81\x80\0\0\0\0\0\0\0\0"),
            ..Message::default()
        },
    };
    assert_eq!(dnstap, expected);
}

#[test]
fn every_prefix_is_refused() {
    for cut in 0..RESPONSE.len() {
        let whole_fields = [0, 5, 12, RESPONSE.len() - 2].contains(&cut);
        let expected = if whole_fields { Reject::MissingType } else { Reject::Truncated };
        assert_eq!(Dnstap::parse(&RESPONSE[..cut]), Err(expected), "{cut}");
    }
}

/// A frame of this message and nothing else.
fn frame(message: &[u8]) -> Vec<u8> {
    [&[0x72, u8::try_from(message.len()).unwrap()], message, &[0x78, 0x01]].concat()
}

#[test]
fn the_rest_of_the_fields() {
    let policy = b"\x0a\x03RPZ\x12\x05\x03bad\0\x18\x01\x20\x02\x2a\x02ip";
    let message = [&b"\x08\x05\x52\x02qq\x7a\x14"[..], policy, b"\x80\x01\x02"].concat();
    let frame = [&b"\x1a\x04more"[..], &frame(&message)].concat();
    let dnstap = Dnstap::parse(&frame).unwrap();
    assert_eq!(dnstap.extra, Some(&b"more"[..]));
    assert_eq!(dnstap.message.query_message, Some(&b"qq"[..]));
    assert_eq!(dnstap.message.http_protocol, Some(HttpProtocol(2)));
    let expected = Policy {
        policy_type: Some(b"RPZ"),
        rule: Some(b"\x03bad\0"),
        action: Some(1),
        matched: Some(2),
        value: Some(b"ip"),
    };
    assert_eq!(dnstap.message.policy, Some(expected));
}

#[test]
fn what_is_not_required_is_not_there() {
    let frame = frame(b"\x08\x05");
    let dnstap = Dnstap::parse(&frame).unwrap();
    let message = Message { message_type: MessageType::CLIENT_QUERY, ..Message::default() };
    assert_eq!(dnstap, Dnstap { message, ..Dnstap::default() });
    assert_eq!(dnstap.message.query_time.parts(), None);
}

#[test]
fn any_order_and_repetition() {
    // Type, message, identity twice, message again: scalars of the second go over those of the first.
    let frame = b"\x78\x01\x72\x04\x08\x05\x30\x01\x0a\x01a\x0a\x01b\x72\x04\x30\x02\x38\x03\x78\x01";
    let dnstap = Dnstap::parse(frame).unwrap();
    assert_eq!(dnstap.identity, Some(&b"b"[..]));
    assert_eq!(dnstap.message.message_type, MessageType::CLIENT_QUERY);
    assert_eq!((dnstap.message.query_port, dnstap.message.response_port), (Some(2), Some(3)));
}

#[test]
fn unknown_fields_are_stepped_over() {
    // Fields 17 (varint), 18 (8 bytes), 19 (bytes), 20 (4 bytes), and 536870911, the largest.
    let unknown = b"\x88\x01\x96\x01\x91\x01\x08\x07\x06\x05\x04\x03\x02\x01\x9a\x01\x02ab\xa5\x01\x04\x03\x02\x01\xf8\xff\xff\xff\x0f\x01";
    let message = [&unknown[..], b"\x08\x05", unknown].concat();
    let frame = [unknown, &frame(&message)[..], unknown].concat();
    assert_eq!(Dnstap::parse(&frame).unwrap().message.message_type, MessageType::CLIENT_QUERY);
}

#[test]
fn numbers_are_kept_as_they_are() {
    let message = |bytes: &[u8]| {
        let frame = frame(bytes);
        let message = Dnstap::parse(&frame).unwrap().message;
        (message.message_type.0, message.query_port, message.query_time)
    };
    // An enumerator of -1 and a port above 65535; a tag in more bytes than it needs.
    assert_eq!(message(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").0, u32::MAX);
    assert_eq!(message(b"\x08\x63\x30\x80\x80\x04").1, Some(65536));
    assert_eq!(message(b"\x88\x80\x00\x05").0, 5);
    // A billion nanoseconds, and no seconds.
    let time = message(b"\x08\x05\x4d\x00\xca\x9a\x3b").2;
    assert_eq!(time, SentTime { seconds: None, nanoseconds: Some(1_000_000_000) });
}

#[test]
fn each_reason_to_refuse() {
    let check = |frame: &[u8], reject| assert_eq!(Dnstap::parse(frame), Err(reject), "{frame:x?}");
    check(b"", Reject::MissingType);
    check(b"\x72\x02\x08\x05", Reject::MissingType);
    check(b"\x78\x02\x72\x02\x08\x05", Reject::NotMessage);
    check(b"\x78\x01", Reject::MissingMessage);
    check(b"\x78\x01\x72\x00", Reject::MissingMessageType);
    check(b"\x78\x01\x72\x02\x10\x01", Reject::MissingMessageType);
    check(b"\x02\x00", Reject::FieldNumber);
    check(b"\x0b", Reject::Group);
    check(b"\x0c", Reject::Group);
    check(b"\x0e\x00", Reject::UnknownWireType);
    check(b"\x0f\x00", Reject::UnknownWireType);
    check(b"\x08\x01", Reject::WrongWireType);
    check(b"\x7a\x01\x01", Reject::WrongWireType);
    check(b"\x78\x01\x72\x03\x0a\x01\x05", Reject::WrongWireType);
    check(b"\x78\x01\x72\x06\x08\x05\x82\x01\x01\x05", Reject::WrongWireType);
    check(b"\x78\x01\x72\x07\x08\x05\x7a\x03\x28\x80\x01", Reject::WrongWireType);
    check(b"\x78\x01\x72\x05\x08\x05\x7a\x01\x18", Reject::Truncated);
    check(&[&[0x78][..], &[0xff; 11]].concat(), Reject::Varint);
    check(&[&[0x78][..], &[0xff; 9]].concat(), Reject::Truncated);
    // A length of 2^32 and 3 more, of which only 3 are there.
    check(b"\x0a\x83\x80\x80\x80\x10abc", Reject::Truncated);
    // A submessage that reaches over its parent's end.
    check(b"\x72\x03\x22\x04\x01\x02\x03\x04\x78\x01", Reject::Truncated);
}
