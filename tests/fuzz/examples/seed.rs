//! Writes the corpora the targets begin with, into the folder that is named: `seed corpus [CAPTURE...]`
//!
//! One file an input, with a name that says what it is. The frames are composed here; of captures (Frame
//! Streams files) the first frame of each message type and size class is taken too.

use dnstapd::wire::dnstap::{Dnstap, Message, Policy, SentTime};
use dnstapd::wire::framestream::{Deframer, Unit, data_header};
use dnstapd::wire::handshake::{READY, START, STOP};
use dnstapd::wire::iana::{Family, HttpProtocol, MessageType, Protocol};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(corpus) = arguments.next() else {
        eprintln!("usage: seed CORPUS [CAPTURE...]");
        std::process::exit(2);
    };
    let mut frames = Vec::new();
    for (name, payload) in payloads() {
        write(&corpus, "dns", name, &payload)?;
        frames.push((name.to_string(), frame(&payload, MessageType::CLIENT_QUERY)));
        frames.push((format!("{name}-response"), frame(&payload, MessageType::RESOLVER_RESPONSE)));
    }
    for capture in arguments {
        frames.extend(frames_of(&capture)?);
    }
    for (name, frame) in &frames {
        write(&corpus, "dnstap", name, frame)?;
    }
    write(&corpus, "deframer", "bidirectional", &stream(&[READY, START], &frames))?;
    write(&corpus, "deframer", "unidirectional", &stream(&[START], &frames))?;
    write(
        &corpus,
        "deframer",
        "oversize",
        &[&[9, 0, 1, 200], START, &data_header(301), &[7; 301], STOP].concat(),
    )?;
    for (name, control) in [("ready", READY), ("start", START), ("stop", STOP)] {
        write(&corpus, "control", name, &control[8..])?;
    }
    for (name, text) in
        [("plain", "ns1.example"), ("letters", "Zürich 東京"), ("escapes", "a\\b\"c\n\u{feff}")]
    {
        write(&corpus, "text", name, text.as_bytes())?;
    }
    for (name, packets) in packets() {
        write(&corpus, "packet", name, &packets)?;
    }
    for (name, file) in containers() {
        write(&corpus, "container", name, &file)?;
    }
    Ok(())
}

fn write(corpus: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// DNS messages: name and wire form.
fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let query: &[u8] = b"\x1a\x2b\x01\x20\0\x01\0\0\0\0\0\x01";
    let response: &[u8] = b"\x1a\x2b\x85\x80\0\x01\0\x01\0\x01\0\x01";
    let question = b"\x03www\x07example\x03com\0\0\x41\0\x01";
    let odd = b"\x04\xff\0. \x01\\\0\xff\xff\0\xfe";
    let opt = b"\0\0\x29\x04\xd0\x01\0\x80\0\0\x0c\0\x0a\0\x08\x01\x02\x03\x04\x05\x06\x07\x08";
    let a = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01";
    let ns = b"\xc0\x10\0\x02\0\x01\0\0\x0e\x10\0\x05\x02ns\xc0\x10";
    vec![
        ("query", [query, question, opt].concat()),
        ("response", [response, question, a, ns, opt].concat()),
        ("odd-name", [query, odd, opt].concat()),
        ("no-question", [b"\0\0\x01\0\0\0\0\0\0\0\0\x01", &opt[..]].concat()),
        ("pointer", [query, b"\x01a\xc0\x02\0\x01\0\x01", opt].concat()),
        ("short", query[..7].to_vec()),
    ]
}

/// Packets as the target reads them: a query in one piece and in fragments, both families, two VLAN tags, and
/// a connection out of order.
fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let query = &payloads()[0].1;
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let udp = [&[0x9c, 0x40, 0, 53], &length(8 + query.len())[..], &[0, 0], query].concat();
    let v4 = |protocol: u8, flags: u16, payload: &[u8]| {
        let [high, low] = flags.to_be_bytes();
        let head =
            [&[0x45, 0], &length(20 + payload.len())[..], &[0, 7, high, low, 64, protocol, 0, 0]].concat();
        [&head[..], &[192, 0, 2, 99, 192, 0, 2, 1], payload].concat()
    };
    let v6 = |next: u8, payload: &[u8]| {
        let head = [&[0x60, 0, 0, 0], &length(payload.len())[..], &[next, 64]].concat();
        let address = |last| [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
        [&head[..], &address(0x99), &address(1), payload].concat()
    };
    let tcp = |sequence: u32, flags: u8, payload: &[u8]| {
        let head = [&[0x9c, 0x40, 0, 53], &sequence.to_be_bytes()[..], &[0, 0, 0, 0, 0x50, flags]].concat();
        v4(6, 0, &[&head[..], &[1, 0, 0, 0, 0, 0], payload].concat())
    };
    let piece =
        |offset: u16, payload: &[u8]| [&[17, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 7], payload].concat();
    let tagged = [&[2; 12][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0], &v4(17, 0, &udp)].concat();
    let sent = [&length(query.len())[..], query].concat().repeat(2);
    let connection = [tcp(9, 2, b""), tcp(40, 0x18, &sent[30..]), tcp(10, 0x18, &sent[..30]), tcp(9, 4, b"")];
    let list = |link: u8, packets: &[Vec<u8>]| {
        packets.iter().flat_map(|packet| [&[link | 4][..], &length(packet.len()), packet].concat()).collect()
    };
    vec![
        ("udp", list(1, &[v4(17, 0, &udp), v6(17, &udp)])),
        ("tagged", list(0, &[tagged])),
        ("fragments", list(1, &[v4(17, 0x2000, &udp[..24]), v4(17, 3, &udp[24..])])),
        ("fragments-backwards", list(1, &[v6(44, &piece(24, &udp[24..])), v6(44, &piece(1, &udp[..24]))])),
        (
            "options",
            list(1, &[v6(0, &[&[60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0], &udp[..]].concat())]),
        ),
        ("connection", list(1, &connection)),
    ]
}

/// Captures of packets: both formats, both ways round.
fn containers() -> Vec<(&'static str, Vec<u8>)> {
    let packet = [7; 60];
    let little = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    let big = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
    let pcap = |words: &dyn Fn(&[u32]) -> Vec<u8>, version: u32, magic: u32| {
        [words(&[magic, version, 0, 0, 65_535, 1, 1_600_000_000, 5, 60, 60]), packet.to_vec()].concat()
    };
    let section = |words: &dyn Fn(&[u32]) -> Vec<u8>, version: u32, link: u32, option: u32, resolution: u32| {
        let head = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, version, u32::MAX, u32::MAX, 28]);
        let interface = words(&[1, 32, link, 0, option, resolution, 0, 32]);
        let enhanced = words(&[6, 92, 0, 0, 1_600_000_000, 60, 60]);
        [head, interface, enhanced, packet.to_vec(), words(&[92])].concat()
    };
    vec![
        ("pcap", pcap(&little, 0x0004_0002, 0xa1b2_c3d4)),
        ("pcap-big-nanoseconds", pcap(&big, 0x0002_0004, 0xa1b2_3c4d)),
        ("pcapng", section(&little, 1, 1, 0x0001_0009, 9)),
        ("pcapng-big", section(&big, 0x0001_0000, 0x0001_0000, 0x0009_0001, 0x9e00_0000)),
    ]
}

/// A frame with every field.
fn frame(payload: &[u8], message_type: MessageType) -> Vec<u8> {
    let policy = Policy {
        policy_type: Some(b"RPZ"),
        rule: Some(b"\x03bad\0"),
        action: Some(1),
        matched: Some(2),
        value: Some(b"value"),
    };
    let message = Message {
        message_type,
        socket_family: Some(Family::INET6),
        socket_protocol: Some(Protocol(4)),
        query_address: Some(&[0x20; 16]),
        response_address: Some(&[192, 0, 2, 53]),
        query_port: Some(50000),
        response_port: Some(443),
        query_time: SentTime::new(1_700_000_000, 999_999_999),
        query_message: Some(payload),
        query_zone: Some(b"\x03com\0"),
        response_time: SentTime::new(1_700_000_001, 0),
        response_message: message_type.is_response().then_some(payload),
        policy: Some(policy),
        http_protocol: Some(HttpProtocol(2)),
    };
    let dnstap = Dnstap { identity: Some(b"ns1"), version: Some(b"1.0"), extra: Some(b"rtt=1"), message };
    let mut out = vec![0; 256 + 2 * payload.len()];
    let length = dnstap.compose(&mut out).expect("room enough");
    out.truncate(length);
    out
}

/// A stream: the lengths of its pieces for the target, control frames, some data and STOP.
fn stream(opening: &[&[u8]], frames: &[(String, Vec<u8>)]) -> Vec<u8> {
    let data =
        frames.iter().take(3).flat_map(|(_, frame)| [&data_header(frame.len() as u32), &frame[..]].concat());
    [&[50, 3, 0, 250][..], &opening.concat(), &data.collect::<Vec<_>>(), STOP].concat()
}

/// The first frame of each message type and size class of a capture.
fn frames_of(capture: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let bytes = fs::read(capture)?;
    let stem = capture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut deframer = Deframer::new(1 << 20);
    let mut input = &bytes[..];
    let mut seen = BTreeSet::new();
    let mut frames = Vec::new();
    while let Ok(Some(unit)) = deframer.next(&mut input) {
        let Unit::Data(frame) = unit else { continue };
        let Ok(dnstap) = Dnstap::parse(frame) else { continue };
        let (kind, class) = (dnstap.message.message_type, frame.len().ilog2());
        if seen.insert((kind, class)) {
            frames
                .push((format!("{stem}-{}-{}", kind.to_string().to_lowercase(), 1 << class), frame.to_vec()));
        }
    }
    Ok(frames)
}
