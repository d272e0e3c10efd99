//! Any bytes as a database.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| fuzz::oracle::geoip::check(octets));
