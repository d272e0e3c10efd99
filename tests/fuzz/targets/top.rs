//! Any bytes as an answer, and as keys.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::top::check(bytes));
