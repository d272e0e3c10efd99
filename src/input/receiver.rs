//! One Frame Streams connection, over any stream of bytes.
//!
//! All connections read into one buffer, because one thread reads: a thousand idle connections cost nothing, and a
//! thousand busy ones read at full speed. What a read leaves unfinished stays with its connection: up to
//! [`TAIL_BYTES`] inline, a longer rest in one of the `LargeBuffers`. A connection that may have none reads no further
//! than what it can keep inline, and waits.
//!
//! ```text
//! buffer   | partial of the last read | bytes read now                            |
//!          | frame | frame | frame | frame | unfinished -> partial: short, or long |
//! ```
//!
//! When an output that is owed a turn has no room, the frames not yet taken stay in the buffer, and the connection keeps
//! it until there is room: nobody else could do better in the meantime.
//!
//! After every read the task yields, as the executor has no fairness of its own, or pauses where little came (`gather`).

use core::cell::{Cell, RefCell};
use core::fmt::Display;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::time::Instant;

use defmt_or_log::{debug, warn};
use event_listener::listener;
use smol::future::{or, pending, yield_now};
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connections::{ConnectionLease, ConnectionTable};
use super::frame_reader::{FeedOutcome, FrameReader, Pace};
use super::gather::{Gather, Rhythm};
use super::large_buffers::{LOOK_EVERY, LargeBuffer, LargeBuffers};
use crate::input::counters::{InputCounters, RefuseReason, Rejection};
use crate::limits::{self, Limits, PATIENCE_SECONDS, TAIL_BYTES};
use crate::output::WaitPolicy;
use crate::pipeline::Collector;
use crate::reactor::Timer;

/// The state that all connections share.
pub struct Receiver<'a> {
    /// Where the frames go.
    pub(crate) collector: &'a Collector<'a>,
    /// Places for connections.
    pub connections: ConnectionTable,
    frame_max: u32,
    buffer: RefCell<Box<[u8]>>,
    /// Whether frames wait in the buffer.
    held: Cell<bool>,
    large_buffers: LargeBuffers,
    /// Pauses between small reads.
    pub(crate) gather: Gather,
}

impl<'a> Receiver<'a> {
    /// Buffers and places of the sizes that `limits` gives.
    pub fn new(collector: &'a Collector<'a>, limits: &Limits) -> Self {
        Receiver {
            collector,
            connections: ConnectionTable::default(),
            frame_max: u32::try_from(limits.frame).unwrap_or(u32::MAX),
            buffer: RefCell::new(limits::table(limits.receive, 0)),
            held: Cell::new(false),
            large_buffers: LargeBuffers::new(large_buffer_bytes(limits.frame)),
            gather: Gather::default(),
        }
    }
}

/// Bytes of a large buffer: the longest frame and its length.
pub(crate) const fn large_buffer_bytes(frame_max: usize) -> usize {
    frame_max + size_of::<u32>()
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// The peer closed it, with or without a word before.
    Closed,
    /// The peer said STOP.
    Stopped,
    /// A handshake or a frame stayed unfinished.
    Timeout,
    /// It brought too little of a long frame while others waited for its buffer.
    Slow,
    /// The peer does not speak Frame Streams.
    Fault(Rejection),
    /// The socket failed.
    Error(io::Error),
}

/// Serves a connection to its end, and says in the log how it ended. Tells whether the peer got through the
/// Frame Streams handshake.
pub async fn serve<S>(
    stream: S,
    peer: &impl Display,
    counters: &InputCounters,
    receiver: &Receiver<'_>,
    lease: &ConnectionLease,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _connected = counters.connect();
    debug!("{peer}: connected");
    let mut connection = FrameConnection::new(stream, counters, receiver, lease);
    match connection.run(peer).await {
        ConnectionEnd::Closed => debug!("{peer}: closed"),
        ConnectionEnd::Stopped => debug!("{peer}: stopped"),
        ConnectionEnd::Timeout => {
            counters.refuse(RefuseReason::Timeout);
            warn!("{peer}: closed, a handshake or frame stayed unfinished for {PATIENCE_SECONDS} s");
        }
        ConnectionEnd::Slow => {
            counters.refuse(RefuseReason::Slow);
            warn!("{peer}: closed, too slow with a long frame while others wait");
        }
        ConnectionEnd::Fault(fault) => warn!("{peer}: closed: {fault}"),
        // What a stream over TLS says of its peer, such as that it does not take our certificate.
        ConnectionEnd::Error(error) if error.kind() == io::ErrorKind::InvalidData => {
            warn!("{peer}: closed: {error}")
        }
        ConnectionEnd::Error(error) => debug!("{peer}: closed: {error}"),
    }
    connection.frame_reader.has_started()
}

/// A connection between two reads.
struct FrameConnection<'a, S> {
    stream: S,
    counters: &'a InputCounters,
    receiver: &'a Receiver<'a>,
    lease: &'a ConnectionLease,
    frame_reader: FrameReader<'a>,
    partial: Partial<'a>,
    rhythm: Rhythm,
}

/// The unfinished unit after a read.
#[expect(clippy::large_enum_variant, reason = "a short partial lives in its connection, that is its point")]
enum Partial<'a> {
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

/// The meaning of a failed read. A peer over TLS that goes without a word (close_notify) has gone all the same.
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
    fn new(
        stream: S,
        counters: &'a InputCounters,
        receiver: &'a Receiver<'a>,
        lease: &'a ConnectionLease,
    ) -> Self {
        let frame_reader = FrameReader::new(receiver.collector, counters, receiver.frame_max);
        FrameConnection {
            stream,
            counters,
            receiver,
            lease,
            frame_reader,
            partial: Partial::Short(heapless::Vec::new()),
            rhythm: Rhythm::new(Instant::now()),
        }
    }

    async fn run(&mut self, peer: &impl Display) -> ConnectionEnd {
        self.lease.set_deadline(PATIENCE_SECONDS);
        loop {
            if !self.has_room() {
                self.lease.clear_deadline(); // the peer is not at fault
                self.room().await;
                self.watch();
            }
            let units = self.frame_reader.units();
            let mut waited = false;
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
            let now = Instant::now();
            match self.rhythm.after_read(self.frame_reader.units().wrapping_sub(units), waited, now) {
                Some(pause) if self.may_pause() => self.receiver.gather.pause(pause, now).await,
                _ => yield_now().await,
            }
        }
    }

    /// Whether what comes next may wait in the socket a little.
    fn may_pause(&self) -> bool {
        self.frame_reader.has_started() && matches!(self.partial, Partial::Short(_))
    }

    /// Waits until reading makes sense: the buffer is free, the partial frame can grow, the outputs have room.
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
                    Timer::after(LOOK_EVERY).await;
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

    /// Bytes that may be read beyond the partial frame, as far as the buffer goes: without a large buffer to put them
    /// into, no more than can be kept inline.
    fn reach(&self) -> usize {
        match &self.partial {
            Partial::Short(partial) if !self.receiver.large_buffers.may_take(self.lease) => {
                TAIL_BYTES - partial.len()
            }
            _ => usize::MAX,
        }
    }

    /// The deadline of a handshake or a frame runs from the read that began it.
    fn watch(&self) {
        let is_empty = match &self.partial {
            Partial::Short(partial) => partial.is_empty(),
            Partial::Long(_) => false,
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
        if let Partial::Long(long) = &self.partial
            && long.is_slow()
        {
            return Poll::Ready(Err(ConnectionEnd::Slow));
        }
        if !self.has_room() {
            return Poll::Ready(Ok(ReadProgress::Busy));
        }
        match self.partial {
            Partial::Short(_) => self.poll_short(context, peer),
            Partial::Long(_) => self.poll_long(context, peer),
        }
    }

    /// Reads after the partial frame in the shared buffer, and feeds what is whole.
    ///
    /// A stream has no borders: a read may end within a frame, or within the four bytes of its length. What is left
    /// over is put in front of the next read, and fed again with it:
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
        let Partial::Short(partial) = &self.partial else { return Poll::Ready(Ok(ReadProgress::Busy)) };
        let kept = partial.len();
        let mut buffer = self.receiver.buffer.borrow_mut();
        let end = buffer.len().min(kept.saturating_add(self.reach()));
        let (Some(front), true) = (buffer.get_mut(..kept), kept < end) else {
            return Poll::Ready(Ok(ReadProgress::Busy));
        };
        front.copy_from_slice(partial);
        let room = buffer.get_mut(kept..end).unwrap_or_default();
        let read = match ready!(Pin::new(&mut self.stream).poll_read(context, room)) {
            Ok(0) => return Poll::Ready(Ok(ReadProgress::End)),
            Ok(read) => read,
            Err(error) => return Poll::Ready(failed(error)),
        };
        self.counters.bytes.add(read as u64);
        self.lease.note_read(read);
        self.partial = Partial::Short(heapless::Vec::new());
        drop(buffer);
        Poll::Ready(self.feed(0..kept + read, peer))
    }

    /// Reads the rest of one long unit straight into its large buffer, and feeds it when it is whole.
    fn poll_long(
        &mut self,
        context: &mut Context<'_>,
        peer: &impl Display,
    ) -> Poll<Result<ReadProgress, ConnectionEnd>> {
        let FrameConnection { stream, partial, frame_reader, .. } = self;
        let Partial::Long(long) = partial else { return Poll::Ready(Ok(ReadProgress::Busy)) };
        long.wake_when_slow(context);
        let wanted = long.with(|bytes| frame_reader.wanted(bytes));
        let read = long.fill(wanted, |room| match Pin::new(stream).poll_read(context, room) {
            Poll::Ready(Ok(read)) => (read, Poll::Ready(Ok(read))),
            result => (0, result),
        });
        let read = match ready!(read) {
            Ok(0) => return Poll::Ready(Ok(ReadProgress::End)),
            Ok(read) => read,
            Err(error) => return Poll::Ready(failed(error)),
        };
        self.counters.bytes.add(read as u64);
        self.lease.note_read(read);
        if long.len() < wanted {
            return Poll::Ready(Ok(ReadProgress::Read));
        }
        let Partial::Long(long) = core::mem::replace(&mut self.partial, Partial::Short(heapless::Vec::new()))
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
            self.partial = self.receiver.keep(input, self.lease);
            return Ok(ReadProgress::Read);
        }
        Ok(ReadProgress::Suspended(Suspended { bytes: bytes.end - input.len()..bytes.end, outcome }))
    }

    /// Does what the suspended bytes wait for, and feeds them; as long as there are any, the buffer stays ours.
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

impl Receiver<'_> {
    /// The unfinished rest of a read: a short one inline, a long one in a large buffer.
    ///
    /// There is one whenever the rest is long: where there was none, no more was read than can be kept inline.
    fn keep(&self, rest: &[u8], lease: &ConnectionLease) -> Partial<'_> {
        match heapless::Vec::from_slice(rest) {
            Ok(partial) => Partial::Short(partial),
            Err(_) => {
                let long = self.large_buffers.take(lease, rest);
                long.map_or(Partial::Short(heapless::Vec::new()), Partial::Long)
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::connections::Origin;
    use crate::message::filter::{self, Filter};
    use crate::message::pairing::Pairing;
    use crate::message::stages::Stages;
    use crate::output::Outlets;
    use crate::reactor::Async;
    use crate::statistics::{self, Statistics};
    use crate::wire::handshake::{ACCEPT, FINISH, READY, START, STOP};
    use smol::io::AsyncReadExt;
    use std::os::unix::net::UnixStream;

    fn receiver(frame: usize) -> &'static Receiver<'static> {
        let limits = Limits { frame, streams: 1, ..Limits::resolve(&Default::default()) };
        let statistics: &'static _ = Box::leak(Box::new(RefCell::new(Statistics::new(&limits))));
        let outlets: &'static _ = Box::leak(Box::new(Outlets::new([])));
        let filter = Filter::new(&filter::Section::default());
        let stages = Stages::new(Pairing::new(64), filter);
        let hasher = statistics::Section::default().hasher();
        let collector: &'static _ = Box::leak(Box::new(Collector::new(statistics, outlets, stages, hasher)));
        Box::leak(Box::new(Receiver::new(collector, &limits)))
    }

    /// A data frame: CLIENT_QUERY, and a version of that many bytes.
    fn data(version: usize) -> Vec<u8> {
        let mut dnstap = vec![0x12];
        let mut rest = version;
        while rest >= 0x80 {
            dnstap.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        dnstap.push(rest as u8);
        dnstap.extend(core::iter::repeat_n(b'v', version));
        // Dnstap.message with Message.type 5, and Dnstap.type MESSAGE.
        dnstap.extend_from_slice(&[0x72, 2, 0x08, 5, 0x78, 1]);
        [&(dnstap.len() as u32).to_be_bytes(), dnstap.as_slice()].concat()
    }

    /// Sends the parts one after the other; the counters, and what was sent back.
    fn serve_parts(receiver: &'static Receiver<'static>, parts: &[&[u8]]) -> (InputCounters, Vec<u8>) {
        let counters = InputCounters::new("test");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, mut theirs) = (Async::new(ours).unwrap(), Async::new(theirs).unwrap());
        let group = receiver.connections.group(1, 1);
        let lease = group.take(Origin::Remote).unwrap();
        let mut answers = Vec::new();
        let peer = async {
            for part in parts {
                // Broken off when the rules are.
                let _ = theirs.write_all(part).await;
                for _ in 0..3 {
                    yield_now().await;
                }
            }
            let _ = theirs.get_ref().shutdown(std::net::Shutdown::Write);
            let _ = theirs.read_to_end(&mut answers).await;
        };
        crate::reactor::block_on(async {
            let served = async {
                serve(&ours, &"test", &counters, receiver, &lease).await;
                drop(ours);
            };
            smol::future::zip(served, peer).await;
        });
        (counters, answers)
    }

    #[test]
    fn a_stream_is_read_alike_wherever_it_is_split() {
        let receiver = receiver(64 << 10);
        receiver.gather.finish(); // for the sake of time
        let stream = [READY, START, &data(3), &data(2_000), &data(70_000), &data(0), STOP].concat();
        let borders = (1..stream.len()).filter(|&at| at < 300 || at % 997 == 0);
        for at in borders {
            let (counters, answers) = serve_parts(receiver, &[&stream[..at], &stream[at..]]);
            assert_eq!((counters.received.get(), counters.rejected.total()), (3, 1), "{at}");
            assert_eq!(counters.rejected.of(Rejection::Oversize), 1, "{at}");
            assert_eq!(counters.bytes.get(), stream.len() as u64, "{at}");
            assert_eq!(answers, [ACCEPT, FINISH].concat(), "{at}");
        }
    }

    #[test]
    fn a_broken_rule_ends_the_stream_and_counts_once() {
        let (counters, _) = serve_parts(receiver(1024), &[&data(3), START]);
        assert_eq!((counters.frames.get(), counters.rejected.total()), (1, 1));
        let (counters, _) = serve_parts(receiver(1024), &[b"GET / HTTP/1.1\r\n\r\n"]);
        assert_eq!(counters.rejected.of(crate::wire::foreign::Foreign::Http), 1);
    }
}
