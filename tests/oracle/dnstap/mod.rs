//! The decoder that micropb makes from the schema, as a judge of the walker.
//!
//! It is compared with `dnstapd::wire::dnstap` on what they both promise: the values, and whether a frame is
//! taken at all. Two differences are meant:
//!
//! * A length is 64 bits to the walker, so that a frame with a longer one than there can be is refused;
//!   micropb keeps 32 bits of it and goes on with what is left. [`has_overlong`] tells.
//! * Which reason is given when a frame has several faults. Nobody asks.

#[allow(clippy::all, clippy::indexing_slicing, missing_docs, nonstandard_style, unused, unused_qualifications)]
#[rustfmt::skip]
mod generated;
mod span;

use dnstapd::wire::compose::{FrameChanges, rewrite};
use dnstapd::wire::dnstap::{Dnstap, Message, Policy, Reject, SentTime};
use dnstapd::wire::iana::{Family, HttpProtocol, MessageType, Protocol};
use generated::dnstap_ as schema;
use micropb::{MessageDecode, PbDecoder};

/// Checks that walker and oracle make the same of a frame, and that what is composed says the same again.
pub fn check(frame: &[u8]) {
    match (Dnstap::parse(frame), parse(frame)) {
        (Ok(walked), Some(decoded)) => {
            assert_eq!(walked, decoded);
            check_composed(frame, &walked);
        }
        (Err(_), None) => {}
        (Err(reject), Some(_)) => {
            assert!(reject == Reject::Truncated && has_overlong(frame), "refused alone: {reject}")
        }
        (Ok(walked), None) => panic!("taken alone: {walked:?}"),
    }
}

/// Checks that a frame survives composing, and a new identity.
fn check_composed(frame: &[u8], walked: &Dnstap<'_>) {
    // A value that was written in few bytes may take a few more, but each field has its own.
    let mut out = vec![0; 8 * frame.len() + 128];
    let length = walked.compose(&mut out).expect("room enough");
    assert_eq!(Dnstap::parse(&out[..length]), Ok(*walked));

    let (identity, address): (&[u8], &[u8]) = (b"another identity", &[192, 0, 2, 1]);
    for (identity, address) in
        [(Some(identity), None), (None, Some(address)), (Some(identity), Some(address))]
    {
        let hides_clients = address.is_some();
        let changes =
            FrameChanges { identity, query_address: address, hides_clients, ..FrameChanges::default() };
        let length = rewrite(frame, &changes, &mut out).expect("room enough");
        let grown = identity.map_or(0, |identity| identity.len() + 6);
        // A frame may bear its address any number of times.
        assert!(address.is_some() || length <= frame.len() + grown);
        let mut expected = Dnstap { identity: identity.or(walked.identity), ..*walked };
        let kept = walked.message.query_address;
        expected.message.query_address = kept.map(|kept| address.unwrap_or(kept));
        let mut found = Dnstap::parse(&out[..length]).unwrap();
        // What a policy that matched the client tells of it goes with the address: unit tests of the
        // rewriting say when.
        if address.is_some() {
            for policy in
                [&mut found, &mut expected].into_iter().filter_map(|frame| frame.message.policy.as_mut())
            {
                (policy.rule, policy.value) = (None, None);
            }
        }
        assert_eq!(found, expected);
    }
}

/// Whether there are bytes that may be a length of more than 32 bits.
fn has_overlong(frame: &[u8]) -> bool {
    frame.windows(5).any(|bytes| bytes[..4].iter().all(|byte| *byte >= 0x80) && bytes[4] > 0x0f)
}

/// What the oracle makes of a frame; `None` when it refuses it.
fn parse(frame: &[u8]) -> Option<Dnstap<'_>> {
    let mut decoded = schema::Dnstap::default();
    decoded.decode(&mut PbDecoder::new(frame), frame.len()).ok()?;
    if decoded.r#type != Some(schema::Dnstap_::Type::Message) {
        return None;
    }
    Some(Dnstap {
        identity: decoded.identity.of(frame),
        version: decoded.version.of(frame),
        extra: decoded.extra.of(frame),
        message: message(frame, &decoded.message?)?,
    })
}

fn message<'a>(frame: &'a [u8], decoded: &schema::Message) -> Option<Message<'a>> {
    Some(Message {
        message_type: MessageType(decoded.r#type?.0),
        socket_family: decoded.socket_family.map(|family| Family(family.0)),
        socket_protocol: decoded.socket_protocol.map(|protocol| Protocol(protocol.0)),
        query_address: decoded.query_address.of(frame),
        response_address: decoded.response_address.of(frame),
        query_port: decoded.query_port,
        response_port: decoded.response_port,
        query_time: SentTime { seconds: decoded.query_time_sec, nanoseconds: decoded.query_time_nsec },
        query_message: decoded.query_message.of(frame),
        query_zone: decoded.query_zone.of(frame),
        response_time: SentTime {
            seconds: decoded.response_time_sec,
            nanoseconds: decoded.response_time_nsec,
        },
        response_message: decoded.response_message.of(frame),
        policy: decoded.policy.as_ref().map(|decoded| policy(frame, decoded)),
        http_protocol: decoded.http_protocol.map(|protocol| HttpProtocol(protocol.0)),
    })
}

fn policy<'a>(frame: &'a [u8], decoded: &schema::Policy) -> Policy<'a> {
    Policy {
        policy_type: decoded.r#type.of(frame),
        rule: decoded.rule.of(frame),
        action: decoded.action.map(|action| action.0),
        matched: decoded.r#match.map(|matched| matched.0),
        value: decoded.value.of(frame),
    }
}
