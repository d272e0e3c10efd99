//! The top-level domains that IANA delegates, and how often each was asked for.
//!
//! The list is `tlds.txt`, made by `scripts/tlds` from Debian's package `publicsuffix`, and the three domains
//! that homes and companies use among themselves: `internal`, `lan` and `local`. The last label of a name
//! counts, in any case, and nothing but the last. All other names, the root among them, are `other`. The list
//! is closed, so the counts are exact. They have 32 bits; the few that need more, four thousand million
//! messages of one domain, have a carry in a list beside.
//!
//! A label is looked for by its last eight bytes, as one number: most domains have no more.

use super::counters::Direction;
use crate::limits::{TLD_CARRIES, table};
use crate::wire::hash::{END_BYTES, fold_case, label_end, label_end_after};
use crate::wire::name::Name;

/// Counts of one stream, by number of the domain: of queries and of responses.
#[derive(Debug)]
pub(crate) struct TldCounts {
    /// The lower 32 bits.
    rows: Box<[[u32; 2]]>,
    carries: [Carry; TLD_CARRIES],
}

/// The upper 32 bits of a count.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    /// Number of the domain and direction, see [`carry_place`].
    place: u16,
    /// 0 if the entry is free.
    upper: u32,
}

/// All domains in lower case, one a line.
const LIST: &str = concat!(include_str!("tlds.txt"), "internal\nlan\nlocal\n");

/// How many there are.
pub(crate) const COUNT: usize = {
    let (mut lines, mut at) = (0, 0);
    while at < LIST.len() {
        lines += (byte(LIST, at) == b'\n') as usize;
        at += 1;
    }
    lines
};

/// The number of all other names, after those of the domains.
pub(super) const OTHER: usize = COUNT;

/// Domains and the others.
pub(crate) const ROWS: usize = COUNT + 1;

/// The most bytes a domain has.
const LONGEST: usize = 24;

/// Where each line begins, and where one after the last would.
static STARTS: [u16; COUNT + 1] = starts();

/// Open addressing by [`slot`]: the domain's bytes, and its number + 1 in the last [`NUMBER_BITS`]; 0 is
/// free.
static INDEX: [u16; SLOTS] = index();

/// More than twice the domains: most are found at the first look.
const SLOTS: usize = 4096;
const NUMBER_BITS: u32 = 11;
const _: () =
    assert!(COUNT * 2 < SLOTS && COUNT < 1 << NUMBER_BITS && LONGEST < 1 << (u16::BITS - NUMBER_BITS));
const _: () = assert!(LIST.len() < u16::MAX as usize);

impl TldCounts {
    /// Bytes of the counts.
    pub(crate) const COST: usize = size_of::<Self>() + ROWS * size_of::<[u32; 2]>();

    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        TldCounts { rows: table(ROWS, [0; 2]), carries: Default::default() }
    }

    /// Counts a name by the number of its last label, see [`number_of`].
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count(&mut self, direction: Direction, number: usize) {
        if let Some([queries, responses]) = self.rows.get_mut(number) {
            // Both are written, which is quicker than a branch that nobody can predict.
            let (one, is_over) = queries.overflowing_add(u32::from(direction == Direction::Query));
            let (two, is_over_too) = responses.overflowing_add(u32::from(direction == Direction::Response));
            (*queries, *responses) = (one, two);
            if is_over | is_over_too {
                self.carry(direction, number, 1);
            }
        }
    }

    /// Adds to the upper half of a count. Where no entry is free the count begins again, which takes more
    /// messages than there are.
    #[cold]
    fn carry(&mut self, direction: Direction, number: usize, upper: u32) {
        let place = carry_place(direction, number);
        let mut carries = self.carries.iter_mut();
        if let Some(carry) = carries.find(|carry| carry.upper == 0 || carry.place == place) {
            *carry = Carry { place, upper: carry.upper.saturating_add(upper) };
        }
    }

    /// The count of a domain.
    pub(crate) fn value(&self, direction: Direction, number: usize) -> u64 {
        let [queries, responses] = self.rows.get(number).copied().unwrap_or_default();
        let lower = match direction {
            Direction::Query => queries,
            Direction::Response => responses,
        };
        let place = carry_place(direction, number);
        let carry = self.carries.iter().find(|carry| carry.upper > 0 && carry.place == place);
        u64::from(lower) | carry.map_or(0, |carry| u64::from(carry.upper) << 32)
    }

    /// Takes over the counts of another stream, which begins at zero again.
    pub(crate) fn take_from(&mut self, other: &mut TldCounts) {
        for number in 0..ROWS {
            for direction in [Direction::Query, Direction::Response] {
                self.add(direction, number, other.value(direction, number));
            }
        }
        other.reset();
    }

    fn add(&mut self, direction: Direction, number: usize, count: u64) {
        let Some([queries, responses]) = self.rows.get_mut(number) else { return };
        let lower = match direction {
            Direction::Query => queries,
            Direction::Response => responses,
        };
        let sum = u64::from(*lower) + count;
        *lower = sum as u32;
        if sum > u64::from(u32::MAX) {
            self.carry(direction, number, (sum >> 32) as u32);
        }
    }

    /// Counts from zero again.
    pub(crate) fn reset(&mut self) {
        self.rows.fill([0; 2]);
        self.carries = Default::default();
    }
}

impl Default for TldCounts {
    fn default() -> Self {
        TldCounts::new()
    }
}

/// The mark of a count among the carries.
fn carry_place(direction: Direction, number: usize) -> u16 {
    (number as u16) << 1 | u16::from(direction == Direction::Response)
}

/// The number of the last label of a name.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(super) fn number_of(name: &Name<'_>) -> usize {
    find_by(name.last_label_end(), name.last_label()).unwrap_or(OTHER)
}

/// The number of a domain, in any case, or of `other`.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn find(label: &[u8]) -> Option<usize> {
    let is_other = label.eq_ignore_ascii_case(OTHER_NAME.as_bytes());
    find_by(label_end(label), label).or(is_other.then_some(OTHER))
}

/// The name of all other names.
const OTHER_NAME: &str = "other";

/// The same by the label and the end of it, see [`label_end`].
#[cfg_attr(for_size, optimize(speed))]
#[inline]
fn find_by(end: u64, label: &[u8]) -> Option<usize> {
    let key = fold_case(end);
    let mut slot = slot(key);
    loop {
        let entry = INDEX.get(slot).copied().filter(|&entry| entry != 0)?;
        let number = (entry % (1 << NUMBER_BITS)) as usize - 1;
        let is_alike = usize::from(entry >> NUMBER_BITS) == label.len() && end_of(number, label.len()) == key;
        if is_alike && (label.len() <= END_BYTES || domain(number).as_bytes().eq_ignore_ascii_case(label)) {
            return Some(number);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The domain of that number, in lower case and ASCII; `other` after the last.
pub(crate) fn domain(number: usize) -> &'static str {
    if number == OTHER {
        return OTHER_NAME;
    }
    let line = STARTS.get(number).zip(STARTS.get(number + 1));
    line.and_then(|(&start, &end)| LIST.get(usize::from(start)..usize::from(end) - 1)).unwrap_or_default()
}

/// The [`label_end`] of the domain of that number, which has that many bytes.
#[inline]
fn end_of(number: usize, length: usize) -> u64 {
    let end = STARTS.get(number + 1).map_or(0, |&start| usize::from(start) - 1);
    label_end_after(LIST.as_bytes().get(..end).unwrap_or_default(), length)
}

/// Where a domain with that end, in lower case, is to be looked for.
#[inline]
const fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

#[expect(clippy::indexing_slicing, reason = "when the program is built")]
const fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes()[at]
}

#[expect(clippy::indexing_slicing, reason = "when the program is built")]
const fn starts() -> [u16; COUNT + 1] {
    let (mut starts, mut number, mut at) = ([0; COUNT + 1], 0, 0);
    while at < LIST.len() {
        if byte(LIST, at) == b'\n' {
            number += 1;
            starts[number] = at as u16 + 1;
        }
        at += 1;
    }
    starts
}

/// The domain of that number, when the program is built.
#[expect(clippy::indexing_slicing, reason = "when the program is built")]
const fn line(starts: &[u16; COUNT + 1], number: usize) -> &'static [u8] {
    LIST.as_bytes().split_at(starts[number + 1] as usize - 1).0.split_at(starts[number] as usize).1
}

#[expect(clippy::indexing_slicing, reason = "when the program is built")]
const fn index() -> [u16; SLOTS] {
    let (starts, mut index, mut number) = (starts(), [0; SLOTS], 0);
    while number < COUNT {
        let line = line(&starts, number);
        let mut slot = slot(label_end(line));
        while index[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        number += 1;
        index[slot] = (line.len() as u16) << NUMBER_BITS | number as u16;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_is_found_in_any_case() {
        for (number, line) in LIST.lines().enumerate() {
            assert_eq!((find(line.as_bytes()), domain(number)), (Some(number), line));
            assert_eq!(find(line.to_ascii_uppercase().as_bytes()), Some(number));
            assert!(!line.is_empty() && line.len() <= LONGEST && number < COUNT);
        }
        for none in [
            "",
            "c",
            "comcom",
            "c\x0fm",
            "xn--p1a-",
            "co.uk",
            "onion",
            "example",
            "com.",
            "an-invented-label-of-30-bytes",
        ] {
            assert_eq!(find(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_count_goes_beyond_32_bits() {
        let com = Name::parse(b"\x03com\0").unwrap().0;
        let number = find(b"com").unwrap();
        let values = |counts: &TldCounts| {
            [Direction::Query, Direction::Response].map(|direction| counts.value(direction, number))
        };
        let (mut one, mut two) = (TldCounts::new(), TldCounts::new());
        one.rows[number] = [u32::MAX, 7];
        one.count(Direction::Query, number_of(&com));
        one.count(Direction::Query, number_of(&com));
        assert_eq!(values(&one), [(1 << 32) + 1, 7]);
        two.rows[number] = [u32::MAX, u32::MAX];
        two.take_from(&mut one);
        assert_eq!((values(&one), values(&two)), ([0, 0], [2 << 32, (1 << 32) + 6]));
        two.reset();
        assert_eq!(values(&two), [0, 0]);
    }

    #[test]
    fn the_last_label_alone_counts() {
        let check = |name: &[u8], expected: Option<&str>| {
            let mut counts = TldCounts::new();
            counts.count(Direction::Query, number_of(&Name::parse(name).unwrap().0));
            let counted: Vec<_> =
                (0..ROWS).filter(|&number| counts.value(Direction::Query, number) > 0).map(domain).collect();
            assert_eq!(counted, expected.into_iter().collect::<Vec<_>>(), "{name:?}");
        };
        check(b"\x03www\x07example\x03CoM\0", Some("com"));
        check(b"\x02co\x02uk\0", Some("uk"));
        check(b"\x02de\0", Some("de"));
        check(b"\x03foo\x05local\0", Some("local"));
        check(b"\x03www\x03com\x03LAN\0", Some("lan"));
        check(b"\x03www\x08internal\0", Some("internal"));
        check(b"\x03www\x07example\0", Some("other"));
        check(b"\x05\x03com\x00\0", Some("other"));
        check(b"\0", Some("other"));
        assert_eq!((find(b"other").map(domain), find(b"LAN").map(domain)), (Some("other"), Some("lan")));
    }
}
