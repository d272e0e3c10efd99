//! The public suffix list (publicsuffix.org), all of it, in 27 KB: below which domains strangers may register
//! names.
//!
//! `scripts/suffixes` makes the table from Debian's package `publicsuffix`. It has no text: a place of the
//! tree of names is known by a hash of its labels, from right to left, so that one more label goes on from
//! the hash of what is right of it.
//!
//! ```text
//! hash, 64 | bucket, 10 | the place, 21 | ...
//!
//! suffixes.bin   start of bucket 0, 2 | ... | end, 2 | entry, 3 | entry, 3 | ...       little-endian
//! entry          the place, 21 | Place, 3                                              bits
//! ```
//!
//! A domain that is not in the list is taken for a place of it once in 250,000 times (8 entries a bucket, of
//! 21 bits): its registered domain is a label too long then. Rules with a star have it in front; the list has
//! no others.

use super::cursor::Cursor;
use super::hash::fold_case;

/// The table.
static TABLE: &[u8] = include_bytes!("suffixes.bin");

const BUCKET_BITS: u32 = 10;
const HASH_BITS: u32 = 21;
const KIND_BITS: u32 = 3;
const START_BYTES: usize = 2;
const ENTRY_BYTES: usize = 3;

/// A place of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SuffixNode {
    /// A rule: a suffix, unless there is a longer one.
    is_rule: bool,
    /// A rule with a star: whatever is below by one label is a suffix.
    is_wild: bool,
    /// Not a suffix, though a star says so.
    is_exception: bool,
    /// There is more below.
    has_more: bool,
}

impl SuffixNode {
    /// As the table has it. A top-level domain is always gone on from.
    fn new(kind: u32) -> Self {
        SuffixNode {
            is_rule: matches!(kind, 1 | 2 | 4),
            is_wild: matches!(kind, 3 | 4),
            is_exception: kind == 5,
            has_more: matches!(kind, 0 | 2..=4),
        }
    }
}

/// How many labels of a name are its public suffix; `labels` come from right to left. It may be all of them.
#[cfg_attr(for_size, optimize(speed))]
pub(super) fn suffix_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> usize {
    // Of a name that no rule knows it is the top-level domain.
    let (mut suffix, mut hash, mut is_below_star) = (1, 0, false);
    for (number, label) in labels.enumerate() {
        hash = mix(hash, label);
        if is_below_star {
            suffix = number + 1;
        }
        // Of top-level domains only those of countries have a star.
        let found = if number == 0 && label.len() != 2 { None } else { find(hash) };
        let place = match found {
            Some(place) => place,
            None if number == 0 => SuffixNode::new(0),
            None => break,
        };
        if place.is_exception {
            return number;
        }
        if place.is_rule {
            suffix = number + 1;
        }
        is_below_star = place.is_wild;
        if !place.has_more {
            break;
        }
    }
    suffix
}

/// The hash of a suffix with one more label.
fn mix(mut hash: u64, label: &[u8]) -> u64 {
    for chunk in label.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(place, byte)| *place = *byte);
        hash = (hash ^ fold_case(u64::from_le_bytes(word))).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    hash
}

fn find(hash: u64) -> Option<SuffixNode> {
    let bucket = (hash >> (u64::BITS - BUCKET_BITS)) as usize;
    let place = (hash >> (u64::BITS - BUCKET_BITS - HASH_BITS)) as u32 % (1 << HASH_BITS);
    let mut bounds = Cursor::new(TABLE.get(START_BYTES * bucket..)?);
    let (start, end) = (u16::from_le_bytes(bounds.array()?), u16::from_le_bytes(bounds.array()?));
    let entries = TABLE.get(START_BYTES * ((1 << BUCKET_BITS) + 1)..)?;
    let entries = entries.get(ENTRY_BYTES * usize::from(start)..ENTRY_BYTES * usize::from(end))?;
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    let numbers = entries.iter().map(|[a, b, c]| u32::from_le_bytes([*a, *b, *c, 0]));
    { numbers }
        .find(|entry| entry >> KIND_BITS == place)
        .map(|entry| SuffixNode::new(entry % (1 << KIND_BITS)))
}

#[cfg(test)]
mod tests {
    use super::super::name::Name;
    use super::super::registered_domain::registered_domain;

    /// The answer of the list itself for a name, for each of some hundred rules (`scripts/suffixes`).
    #[test]
    fn the_table_says_what_the_list_says() {
        let cases = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/suffixes.txt"));
        assert!(cases.lines().count() > 1_500);
        for line in cases.lines() {
            let (name, expected) = line.split_once(' ').unwrap();
            let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            let wire = labels.chain([0]).collect::<Vec<u8>>();
            let found = registered_domain(&Name::parse(&wire).unwrap().0);
            let found = found.map_or("-".to_owned(), |(domain, _)| domain.to_string());
            let expected = if name.ends_with(".arpa") { "-" } else { expected };
            assert_eq!(found.trim_end_matches('.'), expected, "{name}");
        }
    }

    #[test]
    fn strangers_are_hardly_ever_taken_for_suffixes() {
        let mut wrong = 0;
        for number in 0..500_000u32 {
            let label = format!("s{number:x}");
            wrong += u32::from(super::suffix_labels([b"com", label.as_bytes(), b"www"].into_iter()) != 1);
        }
        assert!(wrong <= 8, "{wrong}");
    }
}
