//! One output: its queue, its counters, and how its last attempt to write went.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use std::time::Instant;

use super::counters::{DropReason, OutletCounters};
use super::drop_report::DropReport;
use super::record::RecordKind;
use crate::format::Encoding;
use crate::message::event::Event;
use crate::message::filter::{Filter, FilterReason, Verdict};
use crate::message::hashes::MessageHashes;
use crate::section::QueueSettings;
use crate::sketch::record_queue::{Full, RecordQueue};
use crate::values::{Format, WhenFull};

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
    /// Whether files are to be opened again.
    reopen: Cell<bool>,
    /// Whether the output is to end once its queue is empty.
    finishing: Cell<bool>,
    /// The messages that it takes; `None` if all.
    filter: RefCell<Option<Box<Filter>>>,
    counters: OutletCounters,
    /// Whether it takes alarms, too.
    takes_alarms: bool,
    /// Whether it was ever connected.
    was_connected: Cell<bool>,
    drops: RefCell<DropReport>,
    /// The messages that each line stands for, where the output makes its own lines.
    lines: RefCell<LineWeights>,
}

impl core::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outlet").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// How the last attempt to write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteState {
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

/// The next thing for an output's task to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskStep {
    /// Write: something is queued.
    Write,
    /// Open the file again.
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
        Outlet::of_kind(
            name,
            RecordKind::Plain { encoding: format.into(), terminator: terminator.into() },
            settings,
        )
    }

    /// An output of any kind, with an empty queue.
    pub(crate) fn of_kind(name: &'static str, kind: RecordKind, settings: QueueSettings) -> Self {
        let counters = OutletCounters::default();
        counters.filtered.is_shown.set(kind.encoding().is_some_and(Encoding::is_of_responses));
        // Nothing has failed yet.
        counters.connected.set(1);
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
            filter: RefCell::default(),
            counters,
            takes_alarms: settings.alarms,
            was_connected: Cell::new(false),
            drops: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    /// The kind of its records.
    pub(crate) fn kind(&self) -> &RecordKind {
        &self.kind
    }

    /// Puts another filter in force.
    pub(super) fn set_filter(&self, filter: Option<Filter>) {
        let filter = filter.filter(|filter| !filter.is_open());
        if filter.is_some() {
            self.counters.filtered.is_shown.set(true);
        }
        *self.filter.borrow_mut() = filter.map(Box::new);
    }

    /// Whether it takes some messages only.
    pub(super) fn has_filter(&self) -> bool {
        self.filter.borrow().is_some() || self.is_of_responses()
    }

    /// Whether its format has records of responses alone.
    fn is_of_responses(&self) -> bool {
        self.kind.encoding().is_some_and(Encoding::is_of_responses)
    }

    /// Whether its filter must know how an exchange ended.
    pub(super) fn asks_for_status(&self) -> bool {
        self.filter.borrow().as_ref().is_some_and(|filter| filter.asks_for_status())
            || self.kind.encoding().is_some_and(Encoding::asks_for_status)
    }

    /// Whether its filter leaves a message out, which is then counted; it judges address and name as they were sent.
    pub(super) fn leaves_out(&self, event: &Event<'_>, hashes: &MessageHashes<'_>) -> bool {
        let mut filter = self.filter.borrow_mut();
        let verdict = if self.is_of_responses() && !event.is_response() {
            // Before the filter, whose sample is one of what is left.
            Verdict::Drop(FilterReason::MessageTypes)
        } else {
            filter
                .as_mut()
                .map_or(Verdict::Keep, |filter| filter.judge(event, hashes.sent_address, hashes.sent_name))
        };
        let Verdict::Drop(reason) = verdict else { return false };
        self.counters.received.count();
        self.counters.filtered.tally.count(reason);
        true
    }

    /// Takes the record of one message, made of `parts`, into the queue, or counts it as dropped; wakes the task that
    /// waits for it.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn offer(&self, parts: Result<&[&[u8]], DropReason>) {
        self.counters.received.count();
        match self.push(parts) {
            Ok(()) => self.counters.queued.count(),
            Err(reason) => self.counters.dropped.count(reason),
        }
    }

    /// Whether alarms are to come.
    pub(super) fn takes_alarms(&self) -> bool {
        self.takes_alarms
    }

    /// Counts it as an alarm that was offered last, not as a message.
    pub(super) fn was_alarm(&self) {
        self.counters.received.uncount();
        self.counters.alarms.count();
    }

    /// Takes one message that a line to come will count.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn offer_uncoded(&self) {
        self.counters.received.count();
        if self.state.get() == WriteState::Closed {
            return self.counters.dropped.count(DropReason::Closed);
        }
        self.counters.queued.count();
        self.lines.borrow_mut().uncounted += 1;
    }

    /// Takes a line, made of `parts`, which stands for all messages since the last one.
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn offer_line(&self, parts: &[&[u8]]) {
        let pushed = self.push(Ok(parts));
        let mut lines = self.lines.borrow_mut();
        let messages = core::mem::take(&mut lines.uncounted);
        match pushed {
            Ok(()) => lines.push(messages),
            Err(reason) => self.counters.settle_dropped(messages, reason),
        }
    }

    /// Whether messages came that no line stands for yet.
    pub(super) fn has_uncounted(&self) -> bool {
        self.lines.borrow().uncounted > 0
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn push(&self, parts: Result<&[&[u8]], DropReason>) -> Result<(), DropReason> {
        if self.state.get() == WriteState::Closed {
            return Err(DropReason::Closed);
        }
        let parts = parts?;
        let bytes = {
            let mut queue = self.queue.borrow_mut();
            if queue.push(parts) == Err(Full) {
                return Err(refusal(parts, queue.capacity(), self.state.get()));
            }
            queue.bytes()
        };
        self.publish_bytes(bytes);
        if bytes >= self.wake_at.get() {
            self.wake();
        }
        Ok(())
    }

    /// Notes the bytes that wait, of which `queued` are in the queue.
    fn publish_bytes(&self, queued: usize) {
        self.counters.queue_bytes.set((queued + self.in_flight.get().1) as u64);
    }

    /// The messages that the oldest `records` stand for.
    fn messages_of(&self, records: u64) -> u64 {
        if matches!(self.kind, RecordKind::SelfMade) { self.lines.borrow_mut().pop(records) } else { records }
    }

    /// Counts the oldest records as taken by the other end.
    fn count_delivered(&self, records: u64) {
        self.counters.settle_delivered(self.messages_of(records));
        self.publish_bytes(self.queue.borrow().bytes());
    }

    /// Counts the oldest records as dropped.
    fn count_dropped(&self, records: u64, reason: DropReason) {
        self.counters.settle_dropped(self.messages_of(records), reason);
        self.publish_bytes(self.queue.borrow().bytes());
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether an input may bring one more message without a loss that is not the other end's fault.
    pub(super) fn has_room(&self, policy: WaitPolicy) -> bool {
        let owed = match self.state.get() {
            WriteState::Ready => true,
            WriteState::Blocked | WriteState::Away => match policy {
                WaitPolicy::OneTurn => false,
                WaitPolicy::Configured => self.when_full == WhenFull::Wait,
                WaitPolicy::Forever => true,
            },
            WriteState::Closed => false,
        };
        !owed || self.queue.borrow().has_room(self.longest)
    }

    /// Waits for something to do.
    pub(crate) async fn next_step(&self) -> TaskStep {
        poll_fn(|context| self.poll_step(context)).await
    }

    /// The same, for one look.
    pub(crate) fn poll_step(&self, context: &mut Context<'_>) -> Poll<TaskStep> {
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

    /// Waits until that many bytes are queued that inputs would soon have to wait, but no more than `bytes`;
    /// not at all once the daemon stops.
    pub(crate) async fn filled(&self, bytes: usize) {
        let capacity = self.queue.borrow().capacity();
        let enough = bytes.min((capacity - self.longest) / 2);
        let ready = |outlet: &Self| outlet.finishing.get() || outlet.queue.borrow().bytes() >= enough;
        poll_fn(|context| self.poll_until(context, enough, |outlet| ready(outlet).then_some(()))).await;
    }

    /// Waits until the daemon stops and nothing is queued.
    pub(crate) async fn ended(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_over().then_some(())))
            .await;
    }

    /// Waits until the daemon stops.
    pub(crate) async fn stopping(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_stopping().then_some(())))
            .await;
    }

    /// Whether the daemon stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.finishing.get()
    }

    /// Whether the daemon stops and nothing is queued.
    pub(crate) fn is_over(&self) -> bool {
        self.finishing.get() && self.is_drained()
    }

    /// Whether no record waits or is on its way.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.borrow().is_empty() && self.in_flight.get().0 == 0
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
        self.count_delivered(complete);
        Ok(())
    }

    /// Hands the first record to `write`, and takes it out when that succeeds; `None` when nothing is queued.
    pub(crate) fn write_first_with<T, E>(
        &self,
        write: impl FnOnce([&[u8]; 2]) -> Result<T, E>,
    ) -> Option<Result<(), E>> {
        let written = self.queue.borrow().first().map(write)?;
        Some(written.map(|_| {
            let records = self.take_first();
            self.count_delivered(records);
        }))
    }

    /// Throws the first record away, and counts it.
    pub(crate) fn drop_first(&self, reason: DropReason) {
        let records = self.take_first();
        self.count_dropped(records, reason);
    }

    fn take_first(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let length = queue.first_length().unwrap_or(0);
        queue.take(length)
    }

    /// Bytes of the first record.
    pub(crate) fn first_bytes(&self) -> Option<usize> {
        self.queue.borrow().first_length()
    }

    /// Moves whole records to the end of `batch`, at most `room` bytes; they count as queued until
    /// [`Outlet::batch_written`].
    pub(crate) fn take_batch(&self, batch: &mut Vec<u8>, room: usize) {
        let before = batch.len();
        let moved = self.queue.borrow_mut().drain_into(batch, room);
        let (records, bytes) = self.in_flight.get();
        self.in_flight.set((records + moved, bytes + batch.len() - before));
    }

    /// Counts what [`Outlet::take_batch`] took as delivered.
    pub(crate) fn batch_written(&self) {
        let (records, _) = self.in_flight.take();
        self.count_delivered(records);
    }

    /// Hands the first record to `send`, and when that succeeds takes it out; it counts as queued until
    /// [`Outlet::settle_delivered`] or [`Outlet::settle_lost`]. `None` when nothing waits.
    pub(crate) fn send_first_with<E>(
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

    /// Counts records that were on their way, with that many bytes in all, as delivered.
    pub(crate) fn settle_delivered(&self, records: u64, bytes: usize) {
        let settled = self.settle(records, bytes);
        self.count_delivered(settled);
    }

    /// Counts records that were on their way, with that many bytes in all, as lost.
    pub(crate) fn settle_lost(&self, records: u64, bytes: usize, reason: DropReason) {
        let settled = self.settle(records, bytes);
        self.count_dropped(settled, reason);
    }

    /// Takes records from those on their way.
    fn settle(&self, records: u64, bytes: usize) -> u64 {
        let (flying, weight) = self.in_flight.get();
        let landed = records.min(flying);
        self.in_flight.set((flying - landed, weight.saturating_sub(bytes)));
        landed
    }

    /// Starts a record over that was written in part, on a new connection.
    pub(crate) fn rewind(&self) {
        self.queue.borrow_mut().rewind();
    }

    /// Notes how the last attempt to write went.
    pub(crate) fn set_write_state(&self, state: WriteState) {
        self.state.set(state);
        self.counters.connected.set(u64::from(self.is_connected()));
    }

    /// Notes a new connection.
    pub(crate) fn set_connected(&self) {
        self.set_write_state(WriteState::Ready);
        if self.was_connected.replace(true) {
            self.counters.reconnects.count();
        }
    }

    /// Whether the last attempt to write went through.
    #[cfg(feature = "push")]
    pub(super) fn is_ready(&self) -> bool {
        self.state.get() == WriteState::Ready
    }

    /// Asks for the file to be opened again.
    pub(super) fn ask_to_reopen(&self) {
        self.reopen.set(true);
        self.wake();
    }

    /// Asks the output to end once its queue is empty.
    pub(super) fn ask_to_finish(&self) {
        self.finishing.set(true);
        self.wake();
    }

    /// Throws away whatever waits, and counts it.
    pub(crate) fn discard(&self, reason: DropReason) {
        let (in_flight, _) = self.in_flight.take();
        let records = self.queue.borrow_mut().clear() + in_flight;
        self.count_dropped(records, reason);
        // No line will stand for these.
        let uncounted = core::mem::take(&mut self.lines.borrow_mut().uncounted);
        self.counters.settle_dropped(uncounted, reason);
    }

    /// Reports drops in the log; to be called every second.
    pub(super) fn tick(&self, now: Instant) {
        self.drops.borrow_mut().tick(now, self.name, &self.counters);
    }

    /// Whether a record was dropped within the last minute.
    pub(crate) fn has_dropped_lately(&self, now: Instant) -> bool {
        self.drops.borrow().is_recent(now)
    }

    /// Its counters.
    pub fn counters(&self) -> &OutletCounters {
        &self.counters
    }

    /// Name in metrics and log.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Messages that wait.
    pub(crate) fn queued(&self) -> u64 {
        self.counters.queued.get()
    }

    /// Whether the other end is gone for good.
    pub(super) fn is_closed(&self) -> bool {
        self.state.get() == WriteState::Closed
    }

    /// Whether the other end is there.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state.get(), WriteState::Ready | WriteState::Blocked)
    }
}

/// How many messages each line in the queue stands for, oldest first.
///
/// Lines are few, so there is room for some. Those beyond are counted with the newest that has room, which is early by
/// a line, and exact in all.
#[derive(Debug, Default)]
struct LineWeights {
    waiting: heapless::Deque<u64, LINES>,
    /// Messages that no line stands for yet.
    uncounted: u64,
}

impl LineWeights {
    #[cfg_attr(for_size, optimize(speed))]
    fn push(&mut self, messages: u64) {
        if let Err(messages) = self.waiting.push_back(messages)
            && let Some(newest) = self.waiting.back_mut()
        {
            *newest += messages;
        }
    }

    fn pop(&mut self, lines: u64) -> u64 {
        (0..lines).map_while(|_| self.waiting.pop_front()).sum()
    }
}

/// Lines whose messages are told apart.
const LINES: usize = 64;
