//! The payload of a control frame.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::oracle::framestream::check_control(bytes));
