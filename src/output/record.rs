//! The content of a record of an output.

use core::cell::RefCell;
use core::net::IpAddr;

use super::http::loki;
use super::kafka::KeyedRecords;
use super::syslog::SyslogComposer;
use super::{DropReason, Outlet};
use crate::format::Encoding;
use crate::limits::{self, RECORD_BYTES, SYSLOG_HEADER_BYTES};
use crate::message::event::Event;
use crate::message::stages::STAGES_REWRITE;
use crate::wire::client_subnet;
use crate::wire::compose::{FrameChanges, rewrite};
use crate::wire::framestream::data_header;
use crate::wire::hidden_name::HIDDEN_MESSAGE_BYTES;

/// The content of one record.
#[derive(Debug)]
pub(crate) enum RecordKind {
    /// The event in a format, and what ends it.
    Plain {
        /// How the event looks.
        encoding: Encoding,
        /// Written after each event.
        terminator: Box<[u8]>,
    },
    /// A syslog message around the event.
    Syslog(Box<SyslogComposer>),
    /// The event in a format, with a key beside it.
    Keyed(KeyedRecords),
    /// The event as JSON, with its time and identity beside it.
    Loki(Encoding),
    /// The message's frame as it came, or with another identity.
    RawFrames(RawFrames),
    /// Lines that the output makes itself; it takes no messages.
    SelfMade,
}

impl RecordKind {
    /// How the output wants messages encoded, if at all.
    pub(crate) fn encoding(&self) -> Option<&Encoding> {
        match self {
            RecordKind::Plain { encoding, .. } => Some(encoding),
            RecordKind::Syslog(composer) => Some(&composer.encoding),
            RecordKind::Keyed(keyed) => Some(&keyed.encoding),
            RecordKind::Loki(encoding) => Some(encoding),
            RecordKind::RawFrames(_) | RecordKind::SelfMade => None,
        }
    }

    /// Cuts the lists in long records so that two of them fit a queue of that many bytes.
    pub(crate) fn fit(&mut self, queue: usize) {
        let encoding = match self {
            RecordKind::Plain { encoding, .. } | RecordKind::Loki(encoding) => encoding,
            RecordKind::Syslog(composer) => &mut composer.encoding,
            RecordKind::Keyed(keyed) => &mut keyed.encoding,
            RecordKind::RawFrames(_) | RecordKind::SelfMade => return,
        };
        encoding.longest = encoding.longest.min(RECORD_BYTES.max(queue / 2));
    }

    /// Bytes that making such records takes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            RecordKind::RawFrames(frames) => frames.cost(),
            // One buffer for the longest of all outputs; it is counted for each that wants more than usual.
            _ => self.encoding().map_or(0, |encoding| encoding.longest - RECORD_BYTES),
        }
    }

    /// Bytes that it takes in addition once a stage changes messages.
    pub(crate) fn rewriting_cost(&self) -> usize {
        if let RecordKind::RawFrames(frames) = self { frames.rewriting_cost() } else { 0 }
    }

    /// Bytes of the longest record.
    pub(crate) fn longest(&self) -> usize {
        match self {
            RecordKind::Plain { encoding, terminator } => encoding.longest + terminator.len(),
            RecordKind::Syslog(composer) => composer.encoding.longest + SYSLOG_HEADER_BYTES + 8,
            RecordKind::Keyed(keyed) => keyed.longest(),
            RecordKind::Loki(encoding) => encoding.longest + loki::HEAD_BYTES,
            RecordKind::RawFrames(frames) => frames.longest,
            // No input waits for it.
            RecordKind::SelfMade => 0,
        }
    }
}

/// How frames are forwarded: as they came, unless the output replaces the identity or a stage changed the
/// message.
#[derive(Debug)]
pub(crate) struct RawFrames {
    /// Bytes of the longest frame with its length.
    longest: usize,
    identity: Option<Box<[u8]>>,
    /// Where a changed frame is composed; empty while no frame is changed.
    room: RefCell<Box<[u8]>>,
}

impl RawFrames {
    /// Frames of up to `frame_max` bytes, with `identity` instead of their own if it is given.
    pub(crate) fn new(frame_max: usize, identity: Option<&str>) -> Self {
        let identity_bytes = identity.map_or(0, |identity| identity.len() + FIELD_HEAD_BYTES);
        let changed_bytes = ADDRESS_BYTES + HIDDEN_MESSAGE_BYTES + 2 * FIELD_HEAD_BYTES;
        let grown = frame_max + identity_bytes + if STAGES_REWRITE { changed_bytes } else { 0 };
        let room = if identity.is_some() { grown } else { 0 };
        RawFrames {
            longest: grown + data_header(0).len(),
            identity: identity.map(|identity| identity.as_bytes().into()),
            room: RefCell::new(limits::table(room, 0)),
        }
    }

    /// Bytes it takes.
    pub(crate) fn cost(&self) -> usize {
        self.room.borrow().len()
    }

    /// Bytes that it takes in addition once a stage changes messages.
    pub(crate) fn rewriting_cost(&self) -> usize {
        self.longest - data_header(0).len() - self.cost()
    }

    /// Makes room for changed frames. A stage that changes messages is in force after that.
    pub(crate) fn prepare_to_rewrite(&self) {
        if self.rewriting_cost() > 0 {
            *self.room.borrow_mut() = limits::table(self.longest - data_header(0).len(), 0);
        }
    }

    /// Puts a frame with its length into the output's queue.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn offer(&self, outlet: &Outlet, event: &Event<'_>, frame: &[u8]) {
        if self.identity.is_none() && !event.is_rewritten() {
            return put(outlet, frame);
        }
        let mut address = [0; ADDRESS_BYTES];
        let address = event.query_rewritten.then(|| match event.query.address {
            Some(IpAddr::V4(v4)) => copied(&mut address, &v4.octets()),
            Some(IpAddr::V6(v6)) => copied(&mut address, &v6.octets()),
            // Of a length that is not an address: who knows what is in it.
            None => &[],
        });
        let payload = event.name_rewritten.then(|| (event.is_response(), event.payload));
        let changes = FrameChanges {
            identity: self.identity.as_deref(),
            query_address: address,
            hides_clients: event.client_subnets.is_some(),
            payload,
        };
        let mut room = self.room.borrow_mut();
        match rewrite(frame, &changes, &mut room) {
            Some(length) => {
                let frame = room.get_mut(..length).unwrap_or_default();
                if let Some(privacy) = event.client_subnets {
                    client_subnet::hide(frame, &|family, bits, prefix| {
                        privacy.hide_subnet(family, bits, prefix);
                    });
                }
                put(outlet, frame);
            }
            None => outlet.offer(Err(DropReason::Oversize)),
        }
    }
}

/// An address at the front of some room.
#[cfg_attr(for_size, optimize(speed))]
fn copied<'r>(room: &'r mut [u8; ADDRESS_BYTES], bytes: &[u8]) -> &'r [u8] {
    match room.get_mut(..bytes.len()) {
        Some(front) => {
            front.copy_from_slice(bytes);
            front
        }
        None => &[],
    }
}

#[cfg_attr(for_size, optimize(speed))]
fn put(outlet: &Outlet, frame: &[u8]) {
    match u32::try_from(frame.len()) {
        Ok(length) => outlet.offer(Ok(&[&data_header(length), frame])),
        Err(_) => outlet.offer(Err(DropReason::Oversize)),
    }
}

/// Bytes that a changed field takes in addition to its value: tag and length.
const FIELD_HEAD_BYTES: usize = 6;

/// Bytes of the longest address.
const ADDRESS_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::QueueSettings;
    use crate::values::WhenFull;
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::{Family, MessageType};

    #[test]
    fn a_stages_change_reaches_the_forwarded_frame() {
        let message = Message {
            message_type: MessageType::CLIENT_QUERY,
            socket_family: Some(Family::INET),
            query_address: Some(&[192, 0, 2, 1]),
            ..Message::default()
        };
        let dnstap = Dnstap { identity: Some(b"ns1"), message, ..Dnstap::default() };
        let mut frame = [0; 64];
        let length = dnstap.compose(&mut frame).unwrap();
        let mut event = Event::from_dnstap(&dnstap);
        event.query.address = Some(IpAddr::from([10, 0, 0, 0]));
        event.query_rewritten = true;
        let settings = QueueSettings { bytes: 4096, when_full: WhenFull::Drop, alarms: false };
        let outlet = Outlet::of_kind("test", RecordKind::SelfMade, settings);
        let frames = RawFrames::new(256, Some("other"));
        frames.prepare_to_rewrite();
        frames.offer(&outlet, &event, &frame[..length]);
        let mut sent = Vec::new();
        outlet.take_batch(&mut sent, 4096);
        let sent = Dnstap::parse(&sent[data_header(0).len()..]).unwrap();
        assert_eq!(
            (sent.identity, sent.message.query_address),
            (Some(&b"other"[..]), Some(&[10, 0, 0, 0][..]))
        );
    }
}
