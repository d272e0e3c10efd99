//! The top tables and distinct counts against exact ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail, that is its point")]

use std::collections::HashMap;
use std::hash::BuildHasher;

use dnstapd::statistics::top::{NAME_BYTES, Top};

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
        Zipf((1..=ranks).map(|rank| { sum += (rank as f64).powf(-s); sum }).collect())
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit() * self.0.last().unwrap();
        self.0.partition_point(|sum| *sum < at)
    }
}

const EVENTS: usize = 1_000_000;
const RANKS: usize = 100_000;

fn stream(kind: &str) -> Vec<String> {
    let mut random = Random(7);
    let name = |rank: usize| format!("{}host{rank}.example{}.com", "www.".repeat(rank % 3), rank % 977);
    let (s, noise) = match kind {
        "zipf 0.8" => (0.8, 0),
        "zipf 1.0" => (1.0, 0),
        "zipf 1.2" => (1.2, 0),
        "half random" => (1.0, 1),
        _ => (1.0, 2),
    };
    let zipf = Zipf::new(RANKS, s);
    (0..EVENTS).map(|_| match noise {
        1 if random.next() % 2 == 0 => format!("{:x}.net", random.next()),
        2 if random.next() % 10 != 0 => format!("{:x}{:x}.victim.example.org", random.next(), random.next()),
        _ => name(zipf.draw(&mut random)),
    }).collect()
}

#[test]
fn simulate() {
    let hasher = foldhash::quality::FixedState::with_seed(3);
    for kind in ["zipf 0.8", "zipf 1.0", "zipf 1.2", "half random", "attack"] {
        let names = stream(kind);
        let mut exact: HashMap<&str, u64> = HashMap::new();
        for name in &names { *exact.entry(name).or_default() += 1; }
        let mut ranking: Vec<(u64, &str)> = exact.iter().map(|(n, c)| (*c, *n)).collect();
        ranking.sort_by(|a, b| b.cmp(a));
        let least = ranking[49].0;
        for entries in [64, 128, 256, 384, 512, 1024] {
            let mut top = Top::<1>::new(entries, NAME_BYTES);
            for name in &names { top.count(hasher.hash_one(name), [1], name.as_bytes()); }
            let mut rows: Vec<_> = top.entries().collect();
            let mut line = String::new();
            let number = |r: &dnstapd::statistics::top::Entry<'_, 1>| r.certain[0] + r.guessed[0];
            rows.sort_by_key(|r| std::cmp::Reverse((number(r), r.thing.to_vec())));
            let truth = |r: &dnstapd::statistics::top::Entry<'_, 1>| exact[std::str::from_utf8(r.thing).unwrap()];
            let found = rows.iter().take(50).filter(|r| truth(r) >= least).count();
            let worst = rows.iter().take(50).map(|r| (number(r) as f64 / truth(r) as f64 - 1.0).abs()).fold(0.0, f64::max);
            let line = format!(" {:.2} {:5.1}%", found as f64 / 50.0, worst * 100.0);
            for row in &rows { let t = truth(row); assert!(row.certain[0] <= t && t <= row.certain[0] + row.unseen[0]); }
            println!("{kind:12} {entries:5} {:7} octets, evicted {:7} rows {} {line}", Top::<1>::cost(entries, NAME_BYTES), top.evicted(), rows.len());
        }
    }
}
