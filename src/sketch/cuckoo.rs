//! Keys that were seen before, by fingerprints of 16 bits in two cuckoo filters.
//!
//! Fan, Andersen, Kaminsky, Mitzenmacher: Cuckoo Filter: Practically Better Than Bloom (2014). A fingerprint
//! is in one of two buckets, each of which can be worked out from the other and the fingerprint. Buckets have
//! two places: with four, half as many keys again would fit, and a key would be taken for another one twice
//! as often.
//!
//! ```text
//! young   buckets of two    takes what is new, until it is full to about three quarters
//! old     buckets of two    the young one of before; what is asked for again moves to the young one
//! ```
//!
//! So what is asked for again and again is never forgotten. A key that was not seen is taken for one that was
//! with a chance of 8 x 0.76 / 65,536, less than 0.01 %, while both are full; measured: see the tests of
//! `health`. Where there is no room for a fingerprint, one is left out and the generation ends.

use crate::limits;

/// Places of a bucket.
const WAYS: usize = 2;
/// Fingerprints that are moved to make room for one: at the load at which a generation ends it is a handful.
const MOVES_MAX: usize = 64;

/// Bytes of a bucket.
pub(crate) const BUCKET_BYTES: usize = WAYS * size_of::<u16>();

/// Keys that were seen, of the last two generations. `BUCKETS`, a power of two, are those of one of them.
#[derive(Debug)]
pub(crate) struct SeenKeys<const BUCKETS: usize> {
    young: CuckooFilter<BUCKETS>,
    old: CuckooFilter<BUCKETS>,
}

/// A cuckoo filter.
#[derive(Debug)]
struct CuckooFilter<const BUCKETS: usize> {
    /// 0 is free.
    buckets: Box<[[u16; WAYS]]>,
    used: usize,
}

impl<const BUCKETS: usize> SeenKeys<BUCKETS> {
    /// Bytes of both filters.
    pub(crate) const COST: usize = 2 * BUCKETS * BUCKET_BYTES;

    /// Notes a key by its hash; whether it was not seen before. A generation ends when it has so many.
    pub(crate) fn is_new(&mut self, hash: u64, generation: usize) -> bool {
        let (bucket, fingerprint) = place::<BUCKETS>(hash);
        if self.young.contains(bucket, fingerprint) {
            return false;
        }
        let was_seen = self.old.contains(bucket, fingerprint);
        if !self.young.insert(bucket, fingerprint) || self.young.used >= generation {
            core::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        !was_seen
    }

    /// Whether a key was seen, or one that looks like it.
    #[cfg(test)]
    pub(crate) fn has_seen(&self, hash: u64) -> bool {
        let (bucket, fingerprint) = place::<BUCKETS>(hash);
        self.young.contains(bucket, fingerprint) || self.old.contains(bucket, fingerprint)
    }

    /// The buckets from a number on, first the young ones, to be saved.
    pub(crate) fn buckets(&self, from: usize) -> impl Iterator<Item = [u16; WAYS]> {
        self.young.buckets.iter().chain(&self.old.buckets).skip(from).copied()
    }

    /// Puts a saved bucket back.
    pub(crate) fn set_bucket(&mut self, number: usize, fingerprints: [u16; WAYS]) {
        let filter = if number < BUCKETS { &mut self.young } else { &mut self.old };
        let Some(bucket) = filter.buckets.get_mut(number % BUCKETS) else { return };
        let used = |bucket: &[u16; WAYS]| bucket.iter().filter(|place| **place != 0).count();
        filter.used = filter.used + used(&fingerprints) - used(bucket);
        *bucket = fingerprints;
    }
}

impl<const BUCKETS: usize> Default for SeenKeys<BUCKETS> {
    fn default() -> Self {
        let filter = || CuckooFilter { buckets: limits::table(BUCKETS, [0; WAYS]), used: 0 };
        SeenKeys { young: filter(), old: filter() }
    }
}

/// Bucket and fingerprint of a hash.
fn place<const BUCKETS: usize>(hash: u64) -> (usize, u16) {
    (hash as usize % BUCKETS, ((hash >> 32) as u16).max(1))
}

impl<const BUCKETS: usize> CuckooFilter<BUCKETS> {
    /// The other bucket of a fingerprint: the same from either one.
    fn other(bucket: usize, fingerprint: u16) -> usize {
        // Of 32 bits everywhere: what is saved on one machine may be read on another.
        (bucket ^ (u32::from(fingerprint).wrapping_mul(0x5bd1_e995) >> 5) as usize) % BUCKETS
    }

    fn contains(&self, bucket: usize, fingerprint: u16) -> bool {
        let has =
            |bucket: usize| self.buckets.get(bucket).is_some_and(|places| places.contains(&fingerprint));
        has(bucket) || has(Self::other(bucket, fingerprint))
    }

    /// Puts a fingerprint in; `false` if there is no room, and another one was left out.
    fn insert(&mut self, mut bucket: usize, mut fingerprint: u16) -> bool {
        for step in 0..MOVES_MAX {
            for bucket in [bucket, Self::other(bucket, fingerprint)] {
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
            bucket = Self::other(bucket, fingerprint);
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
