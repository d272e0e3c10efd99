//! Frame Streams: a byte stream into frames.
//!
//! ```text
//!   data frame                 control frame
//!   +--------+---------        +--------+--------+--------+------------------ - -
//!   | length | bytes          | 0      | length | type   | fields
//!   +--------+---------        +--------+--------+--------+------------------ - -
//!     1...                       escape   4..512
//!                                                field:   | type 1 | length | content type, up to 256
//! ```
//!
//! Every number has 32 bits, highest first (`control.h` of the fstrm library is the specification).
//!
//! A [`Deframer`] has no buffer: it takes whole frames off the front of what was read, and the caller
//! keeps the unfinished rest. A data frame longer than the limit is announced once and then skipped by
//! counting, over as many reads as it takes, and the stream goes on. The type and order of control frames
//! are [`handshake`](super::handshake)'s business, but for one thing: no data frame is taken before START,
//! so that bytes of another protocol are not waited for as if they were a long frame.
//!
//! Unknown control types of a legal size pass through, and unknown fields are skipped, since the
//! specification wants room for both; a length that does not fit is a [`Violation`].

use super::cursor::Cursor;
use crate::reasons::reasons;

/// The content type of dnstap.
pub const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";

/// The least bytes a control frame has after its length: the type.
const CONTROL_MIN: u32 = 4;
/// The most bytes a control frame has after its length.
const CONTROL_MAX: u32 = 512;
/// The most bytes a content type has.
const CONTENT_TYPE_MAX: usize = 256;
/// The only field type there is.
const FIELD_CONTENT_TYPE: u32 = 0x01;
/// How many bytes a length takes.
const LENGTH_BYTES: usize = 4;

/// Takes frames off the front of a byte stream.
#[derive(Debug, Clone)]
pub struct Deframer {
    /// Longer data frames are skipped.
    frame_max: u32,
    /// How much of a data frame is still to be skipped. `0` between frames.
    skip: u32,
    /// Whether START has been seen, so that data frames may come.
    started: bool,
}

/// The parts of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit<'a> {
    /// The bytes of a data frame: `1 <= bytes <= frame_max`.
    Data(&'a [u8]),
    /// A control frame.
    Control(ControlFrame<'a>),
    /// A data frame of this many bytes is too long, and is being skipped.
    Oversize(u32),
}

/// A control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlFrame<'a> {
    /// Its kind.
    pub kind: ControlKind,
    /// Its fields, each of a length that fits; of an unknown type, whatever follows the type.
    fields: &'a [u8],
}

/// The types of control frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// 1, from the receiver: the content types it takes.
    Accept,
    /// 2, from the sender: data follows, of this content type.
    Start,
    /// 3, from the sender: no more data.
    Stop,
    /// 4, from the sender: the content types it has.
    Ready,
    /// 5, from the receiver: it has seen STOP.
    Finish,
    /// A type we do not know.
    Unknown(u32),
}

reasons! {
    /// The end of a connection.
    pub enum Violation {
        /// A control frame of fewer than 4 or more than 512 bytes.
        ControlLength = "control_length", "control frame of fewer than 4 or more than 512 bytes";
        /// A field of a control frame does not fit in it.
        FieldLength = "field_length", "control frame field that does not fit";
        /// A content type of more than 256 bytes.
        ContentTypeLength = "content_type_length", "content type of more than 256 bytes";
        /// A data frame before START.
        DataBeforeStart = "data_before_start", "data frame before START";
        /// A data frame after STOP.
        DataAfterStop = "data_after_stop", "data frame after STOP";
        /// READY, ACCEPT or START is about other content types than ours.
        ContentType = "content_type", "content type other than protobuf:dnstap.Dnstap";
        /// A control frame where another one must come.
        ControlOrder = "control_order", "control frame out of order";
    }
}

impl Deframer {
    /// A deframer at the beginning of a stream, which skips data frames of more than `frame_max` bytes.
    pub const fn new(frame_max: u32) -> Self {
        Deframer { frame_max, skip: 0, started: false }
    }

    /// Takes the next frame off the front of `input`, which is moved after it. `Ok(None)` when `input` is
    /// empty or an unfinished frame: keep it, and come again with more after it.
    ///
    /// # Errors
    ///
    /// A [`Violation`] of framing. `input` is left before the frame, and there is no going on.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Unit<'a>>, Violation> {
        if self.skip > 0 && !self.skip_some(input) {
            return Ok(None);
        }
        let mut cursor = Cursor::new(input);
        let unit = match cursor.u32() {
            Some(0) => self.control(&mut cursor)?,
            Some(length) => self.data(length, &mut cursor)?,
            None => None,
        };
        if unit.is_some() {
            *input = cursor.rest();
        }
        Ok(unit)
    }

    /// How many bytes the unfinished frame `tail` is going to have, as far as its lengths say; with a
    /// length unfinished, up to the end of that.
    #[cfg_attr(for_size, optimize(speed))]
    pub fn wanted(&self, tail: &[u8]) -> usize {
        let mut cursor = Cursor::new(tail);
        let behind =
            |header: usize, length: u32| header.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        match (cursor.u32(), cursor.u32()) {
            (None, _) => LENGTH_BYTES,
            (Some(0), None) => 2 * LENGTH_BYTES,
            (Some(0), Some(length)) => behind(2 * LENGTH_BYTES, length),
            (Some(length), _) => behind(LENGTH_BYTES, length),
        }
    }

    /// Whether the stream is within a data frame that is being skipped.
    pub fn in_skip(&self) -> bool {
        self.skip > 0
    }

    /// Skips what `input` has of a frame that is too long, and says whether that was all of it.
    #[cold]
    fn skip_some(&mut self, input: &mut &[u8]) -> bool {
        let mut cursor = Cursor::new(input);
        if cursor.take_long(u64::from(self.skip)).is_some() {
            self.skip = 0;
        } else {
            // Less is there than a u32 says, so the length is a u32 too.
            self.skip = self.skip.saturating_sub(cursor.len() as u32);
            cursor = Cursor::new(&[]);
        }
        *input = cursor.rest();
        self.skip == 0
    }

    /// A data frame, after its length.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn data<'a>(&mut self, length: u32, cursor: &mut Cursor<'a>) -> Result<Option<Unit<'a>>, Violation> {
        if !self.started {
            return Err(Violation::DataBeforeStart);
        }
        if length > self.frame_max {
            self.skip = length;
            return Ok(Some(Unit::Oversize(length)));
        }
        Ok(cursor.take_long(u64::from(length)).map(Unit::Data))
    }

    /// A control frame, after the escape.
    #[cold]
    fn control<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<Option<Unit<'a>>, Violation> {
        let Some(length) = cursor.u32() else { return Ok(None) };
        if !(CONTROL_MIN..=CONTROL_MAX).contains(&length) {
            return Err(Violation::ControlLength);
        }
        let Some(payload) = cursor.take_long(u64::from(length)) else { return Ok(None) };
        let control = ControlFrame::parse(payload)?;
        self.started |= control.kind == ControlKind::Start;
        Ok(Some(Unit::Control(control)))
    }
}

impl<'a> ControlFrame<'a> {
    /// Reads a control frame after its length.
    ///
    /// # Errors
    ///
    /// [`Violation::ControlLength`], [`Violation::FieldLength`] or [`Violation::ContentTypeLength`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, Violation> {
        let mut cursor = Cursor::new(payload);
        let kind = cursor.u32().map(ControlKind::from_number).ok_or(Violation::ControlLength)?;
        let control = ControlFrame { kind, fields: cursor.rest() };
        if !matches!(kind, ControlKind::Unknown(_)) {
            control.check_fields()?;
        }
        Ok(control)
    }

    /// The content types it lists.
    pub fn content_types(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut cursor = Cursor::new(self.fields);
        core::iter::from_fn(move || next_field(&mut cursor))
            .filter(|(field_type, _)| *field_type == FIELD_CONTENT_TYPE)
            .map(|(_, value)| value)
    }

    /// Whether it speaks of our content type: it lists it, or none at all.
    pub fn matches_dnstap(&self) -> bool {
        let mut content_types = self.content_types().peekable();
        content_types.peek().is_none() || content_types.any(|listed| listed == CONTENT_TYPE)
    }

    /// Whether every field fits.
    fn check_fields(&self) -> Result<(), Violation> {
        let mut cursor = Cursor::new(self.fields);
        while !cursor.is_empty() {
            let (field_type, value) = next_field(&mut cursor).ok_or(Violation::FieldLength)?;
            if field_type == FIELD_CONTENT_TYPE && value.len() > CONTENT_TYPE_MAX {
                return Err(Violation::ContentTypeLength);
            }
        }
        Ok(())
    }
}

/// The type and value of the next field, when it is whole.
fn next_field<'a>(cursor: &mut Cursor<'a>) -> Option<(u32, &'a [u8])> {
    let field_type = cursor.u32()?;
    let length = cursor.u32()?;
    cursor.take_long(u64::from(length)).map(|value| (field_type, value))
}

impl ControlKind {
    /// The type of a number.
    fn from_number(number: u32) -> Self {
        match number {
            0x01 => ControlKind::Accept,
            0x02 => ControlKind::Start,
            0x03 => ControlKind::Stop,
            0x04 => ControlKind::Ready,
            0x05 => ControlKind::Finish,
            _ => ControlKind::Unknown(number),
        }
    }

    /// The number of a type.
    pub const fn number(self) -> u32 {
        match self {
            ControlKind::Accept => 0x01,
            ControlKind::Start => 0x02,
            ControlKind::Stop => 0x03,
            ControlKind::Ready => 0x04,
            ControlKind::Finish => 0x05,
            ControlKind::Unknown(number) => number,
        }
    }
}

/// The bytes before a data frame of `length` bytes, which must not be 0: that is the escape.
#[inline]
pub const fn data_header(length: u32) -> [u8; LENGTH_BYTES] {
    length.to_be_bytes()
}

#[cfg(test)]
#[path = "framestream_tests.rs"]
pub(super) mod tests;
