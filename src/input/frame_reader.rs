//! From bytes to the collector: Frame Streams of one connection or one file.
//!
//! A [`FrameReader`] takes bytes as they come and hands every data frame to the collector, until there is
//! nothing whole left, an output needs room, or the peer broke the rules. It owns no bytes: the caller keeps
//! the unfinished rest and shows it again with more after it.
//!
//! A frame that is not a dnstap message is counted and the stream goes on. The log gets one line for each
//! reason and connection.

use core::fmt::Display;

use crate::input::counters::{InputCounters, Rejection};
use crate::output::WaitPolicy;
use crate::pipeline::{Collector, Ingested};
use crate::reasons::Reason;
use crate::wire::foreign::recognise;
use crate::wire::framestream::{Deframer, Violation};
use crate::wire::handshake::{self, ReceiverHandshake, ReceiverStep};
use defmt_or_log::warn;

/// The state of one stream of frames.
#[derive(Debug)]
pub(crate) struct FrameReader<'a> {
    collector: &'a Collector<'a>,
    counters: &'a InputCounters,
    deframer: Deframer,
    receiver: ReceiverHandshake,
    units: u32,
    /// One bit for each rejection that the log has seen.
    logged: u64,
}

/// How an input wants its frames taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As many as there are, with room in the outputs that are owed a turn.
    Live,
    /// At most that many, with room in every output: the source can wait.
    Replay(u32),
}

/// Why [`FrameReader::feed`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedOutcome {
    /// The rest is an unfinished unit, or nothing.
    Incomplete,
    /// An output has no room: feed the rest once it has.
    NeedsRoom,
    /// As many frames were taken as asked for.
    BatchDone,
    /// These bytes are to be sent to the peer; feed the rest then.
    Reply(&'static [u8]),
    /// The peer sent STOP; these bytes are to be sent to it, and that is all.
    Stop(&'static [u8]),
}

impl<'a> FrameReader<'a> {
    /// The start of a stream. Data frames have at most `frame_max` bytes.
    pub(crate) fn new(collector: &'a Collector<'a>, counters: &'a InputCounters, frame_max: u32) -> Self {
        FrameReader {
            collector,
            counters,
            deframer: Deframer::new(frame_max),
            receiver: ReceiverHandshake::new(),
            units: 0,
            logged: 0,
        }
    }

    /// The start of a file, which may have several streams one after the other.
    pub(crate) fn of_file(collector: &'a Collector<'a>, counters: &'a InputCounters, frame_max: u32) -> Self {
        FrameReader {
            receiver: ReceiverHandshake::of_file(),
            ..FrameReader::new(collector, counters, frame_max)
        }
    }

    /// Takes whole units off the front of `input`.
    ///
    /// `peer` names the other end in the log.
    ///
    /// # Errors
    ///
    /// The rejection that ends the stream: the peer does not speak Frame Streams, or breaks its rules. It is
    /// counted already.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn feed(
        &mut self,
        input: &mut &[u8],
        pace: Pace,
        peer: &impl Display,
    ) -> Result<FeedOutcome, Rejection> {
        let outputs = self.collector.outputs();
        let mut left = match pace {
            Pace::Live => u32::MAX,
            Pace::Replay(frames) => frames,
        };
        loop {
            let has_room = match pace {
                Pace::Live => outputs.has_room(WaitPolicy::Configured),
                Pace::Replay(_) => outputs.has_room(WaitPolicy::Forever),
            };
            if !has_room {
                return Ok(FeedOutcome::NeedsRoom);
            }
            if left == 0 {
                return Ok(FeedOutcome::BatchDone);
            }
            let unread = *input;
            let step = match self.deframer.next(input) {
                Ok(None) => return Ok(FeedOutcome::Incomplete),
                Ok(Some(unit)) => self.receiver.on(unit),
                Err(violation) => Err(violation),
            };
            self.units = self.units.wrapping_add(1);
            match step {
                Ok(ReceiverStep::Data(frame)) => {
                    left -= 1;
                    let ingested = self.collector.ingest(frame);
                    self.counters.count(ingested);
                    if let Ingested::Rejected(reject) = ingested {
                        self.log_once(reject, || warn!("{peer}: frame rejected: {reject}"));
                    }
                }
                Ok(ReceiverStep::Oversize(length)) => {
                    self.counters.reject(Rejection::Oversize);
                    self.log_once(Rejection::Oversize, || {
                        warn!("{peer}: frame of {length} bytes skipped, the limit is lower")
                    });
                }
                Ok(ReceiverStep::Reply(bytes)) => return Ok(FeedOutcome::Reply(bytes)),
                // Answered to every sender, also to one that began with START: some wait for it.
                Ok(ReceiverStep::Stop) => return Ok(FeedOutcome::Stop(handshake::FINISH)),
                Ok(ReceiverStep::Nothing) => {}
                Err(violation) => return Err(self.fault(violation, unread)),
            }
        }
    }

    /// Bytes that the unfinished unit at the start of `tail` has in all, as far as its header tells.
    pub(crate) fn wanted(&self, tail: &[u8]) -> usize {
        self.deframer.wanted(tail)
    }

    /// Units taken so far: a change means progress.
    pub(crate) fn units(&self) -> u32 {
        self.units
    }

    /// Whether the peer owes nothing, given that no unfinished unit is left over.
    pub(crate) fn is_idle(&self) -> bool {
        !self.deframer.in_skip() && self.has_started()
    }

    /// Whether the handshake is over.
    pub(crate) fn has_started(&self) -> bool {
        self.receiver.is_started()
    }

    fn fault(&self, violation: Violation, unread: &[u8]) -> Rejection {
        let foreign = if self.units <= 1 { recognise(unread) } else { None };
        let fault = foreign.map_or(Rejection::Framing(violation), Rejection::Foreign);
        self.counters.reject(fault);
        fault
    }

    fn log_once(&mut self, rejection: impl Into<Rejection>, log: impl FnOnce()) {
        let bit = 1 << rejection.into().index();
        if self.logged & bit == 0 {
            self.logged |= bit;
            log();
        }
    }
}

/// The log's memory has a bit for each rejection.
const _: () = assert!(Rejection::COUNT <= u64::BITS as usize);
