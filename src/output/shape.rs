//! What a record of an output is made of.

use crate::limits::RECORD_BYTES;
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
    /// Lines that the output makes itself; it takes no messages.
    Own,
}

impl Shape {
    /// The format that the output wants messages encoded in, if any.
    pub fn format(&self) -> Option<Format> {
        match self {
            Shape::Plain { format, .. } => Some(*format),
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
            Shape::Own => RECORD_BYTES,
        }
    }
}
