//! An answer of any length, one chunk at a time.
//!
//! A [`ChunkedDocument`] remembers how far it was written. For each chunk it is asked to go on as far as
//! there is room; a line that does not fit whole is left for the next chunk. The state it reads from is
//! borrowed while a chunk is filled and not between pieces, so it may change there: a document says for
//! itself what it does then.

use core::fmt::{self, Write};

use crate::decimal::Ascii;

/// Room for the next part of an answer.
pub(crate) struct BodyChunk<'b> {
    room: &'b mut [u8],
    /// `used <= room.len()`.
    used: usize,
}

impl<'b> BodyChunk<'b> {
    /// An empty chunk.
    pub(crate) fn new(room: &'b mut [u8]) -> Self {
        BodyChunk { room, used: 0 }
    }

    /// Bytes written.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Writes something whole, or nothing of it.
    ///
    /// # Errors
    ///
    /// It does not fit, and belongs into the next chunk.
    pub(crate) fn whole(&mut self, write: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        let before = self.used;
        write(self).inspect_err(|fmt::Error| self.used = before)
    }
}

impl Write for BodyChunk<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_ascii(text.as_bytes())
    }
}

impl Ascii for BodyChunk<'_> {
    fn write_ascii(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self.used.checked_add(bytes.len()).ok_or(fmt::Error)?;
        self.room.get_mut(self.used..end).ok_or(fmt::Error)?.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }
}

/// Something that is written chunk by chunk.
pub(crate) trait ChunkedDocument {
    /// Goes on where the last chunk ended.
    ///
    /// # Errors
    ///
    /// The chunk is full, and there is more.
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result;
}

/// Writes text inside quotes, as JSON and the Prometheus text format want it: a backslash before quotes and
/// backslashes. Control characters, which only a request's own words can have, take JSON's form.
pub(crate) fn write_escaped(out: &mut impl Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(position) = rest.find(|c: char| c == '"' || c == '\\' || c.is_ascii_control()) {
        let (plain, special) = rest.split_at_checked(position).unwrap_or((rest, ""));
        out.write_str(plain)?;
        let mut characters = special.chars();
        match characters.next() {
            Some(character @ ('"' | '\\')) => write!(out, "\\{character}")?,
            Some(character) => write!(out, "\\u{:04x}", u32::from(character))?,
            None => {}
        }
        rest = characters.as_str();
    }
    out.write_str(rest)
}

/// Escapes what is written to it, as [`write_escaped`] does.
pub(crate) struct EscapingChunk<W>(pub(crate) W);

impl<W: Write> Write for EscapingChunk<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(&mut self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_whole_is_left_out() {
        let mut room = [0; 8];
        let mut chunk = BodyChunk::new(&mut room);
        assert!(chunk.whole(|out| out.write_str("12345")).is_ok());
        assert!(chunk.whole(|out| out.write_str("67").and_then(|()| out.write_str("89"))).is_err());
        assert_eq!(chunk.used(), 5);
        assert!(chunk.whole(|out| out.write_str("678")).is_ok());
        assert!(chunk.write_str("9").is_err());
        assert_eq!(&room, b"12345678");
    }

    #[test]
    fn quotes_backslashes_and_controls_are_escaped() {
        let check = |text: &str, expected: &str| {
            let mut out = String::new();
            write_escaped(&mut out, text).unwrap();
            assert_eq!(out, expected);
        };
        check("", "");
        check("lb1", "lb1");
        check("a\\032b\\\"c", "a\\\\032b\\\\\\\"c");
        check("é\n\"\u{7f}", "é\\u000a\\\"\\u007f");
    }
}
