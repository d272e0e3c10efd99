//! Packets, one after the other, and the messages made of them.

use dnstapd::capture::{Captured, Dissector, DissectorSettings, Ignored, LinkLayer};
use dnstapd::limits::{self, Limits};
use dnstapd::reasons::Tally;
use dnstapd::time::Time;
use dnstapd::wire::dnstap::Dnstap;
use dnstapd::wire::iana::{Family, Protocol};

/// Addresses that are ours.
pub const LOCAL: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Checks that whatever comes is taken, and that a message is one: parsed again it has two ends, a time and a
/// DNS header that agrees with its kind. Gives how many there were.
///
/// ```text
/// | link 2 bits, seconds since the last packet 6 bits | length 2 | packet ... | link ...
/// ```
pub fn check(mut bytes: &[u8]) -> u64 {
    let mut path =
        Dissector::new(DissectorSettings::default(), &Limits::resolve(&limits::Section::default()));
    path.set_local(&LOCAL.map(|address| address.parse().expect("an address")), &[]);
    let ignored = Tally::<Ignored>::default();
    let (mut seconds, mut all) = (1_700_000_000, 0);
    while let Some((&[head, high, low], rest)) = bytes.split_first_chunk() {
        let (packet, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([high, low]))));
        bytes = rest;
        seconds += u64::from(head >> 2);
        let link =
            [LinkLayer::Ethernet, LinkLayer::Raw, LinkLayer::Cooked(0x0800), LinkLayer::Cooked(0x8100)]
                [usize::from(head & 3)];
        let time = Time::new(seconds, 7).expect("a time");
        let before = ignored.total();
        let mut messages = 0;
        path.take(
            Captured { link, time: Some(time), clock: seconds * 1_000, bytes: packet },
            &|reason| ignored.count(reason),
            &mut |frame| {
                messages += 1;
                check_message(frame, seconds);
            },
        );
        assert!(messages + (ignored.total() - before) <= packet.len() as u64 + 70_000);
        all += messages;
    }
    all
}

fn check_message(frame: &[u8], seconds: u64) {
    let dnstap = Dnstap::parse(frame).expect("a message");
    assert_eq!(dnstap.identity, Some(&b"sniffer"[..]));
    let message = dnstap.message;
    let is_response = message.message_type.is_response();
    let (payload, time) = if is_response {
        (message.response_message, message.response_time)
    } else {
        (message.query_message, message.query_time)
    };
    let payload = payload.expect("a payload");
    assert!(payload.len() >= 12);
    assert_eq!(payload[2] & 0x80 != 0, is_response);
    // Of its first byte, which may have waited for the rest.
    assert!(
        (1_700_000_000..=seconds).contains(&time.seconds.expect("a time")) && time.nanoseconds == Some(7)
    );
    let length = if message.socket_family == Some(Family::INET) { 4 } else { 16 };
    let addresses =
        [message.query_address, message.response_address].map(|address| address.expect("an address"));
    assert_eq!(addresses.map(<[u8]>::len), [length; 2]);
    assert!([message.query_port, message.response_port].contains(&Some(53)));
    assert!([Some(Protocol::UDP), Some(Protocol::TCP)].contains(&message.socket_protocol));
}
