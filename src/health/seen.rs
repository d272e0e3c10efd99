//! Names and addresses that were seen ([`SeenKeys`]), over restarts.
//!
//! The hash is one of its own, the same on all machines, with a seed that is saved, too: whoever knew it
//! could choose a domain that looks like one that was seen.
//!
//! ```text
//! | table, 1 | seed, 8 | two numbers of the owner |                         numbers of 7 bits a byte
//! | table, 1 | number of the first bucket | fingerprints of up to 60 buckets, 4 bytes each |     empty ones are left out
//! ```

use crate::sketch::cuckoo::{BUCKET_BYTES, SeenKeys};
use crate::wire::segment::{Input, Output, SEED, SEEN};

/// Buckets of an entry that is saved.
const SAVED_AT_ONCE: usize = 60;

/// Keys that were seen.
#[derive(Debug)]
pub(super) struct SavedKeys<const BUCKETS: usize> {
    keys: SeenKeys<BUCKETS>,
    seed: u64,
}

impl<const BUCKETS: usize> Default for SavedKeys<BUCKETS> {
    fn default() -> Self {
        SavedKeys { keys: SeenKeys::default(), seed: crate::sys::random::number() }
    }
}

impl<const BUCKETS: usize> SavedKeys<BUCKETS> {
    /// Bytes of both filters.
    pub(super) const COST: usize = SeenKeys::<BUCKETS>::COST;

    /// Notes a key; whether it was not seen before. A generation has so many.
    pub(super) fn is_new(&mut self, key: impl Iterator<Item = u8>, generation: usize) -> bool {
        self.keys.is_new(hash(self.seed, key), generation)
    }

    /// Writes entries from a number on, 0 first; `None` when all are written, else the number to go on with.
    pub(super) fn write_saved(
        &self,
        table: u8,
        numbers: [u64; 2],
        from: usize,
        out: &mut Output<'_>,
    ) -> Option<usize> {
        if !out.has_room() {
            return Some(from);
        }
        if from == 0 {
            out.byte(SEED);
            out.byte(table);
            self.seed.to_le_bytes().into_iter().for_each(|byte| out.byte(byte));
            numbers.into_iter().for_each(|number| out.number(number));
        }
        for start in (from..2 * BUCKETS).step_by(SAVED_AT_ONCE) {
            if !out.has_room() {
                return Some(start);
            }
            let mut bytes = heapless::Vec::<u8, { SAVED_AT_ONCE * BUCKET_BYTES }>::new();
            let buckets = self.keys.buckets(start).take(SAVED_AT_ONCE);
            buckets.flatten().for_each(|place| _ = bytes.extend_from_slice(&place.to_le_bytes()));
            if bytes.iter().any(|byte| *byte != 0) {
                out.byte(SEEN);
                out.byte(table);
                out.number(start as u64);
                out.string(&bytes);
            }
        }
        None
    }

    /// Reads an entry, after its table; the numbers of the owner, where they are. `None` if it is broken.
    pub(super) fn read_saved(&mut self, kind: u8, input: &mut Input<'_>) -> Option<Option<[u64; 2]>> {
        if kind == SEED {
            self.seed = u64::from_le_bytes(input.array()?);
            return Some(Some([input.number()?, input.number()?]));
        }
        let first = usize::try_from(input.number()?).ok()?;
        let (buckets, []) = input.string()?.as_chunks::<BUCKET_BYTES>() else { return None };
        for (number, [a0, a1, b0, b1]) in buckets.iter().enumerate() {
            let fingerprints = [u16::from_le_bytes([*a0, *a1]), u16::from_le_bytes([*b0, *b1])];
            self.keys.set_bucket(first.checked_add(number).filter(|it| *it < 2 * BUCKETS)?, fingerprints);
        }
        Some(None)
    }

    /// Whether a key was seen, or one that looks like it.
    #[cfg(test)]
    pub(super) fn has_seen(&self, key: &[u8]) -> bool {
        self.keys.has_seen(hash(self.seed, key.iter().copied()))
    }

    #[cfg(test)]
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.keys.buckets(0).eq(other.keys.buckets(0)) && self.seed == other.seed
    }
}

/// Passes over an entry, after its table. `None` if it is broken.
pub(super) fn skip_saved(kind: u8, input: &mut Input<'_>) -> Option<()> {
    if kind == SEED {
        input.array::<8>()?;
        input.number()?;
    }
    input.number()?;
    if kind == SEEN { input.string().map(|_| ()) } else { Some(()) }
}

/// The hash of a key: FNV-1a from a seed, and the end of SplitMix64.
fn hash(seed: u64, key: impl Iterator<Item = u8>) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = key.fold(seed ^ 0xcbf2_9ce4_8422_2325, fold);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
