//! Any bytes in presentation form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| fuzz::oracle::text::check(octets));
