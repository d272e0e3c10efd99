//! Streams as they come: whole, cut anywhere, too long, and wrong.

use super::super::cursor::Composer;
use super::*;

/// START with our content type.
const START: &[u8] = b"\0\0\0\0\x00\x00\x00\x22\0\0\0\x02\0\0\0\x01\x00\x00\x00\x16protobuf:dnstap.Dnstap";
/// STOP.
const STOP: &[u8] = b"\0\0\0\0\0\0\0\x04\0\0\0\x03";

/// Writes a control frame with these content types to the front of `out` and returns its length. `None` when
/// `out` is too short, or when a length would be out of range.
pub(in crate::wire) fn compose_control(
    kind: ControlKind,
    content_types: &[&[u8]],
    out: &mut [u8],
) -> Option<usize> {
    let fields = content_types.iter().map(|value| 2 * LENGTH_BYTES + value.len());
    let length = u32::try_from(LENGTH_BYTES + fields.sum::<usize>()).ok()?;
    let longest = content_types.iter().map(|value| value.len()).max().unwrap_or(0);
    if length > CONTROL_MAX || longest > CONTENT_TYPE_MAX {
        return None;
    }
    let mut composer = Composer::new(out);
    for word in [0, length, kind.number()] {
        composer.put(&word.to_be_bytes())?;
    }
    for value in content_types {
        composer.put(&FIELD_CONTENT_TYPE.to_be_bytes())?;
        composer.put(&u32::try_from(value.len()).ok()?.to_be_bytes())?;
        composer.put(value)?;
    }
    Some(composer.written())
}

/// The frames of a stream, in words.
fn describe(unit: Unit<'_>) -> String {
    match unit {
        Unit::Data(bytes) => format!("data {bytes:?}"),
        Unit::Oversize(length) => format!("oversize {length}"),
        Unit::Control(control) => format!("{:?} {}", control.kind, control.content_types().count()),
    }
}

/// Feeds a stream in these pieces, as a connection does, and returns the frames and the violation.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<Violation>) {
    let mut deframer = Deframer::new(8);
    let mut kept = Vec::new();
    let mut frames = Vec::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        loop {
            match deframer.next(&mut input) {
                Ok(Some(unit)) => frames.push(describe(unit)),
                Ok(None) => break,
                Err(violation) => return (frames, Some(violation)),
            }
        }
        assert!(!deframer.in_skip() || input.is_empty(), "what is skipped is not kept");
        assert!(deframer.wanted(input) > input.len(), "an unfinished frame wants more");
        kept = input.to_vec();
    }
    (frames, None)
}

/// A stream with every kind of frame, and the frames in it.
fn stream() -> (Vec<u8>, Vec<&'static str>) {
    let unknown = b"\0\0\0\0\0\0\0\x07\0\0\0\x09???";
    let data = b"\0\0\0\x01a\0\0\0\x08bbbbbbbb\0\0\0\x09ccccccccc\0\0\0\x02dd";
    let stream = [START, data, unknown, STOP].concat();
    let frames = [
        "Start 1",
        "data [97]",
        "data [98, 98, 98, 98, 98, 98, 98, 98]",
        "oversize 9",
        "data [100, 100]",
        "Unknown(9) 0",
        "Stop 0",
    ];
    (stream, frames.to_vec())
}

#[test]
fn a_stream_in_one_piece() {
    let (stream, frames) = stream();
    assert_eq!(feed([&stream[..]]), (frames.iter().map(ToString::to_string).collect(), None));
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_frames() {
    let (stream, frames) = stream();
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(feed(pieces).0, frames, "{first} {second}");
        }
    }
    assert_eq!(feed(stream.chunks(1)).0, frames);
}

#[test]
fn every_prefix_gives_the_frames_it_has() {
    let (stream, frames) = stream();
    for cut in 0..stream.len() {
        let (seen, violation) = feed([&stream[..cut]]);
        assert_eq!(violation, None);
        assert_eq!(seen, frames[..seen.len()]);
    }
}

#[test]
fn the_length_wanted_is_the_length_needed() {
    let (stream, _) = stream();
    let mut deframer = Deframer::new(8);
    let mut input = &stream[..];
    while !input.is_empty() {
        let (before, in_skip) = (input, deframer.in_skip());
        let unit = deframer.next(&mut input).unwrap();
        if in_skip || matches!(unit, Some(Unit::Oversize(_)) | None) {
            continue;
        }
        let length = before.len() - input.len();
        let header = if before.starts_with(&[0; 4]) { 8 } else { 4 };
        for cut in 0..length {
            let expected = if cut < 4 {
                4
            } else if cut < header {
                8
            } else {
                length
            };
            assert_eq!(deframer.wanted(&before[..cut]), expected);
        }
    }
}

#[test]
fn long_frames_are_skipped_over_many_reads() {
    let mut deframer = Deframer::new(8);
    assert!(matches!(deframer.next(&mut &START[..]), Ok(Some(Unit::Control(_)))));
    let mut input = &b"\xff\xff\xff\xffxxxx"[..];
    assert_eq!(deframer.next(&mut input), Ok(Some(Unit::Oversize(u32::MAX))));
    assert!(deframer.in_skip());
    assert_eq!(deframer.next(&mut input), Ok(None));
    assert!(input.is_empty());
    assert_eq!(deframer.next(&mut input), Ok(None));
    // 4 bytes have been skipped; go on in pieces to the last one.
    let piece = vec![0; 1 << 20];
    let mut left = u32::MAX as usize - 4;
    while left > piece.len() {
        assert_eq!(deframer.next(&mut &piece[..]), Ok(None));
        left -= piece.len();
    }
    let last = [&piece[..left], b"\0\0\0\x01z"].concat();
    let mut input = &last[..];
    assert_eq!(deframer.next(&mut input), Ok(Some(Unit::Data(b"z"))));
    assert!(!deframer.in_skip() && input.is_empty());
}

#[test]
fn no_data_before_start() {
    let (frames, violation) = feed([&b"\0\0\0\x01a"[..]]);
    assert_eq!((frames.len(), violation), (0, Some(Violation::DataBeforeStart)));
    // Told at once, however long the frame would be; what came stays for the log to look at.
    let mut input = &b"GET / HTTP/1.1\r\n"[..];
    assert_eq!(Deframer::new(8).next(&mut input), Err(Violation::DataBeforeStart));
    assert_eq!(super::super::foreign::recognise(input), Some(super::super::foreign::Foreign::Http));
}

/// A control frame of this length and payload.
fn control(length: u32, payload: &[u8]) -> Vec<u8> {
    [&[0; 4], &length.to_be_bytes()[..], payload].concat()
}

#[test]
fn control_frames_have_4_to_512_bytes() {
    for length in [0, 3, 513, u32::MAX] {
        // The length alone tells.
        assert_eq!(feed([&control(length, b"")[..]]).1, Some(Violation::ControlLength));
    }
    let longest = [&b"\0\0\0\x09"[..], &[0; 508]].concat();
    assert_eq!(feed([&control(512, &longest)[..]]), (vec!["Unknown(9) 0".into()], None));
}

#[test]
fn fields_must_fit() {
    let start = |fields: &[u8]| {
        let payload = [b"\0\0\0\x02", fields].concat();
        feed([&control(payload.len() as u32, &payload)[..]])
    };
    let field = |number: u8, length: usize| {
        [&[0, 0, 0, number][..], &(length as u32).to_be_bytes(), &vec![b'x'; length]].concat()
    };
    let refused = |violation| (vec![], Some(violation));
    assert_eq!(start(b""), (vec!["Start 0".into()], None));
    assert_eq!(start(&field(1, 0)), (vec!["Start 1".into()], None));
    assert_eq!(start(&field(1, 256)), (vec!["Start 1".into()], None));
    assert_eq!(start(&field(1, 257)), refused(Violation::ContentTypeLength));
    // A field we do not know may be longer, and does not count.
    assert_eq!(start(&[field(7, 300), field(1, 3)].concat()), (vec!["Start 1".into()], None));
    for cut in 1..field(1, 3).len() {
        assert_eq!(start(&field(1, 3)[..cut]), refused(Violation::FieldLength), "{cut}");
    }
    assert_eq!(start(b"\0\0\0\x01\xff\xff\xff\xff"), refused(Violation::FieldLength));
}

#[test]
fn what_is_composed_is_parsed_again() {
    use ControlKind::{Accept, Finish, Ready, Start, Stop, Unknown};
    for kind in [Accept, Start, Stop, Ready, Finish, Unknown(99)] {
        for content_types in [&[][..], &[CONTENT_TYPE], &[b"", b"other", CONTENT_TYPE]] {
            let mut out = [0; 600];
            let length = compose_control(kind, content_types, &mut out).unwrap();
            assert_eq!(compose_control(kind, content_types, &mut out[..length - 1]), None);
            let control = ControlFrame::parse(&out[8..length]).unwrap();
            assert_eq!(control.kind, kind);
            assert!(control.content_types().eq(content_types.iter().copied()));
            let mut input = &out[..length];
            assert_eq!(Deframer::new(8).next(&mut input), Ok(Some(Unit::Control(control))));
            assert!(input.is_empty());
        }
    }
    let mut out = [0; 600];
    assert_eq!(compose_control(Ready, &[&[b'x'; 257]], &mut out), None);
    assert_eq!(compose_control(Ready, &[&[b'x'; 256], &[b'x'; 236]], &mut out), Some(520));
    assert_eq!(compose_control(Ready, &[&[b'x'; 256], &[b'x'; 237]], &mut out), None);
    assert_eq!(data_header(0x0102_0304), [1, 2, 3, 4]);
}

#[test]
fn no_content_type_matches_any() {
    let matches = |content_types: &[&[u8]]| {
        let mut out = [0; 600];
        let length = compose_control(ControlKind::Ready, content_types, &mut out).unwrap();
        ControlFrame::parse(&out[8..length]).unwrap().matches_dnstap()
    };
    assert!(matches(&[]));
    assert!(matches(&[CONTENT_TYPE]));
    assert!(matches(&[b"other", CONTENT_TYPE]));
    assert!(matches(&[CONTENT_TYPE, b"other"]));
    assert!(!matches(&[b"other"]));
    assert!(!matches(&[b""]));
    assert!(!matches(&[b"protobuf:dnstap.dnstap"]));
}
