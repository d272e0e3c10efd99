//! The daemon's knowledge of the traffic: counters, rates and distinct counts, for each stream and for all.
//!
//! [`Statistics::observe`] is on the message's way: it counts by index, in memory made at start. Everything
//! else is for readers (the web API, the metrics output): a reader asks for one number at a time by its
//! published name, so no borrow is held while an answer is written.
//!
//! The global counters are the sums over the streams, `other` included, made when asked for. Distinct counts
//! cannot be summed: the global ones, of the union of the streams, are sketches of their own.

pub(crate) mod counter_name;
pub mod counters;
pub(crate) mod descriptors;
mod keyed_tables;
pub mod ranking;
mod recent;
pub(crate) mod streams;
mod table_name;
pub(crate) mod tables;
pub(crate) mod tlds;
mod unknown_types;

use crate::limits::{DISTINCT_BYTES, Limits};
use crate::message::event::Event;
use crate::message::hashes::{MessageHasher, MessageHashes};
use crate::message::kinds::{CLIENT_KINDS, MessageKind, MessageKinds};
use crate::sketch::distinct::DistinctCounts;
use crate::time::Time;
use crate::values::{Bounded, FilePath, KeyError, Network, Seconds, Text};
use crate::wire::iana::{MessageType, Protocol, Rcode, RrType};

use counter_name::CounterName;
use counters::{Direction, LATENCY_BOUNDS, MESSAGE_SLOTS, OTHER_RCODE, message_of_slot};
use recent::Recent;
use serde::Deserialize;
use streams::{Stream, StreamId, Streams};
use tables::Tables;
use unknown_types::UnknownTypes;

pub(crate) use table_name::TableName;

/// Section `statistics`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Count names in lower case.
    pub(crate) qname_lowercase: bool,
    /// Rows of a table when the request does not say.
    pub(crate) max_items: MaxItems,
    /// Counters in `/counters`.
    pub(crate) default_counters: Vec<Text>,
    /// Tables of domains in `/tables`.
    pub(crate) default_top: Vec<TableName>,
    /// Tables of domains kept beside those of `default_top`.
    pub(crate) track: Vec<TableName>,
    /// Seconds after which counts in open tables are halved; 0 = never.
    pub(crate) window: Window,
    /// Identities with places of their own, in the form that all formats show.
    pub(crate) streams: Vec<Text>,
    /// Seconds after which a silent stream makes room for a new one.
    pub(crate) forget_after: ForgetAfter,
    /// Kinds of messages whose query address is a client.
    pub(crate) clients_of: Vec<MessageKind>,
    /// Rows of each table in `/metrics`.
    pub(crate) export_top: ExportTop,
    /// Addresses that say, as the only answer, that a name is blocked; besides 0.0.0.0 and ::.
    pub(crate) blocked_addresses: Vec<Network>,
    /// Files of names that are blocked when the answer is NXDOMAIN.
    pub(crate) blocked_names: Vec<FilePath>,
}

/// The values of `max-items`.
pub(crate) type MaxItems = Bounded<1, 65_536>;

/// The values of `forget-after`.
pub(crate) type ForgetAfter = Bounded<1, { Seconds::MAX }>;

/// The values of `export-top`.
pub(crate) type ExportTop = Bounded<0, 1_000>;

/// The values of `window`.
pub(crate) type Window = Bounded<0, { Seconds::MAX }>;

impl Default for Section {
    fn default() -> Self {
        let counters =
            ["clients", "domains", "query", "response", "qps", "response/noerror", "response/nxdomain"];
        Section {
            qname_lowercase: true,
            max_items: MaxItems::new(10),
            default_counters: counters.map(Text::new).to_vec(),
            default_top: ["noerror/query", "nxdomain/response"].map(TableName::new).to_vec(),
            track: Vec::new(),
            window: Window::new(3600),
            streams: Vec::new(),
            forget_after: ForgetAfter::new(21_600),
            clients_of: CLIENT_KINDS.to_vec(),
            export_top: ExportTop::new(0),
            blocked_addresses: Vec::new(),
            blocked_names: Vec::new(),
        }
    }
}

impl Section {
    /// The maker of the hashes that the statistics count by.
    pub fn hasher(&self) -> MessageHasher {
        MessageHasher::new(self.qname_lowercase, MessageKinds::of(&self.clients_of))
    }

    /// The rules between the keys.
    ///
    /// # Errors
    /// Those of [`tables::TrackedTable::of`].
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        tables::TrackedTable::of(self).map(|_| ())
    }

    /// That all of `streams` find a place among so many.
    ///
    /// # Errors
    /// More names than places.
    pub(crate) fn check_streams(&self, places: usize) -> Result<(), KeyError> {
        let names = self.streams.len();
        if names <= places {
            return Ok(());
        }
        Err(KeyError::new(
            "streams",
            format!(
                "{names} names, and `limits.streams` has {places} places; allowed: at most {places} names"
            ),
        ))
    }
}

/// All statistics.
#[derive(Debug)]
pub struct Statistics {
    streams: Streams,
    unknown_types: UnknownTypes,
    /// Kinds of messages whose query address is a client.
    clients_of: MessageKinds,
    /// Part of the time that averages have seen.
    seen: crate::sketch::rates::WindowCoverage,
    /// Since latencies were halved.
    passed_ms: u64,
    /// Different clients and names of each stream, by its place, and last of all together.
    distincts: DistinctCounts,
    /// The same of all since they were last asked for, for a reader that wants them so.
    interval: Option<DistinctCounts>,
    /// Names and clients that were counted lately.
    recent: Recent,
    tables: Tables,
}

/// Sets of different things that a stream has.
const SETS: usize = 2;
/// The first of them.
const CLIENTS: usize = 0;
/// The second of them.
const DOMAINS: usize = 1;

/// The value of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterValue {
    /// A whole number.
    Count(u64),
    /// A number with decimals, in millionths: seconds in microseconds, rates.
    Millionths(u64),
}

/// One stream, or all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamScope {
    /// All streams together.
    Global,
    /// One stream.
    Stream(StreamId),
}

impl Statistics {
    /// Empty tables of the given sizes, of what is tracked by default.
    pub fn new(limits: &Limits) -> Self {
        Statistics::with(limits, &Section::default(), false)
    }

    /// Empty tables of the given sizes, of what the section says; countries only where clients are looked up.
    pub fn with(limits: &Limits, section: &Section, looks_up_places: bool) -> Self {
        Statistics {
            streams: Streams::new(limits.streams, &section.streams, section.forget_after.get()),
            unknown_types: UnknownTypes::default(),
            clients_of: MessageKinds::of(&section.clients_of),
            seen: crate::sketch::rates::WindowCoverage::NOTHING,
            passed_ms: 0,
            distincts: DistinctCounts::new(distinct_sizes(limits).flat_map(|bytes| [bytes; SETS])),
            interval: None,
            recent: Recent::new(),
            tables: Tables::new(limits, section, looks_up_places),
        }
    }

    /// Bytes of the counts of different things.
    pub(crate) fn distinct_cost(limits: &Limits) -> usize {
        Recent::COST + distinct_sizes(limits).map(|bytes| SETS * DistinctCounts::cost(bytes)).sum::<usize>()
    }

    /// Bytes of those that [`Statistics::count_intervals`] makes.
    pub(crate) const INTERVAL_COST: usize = SETS * DistinctCounts::cost(INTERVAL_BYTES);

    /// Counts distinct clients and names by the interval, too.
    pub fn count_intervals(&mut self) {
        self.interval = Some(DistinctCounts::new([INTERVAL_BYTES; SETS].into_iter()));
    }

    /// Distinct clients and names since the last call; resets nothing else.
    pub(crate) fn take_interval(&mut self) -> Option<(u64, u64)> {
        let interval = self.interval.as_mut()?;
        let counts = (interval.count(CLIENTS), interval.count(DOMAINS));
        interval.reset();
        Some(counts)
    }

    /// Counts one message.
    #[cfg_attr(for_size, optimize(speed))]
    pub fn observe(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>) -> usize {
        let place = match self.streams.find_last(hashes.identity) {
            Some(place) => place,
            None => self.place_of(event.identity, hashes.identity),
        };
        let Some(stream) = self.streams.get_mut(place) else { return place };
        stream.counters.observe(event, &mut self.unknown_types);
        if let Some(latency) = event.latency {
            stream.latencies.count(latency);
        }
        if let Some(hash) = hashes.client
            && !self.recent.holds_client(hash, place)
        {
            self.count_distinct(place, CLIENTS, hash);
        }
        let mut tld = tlds::OTHER;
        if let Some(hash) = hashes.domain {
            tld = match self.recent.tld_of(hash, place) {
                Some(tld) => tld,
                None => {
                    self.count_distinct(place, DOMAINS, hash);
                    let tld = tlds::number_of(&hashes.name);
                    self.recent.remember(hash, place, tld);
                    tld
                }
            };
        }
        if let Some(interval) = &mut self.interval {
            for (set, hash) in [(CLIENTS, hashes.client), (DOMAINS, hashes.domain)] {
                hash.map(|hash| interval.insert(set, hash));
            }
        }
        self.tables.observe(place, event, hashes, tld);
        place
    }

    /// The place of an identity other than that of the last message. A new one may take that of a stream that
    /// has been silent for long: its counters stay in the sums of all streams, its tables and distinct
    /// counts begin again.
    #[inline(never)]
    fn place_of(&mut self, identity: &[u8], hash: u64) -> usize {
        let (place, forgot) = self.streams.find_or_insert(identity, hash);
        if forgot {
            (0..SETS).for_each(|set| self.distincts.reset_set(SETS * place + set));
            self.tables.forget(place);
            self.recent.clear();
        }
        place
    }

    /// Counts a response of the stream at that place as one that was blocked.
    pub(crate) fn count_blocked(&mut self, place: usize) {
        if let Some(stream) = self.streams.get_mut(place) {
            stream.counters.count_blocked();
        }
    }

    /// Counts a response of the stream at that place as one from the cache, or as one for which others were
    /// asked.
    pub(crate) fn count_cached(&mut self, place: usize, was_cached: bool) {
        if let Some(stream) = self.streams.get_mut(place) {
            stream.counters.count_cached(was_cached);
        }
    }

    /// Counts a query of the stream at that place that found no response.
    pub(crate) fn count_unanswered(&mut self, place: usize) {
        if let Some(stream) = self.streams.get_mut(place) {
            stream.counters.count_unanswered();
        }
    }

    /// Counts a client or a name, if it is another one, for the stream at that place and for all.
    #[cfg_attr(for_size, optimize(speed))]
    fn count_distinct(&mut self, place: usize, set: usize, hash: u64) {
        // What the stream has seen, all have.
        if self.distincts.insert(SETS * place + set, hash) {
            self.distincts.insert(SETS * self.streams.capacity() + set, hash);
        }
    }

    /// Renews the rates; `milliseconds` have passed since the last call.
    pub fn tick(&mut self, milliseconds: u64) {
        self.tables.tick(milliseconds);
        self.seen.tick(milliseconds);
        self.passed_ms += milliseconds;
        let halve = self.passed_ms >= crate::sketch::latency::HALVING_MS;
        if halve {
            self.passed_ms %= crate::sketch::latency::HALVING_MS;
        }
        self.streams.tick(milliseconds);
        for stream in self.streams.iter_mut() {
            let of_all = |direction| stream.counters.messages(direction);
            let of_clients = |direction| stream.counters.messages_of(self.clients_of, direction);
            let counted = [
                (of_all(Direction::Query), of_all(Direction::Response)),
                (of_clients(Direction::Query), of_clients(Direction::Response)),
            ];
            for (rates, (queries, responses)) in stream.rates.iter_mut().zip(counted) {
                rates.tick(queries, responses, milliseconds);
            }
            if halve {
                stream.latencies.halve();
            }
        }
    }

    /// Counts from zero again; the names of the streams stay.
    pub(crate) fn reset(&mut self) {
        self.streams.reset();
        self.seen = crate::sketch::rates::WindowCoverage::NOTHING;
        self.distincts.reset();
        self.recent.clear();
        self.tables.reset();
    }

    /// Empties what is kept by client: tables and distinct counts. Counters and rates stay.
    pub(crate) fn forget_clients(&mut self) {
        self.distincts.reset();
        self.recent.clear();
        if let Some(interval) = &mut self.interval {
            interval.reset();
        }
        self.tables.reset();
    }

    /// The streams and their names, in order of first appearance; `other` last, once it was used.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (StreamId, &str)> {
        self.streams.iter().map(|(id, stream)| (id, stream.name()))
    }

    /// The name of the stream at a place, `-` if there is none.
    pub(crate) fn stream_name(&self, place: usize) -> &str {
        self.streams().find(|(id, _)| id.place() == place).map_or("-", |(_, name)| name)
    }

    /// The stream of that name.
    pub(crate) fn find(&self, name: &str) -> Option<StreamId> {
        self.streams().find(|&(_, text)| text == name).map(|(id, _)| id)
    }

    /// The value of a counter, rate or percentile by its published name; 0 for one that does not exist.
    pub(crate) fn value(&self, scope: StreamScope, name: &str) -> CounterValue {
        if let Some((kind, period)) = crate::sketch::rates::parse(name) {
            let [of_all, of_clients] = [0, 1].map(|which| {
                self.sum(scope, |stream| stream.rates.get(which).map_or(0, |rates| rates.of(kind, period)))
            });
            let rate = if self.has_clients(scope) { of_clients } else { of_all };
            return match period {
                crate::sketch::rates::RatePeriod::Second => CounterValue::Count(rate / 1_000_000),
                _ => CounterValue::Millionths(self.seen.complete(rate, period)),
            };
        }
        if let Some(percent) = crate::sketch::latency::parse(name) {
            let all = self.select(scope).map(|stream| &stream.latencies);
            return CounterValue::Millionths(crate::sketch::latency::percentile(percent, all));
        }
        CounterValue::Count(self.counter(scope, name))
    }

    /// The value of a counter by its published name; 0 for one that does not exist.
    pub fn counter(&self, scope: StreamScope, name: &str) -> u64 {
        match name {
            "clients" => self.distinct(scope, CLIENTS),
            "domains" => self.distinct(scope, DOMAINS),
            "upstream-only" => u64::from(self.is_upstream_only(scope)),
            _ => match CounterName::parse(name) {
                Some(counter) => self.named_counter(scope, counter),
                None => self.tld_counter(scope, name).unwrap_or(0),
            },
        }
    }

    /// The value of a counter of the streams.
    pub(crate) fn named_counter(&self, scope: StreamScope, counter: CounterName) -> u64 {
        self.sum(scope, |stream| stream.counters.value(counter, &self.unknown_types))
    }

    /// The count of a top-level domain: `query/com`, or `query/tld/com` for one that is also something else.
    fn tld_counter(&self, scope: StreamScope, name: &str) -> Option<u64> {
        let (direction, what) = name.split_once('/')?;
        let number = tlds::find(what.strip_prefix("tld/").unwrap_or(what).as_bytes())?;
        Some(self.tld(scope, Direction::parse(direction)?, number))
    }

    /// The tables.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Responses by the bounds of their latency, each by itself, and the sum of their latencies in
    /// microseconds.
    pub(crate) fn latency(&self, scope: StreamScope) -> ([u64; LATENCY_BOUNDS.len()], u64) {
        let slot = |slot| self.sum(scope, |stream| stream.counters.latency_slot(slot));
        (core::array::from_fn(slot), self.sum(scope, |stream| stream.counters.latency_microseconds()))
    }

    /// Messages by type and protocol, the pairs that came; `None` for all types or protocols without a name.
    pub(crate) fn messages_by_type(
        &self,
        scope: StreamScope,
    ) -> impl Iterator<Item = (Option<MessageType>, Option<Protocol>, u64)> {
        (0..MESSAGE_SLOTS).filter_map(move |slot| {
            let count = self.sum(scope, |stream| stream.counters.message_slot(slot));
            let (message, protocol) = message_of_slot(slot);
            (count > 0).then_some((message, protocol, count))
        })
    }

    /// Queries of all streams by type, the types that came; `None` for all without a counter of their own.
    pub(crate) fn queries_by_type(&self) -> impl Iterator<Item = (Option<RrType>, u64)> {
        let count =
            |slot| self.sum(StreamScope::Global, |stream| stream.counters.type_slot(Direction::Query, slot));
        let all = self.unknown_types.slots().map(move |(slot, rrtype)| (rrtype, count(slot)));
        all.filter(|&(_, count)| count > 0)
    }

    /// Responses of all streams by code, the codes that came; `None` for all without a counter of their own.
    pub(crate) fn responses_by_code(&self) -> impl Iterator<Item = (Option<Rcode>, u64)> {
        let count = |slot| {
            self.sum(StreamScope::Global, |stream| stream.counters.rcode_slot(Direction::Response, slot))
        };
        let rcode = |slot| u16::try_from(slot).ok().filter(|_| slot < OTHER_RCODE).map(Rcode);
        let all = (0..=OTHER_RCODE).map(move |slot| (rcode(slot), count(slot)));
        all.filter(|&(_, count)| count > 0)
    }

    /// Whether there are messages, and none of them of a kind whose query address is a client: those of a
    /// resolver that reports only what it asks others.
    pub(crate) fn is_upstream_only(&self, scope: StreamScope) -> bool {
        let is_heard = self.select(scope).any(|stream| stream.counters.is_heard());
        is_heard && !self.has_clients(scope)
    }

    fn has_clients(&self, scope: StreamScope) -> bool {
        let has = |stream: &Stream, direction| stream.counters.messages_of(self.clients_of, direction) > 0;
        self.select(scope).any(|stream| has(stream, Direction::Query) || has(stream, Direction::Response))
    }

    /// Streams with tables of their own, if the one asked for is not among them.
    pub(crate) fn lacks_tables(&self, scope: StreamScope) -> Option<usize> {
        let with_tables = self.tables.sets.len().saturating_sub(1);
        match scope {
            StreamScope::Stream(id) if id.place() >= with_tables => Some(with_tables),
            _ => None,
        }
    }

    /// Time of the last message; of all streams the latest.
    pub(crate) fn last_message(&self, scope: StreamScope) -> Option<Time> {
        self.select(scope).filter_map(|stream| stream.counters.last_message()).max()
    }

    /// Messages of identities that found no room in the table.
    pub(crate) fn stream_overflow(&self) -> u64 {
        self.streams.overflow()
    }

    fn sum(&self, scope: StreamScope, value: impl Fn(&Stream) -> u64) -> u64 {
        self.select(scope).map(value).fold(0, u64::wrapping_add)
    }

    fn select(&self, scope: StreamScope) -> impl Iterator<Item = &Stream> {
        let chosen = move |id: StreamId| scope == StreamScope::Global || scope == StreamScope::Stream(id);
        let forgotten = (scope == StreamScope::Global).then_some(self.streams.forgotten());
        self.streams.iter().filter(move |&(id, _)| chosen(id)).map(|(_, stream)| stream).chain(forgotten)
    }

    fn distinct(&self, scope: StreamScope, set: usize) -> u64 {
        let place = match scope {
            StreamScope::Global => self.streams.capacity(),
            StreamScope::Stream(id) => id.place(),
        };
        self.distincts.count(SETS * place + set)
    }
}

/// Bytes of each set of different things: of the streams in order, of the others, and of all.
fn distinct_sizes(limits: &Limits) -> impl Iterator<Item = usize> {
    let [all, with_tables, further] = limits.distinct;
    let with = limits.table_streams.min(limits.streams);
    let streams = (0..limits.streams).map(move |place| if place < with { with_tables } else { further });
    streams.chain([with_tables, all])
}

/// Bytes of a set that counts by the interval.
const INTERVAL_BYTES: usize = DISTINCT_BYTES;
