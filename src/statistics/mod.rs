//! What the daemon knows of the traffic: counters, rates and distinct counts, for each stream and for all.
//!
//! [`Statistics::observe`] is on the message's way: it counts by index, in memory made at start. Everything
//! else is for readers (the web API, the metrics output): a reader asks for one number at a time by its
//! published name, so no borrow is held while an answer is written.
//!
//! The global counters are the sums over the streams, `other` included, made when asked for. Distinct counts
//! cannot be summed: the global ones, of the union of the streams, are sketches of their own.

pub mod counters;
pub mod ranking;
pub mod streams;
mod table_name;
pub mod tables;
pub mod tlds;

use crate::limits::{DISTINCT_BYTES, Limits};
use crate::message::event::Event;
use crate::sketch::distinct::DistinctCounts;
use crate::time::Time;
pub use table_name::TableName;

use crate::values::{Bounded, KeyError, Seconds, Text};
use crate::wire::name::Name;
use counters::{Counter, Direction, LATENCY_CLASSES, UnknownTypes};
use serde::Deserialize;
use streams::{Stream, StreamId, Streams};
use tables::Tables;

/// Section `statistics`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Count names in lower case.
    pub qname_lowercase: bool,
    /// Rows of a table when the request does not say.
    pub max_items: MaxItems,
    /// Counters in `/counters`.
    pub default_counters: Vec<Text>,
    /// Tables of domains in `/tables`.
    pub default_top: Vec<TableName>,
    /// Tables of domains kept beside those of `default_top`.
    pub track: Vec<TableName>,
    /// Seconds after which counts in open tables are halved; 0 = never.
    pub window: Window,
}

/// What `max-items` takes.
pub type MaxItems = Bounded<1, 65_536>;

/// What `window` takes.
pub type Window = Bounded<0, { Seconds::MAX }>;

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
        }
    }
}

impl Section {
    /// The rules between the keys.
    ///
    /// # Errors
    /// Those of [`tables::TrackedTable::of`].
    pub fn check(&self) -> Result<(), KeyError> {
        tables::TrackedTable::of(self).map(|_| ())
    }
}

/// All statistics.
#[derive(Debug)]
pub struct Statistics {
    streams: Streams,
    unknown_types: UnknownTypes,
    /// Part of the time that averages have seen.
    seen: crate::sketch::rates::WindowCoverage,
    /// Since latencies were halved.
    passed_ms: u64,
    /// Different clients and names of each stream, by its place, and last of all together.
    distincts: DistinctCounts,
    /// The same of all since they were last asked for, for a reader that wants them so.
    interval: Option<DistinctCounts>,
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
pub enum CounterValue {
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

/// MessageHashes of what a message is about, made once and used by all tables; `None` for what it lacks.
#[derive(Clone, Copy, Debug)]
pub struct MessageHashes<'a> {
    /// Of the query address; none for the unspecified one.
    pub client: Option<u64>,
    /// Of the name, in lower case if so configured.
    pub domain: Option<u64>,
    /// The name as it was sent.
    pub name: Name<'a>,
}

impl Statistics {
    /// Empty tables of the given sizes, of what is tracked by default.
    pub fn new(limits: &Limits) -> Self {
        Statistics::with(limits, &Section::default(), false)
    }

    /// Empty tables of the given sizes, of what the section says; countries only where clients are looked up.
    pub fn with(limits: &Limits, section: &Section, with_countries: bool) -> Self {
        Statistics {
            streams: Streams::new(limits.streams),
            unknown_types: UnknownTypes::default(),
            seen: crate::sketch::rates::WindowCoverage::NOTHING,
            passed_ms: 0,
            distincts: DistinctCounts::new(distinct_sizes(limits).flat_map(|octets| [octets; SETS])),
            interval: None,
            tables: Tables::new(limits, section, with_countries),
        }
    }

    /// Bytes of the counts of different things.
    pub fn distinct_cost(limits: &Limits) -> usize {
        distinct_sizes(limits).map(|octets| SETS * DistinctCounts::cost(octets)).sum()
    }

    /// Bytes of those that [`Statistics::count_intervals`] makes.
    pub const INTERVAL_COST: usize = SETS * DistinctCounts::cost(INTERVAL_BYTES);

    /// Counts distinct clients and names by the interval, too.
    pub fn count_intervals(&mut self) {
        self.interval = Some(DistinctCounts::new([INTERVAL_BYTES; SETS].into_iter()));
    }

    /// Distinct clients and names since the last call; resets nothing else.
    pub fn take_interval(&mut self) -> Option<(u64, u64)> {
        let interval = self.interval.as_mut()?;
        let counts = (interval.count(CLIENTS), interval.count(DOMAINS));
        interval.reset();
        Some(counts)
    }

    /// Counts one message.
    pub fn observe(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>) {
        let Some(stream) = self.streams.of(event) else { return };
        stream.counters.observe(event, &mut self.unknown_types);
        if let Some(latency) = event.latency {
            stream.latencies.count(latency);
        }
        let place = self.streams.last_place();
        self.count_distinct(place, CLIENTS, hashes.client);
        self.count_distinct(place, DOMAINS, hashes.domain);
        self.tables.observe(place, event, hashes);
    }

    /// Counts a client or a name, if it is another one, for the stream at that place and for all.
    #[inline]
    fn count_distinct(&mut self, place: usize, set: usize, hash: Option<u64>) {
        let Some(hash) = hash else { return };
        // What the stream has seen, all have.
        if self.distincts.insert(SETS * place + set, hash) {
            self.distincts.insert(SETS * self.streams.capacity() + set, hash);
        }
        if let Some(interval) = &mut self.interval {
            interval.insert(set, hash);
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
        let unknown = &self.unknown_types;
        for stream in self.streams.iter_mut() {
            let count = |direction| stream.counters.value(Counter::Messages(direction), unknown);
            let (queries, responses) = (count(Direction::Query), count(Direction::Response));
            stream.rates.tick(queries, responses, milliseconds);
            if halve {
                stream.latencies.halve();
            }
        }
    }

    /// Counts from zero again; the names of the streams stay.
    pub fn reset(&mut self) {
        self.streams.reset();
        self.seen = crate::sketch::rates::WindowCoverage::NOTHING;
        self.distincts.reset();
        self.tables.reset();
    }

    /// The streams and their names, in order of first appearance; `other` last, once it was used.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &str)> {
        self.streams.iter().map(|(id, stream)| (id, stream.name()))
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        self.streams().find(|&(_, text)| text == name).map(|(id, _)| id)
    }

    /// The value of a counter, rate or percentile by its published name; 0 for one that does not exist.
    pub fn value(&self, scope: StreamScope, name: &str) -> CounterValue {
        if let Some((kind, period)) = crate::sketch::rates::parse(name) {
            let rate = self.sum(scope, |stream| stream.rates.of(kind, period));
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
            _ => match Counter::parse(name) {
                Some(counter) => self.sum(scope, |s| s.counters.value(counter, &self.unknown_types)),
                None => self.tld_counter(scope, name).unwrap_or(0),
            },
        }
    }

    /// The count of a top-level domain: `query/com`, or `query/tld/com` for one that is also something else.
    fn tld_counter(&self, scope: StreamScope, name: &str) -> Option<u64> {
        let (direction, what) = name.split_once('/')?;
        let number = tlds::find(what.strip_prefix("tld/").unwrap_or(what).as_bytes())?;
        Some(self.tld(scope, Direction::parse(direction)?, number))
    }

    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Responses by latency class, each class by itself, and the sum of their latencies in microseconds.
    pub fn latency(&self, scope: StreamScope) -> ([u64; LATENCY_CLASSES.len()], u64) {
        let class =
            |class| self.sum(scope, |s| s.counters.value(Counter::Latency(class), &self.unknown_types));
        (core::array::from_fn(class), self.sum(scope, |stream| stream.counters.latency_microseconds()))
    }

    /// Time of the last message; of all streams the latest.
    pub fn last_message(&self, scope: StreamScope) -> Option<Time> {
        self.select(scope).filter_map(|stream| stream.counters.last_message()).max()
    }

    /// Messages of identities that found no room in the table.
    pub fn stream_overflow(&self) -> u64 {
        self.streams.overflow()
    }

    fn sum(&self, scope: StreamScope, value: impl Fn(&Stream) -> u64) -> u64 {
        self.select(scope).map(value).fold(0, u64::wrapping_add)
    }

    fn select(&self, scope: StreamScope) -> impl Iterator<Item = &Stream> {
        let chosen = move |id: StreamId| scope == StreamScope::Global || scope == StreamScope::Stream(id);
        self.streams.iter().filter(move |&(id, _)| chosen(id)).map(|(_, stream)| stream)
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
