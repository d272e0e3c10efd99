//! One Frame Streams connection, over any stream of octets.
//!
//! All connections read into one buffer, for one thread reads: a thousand idle connections cost nothing, and a
//! thousand busy ones read at full speed. What a read leaves unfinished stays with its connection, up to
//! [`TAIL_BYTES`] inline, a longer rest in one of a few blocks; a connection that needs a block when all are
//! taken reads no further than its tail reaches, and waits.
//!
//! ```text
//! buffer   | tail of the last read | octets read now                     |
//!          | frame | frame | frame | frame | unfinished -> tail or block |
//! ```
//!
//! When an output that is owed a turn has no room, the frames not yet taken stay in the buffer, and the
//! connection keeps it until there is room: nobody else could do better meanwhile.
//!
//! After every read the task yields: the executor has no fairness of its own.

use core::cell::{Cell, RefCell};
use core::fmt::Display;
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use defmt_or_log::{debug, warn};
use event_listener::{Event as Notice, listener};
use smol::future::{or, yield_now};
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connections::{Place, Slots};
use super::frame_reader::{Framing, Manner, Outcome};
use crate::input::counters::{InputCounters, RefuseReason, Rejection};
use crate::limits::{self, Limits, PATIENCE_SECONDS, TAIL_BLOCKS, TAIL_BYTES};
use crate::pipeline::Collector;

/// What all connections share.
pub struct Shared<'a> {
    /// Where the frames go.
    pub collector: &'a Collector<'a>,
    /// Places for connections.
    pub slots: Slots,
    frame_max: u32,
    buffer: RefCell<Box<[u8]>>,
    /// Whether frames wait in the buffer.
    held: Cell<bool>,
    blocks: RefCell<heapless::Vec<Box<[u8]>, TAIL_BLOCKS>>,
    /// Told when the buffer or a block is free again.
    freed: Notice,
}

impl<'a> Shared<'a> {
    /// Buffers and places of the sizes that `limits` gives.
    pub fn new(collector: &'a Collector<'a>, limits: &Limits) -> Self {
        Shared {
            collector,
            slots: Slots::new(limits.connections),
            frame_max: u32::try_from(limits.frame).unwrap_or(u32::MAX),
            buffer: RefCell::new(limits::table(limits.receive, 0)),
            held: Cell::new(false),
            blocks: RefCell::new(
                (0..TAIL_BLOCKS).map(|_| limits::table(block_bytes(limits.frame), 0)).collect(),
            ),
            freed: Notice::new(),
        }
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            listener!(self.freed => freed);
            if condition() {
                return;
            }
            freed.await;
        }
    }
}

/// Octets of a block: the longest frame and its length.
pub const fn block_bytes(frame_max: usize) -> usize {
    frame_max + size_of::<u32>()
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed it, with or without a word before.
    Closed,
    /// The peer said STOP.
    Stopped,
    /// A handshake or a frame stayed unfinished.
    Timeout,
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
    shared: &Shared<'_>,
    place: &Place<'_>,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _connected = counters.connect();
    debug!("{peer}: connected");
    let mut connection = Connection::new(stream, counters, shared);
    match connection.run(peer, place).await {
        End::Closed => debug!("{peer}: closed"),
        End::Stopped => debug!("{peer}: stopped"),
        End::Timeout => {
            counters.refused.count(RefuseReason::Timeout);
            warn!("{peer}: closed, a handshake or frame stayed unfinished for {PATIENCE_SECONDS} s");
        }
        End::Fault(fault) => warn!("{peer}: closed: {fault}"),
        // What a stream over TLS says of its peer, such as that it does not take our certificate.
        End::Error(error) if error.kind() == io::ErrorKind::InvalidData => warn!("{peer}: closed: {error}"),
        End::Error(error) => debug!("{peer}: closed: {error}"),
    }
    connection.framing.has_started()
}

/// A connection between two reads.
struct Connection<'a, S> {
    stream: S,
    counters: &'a InputCounters,
    shared: &'a Shared<'a>,
    framing: Framing<'a>,
    tail: Tail<'a>,
}

/// What a read left unfinished.
#[expect(clippy::large_enum_variant, reason = "a short tail lives in its connection, that is its point")]
enum Tail<'a> {
    Short(heapless::Vec<u8, TAIL_BYTES>),
    Long(Block<'a>),
}

/// What a read led to.
enum Progress {
    /// There may be more to read.
    Read,
    /// The buffer was taken, or an output had no room: nothing was read.
    Busy,
    /// The peer will send no more.
    End,
    /// Part of the buffer is to be fed again, after what the outcome asks for.
    Parked(Parked),
}

/// What a failed read means. A peer over TLS that goes without a word (close_notify) has gone all the same.
fn failed(error: io::Error) -> Result<Progress, End> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(Progress::End) } else { Err(End::Error(error)) }
}

/// Octets of the receive buffer that wait there, and for what.
struct Parked {
    octets: Range<usize>,
    outcome: Outcome,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    fn new(stream: S, counters: &'a InputCounters, shared: &'a Shared<'a>) -> Self {
        let framing = Framing::new(shared.collector, counters, shared.frame_max);
        Connection { stream, counters, shared, framing, tail: Tail::Short(heapless::Vec::new()) }
    }

    async fn run(&mut self, peer: &impl Display, place: &Place<'_>) -> End {
        place.set_deadline(PATIENCE_SECONDS);
        loop {
            if !self.has_room() {
                place.clear_deadline(); // the peer is not at fault
                self.room().await;
                self.watch(place);
            }
            let units = self.framing.units();
            match poll_fn(|context| self.poll_progress(context, peer, place)).await {
                Ok(Progress::Read | Progress::Busy) => {}
                Ok(Progress::End) => return End::Closed,
                Ok(Progress::Parked(parked)) => {
                    place.clear_deadline();
                    if let Err(end) = self.unpark(parked, peer, place).await {
                        return end;
                    }
                }
                Err(end) => return end,
            }
            if self.framing.units() != units && self.framing.has_started() {
                place.clear_deadline();
            }
            self.watch(place);
            yield_now().await;
        }
    }

    /// Waits until reading makes sense: the buffer is free, the tail can grow, the outputs have room.
    async fn room(&self) {
        while !self.has_room() {
            self.shared.wait_until(|| !self.shared.held.get() && self.reach() > 0).await;
            self.shared.collector.outputs().room().await;
        }
    }

    fn has_room(&self) -> bool {
        !self.shared.held.get() && self.reach() > 0 && self.shared.collector.outputs().has_room()
    }

    /// Octets that may be read beyond the tail, as far as the buffer goes: without a free block, no more than the tail
    /// can hold.
    fn reach(&self) -> usize {
        match &self.tail {
            Tail::Short(tail) if self.shared.blocks.borrow().is_empty() => TAIL_BYTES - tail.len(),
            _ => usize::MAX,
        }
    }

    /// The deadline of a handshake or a frame runs from the read that began it.
    fn watch(&self, place: &Place<'_>) {
        let tail_is_empty = match &self.tail {
            Tail::Short(tail) => tail.is_empty(),
            Tail::Long(_) => false,
        };
        if tail_is_empty && self.framing.is_idle() {
            place.clear_deadline();
        } else {
            place.keep_deadline(PATIENCE_SECONDS);
        }
    }

    fn poll_progress(
        &mut self,
        context: &mut Context<'_>,
        peer: &impl Display,
        place: &Place<'_>,
    ) -> Poll<Result<Progress, End>> {
        if place.poll_deadline(context).is_ready() {
            return Poll::Ready(Err(End::Timeout));
        }
        if !self.has_room() {
            return Poll::Ready(Ok(Progress::Busy));
        }
        match self.tail {
            Tail::Short(_) => self.poll_buffer(context, peer),
            Tail::Long(_) => self.poll_block(context, peer),
        }
    }

    /// Reads behind the tail, and feeds what is whole.
    fn poll_buffer(&mut self, context: &mut Context<'_>, peer: &impl Display) -> Poll<Result<Progress, End>> {
        let Tail::Short(tail) = &self.tail else { return Poll::Ready(Ok(Progress::Busy)) };
        let kept = tail.len();
        let mut buffer = self.shared.buffer.borrow_mut();
        let end = buffer.len().min(kept.saturating_add(self.reach()));
        let (Some(front), true) = (buffer.get_mut(..kept), kept < end) else {
            return Poll::Ready(Ok(Progress::Busy));
        };
        front.copy_from_slice(tail);
        let room = buffer.get_mut(kept..end).unwrap_or_default();
        let read = match ready!(Pin::new(&mut self.stream).poll_read(context, room)) {
            Ok(0) => return Poll::Ready(Ok(Progress::End)),
            Ok(read) => read,
            Err(error) => return Poll::Ready(failed(error)),
        };
        self.counters.bytes.add(read as u64);
        self.tail = Tail::Short(heapless::Vec::new());
        drop(buffer);
        Poll::Ready(self.feed(0..kept + read, peer))
    }

    /// Reads the rest of one long unit straight into its block, and feeds it when it is whole.
    fn poll_block(&mut self, context: &mut Context<'_>, peer: &impl Display) -> Poll<Result<Progress, End>> {
        let Tail::Long(block) = &mut self.tail else { return Poll::Ready(Ok(Progress::Busy)) };
        let wanted = self.framing.wanted(block.octets());
        let read = match ready!(Pin::new(&mut self.stream).poll_read(context, block.room(wanted))) {
            Ok(0) => return Poll::Ready(Ok(Progress::End)),
            Ok(read) => read,
            Err(error) => return Poll::Ready(failed(error)),
        };
        self.counters.bytes.add(read as u64);
        block.used += read;
        if block.used < wanted {
            return Poll::Ready(Ok(Progress::Read));
        }
        let Tail::Long(block) = core::mem::replace(&mut self.tail, Tail::Short(heapless::Vec::new())) else {
            return Poll::Ready(Ok(Progress::Busy));
        };
        let mut unit = block.octets();
        let outcome = self.framing.feed(&mut unit, Manner::Live, peer);
        Poll::Ready(match outcome {
            Ok(Outcome::Incomplete | Outcome::NeedsRoom | Outcome::Fed) => Ok(Progress::Read),
            Ok(outcome) => Ok(Progress::Parked(Parked { octets: 0..0, outcome })),
            Err(fault) => Err(End::Fault(fault)),
        })
    }

    /// Feeds a part of the receive buffer, and keeps what is unfinished.
    fn feed(&mut self, octets: Range<usize>, peer: &impl Display) -> Result<Progress, End> {
        let buffer = self.shared.buffer.borrow();
        let mut input = buffer.get(octets.clone()).unwrap_or_default();
        let outcome = self.framing.feed(&mut input, Manner::Live, peer).map_err(End::Fault)?;
        if outcome == Outcome::Incomplete {
            self.tail = self.shared.keep(input);
            return Ok(Progress::Read);
        }
        Ok(Progress::Parked(Parked { octets: octets.end - input.len()..octets.end, outcome }))
    }

    /// Does what the parked octets wait for, and feeds them; as long as there are any, the buffer stays ours.
    async fn unpark(
        &mut self,
        mut parked: Parked,
        peer: &impl Display,
        place: &Place<'_>,
    ) -> Result<(), End> {
        let hold = (!parked.octets.is_empty()).then(|| Hold::new(self.shared));
        loop {
            match parked.outcome {
                Outcome::NeedsRoom | Outcome::Incomplete | Outcome::Fed => {
                    self.shared.collector.outputs().room().await
                }
                Outcome::Reply(octets) => self.reply(octets, place).await?,
                Outcome::Stop(finish) => {
                    drop(hold);
                    self.reply(finish, place).await?;
                    return Err(self.linger(place).await);
                }
            }
            match self.feed(parked.octets, peer)? {
                Progress::Parked(next) => parked = next,
                _ => return Ok(()),
            }
        }
    }

    /// Sends a control frame; a peer that does not take these few octets in time is given up.
    async fn reply(&mut self, octets: &[u8], place: &Place<'_>) -> Result<(), End> {
        place.set_deadline(PATIENCE_SECONDS);
        let sent = async {
            self.stream.write_all(octets).await.map_err(End::Error)?;
            self.stream.flush().await.map_err(End::Error)
        };
        or(sent, async {
            place.deadline().await;
            Err(End::Timeout)
        })
        .await
    }

    /// After FINISH the peer closes; reading on until then keeps it from being cut off by a reset.
    async fn linger(&mut self, place: &Place<'_>) -> End {
        let mut rest = [0; 64];
        let drained = async {
            let _ = self.stream.close().await;
            while let Ok(1..) = smol::io::AsyncReadExt::read(&mut self.stream, &mut rest).await {}
        };
        place.set_deadline(LINGER_SECONDS);
        or(drained, place.deadline()).await;
        End::Stopped
    }
}

/// Seconds a peer has to close after FINISH.
const LINGER_SECONDS: u32 = 2;

impl Shared<'_> {
    /// The unfinished rest of a read: a short one inline, a long one in a block.
    ///
    /// There is a free block whenever the rest is long: without one, no more was read than the tail can hold.
    fn keep(&self, rest: &[u8]) -> Tail<'_> {
        if let Ok(tail) = heapless::Vec::from_slice(rest) {
            return Tail::Short(tail);
        }
        let octets = self.blocks.borrow_mut().pop().unwrap_or_default();
        let mut block = Block { octets, used: 0, shared: self };
        if let Some(room) = block.octets.get_mut(..rest.len()) {
            room.copy_from_slice(rest);
            block.used = rest.len();
        }
        Tail::Long(block)
    }
}

/// A pooled buffer for one long unit.
struct Block<'a> {
    octets: Box<[u8]>,
    /// Octets of the unit read so far.
    used: usize,
    shared: &'a Shared<'a>,
}

impl Block<'_> {
    fn octets(&self) -> &[u8] {
        self.octets.get(..self.used).unwrap_or_default()
    }

    /// Where the unit goes on, up to `wanted` octets in all.
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        self.octets.get_mut(self.used..wanted).unwrap_or_default()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        let _ = self.shared.blocks.borrow_mut().push(core::mem::take(&mut self.octets));
        self.shared.freed.notify(usize::MAX);
    }
}

/// Keeps the receive buffer for the connection whose frames wait in it.
struct Hold<'a>(&'a Shared<'a>);

impl<'a> Hold<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        shared.held.set(true);
        Hold(shared)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.freed.notify(usize::MAX);
    }
}
