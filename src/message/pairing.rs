//! Finds the query that a response answers, to know how long it took.
//!
//! A query is remembered under identity, kind (CLIENT, RESOLVER, ...), protocol, query address, port, DNS id,
//! type and name without case; the response with the same key takes it out again and gets its [`Latency`].
//! All times are the messages' own, so a replayed capture gives the latencies of its day.
//!
//! ```text
//! key --- row --->  | key, time | key, time | key, time | key, time |     64 bytes, one cache line
//! ```
//!
//! Memory is fixed: rows of four entries. A key lives in one row; when the row is full, the oldest query
//! goes, and is counted as evicted. A query that is not within 60 s of the message at hand holds its entry no
//! longer: no response comes for it, or it bears the time of a clock that was wrong. Keys are 64 bits of a
//! seeded hash: two different exchanges are mistaken for each other once in 2^64.

use core::hash::{BuildHasher, Hasher};

use crate::limits;
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::sys::random::{SeededState, seeded_state};
use crate::time::{Latency, Time};
use crate::wire::iana::MessageType;

/// Queries that wait for their response.
#[derive(Debug)]
pub struct Pairing {
    rows: Box<[QueryRow]>,
    hasher: SeededState,
    evicted: u64,
    /// The handle of each query in the log of exchanges, by its entry; empty if there is no log.
    handles: Box<[u32]>,
}

/// The places that a message has in pairing and in the log of exchanges; numbers of 0 are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeMark {
    /// A query's entry, plus 1.
    entry: u32,
    /// The exchange that a response ends, or that a repeated query is.
    handle: u32,
    /// The exchange of a query that had to make room, or that a response of another kind ends.
    forgotten: u32,
}

/// An exchange as the log of exchanges calls it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeHandle(pub(crate) u32);

impl ExchangeMark {
    /// Whether the query waits for its response here.
    #[inline]
    pub(crate) fn is_remembered(self) -> bool {
        self.entry != 0
    }

    /// The exchange that a response ends, or that a repeated query is.
    #[inline]
    pub(crate) fn handle(self) -> Option<ExchangeHandle> {
        (self.handle != 0).then_some(ExchangeHandle(self.handle))
    }

    /// The exchange of a query that had to make room, or that a response of another kind ends.
    #[inline]
    pub(crate) fn forgotten(self) -> Option<ExchangeHandle> {
        (self.forgotten != 0).then_some(ExchangeHandle(self.forgotten))
    }

    /// The entry with another exchange.
    #[inline]
    pub(crate) fn with(self, handle: Option<ExchangeHandle>) -> Self {
        ExchangeMark { entry: self.entry, handle: handle.map_or(0, |handle| handle.0), forgotten: 0 }
    }
}

/// Entries that share a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct QueryRow([WaitingQuery; ENTRIES_PER_ROW]);

/// One query: `key == 0` is a free entry.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingQuery {
    key: u64,
    /// Query time, see [`pack`].
    time: u64,
}

const ENTRIES_PER_ROW: usize = 4;
const NANOSECOND_BITS: u32 = 30;
/// The most seconds that `WaitingQuery::time` can hold: until the year 2514.
const SECONDS_MAX: u64 = (1 << (64 - NANOSECOND_BITS)) - 1;
/// A query waits for that many seconds; one stamped further ahead waits for nothing.
const WAIT_SECONDS: u64 = 60;
/// The same as a difference of packed times.
const WAIT: u64 = WAIT_SECONDS << NANOSECOND_BITS;

impl Pairing {
    /// Bytes that a table for `entries` queries takes.
    pub(crate) fn cost(entries: usize) -> usize {
        Self::rows_for(entries) * size_of::<QueryRow>()
    }

    /// A table for `entries` queries, rounded up to whole rows and a power of two.
    pub(crate) fn new(entries: usize) -> Self {
        let rows = limits::table(Self::rows_for(entries), QueryRow::default());
        Pairing { rows, hasher: seeded_state(), evicted: 0, handles: Box::default() }
    }

    /// The same table, which remembers an exchange with each query.
    pub fn with_exchanges(entries: usize) -> Self {
        let pairing = Pairing::new(entries);
        let handles = limits::table(pairing.rows.len() * ENTRIES_PER_ROW, 0);
        Pairing { handles, ..pairing }
    }

    /// Bytes that remembering the exchanges takes.
    pub(crate) fn exchanges_cost(entries: usize) -> usize {
        Self::rows_for(entries) * ENTRIES_PER_ROW * size_of::<u32>()
    }

    /// Remembers the exchange of a query.
    #[inline]
    pub(crate) fn note(&mut self, mark: ExchangeMark) {
        let entry = (mark.entry as usize).wrapping_sub(1);
        if let Some(handle) = self.handles.get_mut(entry) {
            *handle = mark.handle;
        }
    }

    fn rows_for(entries: usize) -> usize {
        entries.div_ceil(ENTRIES_PER_ROW).next_power_of_two()
    }

    /// Remembers a query; gives a response its latency: by the query time it brought along, else by the query
    /// remembered, which is forgotten either way.
    ///
    /// Gives the hash of the exchange, for who keeps something of it, too.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn observe(&mut self, event: &mut Event<'_>, hashes: &MessageHashes<'_>) -> Option<u64> {
        let time = event.time?;
        let key = self.key(event, event.message_type.kind(), hashes);
        if event.is_response() {
            let remembered = key.and_then(|key| self.take(key, &mut event.exchange));
            if remembered.is_none() && key.is_some() && !self.handles.is_empty() {
                self.take_of_another_kind(event, hashes);
            }
            event.latency =
                event.query_time.or(remembered).and_then(|query_time| Latency::between(query_time, time));
        } else if let Some(key) = key.filter(|_| time.seconds <= SECONDS_MAX) {
            self.put(key, time, &mut event.exchange);
        }
        key
    }

    /// Looks for the query of a response that is of the other of the kinds CLIENT and AUTH, and marks its
    /// exchange.
    ///
    /// BIND calls a query AUTH when it does not ask for recursion, and a response when it is authoritative: a
    /// client that asks for a name of a zone is told of as CLIENT_QUERY and AUTH_RESPONSE. The kinds
    /// differ, so this gives no latency; but whoever keeps the exchange learns that it is over.
    #[cold]
    fn take_of_another_kind(&mut self, event: &mut Event<'_>, hashes: &MessageHashes<'_>) {
        let kind = match event.message_type {
            MessageType::CLIENT_RESPONSE => MessageType::AUTH_RESPONSE.kind(),
            MessageType::AUTH_RESPONSE => MessageType::CLIENT_RESPONSE.kind(),
            _ => return,
        };
        let mut mark = ExchangeMark::default();
        if let Some(key) = self.key(event, kind, hashes)
            && self.take(key, &mut mark).is_some()
        {
            event.exchange.forgotten = mark.handle;
        }
    }

    /// Queries forgotten for lack of room.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The exchange an event belongs to, never 0; `None` without query address, port or DNS id.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn key(&self, event: &Event<'_>, kind: u32, hashes: &MessageHashes<'_>) -> Option<u64> {
        let (address, port, id) = (hashes.address?, event.query.port?, event.dns.id?);
        // 0 is not a type at all, and differs from type 0.
        let qtype = event.dns.question.as_ref().and_then(|question| question.qtype);
        let qtype = qtype.map_or(0, |qtype| 1 << 16 | u64::from(qtype.0));
        let question = qtype << 32 | u64::from(port.get()) << 16 | u64::from(id);
        let protocol = event.protocol.map_or(0, |protocol| protocol.0);
        let transport = u64::from(kind) << 32 | u64::from(protocol);
        // Address, name and identity are seeded hashes of 64 bits already, so a number laid over them by XOR
        // is lost in none: two exchanges agree in both halves only if hashes of different addresses
        // or names happen to differ by exactly these numbers. That saves the hasher all rounds but
        // one.
        let address = address ^ hashes.identity ^ question;
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(u128::from(address) << 64 | u128::from(hashes.folded ^ transport));
        Some(hasher.finish().max(1))
    }

    /// The row a key lives in.
    #[inline]
    fn row(&self, key: u64) -> usize {
        usize::try_from(key >> 32).unwrap_or(0) & (self.rows.len() - 1)
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn put(&mut self, key: u64, time: Time, mark: &mut ExchangeMark) {
        let time = pack(time);
        let row = self.row(key);
        let Some(QueryRow(entries)) = self.rows.get_mut(row) else { return };
        // Four classes in one number, the least of which goes: the same exchange, asked again; a free entry;
        // one outside of the 60 s around this message; the oldest of the others. At 12:00:00 an entry
        // of 11:59:58 has the rank 58 s, one of 12:00:02 62 s, and one of 11:58:00 wraps around to
        // far above 120 s. So one comparison finds both what is too old and what is too far ahead,
        // and a clock that was set back leaves nothing behind. No branches: which entry it is nobody
        // can predict.
        let start = time.wrapping_sub(WAIT);
        let rank = |entry: &WaitingQuery| {
            let offset = entry.time.wrapping_sub(start);
            let waits = if offset > 2 * WAIT { 2 } else { offset + 3 };
            let held = if entry.key == 0 { 1 } else { waits };
            if entry.key == key { 0 } else { held }
        };
        let (mut way, mut least) = (0, u64::MAX);
        for (at, entry) in entries.iter().enumerate() {
            let rank = rank(entry);
            (way, least) = if rank < least { (at, rank) } else { (way, least) };
        }
        let Some(entry) = entries.get_mut(way) else { return };
        *entry = WaitingQuery { key, time };
        self.evicted += u64::from(least >= 3);
        let entry = row * ENTRIES_PER_ROW + way;
        if let Some(handle) = self.handles.get_mut(entry) {
            // The handle of a query that the filter then leaves out must not be that of the one before it.
            let held = core::mem::take(handle);
            mark.entry = entry as u32 + 1;
            match least {
                0 => mark.handle = held,
                1 | 2 => {}
                _ => mark.forgotten = held,
            }
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn take(&mut self, key: u64, mark: &mut ExchangeMark) -> Option<Time> {
        let row = self.row(key);
        let QueryRow(entries) = self.rows.get_mut(row)?;
        let bit = |(way, entry): (usize, &WaitingQuery)| u32::from(entry.key == key) << way;
        let found = entries.iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
        let way = found.trailing_zeros() as usize;
        let entry = entries.get_mut(way)?;
        if let Some(handle) = self.handles.get_mut(row * ENTRIES_PER_ROW + way) {
            mark.handle = core::mem::take(handle);
        }
        Some(unpack(core::mem::take(entry).time))
    }
}

/// Seconds since 1970 in the upper 34 bits, nanoseconds in the lower 30: later times are larger numbers.
fn pack(time: Time) -> u64 {
    time.seconds << NANOSECOND_BITS | u64::from(time.nanoseconds)
}

fn unpack(time: u64) -> Time {
    Time { seconds: time >> NANOSECOND_BITS, nanoseconds: (time & ((1 << NANOSECOND_BITS) - 1)) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::event::{Endpoint, RawEndpoint};
    use crate::wire::dns::Summary;

    const NAME: u64 = 7;
    const ADDRESS: u64 = 9;

    /// The hashes that all events here have in common.
    fn hashes() -> MessageHashes<'static> {
        MessageHashes {
            identity: 5,
            address: Some(ADDRESS),
            folded: NAME,
            exchange: None,
            is_of_client: true,
            client: None,
            sent_address: None,
            sent_name: None,
            domain: None,
            name: crate::wire::name::Name::ROOT,
        }
    }

    /// An event of `kind` at `seconds` with DNS id `id`.
    fn event(kind: MessageType, id: u16, seconds: u64) -> Event<'static> {
        Event {
            identity: b"ns1",
            message_type: kind,
            family: None,
            protocol: None,
            query: Endpoint {
                address: Some("192.0.2.1".parse().unwrap()),
                port: core::num::NonZeroU16::new(5000),
            },
            response_end: RawEndpoint::default(),
            time: Some(Time { seconds, nanoseconds: 0 }),
            length: 12,
            payload: &[],
            dns: Summary { id: Some(id), ..Summary::parse(&[]) },
            query_time: None,
            latency: None,
            exchange: ExchangeMark::default(),
            location: None,
            status: None,
            query_rewritten: false,
            name_rewritten: false,
            client_subnets: None,
        }
    }

    /// Latency in seconds that `pairing` gives a response at `seconds`.
    fn answer(pairing: &mut Pairing, id: u16, seconds: u64) -> Option<u64> {
        let mut response = event(MessageType::CLIENT_RESPONSE, id, seconds);
        pairing.observe(&mut response, &hashes());
        response.latency.map(|latency| latency.milliseconds() / 1000)
    }

    #[test]
    fn a_query_is_used_once_and_only_for_its_own_exchange() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), &hashes());
        assert_eq!(answer(&mut pairing, 2, 101), None, "another id");
        let mut resolver = event(MessageType::RESOLVER_RESPONSE, 1, 101);
        pairing.observe(&mut resolver, &hashes());
        assert_eq!(resolver.latency, None, "another kind");
        assert_eq!(answer(&mut pairing, 1, 102), Some(2));
        assert_eq!(answer(&mut pairing, 1, 103), None, "used before");
    }

    #[test]
    fn kinds_that_differ_end_an_exchange_without_a_latency() {
        for (asked, answered, ends) in [
            (MessageType::CLIENT_QUERY, MessageType::AUTH_RESPONSE, true),
            (MessageType::AUTH_QUERY, MessageType::CLIENT_RESPONSE, true),
            (MessageType::CLIENT_QUERY, MessageType::RESOLVER_RESPONSE, false),
            (MessageType::RESOLVER_QUERY, MessageType::CLIENT_RESPONSE, false),
        ] {
            let mut pairing = Pairing::with_exchanges(64);
            let mut query = event(asked, 1, 100);
            pairing.observe(&mut query, &hashes());
            pairing.note(query.exchange.with(Some(ExchangeHandle(7))));
            for ends in [ends, false] {
                let mut response = event(answered, 1, 101);
                pairing.observe(&mut response, &hashes());
                let found = (response.latency, response.exchange.handle(), response.exchange.forgotten());
                assert_eq!(found, (None, None, ends.then_some(ExchangeHandle(7))), "{asked} {answered}");
            }
        }
    }

    #[test]
    fn a_repeated_query_counts_from_its_last_time() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), &hashes());
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 105), &hashes());
        assert_eq!(answer(&mut pairing, 1, 106), Some(1));
        assert_eq!(answer(&mut pairing, 1, 106), None);
    }

    #[test]
    fn the_responses_own_query_time_comes_first() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), &hashes());
        let mut response = event(MessageType::CLIENT_RESPONSE, 1, 110);
        response.query_time = Some(Time { seconds: 107, nanoseconds: 0 });
        pairing.observe(&mut response, &hashes());
        assert_eq!(response.latency.map(Latency::milliseconds), Some(3000));
        assert_eq!(answer(&mut pairing, 1, 111), None, "the remembered query is spent all the same");
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_counts_it() {
        let mut pairing = Pairing::new(4);
        for id in 1..=5 {
            pairing.observe(&mut event(MessageType::CLIENT_QUERY, id, 100 + u64::from(id)), &hashes());
        }
        assert_eq!(pairing.evicted(), 1);
        assert_eq!(answer(&mut pairing, 1, 110), None);
        assert_eq!(answer(&mut pairing, 5, 110), Some(5));
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 6, 300), &hashes());
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 7, 300), &hashes());
        assert_eq!(pairing.evicted(), 1, "what is over a minute old is no loss");
    }

    /// Type and protocol are parts of the key: over DoH the id is always 0, and a browser asks for A, AAAA
    /// and HTTPS of a name at once, from one port.
    #[test]
    fn type_and_protocol_tell_exchanges_apart() {
        let with = |message_type, qtype: u16, protocol, seconds| {
            let wire = [&[0; 5][..], &[1], &[0; 6], &[0], &qtype.to_be_bytes(), &[0, 1]].concat();
            let wire: &'static [u8] = wire.leak();
            let dns = Summary::parse(wire);
            assert_eq!(dns.question.and_then(|question| question.qtype).map(|qtype| qtype.0), Some(qtype));
            Event {
                dns,
                protocol: Some(crate::wire::iana::Protocol(protocol)),
                ..event(message_type, 0, seconds)
            }
        };
        let exchanges = [(1, 4), (28, 4), (65, 4), (1, 1), (0, 4)];
        let mut pairing = Pairing::new(64);
        for (at, &(qtype, protocol)) in exchanges.iter().enumerate() {
            let mut query = with(MessageType::CLIENT_QUERY, qtype, protocol, 100 + at as u64);
            pairing.observe(&mut query, &hashes());
        }
        for (at, &(qtype, protocol)) in exchanges.iter().enumerate().rev() {
            let mut response = with(MessageType::CLIENT_RESPONSE, qtype, protocol, 110);
            pairing.observe(&mut response, &hashes());
            let seconds = response.latency.map(|latency| latency.milliseconds() / 1000);
            assert_eq!(seconds, Some(10 - at as u64), "type {qtype}, protocol {protocol}");
        }
    }

    /// Queries stamped far ahead, by a clock that was wrong or that has been set back since, hold no entry.
    #[test]
    fn times_far_ahead_are_free_places() {
        const DAY: u64 = 86_400;
        for ahead in [61, DAY, SECONDS_MAX - DAY] {
            let mut pairing = Pairing::new(4);
            for id in 1..=4 {
                pairing.observe(&mut event(MessageType::CLIENT_QUERY, id, DAY + ahead), &hashes());
            }
            for id in 11..=14 {
                pairing.observe(&mut event(MessageType::CLIENT_QUERY, id, DAY), &hashes());
            }
            assert_eq!(pairing.evicted(), 0, "{ahead} s ahead");
            for id in 11..=14 {
                assert_eq!(answer(&mut pairing, id, DAY + 1), Some(1), "{ahead} s ahead");
            }
        }
    }

    /// A time that is a little ahead stays: threads of one server do not write in order.
    #[test]
    fn times_a_little_ahead_are_kept_and_the_oldest_goes() {
        let mut pairing = Pairing::new(4);
        for (id, seconds) in [(1, 130), (2, 90), (3, 100), (4, 110), (5, 100)] {
            pairing.observe(&mut event(MessageType::CLIENT_QUERY, id, seconds), &hashes());
        }
        assert_eq!(pairing.evicted(), 1);
        assert_eq!(
            [1, 2, 3, 4, 5].map(|id| answer(&mut pairing, id, 131)),
            [Some(1), None, Some(31), Some(21), Some(31)]
        );
    }

    #[test]
    fn clocks_that_begin_at_1970_pair_too() {
        let mut pairing = Pairing::new(4);
        for id in 1..=4 {
            pairing.observe(&mut event(MessageType::CLIENT_QUERY, id, u64::from(id)), &hashes());
        }
        assert_eq!([1, 2, 3, 4].map(|id| answer(&mut pairing, id, 5)), [Some(4), Some(3), Some(2), Some(1)]);
    }
}
