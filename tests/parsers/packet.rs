//! The seeds of the fuzz target, and packets like them.

use crate::mutation::mutated;
use crate::oracle;
use proptest::prelude::*;
use std::path::PathBuf;

/// The inputs that the fuzz target begins with: between them, every way through the packet path.
fn seeds() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/packet");
    let files = std::fs::read_dir(folder).expect("the corpus");
    let seeds: Vec<_> =
        files.map(|file| std::fs::read(file.expect("a file").path()).expect("bytes")).collect();
    assert!(seeds.len() >= 6);
    seeds
}

#[test]
fn every_seed_is_one_message_at_least() {
    for seed in seeds() {
        assert!(oracle::packet::check(&seed) > 0, "{seed:02x?}");
    }
}

proptest! {
    #![proptest_config(crate::cases(512))]

    #[test]
    fn packets_with_some_bytes_changed(bytes in mutated(proptest::sample::select(seeds()))) {
        oracle::packet::check(&bytes);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        oracle::packet::check(&bytes);
    }
}
