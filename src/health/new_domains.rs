//! Domains that were seen before, by fingerprints of 16 bits in two cuckoo filters ([`SavedKeys`]).
//!
//! A generation has 50,000, so the last 50,000 domains are remembered, and up to 100,000. A domain that was
//! not seen is taken for one that was in less than 0.01 % of all cases.
//!
//! For the first seven days of the messages' own time everything is new, so nothing is said. An hour at most
//! is counted from one message to the next: a clock that is set, or a capture with a hole in it, teaches
//! nothing. It is saved with the history, and goes on after a restart.

use super::seen::SavedKeys;
use crate::limits::NEW_DOMAINS;
use crate::wire::segment::{Input, Output};

/// Buckets of one filter.
const BUCKETS: usize = 1 << 15;
/// The time of learning.
const LEARN_SECONDS: u64 = 7 * 86_400;
/// The most that counts from one message to the next.
const STEP_SECONDS: u64 = 3_600;

/// Domains that were seen.
#[derive(Debug, Default)]
pub(crate) struct SeenDomains {
    seen: SavedKeys<BUCKETS>,
    /// The time of the last message, and how much of it went by.
    last: u64,
    learned: u64,
}

impl SeenDomains {
    /// Bytes of both filters.
    pub(crate) const COST: usize = SavedKeys::<BUCKETS>::COST;
    /// The number of the table in what is saved.
    pub(super) const TABLE: u8 = 0;

    /// Notes a domain in wire form; whether it is new, and new ones are to be told of.
    pub(crate) fn is_new(&mut self, domain: &[u8], seconds: u64) -> bool {
        if self.last == 0 {
            self.last = seconds;
        }
        if seconds > self.last {
            self.learned += (seconds - self.last).min(STEP_SECONDS);
            self.last = seconds;
        }
        let key = domain.iter().map(u8::to_ascii_lowercase);
        self.seen.is_new(key, NEW_DOMAINS / 2) && self.learned >= LEARN_SECONDS
    }

    /// Writes entries from a number on, 0 first; `None` when all are written, else the number to go on with.
    pub(super) fn write_saved(&self, from: usize, out: &mut Output<'_>) -> Option<usize> {
        self.seen.write_saved(Self::TABLE, [self.last, self.learned], from, out)
    }

    /// Reads an entry, after its table. `None` if it is broken.
    pub(super) fn read_saved(&mut self, kind: u8, input: &mut Input<'_>) -> Option<()> {
        if let Some([last, learned]) = self.seen.read_saved(kind, input)? {
            (self.last, self.learned) = (last, learned);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::segment::{END, MAGIC, entries};

    /// Seven days and an hour of messages about one domain.
    fn taught() -> SeenDomains {
        let mut seen = SeenDomains::default();
        for hour in 0..=7 * 24 {
            assert!(!seen.is_new(b"old", 1_700_000_000 + hour * 3_600) || hour == 7 * 24);
        }
        seen
    }
    const NOW: u64 = 1_700_000_000 + 8 * 86_400;

    fn name(number: u64) -> Vec<u8> {
        format!("\x0d{number:013x}\x03com\0").into_bytes()
    }

    #[test]
    fn a_hundred_thousand_domains_are_told_from_new_ones() {
        let mut seen = taught();
        let names = NEW_DOMAINS as u64 - 2;
        let told = (0..names).filter(|&number| seen.is_new(&name(number), NOW)).count();
        assert!(names as usize - told < 20, "{told}");
        // One that had to go when there was no room for another is the exception.
        let forgotten = (names - 20_000..names).filter(|&number| seen.is_new(&name(number), NOW)).count();
        assert!(forgotten <= 20, "{forgotten}");
        // 0.0093 % are expected while both generations are full: of so many, chance makes no 0.01 %.
        let (strangers, mut false_seen) = (40_000_000, 0);
        for number in 0..strangers {
            false_seen += u64::from(seen.seen.has_seen(&name(1 << 40 | number)));
        }
        assert!(false_seen * 10_000 <= strangers, "{false_seen} of {strangers}");
    }

    #[test]
    fn a_domain_in_use_is_never_forgotten() {
        let mut seen = taught();
        for number in 0..400_000 {
            seen.is_new(&name(number), NOW);
            assert!(number % 1_000 != 0 || !seen.is_new(b"OLD", NOW), "{number}");
        }
        assert!(seen.is_new(&name(1), NOW), "long ago");
        assert_eq!(SeenDomains::COST, 256 << 10);
    }

    #[test]
    fn nothing_is_told_while_it_learns() {
        let mut seen = SeenDomains::default();
        assert!(!seen.is_new(b"1", 5));
        assert!(!seen.is_new(b"2", 1_700_000_000), "the clock was set");
        assert!(!seen.is_new(b"3", 1_700_000_000 + LEARN_SECONDS), "a hole");
        for hour in 0..7 * 24 {
            seen.is_new(b"4", NOW + hour * 3_600);
        }
        assert!(seen.is_new(b"5", NOW + 7 * 86_400));
        assert!(!seen.is_new(b"5", NOW + 7 * 86_400));
    }

    #[test]
    fn what_is_saved_comes_back() {
        let mut seen = taught();
        (0..60_000).for_each(|number| _ = seen.is_new(&name(number), NOW));
        let (mut segment, mut block, mut from) = (MAGIC.to_vec(), Vec::with_capacity(16 << 10), Some(0));
        while let Some(start) = from {
            let mut out = Output::begin(&mut block, usize::MAX);
            from = seen.write_saved(start, &mut out);
            assert!(out.end());
            segment.extend_from_slice(&block);
        }
        segment.extend_from_slice(&END);
        let mut again = SeenDomains::default();
        entries(&segment, |kind, input| {
            assert_eq!(input.byte()?, SeenDomains::TABLE);
            again.read_saved(kind, input)
        })
        .unwrap();
        assert!(again.seen.is_like(&seen.seen) && again.learned == seen.learned);
        let told = (40_000..60_000).filter(|&number| again.is_new(&name(number), NOW)).count();
        assert!(told < 10, "{told}");
        assert!(again.is_new(b"a new one", NOW + 10));
        // Both go on alike, so the one that was read knows how full it is.
        (0..60_000).for_each(|number| _ = again.is_new(&name(number | 1 << 50), NOW));
        assert!(segment.len() < SeenDomains::COST + (20 << 10), "{}", segment.len());
    }
}
