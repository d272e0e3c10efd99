//! Any bytes as what stands behind the question mark of a request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| fuzz::oracle::query::check(octets));
