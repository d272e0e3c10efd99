//! Records for Loki: the head that goes with each in the queue, and the body of a push.
//!
//! ```text
//! in the queue   | nanoseconds since 1970, 8 bytes | length of the label, 2 bytes | label | record |
//! ```
//!
//! The label is the identity in the form of every format; a record without time has that of its arrival, for
//! Loki takes none without. Records of one identity that follow each other are of one stream, whose labels
//! are written once.

#![cfg_attr(not(feature = "push"), allow(dead_code, reason = "nothing is pushed"))]

use crate::decimal::write_decimal;
use crate::limits::IDENTITY_BYTES;
use crate::message::event::Event;
use crate::output::{DropReason, Outlet};
use crate::time::Time;
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// Bytes of the head of a record in the queue at most.
pub(crate) const HEAD_BYTES: usize = 8 + 2 + LABEL_BYTES;

/// Bytes of the longest label.
pub(crate) const LABEL_BYTES: usize = TEXT_PER_BYTE * IDENTITY_BYTES;

/// The end of a push.
pub(crate) const END: &[u8] = b"]}]}";

/// Puts an encoded event and its head into the output's queue.
pub(crate) fn offer(outlet: &Outlet, event: &Event<'_>, record: &[u8]) {
    let time = event.time.unwrap_or_else(Time::now);
    let nanoseconds = time.seconds * 1_000_000_000 + u64::from(time.nanoseconds);
    let mut room = [0; LABEL_BYTES];
    let label = match event.identity {
        [] => Some(&b"-"[..]),
        identity => write_label_text(identity, &mut room).and_then(|length| room.get(..length)),
    };
    match label.and_then(|label| Some((u16::try_from(label.len()).ok()?, label))) {
        Some((length, label)) => {
            outlet.offer(Ok(&[&nanoseconds.to_be_bytes(), &length.to_be_bytes(), label, record]));
        }
        None => outlet.offer(Err(DropReason::Oversize)),
    }
}

/// Adds what stood in the queue to a push; `open` is the label of the stream that is open.
pub(crate) fn add(queued: &[u8], open: &[u8], out: &mut Vec<u8>) {
    let Some((nanoseconds, label, record)) = split(queued) else { return };
    if out.is_empty() {
        out.extend_from_slice(b"{\"streams\":[");
        write_stream(label, out);
    } else if open == label {
        out.push(b',');
    } else {
        out.extend_from_slice(b"]},");
        write_stream(label, out);
    }
    out.extend_from_slice(b"[\"");
    let mut digits = heapless::String::<20>::new();
    let _ = write_decimal(&mut digits, nanoseconds);
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(b"\",\"");
    write_escaped(record, out);
    out.extend_from_slice(b"\"]");
}

/// The label of what stood in the queue.
pub(crate) fn label(queued: &[u8]) -> &[u8] {
    split(queued).map_or(&[], |(_, label, _)| label)
}

fn write_stream(label: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"stream\":{\"job\":\"dnstapd\",\"identity\":\"");
    write_escaped(label, out);
    out.extend_from_slice(b"\"},\"values\":[");
}

/// Records and labels have no character that JSON wants escaped but these two.
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

fn split(queued: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (nanoseconds, rest) = queued.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (label, record) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u64::from_be_bytes(*nanoseconds), label, record))
}

#[cfg(test)]
mod tests {
    use super::label as label_of;
    use super::*;

    #[test]
    fn a_push_has_a_stream_for_each_run_of_an_identity() {
        let queued = |time: u64, label: &str, record: &str| {
            let length = (label.len() as u16).to_be_bytes();
            [&time.to_be_bytes()[..], &length, label.as_bytes(), record.as_bytes()].concat()
        };
        let (mut open, mut out) = (Vec::new(), Vec::new());
        for (time, label, record) in [(1, "a", r#"{"q":"\\1"}"#), (2, "a", "{}"), (3, r"b\032", "{}")] {
            let queued = queued(time, label, record);
            add(&queued, &open, &mut out);
            open = label_of(&queued).to_vec();
        }
        out.extend_from_slice(END);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"streams":[{"stream":{"job":"dnstapd","identity":"a"},"values":[["1","{\"q\":\"\\\\1\"}"],["2","{}"]]},{"stream":{"job":"dnstapd","identity":"b\\032"},"values":[["3","{}"]]}]}"#
        );
    }
}
