//! What a record of an output is made of.

use super::envelope::Envelope;
use crate::limits::{RECORD_BYTES, SYSLOG_HEADER_BYTES};
use crate::setting::Format;

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
    /// Lines that the output makes itself; it takes no messages.
    Own,
}

impl Shape {
    /// The format that the output wants messages encoded in, if any.
    pub fn format(&self) -> Option<Format> {
        match self {
            Shape::Plain { format, .. } => Some(*format),
            Shape::Syslog(envelope) => Some(envelope.format),
            Shape::Own => None,
        }
    }

    /// Whether messages are offered.
    pub fn takes_messages(&self) -> bool {
        !matches!(self, Shape::Own)
    }

    /// Octets of the longest record.
    pub fn longest(&self) -> usize {
        match self {
            Shape::Plain { terminator, .. } => RECORD_BYTES + terminator.len(),
            Shape::Syslog(_) => RECORD_BYTES + SYSLOG_HEADER_BYTES + 8,
            // No input waits for it.
            Shape::Own => 0,
        }
    }
}
