//! Databases with something wrong in them.

use crate::mutation::mutated;
use crate::oracle::geoip::check;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(1024))]

    #[test]
    fn any_bytes_are_refused_or_looked_up_in(bytes in mutated(Just(include_bytes!("../data/places.mmdb").to_vec()))) {
        check(&bytes);
    }
}
