//! Packets into the packet path: fragments, connections, and the messages that come out.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::oracle::packet::check(bytes);
});
