//! The meaning of control frames, on both sides.
//!
//! ```text
//!   sender                  receiver         a bidirectional sender begins with READY;
//!     READY (types)    ->                    a unidirectional one, or a file, with START,
//!                      <-   ACCEPT (type)    and then nothing is ever sent back
//!     START (type)     ->
//!     data ...         ->
//!     STOP             ->
//!                      <-   FINISH
//! ```
//!
//! A [`ReceiverHandshake`] and a [`SenderHandshake`] take frames and say what to do; they read and write
//! nothing themselves, and deadlines are their callers'. A frame without a content type speaks of any
//! (`control.h` of the fstrm library). Unknown control types are ignored once data may come, since the
//! specification wants room for them. A stream that ends without STOP is common and no violation.

use super::framestream::{CONTENT_TYPE, ControlFrame, ControlKind, Unit, Violation};

/// The sender's first frame when it is bidirectional.
pub(crate) const READY: &[u8] = &with_content_type(ControlKind::Ready);
/// The receiver's answer to [`READY`].
pub(crate) const ACCEPT: &[u8] = &with_content_type(ControlKind::Accept);
/// The frame before data.
pub(crate) const START: &[u8] = &with_content_type(ControlKind::Start);
/// The frame after data.
pub(crate) const STOP: &[u8] = &bare(ControlKind::Stop);
/// The receiver's answer to [`STOP`].
pub(crate) const FINISH: &[u8] = &bare(ControlKind::Finish);

/// The receiving side of a stream: a listener's, a dialled server's, or a file's.
#[derive(Debug, Clone, Default)]
pub struct ReceiverHandshake {
    state: ReceiverState,
    /// Whether another stream may begin at any time.
    is_file: bool,
}

/// Where a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ReceiverState {
    /// READY or START comes next.
    #[default]
    WaitFirst,
    /// ACCEPT has been answered, START comes next.
    WaitStart,
    /// Data comes, until STOP.
    Data,
    /// STOP has come.
    Done,
}

/// The next step of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverStep<'a> {
    /// Decode this frame.
    Data(&'a [u8]),
    /// Send these bytes.
    Reply(&'static [u8]),
    /// Count a frame of this many bytes as too long.
    Oversize(u32),
    /// Go on.
    Nothing,
    /// Send [`FINISH`] and close.
    Stop,
}

impl ReceiverHandshake {
    /// A receiver before the first frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// The receiver of a file, which may have several streams one after the other: `cat a b`, and what
    /// writers append that begin a new stream at each start. One whose writer was killed has no STOP, so
    /// START may come among the data, too.
    pub(crate) fn of_file() -> Self {
        ReceiverHandshake { is_file: true, ..Self::default() }
    }

    /// Takes a frame.
    ///
    /// # Errors
    ///
    /// A [`Violation`] when it must not come now, or speaks of other content types than ours.
    #[inline]
    pub fn on<'a>(&mut self, unit: Unit<'a>) -> Result<ReceiverStep<'a>, Violation> {
        match unit {
            Unit::Data(bytes) => self.may_have_data().map(|()| ReceiverStep::Data(bytes)),
            Unit::Oversize(length) => self.may_have_data().map(|()| ReceiverStep::Oversize(length)),
            Unit::Control(control) => self.on_control(control),
        }
    }

    /// Whether START has come, so that the handshake is over.
    pub fn is_started(&self) -> bool {
        matches!(self.state, ReceiverState::Data | ReceiverState::Done)
    }

    /// Whether a data frame may come now.
    #[inline]
    fn may_have_data(&self) -> Result<(), Violation> {
        match self.state {
            ReceiverState::Data => Ok(()),
            ReceiverState::Done => Err(Violation::DataAfterStop),
            ReceiverState::WaitFirst | ReceiverState::WaitStart => Err(Violation::DataBeforeStart),
        }
    }

    /// Takes a control frame.
    #[cold]
    fn on_control(&mut self, control: ControlFrame<'_>) -> Result<ReceiverStep<'static>, Violation> {
        match (self.state, control.kind) {
            (ReceiverState::WaitFirst, ControlKind::Ready) => {
                check_content_type(control)?;
                self.state = ReceiverState::WaitStart;
                Ok(ReceiverStep::Reply(ACCEPT))
            }
            (ReceiverState::WaitFirst | ReceiverState::WaitStart, ControlKind::Start) => {
                check_content_type(control)?;
                self.state = ReceiverState::Data;
                Ok(ReceiverStep::Nothing)
            }
            (ReceiverState::Data | ReceiverState::Done, ControlKind::Start) if self.is_file => {
                check_content_type(control)?;
                self.state = ReceiverState::Data;
                Ok(ReceiverStep::Nothing)
            }
            (ReceiverState::Data, ControlKind::Stop) => {
                self.state = ReceiverState::Done;
                Ok(ReceiverStep::Stop)
            }
            (ReceiverState::Data, ControlKind::Unknown(_)) => Ok(ReceiverStep::Nothing),
            _ => Err(Violation::ControlOrder),
        }
    }
}

/// The sending side of a bidirectional stream up to its first data frame. It begins with [`READY`]; at the
/// end its caller sends [`STOP`] and reads what comes, which need not be understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct SenderHandshake {
    state: SenderState,
}

/// Where a sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum SenderState {
    /// READY has been sent, ACCEPT comes next.
    #[default]
    WaitAccept,
    /// START has been sent, and data may be.
    Data,
}

/// The next step of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SenderStep {
    /// Send these bytes, [`START`], and then data.
    Start(&'static [u8]),
    /// Go on.
    Nothing,
}

impl SenderHandshake {
    /// A sender that is about to send [`READY`].
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a frame from the receiver.
    ///
    /// # Errors
    ///
    /// A [`Violation`] when it must not come now, or accepts other content types than ours.
    pub(crate) fn on(&mut self, unit: Unit<'_>) -> Result<SenderStep, Violation> {
        let Unit::Control(control) = unit else { return Err(Violation::ControlOrder) };
        match (self.state, control.kind) {
            (SenderState::WaitAccept, ControlKind::Accept) => {
                check_content_type(control)?;
                self.state = SenderState::Data;
                Ok(SenderStep::Start(START))
            }
            (SenderState::Data, ControlKind::Unknown(_)) => Ok(SenderStep::Nothing),
            _ => Err(Violation::ControlOrder),
        }
    }

    /// Whether data may be sent.
    pub(crate) fn is_started(&self) -> bool {
        self.state == SenderState::Data
    }
}

/// Whether a control frame is about our content type.
fn check_content_type(control: ControlFrame<'_>) -> Result<(), Violation> {
    if control.matches_dnstap() { Ok(()) } else { Err(Violation::ContentType) }
}

/// How many bytes a control frame with our content type takes: escape, length, type, field, its value.
const WITH_CONTENT_TYPE: usize = 5 * 4 + CONTENT_TYPE.len();
/// How many bytes a control frame without fields takes: escape, length, type.
const BARE: usize = 3 * 4;

/// A control frame with our content type. Every length is below 256, so one byte of each word is set.
const fn with_content_type(kind: ControlKind) -> [u8; WITH_CONTENT_TYPE] {
    let mut frame = [0; WITH_CONTENT_TYPE];
    let [_, _, _, _, _, _, _, length, _, _, _, number, _, _, _, field, _, _, _, value_length, value @ ..] =
        &mut frame;
    *length = (WITH_CONTENT_TYPE - 8) as u8;
    *number = kind.number() as u8;
    *field = 1;
    *value_length = CONTENT_TYPE.len() as u8;
    value.copy_from_slice(CONTENT_TYPE);
    frame
}

/// A control frame without fields.
const fn bare(kind: ControlKind) -> [u8; BARE] {
    [0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, kind.number() as u8]
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
