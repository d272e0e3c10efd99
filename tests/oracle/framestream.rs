//! Frame Streams read slowly: a whole stream at once, in the words of the specification.

use dnstapd::wire::framestream::{CONTENT_TYPE, ControlFrame, ControlKind, Deframer, Unit, Violation};
use dnstapd::wire::handshake::{ReceiverHandshake, ReceiverStep};

/// The longest frame of the streams below.
pub const FRAME_MAX: u32 = 300;

/// A frame, or why there are no more.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Data(Vec<u8>),
    Control(ControlKind, Vec<Vec<u8>>),
    Oversize(u32),
    Violation(Violation),
}

/// Checks that a stream gives the frames the specification says, however it is cut, and that a receiver takes
/// nothing out of order.
pub fn check(stream: &[u8], cuts: &[u8]) {
    let expected = read(stream);
    assert_eq!(deframe(stream, &[]), expected);
    assert_eq!(deframe(stream, cuts), expected);
    check_receiver(stream);
}

/// Checks one control frame: what is taken is composed to the same frame again, and its content types are
/// there.
pub fn check_control(payload: &[u8]) {
    let Ok(control) = ControlFrame::parse(payload) else { return };
    assert!(payload.len() >= 4);
    let content_types: Vec<_> = control.content_types().collect();
    assert_eq!(control.matches_dnstap(), content_types.is_empty() || content_types.contains(&CONTENT_TYPE));
    assert_eq!(control.kind.number().to_be_bytes(), payload[..4]);
    let frame = compose(control.kind, &content_types);
    let longest = content_types.iter().map(|content_type| content_type.len()).max();
    if frame.len() > 8 + 512 || longest > Some(256) {
        return;
    }
    let again = ControlFrame::parse(&frame[8..]).expect("what is composed parses");
    assert_eq!(again.kind, control.kind);
    assert!(again.content_types().eq(content_types));
}

/// A control frame with these content types.
pub fn compose(kind: ControlKind, content_types: &[&[u8]]) -> Vec<u8> {
    let length = 4 + content_types.iter().map(|content_type| 8 + content_type.len()).sum::<usize>();
    let mut frame = [0, length as u32, kind.number()].map(u32::to_be_bytes).concat();
    for content_type in content_types {
        frame.extend([1, content_type.len() as u32].map(u32::to_be_bytes).as_flattened());
        frame.extend_from_slice(content_type);
    }
    frame
}

/// The frames of a stream that comes in pieces of these lengths (0 is 256), over and over.
fn deframe(stream: &[u8], cuts: &[u8]) -> Vec<Frame> {
    let mut deframer = Deframer::new(FRAME_MAX);
    let mut frames = Vec::new();
    let mut kept = Vec::new();
    for piece in (Pieces { stream, cuts: cuts.iter().cycle() }) {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        loop {
            let (before, in_skip) = (input.len(), deframer.in_skip());
            match deframer.next(&mut input) {
                Ok(Some(unit)) => {
                    assert!(input.len() < before, "a frame takes bytes");
                    frames.push(Frame::from(unit));
                }
                Ok(None) => break,
                Err(violation) => {
                    assert!(input.len() == before || in_skip, "a violation takes none");
                    frames.push(Frame::Violation(violation));
                    return frames;
                }
            }
        }
        assert!(!deframer.in_skip() || input.is_empty(), "what is skipped is not kept");
        assert!(deframer.wanted(input) > input.len(), "an unfinished frame wants more");
        assert!(deframer.wanted(input) <= 8 + 512, "and no more than the longest has");
        kept = input.to_vec();
    }
    frames
}

/// A stream in pieces.
struct Pieces<'a, C> {
    stream: &'a [u8],
    cuts: C,
}

impl<'a, 'c, C: Iterator<Item = &'c u8>> Iterator for Pieces<'a, C> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.stream.is_empty() {
            return None;
        }
        let length = match self.cuts.next() {
            None => usize::MAX,
            Some(0) => 256,
            Some(cut) => usize::from(*cut),
        };
        let (piece, rest) = self.stream.split_at(length.min(self.stream.len()));
        self.stream = rest;
        Some(piece)
    }
}

impl From<Unit<'_>> for Frame {
    fn from(unit: Unit<'_>) -> Self {
        match unit {
            Unit::Data(bytes) => Frame::Data(bytes.to_vec()),
            Unit::Oversize(length) => Frame::Oversize(length),
            Unit::Control(control) => {
                Frame::Control(control.kind, control.content_types().map(<[u8]>::to_vec).collect())
            }
        }
    }
}

/// The frames of a stream, read by position.
fn read(stream: &[u8]) -> Vec<Frame> {
    let word = |at: usize| Some(u32::from_be_bytes(stream.get(at..at + 4)?.try_into().ok()?));
    let mut frames = Vec::new();
    let mut started = false;
    let mut at = 0;
    while let Some(length) = word(at) {
        if length > 0 {
            if !started {
                frames.push(Frame::Violation(Violation::DataBeforeStart));
                break;
            }
            let end = at + 4 + length as usize;
            if length > FRAME_MAX {
                frames.push(Frame::Oversize(length));
            } else if let Some(bytes) = stream.get(at + 4..end) {
                frames.push(Frame::Data(bytes.to_vec()));
            } else {
                break;
            }
            at = end;
            continue;
        }
        let Some(length) = word(at + 4) else { break };
        if !(4..=512).contains(&length) {
            frames.push(Frame::Violation(Violation::ControlLength));
            break;
        }
        let end = at + 8 + length as usize;
        let Some(payload) = stream.get(at + 8..end) else { break };
        let frame = read_control(payload);
        started |= matches!(frame, Frame::Control(ControlKind::Start, _));
        frames.push(frame);
        if matches!(frames.last(), Some(Frame::Violation(_))) {
            break;
        }
        at = end;
    }
    frames
}

/// A control frame, read by position.
fn read_control(payload: &[u8]) -> Frame {
    let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
    let kind = match word(0) {
        1 => ControlKind::Accept,
        2 => ControlKind::Start,
        3 => ControlKind::Stop,
        4 => ControlKind::Ready,
        5 => ControlKind::Finish,
        number => ControlKind::Unknown(number),
    };
    let mut content_types = Vec::new();
    let mut at = 4;
    while at < payload.len() {
        let whole = at + 8 <= payload.len() && word(at + 4) as usize <= payload.len() - at - 8;
        match (whole, kind) {
            (false, ControlKind::Unknown(_)) => break,
            (false, _) => return Frame::Violation(Violation::FieldLength),
            (true, _) => {}
        }
        let end = at + 8 + word(at + 4) as usize;
        if word(at) == 1 {
            content_types.push(payload[at + 8..end].to_vec());
            if end - at - 8 > 256 && !matches!(kind, ControlKind::Unknown(_)) {
                return Frame::Violation(Violation::ContentTypeLength);
            }
        }
        at = end;
    }
    Frame::Control(kind, content_types)
}

/// Checks that a receiver gives data only between START and STOP, and replies only to READY and STOP.
fn check_receiver(stream: &[u8]) {
    let mut deframer = Deframer::new(FRAME_MAX);
    let mut receiver = ReceiverHandshake::new();
    let mut input = stream;
    let (mut ready, mut started, mut stopped) = (false, false, false);
    while let Ok(Some(unit)) = deframer.next(&mut input) {
        let kind = match unit {
            Unit::Control(control) => Some(control.kind),
            _ => None,
        };
        let Ok(step) = receiver.on(unit) else { return };
        assert!(!stopped, "nothing is taken after STOP");
        match step {
            ReceiverStep::Data(_) | ReceiverStep::Oversize(_) => assert!(started && kind.is_none()),
            ReceiverStep::Reply(_) => {
                assert!(!ready && !started && kind == Some(ControlKind::Ready));
                ready = true;
            }
            ReceiverStep::Stop => {
                assert!(started && kind == Some(ControlKind::Stop));
                stopped = true;
            }
            ReceiverStep::Nothing => {
                assert!(matches!(kind, Some(ControlKind::Start | ControlKind::Unknown(_))));
                started = true;
            }
        }
        assert_eq!(receiver.is_started(), started);
    }
}
