//! Folding and hashing against slow ways to do the same.

use super::*;
use core::hash::BuildHasher;

fn name(wire: &[u8]) -> Name<'_> {
    Name::parse(wire).unwrap().0
}

#[test]
fn folding_touches_letters_only() {
    for byte in 0..=255u8 {
        for place in 0..8 {
            let with = |byte: u8| {
                u64::from_le_bytes(core::array::from_fn(|at| {
                    if at == place { byte } else { (0x5a + 0x1f * at) as u8 }
                }))
            };
            let expected = with(byte).to_le_bytes().map(|byte| byte.to_ascii_lowercase());
            assert_eq!(fold_case(with(byte)).to_le_bytes(), expected);
        }
    }
}

#[test]
fn names_hash_alike_without_regard_to_case_and_not_else() {
    let hasher = foldhash::quality::FixedState::with_seed(1);
    let hash = |wire: &[u8]| {
        let mut hasher = hasher.build_hasher();
        name(wire).hash_folded(&mut hasher);
        hasher.finish()
    };
    let mut seen = std::collections::HashSet::new();
    for length in 1..=63u8 {
        for labels in 0..=3 {
            let wire = |byte: u8| {
                [[&[length][..], &vec![byte; usize::from(length)]].concat().repeat(labels), vec![0]].concat()
            };
            assert_eq!(hash(&wire(b'q')), hash(&wire(b'Q')));
            // With content of its own length, too: such names look alike in many places.
            for byte in [b'q', b'r', length] {
                seen.insert((wire(byte), hash(&wire(byte))));
            }
        }
    }
    let (names, hashes): (std::collections::HashSet<_>, std::collections::HashSet<_>) =
        seen.into_iter().unzip();
    assert_eq!(names.len(), hashes.len());
}

#[test]
fn the_end_of_the_last_label_is_that_of_the_label() {
    assert_eq!(label_end(b"com"), u64::from_le_bytes(*b"com\0\0\0\0\0"));
    assert_eq!(label_end(b"international"), u64::from_le_bytes(*b"national"));
    assert_eq!(Name::ROOT.last_label_end(), 0);
    for before in [0, 1, 2, 5, 63] {
        for length in 1..=63u8 {
            let label: Vec<u8> = (0..length).map(|at| at ^ 0x81).collect();
            let first = if before == 0 { vec![] } else { [vec![before], vec![b'w'; before.into()]].concat() };
            let wire = [first, vec![length], label.clone(), vec![0]].concat();
            assert_eq!(name(&wire).last_label_end(), label_end(&label), "{wire:?}");
        }
    }
}
