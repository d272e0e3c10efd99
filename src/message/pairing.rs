//! Finds the query a response answers, to know how long it took.
//!
//! A query is remembered under identity, kind (CLIENT, RESOLVER, ...), query address, port, DNS id and name
//! without case; the response with the same key takes it out again and gets its [`Latency`]. All times are the
//! messages' own, so a replayed capture gives the latencies of its day.
//!
//! Memory is fixed: rows of four entries of 16 bytes, one cache line each. A key lives in one row; when the
//! row is full the oldest query goes, and is counted as evicted unless it was over 60 s old anyway. Keys are
//! 64 bits of a seeded hash: two different exchanges are mistaken for each other once in 2^64.

use core::hash::{BuildHasher, Hasher};

use crate::limits;
use crate::message::event::Event;
use crate::time::{Latency, Time};

/// Queries that wait for their response.
#[derive(Debug)]
pub struct Pairing {
    rows: Box<[QueryRow]>,
    hasher: foldhash::quality::RandomState,
    evicted: u64,
}

/// Entries that share a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct QueryRow([WaitingQuery; ENTRIES_PER_ROW]);

/// One query: `key == 0` is a free entry.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingQuery {
    key: u64,
    /// Query time: seconds since 1970 in the upper 34 bits, nanoseconds in the lower 30.
    time: u64,
}

const ENTRIES_PER_ROW: usize = 4;
const NANOSECOND_BITS: u32 = 30;
/// What `WaitingQuery::time` can hold of the seconds: until the year 2514.
const SECONDS_MAX: u64 = (1 << (64 - NANOSECOND_BITS)) - 1;
/// A query older than this waits for nothing.
const PATIENCE_SECONDS: u64 = 60;

impl Pairing {
    /// Bytes that a table for `entries` queries takes.
    pub fn cost(entries: usize) -> usize {
        Self::rows_for(entries) * size_of::<QueryRow>()
    }

    /// A table for `entries` queries, rounded up to whole rows and a power of two.
    pub fn new(entries: usize) -> Self {
        let rows = limits::table(Self::rows_for(entries), QueryRow::default());
        Pairing { rows, hasher: Default::default(), evicted: 0 }
    }

    fn rows_for(entries: usize) -> usize {
        entries.div_ceil(ENTRIES_PER_ROW).next_power_of_two()
    }

    /// Remembers a query; gives a response its latency: by the query time it brought along, else by the query
    /// remembered, which is forgotten either way.
    ///
    /// `address` is the hash of the query address, `name` that of the name in lower case.
    pub fn observe(&mut self, event: &mut Event<'_>, address: Option<u64>, name: u64) {
        let Some(time) = event.time else { return };
        let key = self.key(event, address, name);
        if event.is_response() {
            let remembered = key.and_then(|key| self.take(key));
            event.latency = event.query_time.or(remembered).and_then(|asked| Latency::between(asked, time));
        } else if let Some(key) = key.filter(|_| time.seconds <= SECONDS_MAX) {
            self.put(key, time);
        }
    }

    /// Queries forgotten for lack of room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The exchange an event belongs to, never 0; none without query address, port or DNS id.
    #[inline]
    fn key(&self, event: &Event<'_>, address: Option<u64>, name: u64) -> Option<u64> {
        let (address, port, id) = (address?, event.query.port?, event.dns.id?);
        let exchange =
            u64::from(event.message_type.kind()) << 32 | u64::from(port.get()) << 16 | u64::from(id);
        let mut hasher = self.hasher.build_hasher();
        hasher.write(event.identity);
        // A hash and what no other hash makes of it but by chance.
        hasher.write_u128(u128::from(address ^ exchange) << 64 | u128::from(name));
        Some(hasher.finish().max(1))
    }

    /// The row a key lives in.
    fn row(&mut self, key: u64) -> Option<&mut QueryRow> {
        let mask = self.rows.len() - 1;
        self.rows.get_mut(usize::try_from(key >> 32).unwrap_or(0) & mask)
    }

    fn put(&mut self, key: u64, time: Time) {
        let time = pack(time);
        let Some(QueryRow(entries)) = self.row(key) else { return };
        // The same exchange, else a free entry, whose time is 0, else the oldest: by comparisons that are no branches.
        let age = |entry: &WaitingQuery| if entry.key == key { 0 } else { entry.time.saturating_add(1) };
        let (mut way, mut least) = (0, u64::MAX);
        for (at, entry) in entries.iter().enumerate() {
            let age = age(entry);
            (way, least) = if age < least { (at, age) } else { (way, least) };
        }
        let Some(slot) = entries.get_mut(way) else { return };
        let lost = slot.key != 0
            && slot.key != key
            && unpack(slot.time).seconds + PATIENCE_SECONDS >= unpack(time).seconds;
        *slot = WaitingQuery { key, time };
        self.evicted += u64::from(lost);
    }

    fn take(&mut self, key: u64) -> Option<Time> {
        let QueryRow(entries) = self.row(key)?;
        let bit = |(way, entry): (usize, &WaitingQuery)| u32::from(entry.key == key) << way;
        let found = entries.iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
        let entry = entries.get_mut(found.trailing_zeros() as usize)?;
        Some(unpack(core::mem::take(entry).time))
    }
}

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
    use crate::wire::iana::MessageType;

    const NAME: u64 = 7;
    const ADDRESS: u64 = 9;

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
            dns: Summary { id: Some(id), ..Summary::parse(&[]) },
            query_time: None,
            latency: None,
            location: None,
        }
    }

    /// Latency in seconds that `pairing` gives a response at `seconds`.
    fn answer(pairing: &mut Pairing, id: u16, seconds: u64) -> Option<u64> {
        let mut response = event(MessageType::CLIENT_RESPONSE, id, seconds);
        pairing.observe(&mut response, Some(ADDRESS), NAME);
        response.latency.map(|latency| latency.milliseconds() / 1000)
    }

    #[test]
    fn a_query_is_used_once_and_only_for_its_own_exchange() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), Some(ADDRESS), NAME);
        assert_eq!(answer(&mut pairing, 2, 101), None, "another id");
        let mut resolver = event(MessageType::RESOLVER_RESPONSE, 1, 101);
        pairing.observe(&mut resolver, Some(ADDRESS), NAME);
        assert_eq!(resolver.latency, None, "another kind");
        assert_eq!(answer(&mut pairing, 1, 102), Some(2));
        assert_eq!(answer(&mut pairing, 1, 103), None, "used before");
    }

    #[test]
    fn a_repeated_query_counts_from_its_last_time() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), Some(ADDRESS), NAME);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 105), Some(ADDRESS), NAME);
        assert_eq!(answer(&mut pairing, 1, 106), Some(1));
        assert_eq!(answer(&mut pairing, 1, 106), None);
    }

    #[test]
    fn the_responses_own_query_time_comes_first() {
        let mut pairing = Pairing::new(64);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 1, 100), Some(ADDRESS), NAME);
        let mut response = event(MessageType::CLIENT_RESPONSE, 1, 110);
        response.query_time = Some(Time { seconds: 107, nanoseconds: 0 });
        pairing.observe(&mut response, Some(ADDRESS), NAME);
        assert_eq!(response.latency.map(Latency::milliseconds), Some(3000));
        assert_eq!(answer(&mut pairing, 1, 111), None, "the remembered query is spent all the same");
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_counts_it() {
        let mut pairing = Pairing::new(4);
        for id in 1..=5 {
            pairing.observe(
                &mut event(MessageType::CLIENT_QUERY, id, 100 + u64::from(id)),
                Some(ADDRESS),
                NAME,
            );
        }
        assert_eq!(pairing.evicted(), 1);
        assert_eq!(answer(&mut pairing, 1, 110), None);
        assert_eq!(answer(&mut pairing, 5, 110), Some(5));
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 6, 300), Some(ADDRESS), NAME);
        pairing.observe(&mut event(MessageType::CLIENT_QUERY, 7, 300), Some(ADDRESS), NAME);
        assert_eq!(pairing.evicted(), 1, "what is over a minute old is no loss");
    }
}
