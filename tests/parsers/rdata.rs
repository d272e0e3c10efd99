//! Data of records in presentation form.

use crate::mutation::mutated;
use crate::oracle::rdata::{check, check_message};
use proptest::prelude::*;

/// Data of some types, with their numbers.
const SAMPLES: [&[u8]; 5] = [
    include_bytes!("../fuzz/corpus/rdata/caa"),
    include_bytes!("../fuzz/corpus/rdata/soa"),
    include_bytes!("../fuzz/corpus/rdata/srv"),
    include_bytes!("../fuzz/corpus/rdata/svcb"),
    include_bytes!("../fuzz/corpus/rdata/txt"),
];

/// Messages.
const MESSAGES: [&[u8]; 2] =
    [include_bytes!("../fuzz/corpus/dns/response"), include_bytes!("../fuzz/corpus/dns/pointer")];

/// An answer of type TXT without a string, which the fuzz target found.
#[test]
fn text_without_a_string_is_of_an_unknown_type() {
    check_message(b"\0\x10\x81\x80\0\0\0\x01\0\0\0\0\0\0\x10\0\x01\0\0\0\0\0\0");
    check(b"\0\x10");
}

proptest! {
    #![proptest_config(crate::cases(512))]

    #[test]
    fn data_of_any_type_has_a_text(bytes in mutated(proptest::sample::select(SAMPLES.to_vec()).prop_map(<[u8]>::to_vec))) {
        check(&bytes);
    }

    #[test]
    fn records_of_any_message_have_a_text(
        bytes in mutated(proptest::sample::select(MESSAGES.to_vec()).prop_map(<[u8]>::to_vec)),
    ) {
        check_message(&bytes);
    }
}
