//! Where events go: what all outputs have in common.
//!
//! An output has two halves. `offer` is synchronous and the same for all: it puts the encoded record into the
//! output's own queue, or counts a loss. `run` is a task of its own for each kind: it takes whole records out
//! and writes them somewhere. So nothing is dispatched per message, and no output can hold up another one.
//!
//! When two outputs want the same encoding, the record is encoded once.
//!
//! **Turns.** An output whose last write went through is owed a turn before its queue may overflow: inputs
//! stop between two frames until it had one ([`Outputs::room`]). So one that keeps up loses nothing at any
//! speed. An output whose write would have blocked had its turn; from then on its records are dropped when
//! its queue is full, or, with `when-full = "wait"`, the inputs wait for it.
//!
//! At any instant `received = delivered + dropped + queued`.

pub mod dnstap;
pub mod file;
pub mod kafka;
pub mod metrics;
pub mod queue;
pub mod stdout;
pub mod syslog;
pub mod tcp;

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use event_listener::{Event as Notice, listener};

use crate::event::Event;
use crate::format::{self, Record};
use crate::limits::{OUTPUTS, RECORD_BYTES};
use crate::setting::{Format, WhenFull};
use crate::tally::Tally;
use queue::RecordQueue;
use serde::Deserialize;

/// Section `output`: one table for each kind of output.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Prints.
    pub stdout: stdout::Section,
    /// Writes a file that rotates.
    pub file: file::Section,
    /// Sends to a TCP server.
    pub tcp_socket: tcp::Section,
    /// Sends to a syslog server.
    pub syslog: syslog::Section,
    /// Writes one line of counters every some seconds.
    pub metrics: metrics::Section,
    /// Sends to another collector.
    pub dnstap: dnstap::Section,
    /// Sends to a Kafka topic.
    pub kafka: kafka::Section,
}

impl Section {
    /// Settles what depends on the other outputs: `stdout.enable`.
    pub fn resolve(&mut self) {
        let others = self.file.enable
            || self.tcp_socket.enable
            || self.syslog.enable
            || self.metrics.enable
            || self.dnstap.enable
            || self.kafka.enable;
        self.stdout.enable.get_or_insert(!others);
    }
}

/// One output: its queue and its counters.
pub struct Output {
    name: &'static str,
    format: Format,
    /// What ends a record.
    terminator: &'static [u8],
    when_full: WhenFull,
    queue: RefCell<RecordQueue>,
    state: Cell<State>,
    /// The task that waits for records.
    reader: Cell<Option<Waker>>,
    received: Cell<u64>,
    delivered: Cell<u64>,
    dropped: Tally,
    reconnects: Cell<u64>,
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

/// Why a record is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue is full and the output had its turn.
    Full,
    /// The other end is gone for good.
    Closed,
    /// The record is longer than any can be.
    Oversize,
    /// The daemon stopped before the other end took it.
    Shutdown,
}

impl Loss {
    const ALL: [Loss; 4] = [Loss::Full, Loss::Closed, Loss::Oversize, Loss::Shutdown];

    /// Label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Loss::Full => "full",
            Loss::Closed => "closed",
            Loss::Oversize => "oversize",
            Loss::Shutdown => "shutdown",
        }
    }
}

impl Output {
    /// An output with an empty queue.
    pub fn new(
        name: &'static str,
        format: Format,
        terminator: &'static [u8],
        settings: QueueSettings,
    ) -> Self {
        Output {
            name,
            format,
            terminator,
            when_full: settings.when_full,
            queue: RefCell::new(RecordQueue::new(settings.octets)),
            state: Cell::new(State::Ready),
            reader: Cell::new(None),
            received: Cell::new(0),
            delivered: Cell::new(0),
            dropped: Tally::new(Loss::ALL.map(Loss::label)),
            reconnects: Cell::new(0),
        }
    }

    /// Takes one record into the queue, or counts a loss; wakes the task that waits for records.
    fn offer(&self, record: Result<&[u8], Loss>) {
        self.received.set(self.received.get() + 1);
        if self.state.get() == State::Closed {
            return self.dropped.count(Loss::Closed.label());
        }
        let pushed = record.and_then(|record| {
            self.queue.borrow_mut().push(&[record, self.terminator]).map_err(|queue::Full| Loss::Full)
        });
        match pushed {
            Ok(()) => {
                if let Some(reader) = self.reader.take() {
                    reader.wake();
                }
            }
            Err(reason) => self.dropped.count(reason.label()),
        }
    }

    /// Whether an input may bring one more message without a loss that is not the other end's fault.
    fn has_room(&self, patient: bool) -> bool {
        let owed = match self.state.get() {
            State::Ready => true,
            State::Blocked | State::Away => patient || self.when_full == WhenFull::Wait,
            State::Closed => false,
        };
        !owed || self.queue.borrow().has_room(RECORD_BYTES)
    }

    /// Waits until there is something to write.
    pub async fn pending(&self) {
        poll_fn(|context| {
            if !self.queue.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.reader.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
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

    /// Notes how the last attempt to write went.
    pub fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Throws away what waits, and counts it.
    pub fn discard(&self, reason: Loss) {
        self.dropped.add(reason.label(), self.queue.borrow_mut().clear());
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
        self.queue.borrow().records()
    }

    /// Octets that wait.
    pub fn queue_octets(&self) -> usize {
        self.queue.borrow().octets()
    }

    /// Whether the other end is there.
    pub fn is_connected(&self) -> bool {
        matches!(self.state.get(), State::Ready | State::Blocked)
    }

    /// Connections made after the first.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.get()
    }
}

/// All outputs that are on.
#[derive(Debug, Default)]
pub struct Outputs {
    list: heapless::Vec<Output, OUTPUTS>,
    /// Where a record is encoded before it is copied into the queues.
    record: RefCell<Record>,
    /// Told whenever a queue got shorter.
    progress: Notice,
}

impl Outputs {
    /// All outputs that are on; at most [`OUTPUTS`], one of each kind.
    pub fn new(list: impl IntoIterator<Item = Output>) -> Self {
        Outputs { list: list.into_iter().take(OUTPUTS).collect(), ..Outputs::default() }
    }

    /// The output of that name.
    pub fn find(&self, name: &str) -> Option<&Output> {
        self.list.iter().find(|output| output.name == name)
    }

    /// The outputs, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.list.iter()
    }

    /// Last synchronous step of a message: encodes it for every output.
    pub fn offer(&self, event: &Event<'_>) {
        let mut record = self.record.borrow_mut();
        for &format in Format::ALL {
            let mut wanted = self.list.iter().filter(|output| output.format == format).peekable();
            if wanted.peek().is_none() {
                continue;
            }
            let encoded =
                format::encode(format, event, &mut record).map_err(|core::fmt::Error| Loss::Oversize);
            let encoded = encoded.map(|()| record.as_slice());
            wanted.for_each(|output| output.offer(encoded));
        }
    }

    /// Whether every output that is owed a turn has room for one more message.
    pub fn has_room(&self) -> bool {
        self.list.iter().all(|output| output.has_room(false))
    }

    /// Waits until every output that is owed a turn, or must not lose anything, has room for one more message.
    pub async fn room(&self) {
        self.wait_until(|| self.has_room()).await;
    }

    /// Whether every output that is not closed has room for one more message: for inputs that can wait.
    pub fn has_room_everywhere(&self) -> bool {
        self.list.iter().all(|output| output.has_room(true))
    }

    /// Waits until every output that is not closed has room for one more message.
    pub async fn room_everywhere(&self) {
        self.wait_until(|| self.has_room_everywhere()).await;
    }

    /// Waits until nothing is queued any more.
    pub async fn drained(&self) {
        self.wait_until(|| self.list.iter().all(|output| output.queued() == 0)).await;
    }

    /// Tells the inputs that a queue got shorter or an output changed its state.
    pub fn progressed(&self) {
        self.progress.notify(usize::MAX);
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            listener!(self.progress => progressed);
            if condition() {
                return;
            }
            progressed.await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::QUEUE_MIN;
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;
    use proptest::prelude::*;

    /// One output with the smallest queue.
    fn outputs(when_full: WhenFull) -> Outputs {
        let settings = QueueSettings { octets: QUEUE_MIN as usize, when_full };
        Outputs::new([Output::new("test", Format::Json, b"\n", settings)])
    }

    fn offer(outputs: &Outputs) {
        let message = Message { message_type: MessageType::CLIENT_QUERY, ..Message::default() };
        outputs.offer(&Event::from_dnstap(&Dnstap { message, ..Dnstap::default() }));
    }

    /// Offers until an input would have to wait, or for a while.
    fn fill(outputs: &Outputs, has_room: impl Fn(&Outputs) -> bool) -> u64 {
        (0..1_000).take_while(|_| has_room(outputs)).map(|_| offer(outputs)).count() as u64
    }

    #[test]
    fn an_output_that_is_owed_a_turn_loses_nothing() {
        let outputs = outputs(WhenFull::Drop);
        let offered = fill(&outputs, Outputs::has_room);
        let output = outputs.find("test").unwrap();
        assert!(offered < 1_000);
        assert_eq!((output.queued() as u64, output.dropped().total()), (offered, 0));
    }

    #[test]
    fn one_that_had_its_turn_drops_or_makes_inputs_wait() {
        for (when_full, waits) in [(WhenFull::Drop, false), (WhenFull::Wait, true)] {
            let outputs = outputs(when_full);
            let output = outputs.find("test").unwrap();
            output.set_state(State::Blocked);
            let offered = fill(&outputs, Outputs::has_room);
            assert_eq!(offered < 1_000, waits);
            assert_eq!(output.dropped().of(Loss::Full.label()) > 0, !waits);
            assert!(!outputs.has_room_everywhere(), "a replay waits in any case");
        }
    }

    #[test]
    fn a_closed_output_makes_nobody_wait() {
        let outputs = outputs(WhenFull::Wait);
        let output = outputs.find("test").unwrap();
        output.set_state(State::Closed);
        assert_eq!(fill(&outputs, Outputs::has_room_everywhere), 1_000);
        assert_eq!(output.dropped().of(Loss::Closed.label()), 1_000);
    }

    proptest! {
        /// Received is delivered, dropped and queued, whatever happens in whatever order.
        #[test]
        fn the_account_is_exact(steps in proptest::collection::vec((0u8..5, 0usize..5_000), 0..300)) {
            let outputs = outputs(WhenFull::Drop);
            let output = outputs.find("test").unwrap();
            let mut offered = 0;
            for (step, octets) in steps {
                match step {
                    0 | 1 => for _ in 0..octets / 500 { offer(&outputs); offered += 1 },
                    2 => output.write_with(|[first, _]| Ok::<_, ()>(octets.min(first.len()))).unwrap(),
                    3 => output.set_state(if octets < 100 { State::Closed } else { State::Blocked }),
                    _ => if octets < 50 { output.discard(Loss::Shutdown) },
                }
                let account = output.delivered() + output.dropped().total() + output.queued() as u64;
                prop_assert_eq!(account, offered);
            }
        }
    }
}
