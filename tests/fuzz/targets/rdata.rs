//! Data of a record of any type, in presentation form; and whole messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::oracle::rdata::check(bytes);
    fuzz::oracle::rdata::check_message(bytes);
});
