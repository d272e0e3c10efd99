//! The table of heavy hitters: buckets, cells and marks, and how a key is counted and read.

use super::admission::AdmissionChance;
use super::bucket::{ColdBucket, HotBucket, WAYS};
use crate::limits::table;

/// The heaviest keys by `N` numbers at once, such as messages and bytes.
#[derive(Debug)]
pub struct HeavyHitters<const N: usize> {
    pub(super) hot: Box<[HotBucket<N>]>,
    pub(super) cold: Box<[ColdBucket<N>]>,
    /// For each bucket a weight that none of its entries is below; 0 while one is free or nobody has looked.
    pub(super) least: Box<[u32]>,
    /// A block of `block` bytes for each bucket.
    pub(super) names: Box<[u8]>,
    pub(super) block: usize,
    pub(super) cells: Box<[[u32; N]]>,
    pub(super) marks: Box<[u8]>,
    pub(super) total: [u64; N],
    pub(super) evicted: u64,
    pub(super) chance: AdmissionChance,
    /// Whether names are kept in lower case.
    pub(super) lowercase: bool,
}

/// Cells for each entry.
const CELLS_PER_ENTRY: usize = 2;

/// Marks for each entry.
const MARKS_PER_ENTRY: usize = 8;

/// An entry, for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeavyHitter<'a, const N: usize> {
    /// Hash of the name.
    pub(crate) key: u64,
    /// The part of its count that is sure.
    pub certain: [u64; N],
    /// The best guess at what was missed beside that. `guessed <= unseen`.
    pub guessed: [u64; N],
    /// The most that was missed.
    pub unseen: [u64; N],
    /// The name itself.
    pub name: &'a [u8],
}

impl<const N: usize> HeavyHitters<N> {
    /// Room for `entries` keys, a multiple of [`WAYS`] at least, with `key_bytes` bytes for the name of each.
    pub fn new(entries: usize, key_bytes: usize) -> Self {
        let buckets = entries.div_ceil(WAYS).max(1);
        let hot = HotBucket { keys: [[0; WAYS]; 2], values: [[0; N]; WAYS] };
        let cold = ColdBucket {
            inherited: [[0; N]; WAYS],
            unseen: [[0; N]; WAYS],
            floor: [0; N],
            lengths: [0; WAYS],
        };
        HeavyHitters {
            hot: table(buckets, hot),
            cold: table(buckets, cold),
            least: table(buckets, 0),
            names: table(buckets * WAYS * key_bytes, 0),
            block: WAYS * key_bytes,
            cells: table(buckets * WAYS * CELLS_PER_ENTRY, [0; N]),
            marks: table(buckets * WAYS * MARKS_PER_ENTRY, 0),
            total: [0; N],
            evicted: 0,
            chance: AdmissionChance(1),
            lowercase: false,
        }
    }

    /// Keeps names in lower case, or as they come. Whether both have the same hash is up to who counts.
    pub(crate) fn in_lower_case(self, lowercase: bool) -> Self {
        HeavyHitters { lowercase, ..self }
    }

    /// Bytes of a table of that size.
    pub const fn cost(entries: usize, key_bytes: usize) -> usize {
        let (cells, marks) = (WAYS * CELLS_PER_ENTRY * size_of::<[u32; N]>(), WAYS * MARKS_PER_ENTRY);
        let bucket = size_of::<HotBucket<N>>()
            + size_of::<ColdBucket<N>>()
            + size_of::<u32>()
            + WAYS * key_bytes
            + cells
            + marks;
        size_of::<HeavyHitters<N>>() + entries.div_ceil(WAYS) * bucket
    }

    /// Counts `amounts` for the name with that hash.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn count(&mut self, hash: u64, amounts: [u64; N], name: &[u8]) {
        let key = hash.max(1);
        add(&mut self.total, amounts);
        let place = self.bucket(key);
        let Some(bucket) = self.hot.get_mut(place) else { return };
        match bucket.find(key).and_then(|way| bucket.values.get_mut(way)) {
            Some(values) => add(values, amounts),
            None => self.admit(key, amounts, name),
        }
    }

    /// The entry of a key.
    pub(crate) fn find(&self, key: u64) -> Option<HeavyHitter<'_, N>> {
        let place = self.bucket(key);
        let way = self.hot.get(place)?.find(key)?;
        self.entry(place, way)
    }

    /// Whether a key has an entry.
    pub fn holds(&self, key: u64) -> bool {
        self.hot.get(self.bucket(key)).is_some_and(|bucket| bucket.find(key).is_some())
    }

    /// The most that a key without an entry was counted.
    pub fn bound(&self, key: u64) -> [u64; N] {
        self.cells.get(self.cell(key)).map_or([0; N], |cell| cell.map(u64::from))
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = HeavyHitter<'_, N>> {
        (0..self.hot.len()).flat_map(move |place| (0..WAYS).filter_map(move |way| self.entry(place, way)))
    }

    /// All that was counted, of keys with and without entries.
    pub(crate) fn total(&self) -> [u64; N] {
        self.total
    }

    /// Entries that made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Halves everything.
    pub(crate) fn age(&mut self) {
        self.total = self.total.map(|total| total / 2);
        self.least.fill(0);
        for cell in self.cells.iter_mut().flatten() {
            *cell = cell.div_ceil(2);
        }
        for (hot, cold) in self.hot.iter_mut().zip(&mut self.cold) {
            cold.floor = cold.floor.map(|floor| floor / 2);
            let parts = cold.inherited.iter_mut().zip(&mut cold.unseen);
            for (values, (inherited, unseen)) in hot.values.iter_mut().zip(parts) {
                for (value, (inherited, unseen)) in values.iter_mut().zip(inherited.iter_mut().zip(unseen)) {
                    let certain = value.saturating_sub(u64::from(*inherited));
                    *unseen = unseen.div_ceil(2) + (certain % 2) as u32;
                    *inherited /= 2;
                    *value = certain / 2 + u64::from(*inherited);
                }
            }
        }
    }

    /// Forgets all keys; what was evicted stays counted.
    pub(crate) fn reset(&mut self) {
        for (hot, cold) in self.hot.iter_mut().zip(&mut self.cold) {
            hot.keys = [[0; WAYS]; 2];
            (cold.lengths, cold.floor) = ([0; WAYS], [0; N]);
        }
        self.cells.fill([0; N]);
        self.marks.fill(0);
        self.least.fill(0);
        self.total = [0; N];
    }

    pub(super) fn bucket(&self, key: u64) -> usize {
        scale(key as u32, self.hot.len())
    }

    pub(super) fn cell(&self, key: u64) -> usize {
        scale((key >> 32) as u32, self.cells.len())
    }

    pub(super) fn entry(&self, place: usize, way: usize) -> Option<HeavyHitter<'_, N>> {
        let (hot, cold) = (self.hot.get(place)?, self.cold.get(place)?);
        let key = hot.key(way).filter(|&key| key != 0)?;
        let (values, inherited) = (hot.values.get(way)?, cold.inherited.get(way)?.map(u64::from));
        let unseen = cold.unseen.get(way)?.map(u64::from);
        let start = place * self.block + cold.start(way);
        let name = self.names.get(start..)?.get(..usize::from(*cold.lengths.get(way)?))?;
        Some(HeavyHitter {
            key,
            certain: each(*values, inherited, u64::saturating_sub),
            guessed: each(inherited, unseen, u64::min),
            unseen,
            name,
        })
    }
}

#[inline]
pub(super) fn add<const N: usize>(values: &mut [u64; N], amounts: [u64; N]) {
    *values = each(*values, amounts, u64::wrapping_add);
}

/// Element by element.
#[inline]
pub(super) fn each<T: Copy + Default, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> T) -> [T; N] {
    let mut results = [T::default(); N];
    for (result, (a, b)) in results.iter_mut().zip(a.into_iter().zip(b)) {
        *result = f(a, b);
    }
    results
}

/// A number known to fit 32 bits.
pub(super) fn small<const N: usize>(values: [u64; N]) -> [u32; N] {
    values.map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// A number below `size`, evenly from 32 random bits.
#[inline]
pub(super) fn scale(bits: u32, size: usize) -> usize {
    ((u64::from(bits) * size as u64) >> 32) as usize
}
