//! A DNS message: the summary against itself, domain and dns-parser, and the text of the name.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::dns::check(bytes));
