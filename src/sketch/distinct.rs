//! How many different things were seen, in some KiB.
//!
//! While they are few, their 64-bit hashes themselves are kept and the count is exact (a home has 5 to 50
//! clients, and its people notice 11 instead of 12). Beyond three quarters of its slots, or half of it in
//! 2048 bytes, the same memory becomes the registers of a sketch: `m` of them, four bits each. A hash falls
//! on one of them, and its rank is 1 and the zeros that follow in it; a register holds the highest rank that
//! fell on it, as in HyperLogLog.
//!
//! ```text
//! hash     | which register | 0 0 0 1 ...       |      this one has rank 4
//! memory   | r | r | r | r | ... | r | r |             two registers a byte: rank = base + r
//! ```
//!
//! The sketch counts its own changes: something new changes it with a probability `p` that follows from the
//! registers, so each change stands for `1 / p` new things, which are added up. This is the martingale
//! estimator (Ting, 2014; Cohen, "HIP", 2015): no estimate is ever made from the registers, no table mends a
//! bias, and the standard error is 0.833 / sqrt(m) where HyperLogLog has 1.04 / sqrt(m). It can be had
//! because nothing is merged: what is counted for all streams together, which is the union of the streams,
//! has a sketch of its own.
//!
//! | bytes | registers | standard error |
//! |---|---|---|
//! | 2048 | 4096 | 1.30 % |
//! | 4096 | 8192 | 0.92 % |
//! | 8192 | 16384 | 0.65 % |
//! | 16384 | 32768 | 0.46 % |
//!
//! `limits.profile` chooses (the third are those of streams without tables of their own):
//!
//! | profile | all streams together | a stream with tables, and `other` | a further stream |
//! |---|---|---|---|
//! | tiny | 8192 | 4096 | 2048 |
//! | small | 8192 | 8192 | 2048 |
//! | default | 16384 | 8192 | 2048 |
//! | large | 16384 | 16384 | 8192 |
//!
//! Two in three counts are off by less than the standard error, 997 of 1,000 by less than three of them.
//!
//! Four bits suffice as `base` follows the lowest register. A register that a rank beyond `base + 15` falls
//! on is full: it never changes again, which `p` knows. So few do (one in 3,000 while the count doubles) that
//! the error does not show it.
//!
//! The hashes must be seeded: a stranger who could choose them could make the count any number.

use crate::limits;

/// Sets that only know their sizes.
#[derive(Debug)]
pub struct DistinctCounts {
    counts: Box<[CountedSet]>,
    /// Of all of them, one after the other.
    memory: Box<[u8]>,
}

/// One of them.
#[derive(Clone, Debug)]
struct CountedSet {
    /// Where its memory begins, and its bytes: two registers each, so `bytes = 2^(index_bits - 1)`.
    start: usize,
    bytes: usize,
    /// Bits of a hash that choose a register.
    index_bits: u32,
    contents: Contents,
}

/// The content of the memory.
#[derive(Clone, Debug)]
enum Contents {
    /// That many hashes in open addressing, 0 for a free slot; three quarters of them at most.
    Exact(u16),
    /// Registers.
    RegisterSketch(RegisterSketch),
}

/// The part of the registers.
#[derive(Clone, Debug)]
struct RegisterSketch {
    /// No register has a lower rank.
    base: u32,
    /// Registers of that rank; never 0.
    lowest: u32,
    /// `p`, times the number of registers and 2^[`OPEN_BITS`]: of each register that is not full 2^-rank.
    open: u64,
    /// Things seen, times 2^[`PART_BITS`].
    seen: u64,
}

/// Slots for hashes, at most; less memory has fewer.
const SLOTS: usize = limits::DISTINCT_EXACT_BYTES / 8;
/// Hashes kept before the sketch takes over: three quarters of the slots.
#[cfg(test)]
const EXACT_MAX: u16 = (SLOTS as u16 / 4) * 3;

/// A register that is full.
const FULL: u32 = 0x0f;
/// Binary digits after the point of a register's part in `p`; ranks beyond are as good as full.
const OPEN_BITS: u32 = 32;
/// Binary digits after the point of what was seen.
const PART_BITS: u32 = 16;

impl DistinctCounts {
    /// Empty sets in that many bytes each.
    pub fn new(bytes: impl Iterator<Item = usize>) -> Self {
        let mut start = 0;
        let counts = bytes.map(|bytes| {
            let bytes = bytes.next_power_of_two().max(limits::DISTINCT_BYTES_MIN);
            start += bytes;
            CountedSet {
                start: start - bytes,
                bytes,
                index_bits: bytes.trailing_zeros() + 1,
                contents: Contents::Exact(0),
            }
        });
        DistinctCounts { counts: counts.collect(), memory: limits::table(start, 0) }
    }

    /// Bytes of a set in that many bytes.
    pub(crate) const fn cost(bytes: usize) -> usize {
        size_of::<CountedSet>() + bytes
    }

    /// Notes one thing in a set by the hash of it. `false` when it is sure that it was there before.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn insert(&mut self, number: usize, hash: u64) -> bool {
        let Some(count) = self.counts.get_mut(number) else { return false };
        let Some(memory) = self.memory.get_mut(count.start..count.start + count.bytes) else { return false };
        match &count.contents {
            Contents::Exact(_) if is_held(memory, hash) => return false,
            Contents::RegisterSketch(sketch) if sketch.is_unchanged(memory, count.index_bits, hash) => {}
            _ => return count.insert(memory, hash),
        }
        true
    }

    /// How many different things were seen.
    pub fn count(&self, number: usize) -> u64 {
        match self.counts.get(number).map(|count| &count.contents) {
            Some(Contents::Exact(count)) => u64::from(*count),
            Some(Contents::RegisterSketch(sketch)) => (sketch.seen + (1 << (PART_BITS - 1))) >> PART_BITS,
            None => 0,
        }
    }

    /// Nothing was seen of one set.
    pub(crate) fn reset_set(&mut self, number: usize) {
        let Some(count) = self.counts.get_mut(number) else { return };
        if let Some(memory) = self.memory.get_mut(count.start..count.start + count.bytes) {
            memory.fill(0);
            count.contents = Contents::Exact(0);
        }
    }

    /// Nothing was seen.
    pub(crate) fn reset(&mut self) {
        self.memory.fill(0);
        for count in &mut self.counts {
            count.contents = Contents::Exact(0);
        }
    }
}

/// 1 and the zeros after the bits that choose a register.
#[inline]
fn rank(hash: u64, index_bits: u32) -> u32 {
    (hash << index_bits | 1).leading_zeros() + 1
}

/// The number of the register that a hash falls on; two share a byte.
#[inline]
fn index(hash: u64, index_bits: u32) -> usize {
    (hash >> (64 - index_bits)) as usize
}

/// The value of a register, of the byte that it is in.
#[inline]
fn register(pair: u8, index: usize) -> u32 {
    u32::from(pair) >> shift(index) & FULL
}

/// Where it is in there.
#[inline]
fn shift(index: usize) -> u32 {
    index as u32 % 2 * 4
}

impl CountedSet {
    /// The answer of [`DistinctCounts::insert`].
    #[cfg_attr(for_size, optimize(speed))]
    #[inline(never)]
    fn insert(&mut self, memory: &mut [u8], hash: u64) -> bool {
        let index_bits = self.index_bits;
        match &mut self.contents {
            Contents::RegisterSketch(sketch) => sketch.insert(memory, index_bits, hash),
            Contents::Exact(count) => {
                // A free slot is 0, so that hash counts as 1: with 64 bits nobody sees the difference. The
                // table is left when it is three quarters full. Beyond that a search for a hash that is not
                // there, which each new one is, walks over many others.
                let hash = hash.max(1);
                let most = (slot_mask(memory) + 1) / 4 * 3;
                let Some(slot) = slot(memory, hash) else { return true };
                if u64::from_ne_bytes(*slot) == hash {
                    return false;
                }
                if usize::from(*count) < most {
                    *slot = hash.to_ne_bytes();
                    *count += 1;
                } else {
                    let mut sketch = RegisterSketch::from_hashes(memory, index_bits, *count);
                    sketch.insert(memory, index_bits, hash);
                    self.contents = Contents::RegisterSketch(sketch);
                }
            }
        }
        true
    }
}

/// Whether a hash is in the slot where it is looked for first, as with most messages.
#[inline]
fn is_held(memory: &[u8], hash: u64) -> bool {
    let start = (hash as usize & slot_mask(memory)) * 8;
    memory.get(start..start + 8).is_some_and(|slot| slot == hash.max(1).to_ne_bytes())
}

/// The number of slots in that memory, which is a power of two, less 1.
#[inline]
fn slot_mask(memory: &[u8]) -> usize {
    (memory.len() / 8).wrapping_sub(1) & (SLOTS - 1)
}

/// The slot that a hash is in, or else a free one for it.
fn slot(memory: &mut [u8], hash: u64) -> Option<&mut [u8; 8]> {
    let mask = slot_mask(memory);
    let (slots, _) = memory.as_chunks_mut::<8>();
    let mut place = hash as usize & mask;
    // A quarter of them is free.
    while slots.get(place).is_some_and(|held| *held != [0; 8] && u64::from_ne_bytes(*held) != hash) {
        place = (place + 1) & mask;
    }
    slots.get_mut(place)
}

impl RegisterSketch {
    /// Makes registers of `count` hashes.
    #[cfg_attr(for_size, optimize(speed))]
    fn from_hashes(memory: &mut [u8], index_bits: u32, count: u16) -> Self {
        let mut hashes = [[0; 8]; SLOTS];
        hashes.iter_mut().zip(memory.as_chunks::<8>().0).for_each(|(hash, held)| *hash = *held);
        memory.fill(0);
        let mut sketch =
            RegisterSketch { base: 0, lowest: 1 << index_bits, open: 1 << (index_bits + OPEN_BITS), seen: 0 };
        for hash in hashes.map(u64::from_ne_bytes).into_iter().filter(|&hash| hash != 0) {
            sketch.insert(memory, index_bits, hash);
        }
        RegisterSketch { seen: u64::from(count) << PART_BITS, ..sketch }
    }

    /// Whether a hash would raise no register, as with most messages.
    #[inline]
    fn is_unchanged(&self, memory: &[u8], index_bits: u32, hash: u64) -> bool {
        let (rank, index) = (rank(hash, index_bits), index(hash, index_bits));
        let Some(&pair) = memory.get(index / 2) else { return true };
        let register = register(pair, index);
        // Both, without a branch between them: which one it is nobody can predict.
        (register == FULL) | (rank <= self.base + register)
    }

    /// Raises the register that a hash falls on, if its rank is higher.
    #[cfg_attr(for_size, optimize(speed))]
    fn insert(&mut self, memory: &mut [u8], index_bits: u32, hash: u64) {
        let (rank, index) = (rank(hash, index_bits), index(hash, index_bits));
        let Some(pair) = memory.get_mut(index / 2) else { return };
        let before = register(*pair, index);
        if before == FULL || rank <= self.base + before {
            return;
        }
        // 1 / p, to the nearest, with the p of before the change: that was the chance that this hash had to
        // change anything, so on the average 1 / p new things come for each change. Of four registers with
        // the ranks 0 0 0 0, p = 1 and the first thing counts 1. With 1 0 0 0, a register of rank 1 is raised
        // by every other hash only: p = (1/2 + 1 + 1 + 1) / 4, and the next change counts 8/7. After the
        // change p would be too low, and each count too high.
        let one = 1 << (index_bits + OPEN_BITS + PART_BITS);
        self.seen += (one + self.open / 2) / self.open.max(1);
        let after = (rank - self.base).min(FULL);
        // A full register takes no part in p from here on, because nothing can change it.
        *pair = *pair & !((FULL << shift(index)) as u8) | (after << shift(index)) as u8;
        self.open =
            self.open - open(self.base + before) + if after < FULL { open(self.base + after) } else { 0 };
        if before == 0 {
            self.lowest -= 1;
            while self.lowest == 0 {
                self.raise_base(memory);
            }
        }
    }

    /// Counts ranks from one higher on, as no register has the lowest.
    fn raise_base(&mut self, memory: &mut [u8]) {
        self.base += 1;
        for pair in memory {
            let mut after = 0;
            for shift in [0, 4] {
                let register = u32::from(*pair) >> shift & FULL;
                let register = if register == FULL { FULL } else { register - 1 };
                self.lowest += u32::from(register == 0);
                after |= (register << shift) as u8;
            }
            *pair = after;
        }
    }
}

/// The amount a register of that rank adds to `open`.
fn open(rank: u32) -> u64 {
    (1 << OPEN_BITS) >> rank.min(OPEN_BITS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::BuildHasher;

    fn hasher(seed: u64) -> foldhash::quality::FixedState {
        foldhash::quality::FixedState::with_seed(seed)
    }

    #[test]
    fn few_are_counted_exactly() {
        let mut distincts = DistinctCounts::new([4096, 8192].into_iter());
        for round in 0..3 {
            for thing in 0..EXACT_MAX {
                distincts.insert(1, hasher(1).hash_one(thing));
                let expected = if round == 0 { thing + 1 } else { EXACT_MAX };
                assert_eq!((distincts.count(0), distincts.count(1)), (0, u64::from(expected)));
            }
        }
        distincts.reset();
        assert_eq!(distincts.count(1), 0);
        distincts.insert(1, 0);
        assert_eq!(distincts.count(1), 1);
    }

    #[test]
    fn half_the_memory_is_exact_for_half_as_many() {
        let mut distincts = DistinctCounts::new([2048].into_iter());
        for _ in 0..2 {
            for thing in 0..EXACT_MAX / 2 {
                distincts.insert(0, hasher(1).hash_one(thing));
            }
            assert_eq!(distincts.count(0), u64::from(EXACT_MAX / 2));
        }
        distincts.insert(0, hasher(1).hash_one(EXACT_MAX));
        assert!(matches!(distincts.counts[0].contents, Contents::RegisterSketch(_)));
        assert_eq!(distincts.count(0), u64::from(EXACT_MAX / 2) + 1);
    }

    /// The errors are those of the documentation, whatever the seed.
    #[test]
    fn many_are_counted_within_the_stated_error() {
        const SEEDS: u64 = if cfg!(debug_assertions) { 12 } else { 40 };
        let sizes = [(2048, 0.0130), (4096, 0.0092), (8192, 0.0065), (16384, 0.0046)];
        let marks = [400, 1_000, 10_000, 30_000, 100_000];
        let mut squares = [0.0; 4];
        for seed in 0..SEEDS {
            let (hasher, mut distincts) =
                (hasher(seed), DistinctCounts::new(sizes.map(|(bytes, _)| bytes).into_iter()));
            for thing in 1..=100_000u64 {
                let hash = hasher.hash_one(thing);
                for (number, (square, (bytes, stated))) in squares.iter_mut().zip(sizes).enumerate() {
                    distincts.insert(number, hash);
                    if marks.contains(&thing) {
                        let error = distincts.count(number) as f64 / thing as f64 - 1.0;
                        assert!(error.abs() < 4.0 * stated, "{bytes} bytes, seed {seed}, {thing}: {error}");
                        assert!(
                            bytes < 8192 || error.abs() < 0.02,
                            "{bytes} bytes, seed {seed}, {thing}: {error}"
                        );
                        *square += if thing > 50_000 { error * error } else { 0.0 };
                    }
                }
            }
        }
        let documentation = include_str!("distinct.rs");
        for (square, (bytes, stated)) in squares.into_iter().zip(sizes) {
            let error = (square / SEEDS as f64).sqrt();
            println!("{bytes} bytes: {:.2} %", error * 100.0);
            assert!((0.6..1.3).contains(&(error / stated)), "{bytes} bytes: {error}");
            let row = format!("//! | {bytes} | {} | {:.2} % |", bytes * 2, stated * 100.0);
            assert!(documentation.contains(&row), "{row}");
        }
    }

    /// A thing seen before changes nothing, also in the range where registers are full.
    #[test]
    fn what_comes_again_is_not_counted_again() {
        let hasher = hasher(3);
        let mut distincts = DistinctCounts::new([4096].into_iter());
        let insert_all = |distincts: &mut DistinctCounts| {
            for thing in 0..3_000_000u64 {
                distincts.insert(0, hasher.hash_one(thing));
            }
            distincts.count(0)
        };
        let first = insert_all(&mut distincts);
        assert!((first as f64 / 3e6 - 1.0).abs() < 0.03, "{first}");
        assert!(distincts.memory.iter().any(|pair| pair & 0x0f == 0x0f), "no register is full");
        assert_eq!(insert_all(&mut distincts), first);
    }

    #[test]
    fn the_extreme_hashes_fit() {
        let mut distincts = DistinctCounts::new([4096].into_iter());
        let sketch = RegisterSketch::from_hashes(&mut distincts.memory, 13, 0);
        distincts.counts[0].contents = Contents::RegisterSketch(sketch);
        distincts.insert(0, 0);
        distincts.insert(0, u64::MAX);
        distincts.insert(0, 0);
        assert_eq!((distincts.count(0), distincts.memory[0], distincts.memory[4095]), (2, 0x0f, 0x10));
    }
}
