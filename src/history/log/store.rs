//! The memory of the log: pages, and in some of them byte strings that are kept once.
//!
//! ```text
//! pool   | page 0: records | page 1: slots of 24 | page 2: records | page 3: slots of 40 | ...
//!
//! slot   | stamp, 2 | length, 1 | bytes ...                | unused  |
//! free   | next, 2  | 0         |
//! ```
//!
//! A page holds records, or slots of one size for names, addresses and what else records share. Each page is
//! the one or the other as it is needed, so a storm of new names takes memory from the records and gives it
//! back.
//!
//! A string lives as long as the last record that refers to it. Its stamp is the number of the page of
//! records that referred to it last; pages of records go in the order in which they came, so when one goes,
//! those of its strings that bear its number have nobody left. That is all the garbage collection there is:
//! no counting of references, and nothing is moved.
//!
//! Strings are found by their hash in an index of buckets. It is a cache: what it forgot is merely stored
//! once more, and what it remembers wrongly is noticed, because the bytes are compared.

use crate::limits;

/// The memory.
#[derive(Debug)]
pub(super) struct Store {
    pool: Box<[u8]>,
    pages: Box<[Page]>,
    page_bytes: usize,
    /// A reference counts units of `1 << unit_bits` bytes: the size of each slot is a multiple of it.
    unit_bits: u32,
    /// References by hash, with a tag of the hash in the upper bits; 0 is free.
    index: Box<[[u32; WAYS]]>,
    /// Size of the slots of each class, rising.
    sizes: [u16; CLASSES],
    /// Page that the slots of a class are taken from; [`NO_PAGE`] while there is none.
    current: [u16; CLASSES],
    /// Pages that hold nothing: the first `free` of them.
    free_pages: Box<[u16]>,
    free: usize,
    /// Chooses who leaves a full bucket of the index.
    turn: usize,
}

/// The state of one page.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// Class of its slots; [`RECORDS`] if it has none.
    class: u8,
    /// Whether no new string comes here and those that are asked for are stored elsewhere, so that the page
    /// empties.
    draining: bool,
    /// Slots in use.
    used: u16,
    /// Slots that were in use once or are.
    begun: u16,
    /// Number of the first slot given back, plus 1; 0 if there is none.
    first_free: u16,
}

/// A string in the store: a place in units, plus 1. Fits [`REFERENCE_BITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference(pub(super) u32);

/// There is no page left: a page of records has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPage;

/// Bits of a [`Reference`].
pub(super) const REFERENCE_BITS: u32 = 19;
/// The longest string.
pub(super) const STRING_MAX: usize = 255;

const WAYS: usize = 8;
const HEADER_BYTES: usize = 3;
const NO_PAGE: u16 = u16::MAX;
const RECORDS: u8 = u8::MAX;
/// Sizes of slots: fine where most names and addresses are. The last one holds [`STRING_MAX`].
const SIZES: [u16; CLASSES] = [8, 16, 20, 24, 28, 32, 36, 40, 48, 56, 68, 80, 96, 128, 192, 264];
const CLASSES: usize = 16;
/// Bytes of the pool for each entry of the index.
const BYTES_PER_ENTRY: usize = 64;

impl Store {
    /// A store of that many pages, whose references fit that many bits.
    pub(super) fn new(pages: usize, page_bytes: usize, reference_bits: u32) -> Self {
        let pages = pages.min(usize::from(NO_PAGE));
        let bytes = pages * page_bytes;
        let mut unit_bits = 2;
        while bytes >> unit_bits >= (1 << reference_bits) - 1 {
            unit_bits += 1;
        }
        let unit = 1u16 << unit_bits;
        let mut store = Store {
            pool: limits::table(bytes, 0),
            pages: limits::table(pages, Page::EMPTY),
            page_bytes,
            unit_bits,
            index: limits::table(Self::buckets(bytes), [0; WAYS]),
            sizes: SIZES.map(|size| size.next_multiple_of(unit)),
            current: [NO_PAGE; CLASSES],
            free_pages: limits::table(pages, 0),
            free: 0,
            turn: 0,
        };
        store.clear();
        store
    }

    /// Bytes that a page costs in addition to itself, the index apart.
    pub(super) const PAGE_COST: usize = size_of::<Page>() + size_of::<u16>();

    /// Bytes of the index for a pool of that size.
    pub(super) fn index_cost(pool_bytes: usize) -> usize {
        Self::buckets(pool_bytes) * size_of::<[u32; WAYS]>()
    }

    fn buckets(pool_bytes: usize) -> usize {
        let entries = pool_bytes / BYTES_PER_ENTRY;
        // To the nearest power of two: a pool of nearly 1 MiB gets the index of a whole one.
        ((entries + entries / 2).next_power_of_two() / 2 / WAYS).max(1)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.pages.fill(Page::EMPTY);
        self.index.fill([0; WAYS]);
        self.current = [NO_PAGE; CLASSES];
        self.free = self.free_pages.len();
        // The lowest page is taken first.
        for (page, free) in (0..self.free as u16).rev().zip(&mut self.free_pages) {
            *free = page;
        }
    }

    /// Takes a page for records.
    pub(super) fn take_page(&mut self) -> Result<u16, NoPage> {
        self.free = self.free.checked_sub(1).ok_or(NoPage)?;
        self.free_pages.get(self.free).copied().ok_or(NoPage)
    }

    /// Gives a page back.
    pub(super) fn give_page(&mut self, page: u16) {
        if let (Some(free), Some(state)) =
            (self.free_pages.get_mut(self.free), self.pages.get_mut(usize::from(page)))
        {
            *free = page;
            *state = Page::EMPTY;
            self.free += 1;
        }
    }

    /// The bytes of a page.
    #[inline]
    pub(super) fn page(&self, page: u16) -> &[u8] {
        let start = usize::from(page) * self.page_bytes;
        self.pool.get(start..start + self.page_bytes).unwrap_or_default()
    }

    /// The bytes of a page for writing.
    #[inline]
    pub(super) fn page_mut(&mut self, page: u16) -> &mut [u8] {
        let start = usize::from(page) * self.page_bytes;
        self.pool.get_mut(start..start + self.page_bytes).unwrap_or_default()
    }

    /// The bytes of a string; empty if there is none.
    #[inline]
    pub(super) fn string(&self, Reference(reference): Reference) -> &[u8] {
        let start = (reference.wrapping_sub(1) as usize) << self.unit_bits;
        let Some([_, _, length, rest @ ..]) = self.pool.get(start..) else { return &[] };
        rest.get(..usize::from(*length)).unwrap_or_default()
    }

    /// The reference of a string, which is stored if it was not there. A record of the page `stamp` is about
    /// to refer to it.
    ///
    /// `hash` is a seeded hash of the string; 1 to [`STRING_MAX`] bytes are kept of it.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(super) fn intern(&mut self, hash: u64, string: &[u8], stamp: u16) -> Result<Reference, NoPage> {
        match self.find(hash, string) {
            Some(reference) => {
                self.renew(reference, stamp);
                Ok(reference)
            }
            None => self.put(hash, string, stamp),
        }
    }

    /// The reference of a string that is there. Upper and lower case letters differ.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn find(&self, hash: u64, string: &[u8]) -> Option<Reference> {
        let tag = tag(hash);
        let bucket = self.index.get(hash as usize & (self.index.len() - 1))?;
        for entry in bucket {
            if entry >> REFERENCE_BITS == tag && *entry != 0 {
                let reference = Reference(entry & REFERENCE_MASK);
                if self.string(reference) == string && !self.is_draining(reference) {
                    return Some(reference);
                }
            }
        }
        None
    }

    /// Whether the slot is to be given up. A place on a page of records is, too: there the bytes happen to be
    /// the same.
    #[inline]
    fn is_draining(&self, reference: Reference) -> bool {
        let page = self.pages.get(self.place(reference).0);
        page.is_none_or(|page| page.draining || page.class == RECORDS)
    }

    /// The page of a string, and where it begins in there.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn place(&self, Reference(reference): Reference) -> (usize, usize) {
        let start = (reference.wrapping_sub(1) as usize) << self.unit_bits;
        // A power of two, as [`LogPlan`](super::LogPlan) makes it: a division takes longer than all else
        // here.
        (start >> self.page_bytes.trailing_zeros(), start & (self.page_bytes - 1))
    }

    /// Notes that a record of the page `stamp` refers to a string, if that is the newest page that does.
    #[inline]
    pub(super) fn renew(&mut self, Reference(reference): Reference, stamp: u16) {
        let start = (reference.wrapping_sub(1) as usize) << self.unit_bits;
        let Some(place) = self.pool.get_mut(start..).and_then(|slot| slot.first_chunk_mut()) else { return };
        // Pages are numbered round and round: newer is what is less than half of all numbers ahead.
        if stamp.wrapping_sub(u16::from_le_bytes(*place)) < 1 << 15 {
            *place = stamp.to_le_bytes();
        }
    }

    /// Stores a string.
    #[inline(never)]
    fn put(&mut self, hash: u64, string: &[u8], stamp: u16) -> Result<Reference, NoPage> {
        let string = string.get(..STRING_MAX).unwrap_or(string);
        let start = self.take_slot(HEADER_BYTES + string.len())?;
        let slot = self.pool.get_mut(start..start + HEADER_BYTES + string.len()).ok_or(NoPage)?;
        let (header, body) = slot.split_first_chunk_mut::<HEADER_BYTES>().ok_or(NoPage)?;
        let [low, high] = stamp.to_le_bytes();
        *header = [low, high, string.len() as u8]; // at most `STRING_MAX`
        body.copy_from_slice(string);
        let reference = (start >> self.unit_bits) as u32 + 1;
        let bucket = hash as usize & (self.index.len() - 1);
        let entry = tag(hash) << REFERENCE_BITS | reference;
        if let Some(bucket) = self.index.get_mut(bucket) {
            let way = bucket.iter().position(|held| *held == 0).unwrap_or(self.turn % WAYS);
            self.turn = self.turn.wrapping_add(1);
            if let Some(held) = bucket.get_mut(way) {
                *held = entry;
            }
        }
        Ok(Reference(reference))
    }

    /// Where a free slot of that many bytes begins in the pool.
    fn take_slot(&mut self, bytes: usize) -> Result<usize, NoPage> {
        let class = self.sizes.iter().position(|size| usize::from(*size) >= bytes).ok_or(NoPage)?;
        let size = self.sizes.get(class).copied().map_or(0, usize::from);
        let current = self.current.get(class).copied().unwrap_or(NO_PAGE);
        let number = match self.pages.get(usize::from(current)) {
            Some(page) if !page.draining && page.has_room(self.page_bytes / size) => current,
            _ => self.page_with_room(class, size)?,
        };
        let start = usize::from(number) * self.page_bytes;
        let page = self.pages.get_mut(usize::from(number)).ok_or(NoPage)?;
        page.used += 1;
        if page.first_free == 0 {
            page.begun += 1;
            return Ok(start + (usize::from(page.begun) - 1) * size);
        }
        let slot = start + (usize::from(page.first_free) - 1) * size;
        let next = self.pool.get(slot..).and_then(|slot| slot.first_chunk()).ok_or(NoPage)?;
        page.first_free = u16::from_le_bytes(*next);
        Ok(slot)
    }

    /// Another page for slots of a class, which becomes the current one: the fullest that has room, else an
    /// empty one.
    fn page_with_room(&mut self, class: usize, size: usize) -> Result<u16, NoPage> {
        let slots = self.page_bytes / size;
        let fits = |page: &Page| usize::from(page.class) == class && !page.draining && page.has_room(slots);
        let fullest =
            self.pages.iter().enumerate().filter(|(_, page)| fits(page)).max_by_key(|(_, page)| page.used);
        let number = match fullest {
            Some((number, _)) => number as u16,
            None => {
                let number = self.take_page()?;
                if let Some(page) = self.pages.get_mut(usize::from(number)) {
                    *page = Page { class: class as u8, ..Page::EMPTY };
                }
                number
            }
        };
        if let Some(current) = self.current.get_mut(class) {
            *current = number;
        }
        Ok(number)
    }

    /// Gives a string back if its last record was on the page `stamp`, which goes.
    #[inline]
    pub(super) fn release(&mut self, reference: Reference, stamp: u16) {
        let (number, offset) = self.place(reference);
        let start = number * self.page_bytes + offset;
        let Some([low, high, length, ..]) = self.pool.get_mut(start..) else { return };
        if *length == 0 || u16::from_le_bytes([*low, *high]) != stamp {
            return;
        }
        let Some(page) = self.pages.get_mut(number) else { return };
        let Some(size) = self.sizes.get(usize::from(page.class)).copied() else { return };
        [*low, *high] = page.first_free.to_le_bytes();
        *length = 0;
        page.first_free = (offset / usize::from(size)) as u16 + 1;
        page.used -= 1;
        if page.used == 0 {
            let class = usize::from(page.class);
            self.give_page(number as u16);
            if let Some(current) = self.current.get_mut(class).filter(|page| usize::from(**page) == number) {
                *current = NO_PAGE;
            }
        }
    }

    /// Has the pages emptied that are nearly empty: what is left in them is stored elsewhere when it is asked
    /// for again, so that a storm of names leaves no page after that a few of them hold.
    pub(super) fn drain_sparse_pages(&mut self) {
        for (number, page) in self.pages.iter_mut().enumerate() {
            let Some(size) = self.sizes.get(usize::from(page.class)) else { continue };
            let slots = self.page_bytes / usize::from(*size);
            let is_current = self.current.iter().any(|current| usize::from(*current) == number);
            page.draining |= !is_current && usize::from(page.used) * 4 < slots;
        }
    }

    /// Every string, with the page it is on, for tests.
    #[cfg(test)]
    pub(super) fn strings(&self) -> usize {
        self.pages.iter().filter(|page| page.class != RECORDS).map(|page| usize::from(page.used)).sum()
    }

    /// Pages that hold nothing.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free
    }
}

impl Page {
    const EMPTY: Page = Page { class: RECORDS, draining: false, used: 0, begun: 0, first_free: 0 };

    /// Whether a slot is free, of that many that the page has.
    fn has_room(&self, slots: usize) -> bool {
        self.first_free != 0 || usize::from(self.begun) < slots
    }
}

const REFERENCE_MASK: u32 = (1 << REFERENCE_BITS) - 1;

/// The part of a hash that an entry of the index keeps: bits that do not choose the bucket.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> (32 + REFERENCE_BITS)) as u32
}
