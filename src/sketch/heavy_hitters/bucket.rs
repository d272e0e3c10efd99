//! A bucket: [`WAYS`] entries in two halves, and the block with their names.
//!
//! ```text
//! hot      | 8 hashes | 8 values |                 all that a known key touches
//! cold     | 8 x inherited, unseen | 8 lengths |   when an entry changes hands
//! block    |com.|example|..|                       the names, one after the other, in order of the entries
//! ```

use super::admission::weight;

/// The part read for every key of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct HotBucket<const N: usize> {
    /// The lower halves of the hashes, which are compared all at once, and the upper halves; both 0 is a
    /// free entry.
    pub(super) keys: [[u32; WAYS]; 2],
    /// Certain and inherited together.
    pub(super) values: [[u64; N]; WAYS],
}

/// The rest of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColdBucket<const N: usize> {
    /// Part of each value that it had when it got in. `inherited <= values`.
    pub(super) inherited: [[u32; N]; WAYS],
    /// The cell of each when it got in.
    pub(super) unseen: [[u32; N]; WAYS],
    /// Value of the last entry that went: a free entry, which may come of a long name that went for a short
    /// one, is to be had at no lower price.
    pub(super) floor: [u32; N],
    /// Bytes of each name. They are in the block one after the other, in order of the entries.
    pub(super) lengths: [u8; WAYS],
}

/// Entries of a bucket.
pub(crate) const WAYS: usize = 8;

/// Bytes of a bucket for each name in it: most names are shorter, with the length bytes of the wire form.
pub const NAME_BYTES: usize = 40;

/// Bytes of a bucket for each address in it.
pub(crate) const ADDRESS_BYTES: usize = 16;

impl<const N: usize> HotBucket<N> {
    /// The entry of a key; of 0 a free one.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        // Without a branch for each: which one it is nobody can predict.
        let bit = |(way, low): (usize, &u32)| u32::from(*low == key as u32) << way;
        let mut found = self.keys[0].iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
        while found != 0 {
            let way = found.trailing_zeros() as usize;
            if self.key(way) == Some(key) {
                return Some(way);
            }
            found &= found - 1;
        }
        None
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, way: usize) -> Option<u64> {
        let [low, high] = &self.keys;
        Some(u64::from(*high.get(way)?) << 32 | u64::from(*low.get(way)?))
    }

    pub(super) fn set_key(&mut self, way: usize, key: u64) {
        for (half, value) in self.keys.iter_mut().zip([key as u32, (key >> 32) as u32]) {
            if let Some(half) = half.get_mut(way) {
                *half = value;
            }
        }
    }

    /// The lightest entry among those that are not excepted.
    pub(super) fn lightest(&self, except: &[bool; WAYS]) -> Option<usize> {
        let entries = self.values.iter().zip(except).enumerate();
        entries
            .filter(|&(way, (_, except))| !except && self.key(way) != Some(0))
            .map(|(way, (values, _))| (weight(*values), way))
            .min()
            .map(|(_, way)| way)
    }
}

impl<const N: usize> ColdBucket<N> {
    /// Where the name of an entry begins; of the entry after the last, where the free part does.
    pub(super) fn start(&self, way: usize) -> usize {
        self.lengths.iter().take(way).copied().map(usize::from).sum()
    }

    /// Puts in the name of an entry that has none, for which there is room, and gives its place.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn put<'b>(&mut self, way: usize, name: &[u8], block: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let (start, end) = (self.start(way), self.start(WAYS));
        let used = block.get_mut(..end + name.len())?;
        used.copy_within(start..end, start + name.len());
        let place = used.get_mut(start..start + name.len())?;
        place.copy_from_slice(name);
        *self.lengths.get_mut(way)? = u8::try_from(name.len()).ok()?;
        Some(place)
    }

    /// Takes out the name of an entry.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn take(&mut self, way: usize, block: &mut [u8]) {
        let (start, end) = (self.start(way), self.start(WAYS));
        let Some(length) = self.lengths.get_mut(way) else { return };
        let rest = start + usize::from(core::mem::take(length));
        if let Some(used) = block.get_mut(..end) {
            used.copy_within(rest.., start);
        }
    }
}
