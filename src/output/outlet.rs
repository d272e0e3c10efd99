//! One output: its queue, its counters, and how its last attempt to write went.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use super::record::Shape;
use crate::sketch::record_queue::{Full, RecordQueue};
use crate::tally::Tally;
use crate::values::{Format, WhenFull};

/// One output: its queue and its counters.
pub struct Output {
    name: &'static str,
    shape: Shape,
    /// Octets of the longest record the queue must have room for before another message may come.
    longest: usize,
    when_full: WhenFull,
    queue: RefCell<RecordQueue>,
    /// Records and octets that left the queue and are being written.
    in_flight: Cell<(u64, usize)>,
    state: Cell<State>,
    /// The task that waits for records.
    reader: Cell<Option<Waker>>,
    /// Octets in the queue at which it is woken.
    wake_at: Cell<usize>,
    /// Whether files are to be opened anew.
    reopen: Cell<bool>,
    /// Whether the output is to end once its queue is empty.
    finishing: Cell<bool>,
    received: Cell<u64>,
    delivered: Cell<u64>,
    dropped: Tally,
    connections: Cell<u64>,
}

impl core::fmt::Debug for Output {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Output").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// How the last attempt to write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
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
pub enum Patience {
    /// Until each had a turn: who sends cannot be made to wait.
    ATurn,
    /// Until each had a turn, and longer where `when-full` says so.
    AsAsked,
    /// As long as it takes.
    Endless,
}

/// Why a record is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue is full and the output had its turn: the other end is too slow.
    Full,
    /// The queue is full and the other end away: not connected, or a disk that takes nothing.
    Away,
    /// The other end is gone for good.
    Closed,
    /// The record is longer than any can be.
    Oversize,
    /// The other end refused it, or did not take it in time.
    Delivery,
    /// The daemon stopped before the other end took it.
    Shutdown,
}

impl Loss {
    const ALL: [Loss; 6] =
        [Loss::Full, Loss::Away, Loss::Closed, Loss::Oversize, Loss::Delivery, Loss::Shutdown];

    /// Label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Loss::Full => "full",
            Loss::Away => "away",
            Loss::Closed => "closed",
            Loss::Oversize => "oversize",
            Loss::Delivery => "delivery",
            Loss::Shutdown => "shutdown",
        }
    }
}

/// What an output's task is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Write: something is queued.
    Records,
    /// Open the file anew.
    Reopen,
    /// End: the daemon stops, and nothing is queued any more.
    End,
}

/// Why a record did not fit.
#[cold]
fn refusal(parts: &[&[u8]], capacity: usize, state: State) -> Loss {
    let octets: usize = parts.iter().map(|part| part.len()).sum();
    match state {
        _ if octets > capacity => Loss::Oversize,
        State::Away => Loss::Away,
        _ => Loss::Full,
    }
}

/// What the keys `queue` and `when-full` say.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// Octets kept while the other end is slow or away.
    pub octets: usize,
    /// What happens to records beyond.
    pub when_full: WhenFull,
}

impl Output {
    /// An output of encoded events, with an empty queue.
    pub fn new(name: &'static str, format: Format, terminator: &[u8], settings: QueueSettings) -> Self {
        Output::shaped(name, Shape::Plain { format, terminator: terminator.into() }, settings)
    }

    /// An output of any shape, with an empty queue.
    pub fn shaped(name: &'static str, shape: Shape, settings: QueueSettings) -> Self {
        Output {
            name,
            longest: shape.longest().min(settings.octets),
            shape,
            when_full: settings.when_full,
            queue: RefCell::new(RecordQueue::new(settings.octets)),
            in_flight: Cell::new((0, 0)),
            state: Cell::new(State::Ready),
            reader: Cell::new(None),
            wake_at: Cell::new(0),
            reopen: Cell::new(false),
            finishing: Cell::new(false),
            received: Cell::new(0),
            delivered: Cell::new(0),
            dropped: Tally::new(Loss::ALL.map(Loss::label)),
            connections: Cell::new(0),
        }
    }

    /// What its records are made of.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Takes one record, made of `parts`, into the queue, or counts a loss; wakes the task that waits for it.
    pub(super) fn offer(&self, parts: Result<&[&[u8]], Loss>) {
        self.received.set(self.received.get() + 1);
        if self.state.get() == State::Closed {
            return self.dropped.count(Loss::Closed.label());
        }
        let pushed = parts.and_then(|parts| {
            let mut queue = self.queue.borrow_mut();
            match queue.push(parts) {
                Ok(()) => Ok(queue.octets()),
                Err(Full) => Err(refusal(parts, queue.capacity(), self.state.get())),
            }
        });
        match pushed {
            Ok(octets) if octets >= self.wake_at.get() => self.wake(),
            Ok(_) => {}
            Err(reason) => self.dropped.count(reason.label()),
        }
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether an input may bring one more message without a loss that is not the other end's fault.
    pub(super) fn has_room(&self, patience: Patience) -> bool {
        let owed = match self.state.get() {
            State::Ready => true,
            State::Blocked | State::Away => match patience {
                Patience::ATurn => false,
                Patience::AsAsked => self.when_full == WhenFull::Wait,
                Patience::Endless => true,
            },
            State::Closed => false,
        };
        !owed || self.queue.borrow().has_room(self.longest)
    }

    /// Waits for something to do.
    pub async fn work(&self) -> Work {
        poll_fn(|context| self.poll_work(context)).await
    }

    /// The same, for one look.
    pub fn poll_work(&self, context: &mut Context<'_>) -> Poll<Work> {
        self.poll_until(context, 1, |output| {
            if output.reopen.take() {
                Some(Work::Reopen)
            } else if !output.queue.borrow().is_empty() {
                Some(Work::Records)
            } else {
                output.finishing.get().then_some(Work::End)
            }
        })
    }

    /// Waits until so many octets are queued that inputs would soon have to wait, but no more than `octets`;
    /// not at all once the daemon stops.
    pub async fn filled(&self, octets: usize) {
        let capacity = self.queue.borrow().capacity();
        let enough = octets.min((capacity - self.longest) / 2);
        let ready = |output: &Self| output.finishing.get() || output.queue.borrow().octets() >= enough;
        poll_fn(|context| self.poll_until(context, enough, |output| ready(output).then_some(()))).await;
    }

    /// Waits until the daemon stops and nothing is queued.
    pub async fn ended(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |output| output.is_over().then_some(())))
            .await;
    }

    /// Waits until the daemon stops.
    pub async fn stopping(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |output| output.is_stopping().then_some(())))
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

    /// Ready when `ready` says something; it is asked again whenever `wake_at` octets are queued.
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
    pub fn drop_first(&self, reason: Loss) {
        self.dropped.add(reason.label(), self.take_first());
    }

    fn take_first(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let length = queue.first_length().unwrap_or(0);
        queue.take(length)
    }

    /// Octets of the first record.
    pub fn first_octets(&self) -> Option<usize> {
        self.queue.borrow().first_length()
    }

    /// Moves whole records to the end of `batch`, at most `room` octets; they count as queued until
    /// [`Output::batch_written`].
    pub fn take_batch(&self, batch: &mut Vec<u8>, room: usize) {
        let before = batch.len();
        let moved = self.queue.borrow_mut().move_records(batch, room);
        let (records, octets) = self.in_flight.get();
        self.in_flight.set((records + moved, octets + batch.len() - before));
    }

    /// Counts what [`Output::take_batch`] took as delivered.
    pub fn batch_written(&self) {
        let (records, _) = self.in_flight.take();
        self.delivered.set(self.delivered.get() + records);
    }

    /// Hands the first record to `send`, and when that succeeds takes it out; it counts as queued until
    /// [`Output::confirm`] or [`Output::lose`]. `None` when nothing waits.
    pub fn send_first_with<E>(
        &self,
        send: impl FnOnce([&[u8]; 2]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let octets = self.first_octets()?;
        let sent = self.queue.borrow().first().map(send)?;
        Some(sent.map(|()| {
            let (records, before) = self.in_flight.get();
            self.in_flight.set((records + self.take_first(), before + octets));
        }))
    }

    /// Counts records that were on their way, with so many octets in all, as delivered.
    pub fn confirm(&self, records: u64, octets: usize) {
        let landed = self.land(records, octets);
        self.delivered.set(self.delivered.get() + landed);
    }

    /// Counts records that were on their way, with so many octets in all, as lost.
    pub fn lose(&self, records: u64, octets: usize, reason: Loss) {
        self.dropped.add(reason.label(), self.land(records, octets));
    }

    /// Takes records from those on their way.
    fn land(&self, records: u64, octets: usize) -> u64 {
        let (flying, weight) = self.in_flight.get();
        let landed = records.min(flying);
        self.in_flight.set((flying - landed, weight.saturating_sub(octets)));
        landed
    }

    /// Starts a record over that was written in part, on a new connection.
    pub fn rewind(&self) {
        self.queue.borrow_mut().rewind();
    }

    /// Notes how the last attempt to write went.
    pub fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Notes a new connection.
    pub fn set_connected(&self) {
        self.state.set(State::Ready);
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
    pub fn discard(&self, reason: Loss) {
        let (in_flight, _) = self.in_flight.take();
        self.dropped.add(reason.label(), self.queue.borrow_mut().clear() + in_flight);
    }

    /// Name in metrics and log: its section's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Records written to the last octet.
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Records that went nowhere, by reason.
    pub fn dropped(&self) -> &Tally {
        &self.dropped
    }

    /// Records that wait.
    pub fn queued(&self) -> usize {
        let (in_flight, _) = self.in_flight.get();
        self.queue.borrow().records() + usize::try_from(in_flight).unwrap_or(usize::MAX)
    }

    /// Octets that wait.
    pub fn queue_octets(&self) -> usize {
        self.queue.borrow().octets() + self.in_flight.get().1
    }

    /// Whether the other end is there.
    pub fn is_connected(&self) -> bool {
        matches!(self.state.get(), State::Ready | State::Blocked)
    }

    /// Connections made after the first.
    pub fn reconnects(&self) -> u64 {
        self.connections.get().saturating_sub(1)
    }
}
