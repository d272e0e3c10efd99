//! The top tables and distinct counts against exact ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail, that is its point")]

use std::collections::HashMap;
use std::hash::BuildHasher;

use dnstapd::limits::Limits;
use dnstapd::message::event::Event;
use dnstapd::message::hashes::MessageHashes;
use dnstapd::sketch::distinct::DistinctCounts;
use dnstapd::sketch::heavy_hitters::{HeavyHitter, HeavyHitters, NAME_BYTES};
use dnstapd::statistics::counters::Direction;
use dnstapd::statistics::ranking::{RowPosition, Table, TopRows, tld_rows};
use dnstapd::statistics::{Section, Statistics, StreamScope};
use dnstapd::wire::dnstap::Dnstap;
use dnstapd::wire::name::Name;

/// A generator of pseudo-random numbers (SplitMix64): the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Ranks with frequencies as 1 / rank^s.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: usize, s: f64) -> Self {
        let mut sum = 0.0;
        Zipf(
            (1..=ranks)
                .map(|rank| {
                    sum += (rank as f64).powf(-s);
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit() * self.0.last().unwrap();
        self.0.partition_point(|sum| *sum < at)
    }
}

const EVENTS: usize = 400_000;
const RANKS: usize = 100_000;

/// Streams: name, exponent of the Zipf distribution, how many of ten names come but once, and the domain of these.
#[rustfmt::skip]
const KINDS: &[(&str, f64, u64, &str)] = &[
    ("Zipf 0.8", 0.8, 0, ""),
    ("Zipf 1.0", 1.0, 0, ""),
    ("Zipf 1.2", 1.2, 0, ""),
    ("half random names", 1.0, 5, "net"),
    ("half attack on one domain", 1.0, 5, "victim.example.org"),
    ("nine tenths attack on one domain", 1.0, 9, "victim.example.org"),
];

/// The names of a stream.
fn stream(&(_, _, once_of_ten, domain): &(&str, f64, u64, &str), zipf: &Zipf, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let name = |rank: usize| format!("{}host{rank}.example{}.com", "www.".repeat(rank % 3), rank % 977);
    let mut draw = || {
        if random.next() % 10 >= once_of_ten {
            name(zipf.draw(&mut random))
        } else {
            format!("{:x}{:x}.{domain}", random.next(), random.next())
        }
    };
    (0..EVENTS).map(|_| draw()).collect()
}

/// What a table of one size made of streams.
#[derive(Default)]
struct Results {
    /// Part of the true first 50 that are among its first 50, of each stream.
    recalls: Vec<f64>,
    /// The largest error of a number among them.
    errors: Vec<f64>,
}

/// How often each name comes.
type Exact<'n> = HashMap<&'n [u8], u64, foldhash::fast::FixedState>;

fn count(names: &[String]) -> Exact<'_> {
    let mut exact = Exact::default();
    names.iter().for_each(|name| *exact.entry(name.as_bytes()).or_default() += 1);
    exact
}

impl Results {
    fn measure(&mut self, names: &[String], exact: &Exact<'_>, entries: usize, seed: u64) {
        let hasher = foldhash::quality::FixedState::with_seed(seed);
        let mut top = HeavyHitters::<1>::new(entries, NAME_BYTES);
        for name in names {
            top.count(hasher.hash_one(name), [1], name.as_bytes());
        }
        let mut counts: Vec<u64> = exact.values().copied().collect();
        counts.sort_unstable();
        let least = counts[counts.len() - 50];
        let number = |entry: &HeavyHitter<'_, 1>| entry.certain[0] + entry.guessed[0];
        let mut rows: Vec<_> = top.entries().collect();
        rows.sort_by_key(|entry| std::cmp::Reverse((number(entry), entry.name)));
        for row in &rows {
            let truth = exact[row.name];
            assert!(row.certain[0] <= truth && truth <= row.certain[0] + row.unseen[0], "{row:?}: {truth}");
        }
        for (name, &truth) in exact {
            let key = hasher.hash_one(core::str::from_utf8(name).unwrap());
            assert!(top.holds(key) || truth <= top.bound(key)[0], "{name:?}");
        }
        let first = &rows[..50.min(rows.len())];
        let error =
            |entry: &HeavyHitter<'_, 1>| (number(entry) as f64 / exact[entry.name] as f64 - 1.0).abs();
        self.recalls.push(first.iter().filter(|entry| exact[entry.name] >= least).count() as f64 / 50.0);
        self.errors.push(first.iter().map(error).fold(0.0, f64::max));
    }

    fn recall(&self) -> f64 {
        self.recalls.iter().sum::<f64>() / self.recalls.len() as f64
    }

    /// The row of the documentation.
    fn row(&self, kind: &str, entries: usize) -> String {
        let (bytes, recall) = (HeavyHitters::<1>::cost(entries, NAME_BYTES), self.recall());
        let worst = self.recalls.iter().copied().fold(1.0, f64::min);
        let error = 100.0 * self.errors.iter().sum::<f64>() / self.errors.len() as f64;
        format!("//! | {kind} | {entries} | {bytes} | {recall:.3} | {worst:.2} | {error:.1} % |")
    }
}

/// Different names, in sets of all sizes, against how many there are.
fn check_distinct(names: &[String], exact: &Exact<'_>, seed: u64) {
    let hasher = foldhash::quality::FixedState::with_seed(seed);
    let sizes = [(4 << 10, 4.0 * 0.0092), (8 << 10, 0.02), (16 << 10, 0.02)];
    let mut distincts = DistinctCounts::new(sizes.map(|(bytes, _)| bytes).into_iter());
    for name in names {
        let hash = hasher.hash_one(name);
        (0..sizes.len()).for_each(|set| _ = distincts.insert(set, hash));
    }
    for (set, (bytes, most)) in sizes.into_iter().enumerate() {
        let error = distincts.count(set) as f64 / exact.len() as f64 - 1.0;
        assert!(error.abs() < most, "{bytes} bytes, {} names: {error}", exact.len());
    }
}

/// The default size finds the first 50 of all streams but the worst, and the results by size are those in the
/// documentation. A debug build looks at every other stream, one seed and the default size only.
#[test]
fn the_first_fifty_are_found_and_different_names_counted() {
    let is_quick = cfg!(debug_assertions);
    let kinds = KINDS.iter().step_by(if is_quick { 2 } else { 1 });
    let rows: Vec<String> = std::thread::scope(|scope| {
        let tasks: Vec<_> = kinds.map(|kind| scope.spawn(move || rows_of(kind, is_quick))).collect();
        tasks.into_iter().flat_map(|task| task.join().unwrap()).collect()
    });
    println!("{}", rows.join("\n"));
    let documentation = include_str!("../src/sketch/heavy_hitters/mod.rs");
    let missing: Vec<&String> = rows.iter().filter(|row| !documentation.contains(*row)).collect();
    let is_held = !is_quick && cfg!(target_pointer_width = "64");
    assert!(!is_held || missing.is_empty(), "the documentation of the module lacks:\n{missing:#?}");
}

/// The results of a kind of stream, a row for each size.
fn rows_of(kind: &(&str, f64, u64, &str), is_quick: bool) -> Vec<String> {
    let (seeds, sizes) = if is_quick { (1, &[256][..]) } else { (20, &[64, 128, 256, 512, 1024][..]) };
    let zipf = Zipf::new(RANKS, kind.1);
    let mut results: Vec<Results> = sizes.iter().map(|_| Results::default()).collect();
    for seed in 0..seeds {
        let names = stream(kind, &zipf, seed);
        let exact = count(&names);
        check_distinct(&names, &exact, seed);
        for (results, &entries) in results.iter_mut().zip(sizes) {
            results.measure(&names, &exact, entries, seed);
        }
    }
    for (results, &entries) in results.iter().zip(sizes) {
        let is_hard = kind.2 == 9 && entries < 512;
        let least = if is_hard { 0.95 } else { 0.98 } - if is_quick { 0.02 } else { 0.0 };
        assert!(entries < 256 || results.recall() >= least, "{} {entries}: {}", kind.0, results.recall());
    }
    results.iter().zip(sizes).map(|(results, &entries)| results.row(kind.0, entries)).collect()
}

/// Queries for names, in a world of its own.
struct Queries {
    statistics: Statistics,
    hasher: foldhash::quality::FixedState,
}

impl Queries {
    fn new(window: u32) -> Self {
        let section = format!("default-top = ['hit/query']\nwindow = {window}");
        let section: Section = toml::from_str(&section).unwrap();
        let limits = Limits { top_names: 64, ..Limits::resolve(&Default::default()) };
        let hasher = foldhash::quality::FixedState::with_seed(5);
        Queries { statistics: Statistics::with(&limits, &section, false), hasher }
    }

    fn ask(&mut self, label: &str, times: usize) {
        let wire = [&[label.len() as u8], label.as_bytes(), b"\x03com\0"].concat();
        let hashes = MessageHashes {
            sent_name: None,
            identity: 0,
            address: None,
            folded: 0,
            exchange: None,
            is_of_client: true,
            client: None,
            sent_address: None,
            domain: Some(self.hasher.hash_one(&wire)),
            name: Name::parse(&wire).unwrap().0,
        };
        // A CLIENT_QUERY and nothing else.
        let dnstap = Dnstap::parse(b"\x72\x02\x08\x05\x78\x01").unwrap();
        (0..times).for_each(|_| {
            self.statistics.observe(&Event::from_dnstap(&dnstap), &hashes);
        });
    }

    /// The first rows of the table.
    fn rows(&self) -> Vec<(String, u64)> {
        let cursor = RowPosition::default();
        let mut best = TopRows::new(32, &cursor);
        self.statistics.rank(StreamScope::Global, Table::Domains(0), &mut best);
        best.rows().iter().map(|row| (row.label.to_string(), row.number)).collect()
    }

    /// Whether nothing that counts for ever has become less.
    fn check_counters(&self, asked: u64) {
        let count = |name| self.statistics.counter(StreamScope::Global, name);
        assert_eq!((count("query"), count("query/com"), count("domains")), (asked, asked, 20));
        let tlds = self.statistics.total(StreamScope::Global, Table::Counted(Direction::Query, tld_rows));
        assert_eq!(tlds, asked);
    }

    fn pass(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.statistics.tick(1_000));
    }
}

/// Names of which nothing more is heard leave the table, however heavy they were; counters only grow.
#[test]
fn a_table_speaks_of_the_present_and_counters_of_all_time() {
    let mut queries = Queries::new(60);
    for number in 0..10 {
        queries.ask(&format!("old{number}"), 1_000);
        queries.ask(&format!("new{number}"), 1);
    }
    queries.check_counters(10_010);
    queries.pass(59);
    assert_eq!(queries.rows()[0].1, 1_000);
    queries.pass(1);
    assert_eq!(queries.rows()[0], ("old0.com.".to_owned(), 500));
    queries.check_counters(10_010);
    for minute in 1..=4 {
        (0..10).for_each(|number| queries.ask(&format!("new{number}"), 100));
        queries.check_counters(10_010 + minute * 1_000);
        queries.pass(60);
    }
    assert!(queries.rows()[..10].iter().all(|(name, _)| name.starts_with("new")), "{:?}", queries.rows());
    queries.pass(60 * 10);
    assert_eq!(queries.rows(), []);
    queries.check_counters(14_010);
    // Without a window nothing ages.
    let mut queries = Queries::new(0);
    queries.ask("old", 7);
    (0..100).for_each(|_| queries.statistics.tick(1_000_000));
    assert_eq!(queries.rows(), [("old.com.".to_owned(), 7)]);
}
