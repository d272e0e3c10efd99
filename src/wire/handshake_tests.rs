//! Both sides of a handshake, in and out of order.

use super::super::framestream::Deframer;
use super::super::framestream::tests::compose_control;
use super::*;

/// The frame that these bytes are.
fn unit(bytes: &'static [u8]) -> Unit<'static> {
    let mut input = bytes;
    let unit = Deframer::new(8).next(&mut input).unwrap().unwrap();
    assert!(input.is_empty());
    unit
}

/// A control frame that lists another content type.
fn foreign(kind: ControlKind) -> Unit<'static> {
    let mut out = [0; 64];
    let length = compose_control(kind, &[b"protobuf:other"], &mut out).unwrap();
    unit(out[..length].to_vec().leak())
}

fn unknown() -> Unit<'static> {
    unit(b"\0\0\0\0\0\0\0\x04\0\0\0\x63")
}

#[test]
fn our_frames_are_what_composing_makes() {
    let check = |frame: &[u8], kind, content_types: &[&[u8]]| {
        let mut out = [0; 64];
        let length = compose_control(kind, content_types, &mut out).unwrap();
        assert_eq!(frame, &out[..length]);
    };
    check(READY, ControlKind::Ready, &[CONTENT_TYPE]);
    check(ACCEPT, ControlKind::Accept, &[CONTENT_TYPE]);
    check(START, ControlKind::Start, &[CONTENT_TYPE]);
    check(STOP, ControlKind::Stop, &[]);
    check(FINISH, ControlKind::Finish, &[]);
    // As on the wire.
    assert_eq!(ACCEPT, b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap");
}

#[test]
fn a_bidirectional_sender_is_answered() {
    let mut receiver = ReceiverHandshake::new();
    assert_eq!(receiver.on(unit(READY)), Ok(ReceiverStep::Reply(ACCEPT)));
    assert!(!receiver.is_started());
    assert_eq!(receiver.on(unit(START)), Ok(ReceiverStep::Nothing));
    assert!(receiver.is_started());
    assert_eq!(receiver.on(Unit::Data(b"x")), Ok(ReceiverStep::Data(b"x")));
    assert_eq!(receiver.on(Unit::Oversize(9)), Ok(ReceiverStep::Oversize(9)));
    assert_eq!(receiver.on(unknown()), Ok(ReceiverStep::Nothing));
    assert_eq!(receiver.on(unit(STOP)), Ok(ReceiverStep::Stop));
    assert_eq!(receiver.on(Unit::Data(b"x")), Err(Violation::DataAfterStop));
}

#[test]
fn a_unidirectional_sender_is_read_without_an_answer() {
    let mut receiver = ReceiverHandshake::new();
    assert_eq!(receiver.on(unit(START)), Ok(ReceiverStep::Nothing));
    assert_eq!(receiver.on(Unit::Data(b"x")), Ok(ReceiverStep::Data(b"x")));
    assert_eq!(receiver.on(unit(STOP)), Ok(ReceiverStep::Stop));
}

#[test]
fn frames_out_of_order_are_violations() {
    let check = |before: &[&'static [u8]], then: Unit<'static>, violation| {
        let mut receiver = ReceiverHandshake::new();
        for frame in before {
            assert!(receiver.on(unit(frame)).is_ok());
        }
        assert_eq!(receiver.on(then), Err(violation), "{then:?} after {before:?}");
    };
    for first in [STOP, ACCEPT, FINISH] {
        check(&[], unit(first), Violation::ControlOrder);
        check(&[READY], unit(first), Violation::ControlOrder);
    }
    check(&[], unknown(), Violation::ControlOrder);
    check(&[READY], unit(READY), Violation::ControlOrder);
    check(&[READY], unknown(), Violation::ControlOrder);
    for second in [START, READY, ACCEPT, FINISH] {
        check(&[START], unit(second), Violation::ControlOrder);
        check(&[READY, START], unit(second), Violation::ControlOrder);
    }
    check(&[START, STOP], unit(STOP), Violation::ControlOrder);
    check(&[], Unit::Data(b"x"), Violation::DataBeforeStart);
    check(&[READY], Unit::Data(b"x"), Violation::DataBeforeStart);
    check(&[READY], Unit::Oversize(1), Violation::DataBeforeStart);
    check(&[], foreign(ControlKind::Ready), Violation::ContentType);
    check(&[], foreign(ControlKind::Start), Violation::ContentType);
    check(&[READY], foreign(ControlKind::Start), Violation::ContentType);
}

#[test]
fn frames_without_a_content_type_are_taken() {
    let bare = |kind: u8| unit(vec![0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, kind].leak());
    let mut receiver = ReceiverHandshake::new();
    assert_eq!(receiver.on(bare(4)), Ok(ReceiverStep::Reply(ACCEPT)));
    assert_eq!(receiver.on(bare(2)), Ok(ReceiverStep::Nothing));
    let mut sender = SenderHandshake::new();
    assert_eq!(sender.on(bare(1)), Ok(SenderStep::Start(START)));
}

#[test]
fn both_sides_agree() {
    let mut sender = SenderHandshake::new();
    let mut receiver = ReceiverHandshake::new();
    let Ok(ReceiverStep::Reply(accept)) = receiver.on(unit(READY)) else { panic!("no ACCEPT") };
    let Ok(SenderStep::Start(start)) = sender.on(unit(accept)) else { panic!("no START") };
    assert_eq!(receiver.on(unit(start)), Ok(ReceiverStep::Nothing));
    assert!(sender.is_started() && receiver.is_started());
    assert_eq!(receiver.on(unit(STOP)), Ok(ReceiverStep::Stop));
}

#[test]
fn a_sender_takes_nothing_else() {
    assert_eq!(SenderHandshake::new().on(Unit::Data(b"x")), Err(Violation::ControlOrder));
    assert_eq!(SenderHandshake::new().on(unit(FINISH)), Err(Violation::ControlOrder));
    assert_eq!(SenderHandshake::new().on(unknown()), Err(Violation::ControlOrder));
    assert_eq!(SenderHandshake::new().on(foreign(ControlKind::Accept)), Err(Violation::ContentType));
    let mut sender = SenderHandshake::new();
    assert!(sender.on(unit(ACCEPT)).is_ok());
    assert_eq!(sender.on(unknown()), Ok(SenderStep::Nothing));
    assert_eq!(sender.on(unit(FINISH)), Err(Violation::ControlOrder));
    assert_eq!(sender.on(unit(ACCEPT)), Err(Violation::ControlOrder));
}

#[test]
fn a_file_may_have_several_streams() {
    let mut receiver = ReceiverHandshake::of_file();
    for stop in [true, false, true] {
        assert_eq!(receiver.on(unit(START)), Ok(ReceiverStep::Nothing));
        assert_eq!(receiver.on(Unit::Data(b"x")), Ok(ReceiverStep::Data(b"x")));
        if stop {
            assert_eq!(receiver.on(unit(STOP)), Ok(ReceiverStep::Stop));
            assert_eq!(receiver.clone().on(Unit::Data(b"x")), Err(Violation::DataAfterStop));
        }
    }
    assert_eq!(receiver.on(foreign(ControlKind::Start)), Err(Violation::ContentType));
    assert_eq!(receiver.on(unit(READY)), Err(Violation::ControlOrder));
}
