//! A small table of registered domains: the ones with the most of something in the time under way.
//!
//! ```text
//! hash of a domain -> bucket -> | a | b | c | d |      found: its entry
//!                                        |             new: against the smallest, c, by chance
//! ```
//!
//! Randomised admission (Ben Basat and others, 2017): a new domain takes the place of the smallest of four
//! once in as many times as that has had something. A domain that is asked for once has hardly a chance
//! against one that grows; one that is asked for again and again comes in soon, whatever else is asked, and
//! no queue of candidates is needed. Of the smallest ones it is a random one that goes, or a place would be
//! everybody's and nobody's.
//!
//! A name that came within the last half hour ([`FreshNames`]) lets no domain in: what is usual stays
//! outside, and who asks for ever new names does not have to wait for chance among those who do not.
//!
//! A domain is known by 32 bits of its hash beside those of the bucket. Names below it are counted by a
//! bitmap (linear counting: Whang and others, 1990): the hash of a name sets one bit of 512.

/// Entries of a bucket.
pub(super) const WAYS: usize = 4;

/// One domain of a table, and what is known of it. Minutes are those of the messages' own time, and go round
/// after 45 days.
pub(super) trait DomainEntry: Copy {
    /// A place that nobody has.
    const FREE: Self;

    /// The entry of a domain of which nothing came yet.
    fn begin(key: u32, minute: u16) -> Self;

    /// Hash of the domain; 0 is free.
    fn key(&self) -> u32;

    /// Another minute may be under way.
    fn pass(&mut self, minute: u16);

    /// How much it has: who has the least goes first.
    fn size(&self, minute: u16) -> u32;

    /// A new domain takes its place once in that many times; 1 is always.
    fn odds(&self, minute: u16) -> u32;
}

/// Which different names came.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameBits([u32; NAME_BITS as usize / 32]);

/// Bits for names.
pub(super) const NAME_BITS: u32 = 512;

impl NameBits {
    pub(super) const NONE: Self = NameBits([0; NAME_BITS as usize / 32]);

    /// Notes a name by its hash; whether none of its bit came before.
    #[inline]
    pub(super) fn is_new(&mut self, name: u64) -> bool {
        let bit = 1u32 << (name >> 55 & 31);
        let Some(word) = self.0.get_mut((name >> 60) as usize) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Forgets every second word, the even or the odd ones; how many bits stay.
    pub(super) fn forget_half(&mut self, odd: bool) -> u32 {
        self.0.iter_mut().skip(usize::from(odd)).step_by(2).for_each(|word| *word = 0);
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// Which names came lately, of all domains: a bitmap, of which one half or the other is emptied each half
/// hour, and sooner when three quarters are set, so that a flood hides nobody for long.
#[derive(Debug)]
pub(super) struct FreshNames {
    bits: [u32; FRESH_WORDS],
    set: u32,
    /// The half hour under way, and the half that is emptied next.
    half_hour: u64,
    odd: bool,
}

const FRESH_WORDS: usize = 512;
const FRESH_MAX: u32 = FRESH_WORDS as u32 * 32 / 4 * 3;

impl Default for FreshNames {
    fn default() -> Self {
        FreshNames { bits: [0; FRESH_WORDS], set: 0, half_hour: 0, odd: false }
    }
}

impl FreshNames {
    /// Notes a name by its hash; whether it did not come lately.
    #[inline]
    pub(super) fn is_fresh(&mut self, name: u64, minute: u64) -> bool {
        if self.half_hour != minute / 30 || self.set > FRESH_MAX {
            self.forget_half(minute / 30);
        }
        let bit = 1u32 << (name >> 32 & 31);
        let Some(word) = self.bits.get_mut((name >> 37) as usize % FRESH_WORDS) else { return false };
        let is_fresh = *word & bit == 0;
        *word |= bit;
        self.set += u32::from(is_fresh);
        is_fresh
    }

    #[cold]
    fn forget_half(&mut self, half_hour: u64) {
        self.half_hour = half_hour;
        self.bits.iter_mut().skip(usize::from(self.odd)).step_by(2).for_each(|word| *word = 0);
        self.odd = !self.odd;
        self.set = self.bits.iter().map(|word| word.count_ones()).sum();
    }
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
    /// The entry of a domain, by its hash, in a minute, if it has one, or gets one, which only a fresh name
    /// has it get.
    pub(super) fn entry(&mut self, hash: u64, minute: u64, is_fresh: bool) -> Option<&mut E> {
        let (key, minute) = ((hash >> 32) as u32 | 1, minute as u16);
        let bucket = self.entries.get_mut(hash as usize % BUCKETS)?;
        if let Some(way) = bucket.iter().position(|entry| entry.key() == key) {
            let entry = bucket.get_mut(way)?;
            entry.pass(minute);
            return Some(entry);
        }
        if !is_fresh {
            return None;
        }
        // Marsaglia's xorshift (2003): a stranger must not guess when the next domain comes in, and no more.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let first = (self.chance >> 32) as usize;
        let size = |way: &usize| bucket.get(*way).map_or(0, |entry| entry.size(minute));
        let way = (0..WAYS).map(|way| (way + first) % WAYS).min_by_key(size)?;
        let entry = bucket.get_mut(way)?;
        if !self.chance.is_multiple_of(u64::from(entry.odds(minute))) {
            return None;
        }
        *entry = E::begin(key, minute);
        Some(entry)
    }
}
