//! Files of packets, pcap and pcapng.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    fuzz::oracle::container::check(octets);
});
