//! A stream of frames, cut as the first bytes say, through the deframer and a receiver.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// How many of the first bytes are lengths of pieces.
const CUTS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    if let Some((cuts, stream)) = bytes.split_at_checked(CUTS) {
        fuzz::oracle::framestream::check(stream, cuts);
    }
});
