//! The send_buffer buffer of a worker: what is on its way out, as heads and pieces of bodies.

use std::io::Write;

use super::body_chunk::BodyChunk;
use crate::limits::{HTTP_COUNTER_BYTES, HTTP_TX_BYTES, IDENTITY_BYTES, table};

/// A buffer of fixed size, filled at the end and emptied from the start.
///
/// ```text
/// | sent already | to be sent  | free        |
/// 0           start          end        HTTP_TX_BYTES
/// ```
pub struct SendBuffer {
    bytes: Box<[u8]>,
    /// `start <= end`.
    start: usize,
    /// `end <= bytes.len()`.
    end: usize,
}

impl SendBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        SendBuffer { bytes: table(HTTP_TX_BYTES, 0), start: 0, end: 0 }
    }

    /// What is to be sent.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where more can be written.
    pub fn free(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// `length` bytes of the free part were written.
    pub fn fill(&mut self, length: usize) {
        self.end = self.bytes.len().min(self.end + length);
    }

    /// `length` bytes were sent.
    pub fn consume(&mut self, length: usize) {
        self.start += length;
        if self.start >= self.end {
            self.clear();
        }
    }

    /// Forgets what is to be sent.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// All of it, for something else; what is to be sent is lost.
    pub fn scratch(&mut self) -> &mut [u8] {
        self.clear();
        &mut self.bytes
    }

    /// Writes as much of `bytes` as there is room for; tells how much.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let free = self.free();
        let length = free.len().min(bytes.len());
        if let (Some(room), Some(part)) = (free.get_mut(..length), bytes.get(..length)) {
            room.copy_from_slice(part);
        }
        self.fill(length);
        length
    }

    /// Lets `write` fill the free part.
    pub fn append_plain<T>(&mut self, write: impl FnOnce(&mut BodyChunk<'_>) -> T) -> T {
        let mut chunk = BodyChunk::new(self.free());
        let result = write(&mut chunk);
        let length = chunk.used();
        self.fill(length);
        result
    }

    /// Lets `write` fill the free part with one chunk (RFC 9112, 7.1). No text makes no chunk: an empty one would
    /// end the answer.
    pub fn append_chunk<T>(&mut self, write: impl FnOnce(&mut BodyChunk<'_>) -> T) -> T {
        let free = self.free();
        let size = free.len().saturating_sub(CHUNK_TAIL);
        let (head, rest) = free.split_at_mut_checked(CHUNK_HEAD.min(size)).unwrap_or_default();
        let mut chunk = BodyChunk::new(rest.get_mut(..size.saturating_sub(CHUNK_HEAD)).unwrap_or_default());
        let result = write(&mut chunk);
        let length = chunk.used();
        if length > 0 {
            // Neither write can fail: the room was set aside above.
            let _ = write!(&mut *head, "{length:04x}\r\n");
            if let Some(tail) = rest.get_mut(length..length + CHUNK_TAIL) {
                tail.copy_from_slice(b"\r\n");
            }
            self.fill(CHUNK_HEAD + length + CHUNK_TAIL);
        }
        result
    }
}

/// Bytes before a chunk: its length in four hexadecimal digits, leading zeros are allowed, and a line break.
const CHUNK_HEAD: usize = 6;
/// Bytes after a chunk: a line break.
const CHUNK_TAIL: usize = 2;
const _: () = assert!(HTTP_TX_BYTES <= 0xffff);

/// Room for text in a chunk: for the longest line, too, which has an identity or a counter's name, each byte of
/// them escaped twice, and some 200 bytes around it.
const CHUNK_BYTES: usize = HTTP_TX_BYTES - CHUNK_HEAD - CHUNK_TAIL;
const _: () = assert!(CHUNK_BYTES >= 5 * IDENTITY_BYTES + 6 * HTTP_COUNTER_BYTES + 256);

#[cfg(test)]
mod tests {
    use core::fmt::Write as _;

    use super::*;

    #[test]
    fn what_was_appended_is_sent_in_order() {
        let mut send_buffer = SendBuffer::new();
        assert_eq!(send_buffer.append(b"head "), 5);
        send_buffer.append_plain(|chunk| chunk.write_str("body")).unwrap();
        send_buffer.append_chunk(|chunk| chunk.write_str("chunk")).unwrap();
        send_buffer.append_chunk(|_| ());
        assert_eq!(send_buffer.pending(), b"head body0005\r\nchunk\r\n");
        send_buffer.consume(5);
        assert_eq!(send_buffer.append(b"0"), 1);
        assert_eq!(send_buffer.pending(), b"body0005\r\nchunk\r\n0");
        send_buffer.consume(18);
        assert!(send_buffer.pending().is_empty());
        assert_eq!(send_buffer.append(&[b'x'; HTTP_TX_BYTES + 1]), HTTP_TX_BYTES);
    }

    #[test]
    fn a_chunk_fits_whatever_room_is_left() {
        for left in 0..40 {
            let mut send_buffer = SendBuffer::new();
            send_buffer.append(&vec![b'x'; HTTP_TX_BYTES - left]);
            let text =
                send_buffer.append_chunk(|chunk| (0..).take_while(|_| chunk.write_str("y").is_ok()).count());
            assert_eq!(text, left.saturating_sub(CHUNK_HEAD + CHUNK_TAIL), "{left}");
            let chunk =
                if text == 0 { String::new() } else { format!("{text:04x}\r\n{}\r\n", "y".repeat(text)) };
            assert_eq!(&send_buffer.pending()[HTTP_TX_BYTES - left..], chunk.as_bytes());
        }
    }
}
