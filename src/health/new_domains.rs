//! Domains that were seen before, by fingerprints of 16 bits in two cuckoo filters.
//!
//! Fan, Andersen, Kaminsky, Mitzenmacher: Cuckoo Filter: Practically Better Than Bloom (2014). A fingerprint is in one of two
//! buckets, each of which can be worked out from the other and the fingerprint. Buckets have two places: with four, half as
//! many domains again would fit, and a domain would be taken for another one twice as often.
//!
//! ```text
//! young   32,768 buckets of two    takes what is new, until it has 50,000
//! old     32,768 buckets of two    the young one of before; what is asked for again moves to the young one
//! ```
//!
//! So the last 50,000 domains are remembered, and up to 100,000. A domain that was not seen is taken for one that was with a
//! chance of 8 x 0.76 / 65,536, less than 0.01 %, while both are full; measured: see the tests. Where
//! there is no room for a fingerprint, one is left out and the generation ends.
//!
//! For the first seven days of the messages' own time everything is new, so nothing is said. An hour at most is counted
//! from one message to the next: a clock that is set, or a capture with a hole in it, teaches nothing.

use crate::limits::{self, NEW_DOMAINS};

/// Places of a bucket.
const WAYS: usize = 2;
/// Buckets of one filter; a power of two.
const BUCKETS: usize = 1 << 15;
/// Fingerprints that are moved to make room for one: at the load at which a generation ends it is a handful.
const MOVES_MAX: usize = 64;
/// The time of learning.
const LEARN_SECONDS: u64 = 7 * 86_400;
/// The most that counts from one message to the next.
const STEP_SECONDS: u64 = 3_600;

/// Domains that were seen.
#[derive(Debug)]
pub(crate) struct SeenDomains {
    young: CuckooFilter,
    old: CuckooFilter,
    /// The time of the last message, and how much of it went by.
    last: u64,
    learned: u64,
}

/// A cuckoo filter.
#[derive(Debug)]
struct CuckooFilter {
    /// 0 is free.
    buckets: Box<[[u16; WAYS]]>,
    used: usize,
}

impl SeenDomains {
    /// Bytes of both filters.
    pub(crate) const COST: usize = 2 * BUCKETS * size_of::<[u16; WAYS]>();

    /// Notes a domain by its hash; whether it is new, and new ones are to be told of.
    pub(crate) fn is_new(&mut self, hash: u64, seconds: u64) -> bool {
        if self.last == 0 {
            self.last = seconds;
        }
        if seconds > self.last {
            self.learned += (seconds - self.last).min(STEP_SECONDS);
            self.last = seconds;
        }
        let (bucket, fingerprint) = place(hash);
        if self.young.contains(bucket, fingerprint) {
            return false;
        }
        let was_seen = self.old.contains(bucket, fingerprint);
        if !self.young.insert(bucket, fingerprint) || self.young.used >= NEW_DOMAINS / 2 {
            core::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        !was_seen && self.learned >= LEARN_SECONDS
    }
}

impl Default for SeenDomains {
    fn default() -> Self {
        let filter = || CuckooFilter { buckets: limits::table(BUCKETS, [0; WAYS]), used: 0 };
        SeenDomains { young: filter(), old: filter(), last: 0, learned: 0 }
    }
}

/// Bucket and fingerprint of a hash.
fn place(hash: u64) -> (usize, u16) {
    (hash as usize % BUCKETS, ((hash >> 32) as u16).max(1))
}

/// The other bucket of a fingerprint: the same from either one.
fn other(bucket: usize, fingerprint: u16) -> usize {
    (bucket ^ (usize::from(fingerprint).wrapping_mul(0x5bd1_e995) >> 5)) % BUCKETS
}

impl CuckooFilter {
    fn contains(&self, bucket: usize, fingerprint: u16) -> bool {
        let has =
            |bucket: usize| self.buckets.get(bucket).is_some_and(|places| places.contains(&fingerprint));
        has(bucket) || has(other(bucket, fingerprint))
    }

    /// Puts a fingerprint in; `false` if there is no room, and another one was left out.
    fn insert(&mut self, mut bucket: usize, mut fingerprint: u16) -> bool {
        for step in 0..MOVES_MAX {
            for bucket in [bucket, other(bucket, fingerprint)] {
                let free = self
                    .buckets
                    .get_mut(bucket)
                    .and_then(|places| places.iter_mut().find(|place| **place == 0));
                if let Some(place) = free {
                    *place = fingerprint;
                    self.used += 1;
                    return true;
                }
            }
            // Neither has room: one of the second's goes to its other bucket.
            bucket = other(bucket, fingerprint);
            if let Some(place) =
                self.buckets.get_mut(bucket).and_then(|places| places.get_mut(step / 2 % WAYS))
            {
                core::mem::swap(place, &mut fingerprint);
            }
        }
        false
    }

    fn clear(&mut self) {
        self.buckets.fill([0; WAYS]);
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn hash(number: u64) -> u64 {
        let mut hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// Seven days and an hour of messages about one domain.
    fn taught() -> SeenDomains {
        let mut seen = SeenDomains::default();
        for hour in 0..=7 * 24 {
            assert!(!seen.is_new(hash(u64::MAX), 1_700_000_000 + hour * 3_600) || hour == 7 * 24);
        }
        seen
    }
    const NOW: u64 = 1_700_000_000 + 8 * 86_400;

    #[test]
    fn a_hundred_thousand_domains_are_told_from_new_ones() {
        let mut seen = taught();
        let names = NEW_DOMAINS as u64 - 2;
        let told = (0..names).filter(|&number| seen.is_new(hash(number), NOW)).count();
        assert!(names as usize - told < 10, "{told}");
        // One that had to go when there was no room for another is the exception.
        let forgotten = (names - 20_000..names).filter(|&number| seen.is_new(hash(number), NOW)).count();
        assert!(forgotten <= 20, "{forgotten}");
        let (strangers, mut false_seen) = (1_000_000, 0);
        for number in 0..strangers {
            let (bucket, fingerprint) = place(hash(1 << 40 | number));
            false_seen +=
                u64::from(seen.young.contains(bucket, fingerprint) || seen.old.contains(bucket, fingerprint));
        }
        assert!(false_seen * 10_000 <= strangers, "{false_seen} of {strangers}");
    }

    #[test]
    fn a_domain_in_use_is_never_forgotten() {
        let mut seen = taught();
        for number in 0..400_000 {
            seen.is_new(hash(number), NOW);
            assert!(number % 1_000 != 0 || !seen.is_new(hash(u64::MAX), NOW), "{number}");
        }
        assert!(seen.is_new(hash(1), NOW), "long ago");
        assert_eq!(SeenDomains::COST, 256 << 10);
    }

    #[test]
    fn nothing_is_told_while_it_learns() {
        let mut seen = SeenDomains::default();
        assert!(!seen.is_new(hash(1), 5));
        assert!(!seen.is_new(hash(2), 1_700_000_000), "the clock was set");
        assert!(!seen.is_new(hash(3), 1_700_000_000 + LEARN_SECONDS), "a hole");
        for hour in 0..7 * 24 {
            seen.is_new(hash(4), NOW + hour * 3_600);
        }
        assert!(seen.is_new(hash(5), NOW + 7 * 86_400));
        assert!(!seen.is_new(hash(5), NOW + 7 * 86_400));
    }
}
