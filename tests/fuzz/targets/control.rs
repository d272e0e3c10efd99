//! The payload of a control frame.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| fuzz::oracle::framestream::check_control(octets));
