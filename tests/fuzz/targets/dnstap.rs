//! The payload of a data frame: walker against micropb, and composed again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::dnstap::check(bytes));
