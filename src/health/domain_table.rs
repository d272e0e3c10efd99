//! A small table of registered domains: the ones with the most of something in the time under way.
//!
//! ```text
//! hash of a domain -> bucket -> | a | b | c | d |      found: its entry
//!                                        |             new: against the smallest, c, by chance
//! ```
//!
//! Randomised admission (Ben Basat and others, 2017): a new domain takes the place of the smallest of four once in as many
//! times as that has had something. A domain that is asked for once has hardly a chance against one that grows; one that
//! is asked for again and again comes in soon, whatever else is asked, and no queue of candidates is needed.

/// Entries of a bucket.
pub(super) const WAYS: usize = 4;

/// One domain of a table, and what is known of it in a period: a minute or an hour.
pub(super) trait DomainEntry: Copy {
    /// A place that nobody has.
    const FREE: Self;

    /// The entry of a domain of which nothing came yet.
    fn begin(key: u64, period: u64) -> Self;

    /// Hash of the domain; 0 is free.
    fn key(&self) -> u64;

    /// The period that it was last seen in.
    fn period(&self) -> u64;

    /// Begins another period.
    fn renew(&mut self, period: u64);

    /// How much it has: who has the least goes first.
    fn size(&self, period: u64) -> u64;

    /// A new domain takes its place once in that many times; 1 is always.
    fn odds(&self, period: u64) -> u64;
}

/// The table.
#[derive(Debug)]
pub(super) struct DomainTable<E, const BUCKETS: usize> {
    entries: [[E; WAYS]; BUCKETS],
    chance: u64,
}

impl<E: DomainEntry, const BUCKETS: usize> Default for DomainTable<E, BUCKETS> {
    fn default() -> Self {
        DomainTable { entries: [[E::FREE; WAYS]; BUCKETS], chance: crate::sys::random::number() | 1 }
    }
}

impl<E: DomainEntry, const BUCKETS: usize> DomainTable<E, BUCKETS> {
    /// The entry of a domain in a period, if it has or gets one.
    pub(super) fn entry(&mut self, key: u64, period: u64) -> Option<&mut E> {
        let bucket = self.entries.get_mut(key as usize % BUCKETS)?;
        let held = bucket.iter().position(|entry| entry.key() == key);
        let size = |way: &usize| bucket.get(*way).map_or(0, |entry| entry.size(period));
        let way = held.or_else(|| (0..WAYS).min_by_key(size))?;
        let entry = bucket.get_mut(way)?;
        if held.is_none() {
            // Marsaglia's xorshift (2003): a stranger must not guess when the next domain comes in, and no more.
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            if !self.chance.is_multiple_of(entry.odds(period)) {
                return None;
            }
            *entry = E::begin(key, period);
        } else if entry.period() != period {
            entry.renew(period);
        }
        Some(entry)
    }
}
