//! Answers in many pieces, and what happens between them.

use crate::statistics::counters::LATENCY_BOUNDS;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use smol::future::yield_now;

use super::super::body_chunk::{BodyChunk, ChunkedDocument};
use super::super::documents::metrics::families;
use super::super::documents::metrics_text::Exposition;
use super::{Client, Server, World};

const SCRAPE: &str = "GET /metrics HTTP/1.0\r\nX-API-Key: changeme\r\n\r\n";

/// An identity of which every byte takes four in text, and five where its backslashes are escaped.
fn longest_identity(number: u8) -> [u8; 128] {
    let mut identity = [1; 128];
    identity[126..].copy_from_slice(&[1 + number / 16, 1 + number % 16]);
    identity
}

/// Checks a scrape line by line, and gives the names of its families.
fn check_scrape(scrape: &str) -> Vec<&str> {
    assert!(scrape.ends_with('\n'));
    let (mut families, mut seen): (Vec<&str>, HashSet<&str>) = Default::default();
    let (mut described, mut kind, mut buckets) = ("", "", Vec::new());
    for line in scrape.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            described = rest.split_once(' ').unwrap().0;
            assert!(!families.contains(&described), "{described} stands there twice");
            families.push(described);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.strip_prefix(described).and_then(|rest| rest.strip_prefix(' ')).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series), "{series} stands there twice");
        let value: f64 = value.parse().unwrap();
        let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
        let suffix = name.strip_prefix(described).unwrap();
        check_labels(labels);
        match (kind, suffix) {
            ("histogram", "_bucket") => {
                assert!(buckets.last().is_none_or(|&before| before <= value), "{line}");
                buckets.push(value);
            }
            ("histogram", "_sum") => assert!(value >= 0.0),
            ("histogram", "_count") => {
                assert_eq!(
                    (buckets.len(), buckets.drain(..).next_back()),
                    (LATENCY_BOUNDS.len(), Some(value))
                )
            }
            (_, suffix) => assert_eq!(suffix, "", "{line}"),
        }
    }
    families
}

/// Checks `{name="value",...}`, with backslashes escaped.
fn check_labels(labels: &str) {
    let Some(mut rest) = labels.strip_prefix('{') else { return assert_eq!(labels, "") };
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{labels}");
        let mut bytes = value.bytes().enumerate();
        let end = loop {
            match bytes.next().unwrap() {
                (end, b'"') => break end,
                (_, b'\\') => assert!(matches!(bytes.next(), Some((_, b'\\' | b'"' | b'n'))), "{labels}"),
                _ => {}
            }
        };
        match &value[end + 1..] {
            "}" => return,
            more => rest = more.strip_prefix(',').unwrap(),
        }
    }
}

#[test]
fn a_scrape_is_valid_whatever_happens_meanwhile() {
    let server = Server::with("", 200);
    server.run(|world| (0..100).for_each(|number| world.exchange(longest_identity(number))));
    let mut client = server.connect();
    client.send(SCRAPE);
    let mut scrape = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    let mut happenings = (1..).map(|number| (number, number * 200_000)).peekable();
    loop {
        let length = client.0.read(&mut buffer).unwrap();
        scrape.extend_from_slice(&buffer[..length]);
        if length == 0 {
            break;
        }
        let Some((number, _)) = happenings.next_if(|&(_, at)| scrape.len() > at) else { continue };
        match number {
            1 | 4 => server.run(|world| world.statistics.borrow_mut().reset()),
            2 | 3 => server.run(move |world| world.exchange(format!("new-{number}"))),
            // The table overflows.
            5 => server.run(|world| (100..=255).for_each(|number| world.exchange(longest_identity(number)))),
            _ => {}
        }
    }
    let scrape = String::from_utf8(scrape).unwrap();
    let (_, scrape) = scrape.split_once("\r\n\r\n").unwrap();
    let names = check_scrape(scrape);
    // No database, no sniffer, no output with a filter.
    let absent = [
        "dnstapd_geoip_build_timestamp_seconds",
        "dnstapd_packets_ignored_total",
        "dnstapd_output_filtered_total",
    ];
    // Nobody asks others, watches, or exports tables.
    let silent = |name: &str| {
        name.starts_with("dnstap_upstream_") || name == "dnstapd_alarms_total" || name == "dnstapd_top"
    };
    let names_of = families().map(|metric| metric.name);
    let expected = names_of.filter(|name| !absent.contains(name) && !silent(name));
    assert_eq!(names, expected.collect::<Vec<_>>());
    assert!(scrape.len() > 2_000_000, "{}", scrape.len());
    // What happened did happen between the pieces.
    let series = |name: &str| scrape.contains(&format!("{name}{{identity=\"new-2\"}}"));
    assert!(!series("dnstap_queries_bytes_total") && series("dnstap_last_message_timestamp_seconds"));
}

#[test]
fn chunks_hold_the_same_as_the_whole() {
    let server = Server::start();
    server.run(|world| (0..64).for_each(|number| world.exchange(longest_identity(number))));
    let chunked = server.get("/metrics");
    let mut whole = server.connect().ask(SCRAPE, true).body;
    check_scrape(&chunked);
    // The daemon's own part goes on.
    let traffic = chunked.find("# HELP dnstapd_").unwrap();
    whole.truncate(traffic);
    assert!(traffic > 1_000_000 && chunked[..traffic] == whole);
}

#[test]
fn every_frame_is_in_one_counter_of_a_scrape() {
    let server = Server::start();
    server.run(|world| (0..20).for_each(|number| world.exchange(format!("server-{number}"))));
    server.run(|world| {
        world
            .executor
            .spawn(async move {
                loop {
                    world.exchange("lb1");
                    world.inputs[1].count(world.collector.ingest(b"no message"));
                    yield_now().await;
                }
            })
            .detach();
    });
    for _ in 0..20 {
        let scrape = server.get("/metrics");
        check_scrape(&scrape);
        let total = |family: &str| -> f64 {
            let lines = scrape.lines().filter(|line| line.starts_with(family));
            lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
        };
        let mut received = 0.0;
        for input in ["tcp-socket", "unix-socket"] {
            let of = |family: &str| total(&format!("dnstapd_{family}_total{{input=\"{input}\""));
            assert_eq!(of("frames"), of("rejected") + of("filtered") + of("received"), "{input}");
            assert!(of("frames") > 0.0);
            received += of("received");
        }
        let output = ["delivered_total{", "dropped_total{", "queued{"]
            .map(|part| total(&format!("dnstapd_output_{part}")));
        assert_eq!(received, output.iter().sum::<f64>(), "{output:?}");
    }
}

#[test]
fn other_tasks_have_a_turn_after_every_piece() {
    let server = Server::start();
    server.run(|world| (0..64).for_each(|number| world.exchange(longest_identity(number))));
    server.run(|world| {
        world
            .executor
            .spawn(async {
                let mut before = thread_time();
                loop {
                    yield_now().await;
                    let now = thread_time();
                    LONGEST_TURN.set(LONGEST_TURN.get().max(now - before));
                    before = now;
                }
            })
            .detach();
    });
    // Between the jobs on its thread the server does nothing but send these.
    server.run(|_| LONGEST_TURN.set(Duration::ZERO));
    let whole = server.run(|_| thread_time());
    let pieces = server.get("/metrics").len() / 4096;
    let (longest, whole) = server.run(move |_| (LONGEST_TURN.get(), thread_time() - whole));
    assert!(pieces > 200 && longest < whole / 20, "{longest:?} of {whole:?}");
}

thread_local! {
    /// The longest time that others had on the server's thread between two turns of a task.
    static LONGEST_TURN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Processor time of this thread, which does not count what other threads do in the meantime.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn pieces_of_any_size_make_a_valid_scrape() {
    let world = World::new(&Default::default(), 8);
    let snapshot = RefCell::default();
    for size in (1_000..1_800).step_by(7) {
        let mut document = Exposition::new(world.app(), Default::default(), &snapshot);
        let (mut scrape, mut room) = (String::new(), vec![0; size]);
        loop {
            let mut chunk = BodyChunk::new(&mut room);
            let done = document.fill(&mut chunk).is_ok();
            let length = chunk.used();
            scrape.push_str(std::str::from_utf8(&room[..length]).unwrap());
            if done {
                break;
            }
            assert!(length > 0);
            ["lb1", "lb2", "lb3"].into_iter().for_each(|identity| world.exchange(identity));
        }
        check_scrape(&scrape);
    }
}

#[test]
fn a_list_of_streams_goes_on_where_it_was() {
    let server = Server::with("", 300);
    server.run(|world| (0..200).for_each(|number| world.exchange(longest_identity(number))));
    let text = |number: u8| longest_identity(number).map(|byte| format!("\\\\{byte:03}")).concat();
    let texts: Vec<String> = (0..=254).map(|number| format!("\"{}\"", text(number))).collect();
    let mut client = Client::new(server.connect().0.into_inner());
    client.send("GET /streams HTTP/1.0\r\nX-API-Key: changeme\r\n\r\n");
    server.run(|world| (200..=254).for_each(|number| world.exchange(longest_identity(number))));
    let body = client.reply(true).unwrap().body;
    let last = (199..=254).find(|&last| body == format!("{{\"streams\": [{}]}}", texts[..=last].join(", ")));
    assert!(last.is_some(), "{} bytes", body.len());
    assert!(server.get("/counters").contains("\"query\": 255"));
}
