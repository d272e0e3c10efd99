//! Streams of frames, in and out of order, cut anywhere.

use crate::mutation::mutated;
use crate::oracle;
use dnstapd::wire::framestream::{CONTENT_TYPE, ControlKind, data_header};
use proptest::collection::vec;
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = ControlKind> {
    use ControlKind::{Accept, Finish, Ready, Start, Stop, Unknown};
    prop_oneof![
        Just(Accept),
        Just(Start),
        Just(Stop),
        Just(Ready),
        Just(Finish),
        (6..u32::MAX).prop_map(Unknown)
    ]
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let content_type = prop_oneof![3 => Just(CONTENT_TYPE.to_vec()), 1 => vec(any::<u8>(), 0..40)];
    (kind(), vec(content_type, 0..3)).prop_map(|(kind, content_types)| {
        let content_types: Vec<_> = content_types.iter().map(Vec::as_slice).collect();
        oracle::framestream::compose(kind, &content_types)
    })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 1..40usize, 1 => 290..310usize, 1 => 600..700usize];
    length.prop_map(|length| [&data_header(length as u32)[..], &vec![0xdd; length]].concat())
}

/// READY or START, and what may follow.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let opening = |kind| oracle::framestream::compose(kind, &[CONTENT_TYPE]);
    let (ready, start) = (opening(ControlKind::Ready), opening(ControlKind::Start));
    let begin = proptest::sample::select(vec![start.clone(), [ready, start].concat(), vec![]]);
    let frame = prop_oneof![5 => data(), 1 => control()];
    (begin, vec(frame, 0..8)).prop_map(|(begin, frames)| [begin, frames.concat()].concat())
}

proptest! {
    #![proptest_config(crate::cases(1536))]

    #[test]
    fn streams_are_read_as_specified(stream in stream(), cuts in vec(any::<u8>(), 1..6)) {
        oracle::framestream::check(&stream, &cuts);
    }

    #[test]
    fn mutated_streams_too(stream in mutated(stream()), cuts in vec(1..16u8, 1..6)) {
        oracle::framestream::check(&stream, &cuts);
    }

    #[test]
    fn any_bytes_too(stream in vec(any::<u8>(), 0..64), cuts in vec(1..16u8, 1..6)) {
        oracle::framestream::check(&stream, &cuts);
    }

    #[test]
    fn control_frames_come_back(payload in mutated(control().prop_map(|frame| frame[8..].to_vec()))) {
        oracle::framestream::check_control(&payload);
    }
}
