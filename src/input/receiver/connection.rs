//! The state of one connection between two reads, and what each read does.

use core::fmt::Display;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::time::Instant;

use event_listener::listener;
use smol::future::{or, pending, yield_now};
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{ConnectionEnd, Receiver};
use crate::input::connections::ConnectionLease;
use crate::input::counters::InputCounters;
use crate::input::frame_reader::{FeedOutcome, FrameReader, Pace};
use crate::input::gather::{ReadResult, Rhythm};
use crate::input::large_buffers::{LOOK_EVERY, LargeBuffer};
use crate::limits::{PATIENCE_SECONDS, TAIL_BYTES};
use crate::output::WaitPolicy;
use crate::reactor::Timer;

/// A connection between two reads.
pub(super) struct FrameConnection<'a, S> {
    stream: S,
    receiver: &'a Receiver<'a>,
    lease: &'a ConnectionLease,
    pub(super) frame_reader: FrameReader<'a>,
    partial: PartialUnit<'a>,
    rhythm: Rhythm,
    reads: ReadCounter<'a>,
    /// Whether the last read took all that there was.
    has_drained: bool,
}

/// Counts the bytes of each read, once for all who want to know.
struct ReadCounter<'a> {
    counters: &'a InputCounters,
    lease: &'a ConnectionLease,
    /// Bytes so far, round and round.
    bytes: u32,
}

impl ReadCounter<'_> {
    /// The bytes of a read, counted; the end or the fault that it is if it brought none.
    #[inline]
    fn note(&mut self, read: io::Result<usize>) -> Result<usize, Result<ReadProgress, ConnectionEnd>> {
        match read {
            Ok(0) => Err(Ok(ReadProgress::End)),
            Ok(read) => {
                self.counters.bytes.add(read as u64);
                self.bytes = self.bytes.wrapping_add(read as u32);
                self.lease.note_read(read);
                Ok(read)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The unfinished unit after a read.
#[expect(clippy::large_enum_variant, reason = "a short partial lives in its connection, that is its point")]
pub(super) enum PartialUnit<'a> {
    Short(heapless::Vec<u8, TAIL_BYTES>),
    Long(LargeBuffer<'a>),
}

/// The result of a read.
enum ReadProgress {
    /// There may be more to read.
    Read,
    /// The buffer was taken, or an output had no room: nothing was read.
    Busy,
    /// The peer will send no more.
    End,
    /// Part of the buffer is to be fed again, after what the outcome asks for.
    Suspended(Suspended),
}

/// The meaning of a failed read. A peer over TLS that goes without a word (close_notify) has gone all the
/// same.
fn failed(error: io::Error) -> Result<ReadProgress, ConnectionEnd> {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Ok(ReadProgress::End)
    } else {
        Err(ConnectionEnd::Error(error))
    }
}

/// Bytes of the receive buffer that wait there, and for what.
struct Suspended {
    bytes: Range<usize>,
    outcome: FeedOutcome,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> FrameConnection<'a, S> {
    pub(super) fn new(
        stream: S,
        counters: &'a InputCounters,
        receiver: &'a Receiver<'a>,
        lease: &'a ConnectionLease,
    ) -> Self {
        let frame_reader = FrameReader::new(receiver.collector, counters, receiver.frame_max);
        FrameConnection {
            stream,
            receiver,
            lease,
            frame_reader,
            partial: PartialUnit::Short(heapless::Vec::new()),
            rhythm: Rhythm::new(Instant::now()),
            reads: ReadCounter { counters, lease, bytes: 0 },
            has_drained: false,
        }
    }

    pub(super) async fn run(&mut self, peer: &impl Display) -> ConnectionEnd {
        self.lease.set_deadline(PATIENCE_SECONDS);
        // Since the socket was empty last.
        let (mut frames_before, mut bytes_before, mut waited) = (self.frame_reader.units(), 0, false);
        loop {
            if !self.has_room() {
                self.lease.clear_deadline(); // the peer is not at fault
                self.room().await;
                self.watch();
            }
            let units = self.frame_reader.units();
            let progress = poll_fn(|context| {
                let progress = self.poll_progress(context, peer);
                waited |= progress.is_pending();
                progress
            });
            match progress.await {
                Ok(ReadProgress::Read | ReadProgress::Busy) => {}
                Ok(ReadProgress::End) => return ConnectionEnd::Closed,
                Ok(ReadProgress::Suspended(suspended)) => {
                    self.lease.clear_deadline();
                    if let Err(end) = self.resume(suspended, peer).await {
                        return end;
                    }
                }
                Err(end) => return end,
            }
            if self.frame_reader.units() != units && self.frame_reader.has_started() {
                self.lease.clear_deadline();
            }
            self.watch();
            if !self.has_drained {
                yield_now().await;
                continue;
            }
            let now = Instant::now();
            let frames = self.frame_reader.units().wrapping_sub(frames_before);
            let read = ReadResult { frames, bytes: self.reads.bytes.wrapping_sub(bytes_before), waited };
            (frames_before, bytes_before, waited) = (self.frame_reader.units(), self.reads.bytes, false);
            match self.rhythm.after_read(read, now) {
                Some(pause) if self.may_pause() => self.receiver.gather.pause(pause, now).await,
                _ => yield_now().await,
            }
        }
    }

    /// Whether what comes next may wait in the socket a little.
    fn may_pause(&self) -> bool {
        self.frame_reader.has_started() && matches!(self.partial, PartialUnit::Short(_))
    }

    /// Waits until reading makes sense: the buffer is free, the partial frame can grow, the outputs have
    /// room.
    async fn room(&self) {
        while !self.has_room() {
            listener!(self.receiver.large_buffers.freed => freed);
            let waits_for_large = self.reach() == 0;
            if waits_for_large {
                self.receiver.large_buffers.judge(Instant::now());
            }
            if waits_for_large || self.receiver.held.get() {
                let look = async {
                    if !waits_for_large {
                        return pending().await;
                    }
                    // The rest of a frame of somebody brisk is on its way.
                    let wait = if self.lease.is_brisk() { LOOK_EVERY / 5 } else { LOOK_EVERY };
                    Timer::after(wait).await;
                };
                or(freed, look).await;
            }
            self.receiver.collector.outputs().room(WaitPolicy::Configured).await;
        }
    }

    fn has_room(&self) -> bool {
        !self.receiver.held.get()
            && self.reach() > 0
            && self.receiver.collector.outputs().has_room(WaitPolicy::Configured)
    }

    /// Bytes that may be read beyond the partial frame, as far as the buffer goes: without a large buffer to
    /// put them into, no more than can be kept inline; or to the end of a frame that waits in the socket,
    /// as of that nothing is to be kept. So who sends whole frames is not held up by those who send
    /// parts.
    fn reach(&self) -> usize {
        match &self.partial {
            PartialUnit::Short(partial) if !self.receiver.large_buffers.may_take(self.lease) => {
                let (inline, whole) = (TAIL_BYTES - partial.len(), self.frame_reader.wanted(partial));
                let rest = whole.saturating_sub(partial.len());
                let is_there = rest > inline
                    && whole <= self.receiver.buffer_bytes
                    && rest <= self.lease.waiting_bytes();
                if is_there { rest } else { inline }
            }
            _ => usize::MAX,
        }
    }

    /// The deadline of a handshake or a frame runs from the read that began it.
    fn watch(&self) {
        let is_empty = match &self.partial {
            PartialUnit::Short(partial) => partial.is_empty(),
            PartialUnit::Long(_) => false,
        };
        if is_empty && self.frame_reader.is_idle() {
            self.lease.clear_deadline();
        } else {
            self.lease.keep_deadline(PATIENCE_SECONDS);
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn poll_progress(
        &mut self,
        context: &mut Context<'_>,
        peer: &impl Display,
    ) -> Poll<Result<ReadProgress, ConnectionEnd>> {
        if self.lease.poll_deadline(context).is_ready() {
            return Poll::Ready(Err(ConnectionEnd::Timeout));
        }
        if let PartialUnit::Long(long) = &self.partial
            && long.is_slow()
        {
            return Poll::Ready(Err(ConnectionEnd::Slow));
        }
        if !self.has_room() {
            return Poll::Ready(Ok(ReadProgress::Busy));
        }
        match self.partial {
            PartialUnit::Short(_) => self.poll_short(context, peer),
            PartialUnit::Long(_) => self.poll_long(context, peer),
        }
    }

    /// Reads after the partial frame in the shared buffer, and feeds what is whole.
    ///
    /// A stream has no borders: a read may end within a frame, or within the four bytes of its length. What
    /// is left over is put in front of the next read, and fed again with it:
    ///
    /// ```text
    /// read 1   00 00 00 05 h e l l o 00 00      -> "hello"; 00 00 is kept
    /// read 2   00 00 | 00 03 b y e              -> "bye"; nothing is kept
    /// ```
    fn poll_short(
        &mut self,
        context: &mut Context<'_>,
        peer: &impl Display,
    ) -> Poll<Result<ReadProgress, ConnectionEnd>> {
        let PartialUnit::Short(partial) = &self.partial else { return Poll::Ready(Ok(ReadProgress::Busy)) };
        let kept = partial.len();
        let mut buffer = self.receiver.buffer.borrow_mut();
        let end = buffer.len().min(kept.saturating_add(self.reach()));
        let (Some(front), true) = (buffer.get_mut(..kept), kept < end) else {
            return Poll::Ready(Ok(ReadProgress::Busy));
        };
        front.copy_from_slice(partial);
        let room = buffer.get_mut(kept..end).unwrap_or_default();
        let room_bytes = room.len();
        let read = match self.reads.note(ready!(Pin::new(&mut self.stream).poll_read(context, room))) {
            Ok(read) => read,
            Err(progress) => return Poll::Ready(progress),
        };
        self.has_drained = read < room_bytes && self.lease.waiting_encrypted_bytes() == 0;
        self.partial = PartialUnit::Short(heapless::Vec::new());
        drop(buffer);
        Poll::Ready(self.feed(0..kept + read, peer))
    }

    /// Reads the rest of one long unit straight into its large buffer, and feeds it when it is whole.
    fn poll_long(
        &mut self,
        context: &mut Context<'_>,
        peer: &impl Display,
    ) -> Poll<Result<ReadProgress, ConnectionEnd>> {
        let FrameConnection { stream, partial, frame_reader, reads, .. } = self;
        let PartialUnit::Long(long) = partial else { return Poll::Ready(Ok(ReadProgress::Busy)) };
        long.wake_when_slow(context);
        let wanted = long.with(|bytes| frame_reader.wanted(bytes));
        let read = long.fill(wanted, |room| match Pin::new(stream).poll_read(context, room) {
            Poll::Ready(Ok(read)) => (read, Poll::Ready(Ok(read))),
            result => (0, result),
        });
        if let Err(progress) = reads.note(ready!(read)) {
            return Poll::Ready(progress);
        }
        let is_whole = long.len() >= wanted;
        self.has_drained = false;
        if !is_whole {
            return Poll::Ready(Ok(ReadProgress::Read));
        }
        let PartialUnit::Long(long) =
            core::mem::replace(&mut self.partial, PartialUnit::Short(heapless::Vec::new()))
        else {
            return Poll::Ready(Ok(ReadProgress::Busy));
        };
        let outcome = long.with(|mut unit| self.frame_reader.feed(&mut unit, Pace::Live, peer));
        Poll::Ready(match outcome {
            Ok(FeedOutcome::Incomplete | FeedOutcome::NeedsRoom | FeedOutcome::BatchDone) => {
                Ok(ReadProgress::Read)
            }
            Ok(outcome) => Ok(ReadProgress::Suspended(Suspended { bytes: 0..0, outcome })),
            Err(fault) => Err(ConnectionEnd::Fault(fault)),
        })
    }

    /// Feeds a part of the receive buffer, and keeps what is unfinished.
    #[cfg_attr(for_size, optimize(speed))]
    fn feed(&mut self, bytes: Range<usize>, peer: &impl Display) -> Result<ReadProgress, ConnectionEnd> {
        let buffer = self.receiver.buffer.borrow();
        let mut input = buffer.get(bytes.clone()).unwrap_or_default();
        let outcome = self.frame_reader.feed(&mut input, Pace::Live, peer).map_err(ConnectionEnd::Fault)?;
        if outcome == FeedOutcome::Incomplete {
            self.partial = self.receiver.keep(input, self.lease).ok_or(ConnectionEnd::Slow)?;
            return Ok(ReadProgress::Read);
        }
        Ok(ReadProgress::Suspended(Suspended { bytes: bytes.end - input.len()..bytes.end, outcome }))
    }

    /// Does what the suspended bytes wait for, and feeds them; as long as there are any, the buffer stays
    /// ours.
    async fn resume(&mut self, mut suspended: Suspended, peer: &impl Display) -> Result<(), ConnectionEnd> {
        let hold = (!suspended.bytes.is_empty()).then(|| BufferLease::new(self.receiver));
        loop {
            match suspended.outcome {
                FeedOutcome::NeedsRoom | FeedOutcome::Incomplete | FeedOutcome::BatchDone => {
                    self.receiver.collector.outputs().room(WaitPolicy::Configured).await
                }
                FeedOutcome::Reply(bytes) => self.reply(bytes).await?,
                FeedOutcome::Stop(finish) => {
                    drop(hold);
                    self.reply(finish).await?;
                    return Err(self.linger().await);
                }
            }
            match self.feed(suspended.bytes, peer)? {
                ReadProgress::Suspended(next) => suspended = next,
                _ => return Ok(()),
            }
        }
    }

    /// Sends a control frame; a peer that does not take these few bytes in time is given up.
    async fn reply(&mut self, bytes: &[u8]) -> Result<(), ConnectionEnd> {
        let lease = self.lease;
        lease.set_deadline(PATIENCE_SECONDS);
        let sent = async {
            self.stream.write_all(bytes).await.map_err(ConnectionEnd::Error)?;
            self.stream.flush().await.map_err(ConnectionEnd::Error)
        };
        or(sent, async {
            lease.deadline().await;
            Err(ConnectionEnd::Timeout)
        })
        .await
    }

    /// After FINISH the peer closes; reading on until then keeps it from being cut off by a reset.
    async fn linger(&mut self) -> ConnectionEnd {
        let (lease, mut rest) = (self.lease, [0; 64]);
        let drained = async {
            let _ = self.stream.close().await;
            while let Ok(1..) = smol::io::AsyncReadExt::read(&mut self.stream, &mut rest).await {}
        };
        lease.set_deadline(LINGER_SECONDS);
        or(drained, lease.deadline()).await;
        ConnectionEnd::Stopped
    }
}

/// Seconds a peer has to close after FINISH.
const LINGER_SECONDS: u32 = 2;

/// Keeps the receive buffer for the connection whose frames wait in it.
struct BufferLease<'a>(&'a Receiver<'a>);

impl<'a> BufferLease<'a> {
    fn new(receiver: &'a Receiver<'a>) -> Self {
        receiver.held.set(true);
        BufferLease(receiver)
    }
}

impl Drop for BufferLease<'_> {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.large_buffers.freed.notify(usize::MAX);
    }
}
