//! The top-level domains that IANA delegates, and how often each was asked for.
//!
//! The list is `tlds.txt`, made by `scripts/tlds` from Debian's package `publicsuffix`, and the three domains that homes
//! and companies use among themselves: `internal`, `lan` and `local`. The last label of a name counts, in any case, and
//! nothing but the last. All other names, the root among them, are `other`. The list is closed, so the counts are exact.
//!
//! A label is looked for by its last eight bytes, as one number: most domains have no more.

use super::counters::Direction;
use crate::limits::table;
use crate::wire::hash::{END_BYTES, fold_case, label_end, label_end_after};
use crate::wire::name::Name;

/// Counts of one stream, by number of the domain: of queries and of responses.
#[derive(Debug)]
pub struct TldCounts(Box<[[u64; 2]]>);

/// All domains in lower case, one a line.
const LIST: &str = concat!(include_str!("tlds.txt"), "internal\nlan\nlocal\n");

/// How many there are.
pub const COUNT: usize = {
    let (mut lines, mut at) = (0, 0);
    while at < LIST.len() {
        lines += (byte(LIST, at) == b'\n') as usize;
        at += 1;
    }
    lines
};

/// The number of all other names, after those of the domains.
const OTHER: usize = COUNT;

/// Domains and the others.
pub const ROWS: usize = COUNT + 1;

/// The most bytes a domain has.
const LONGEST: usize = 24;

/// Where each line begins, and where one after the last would.
static STARTS: [u16; COUNT + 1] = starts();

/// Open addressing by [`slot`]: the domain's bytes, and its number + 1 in the last [`NUMBER_BITS`]; 0 is free.
static INDEX: [u16; SLOTS] = index();

/// More than twice the domains: most are found at the first look.
const SLOTS: usize = 4096;
const NUMBER_BITS: u32 = 11;
const _: () =
    assert!(COUNT * 2 < SLOTS && COUNT < 1 << NUMBER_BITS && LONGEST < 1 << (u16::BITS - NUMBER_BITS));
const _: () = assert!(LIST.len() < u16::MAX as usize);

impl TldCounts {
    /// Bytes of the counts.
    pub const COST: usize = size_of::<Self>() + ROWS * size_of::<[u64; 2]>();

    /// Nothing counted yet.
    pub fn new() -> Self {
        TldCounts(table(ROWS, [0; 2]))
    }

    /// Counts a name by its last label.
    #[inline]
    pub fn count(&mut self, direction: Direction, name: &Name<'_>) {
        let found = find_by(name.last_label_end(), name.last_label());
        if let Some([queries, responses]) = self.0.get_mut(found.unwrap_or(OTHER)) {
            // Both are written, which is quicker than a branch that nobody can predict.
            *queries += u64::from(direction == Direction::Query);
            *responses += u64::from(direction == Direction::Response);
        }
    }

    /// The count of a domain.
    pub fn value(&self, direction: Direction, number: usize) -> u64 {
        let [queries, responses] = self.0.get(number).copied().unwrap_or_default();
        match direction {
            Direction::Query => queries,
            Direction::Response => responses,
        }
    }

    /// Takes over the counts of another stream, which begins at zero again.
    pub fn take_from(&mut self, other: &mut TldCounts) {
        for (own, other) in self.0.iter_mut().zip(&mut other.0) {
            let counts = core::mem::take(other);
            own.iter_mut().zip(counts).for_each(|(own, count)| *own += count);
        }
    }

    /// Counts from zero again.
    pub fn reset(&mut self) {
        self.0.fill([0; 2]);
    }
}

impl Default for TldCounts {
    fn default() -> Self {
        TldCounts::new()
    }
}

/// The number of a domain, in any case, or of `other`.
pub fn find(label: &[u8]) -> Option<usize> {
    let is_other = label.eq_ignore_ascii_case(OTHER_NAME.as_bytes());
    find_by(label_end(label), label).or(is_other.then_some(OTHER))
}

/// The name of all other names.
const OTHER_NAME: &str = "other";

/// The same by the label and the end of it, see [`label_end`].
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
pub fn domain(number: usize) -> &'static str {
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
    fn the_last_label_alone_counts() {
        let check = |name: &[u8], expected: Option<&str>| {
            let mut counts = TldCounts::new();
            counts.count(Direction::Query, &Name::parse(name).unwrap().0);
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
