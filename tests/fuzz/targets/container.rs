//! Files of packets, pcap and pcapng.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::oracle::container::check(bytes);
});
