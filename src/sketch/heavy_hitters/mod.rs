//! The heaviest keys of a stream, in fixed memory and with a bound on every error.
//!
//! A key belongs to the bucket that its hash names, and the bucket's [`WAYS`] entries are all that has to be looked
//! at. A key without an entry is counted in a cell, which many keys share:
//!
//! ```text
//! hot      | 8 hashes | 8 values |                 two cache lines, all that a known key touches
//! least    | a weight that no entry is below |     what most unknown keys lose against, without a look at the entries
//! cold     | 8 x inherited, unseen | 8 lengths |   when an entry changes hands
//! names   | the 8 names, one behind the other |
//! cells    | what was counted of keys while they had no entry, by another part of the hash |
//! marks    | eight bits of the hash of the last key that came to each, by yet another part |
//! ```
//!
//! Who gets an entry that another must make room for is decided in three steps. A key that left no mark when it came
//! before, or whose mark was covered since by those of others, gets none (a doorkeeper, as that of TinyLFU: Einziger and
//! others, 2017). So 255 in 256 keys that come once change nothing, however many there are. While the cell
//! proves the key lighter than the lightest entry of the bucket, it gets none (Filtered Space-Saving: Homem and Carvalho,
//! 2010). Else chance decides: it takes the place of an entry of value `v` once in `v + 1` times, and goes on from `v`
//! (Randomized Admission Policy: Ben Basat and others, 2017). So a key that comes `v` times is expected to get in.
//!
//! # What it promises
//!
//! Let `certain` be what was counted while the key had its entry, `inherited` what it took over, and `unseen` what
//! its cell said when it got in. Then
//!
//! * `certain <= true count <= certain + unseen`. The number shown is `certain + inherited`, kept within that
//!   ([`HeavyHitter`]).
//! * The true count of a key without an entry is at most its cell ([`HeavyHitters::bound`]).
//! * While every bucket has room, `unseen` is 0: few keys are counted exactly.
//! * The work for a key is bounded by the size of one bucket, whatever the traffic.
//!
//! Keys are told apart by 64 bits of a seeded hash alone: with ten million names the chance that an entry counts a
//! name for another is one in 10^12.
//!
//! Names have up to 255 bytes and a bucket has room for [`NAME_BYTES`] an entry, so a long name must win against
//! all the entries it needs the room of.
//!
//! Numbers age by halves ([`HeavyHitters::age`]). The bounds hold for the aged counts: each is rounded outwards.
//!
//! # How good it is
//!
//! Against an exact count over 400,000 messages with 100,000 names, for 20 seeds each (`cargo test --release --test tables`
//! makes this table and holds it): how many of the true first 50 are among the first 50 rows, on average and in the worst
//! case, and the largest error of a number among these, on average. A table of 256 entries, the default, finds them even when
//! every second name comes but once. Where nine in ten do, it takes 512.
//!
//! | stream | entries | bytes | recall | at worst | error |
//! |---|---|---|---|---|---|
//! | Zipf 0.8 | 64 | 5384 | 0.840 | 0.76 | 69.9 % |
//! | Zipf 0.8 | 128 | 10632 | 0.967 | 0.92 | 8.5 % |
//! | Zipf 0.8 | 256 | 21128 | 0.992 | 0.96 | 2.9 % |
//! | Zipf 0.8 | 512 | 42120 | 0.996 | 0.98 | 1.0 % |
//! | Zipf 0.8 | 1024 | 84104 | 0.998 | 0.98 | 0.9 % |
//! | Zipf 1.0 | 64 | 5384 | 0.853 | 0.78 | 219.8 % |
//! | Zipf 1.0 | 128 | 10632 | 0.979 | 0.94 | 16.7 % |
//! | Zipf 1.0 | 256 | 21128 | 0.998 | 0.98 | 1.7 % |
//! | Zipf 1.0 | 512 | 42120 | 0.999 | 0.98 | 0.4 % |
//! | Zipf 1.0 | 1024 | 84104 | 0.999 | 0.98 | 0.1 % |
//! | Zipf 1.2 | 64 | 5384 | 0.873 | 0.82 | 250.9 % |
//! | Zipf 1.2 | 128 | 10632 | 0.990 | 0.96 | 1.7 % |
//! | Zipf 1.2 | 256 | 21128 | 1.000 | 1.00 | 0.2 % |
//! | Zipf 1.2 | 512 | 42120 | 1.000 | 1.00 | 0.1 % |
//! | Zipf 1.2 | 1024 | 84104 | 1.000 | 1.00 | 0.0 % |
//! | half random names | 64 | 5384 | 0.856 | 0.80 | 3130.2 % |
//! | half random names | 128 | 10632 | 0.976 | 0.94 | 58.3 % |
//! | half random names | 256 | 21128 | 0.997 | 0.98 | 2.0 % |
//! | half random names | 512 | 42120 | 0.998 | 0.98 | 1.2 % |
//! | half random names | 1024 | 84104 | 0.999 | 0.98 | 0.9 % |
//! | half attack on one domain | 64 | 5384 | 0.858 | 0.76 | 1069.6 % |
//! | half attack on one domain | 128 | 10632 | 0.981 | 0.94 | 6.1 % |
//! | half attack on one domain | 256 | 21128 | 0.995 | 0.96 | 2.5 % |
//! | half attack on one domain | 512 | 42120 | 0.999 | 0.98 | 1.2 % |
//! | half attack on one domain | 1024 | 84104 | 1.000 | 1.00 | 0.7 % |
//! | nine tenths attack on one domain | 64 | 5384 | 0.777 | 0.74 | 3376.9 % |
//! | nine tenths attack on one domain | 128 | 10632 | 0.909 | 0.84 | 518.6 % |
//! | nine tenths attack on one domain | 256 | 21128 | 0.964 | 0.92 | 18.2 % |
//! | nine tenths attack on one domain | 512 | 42120 | 0.985 | 0.94 | 14.3 % |
//! | nine tenths attack on one domain | 1024 | 84104 | 0.990 | 0.96 | 8.6 % |

use crate::limits::table;

/// The heaviest keys by `N` numbers at once, such as messages and bytes.
#[derive(Debug)]
pub struct HeavyHitters<const N: usize> {
    hot: Box<[HotBucket<N>]>,
    cold: Box<[ColdBucket<N>]>,
    /// For each bucket a weight that none of its entries is below; 0 while one is free or nobody has looked.
    least: Box<[u32]>,
    /// A block of `block` bytes for each bucket.
    names: Box<[u8]>,
    block: usize,
    cells: Box<[[u32; N]]>,
    marks: Box<[u8]>,
    total: [u64; N],
    evicted: u64,
    chance: AdmissionChance,
    /// Whether names are kept in lower case.
    lowercase: bool,
}

/// What is read for every key of a bucket.
#[derive(Clone, Copy, Debug)]
struct HotBucket<const N: usize> {
    /// The lower halves of the hashes, which are compared all at once, and the upper halves; both 0 is a free entry.
    keys: [[u32; WAYS]; 2],
    /// Certain and inherited together.
    values: [[u64; N]; WAYS],
}

/// The rest of a bucket.
#[derive(Clone, Copy, Debug)]
struct ColdBucket<const N: usize> {
    /// Part of each value that it had when it got in. `inherited <= values`.
    inherited: [[u32; N]; WAYS],
    /// The cell of each when it got in.
    unseen: [[u32; N]; WAYS],
    /// Value of the last entry that went: a free entry, which may come of a long name that went for a short one, is
    /// to be had at no lower price.
    floor: [u32; N],
    /// Bytes of each name. They stand in the block one behind the other, in order of the entries.
    lengths: [u8; WAYS],
}

/// Entries of a bucket.
pub const WAYS: usize = 8;

/// Bytes of a bucket for each name in it: most names are shorter, with the length bytes of the wire form.
pub const NAME_BYTES: usize = 40;

/// Bytes of a bucket for each address in it.
pub const ADDRESS_BYTES: usize = 16;

/// Cells for each entry.
const CELLS_PER_ENTRY: usize = 2;

/// Marks for each entry.
const MARKS_PER_ENTRY: usize = 8;

/// An entry, for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeavyHitter<'a, const N: usize> {
    /// Hash of the name.
    pub key: u64,
    /// What is sure to have been counted of it.
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
    pub fn in_lower_case(self, lowercase: bool) -> Self {
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
    pub fn find(&self, key: u64) -> Option<HeavyHitter<'_, N>> {
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
    pub fn total(&self) -> [u64; N] {
        self.total
    }

    /// Entries that made room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Halves everything.
    pub fn age(&mut self) {
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
    pub fn reset(&mut self) {
        for (hot, cold) in self.hot.iter_mut().zip(&mut self.cold) {
            hot.keys = [[0; WAYS]; 2];
            (cold.lengths, cold.floor) = ([0; WAYS], [0; N]);
        }
        self.cells.fill([0; N]);
        self.marks.fill(0);
        self.least.fill(0);
        self.total = [0; N];
    }

    fn bucket(&self, key: u64) -> usize {
        scale(key as u32, self.hot.len())
    }

    fn cell(&self, key: u64) -> usize {
        scale((key >> 32) as u32, self.cells.len())
    }

    fn entry(&self, place: usize, way: usize) -> Option<HeavyHitter<'_, N>> {
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

// ------------ The way in ----------------------------------------------------

impl<const N: usize> HeavyHitters<N> {
    /// Gives a key an entry, or counts it in its cell.
    #[inline(never)]
    fn admit(&mut self, key: u64, amounts: [u64; N], name: &[u8]) {
        while weight(self.bound(key)) > WEIGHT_MAX {
            self.age(); // before its time, which keeps all bounds
        }
        let came_before = self.mark(key);
        let least = self.least.get(self.bucket(key)).copied().map_or(0, u64::from);
        let is_lost = least > 0 && !came_before; // most of those that come once
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

    /// Leaves the mark of a key, and says whether it stood there.
    #[inline]
    fn mark(&mut self, key: u64) -> bool {
        let place = scale((key >> 16) as u32, self.marks.len());
        self.marks.get_mut(place).is_some_and(|mark| core::mem::replace(mark, key as u8) == key as u8)
    }

    /// Gives a key an entry if it wins it.
    fn replace(&mut self, key: u64, amounts: [u64; N], name: &[u8], contest: &AdmissionContest) -> bool {
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

    /// Frees an entry of the key's bucket and `length` bytes, if the key wins against all that must go for it.
    /// Gives what it inherits.
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
        let cell = self.cell(key);
        if let Some(cell) = self.cells.get_mut(cell) {
            *cell = each(*cell, most, u32::max);
        }
        self.evicted += 1;
    }
}

impl<const N: usize> HotBucket<N> {
    /// The entry of a key; of 0 a free one.
    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
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
    fn key(&self, way: usize) -> Option<u64> {
        let [low, high] = &self.keys;
        Some(u64::from(*high.get(way)?) << 32 | u64::from(*low.get(way)?))
    }

    fn set_key(&mut self, way: usize, key: u64) {
        for (half, value) in self.keys.iter_mut().zip([key as u32, (key >> 32) as u32]) {
            if let Some(half) = half.get_mut(way) {
                *half = value;
            }
        }
    }

    /// The lightest entry among those that are not excepted.
    fn lightest(&self, except: &[bool; WAYS]) -> Option<usize> {
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
    fn start(&self, way: usize) -> usize {
        self.lengths.iter().take(way).copied().map(usize::from).sum()
    }

    /// Puts in the name of an entry that has none, for which there is room, and gives its place.
    fn put<'b>(&mut self, way: usize, name: &[u8], block: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let (start, end) = (self.start(way), self.start(WAYS));
        let used = block.get_mut(..end + name.len())?;
        used.copy_within(start..end, start + name.len());
        let place = used.get_mut(start..start + name.len())?;
        place.copy_from_slice(name);
        *self.lengths.get_mut(way)? = u8::try_from(name.len()).ok()?;
        Some(place)
    }

    /// Takes out the name of an entry.
    fn take(&mut self, way: usize, block: &mut [u8]) {
        let (start, end) = (self.start(way), self.start(WAYS));
        let Some(length) = self.lengths.get_mut(way) else { return };
        let rest = start + usize::from(core::mem::take(length));
        if let Some(used) = block.get_mut(..end) {
            used.copy_within(rest.., start);
        }
    }
}

/// Chance enough for admission (xorshift64*). What is won or lost by it an outsider cannot see.
#[derive(Debug)]
struct AdmissionChance(u64);

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
        // Both are below 2^32: `against` by what is asked before, the sum is what a message can weigh beside it.
        let is_won = || self.chance.saturating_mul(self.amount.saturating_add(against)) >> 32 < self.amount;
        let is_light = || self.known + self.amount <= against;
        against > 0 && (!self.came_before || is_light() || against > WEIGHT_MAX || !is_won())
    }
}

/// What decides who stays. One number decides for itself. Of messages and bytes both count, a message as much as
/// [`MESSAGE_OCTETS`], so that the heaviest by either are kept.
#[inline]
fn weight<const N: usize>(values: [u64; N]) -> u64 {
    match values.split_first() {
        Some((first, [])) => *first,
        Some((first, rest)) => {
            rest.iter().fold(first.saturating_mul(MESSAGE_OCTETS), |sum, v| sum.saturating_add(*v))
        }
        None => 0,
    }
}

/// A cell heavier than this makes the table age before its time, and an entry heavier than this never goes. A
/// cell's numbers fit 32 bits with one more entry's in them.
const WEIGHT_MAX: u64 = 1 << 30;

/// The bytes that a message counts as beside its own: about what it has.
const MESSAGE_OCTETS: u64 = 128;

#[inline]
fn add<const N: usize>(values: &mut [u64; N], amounts: [u64; N]) {
    *values = each(*values, amounts, u64::wrapping_add);
}

/// Element by element.
#[inline]
fn each<T: Copy + Default, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> T) -> [T; N] {
    let mut results = [T::default(); N];
    for (result, (a, b)) in results.iter_mut().zip(a.into_iter().zip(b)) {
        *result = f(a, b);
    }
    results
}

/// What is known to fit 32 bits.
fn small<const N: usize>(values: [u64; N]) -> [u32; N] {
    values.map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// A number below `size`, evenly from 32 random bits.
#[inline]
fn scale(bits: u32, size: usize) -> usize {
    ((u64::from(bits) * size as u64) >> 32) as usize
}
