//! Any bytes in presentation form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::text::check(bytes));
