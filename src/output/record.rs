//! What a record of an output is made of.

use core::cell::RefCell;

use super::kafka::Keyed;
use super::syslog::Envelope;
use super::{Loss, Output};
use crate::limits::{self, RECORD_BYTES, SYSLOG_HEADER_BYTES};
use crate::values::Format;
use crate::wire::compose::replace_identity;
use crate::wire::framestream::data_header;

/// What stands in one record.
#[derive(Debug)]
pub enum Shape {
    /// The event in a format, and what ends it.
    Plain {
        /// The format.
        format: Format,
        /// Written after each event.
        terminator: Box<[u8]>,
    },
    /// A syslog message around the event.
    Syslog(Envelope),
    /// The event in a format, with a key beside it.
    Keyed(Keyed),
    /// The message's frame as it came, or with another identity.
    Frame(Frames),
    /// Lines that the output makes itself; it takes no messages.
    Own,
}

impl Shape {
    /// The format that the output wants messages encoded in, if any.
    pub fn format(&self) -> Option<Format> {
        match self {
            Shape::Plain { format, .. } => Some(*format),
            Shape::Syslog(envelope) => Some(envelope.format),
            Shape::Keyed(keyed) => Some(keyed.format),
            Shape::Frame(_) | Shape::Own => None,
        }
    }

    /// Octets of the longest record.
    pub fn longest(&self) -> usize {
        match self {
            Shape::Plain { terminator, .. } => RECORD_BYTES + terminator.len(),
            Shape::Syslog(_) => RECORD_BYTES + SYSLOG_HEADER_BYTES + 8,
            Shape::Keyed(_) => Keyed::LONGEST,
            Shape::Frame(frames) => frames.longest,
            // No input waits for it.
            Shape::Own => 0,
        }
    }
}

/// How frames are forwarded.
#[derive(Debug)]
pub struct Frames {
    /// Octets of the longest frame with its length.
    longest: usize,
    replacement: Option<Replacement>,
}

/// Another identity, and where a frame gets it.
#[derive(Debug)]
struct Replacement {
    identity: Box<[u8]>,
    room: RefCell<Box<[u8]>>,
}

impl Frames {
    /// Frames of up to `frame_max` octets, with `identity` instead of their own if it is given.
    pub fn new(frame_max: usize, identity: Option<&str>) -> Self {
        let grown = frame_max + identity.map_or(0, |identity| identity.len() + IDENTITY_FIELD_OCTETS);
        let replacement = identity.map(|identity| Replacement {
            identity: identity.as_bytes().into(),
            room: RefCell::new(limits::table(grown, 0)),
        });
        Frames { longest: grown + data_header(0).len(), replacement }
    }

    /// Octets it takes.
    pub fn cost(&self) -> usize {
        if self.replacement.is_some() { self.longest } else { 0 }
    }

    /// Puts a frame with its length into the output's queue.
    pub(super) fn offer(&self, output: &Output, frame: &[u8]) {
        let Some(Replacement { identity, room }) = &self.replacement else {
            return put(output, frame);
        };
        let mut room = room.borrow_mut();
        match replace_identity(frame, identity, &mut room) {
            Some(length) => put(output, room.get(..length).unwrap_or_default()),
            None => output.offer(Err(Loss::Oversize)),
        }
    }
}

fn put(output: &Output, frame: &[u8]) {
    match u32::try_from(frame.len()) {
        Ok(length) => output.offer(Ok(&[&data_header(length), frame])),
        Err(_) => output.offer(Err(Loss::Oversize)),
    }
}

/// Octets that an identity takes beside its own: tag and length.
const IDENTITY_FIELD_OCTETS: usize = 6;
