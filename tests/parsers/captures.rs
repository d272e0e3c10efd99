//! What real servers sent: every capture of `tests/data` (its README says how they were made).

use crate::oracle;
use dnstapd::wire::dns::Summary;
use dnstapd::wire::dnstap::Dnstap;
use dnstapd::wire::framestream::Deframer;
use dnstapd::wire::handshake::{ReceiverHandshake, ReceiverStep};

#[test]
fn every_frame_of_every_capture_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let captures: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "fstrm")).collect();
    assert!(captures.len() >= 5, "captures in {folder}");
    for capture in captures {
        let frames = check_capture(&std::fs::read(&capture).unwrap());
        assert!(frames >= 50, "{} has {frames} frames", capture.display());
    }
}

/// Checks all frames of a capture and counts them.
fn check_capture(bytes: &[u8]) -> usize {
    let mut deframer = Deframer::new(132 << 10);
    let mut receiver = ReceiverHandshake::new();
    let mut input = bytes;
    let mut frames = 0;
    while let Some(unit) = deframer.next(&mut input).unwrap() {
        let ReceiverStep::Data(frame) = receiver.on(unit).unwrap() else { continue };
        let message = Dnstap::parse(frame).unwrap().message;
        oracle::dnstap::check(frame);
        for payload in [message.query_message, message.response_message].into_iter().flatten() {
            assert_eq!(Summary::parse(payload).malformed, None);
            oracle::dns::check(payload);
        }
        frames += 1;
    }
    assert!(input.is_empty() && !deframer.in_skip());
    frames
}
