//! The content of a record of an output.

use core::cell::RefCell;

use super::kafka::KeyedRecords;
use super::syslog::SyslogComposer;
use super::{DropReason, Outlet};
use crate::limits::{self, RECORD_BYTES, SYSLOG_HEADER_BYTES};
use crate::values::Format;
use crate::wire::compose::replace_identity;
use crate::wire::framestream::data_header;

/// The content of one record.
#[derive(Debug)]
pub enum RecordKind {
    /// The event in a format, and what ends it.
    Plain {
        /// The format.
        format: Format,
        /// Written after each event.
        terminator: Box<[u8]>,
    },
    /// A syslog message around the event.
    Syslog(SyslogComposer),
    /// The event in a format, with a key beside it.
    Keyed(KeyedRecords),
    /// The message's frame as it came, or with another identity.
    RawFrames(RawFrames),
    /// Lines that the output makes itself; it takes no messages.
    SelfMade,
}

impl RecordKind {
    /// The format that the output wants messages encoded in, if any.
    pub fn format(&self) -> Option<Format> {
        match self {
            RecordKind::Plain { format, .. } => Some(*format),
            RecordKind::Syslog(envelope) => Some(envelope.format),
            RecordKind::Keyed(keyed) => Some(keyed.format),
            RecordKind::RawFrames(_) | RecordKind::SelfMade => None,
        }
    }

    /// Bytes that making such records takes.
    pub fn cost(&self) -> usize {
        if let RecordKind::RawFrames(frames) = self { frames.cost() } else { 0 }
    }

    /// Bytes of the longest record.
    pub fn longest(&self) -> usize {
        match self {
            RecordKind::Plain { terminator, .. } => RECORD_BYTES + terminator.len(),
            RecordKind::Syslog(_) => RECORD_BYTES + SYSLOG_HEADER_BYTES + 8,
            RecordKind::Keyed(_) => KeyedRecords::LONGEST,
            RecordKind::RawFrames(frames) => frames.longest,
            // No input waits for it.
            RecordKind::SelfMade => 0,
        }
    }
}

/// How frames are forwarded.
#[derive(Debug)]
pub struct RawFrames {
    /// Bytes of the longest frame with its length.
    longest: usize,
    replacement: Option<Replacement>,
}

/// Another identity, and where a frame gets it.
#[derive(Debug)]
struct Replacement {
    identity: Box<[u8]>,
    room: RefCell<Box<[u8]>>,
}

impl RawFrames {
    /// Frames of up to `frame_max` bytes, with `identity` instead of their own if it is given.
    pub fn new(frame_max: usize, identity: Option<&str>) -> Self {
        let grown = frame_max + identity.map_or(0, |identity| identity.len() + IDENTITY_FIELD_BYTES);
        let replacement = identity.map(|identity| Replacement {
            identity: identity.as_bytes().into(),
            room: RefCell::new(limits::table(grown, 0)),
        });
        RawFrames { longest: grown + data_header(0).len(), replacement }
    }

    /// Bytes it takes.
    pub fn cost(&self) -> usize {
        if self.replacement.is_some() { self.longest } else { 0 }
    }

    /// Puts a frame with its length into the output's queue.
    pub(super) fn offer(&self, outlet: &Outlet, frame: &[u8]) {
        let Some(Replacement { identity, room }) = &self.replacement else {
            return put(outlet, frame);
        };
        let mut room = room.borrow_mut();
        match replace_identity(frame, identity, &mut room) {
            Some(length) => put(outlet, room.get(..length).unwrap_or_default()),
            None => outlet.offer(Err(DropReason::Oversize)),
        }
    }
}

fn put(outlet: &Outlet, frame: &[u8]) {
    match u32::try_from(frame.len()) {
        Ok(length) => outlet.offer(Ok(&[&data_header(length), frame])),
        Err(_) => outlet.offer(Err(DropReason::Oversize)),
    }
}

/// Bytes that an identity takes beside its own: tag and length.
const IDENTITY_FIELD_BYTES: usize = 6;
