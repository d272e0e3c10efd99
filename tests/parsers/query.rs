//! What a client may ask the web API for.

use crate::mutation::mutated;
use crate::oracle::query::check;
use proptest::prelude::*;

/// Lists and values, encoded well and badly.
const SAMPLES: [&[u8]; 3] = [
    include_bytes!("../fuzz/corpus/query/names"),
    include_bytes!("../fuzz/corpus/query/value"),
    include_bytes!("../fuzz/corpus/query/broken"),
];

proptest! {
    #![proptest_config(crate::cases(1024))]

    #[test]
    fn any_bytes_are_found_again_as_they_were_encoded(
        bytes in mutated(proptest::sample::select(SAMPLES.to_vec()).prop_map(<[u8]>::to_vec)),
    ) {
        check(&bytes);
    }
}
