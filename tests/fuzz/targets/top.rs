//! Any bytes as an answer, and as keys.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| fuzz::oracle::top::check(octets));
