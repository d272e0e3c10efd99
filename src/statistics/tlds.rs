//! The top-level domains that IANA delegates, and how often each was asked for.
//!
//! The list is `tlds.txt`, made by `scripts/tlds` from Debian's package `publicsuffix`. The last label of a name
//! counts, in any case, and nothing but the last: `foo.local.` and `www.com.lan.` are of no top-level domain. The
//! list is closed, so the counts are exact.

use super::counters::Direction;
use crate::limits::table;
use crate::wire::name::fold_case;

/// Counts of one stream, by number of the domain.
#[derive(Debug)]
pub struct TldCounts {
    queries: Box<[u64]>,
    responses: Box<[u64]>,
}

/// All domains in lower case, one a line.
const LIST: &str = include_str!("tlds.txt");

/// How many there are.
pub const COUNT: usize = {
    let (mut lines, mut at) = (0, 0);
    while at < LIST.len() {
        lines += (byte(LIST, at) == b'\n') as usize;
        at += 1;
    }
    lines
};

/// The most octets a domain has.
const LONGEST: usize = 24;

/// Where each line begins, and where one after the last would.
static STARTS: [u16; COUNT + 1] = starts();

/// Open addressing by the upper bits of [`hash`]: some of its lower bits, and number + 1 in the last
/// [`NUMBER_BITS`]; 0 is free.
static INDEX: [u16; SLOTS] = index();

/// More than twice the domains: most are found at the first look.
const SLOTS: usize = 4096;
const NUMBER_BITS: u32 = 11;
const _: () = assert!(COUNT * 2 < SLOTS && COUNT < 1 << NUMBER_BITS && LIST.len() < u16::MAX as usize);

impl TldCounts {
    /// Octets of the counts.
    pub const COST: usize = size_of::<Self>() + 2 * COUNT * size_of::<u64>();

    /// Nothing counted yet.
    pub fn new() -> Self {
        TldCounts { queries: table(COUNT, 0), responses: table(COUNT, 0) }
    }

    /// Counts a name by its last label.
    #[inline]
    pub fn count(&mut self, direction: Direction, label: &[u8]) {
        let counts = match direction {
            Direction::Query => &mut self.queries,
            Direction::Response => &mut self.responses,
        };
        if let Some(count) = find(label).and_then(|number| counts.get_mut(number)) {
            *count += 1;
        }
    }

    /// The count of a domain.
    pub fn value(&self, direction: Direction, number: usize) -> u64 {
        let counts = match direction {
            Direction::Query => &self.queries,
            Direction::Response => &self.responses,
        };
        counts.get(number).copied().unwrap_or(0)
    }

    /// Counts from zero again.
    pub fn reset(&mut self) {
        self.queries.fill(0);
        self.responses.fill(0);
    }
}

impl Default for TldCounts {
    fn default() -> Self {
        TldCounts::new()
    }
}

/// The number of a domain, in any case.
#[inline]
pub fn find(label: &[u8]) -> Option<usize> {
    let ends = ends(label)?;
    let (mut slot, bits) = hash(ends);
    loop {
        let entry = INDEX.get(slot).copied().filter(|&entry| entry != 0)?;
        let number = (entry % (1 << NUMBER_BITS)) as usize - 1;
        if entry >> NUMBER_BITS == bits && is_domain(number, ends, label) {
            return Some(number);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Whether a label with these [`ends`] is the domain of that number.
#[inline]
fn is_domain(number: usize, ends: u64, label: &[u8]) -> bool {
    let domain = domain(number).as_bytes();
    let is_same = domain.len() == label.len() && self::ends(domain) == Some(ends);
    is_same && (label.len() <= 8 || domain.eq_ignore_ascii_case(label))
}

/// The domain of that number, in lower case and ASCII.
pub fn domain(number: usize) -> &'static str {
    let line = STARTS.get(number).zip(STARTS.get(number + 1));
    line.and_then(|(&start, &end)| LIST.get(usize::from(start)..usize::from(end) - 1)).unwrap_or_default()
}

/// The first and the last four octets of a label in lower case, of a short one the first and the last two: up to
/// eight octets that is all of it. None for a label that is no domain for its length alone.
#[inline]
const fn ends(label: &[u8]) -> Option<u64> {
    let (first, last) = match (label.first_chunk::<4>(), label.last_chunk::<4>()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        _ => match (label.first_chunk::<2>(), label.last_chunk::<2>()) {
            (Some([a, b]), Some([y, z])) => {
                (u32::from_le_bytes([*a, *b, 0, 0]), u32::from_le_bytes([*y, *z, 0, 0]))
            }
            _ => return None,
        },
    };
    if label.len() > LONGEST { None } else { Some(fold_case((first as u64) << 32 | last as u64)) }
}

/// Where a domain with these [`ends`] is to be looked for, and the bits by which it is known there.
#[inline]
const fn hash(ends: u64) -> (usize, u16) {
    let hash = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((hash >> 52) as usize, (hash >> 20) as u16 >> NUMBER_BITS)
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

#[expect(clippy::indexing_slicing, reason = "when the program is built")]
const fn index() -> [u16; SLOTS] {
    let (starts, mut index, mut number) = (starts(), [0; SLOTS], 0);
    while number < COUNT {
        let (start, end) = (starts[number] as usize, starts[number + 1] as usize - 1);
        let label = LIST.as_bytes().split_at(end).0.split_at(start).1;
        let Some(ends) = ends(label) else { continue }; // one octet: there is none, and the build would not end
        let (mut slot, bits) = hash(ends);
        while index[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        number += 1;
        index[slot] = bits << NUMBER_BITS | number as u16;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

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
            "local",
            "lan",
            "co.uk",
            "onion",
            "example",
            "com.",
            "an-invented-label-of-30-octets",
        ] {
            assert_eq!(find(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_last_label_alone_counts() {
        let check = |name: &[u8], expected: Option<&str>| {
            let mut counts = TldCounts::new();
            counts.count(Direction::Query, Name::parse(name).unwrap().0.last_label());
            let counted: Vec<_> =
                (0..COUNT).filter(|&number| counts.value(Direction::Query, number) > 0).map(domain).collect();
            assert_eq!(counted, expected.into_iter().collect::<Vec<_>>(), "{name:?}");
        };
        check(b"\x03www\x07example\x03CoM\0", Some("com"));
        check(b"\x02co\x02uk\0", Some("uk"));
        check(b"\x02de\0", Some("de"));
        check(b"\x03foo\x05local\0", None);
        check(b"\x03www\x03com\x03lan\0", None);
        check(b"\x05\x03com\x00\0", None);
        check(b"\0", None);
    }
}
