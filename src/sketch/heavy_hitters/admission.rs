//! Admission: which key gets an entry, and which entry goes for it.
//!
//! The three steps are those of the module's documentation: the mark, the cell, chance.

use super::bucket::WAYS;
use super::table::{HeavyHitters, each, scale, small};

impl<const N: usize> HeavyHitters<N> {
    /// Gives a key an entry, or counts it in its cell.
    ///
    /// An attack with random names calls this for every message, so its cheapest test comes first. Say the
    /// bucket is full, its lightest entry has 5, and the key has left no mark: it cannot win, whatever chance
    /// says, so neither the entries nor the names are read. Only the mark (one byte) and the cell (one
    /// number) are touched.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline(never)]
    pub(super) fn admit(&mut self, key: u64, amounts: [u64; N], name: &[u8]) {
        while weight(self.bound(key)) > WEIGHT_MAX {
            self.age(); // before its time, which keeps all bounds
        }
        let came_before = self.mark(key);
        let least = self.least.get(self.bucket(key)).copied().map_or(0, u64::from);
        // `least` is 0 while an entry is free: then a key that comes for the first time gets it at once.
        let is_lost = least > 0 && !came_before;
        if is_lost || !self.compete(key, amounts, name, came_before, least) {
            let cell = self.cell(key);
            if let Some(cell) = self.cells.get_mut(cell) {
                *cell = small(each(cell.map(u64::from), amounts, u64::wrapping_add));
            }
        }
    }

    /// Gives a key an entry if it wins it, against one of weight `least` at least.
    fn compete(&mut self, key: u64, amounts: [u64; N], name: &[u8], came_before: bool, least: u64) -> bool {
        let chance = self.chance.draw();
        let contest =
            AdmissionContest { came_before, known: weight(self.bound(key)), amount: weight(amounts), chance };
        !contest.is_lost(least) && self.replace(key, amounts, name, &contest)
    }

    /// Leaves the mark of a key; `true` if it was there already.
    ///
    /// The place comes from bits 16 to 47 of the hash and the mark is its lowest byte. The two share no bits
    /// that also choose the place within a small table, so keys of one place have independent marks, and one
    /// in 256 passes by accident.
    #[inline]
    fn mark(&mut self, key: u64) -> bool {
        let place = scale((key >> 16) as u32, self.marks.len());
        self.marks.get_mut(place).is_some_and(|mark| core::mem::replace(mark, key as u8) == key as u8)
    }

    /// Gives a key an entry if it wins it.
    #[cfg_attr(for_size, optimize(speed))]
    fn replace(&mut self, key: u64, amounts: [u64; N], name: &[u8], contest: &AdmissionContest) -> bool {
        // Read before room is made: an entry that goes may raise this very cell, with counts that are not the
        // key's.
        let unseen = self.bound(key);
        let Some(inherited) = self.make_room(key, name.len(), contest) else { return false };
        let bucket = self.bucket(key);
        let (Some(hot), Some(cold)) = (self.hot.get_mut(bucket), self.cold.get_mut(bucket)) else {
            return true;
        };
        let start = bucket * self.block;
        let block = self.names.get_mut(start..start + self.block);
        let Some((way, block)) = hot.find(0).zip(block) else { return true };
        if let Some(place) = cold.put(way, name, block)
            && self.lowercase
        {
            place.make_ascii_lowercase();
        }
        for (slot, value) in [(&mut cold.inherited, inherited), (&mut cold.unseen, unseen)] {
            if let Some(slot) = slot.get_mut(way) {
                *slot = small(value);
            }
        }
        hot.set_key(way, key);
        if let Some(values) = hot.values.get_mut(way) {
            *values = each(inherited, amounts, u64::wrapping_add);
        }
        true
    }

    /// Frees an entry of the key's bucket and `length` bytes for its name, if the key wins against all that
    /// must go for it. Returns the value that the key inherits.
    ///
    /// A bucket has 320 bytes for eight names. A name of 200 bytes in a full bucket of names of 40 bytes
    /// needs five of them to go, and it must win once against their sum, not five times against each: else a
    /// rare long name would clear a bucket of frequent short ones. Nothing is changed before the contest is
    /// won.
    fn make_room(&mut self, key: u64, length: usize, contest: &AdmissionContest) -> Option<[u64; N]> {
        let place = self.bucket(key);
        let (hot, cold) = (self.hot.get(place)?, self.cold.get(place)?);
        let (mut victims, mut has_entry) = ([false; WAYS], hot.find(0).is_some());
        let mut room = self.block.checked_sub(cold.start(WAYS))?;
        let (mut inherited, mut against) = (None, 0);
        let floor = cold.floor.map(u64::from);
        if !has_entry && let Some(least) = self.least.get_mut(place) {
            let lightest = hot.lightest(&victims).and_then(|way| hot.values.get(way));
            let lightest = lightest.map_or(0, |values| weight(*values));
            *least = u32::try_from(lightest).unwrap_or(u32::MAX);
        }
        while !has_entry || room < length {
            let way = hot.lightest(&victims)?;
            *victims.get_mut(way)? = true;
            let values = *hot.values.get(way)?;
            inherited = inherited.or(Some(values));
            against += weight(values);
            room += usize::from(*cold.lengths.get(way)?);
            has_entry = true;
        }
        // A free entry has a price, too. Where a long name pushed out five short ones, four entries are free;
        // given away for nothing, they would let the next five new keys in without a contest.
        if contest.is_lost(weight(floor).max(against)) {
            return None;
        }
        for (way, _) in victims.iter().enumerate().filter(|&(_, victim)| *victim) {
            self.evict(place, way);
        }
        Some(inherited.unwrap_or(floor))
    }

    /// Puts what an entry may have counted into its cell, and frees it.
    fn evict(&mut self, place: usize, way: usize) {
        let Some(entry) = self.entry(place, way) else { return };
        let (key, most) = (entry.key, small(each(entry.certain, entry.unseen, u64::wrapping_add)));
        let (Some(hot), Some(cold)) = (self.hot.get_mut(place), self.cold.get_mut(place)) else { return };
        hot.set_key(way, 0);
        if let Some(least) = self.least.get_mut(place) {
            *least = 0;
        }
        cold.floor = small(hot.values.get(way).copied().unwrap_or([0; N]));
        let start = place * self.block;
        if let Some(block) = self.names.get_mut(start..start + self.block) {
            cold.take(way, block);
        }
        // The larger of the two, not the sum: the cell need only be above what was counted of each of its
        // keys, and sums over the comings and goings of one key would count the same messages again and
        // again.
        let cell = self.cell(key);
        if let Some(cell) = self.cells.get_mut(cell) {
            *cell = each(*cell, most, u32::max);
        }
        self.evicted += 1;
    }
}

/// Chance enough for admission (xorshift64*). What is won or lost by it an outsider cannot see.
#[derive(Debug)]
pub(super) struct AdmissionChance(pub(super) u64);

impl AdmissionChance {
    /// 32 bits.
    #[inline]
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

/// A key that wants an entry.
struct AdmissionContest {
    /// Whether it left its mark.
    came_before: bool,
    /// Weight of what it may have been counted before, and of what it is counted now.
    known: u64,
    amount: u64,
    /// 32 bits drawn for it.
    chance: u64,
}

impl AdmissionContest {
    /// Whether it loses against entries of that weight; who does, loses against heavier ones, too.
    ///
    /// It wins `amount` times in `amount + against`, unless it is known to be lighter or has not come before.
    #[inline]
    fn is_lost(&self, against: u64) -> bool {
        // Both are below 2^32: `against` by what is asked before, the sum is what a message can weigh beside
        // it.
        let is_won = || self.chance.saturating_mul(self.amount.saturating_add(against)) >> 32 < self.amount;
        let is_light = || self.known + self.amount <= against;
        against > 0 && (!self.came_before || is_light() || against > WEIGHT_MAX || !is_won())
    }
}

/// The rule of who stays. One number decides for itself. Of messages and bytes both count, a message as much
/// as [`MESSAGE_BYTES`], so that the heaviest by either are kept.
#[inline]
pub(super) fn weight<const N: usize>(values: [u64; N]) -> u64 {
    match values.split_first() {
        Some((first, [])) => *first,
        Some((first, rest)) => {
            rest.iter().fold(first.saturating_mul(MESSAGE_BYTES), |sum, v| sum.saturating_add(*v))
        }
        None => 0,
    }
}

/// A cell heavier than this makes the table age before its time, and an entry heavier than this never goes. A
/// cell's numbers fit 32 bits with one more entry's in them.
const WEIGHT_MAX: u64 = 1 << 30;

/// The bytes that a message counts as beside its own: about what it has.
const MESSAGE_BYTES: u64 = 128;
