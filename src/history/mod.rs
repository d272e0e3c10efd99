//! The memory of the daemon: who asked for what, and when.
//!
//! ```text
//! event, its hashes, its payload
//!   v
//! History::observe --- a query -----> log: a record that waits
//!   |              --- a response --> status: answered, blocked, ... --> log: the record is complete
//!   |--- counts --> series
//!   +--- counts --> devices (names)
//! ```
//!
//! * [`log`]: the last exchanges, encoded small, in memory made at start
//! * [`series`]: the minutes of a day and the hours of a month
//! * [`status`]: how an exchange ended, as far as a response says it
//!
//! Without a log no name and no address is kept, so no device is counted or saved, either; there are names
//! for those that files name.
//!
//! [`History::observe`] is on the way of a message: no allocation, no clock. Time comes from
//! [`History::tick`], once a second.
//!
//! A build without the cargo feature `history` has no collector that remembers: all of this is checked by the
//! compiler there, and left out of the program because [`BUILT`] says so in the few places that lead here.

pub(crate) mod log;
pub(crate) mod saved;
pub(crate) mod saver;
pub(crate) mod series;
pub(crate) mod status;

use core::net::IpAddr;
use std::time::Duration;

use crate::limits::Limits;
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::message::pairing::ExchangeMark;
use crate::message::status::ExchangeStatus;
use crate::names::Devices;
use crate::section::section;
use crate::time::Time;
use crate::values::{Bounded, ByteSize, FilePath, Network};
use crate::wire::name::NAME_MAX;
use log::{Exchange, LatencyClass, Log, LoggedAnswer, Outcome, Status};
use saver::{SaveSettings, Saver};
use series::{Series, SeriesCount};
use status::StatusRules;

section! {
    /// Section `history`.
    pub struct Section {
        /// Whether anything is remembered.
        enable: bool = BUILT,
        /// Memory for the last exchanges; unset = the profile's, 0 = none.
        log: Option<LogSize> = None,
        /// Whether the first answer is kept, too.
        answers: bool = false,
        /// Days after which an exchange goes; 0 = only when the place is needed.
        keep: KeepDays = KeepDays::new(0),
        /// Clients that leave no trace but in the counts.
        exclude_clients: Vec<Network> = Vec::new(),
        /// The folder that all of it is saved in; unset = in memory alone.
        path: Option<FilePath> = None,
        /// Seconds after which what is new is saved.
        save_interval: SaveSeconds = SaveSeconds::new(600),
        /// Bytes that are written a day at most; 0 = no limit.
        write_budget: ByteSize = ByteSize::new(1 << 20),
    }
}

/// Whether this build has it, and the names of devices with it.
pub(crate) const BUILT: bool = cfg!(feature = "history");

/// The range of `log`.
pub(crate) type LogSize = ByteSize<0, LOG_MAX>;

/// The range of `save-interval`.
pub(crate) type SaveSeconds = Bounded<1, 86_400>;

/// The range of `keep`.
pub(crate) type KeepDays = Bounded<0, 36_500>;

/// The most memory of the log, in bytes: references have 19 bits, and count units of no more than 128 bytes.
pub(crate) const LOG_MAX: u64 = 64 << 20;

const DAY_MS: i64 = 86_400_000;

impl Section {
    /// Bytes of the log; 0 if there is none.
    pub(crate) fn log_bytes(&self, limits: &Limits) -> usize {
        match self.log.map_or(limits.history_log, ByteSize::in_memory) {
            0 => 0,
            bytes => bytes.max(log::LOG_BYTES_MIN),
        }
    }

    /// Bytes of everything.
    pub(crate) fn cost(&self, limits: &Limits) -> usize {
        let log = match self.log_bytes(limits) {
            0 => 0,
            bytes => Log::cost(bytes, limits.streams + 1),
        };
        let saver = if self.path.is_some() { Saver::COST } else { 0 };
        log + Series::COST + Devices::cost(limits.devices) + saver
    }

    /// Where and how all of it is saved; `None` if it is not.
    pub(crate) fn saving(&self) -> Option<SaveSettings> {
        let folder = self.path.as_ref().filter(|_| BUILT && self.enable)?.to_path_buf();
        let interval = Duration::from_secs(u64::from(self.save_interval.get()));
        Some(SaveSettings { folder, interval, budget: self.write_budget.get() })
    }
}

/// The memory of exchanges.
#[derive(Debug)]
pub struct History {
    log: Option<Log>,
    series: Series,
    devices: Devices,
    /// Whether clients are devices: not while their addresses are hidden.
    has_devices: bool,
    /// Whether frames of neighbours say which addresses are one device's.
    learns_from_frames: bool,
    rules: StatusRules,
    exclude: Vec<Network>,
    keep_days: u32,
    /// The monotonic clock in milliseconds, at the last tick.
    now: u64,
}

/// The traces of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The note that pairing keeps with the query.
    pub(crate) mark: ExchangeMark,
    /// Whether it is a response to a client that was blocked.
    pub(crate) is_blocked: bool,
}

impl History {
    /// Nothing remembered yet. `now` is the monotonic clock in milliseconds.
    pub fn new(section: &Section, limits: &Limits, rules: StatusRules, now: u64) -> Self {
        let bytes = section.log_bytes(limits);
        History {
            log: (bytes > 0).then(|| Log::new(bytes, section.answers, limits.streams + 1)),
            series: Series::new(now),
            devices: Devices::new(limits.devices),
            has_devices: true,
            learns_from_frames: false,
            rules,
            exclude: section.exclude_clients.clone(),
            keep_days: section.keep.get(),
            now,
        }
    }

    /// Remembers a message of the stream at that place; `policy_intervened` where a policy of the server did
    /// not let it pass.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn observe(
        &mut self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
        stream: u16,
    ) -> Observed {
        let mark = event.exchange;
        let mut is_counted = false;
        if let Some(log) = &mut self.log {
            log.note_time(stream, event.time, self.now);
            match mark.forgotten() {
                Some(query) if event.is_response() => is_counted = log.supersede(query.into()),
                Some(forgotten) => log.forget(forgotten.into()),
                None => {}
            }
        }
        if hashes.is_of_client {
            self.count(event, hashes);
        }
        if event.is_response() {
            self.observe_response(event, hashes, policy_intervened, stream, is_counted)
        } else {
            self.observe_query(event, hashes, stream)
        }
    }

    /// Counts a message of a client.
    #[inline]
    fn count(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>) {
        if let Some(client) = hashes.client {
            self.series.count_client(client);
        }
        if !event.is_response() {
            return self.series.count(SeriesCount::Queries);
        }
        self.series.count(SeriesCount::Responses);
        match event.dns.rcode.map(|rcode| rcode.0) {
            Some(2) => self.series.count(SeriesCount::Servfail),
            Some(3) => self.series.count(SeriesCount::Nxdomain),
            _ => {}
        }
        if let Some(latency) = event.latency {
            self.series.count_latency(latency);
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn observe_query(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>, stream: u16) -> Observed {
        let mark = event.exchange;
        // Asked once more, it is the exchange that it was.
        if let (Some(log), Some(handle)) = (&self.log, mark.handle())
            && log.is_pending(handle.into())
        {
            return Observed { mark: mark.with(Some(handle)), is_blocked: false };
        }
        if self.is_excluded(hashes) {
            return Observed { mark: mark.with(None), is_blocked: false };
        }
        self.count_device(event, hashes, event.time);
        let Some(log) = &mut self.log else { return Observed::default() };
        // For what pairing cannot remember, no response will be found: it is not waited for.
        let status = if mark.is_remembered() { Status::Pending } else { Status::Unknown };
        let rcode = event.dns.rcode.map(|rcode| rcode.0);
        let outcome = Outcome { status, rcode, ede: None, responded: false };
        let exchange = exchange(event, hashes, stream, outcome);
        let handle = log.append(&exchange);
        Observed { mark: mark.with(Some(handle.into())), is_blocked: false }
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn observe_response(
        &mut self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
        stream: u16,
        is_counted: bool,
    ) -> Observed {
        let mut judged = self.rules.judge(event, hashes, policy_intervened);
        if let (true, Some(status)) = (event.name_rewritten, event.status) {
            // By the name and the answers as they were sent.
            judged.outcome.status = status.into();
        }
        let is_blocked = judged.outcome.status == Status::Blocked;
        if is_blocked {
            self.series.count(SeriesCount::Blocked);
        }
        let observed = Observed { mark: ExchangeMark::default(), is_blocked };
        if self.is_excluded(hashes) {
            return observed;
        }
        let mut room;
        let answer = if self.log.as_ref().is_some_and(Log::keeps_answers) {
            room = [0; NAME_MAX];
            judged.answer(&mut room)
        } else {
            LoggedAnswer::None
        };
        let handle = event.exchange.handle();
        let latency = event.latency;
        let is_complete = match (&mut self.log, handle) {
            (Some(log), Some(handle)) => {
                log.complete(handle.into(), &judged.outcome, latency, &answer).is_some()
            }
            _ => false,
        };
        // Without a log nobody knows whether its query was counted.
        if !is_complete && !is_counted && self.log.is_some() {
            self.count_device(event, hashes, event.query_time.or(event.time));
        }
        if is_blocked
            && self.has_devices
            && self.log.is_some()
            && let (Some(client), Some(_)) = (event.query.address, hashes.client)
        {
            self.devices.count_blocked(client);
        }
        if let (Some(log), false) = (&mut self.log, is_complete) {
            let exchange = exchange(event, hashes, stream, judged.outcome);
            let latency = LatencyClass::of(latency);
            log.append(&Exchange { time: event.query_time.or(event.time), latency, answer, ..exchange });
        }
        observed
    }

    #[inline]
    fn is_excluded(&self, hashes: &MessageHashes<'_>) -> bool {
        let address = hashes.sent_address;
        !self.exclude.is_empty()
            && address.is_some_and(|address| self.exclude.iter().any(|network| network.contains(address)))
    }

    #[inline]
    fn count_device(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>, time: Option<Time>) {
        if self.has_devices
            && let (Some(client), Some(_)) = (event.query.address, hashes.client)
        {
            if self.log.is_none() {
                return self.devices.note_stranger(client);
            }
            let seconds = time.map_or(0, |time| u32::try_from(time.seconds).unwrap_or(u32::MAX));
            self.devices.count_query(client, seconds);
        }
    }

    /// Once a second: `now` is the monotonic clock in milliseconds, `wall` the time in seconds since 1970,
    /// `None` while that is not to be believed. Hands over the place of the stream of each query that
    /// found no response.
    pub(crate) fn tick(&mut self, now: u64, wall: Option<u64>, unanswered: impl FnMut(u16)) {
        self.now = now;
        self.series.tick(now, wall);
        if let Some(log) = &mut self.log {
            log.expire(now, unanswered);
            if let (Some(wall), 1..) = (wall, self.keep_days) {
                log.drop_before(wall as i64 * 1_000 - i64::from(self.keep_days) * DAY_MS);
            }
        }
    }

    /// How the exchange of a message ended, as far as the message says it.
    pub(crate) fn status(
        &self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
    ) -> ExchangeStatus {
        self.rules.status(event, hashes, policy_intervened)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if let Some(log) = &mut self.log {
            log.clear();
        }
        self.series.clear();
        self.devices.clear();
    }

    /// Forgets everything with an address of a client in it; the series stay.
    pub(crate) fn forget_clients(&mut self) {
        if let Some(log) = &mut self.log {
            log.clear();
            log.reset_pairs();
        }
        self.devices.clear();
    }

    /// Whether clients are devices.
    pub(crate) fn has_devices(&self) -> bool {
        self.has_devices
    }

    /// Has clients be devices from now on, or not.
    pub(crate) fn set_devices(&mut self, has_devices: bool) {
        self.has_devices = has_devices;
    }

    /// Whether frames of neighbours are worth a look.
    #[inline]
    pub(crate) fn learns_from_frames(&self) -> bool {
        self.has_devices && self.learns_from_frames
    }

    /// Looks at frames of neighbours from now on, or not.
    pub(crate) fn set_learns_from_frames(&mut self, learns_from_frames: bool) {
        self.learns_from_frames = learns_from_frames;
    }

    /// Judges by other lists from now on.
    pub(crate) fn set_rules(&mut self, rules: StatusRules) {
        self.rules = rules;
    }

    /// Counts pairs from now on.
    pub(crate) fn reset_pairs(&mut self) {
        if let Some(log) = &mut self.log {
            log.reset_pairs();
        }
    }

    /// The log, to have it keep in mind what is saved.
    pub(crate) fn log_mut(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }

    /// Everything that was saved is loaded.
    pub(crate) fn end_loading(&mut self) {
        if let Some(log) = &mut self.log {
            log.end_loading();
        }
    }

    /// Exchanges that had to go before they were saved.
    pub(crate) fn unsaved(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::unsaved)
    }

    /// The log; `None` if none is kept.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// The series.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// The devices.
    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The devices, to tell them their names.
    pub(crate) fn devices_mut(&mut self) -> &mut Devices {
        &mut self.devices
    }

    /// Exchanges that had to go.
    pub(crate) fn evicted(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::evicted)
    }

    /// The name of the device of an address.
    pub(crate) fn name(&self, address: Option<IpAddr>) -> Option<&str> {
        if self.has_devices { self.devices.name(address?) } else { None }
    }
}

/// An event as an exchange that begins with it.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
fn exchange<'e>(
    event: &Event<'e>,
    hashes: &MessageHashes<'e>,
    stream: u16,
    outcome: Outcome,
) -> Exchange<'e> {
    let question = event.dns.question.as_ref();
    Exchange {
        time: event.time,
        identity: event.identity,
        identity_hash: hashes.identity,
        stream,
        client: event.query.address,
        client_hash: hashes.address.unwrap_or(0),
        name: question.map(|question| question.name),
        name_hash: hashes.folded,
        qtype: question.and_then(|question| question.qtype),
        message: event.message_type,
        family: event.family,
        protocol: event.protocol,
        outcome,
        latency: LatencyClass::NONE,
        answer: LoggedAnswer::None,
    }
}

#[cfg(test)]
mod tests;
