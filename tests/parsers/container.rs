//! The seeds of the fuzz target, and files like them.

use crate::mutation::mutated;
use crate::oracle;
use dnstapd::capture::{PcapBlock, PcapReader};
use proptest::prelude::*;
use std::path::PathBuf;

/// The files that the fuzz target begins with: both formats, both ways round.
fn seeds() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/container");
    let files = std::fs::read_dir(folder).expect("the corpus");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("bytes")).collect()
}

#[test]
fn every_seed_has_a_packet() {
    assert_eq!(seeds().iter().map(|seed| oracle::container::check(seed)).collect::<Vec<_>>(), [1; 4]);
}

/// Whatever it is said to be, such as process information (0x80000001).
#[test]
fn a_block_that_is_shorter_than_its_head() {
    let head = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28];
    for kind in (0..16).chain([0xbad, 0x4000_0bad, 0x8000_0001]) {
        for length in 0..12 {
            let mut words = head.to_vec();
            words.extend([kind, length, 0, 0, 0, 0, 0, 0, 0, 0]);
            let file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut container = PcapReader::default();
            assert!(matches!(container.next(&file), Ok(PcapBlock::Other(0))));
            assert!(matches!(container.next(&file), Ok(PcapBlock::Other(28))));
            assert!(container.next(&file[28..]).is_err(), "kind {kind:#x}, length {length}");
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(512))]

    #[test]
    fn files_with_some_bytes_changed(bytes in mutated(proptest::sample::select(seeds()))) {
        oracle::container::check(&bytes);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        oracle::container::check(&bytes);
    }
}
