//! The seeds of the fuzz target, and files like them.

use crate::mutation::mutated;
use crate::oracle;
use proptest::prelude::*;
use std::path::PathBuf;

/// The files that the fuzz target begins with: both formats, both ways round.
fn seeds() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/container");
    let files = std::fs::read_dir(folder).expect("the corpus");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("octets")).collect()
}

#[test]
fn every_seed_has_a_packet() {
    assert_eq!(seeds().iter().map(|seed| oracle::container::check(seed)).collect::<Vec<_>>(), [1; 4]);
}

proptest! {
    #![proptest_config(crate::cases(512))]

    #[test]
    fn files_with_some_octets_changed(octets in mutated(proptest::sample::select(seeds()))) {
        oracle::container::check(&octets);
    }

    #[test]
    fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        oracle::container::check(&octets);
    }
}
