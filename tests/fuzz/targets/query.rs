//! Any bytes as what stands behind the question mark of a request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::query::check(bytes));
