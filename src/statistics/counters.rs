//! Exact counters of one stream: arrays indexed by what is counted, and the names they are read by.
//!
//! A counter is written by index on the message's way and read by its name ([`CounterName`]) outside of it.
//! Types that IANA has not named are counted one by one as long as [`UnknownTypes`] has room for their
//! numbers, then together.

use super::counter_name::CounterName;
use super::unknown_types::{TYPES, UnknownTypes};
use crate::message::event::Event;
use crate::message::kinds::MessageKinds;
use crate::time::{Latency, Time};
use crate::wire::iana::{Family, MessageType, Protocol, Rcode};

/// Makes [`PlainCounters`] and [`COUNTERS`] of their rows: the name after `query/` or `response/`, what a
/// message adds, and for each direction that has the counter, its metric and the help.
macro_rules! plain_counters {
    ($(
        $(#[$doc:meta])*
        $field:ident: $name:literal, $amount:expr, {
            $($direction:ident as $metric:literal: $help:literal,)+
        }
    )+) => {
        /// Counters of one direction that have a name of their own.
        #[derive(Clone, Debug)]
        struct PlainCounters {
            $($(#[$doc])* $field: u64,)+
        }

        impl PlainCounters {
            /// Nothing counted yet.
            const ZERO: PlainCounters = PlainCounters { $($field: 0,)+ };

            /// Counts one message.
            #[inline]
            fn observe(&mut self, event: &Event<'_>) {
                $(self.$field += amount(event, $amount);)+
            }

            /// Adds what was counted elsewhere.
            fn add(&mut self, other: &PlainCounters) {
                $(self.$field += other.$field;)+
            }
        }

        /// All rows, in the order of the metrics.
        pub(crate) const COUNTERS: &[CounterRow] = &[$($(
            CounterRow {
                direction: Direction::$direction,
                name: $name,
                metric: $metric,
                help: $help,
                value: |counters| counters.$field,
            },
        )+)+];
    };
}

/// A row of [`COUNTERS`].
pub(crate) struct CounterRow {
    pub(super) direction: Direction,
    /// Name after that of the direction; empty for the direction as a whole.
    pub(super) name: &'static str,
    /// Name among the metrics.
    pub(crate) metric: &'static str,
    /// The help of the metric, a sentence.
    pub(crate) help: &'static str,
    value: fn(&PlainCounters) -> u64,
}

/// The amount that a message adds. Each row is a function of its own, which is inlined.
#[inline(always)]
fn amount(event: &Event<'_>, of: impl Fn(&Event<'_>) -> u64) -> u64 {
    of(event)
}

plain_counters! {
    /// Bytes of DNS payload.
    bytes: "bytes", |event| u64::from(event.length), {
        Query as "dnstap_queries_bytes_total": "Bytes of DNS payload in queries.",
        Response as "dnstap_responses_bytes_total": "Bytes of DNS payload in responses.",
    }
    /// Messages.
    messages: "", |_| 1, {
        Query as "dnstap_queries": "Queries.",
        Response as "dnstap_responses": "Responses.",
    }
    /// Responses that were blocked, if a history is kept: the history counts them.
    blocked: "blocked", |_| 0, {
        Response as "dnstap_responses_blocked": "Responses to clients that a policy or a list kept back.",
    }
    /// Responses to clients from the cache, as far as health knows: it counts them, and the next ones.
    cached: "cached", |_| 0, {
        Response as "dnstap_responses_cached": "Responses to clients from the resolver's cache, where that is known.",
    }
    /// Responses to clients for which other servers were asked.
    fetched: "fetched", |_| 0, {
        Response as "dnstap_responses_fetched": "Responses to clients for which other servers were asked.",
    }
    /// Queries that found no response, if a history is kept: the history counts them.
    unanswered: "unanswered", |_| 0, {
        Query as "dnstap_queries_unanswered": "Queries without a response within 60 s.",
    }
}

/// Everything counted of one stream since start or reset.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    queries: DirectionCounters,
    responses: DirectionCounters,
    /// Messages by type and protocol together, see [`message_slot`].
    messages: [u64; MESSAGE_SLOTS],
    /// Responses by latency, each up to one of [`LATENCY_BOUNDS`].
    latency: [u64; LATENCY_BOUNDS.len()],
    /// Sum of all latencies in microseconds.
    latency_microseconds: u64,
    /// Time of the last message that had one.
    last_message: Option<Time>,
}

/// Counters of one direction.
#[derive(Clone, Debug)]
struct DirectionCounters {
    plain: PlainCounters,
    /// By number; 0 counts those without or of an unknown one.
    families: [u64; FAMILIES],
    /// By number; the last counts all from 24 up.
    rcodes: [u64; RCODES],
    /// By rank of the known types, then the unknown ones in order of appearance, then the rest.
    types: [u64; TYPES],
}

impl DirectionCounters {
    /// Nothing counted yet.
    const ZERO: DirectionCounters = DirectionCounters {
        plain: PlainCounters::ZERO,
        families: [0; FAMILIES],
        rcodes: [0; RCODES],
        types: [0; TYPES],
    };
}

/// Protocols by number; 0 counts those without or of an unknown one.
const PROTOCOLS: usize = 8;
/// Message types by number. The schema has 1 to 14; other responses count at 0 and other queries at 15, so
/// that here, too, the last bit says which it is.
const MESSAGE_TYPES: usize = 16;
/// Slots of messages by type and protocol.
pub(crate) const MESSAGE_SLOTS: usize = MESSAGE_TYPES * PROTOCOLS;
const FAMILIES: usize = 3;
const RCODES: usize = OTHER_RCODE + 1;
/// Where all rcodes from here up are counted together.
pub(crate) const OTHER_RCODE: usize = 24;

/// Bounds of the histogram of latencies in nanoseconds, included, and as the metrics show them.
pub(crate) const LATENCY_BOUNDS: [(u64, &str); 14] = [
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (20_000_000, "0.02"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (200_000_000, "0.2"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_000_000_000, "2"),
    (5_000_000_000, "5"),
    (u64::MAX, "+Inf"),
];

/// Latency classes: the name of the counter, and which of [`LATENCY_BOUNDS`] make it up.
pub(super) const LATENCY_CLASSES: [(&str, core::ops::Range<usize>); 6] = [
    ("latency0_1", 0..2),
    ("latency1_10", 2..5),
    ("latency10_50", 5..7),
    ("latency50_100", 7..8),
    ("latency100_1000", 8..11),
    ("latency_slow", 11..14),
];

impl Counters {
    /// Nothing counted yet.
    pub(crate) const ZERO: Counters = Counters {
        queries: DirectionCounters::ZERO,
        responses: DirectionCounters::ZERO,
        messages: [0; MESSAGE_SLOTS],
        latency: [0; LATENCY_BOUNDS.len()],
        latency_microseconds: 0,
        last_message: None,
    };

    /// Counts one message.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn observe(&mut self, event: &Event<'_>, unknown: &mut UnknownTypes) {
        bump(&mut self.messages, message_slot(event.message_type, event.protocol));
        let direction = if event.is_response() { &mut self.responses } else { &mut self.queries };
        direction.plain.observe(event);
        bump(&mut direction.families, slot(event.family.map_or(0, |Family(number)| number), FAMILIES));
        if let Some(Rcode(number)) = event.dns.rcode {
            bump(&mut direction.rcodes, usize::from(number).min(RCODES - 1));
        }
        if let Some(rrtype) = event.dns.question.as_ref().and_then(|question| question.qtype) {
            bump(&mut direction.types, unknown.slot(rrtype));
        }
        if let Some(latency) = event.latency {
            self.observe_latency(latency);
        }
        self.last_message = event.time.or(self.last_message);
    }

    /// Counts a response that was counted as a message as one that was blocked.
    pub(super) fn count_blocked(&mut self) {
        self.responses.plain.blocked += 1;
    }

    /// Counts a response that was counted as a message as one from the cache, or not.
    pub(super) fn count_cached(&mut self, was_cached: bool) {
        let plain = &mut self.responses.plain;
        *(if was_cached { &mut plain.cached } else { &mut plain.fetched }) += 1;
    }

    /// Counts a query that found no response.
    pub(super) fn count_unanswered(&mut self) {
        self.queries.plain.unanswered += 1;
    }

    fn observe_latency(&mut self, latency: Latency) {
        bump(&mut self.latency, LATENCY_BOUNDS.partition_point(|&(bound, _)| bound < latency.nanoseconds()));
        self.latency_microseconds += latency.microseconds();
    }

    /// The value of one counter.
    pub(crate) fn value(&self, counter: CounterName, unknown: &UnknownTypes) -> u64 {
        let at = |slots: &[u64], slot: usize| slots.get(slot).copied().unwrap_or(0);
        let of = |direction| self.of(direction);
        match counter {
            CounterName::Plain(row) => {
                COUNTERS.get(row).map_or(0, |row| (row.value)(&of(row.direction).plain))
            }
            CounterName::Protocol(direction, Protocol(number)) => {
                let is_meant = |slot: &usize| is_of(*slot, direction) && slot % PROTOCOLS == number as usize;
                (0..MESSAGE_SLOTS).filter(is_meant).map(|slot| at(&self.messages, slot)).sum()
            }
            CounterName::Family(direction, Family(number)) => at(&of(direction).families, number as usize),
            CounterName::Rcode(direction, Rcode(number)) if usize::from(number) < RCODES - 1 => {
                at(&of(direction).rcodes, usize::from(number))
            }
            CounterName::Rcode(..) => 0,
            CounterName::Type(direction, rrtype) => {
                unknown.find(rrtype).map_or(0, |slot| at(&of(direction).types, slot))
            }
            CounterName::Latency(class) => {
                let slots = LATENCY_CLASSES.get(class).and_then(|(_, slots)| self.latency.get(slots.clone()));
                slots.unwrap_or_default().iter().sum()
            }
        }
    }

    /// Messages of one direction.
    pub(crate) fn messages(&self, direction: Direction) -> u64 {
        self.of(direction).plain.messages
    }

    /// Messages of one direction and of some kinds.
    pub(crate) fn messages_of(&self, kinds: MessageKinds, direction: Direction) -> u64 {
        let is_meant = |slot: &usize| {
            let (message, _) = message_of_slot(*slot);
            is_of(*slot, direction) && message.is_some_and(|message| kinds.contain(message))
        };
        (0..MESSAGE_SLOTS).filter(is_meant).map(|slot| self.message_slot(slot)).sum()
    }

    /// Messages of the type and protocol of a slot (see [`message_of_slot`]).
    pub(crate) fn message_slot(&self, slot: usize) -> u64 {
        self.messages.get(slot).copied().unwrap_or(0)
    }

    /// Responses up to one of [`LATENCY_BOUNDS`], and beyond the one before.
    pub(crate) fn latency_slot(&self, slot: usize) -> u64 {
        self.latency.get(slot).copied().unwrap_or(0)
    }

    /// Whether anything was counted.
    pub(crate) fn is_heard(&self) -> bool {
        self.queries.plain.messages > 0 || self.responses.plain.messages > 0
    }

    /// Adds what was counted of another stream.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn add(&mut self, other: &Counters) {
        let pairs = [(&mut self.queries, &other.queries), (&mut self.responses, &other.responses)];
        for (own, other) in pairs {
            own.plain.add(&other.plain);
            add(&mut own.families, &other.families);
            add(&mut own.rcodes, &other.rcodes);
            add(&mut own.types, &other.types);
        }
        add(&mut self.messages, &other.messages);
        add(&mut self.latency, &other.latency);
        self.latency_microseconds += other.latency_microseconds;
        self.last_message = self.last_message.max(other.last_message);
    }

    /// Messages with an rcode, or, at [`OTHER_RCODE`], with one above.
    pub(crate) fn rcode_slot(&self, direction: Direction, slot: usize) -> u64 {
        self.of(direction).rcodes.get(slot).copied().unwrap_or(0)
    }

    /// Messages with the type of a slot (see [`UnknownTypes::slots`]).
    pub(crate) fn type_slot(&self, direction: Direction, slot: usize) -> u64 {
        self.of(direction).types.get(slot).copied().unwrap_or(0)
    }

    fn of(&self, direction: Direction) -> &DirectionCounters {
        match direction {
            Direction::Query => &self.queries,
            Direction::Response => &self.responses,
        }
    }

    /// Sum of all latencies in microseconds.
    pub(crate) fn latency_microseconds(&self) -> u64 {
        self.latency_microseconds
    }

    /// Time of the last message that had one.
    pub(crate) fn last_message(&self) -> Option<Time> {
        self.last_message
    }
}

/// The slot of a message's type and protocol.
#[inline]
fn message_slot(message: MessageType, protocol: Option<Protocol>) -> usize {
    let is_known = message.0.wrapping_sub(1) < MESSAGE_TYPES as u32 - 2;
    let other = if message.is_response() { 0 } else { MESSAGE_TYPES - 1 };
    let row = if is_known { message.0 as usize } else { other };
    row * PROTOCOLS + slot(protocol.map_or(0, |Protocol(number)| number), PROTOCOLS)
}

/// Message type and protocol of a slot; `None` for all without a name.
pub(crate) fn message_of_slot(slot: usize) -> (Option<MessageType>, Option<Protocol>) {
    let (row, column) = (slot / PROTOCOLS, slot % PROTOCOLS);
    let message = u32::try_from(row).ok().filter(|number| (1..MESSAGE_TYPES as u32 - 1).contains(number));
    let protocol = u32::try_from(column).ok().filter(|&number| number > 0);
    (message.map(MessageType), protocol.map(Protocol))
}

/// Whether a slot of messages is of that direction: responses have even types.
fn is_of(slot: usize, direction: Direction) -> bool {
    (slot / PROTOCOLS).is_multiple_of(2) == (direction == Direction::Response)
}

/// A number as a slot; 0 where there are not so many.
#[inline]
fn slot(number: u32, slots: usize) -> usize {
    usize::try_from(number).ok().filter(|&slot| slot < slots).unwrap_or(0)
}

#[cfg_attr(for_size, optimize(speed))]
fn add(slots: &mut [u64], others: &[u64]) {
    slots.iter_mut().zip(others).for_each(|(slot, other)| *slot += other);
}

fn bump(slots: &mut [u64], slot: usize) {
    if let Some(count) = slots.get_mut(slot) {
        *count += 1;
    }
}

/// Query or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A message of odd type.
    Query,
    /// A message of even type.
    Response,
}

impl Direction {
    /// That of a message.
    #[inline]
    pub(crate) fn of(event: &Event<'_>) -> Self {
        if event.is_response() { Direction::Response } else { Direction::Query }
    }

    /// Reads the word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Direction::Query, Direction::Response].into_iter().find(|direction| direction.word() == word)
    }

    /// The word in names of counters.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Direction::Query => "query",
            Direction::Response => "response",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_classes_include_their_upper_bound() {
        let mut counters = Counters::ZERO;
        for nanoseconds in [0, 1_000_000, 1_000_001, 60_000_000_000] {
            let (asked, answered) = (
                Time { seconds: 0, nanoseconds: 0 },
                Time {
                    seconds: nanoseconds / 1_000_000_000,
                    nanoseconds: (nanoseconds % 1_000_000_000) as u32,
                },
            );
            counters.observe_latency(Latency::between(asked, answered).unwrap());
        }
        assert_eq!(counters.latency, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let class = |class| counters.value(CounterName::Latency(class), &UnknownTypes::default());
        assert_eq!([0, 1, 2, 3, 4, 5].map(class), [2, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn classes_of_latency_have_the_bounds_in_their_names() {
        let mut next = 0;
        for (name, slots) in &LATENCY_CLASSES {
            assert_eq!(slots.start, next);
            next = slots.end;
            let (bound, shown) = LATENCY_BOUNDS[next - 1];
            let milliseconds = name.strip_prefix("latency").and_then(|rest| rest.split_once('_')).unwrap().1;
            match milliseconds.parse::<u64>() {
                Ok(milliseconds) => assert_eq!(bound, milliseconds * 1_000_000),
                Err(_) => assert_eq!((milliseconds, shown), ("slow", "+Inf")),
            }
        }
        assert_eq!(next, LATENCY_BOUNDS.len());
        for pair in LATENCY_BOUNDS.windows(2) {
            assert!(pair[0].0 < pair[1].0);
            assert_eq!(pair[0].1.parse::<f64>().unwrap(), pair[0].0 as f64 / 1e9);
        }
    }

    #[test]
    fn every_type_and_protocol_has_a_slot_of_its_direction() {
        for message in (0..20).map(MessageType) {
            for protocol in [None, Some(0), Some(1), Some(7), Some(8), Some(u32::MAX)] {
                let slot = message_slot(message, protocol.map(Protocol));
                let named = (1..=14).contains(&message.0).then_some(message);
                let of_name = protocol.filter(|number| (1..8).contains(number)).map(Protocol);
                assert_eq!(message_of_slot(slot), (named, of_name), "{message} {protocol:?}");
                assert!(is_of(slot, Direction::Response) == message.is_response());
            }
        }
    }
}
