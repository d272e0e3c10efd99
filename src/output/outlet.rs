//! One output: its queue, its counters, and how its last attempt to write went.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use super::record::RecordKind;
use crate::reasons::{Tally, reasons};
use crate::sketch::record_queue::{Full, RecordQueue};
use crate::values::{Format, QueueSettings, WhenFull};

/// One output: its queue and its counters.
pub struct Outlet {
    name: &'static str,
    kind: RecordKind,
    /// Bytes of the longest record the queue must have room for before another message may come.
    longest: usize,
    when_full: WhenFull,
    queue: RefCell<RecordQueue>,
    /// Records and bytes that left the queue and are being written.
    in_flight: Cell<(u64, usize)>,
    state: Cell<WriteState>,
    /// The task that waits for records.
    reader: Cell<Option<Waker>>,
    /// Bytes in the queue at which it is woken.
    wake_at: Cell<usize>,
    /// Whether files are to be opened anew.
    reopen: Cell<bool>,
    /// Whether the output is to end once its queue is empty.
    finishing: Cell<bool>,
    received: Cell<u64>,
    delivered: Cell<u64>,
    dropped: Tally<DropReason>,
    connections: Cell<u64>,
}

impl core::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outlet").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// How the last attempt to write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteState {
    /// It went through, or none was made yet.
    Ready,
    /// It would have blocked.
    Blocked,
    /// The other end is away, and may come back.
    Away,
    /// The other end is gone for good.
    Closed,
}

/// How long an input waits for outputs that have no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Until each had a turn: who sends cannot be made to wait.
    OneTurn,
    /// Until each had a turn, and longer where `when-full` says so.
    Configured,
    /// As long as it takes.
    Forever,
}

reasons! {
    /// Why a record is dropped.
    pub enum DropReason {
        /// The queue is full and the output had its turn: the other end is too slow.
        Full = "full";
        /// The queue is full and the other end away: not connected, or a disk that takes nothing.
        Away = "away";
        /// The other end is gone for good.
        Closed = "closed";
        /// The record is longer than any can be.
        Oversize = "oversize";
        /// The other end refused it, or did not take it in time.
        Delivery = "delivery";
        /// The daemon stopped before the other end took it.
        Shutdown = "shutdown";
    }
}

/// What an output's task is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// Write: something is queued.
    Write,
    /// Open the file anew.
    Reopen,
    /// End: the daemon stops, and nothing is queued any more.
    End,
}

/// Why a record did not fit.
#[cold]
fn refusal(parts: &[&[u8]], capacity: usize, state: WriteState) -> DropReason {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    match state {
        _ if bytes > capacity => DropReason::Oversize,
        WriteState::Away => DropReason::Away,
        _ => DropReason::Full,
    }
}

impl Outlet {
    /// An output of encoded events, with an empty queue.
    pub fn new(name: &'static str, format: Format, terminator: &[u8], settings: QueueSettings) -> Self {
        Outlet::of_kind(name, RecordKind::Plain { format, terminator: terminator.into() }, settings)
    }

    /// An output of any kind, with an empty queue.
    pub fn of_kind(name: &'static str, kind: RecordKind, settings: QueueSettings) -> Self {
        Outlet {
            name,
            longest: kind.longest().min(settings.bytes),
            kind,
            when_full: settings.when_full,
            queue: RefCell::new(RecordQueue::new(settings.bytes)),
            in_flight: Cell::new((0, 0)),
            state: Cell::new(WriteState::Ready),
            reader: Cell::new(None),
            wake_at: Cell::new(0),
            reopen: Cell::new(false),
            finishing: Cell::new(false),
            received: Cell::new(0),
            delivered: Cell::new(0),
            dropped: Tally::default(),
            connections: Cell::new(0),
        }
    }

    /// What its records are made of.
    pub fn kind(&self) -> &RecordKind {
        &self.kind
    }

    /// Takes one record, made of `parts`, into the queue, or counts a loss; wakes the task that waits for it.
    pub(super) fn offer(&self, parts: Result<&[&[u8]], DropReason>) {
        self.received.set(self.received.get() + 1);
        if self.state.get() == WriteState::Closed {
            return self.dropped.count(DropReason::Closed);
        }
        let pushed = parts.and_then(|parts| {
            let mut queue = self.queue.borrow_mut();
            match queue.push(parts) {
                Ok(()) => Ok(queue.bytes()),
                Err(Full) => Err(refusal(parts, queue.capacity(), self.state.get())),
            }
        });
        match pushed {
            Ok(bytes) if bytes >= self.wake_at.get() => self.wake(),
            Ok(_) => {}
            Err(reason) => self.dropped.count(reason),
        }
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether an input may bring one more message without a loss that is not the other end's fault.
    pub(super) fn has_room(&self, patience: WaitPolicy) -> bool {
        let owed = match self.state.get() {
            WriteState::Ready => true,
            WriteState::Blocked | WriteState::Away => match patience {
                WaitPolicy::OneTurn => false,
                WaitPolicy::Configured => self.when_full == WhenFull::Wait,
                WaitPolicy::Forever => true,
            },
            WriteState::Closed => false,
        };
        !owed || self.queue.borrow().has_room(self.longest)
    }

    /// Waits for something to do.
    pub async fn next_step(&self) -> TaskStep {
        poll_fn(|context| self.poll_step(context)).await
    }

    /// The same, for one look.
    pub fn poll_step(&self, context: &mut Context<'_>) -> Poll<TaskStep> {
        self.poll_until(context, 1, |outlet| {
            if outlet.reopen.take() {
                Some(TaskStep::Reopen)
            } else if !outlet.queue.borrow().is_empty() {
                Some(TaskStep::Write)
            } else {
                outlet.finishing.get().then_some(TaskStep::End)
            }
        })
    }

    /// Waits until so many bytes are queued that inputs would soon have to wait, but no more than `bytes`;
    /// not at all once the daemon stops.
    pub async fn filled(&self, bytes: usize) {
        let capacity = self.queue.borrow().capacity();
        let enough = bytes.min((capacity - self.longest) / 2);
        let ready = |outlet: &Self| outlet.finishing.get() || outlet.queue.borrow().bytes() >= enough;
        poll_fn(|context| self.poll_until(context, enough, |outlet| ready(outlet).then_some(()))).await;
    }

    /// Waits until the daemon stops and nothing is queued.
    pub async fn ended(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_over().then_some(())))
            .await;
    }

    /// Waits until the daemon stops.
    pub async fn stopping(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_stopping().then_some(())))
            .await;
    }

    /// Whether the daemon stops.
    pub fn is_stopping(&self) -> bool {
        self.finishing.get()
    }

    /// Whether the daemon stops and nothing is queued.
    pub fn is_over(&self) -> bool {
        self.finishing.get() && self.queued() == 0
    }

    /// Ready when `ready` says something; it is asked again whenever `wake_at` bytes are queued.
    fn poll_until<T>(
        &self,
        context: &mut Context<'_>,
        wake_at: usize,
        ready: impl Fn(&Self) -> Option<T>,
    ) -> Poll<T> {
        match ready(self) {
            Some(result) => Poll::Ready(result),
            None => {
                self.wake_at.set(wake_at);
                self.reader.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Hands what is to be written to `write` and takes out as much as it says it wrote.
    ///
    /// # Errors
    ///
    /// Those of `write`; the queue is then as before.
    pub fn write_with<E>(&self, write: impl FnOnce([&[u8]; 2]) -> Result<usize, E>) -> Result<(), E> {
        let written = write(self.queue.borrow().pending())?;
        let complete = self.queue.borrow_mut().take(written);
        self.delivered.set(self.delivered.get() + complete);
        Ok(())
    }

    /// Hands the first record to `write`, and takes it out when that succeeds; `None` when nothing is queued.
    pub fn write_first_with<T, E>(
        &self,
        write: impl FnOnce([&[u8]; 2]) -> Result<T, E>,
    ) -> Option<Result<(), E>> {
        let written = self.queue.borrow().first().map(write)?;
        Some(written.map(|_| {
            self.take_first();
            self.delivered.set(self.delivered.get() + 1);
        }))
    }

    /// Throws the first record away, and counts it.
    pub fn drop_first(&self, reason: DropReason) {
        self.dropped.add(reason, self.take_first());
    }

    fn take_first(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let length = queue.first_length().unwrap_or(0);
        queue.take(length)
    }

    /// Bytes of the first record.
    pub fn first_bytes(&self) -> Option<usize> {
        self.queue.borrow().first_length()
    }

    /// Moves whole records to the end of `batch`, at most `room` bytes; they count as queued until
    /// [`Outlet::batch_written`].
    pub fn take_batch(&self, batch: &mut Vec<u8>, room: usize) {
        let before = batch.len();
        let moved = self.queue.borrow_mut().drain_into(batch, room);
        let (records, bytes) = self.in_flight.get();
        self.in_flight.set((records + moved, bytes + batch.len() - before));
    }

    /// Counts what [`Outlet::take_batch`] took as delivered.
    pub fn batch_written(&self) {
        let (records, _) = self.in_flight.take();
        self.delivered.set(self.delivered.get() + records);
    }

    /// Hands the first record to `send`, and when that succeeds takes it out; it counts as queued until
    /// [`Outlet::settle_delivered`] or [`Outlet::settle_lost`]. `None` when nothing waits.
    pub fn send_first_with<E>(
        &self,
        send: impl FnOnce([&[u8]; 2]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let bytes = self.first_bytes()?;
        let sent = self.queue.borrow().first().map(send)?;
        Some(sent.map(|()| {
            let (records, before) = self.in_flight.get();
            self.in_flight.set((records + self.take_first(), before + bytes));
        }))
    }

    /// Counts records that were on their way, with so many bytes in all, as delivered.
    pub fn settle_delivered(&self, records: u64, bytes: usize) {
        let landed = self.settle(records, bytes);
        self.delivered.set(self.delivered.get() + landed);
    }

    /// Counts records that were on their way, with so many bytes in all, as lost.
    pub fn settle_lost(&self, records: u64, bytes: usize, reason: DropReason) {
        self.dropped.add(reason, self.settle(records, bytes));
    }

    /// Takes records from those on their way.
    fn settle(&self, records: u64, bytes: usize) -> u64 {
        let (flying, weight) = self.in_flight.get();
        let landed = records.min(flying);
        self.in_flight.set((flying - landed, weight.saturating_sub(bytes)));
        landed
    }

    /// Starts a record over that was written in part, on a new connection.
    pub fn rewind(&self) {
        self.queue.borrow_mut().rewind();
    }

    /// Notes how the last attempt to write went.
    pub fn set_write_state(&self, state: WriteState) {
        self.state.set(state);
    }

    /// Notes a new connection.
    pub fn set_connected(&self) {
        self.state.set(WriteState::Ready);
        self.connections.set(self.connections.get() + 1);
    }

    /// Asks for the file to be opened anew.
    pub(super) fn ask_to_reopen(&self) {
        self.reopen.set(true);
        self.wake();
    }

    /// Asks the output to end once its queue is empty.
    pub(super) fn ask_to_finish(&self) {
        self.finishing.set(true);
        self.wake();
    }

    /// Throws away what waits, and counts it.
    pub fn discard(&self, reason: DropReason) {
        let (in_flight, _) = self.in_flight.take();
        self.dropped.add(reason, self.queue.borrow_mut().clear() + in_flight);
    }

    /// Name in metrics and log: its section's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Records written to the last byte.
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Records that went nowhere, by reason.
    pub fn dropped(&self) -> &Tally<DropReason> {
        &self.dropped
    }

    /// Records that wait.
    pub fn queued(&self) -> usize {
        let (in_flight, _) = self.in_flight.get();
        self.queue.borrow().records() + usize::try_from(in_flight).unwrap_or(usize::MAX)
    }

    /// Bytes that wait.
    pub fn queue_bytes(&self) -> usize {
        self.queue.borrow().bytes() + self.in_flight.get().1
    }

    /// Whether the other end is there.
    pub fn is_connected(&self) -> bool {
        matches!(self.state.get(), WriteState::Ready | WriteState::Blocked)
    }

    /// Connections made after the first.
    pub fn reconnects(&self) -> u64 {
        self.connections.get().saturating_sub(1)
    }
}
