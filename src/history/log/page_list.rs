//! A list of the open page: what its records share, by number, and the numbers by hash.
//!
//! A closed page has only the references, in the order of their numbers.

use super::store::Reference;
use crate::limits::table;

/// The list, while the page is open.
#[derive(Debug)]
pub(super) struct PageList {
    references: Box<[u32]>,
    /// Open addressing by hash: the upper bits are the hash's, the lower ten the number plus 1; 0 is free.
    slots: Box<[u64]>,
}

/// A place for what is not in the list.
pub(super) struct FreeSlot(usize);

/// The bits of a slot that are a number.
const NUMBER: u64 = (1 << 10) - 1;

impl PageList {
    /// Room for that many entries, fewer than 1,024.
    pub(super) fn new(entries: usize) -> Self {
        PageList { references: table(entries, 0), slots: table(slots(entries), 0) }
    }

    /// Bytes that it takes.
    pub(super) const fn cost(entries: usize) -> usize {
        entries * size_of::<u32>() + slots(entries) * size_of::<u64>()
    }

    /// How many entries there can be.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.references.len()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
    }

    /// The number of the entry with that seeded hash.
    ///
    /// # Errors
    ///
    /// The place for it if there is none.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Result<u16, FreeSlot> {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        // Half of the slots are free at least.
        loop {
            match self.slots.get(place).copied().unwrap_or(0) {
                0 => return Err(FreeSlot(place)),
                held if (held ^ hash) & !NUMBER == 0 => return Ok((held & NUMBER) as u16 - 1),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Puts the entry of that number where there was none.
    pub(super) fn put(
        &mut self,
        FreeSlot(place): FreeSlot,
        hash: u64,
        number: u16,
        Reference(reference): Reference,
    ) {
        if let (Some(slot), Some(held)) =
            (self.slots.get_mut(place), self.references.get_mut(usize::from(number)))
        {
            *slot = hash & !NUMBER | u64::from(number + 1);
            *held = reference;
        }
    }

    /// The reference of an entry; 0 if there is none.
    #[inline]
    pub(super) fn reference(&self, number: usize) -> u32 {
        self.references.get(number).copied().unwrap_or(0)
    }

    /// The references of the first entries.
    pub(super) fn references(&self, entries: usize) -> impl Iterator<Item = u32> {
        self.references.iter().take(entries).copied()
    }
}

/// Twice as many, and a power of two.
const fn slots(entries: usize) -> usize {
    (entries * 2).next_power_of_two()
}
