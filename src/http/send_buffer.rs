//! The small writes of a worker, until a large one or the end of the answer takes them along.
//!
//! picoserve writes a head in some twenty parts, and the frame of a chunk in two. Each on its own would be a
//! packet; here they wait for the body, and leave with its first bytes in one call of the kernel.

use crate::limits::{HTTP_SEND_BYTES, table};

/// A buffer of fixed size, filled at the end and emptied from the start.
///
/// ```text
/// | sent already | to be sent  | free          |
/// 0           start          end        HTTP_SEND_BYTES
/// ```
pub(super) struct SendBuffer {
    bytes: Box<[u8]>,
    /// `start <= end`.
    start: usize,
    /// `end <= bytes.len()`.
    end: usize,
}

impl SendBuffer {
    /// An empty buffer.
    pub(super) fn new() -> Self {
        SendBuffer { bytes: table(HTTP_SEND_BYTES, 0), start: 0, end: 0 }
    }

    /// The bytes to be sent.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The part that is free.
    pub(super) fn free(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// `length` bytes of the free part were written.
    pub(super) fn fill(&mut self, length: usize) {
        self.end = self.bytes.len().min(self.end + length);
    }

    /// `length` bytes were sent.
    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
        if self.start >= self.end {
            self.clear();
        }
    }

    /// Forgets the bytes to be sent.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// The whole buffer, for something else; bytes to be sent are lost.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        self.clear();
        &mut self.bytes
    }

    /// Appends all of `bytes`, if there is room for all of them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.free().get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.fill(bytes.len());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_bytes_are_sent_in_order() {
        let mut buffer = SendBuffer::new();
        assert!(buffer.append(b"head ") && buffer.append(b"body"));
        buffer.free()[..1].copy_from_slice(b"!");
        buffer.fill(1);
        assert_eq!(buffer.pending(), b"head body!");
        buffer.consume(5);
        assert!(buffer.append(b"0"));
        assert_eq!(buffer.pending(), b"body!0");
        assert!(!buffer.append(&[b'x'; HTTP_SEND_BYTES - 10]));
        buffer.consume(6);
        assert!(buffer.pending().is_empty());
        assert!(buffer.append(&[b'x'; HTTP_SEND_BYTES]) && !buffer.append(b"y"));
    }
}
