//! What a server may send to the live screen.

use crate::mutation::mutated;
use crate::oracle::top::check;
use proptest::prelude::*;

/// One answer of each kind, and keys.
const SAMPLES: [&[u8]; 5] = [
    include_bytes!("../fuzz/corpus/top/counters"),
    include_bytes!("../fuzz/corpus/top/tables"),
    include_bytes!("../fuzz/corpus/top/streams"),
    include_bytes!("../fuzz/corpus/top/metrics"),
    include_bytes!("../fuzz/corpus/top/keys"),
];

proptest! {
    #![proptest_config(crate::cases(1024))]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in mutated(proptest::sample::select(SAMPLES.to_vec()).prop_map(<[u8]>::to_vec))) {
        check(&bytes);
    }
}
