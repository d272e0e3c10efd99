//! One output: its queue, its counters, and how its last attempt to write went.

mod line_weights;
mod task_side;

use core::cell::{Cell, RefCell};
use core::task::Waker;

use std::time::Instant;

pub(crate) use task_side::TaskStep;

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
use line_weights::LineWeights;

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

    /// Whether its filter leaves a message out, which is then counted; it judges address and name as they
    /// were sent.
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

    /// Takes the record of one message, made of `parts`, into the queue, or counts it as dropped; wakes the
    /// task that waits for it.
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
        self.drops.borrow().is_recent(now, &self.counters)
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
