//! What somebody may write into a configuration file.

use crate::mutation::mutated;
use crate::oracle::configuration::check;
use proptest::prelude::*;

/// Every key there is, some of most sections, and what is odd.
const SAMPLES: [&[u8]; 3] = [
    include_bytes!("../data/config/everything.toml"),
    include_bytes!("../fuzz/corpus/configuration/sections"),
    include_bytes!("../fuzz/corpus/configuration/odd"),
];

proptest! {
    #![proptest_config(crate::cases(512))]

    #[test]
    fn any_text_is_a_configuration_or_an_error_with_a_place(
        bytes in mutated(proptest::sample::select(SAMPLES.to_vec()).prop_map(<[u8]>::to_vec)),
    ) {
        check(&bytes);
    }
}
