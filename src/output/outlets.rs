//! All outputs together: the last step of a message, and who waits for whom.

use core::cell::{Cell, RefCell};
use std::time::Instant;

use event_listener::{Event as Notice, listener};

use super::http::loki;
use super::outlet::WaitPolicy;
use super::record::RecordKind;
use super::{DropReason, Outlet};
use crate::format::{self, Encoding, Record, RecordSource};
use crate::health::alarms::Alarm;
use crate::limits::{OUTPUTS, RECORD_BYTES};
use crate::message::event::Event;
use crate::message::filter::Filter;
use crate::message::geoip::NetworkDatabase;
use crate::message::hashes::MessageHashes;
use crate::wire::dnstap::Dnstap;
use defmt_or_log::warn;

/// All outputs that are on.
#[derive(Debug, Default)]
pub struct Outlets {
    list: heapless::Vec<Outlet, OUTPUTS>,
    /// The encodings that they want, each with who wants it.
    encodings: heapless::Vec<SharedEncoding, OUTPUTS>,
    /// Whether one of them takes messages without a format: as frames, or only to count them.
    takes_others: bool,
    /// Whose addresses are; `None` if nobody asks for it.
    networks: RefCell<Option<NetworkDatabase>>,
    /// Whether usual records have the device of who asked.
    shows_devices: Cell<bool>,
    /// Whether some record may have it.
    asks_for_device: Cell<bool>,
    /// Whether one of them has a filter.
    has_filters: Cell<bool>,
    /// Whether a filter must know how an exchange ended.
    asks_for_status: Cell<bool>,
    /// Where a record is encoded before it is copied into the queues.
    record: RefCell<Record>,
    /// Told whenever a queue got shorter.
    progress: Notice,
}

/// An encoding that some outputs want.
#[derive(Debug, Clone, Copy)]
struct SharedEncoding {
    /// The place of the first of them.
    first: usize,
    /// All of them: bit n for the one at place n.
    takers: u32,
}

impl Outlets {
    /// All outputs that are on; at most [`OUTPUTS`].
    pub fn new(list: impl IntoIterator<Item = Outlet>) -> Self {
        let list: heapless::Vec<Outlet, OUTPUTS> = list.into_iter().take(OUTPUTS).collect();
        let mut encodings: heapless::Vec<SharedEncoding, OUTPUTS> = heapless::Vec::new();
        for (at, outlet) in list.iter().enumerate() {
            let Some(encoding) = outlet.kind().encoding() else { continue };
            let is_same = |shared: &&mut SharedEncoding| {
                list.get(shared.first).and_then(|first| first.kind().encoding()) == Some(encoding)
            };
            match encodings.iter_mut().find(is_same) {
                Some(shared) => shared.takers |= 1 << at,
                None => drop(encodings.push(SharedEncoding { first: at, takers: 1 << at })),
            }
        }
        let longest = list.iter().filter_map(|outlet| Some(outlet.kind().encoding()?.longest)).max();
        let outlets = Outlets {
            takes_others: list.iter().any(|outlet| outlet.kind().encoding().is_none()),
            list,
            encodings,
            record: RefCell::new(Record::new(longest.unwrap_or(RECORD_BYTES))),
            ..Outlets::default()
        };
        outlets.look_at_filters();
        outlets.show_devices(false);
        outlets
    }

    /// Puts other filters in force; an output that has none takes all messages.
    pub(crate) fn set_filters(&self, mut filter_of: impl FnMut(&str) -> Option<Filter>) {
        self.list.iter().for_each(|outlet| outlet.set_filter(filter_of(outlet.name())));
        self.look_at_filters();
    }

    fn look_at_filters(&self) {
        self.has_filters.set(self.list.iter().any(Outlet::has_filter));
        self.asks_for_status.set(self.list.iter().any(Outlet::asks_for_status));
    }

    /// Whether a filter must know how an exchange ended.
    #[inline]
    pub(crate) fn asks_for_status(&self) -> bool {
        self.asks_for_status.get()
    }

    /// Puts another database of networks in force, or none.
    pub(crate) fn set_networks(&self, database: Option<NetworkDatabase>) {
        *self.networks.borrow_mut() = database;
    }

    /// Whether usual records of text, JSON and YAML have the device of who asked from now on.
    pub(crate) fn show_devices(&self, shows: bool) {
        self.shows_devices.set(shows);
        let mut encodings = self.list.iter().filter_map(|outlet| outlet.kind().encoding());
        self.asks_for_device.set(shows || encodings.any(Encoding::asks_for_device));
    }

    /// Whether some record may have the device of who asked.
    #[inline]
    pub(crate) fn asks_for_device(&self) -> bool {
        self.asks_for_device.get()
    }

    /// The outputs that leave a message out: bit n for the one at place n.
    #[cold]
    fn left_out(&self, event: &Event<'_>, hashes: &MessageHashes<'_>) -> u32 {
        let bit = |(at, outlet): (usize, &Outlet)| u32::from(outlet.leaves_out(event, hashes)) << at;
        self.list.iter().enumerate().map(bit).sum()
    }

    /// The output of that name.
    #[cfg(test)]
    pub(crate) fn find(&self, name: &str) -> Option<&Outlet> {
        self.list.iter().find(|outlet| outlet.name() == name)
    }

    /// All of them, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Outlet> {
        self.list.iter()
    }

    /// Last synchronous step of a message: encodes it for every output. `hashes` has the address and the name
    /// as they were sent, for filters and networks alone; `device` is the name of the address; `frame` the
    /// data frame it came in.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn offer(
        &self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        device: Option<&str>,
        frame: &[u8],
    ) {
        if self.list.is_empty() {
            return;
        }
        let left_out = if self.has_filters.get() { self.left_out(event, hashes) } else { 0 };
        let takers = || {
            let takes = move |(at, _): &(usize, &Outlet)| left_out >> at & 1 == 0;
            self.list.iter().enumerate().filter(takes).map(|(_, outlet)| outlet)
        };
        let mut record = self.record.borrow_mut();
        let networks = self.networks.borrow();
        let mut source = RecordSource::new(event, frame);
        source.device = device;
        source.shows_device = self.shows_devices.get();
        source.network = networks.as_ref().zip(hashes.sent_address);
        for shared in &self.encodings {
            let wanted = shared.takers & !left_out;
            let first = self.list.get(shared.first).and_then(|outlet| outlet.kind().encoding());
            let (Some(encoding), true) = (first, wanted != 0) else { continue };
            let encoded = format::encode(encoding, &source, &mut record);
            #[cfg(test)]
            tests::ENCODED.with(|count| count.set(count.get() + 1));
            let encoded =
                encoded.map(|()| record.as_slice()).map_err(|core::fmt::Error| DropReason::Oversize);
            for (at, outlet) in self.list.iter().enumerate() {
                if wanted >> at & 1 == 1 {
                    offer_encoded(outlet, event, encoded);
                }
            }
        }
        if self.takes_others {
            for outlet in takers() {
                match outlet.kind() {
                    RecordKind::RawFrames(frames) => frames.offer(outlet, event, frame),
                    RecordKind::SelfMade => outlet.offer_uncoded(),
                    _ => {}
                }
            }
        }
    }

    /// Encodes an alarm for every output that wants alarms.
    #[cold]
    pub(crate) fn offer_alarm(&self, alarm: &Alarm<'_>) {
        let mut record = self.record.borrow_mut();
        let mut event = Event::from_dnstap(&Dnstap::default());
        event.time = Some(format::alarm::time(alarm));
        for outlet in self.list.iter().filter(|outlet| outlet.takes_alarms()) {
            let Some(encoding) = outlet.kind().encoding() else { continue };
            let encoded = format::alarm::encode(encoding.format, alarm, &mut record);
            let encoded =
                encoded.map(|()| record.as_slice()).map_err(|core::fmt::Error| DropReason::Oversize);
            match (outlet.kind(), encoded) {
                (RecordKind::Syslog(envelope), Ok(record)) => envelope.offer_alarm(outlet, &event, record),
                (_, encoded) => offer_encoded(outlet, &event, encoded),
            }
            outlet.was_alarm();
        }
    }

    /// Whether no output makes an input with this policy wait before its next message.
    pub(crate) fn has_room(&self, policy: WaitPolicy) -> bool {
        self.list.iter().all(|outlet| outlet.has_room(policy))
    }

    /// Waits until no output makes an input with this policy wait.
    pub async fn room(&self, policy: WaitPolicy) {
        self.wait_until(|| self.has_room(policy)).await;
    }

    /// Waits until nothing is queued any more.
    pub async fn drained(&self) {
        self.wait_until(|| self.list.iter().all(Outlet::is_drained)).await;
    }

    /// Waits until nobody takes anything any more.
    pub(crate) async fn closed(&self) {
        self.wait_until(|| self.list.iter().all(Outlet::is_closed)).await;
    }

    /// Makes room in all outputs that forward frames to compose them again.
    pub(crate) fn prepare_to_rewrite(&self) {
        for outlet in &self.list {
            if let RecordKind::RawFrames(frames) = outlet.kind() {
                frames.prepare_to_rewrite();
            }
        }
    }

    /// Asks all outputs to open their files again.
    pub(crate) fn reopen(&self) {
        self.list.iter().for_each(Outlet::ask_to_reopen);
    }

    /// Asks all outputs to end once their queues are empty.
    pub(crate) fn finish(&self) {
        self.list.iter().for_each(Outlet::ask_to_finish);
    }

    /// Throws away what is left at a stop, counts it, and says so.
    pub(crate) fn give_up(&self) {
        for outlet in &self.list {
            let queued = outlet.queued();
            if queued > 0 {
                warn!("Output {}: {} records were not taken in time", outlet.name(), queued);
            }
            outlet.discard(DropReason::Shutdown);
        }
    }

    /// Reports drops in the log; to be called every second.
    pub(crate) fn tick(&self, now: Instant) {
        self.list.iter().for_each(|outlet| outlet.tick(now));
    }

    /// Tells the inputs that a queue got shorter or an output changed its state.
    pub(crate) fn progressed(&self) {
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

/// Puts one encoded event into an output's queue, in the output's kind.
fn offer_encoded(outlet: &Outlet, event: &Event<'_>, encoded: Result<&[u8], DropReason>) {
    match (outlet.kind(), encoded) {
        (RecordKind::Plain { terminator, .. }, Ok(record)) => outlet.offer(Ok(&[record, terminator])),
        (RecordKind::Syslog(envelope), Ok(record)) => envelope.offer(outlet, event, record),
        (RecordKind::Keyed(keyed), Ok(record)) => keyed.offer(outlet, event, record),
        (RecordKind::Loki(_), Ok(record)) => loki::offer(outlet, event, record),
        (RecordKind::RawFrames(_) | RecordKind::SelfMade, _) => {}
        (_, Err(loss)) => outlet.offer(Err(loss)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::WriteState;
    use super::super::syslog::SyslogComposer;
    use super::*;
    use crate::limits::QUEUE_MIN;
    use crate::message::filter::FilterReason;
    use crate::message::hashes::MessageHasher;
    use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
    use crate::output::syslog::choices::{Facility, HeaderFormat, Severity};
    use crate::section::QueueSettings;
    use crate::values::{Format, WhenFull};
    use crate::wire::dnstap::Message;
    use crate::wire::iana::MessageType;
    use proptest::prelude::*;

    std::thread_local! {
        /// Events that were encoded.
        pub(crate) static ENCODED: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn two_outputs_of_one_format_encode_once() {
        let settings = QueueSettings { bytes: 64 << 10, when_full: WhenFull::Drop, alarms: false };
        let of = |format, end: &[u8]| Outlet::new("test", format, end, settings);
        let syslog =
            SyslogComposer::new(Format::Json, HeaderFormat::None, None, (Facility::Daemon, Severity::Info));
        let outlets = Outlets::new([
            of(Format::Json, b"\n"),
            of(Format::Json, b"|"),
            Outlet::of_kind("test", RecordKind::Syslog(syslog.into()), settings),
            of(Format::Text, b"\n"),
        ]);
        offer(&outlets);
        assert_eq!(ENCODED.with(Cell::get), 2, "JSON and text");
        let records: Vec<_> = outlets
            .iter()
            .map(|outlet| {
                let mut bytes = Vec::new();
                outlet.take_batch(&mut bytes, 1 << 16);
                String::from_utf8(bytes).unwrap()
            })
            .collect();
        let json = records[2].as_str();
        assert!(json.starts_with('{') && json.ends_with('}'));
        assert_eq!(records[..2], [format!("{json}\n"), format!("{json}|")]);
        assert!(records[3].starts_with("- - CLIENT_QUERY"));
    }

    #[test]
    fn each_output_has_a_filter_of_its_own() {
        let settings = QueueSettings { bytes: 64 << 10, when_full: WhenFull::Drop, alarms: false };
        let of = |name| Outlet::new(name, Format::Text, b"\n", settings);
        let outlets = Outlets::new([of("all"), of("responses"), of("queries")]);
        outlets.set_filters(|name| {
            let types = match name {
                "responses" => "message-types = ['CLIENT_RESPONSE']",
                "queries" => "message-types = ['CLIENT_QUERY']",
                _ => return None,
            };
            Some(Filter::new(&toml::from_str(types).unwrap()))
        });
        offer(&outlets);
        let account = |name| {
            let counters = outlets.find(name).unwrap().counters();
            (
                counters.received.get(),
                counters.filtered.tally.of(FilterReason::MessageTypes),
                counters.queued.get(),
            )
        };
        assert_eq!(
            [account("all"), account("responses"), account("queries")],
            [(1, 0, 1), (1, 1, 0), (1, 0, 1)]
        );
        outlets.set_filters(|_| None);
        offer(&outlets);
        assert_eq!(
            [account("all"), account("responses"), account("queries")],
            [(2, 0, 2), (2, 1, 1), (2, 0, 2)]
        );
    }

    /// One output with the smallest queue.
    fn outlets(when_full: WhenFull) -> Outlets {
        let settings = QueueSettings { bytes: QUEUE_MIN as usize, when_full, alarms: false };
        Outlets::new([Outlet::new("test", Format::Json, b"\n", settings)])
    }

    fn offer(outlets: &Outlets) {
        let message = Message { message_type: MessageType::CLIENT_QUERY, ..Message::default() };
        let event = Event::from_dnstap(&Dnstap { message, ..Dnstap::default() });
        let hashes = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS)).hash(&event);
        outlets.offer(&event, &hashes, None, b"");
    }

    /// Offers until an input would have to wait, or for a while.
    fn fill(outlets: &Outlets, has_room: impl Fn(&Outlets) -> bool) -> u64 {
        (0..1_000).take_while(|_| has_room(outlets)).map(|_| offer(outlets)).count() as u64
    }

    #[test]
    fn an_output_that_is_owed_a_turn_loses_nothing() {
        let outlets = outlets(WhenFull::Drop);
        let offered = fill(&outlets, |outlets| outlets.has_room(WaitPolicy::Configured));
        let outlet = outlets.find("test").unwrap();
        assert!(offered < 1_000);
        assert_eq!((outlet.queued(), outlet.counters().dropped.total()), (offered, 0));
    }

    #[test]
    fn one_that_had_its_turn_drops_or_makes_inputs_wait() {
        for (when_full, waits) in [(WhenFull::Drop, false), (WhenFull::Wait, true)] {
            for (state, loss) in
                [(WriteState::Blocked, DropReason::Full), (WriteState::Away, DropReason::Away)]
            {
                let outlets = outlets(when_full);
                let outlet = outlets.find("test").unwrap();
                outlet.set_write_state(state);
                let offered = fill(&outlets, |outlets| outlets.has_room(WaitPolicy::Configured));
                assert_eq!(offered < 1_000, waits);
                assert_eq!(outlet.counters().dropped.of(loss), outlet.counters().dropped.total());
                assert_eq!(outlet.counters().dropped.total() > 0, !waits);
                assert!(!outlets.has_room(WaitPolicy::Forever), "a replay waits in any case");
                assert!(outlets.has_room(WaitPolicy::OneTurn), "a sniffer waits in no case");
            }
        }
    }

    #[test]
    fn a_closed_output_makes_nobody_wait() {
        let outlets = outlets(WhenFull::Wait);
        let outlet = outlets.find("test").unwrap();
        outlet.set_write_state(WriteState::Closed);
        assert_eq!(fill(&outlets, |outlets| outlets.has_room(WaitPolicy::Forever)), 1_000);
        assert_eq!(outlet.counters().dropped.of(DropReason::Closed), 1_000);
    }

    proptest! {
        /// Received is delivered, dropped and queued, whatever happens in whatever order.
        #[test]
        fn the_account_is_exact(steps in proptest::collection::vec((0u8..5, 0usize..5_000), 0..300)) {
            let outlets = outlets(WhenFull::Drop);
            let outlet = outlets.find("test").unwrap();
            let mut offered = 0;
            for (step, bytes) in steps {
                match step {
                    0 | 1 => for _ in 0..bytes / 500 { offer(&outlets); offered += 1 },
                    2 => outlet.write_with(|[first, _]| Ok::<_, ()>(bytes.min(first.len()))).unwrap(),
                    3 => outlet.set_write_state(if bytes < 100 { WriteState::Closed } else { WriteState::Blocked }),
                    _ => if bytes < 50 { outlet.discard(DropReason::Shutdown) },
                }
                let account = outlet.counters().delivered.get() + outlet.counters().dropped.total() + outlet.queued();
                prop_assert_eq!(account, offered);
            }
        }
    }
}
