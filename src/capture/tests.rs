//! Packets made by hand, cut, mixed up and repeated, and what comes out of them.

use super::*;
use crate::reasons::Tally;
use crate::wire::dnstap::Dnstap;
use crate::wire::iana::MessageType;
use proptest::prelude::*;

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.99";
const HERE6: &str = "2001:db8::1";
const THERE6: &str = "2001:db8::99";

fn path(records: RecordedKinds) -> Dissector {
    let mut path = Dissector::new(
        DissectorSettings { records, ..DissectorSettings::default() },
        &Limits::resolve(&limits::Section::default()),
    );
    path.set_local(&[HERE.parse().unwrap(), HERE6.parse().unwrap()], &[]);
    path
}

#[test]
fn a_frame_says_who_is_near() {
    let mut path = path(EVERYTHING);
    let subnet =
        |address: &str, mask: &str| Subnet::new(address.parse().unwrap(), mask.parse().unwrap()).unwrap();
    path.set_local(&[], &[subnet(HERE, "255.255.255.0"), subnet(HERE6, "ffff:ffff::")]);
    let neighbour = |link, tag: &[u8], mac: [u8; 6], kind: u16, packet: &[u8]| {
        let frame = [&[0xff; 6][..], &mac, tag, &kind.to_be_bytes(), packet].concat();
        // However it is cut, nothing but less is found.
        for end in 0..frame.len() {
            path.neighbour(&Captured { link, time: None, clock: 0, bytes: &frame[..end] });
        }
        path.neighbour(&Captured { link, time: None, clock: 0, bytes: &frame })
    };
    let mac = [2, 0, 0, 0, 0, 5];
    let (v4, v6) = (ip(THERE, HERE, 17, None, b"x"), ip(THERE6, HERE6, 17, None, b"x"));
    let found = |address: &str| Some((address.parse().unwrap(), mac));
    assert_eq!(neighbour(LinkLayer::Ethernet, &[], mac, 0x0800, &v4), found(THERE));
    assert_eq!(neighbour(LinkLayer::Ethernet, &[], mac, 0x86dd, &v6), found(THERE6));
    let tags = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2];
    assert_eq!(neighbour(LinkLayer::Ethernet, &tags, mac, 0x0800, &v4), found(THERE));
    let far = ip("198.51.100.7", HERE, 17, None, b"x");
    for (link, mac, kind, packet) in [
        (LinkLayer::Ethernet, mac, 0x0800, &far),
        (LinkLayer::Ethernet, mac, 0x0806, &v4),
        (LinkLayer::Ethernet, [3, 0, 0, 0, 0, 5], 0x0800, &v4),
        (LinkLayer::Ethernet, [0; 6], 0x0800, &v4),
        (LinkLayer::Raw, mac, 0x0800, &v4),
    ] {
        assert_eq!(neighbour(link, &[], mac, kind, packet), None, "{link:?} {mac:?} {kind:x}");
    }
}

const EVERYTHING: RecordedKinds = RecordedKinds::EVERY;

fn at(seconds: u64) -> Time {
    Time::new(1_000_000 + seconds, 5).unwrap()
}

fn tally() -> Tally<Ignored> {
    Tally::default()
}

/// A DNS message of that many bytes, at least 12: a header with some flags and one question, if there is room
/// for it, then filling.
fn dns(id: u16, flags: u16, bytes: usize) -> Vec<u8> {
    let mut message = [id.to_be_bytes(), flags.to_be_bytes(), [0, 1], [0, 0], [0, 0], [0, 0]].concat();
    message.extend(if bytes >= 20 { &b"\x02ab\0\0\x01\0\x01"[..] } else { &[] });
    message.resize(bytes.max(12), id as u8);
    message
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let header = [ports.0.to_be_bytes(), ports.1.to_be_bytes(), length.to_be_bytes(), [0, 0]];
    [&header.concat(), payload].concat()
}

const SYN: u8 = 2;
const FIN: u8 = 1;

/// A segment with four bytes of options.
fn tcp(ports: (u16, u16), sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x60, flags | 0x10, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    segment.extend(payload);
    segment
}

/// An IP packet between two addresses; `part` is offset and whether more follow.
fn ip(from: &str, to: &str, protocol: u8, part: Option<(usize, bool)>, payload: &[u8]) -> Vec<u8> {
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let flags = part.map_or(0, |(offset, more)| (offset / 8) as u16 | if more { 0x2000 } else { 0 });
            let length = 24 + payload.len() as u16;
            let mut packet = vec![0x46, 0];
            packet
                .extend([length.to_be_bytes(), [0, 7], flags.to_be_bytes(), [64, protocol], [0, 0]].concat());
            packet.extend([from.octets(), to.octets(), [1; 4]].concat());
            packet.extend(payload);
            packet
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = part.map(|(offset, more)| {
                [&[protocol, 0][..], &(offset as u16 | u16::from(more)).to_be_bytes(), &[0, 0, 0, 7]].concat()
            });
            let rest = [&header.clone().unwrap_or_default(), payload].concat();
            let next = if header.is_some() { 44 } else { protocol };
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend((rest.len() as u16).to_be_bytes());
            packet.extend([next, 64]);
            packet.extend([from.octets(), to.octets()].concat());
            packet.extend(rest);
            packet
        }
        _ => panic!("two families"),
    }
}

/// The messages that a dissector makes of some packets, each with its second: kinds and payloads.
fn run(
    path: &mut Dissector,
    link: LinkLayer,
    packets: &[(u64, Vec<u8>)],
    ignored: &Tally<Ignored>,
) -> Vec<(MessageType, Vec<u8>)> {
    let mut found = Vec::new();
    for (second, bytes) in packets {
        path.take(
            Captured { link, time: Some(at(*second)), clock: second * 1_000, bytes },
            &|reason| ignored.count(reason),
            &mut |frame| {
                let message = Dnstap::parse(frame).unwrap().message;
                let payload = message.query_message.or(message.response_message).unwrap();
                found.push((message.message_type, payload.to_vec()));
            },
        );
    }
    found
}

fn run_raw(packets: &[Vec<u8>], ignored: &Tally<Ignored>) -> Vec<(MessageType, Vec<u8>)> {
    let packets: Vec<_> = packets.iter().map(|bytes| (0, bytes.clone())).collect();
    run(&mut path(EVERYTHING), LinkLayer::Raw, &packets, ignored)
}

#[test]
fn direction_is_told_from_addresses_and_flags() {
    const QUERY: u16 = 0x0000;
    const QUERY_RD: u16 = 0x0100;
    const RESPONSE: u16 = 0x8000;
    const RESPONSE_RD: u16 = 0x8180;
    for (from, to, flags, expected) in [
        (THERE, HERE, QUERY_RD, Some(MessageType::CLIENT_QUERY)),
        (THERE, HERE, QUERY, Some(MessageType::CLIENT_QUERY)),
        (HERE, THERE, RESPONSE_RD, Some(MessageType::CLIENT_RESPONSE)),
        (HERE6, THERE6, RESPONSE, Some(MessageType::CLIENT_RESPONSE)),
        (HERE, THERE, QUERY, Some(MessageType::RESOLVER_QUERY)),
        (THERE6, HERE6, RESPONSE, Some(MessageType::RESOLVER_RESPONSE)),
        (THERE, HERE, 0x8400, Some(MessageType::RESOLVER_RESPONSE)),
        (HERE6, THERE6, QUERY_RD, Some(MessageType::FORWARDER_QUERY)),
        (THERE, HERE, 0x8500, Some(MessageType::FORWARDER_RESPONSE)),
        (HERE, HERE, QUERY_RD, Some(MessageType::CLIENT_QUERY)),
        ("127.0.0.1", "127.0.0.53", QUERY_RD, Some(MessageType::CLIENT_QUERY)),
        ("127.0.0.53", "127.0.0.1", RESPONSE_RD, Some(MessageType::CLIENT_RESPONSE)),
        (THERE, "192.0.2.7", QUERY_RD, None),
    ] {
        let ports = if flags & 0x8000 == 0 { (4_000, 53) } else { (53, 4_000) };
        let ignored = tally();
        let packet = ip(from, to, ip::UDP, None, &udp(ports, &dns(1, flags, 30)));
        let found = run_raw(&[packet], &ignored);
        assert_eq!(found.first().map(|(kind, _)| *kind), expected, "{from} {to} {flags:#x}");
        assert_eq!(ignored.of(Ignored::Transit), u64::from(expected.is_none()));
    }
}

#[test]
fn each_kind_can_be_switched_off_alone_and_is_counted() {
    let packets = [
        (THERE, HERE, 0x0100),
        (HERE, THERE, 0x8180),
        (HERE, THERE, 0x0000),
        (THERE, HERE, 0x8000),
        (HERE, THERE, 0x0100),
        (THERE, HERE, 0x8180),
    ]
    .map(|(from, to, flags)| {
        let ports = if flags & 0x8000 == 0 { (9, 53) } else { (53, 9) };
        (0, ip(from, to, ip::UDP, None, &udp(ports, &dns(1, flags, 30))))
    });
    let all = run(&mut path(EVERYTHING), LinkLayer::Raw, &packets, &tally());
    let switches: [fn(&mut RecordedKinds) -> &mut bool; 6] = [
        |records| &mut records.client_query,
        |records| &mut records.client_response,
        |records| &mut records.resolver_query,
        |records| &mut records.resolver_response,
        |records| &mut records.forwarder_query,
        |records| &mut records.forwarder_response,
    ];
    for (number, switch) in switches.into_iter().enumerate() {
        let (ignored, mut records) = (tally(), EVERYTHING);
        *switch(&mut records) = false;
        let mut expected = all.clone();
        expected.remove(number);
        assert_eq!(run(&mut path(records), LinkLayer::Raw, &packets, &ignored), expected);
        assert_eq!((ignored.of(Ignored::Unwanted), ignored.total()), (1, 1));
    }
}

#[test]
fn lengths_of_the_headers_are_honoured_not_that_of_the_packet() {
    let message = dns(1, 0x0100, 20);
    let mut packet = ip(THERE, HERE, ip::UDP, None, &udp((9, 53), &message));
    packet.resize(200, 0xee);
    let ethernet = |types: &[u16]| {
        let mut frame = vec![2; 12];
        for (number, kind) in types.iter().enumerate() {
            frame.extend(kind.to_be_bytes());
            frame.extend(if number + 1 < types.len() { &[0, 5][..] } else { &[] });
        }
        [frame, packet.clone()].concat()
    };
    for (link, bytes) in [
        (LinkLayer::Raw, packet.clone()),
        (LinkLayer::Cooked(0x0800), packet.clone()),
        (LinkLayer::Cooked(0x8100), [&[0, 5, 8, 0], packet.as_slice()].concat()),
        (LinkLayer::Ethernet, ethernet(&[0x0800])),
        (LinkLayer::Ethernet, ethernet(&[0x8100, 0x0800])),
        (LinkLayer::Ethernet, ethernet(&[0x88a8, 0x8100, 0x0800])),
    ] {
        let found = run(&mut path(EVERYTHING), link, &[(0, bytes)], &tally());
        assert_eq!(found, [(MessageType::CLIENT_QUERY, message.clone())], "{link:?}");
    }
}

#[test]
fn every_packet_cut_short_is_ignored_once() {
    let message = dns(1, 0x0100, 20);
    for (from, to) in [(THERE, HERE), (THERE6, HERE6)] {
        let packet = ip(from, to, ip::UDP, None, &udp((9, 53), &message));
        for length in 0..packet.len() {
            let ignored = tally();
            let found = run_raw(&[packet[..length].to_vec()], &ignored);
            // The DNS header is what a message needs.
            let whole = length >= packet.len() - 8;
            assert_eq!((found.len(), ignored.total()), (usize::from(whole), u64::from(!whole)), "{length}");
        }
    }
}

#[test]
fn extension_headers_are_stepped_over_before_and_after_fragmentation() {
    let message = dns(1, 0x0100, 100);
    let options = [&[ip::UDP, 1][..], &[1; 14], &udp((9, 53), &message)].concat();
    let whole = ip(THERE6, HERE6, 60, None, &options);
    let first = ip(THERE6, HERE6, 60, Some((0, true)), &options[..64]);
    let last = ip(THERE6, HERE6, 60, Some((64, false)), &options[64..]);
    for packets in [vec![whole], vec![first.clone(), last.clone()], vec![last, first]] {
        assert_eq!(run_raw(&packets, &tally()), [(MessageType::CLIENT_QUERY, message.clone())]);
    }
}

#[test]
fn fragments_that_overlap_end_their_datagram() {
    let datagram = udp((9, 53), &dns(1, 0x0100, 100));
    let piece = |from: usize, to: usize| {
        ip(THERE, HERE, ip::UDP, Some((from, to < datagram.len())), &datagram[from..to])
    };
    let ignored = tally();
    let packets = [piece(0, 64), piece(48, 72), piece(64, 108)];
    assert!(run_raw(&packets, &ignored).is_empty());
    assert_eq!(ignored.of(Ignored::Fragment), 1);
}

#[test]
fn later_fragments_of_others_make_room_first() {
    let datagram = udp((9, 53), &dns(1, 0x0100, 100));
    let mut packets = vec![ip(THERE, HERE, ip::UDP, Some((0, true)), &datagram[..64])];
    for other in 1..=200u8 {
        packets.push(ip(&format!("198.51.100.{other}"), HERE, ip::UDP, Some((1480, true)), &[0; 64]));
    }
    packets.push(ip(THERE, HERE, ip::UDP, Some((64, false)), &datagram[64..]));
    let ignored = tally();
    assert_eq!(run_raw(&packets, &ignored).len(), 1);
    assert_eq!(ignored.of(Ignored::Fragment), 200 + 1 - limits::SNIFFER_DATAGRAMS as u64);
}

/// Messages with their lengths before them.
fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| [&(message.len() as u16).to_be_bytes()[..], message].concat())
        .collect()
}

fn segment(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    ip(THERE, HERE, ip::TCP, None, &tcp((4_000, 53), sequence, flags, payload))
}

#[test]
fn a_connection_that_was_there_before_is_read_from_where_a_message_begins() {
    let messages: Vec<_> = (0..4).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let packets = [segment(1_000, 0, &bytes[10..84]), segment(1_074, 0, &bytes[84..])];
    let ignored = tally();
    let found = run_raw(&packets, &ignored);
    assert_eq!(found.iter().map(|(_, message)| message).collect::<Vec<_>>(), [&messages[2], &messages[3]]);
    assert_eq!(ignored.of(Ignored::Gap), 1);
}

#[test]
fn what_is_missing_is_given_up_in_time_and_at_the_end() {
    let messages: Vec<_> = (0..5).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let part = |n: usize| segment(1 + 42 * n as u32, 0, &bytes[42 * n..42 * (n + 1)]);
    let ids = |found: Vec<(MessageType, Vec<u8>)>| found.iter().map(|(_, m)| m[1]).collect::<Vec<_>>();
    let begin = (0, segment(0, SYN, &[]));
    let in_time = [begin.clone(), (0, part(0)), (0, part(2)), (1, part(3)), (9, part(4))];
    let ignored = tally();
    assert_eq!(ids(run(&mut path(EVERYTHING), LinkLayer::Raw, &in_time, &ignored)), [0, 2, 3, 4]);
    assert_eq!((ignored.of(Ignored::Gap), ignored.total()), (1, 1));
    let at_end = [begin, (0, part(0)), (0, part(2)), (0, segment(1 + 42 * 4, FIN, &bytes[168..]))];
    assert_eq!(ids(run(&mut path(EVERYTHING), LinkLayer::Raw, &at_end, &ignored)), [0, 2, 4]);
}

#[test]
fn connections_beyond_the_table_make_the_oldest_go() {
    let ignored = tally();
    let message = dns(7, 0x0100, 40);
    let bytes = stream(std::slice::from_ref(&message));
    let flows = limits::SNIFFER_FLOWS as u16 + 10;
    let begin = |port| (0, ip(THERE, HERE, ip::TCP, None, &tcp((port, 53), 0, SYN, &[])));
    let go_on = |port| (1, ip(THERE, HERE, ip::TCP, None, &tcp((port, 53), 1, 0, &bytes)));
    let packets: Vec<_> =
        (1_000..1_000 + flows).map(begin).chain((1_000..1_000 + flows).map(go_on)).collect();
    let found = run(&mut path(EVERYTHING), LinkLayer::Raw, &packets, &ignored);
    // Those that had to go are read from where they begin like a message.
    assert_eq!(found.len(), usize::from(flows));
    assert!(ignored.of(Ignored::Connection) >= 10);
}

/// Cuts bytes at some places.
fn cut(bytes: &[u8], places: &[prop::sample::Index], unit: usize) -> Vec<(usize, Vec<u8>)> {
    let mut cuts: Vec<usize> = places
        .iter()
        .map(|place| place.index(bytes.len() / unit + 1) * unit)
        .chain([0, bytes.len()])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|ends| (ends[0], bytes[ends[0]..ends[1]].to_vec())).collect()
}

proptest! {
    /// A datagram in any pieces, in any order, some of them twice, is the datagram.
    #[test]
    fn fragments_in_any_order_are_the_datagram(
        length in 12usize..9_000,
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        order in proptest::collection::vec(any::<u32>(), 10),
        v6: bool,
    ) {
        let message = dns(3, 0x0100, length);
        let datagram = udp((4_000, 53), &message);
        let (from, to) = if v6 { (THERE6, HERE6) } else { (THERE, HERE) };
        let pieces = cut(&datagram, &places, 8);
        let mut packets: Vec<_> = pieces
            .iter()
            .map(|(offset, piece)| {
                let part = Some((*offset, offset + piece.len() < datagram.len()));
                ip(from, to, ip::UDP, part.filter(|_| pieces.len() > 1), piece)
            })
            .collect();
        let mut keys = order.into_iter();
        packets.sort_by_cached_key(|_| keys.next());
        let before_last = packets.len() - 1;
        packets.splice(before_last..before_last, packets[..before_last / 2].to_vec());
        let found = run_raw(&packets, &tally());
        prop_assert_eq!(found, [(MessageType::CLIENT_QUERY, message)]);
    }

    /// Messages in any segments, a little out of order, some of them twice, are the messages in their order.
    #[test]
    fn segments_out_of_order_are_the_messages(
        lengths in proptest::collection::vec(12usize..3_000, 1..20),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), 1usize..4), 0..6),
        first: u32,
    ) {
        let messages: Vec<_> = lengths.iter().enumerate().map(|(id, &n)| dns(id as u16, 0x0100, n)).collect();
        let bytes = stream(&messages);
        let mut segments: Vec<_> = cut(&bytes, &places, 1)
            .into_iter()
            .map(|(offset, piece)| segment(first.wrapping_add(1 + offset as u32), 0, &piece))
            .collect();
        for (place, distance) in swaps {
            let one = place.index(segments.len());
            let other = (one + distance).min(segments.len() - 1);
            segments.swap(one, other);
            segments.insert(other, segments[one].clone());
        }
        let end = segment(first.wrapping_add(1 + bytes.len() as u32), FIN, &[]);
        let packets: Vec<_> = [segment(first, SYN, &[])].into_iter().chain(segments).chain([end]).collect();
        let ignored = tally();
        let found: Vec<_> = run_raw(&packets, &ignored).into_iter().map(|(_, message)| message).collect();
        prop_assert_eq!(ignored.total(), 0);
        prop_assert_eq!(found, messages);
    }

    /// Whatever comes, nothing but counters changes.
    #[test]
    fn anything_at_all_is_taken(packets in proptest::collection::vec((0u64..50, proptest::collection::vec(any::<u8>(), 0..120)), 0..50)) {
        for link in [LinkLayer::Ethernet, LinkLayer::Raw, LinkLayer::Cooked(0x0800), LinkLayer::Cooked(0x86dd)] {
            run(&mut path(EVERYTHING), link, &packets, &tally());
        }
    }
}

/// Ids and seconds of the messages that come out of a dissector for some packets, and at the end of them.
fn run_timed(packets: &[(u64, Vec<u8>)], ignored: &Tally<Ignored>) -> [Vec<(u8, u64)>; 2] {
    let mut dissector = path(EVERYTHING);
    let mut found = Vec::new();
    let ids = |frame: &[u8], found: &mut Vec<(u8, u64)>| {
        let message = Dnstap::parse(frame).unwrap().message;
        let payload = message.query_message.or(message.response_message).unwrap();
        let time = message.query_time.seconds.or(message.response_time.seconds).unwrap();
        found.push((payload[1], time - 1_000_000));
    };
    let mut clock = 0;
    for (second, bytes) in packets {
        clock = second * 1_000;
        let captured = Captured { link: LinkLayer::Raw, time: Some(at(*second)), clock, bytes };
        dissector.take(captured, &|reason| ignored.count(reason), &mut |frame| ids(frame, &mut found));
    }
    let before = found.clone();
    dissector.finish(clock, &|reason| ignored.count(reason), &mut |frame| ids(frame, &mut found));
    assert_eq!(dissector.deadline(), None);
    [before.clone(), found[before.len()..].to_vec()]
}

#[test]
fn a_message_bears_the_time_of_its_first_byte() {
    let messages: Vec<_> = (0..4).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let part = |from: usize, to: usize| segment(1 + from as u32, 0, &bytes[from..to]);
    // Message 1 begins in the second segment, message 2 in the third, which comes before the hole is filled.
    let packets = [
        (0, segment(0, SYN, &[])),
        (1, part(0, 42)),
        (2, part(42, 60)),
        (3, part(80, 168)),
        (4, part(60, 80)),
    ];
    assert_eq!(run_timed(&packets, &tally()), [vec![(0, 1), (1, 2), (2, 3), (3, 3)], vec![]]);
    // What came first keeps its time when it comes again.
    let packets = [(0, segment(0, SYN, &[])), (1, part(42, 84)), (2, part(42, 126)), (2, part(0, 42))];
    assert_eq!(run_timed(&packets, &tally()), [vec![(0, 2), (1, 1), (2, 2)], vec![]]);
}

#[test]
fn a_hole_is_given_up_by_the_clock_though_nothing_more_comes() {
    let messages: Vec<_> = (0..4).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let (ignored, mut dissector, mut found) = (tally(), path(EVERYTHING), 0);
    let mut take = |clock: u64, bytes: Option<&[u8]>| {
        let ignored = |reason| ignored.count(reason);
        match bytes {
            Some(bytes) => {
                let captured = Captured { link: LinkLayer::Raw, time: None, clock, bytes };
                dissector.take(captured, &ignored, &mut |_| found += 1);
            }
            None => dissector.expire(clock, &ignored, &mut |_| found += 1),
        }
        (dissector.deadline(), found)
    };
    assert_eq!(take(100, Some(&segment(0, SYN, &[]))), (None, 0));
    assert_eq!(take(200, Some(&segment(43, 0, &bytes[42..100]))), (Some(2_200), 0));
    assert_eq!(take(2_199, None), (Some(2_200), 0));
    // The second message is read; the third waits for its rest, which takes longer.
    assert_eq!(take(2_200, None), (Some(32_200), 1));
    assert_eq!(take(40_000, None), (None, 1));
    assert_eq!((ignored.of(Ignored::Gap), ignored.total()), (2, 2));
}

#[test]
fn what_waits_at_the_end_is_read_or_counted_and_forgotten() {
    let messages: Vec<_> = (0..4).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let fragment = ip(THERE, HERE, ip::UDP, Some((0, true)), &[0; 64]);
    let packets = [(0, segment(0, SYN, &[])), (0, segment(43, 0, &bytes[42..150])), (0, fragment)];
    let ignored = tally();
    assert_eq!(run_timed(&packets, &ignored), [vec![], vec![(1, 0), (2, 0)]]);
    let gaps = ignored.of(Ignored::Gap);
    assert_eq!((gaps, ignored.of(Ignored::Fragment), ignored.total()), (2, 1, 3));
}

#[test]
fn the_other_sides_acknowledgement_ends_the_wait() {
    let messages: Vec<_> = (0..3).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    let acknowledge = |number: u32| {
        let mut packet = ip(HERE, THERE, ip::TCP, None, &tcp((53, 4_000), 9, 0, &[]));
        packet[24 + 8..24 + 12].copy_from_slice(&number.to_be_bytes());
        packet
    };
    let hole = [(0, segment(0, SYN, &[])), (0, segment(43, 0, &bytes[42..]))];
    for (number, read) in [(42, 0), (43, 2), (127, 2), (u32::MAX, 0)] {
        let packets = [&hole[..], &[(0, acknowledge(number))]].concat();
        assert_eq!(run_timed(&packets, &tally())[0].len(), read, "{number}");
    }
}

#[test]
fn nothing_is_made_up_after_a_hole() {
    let messages: Vec<_> = (0..8).map(|id| dns(id, 0x0100, 300)).collect();
    let bytes = stream(&messages);
    // Segments that begin within messages, and one that is lost, with the beginning of message 2 in it:
    // reading goes on where a segment begins with a message. Before the hole a length is known, so it goes on
    // there after another.
    let part = |from: usize, to: usize| (0, segment(1 + from as u32, 0, &bytes[from..to]));
    let lost = [(0, segment(0, SYN, &[])), part(0, 400), part(700, 906), part(906, 1208), part(1208, 2416)];
    assert_eq!(run_timed(&lost, &tally())[1].iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    let cut = [(0, segment(0, SYN, &[])), part(0, 400), part(500, 2416)];
    assert_eq!(
        run_timed(&cut, &tally())[1].iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [2, 3, 4, 5, 6, 7]
    );
}

#[test]
fn a_length_in_a_segment_of_its_own_is_taken() {
    let messages: Vec<_> = (0..3).map(|id| dns(id, 0x0100, 40)).collect();
    let bytes = stream(&messages);
    // The connection was there before.
    let packets: Vec<_> = [(0, 2), (2, 42), (42, 44), (44, 84), (84, 86), (86, 126)]
        .map(|(from, to)| (from as u64, segment(1_000 + from as u32, 0, &bytes[from..to])))
        .to_vec();
    let ignored = tally();
    assert_eq!(run_timed(&packets, &ignored)[0], [(0, 0), (1, 42), (2, 84)]);
    assert_eq!(ignored.total(), 0);
}

#[test]
fn a_repeated_syn_with_data_is_no_second_message() {
    let bytes = stream(&[dns(1, 0x0100, 40), dns(2, 0x0100, 40)]);
    let begin = (0, segment(0, SYN, &bytes[..42]));
    let packets =
        [begin.clone(), begin.clone(), (1, segment(1, 0, &bytes)), begin, (2, segment(0, FIN, &[]))];
    assert_eq!(run_timed(&packets, &tally())[0], [(1, 0), (2, 1)]);
    // Another connection of the same ports begins with another number.
    let packets = [(0, segment(0, SYN, &bytes[..42])), (1, segment(7_000, SYN, &bytes[..42]))];
    assert_eq!(run_timed(&packets, &tally())[0], [(1, 0), (1, 1)]);
}

#[test]
fn clients_near_the_interface_are_clients_of_any_server() {
    let mut dissector = path(EVERYTHING);
    let subnets =
        ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap()).map(|address: IpAddr| {
            let mask = if address.is_ipv4() { "255.255.255.0" } else { "ffff:ffff:ffff:ffff::" };
            Subnet::new(address, mask.parse().unwrap()).unwrap()
        });
    dissector.set_local(&[HERE.parse().unwrap(), HERE6.parse().unwrap()], &subnets);
    for (from, to, flags, expected) in [
        (THERE, "203.0.113.8", 0x0100, Some(MessageType::CLIENT_QUERY)),
        ("203.0.113.8", THERE, 0x8180, Some(MessageType::CLIENT_RESPONSE)),
        (THERE6, "2001:db8:1::8", 0x0000, Some(MessageType::CLIENT_QUERY)),
        ("2001:db8:1::8", THERE6, 0x8400, Some(MessageType::CLIENT_RESPONSE)),
        (HERE, "203.0.113.8", 0x0100, Some(MessageType::FORWARDER_QUERY)),
        ("203.0.113.8", HERE, 0x8180, Some(MessageType::FORWARDER_RESPONSE)),
        ("198.51.100.1", "203.0.113.8", 0x0100, None),
    ] {
        let ports = if flags & 0x8000 == 0 { (4_000, 53) } else { (53, 4_000) };
        let packet = ip(from, to, ip::UDP, None, &udp(ports, &dns(1, flags, 30)));
        let found = run(&mut dissector, LinkLayer::Raw, &[(0, packet)], &tally());
        assert_eq!(found.first().map(|(kind, _)| *kind), expected, "{from} {to} {flags:#x}");
    }
}

#[test]
fn tunnels_and_ppp_are_stepped_over() {
    let message = dns(1, 0x0100, 20);
    let packet = ip(THERE, HERE, ip::UDP, None, &udp((9, 53), &message));
    let ethernet = |kind: u16, rest: &[u8]| [&[2; 12][..], &kind.to_be_bytes(), rest].concat();
    let outer = |protocol: u8, payload: &[u8]| ip("198.51.100.1", "198.51.100.2", protocol, None, payload);
    let pppoe = [&[0x11, 0, 0, 1, 0, 0, 0, 0x21][..], &packet].concat();
    let gre = |head: &[u8]| outer(47, &[head, &packet].concat());
    let vxlan = |payload: &[u8]| {
        outer(ip::UDP, &udp((50_000, 4_789), &[&[8, 0, 0, 0, 0, 0, 7, 0], payload].concat()))
    };
    for (link, bytes) in [
        (LinkLayer::Ppp, [&[0xff, 0x03, 0x00, 0x21][..], &packet].concat()),
        (LinkLayer::Ppp, [&[0x00, 0x21][..], &packet].concat()),
        (LinkLayer::Ppp, [&[0x21][..], &packet].concat()),
        (LinkLayer::Cooked(ip::PPPOE_SESSION), pppoe.clone()),
        (LinkLayer::Ethernet, ethernet(0x8864, &pppoe)),
        (LinkLayer::Ethernet, ethernet(0x8100, &[&[0, 7, 0x88, 0x64][..], &pppoe].concat())),
        (LinkLayer::Raw, outer(4, &packet)),
        (LinkLayer::Raw, gre(&[0, 0, 8, 0])),
        (LinkLayer::Raw, gre(&[0xb0, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
        (LinkLayer::Raw, outer(47, &[&[0, 0, 0x65, 0x58][..], &ethernet(0x0800, &packet)].concat())),
        (LinkLayer::Raw, vxlan(&ethernet(0x0800, &packet))),
        (LinkLayer::Raw, vxlan(&ethernet(0x0800, &vxlan(&ethernet(0x0800, &packet))))),
        (LinkLayer::Raw, gre(&[0, 0, 8, 0]).into_iter().collect()),
    ] {
        let found = run(&mut path(EVERYTHING), link, &[(0, bytes.clone())], &tally());
        assert_eq!(found, [(MessageType::CLIENT_QUERY, message.clone())], "{link:?} {bytes:?}");
        for length in 0..bytes.len() {
            let ignored = tally();
            let found = run(&mut path(EVERYTHING), link, &[(0, bytes[..length].to_vec())], &ignored);
            assert_eq!(found.len() as u64 + ignored.total(), 1, "{link:?} {length}");
        }
    }
    let v6 = ip(THERE6, HERE6, ip::UDP, None, &udp((9, 53), &message));
    let found = run(&mut path(EVERYTHING), LinkLayer::Raw, &[(0, outer(41, &v6))], &tally());
    assert_eq!(found, [(MessageType::CLIENT_QUERY, message)]);
}
