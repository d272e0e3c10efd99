//! The servers that are asked: how much, how fast they answer, and how often they do not.
//!
//! 64 addresses have a place. A resolver of its own asks thousands; a new server takes the place of the one
//! with the least traffic of late, once in that number + 1 times, so the busiest stay, as in the tables of
//! clients. Counts are exact from when a server got its place. Latencies are those of [`CompactHistogram`],
//! within 6.3 % from 16 microseconds on.

use core::net::IpAddr;

use crate::limits::{HEALTH_UPSTREAMS, table};
use crate::message::event::Event;
use crate::sketch::latency::{CompactHistogram, HALVING_MS};
use crate::wire::iana::Rcode;

/// All servers with a place.
#[derive(Debug)]
pub(crate) struct Upstreams {
    servers: Box<[Upstream]>,
    /// The addresses folded to 32 bits, to be searched all at once; 0 is free.
    keys: [u32; HEALTH_UPSTREAMS],
    chance: u64,
    passed_ms: u64,
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Its port; 0 if it was never sent.
    pub(crate) port: u16,
    /// The place of the stream that asked last.
    pub(crate) stream: u16,
    /// Queries sent to it.
    pub(crate) queries: u64,
    /// Responses of it.
    pub(crate) responses: u64,
    /// Queries that were not answered within 60 s.
    pub(crate) timeouts: u32,
    /// Responses with SERVFAIL.
    pub(crate) servfail: u32,
    /// Responses with REFUSED.
    pub(crate) refused: u32,
    latencies: CompactHistogram,
    /// Messages, halved with the latencies.
    weight: u32,
    /// How often the place changed hands.
    generation: u8,
}

/// Responses from which on a percentile says something.
const RESPONSES_MIN: u32 = 20;

impl Upstream {
    const FREE: Upstream = Upstream {
        address: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        port: 0,
        stream: 0,
        queries: 0,
        responses: 0,
        timeouts: 0,
        servfail: 0,
        refused: 0,
        latencies: CompactHistogram::NONE,
        weight: 0,
        generation: 0,
    };

    /// Microseconds within which that many in a hundred responses came lately; `None` if no latency is known.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        (!self.latencies.is_empty()).then(|| self.latencies.percentile(percent))
    }
}

impl Upstreams {
    /// Bytes of the table.
    pub(crate) const COST: usize = HEALTH_UPSTREAMS * size_of::<Upstream>();

    /// The servers, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.servers.iter().zip(self.keys).filter(|&(_, key)| key != 0).map(|(server, _)| server)
    }

    /// The place of a server, if it has or gets one.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn place_of(&mut self, address: IpAddr) -> Option<u8> {
        let key = fold(address);
        let is_it = |(place, held): &(usize, &u32)| {
            **held == key && self.servers.get(*place).is_some_and(|server| server.address == address)
        };
        let found = self.keys.iter().enumerate().find(is_it).map(|(place, _)| place);
        u8::try_from(found.or_else(|| self.admit(key, address))?).ok()
    }

    #[cold]
    fn admit(&mut self, key: u32, address: IpAddr) -> Option<usize> {
        let weight = |place: usize, held: u32| match held {
            0 => 0,
            _ => self.servers.get(place).map_or(0, |server| server.weight.saturating_add(1)),
        };
        let (place, against) =
            self.keys.iter().enumerate().map(|(at, &held)| (at, weight(at, held))).min_by_key(|it| it.1)?;
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        if against > 0 && !self.chance.is_multiple_of(against.into()) {
            return None;
        }
        *self.keys.get_mut(place)? = key;
        let server = self.servers.get_mut(place)?;
        *server = Upstream { address, generation: server.generation.wrapping_add(1), ..Upstream::FREE };
        Some(place)
    }

    /// A query went to the server at that place.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count_query(&mut self, place: u8, event: &Event<'_>, stream: u16) {
        let Some(server) = self.servers.get_mut(usize::from(place)) else { return };
        server.queries += 1;
        server.weight = server.weight.saturating_add(1);
        server.port = event.response().port.map_or(server.port, |port| port.get());
        server.stream = stream;
    }

    /// A response came from the server at that place.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count_response(&mut self, place: u8, event: &Event<'_>, stream: u16) {
        let Some(server) = self.servers.get_mut(usize::from(place)) else { return };
        server.responses += 1;
        server.weight = server.weight.saturating_add(1);
        server.port = event.response().port.map_or(server.port, |port| port.get());
        server.stream = stream;
        server.servfail += u32::from(event.dns.rcode == Some(Rcode(2)));
        server.refused += u32::from(event.dns.rcode == Some(Rcode(5)));
        if let Some(latency) = event.latency {
            server.latencies.count(latency);
        }
    }

    /// Which server has the place, so that what is known of another is not taken for its.
    #[inline]
    pub(crate) fn generation(&self, place: u8) -> u8 {
        self.servers.get(usize::from(place)).map_or(0, |server| server.generation)
    }

    /// A query to the server that had the place then was not answered.
    pub(crate) fn count_timeout(&mut self, place: u8, generation: u8) {
        if let Some(server) = self.servers.get_mut(usize::from(place))
            && server.generation == generation
        {
            server.timeouts += 1;
        }
    }

    /// Some time has passed: what is long ago counts less.
    pub(crate) fn tick(&mut self, milliseconds: u64) {
        self.passed_ms += milliseconds;
        if self.passed_ms < HALVING_MS {
            return;
        }
        self.passed_ms %= HALVING_MS;
        for server in &mut self.servers {
            server.latencies.halve();
            server.weight /= 2;
        }
    }

    /// The servers of which 95 in 100 responses take longer than that many microseconds, and how long they
    /// take.
    pub(crate) fn slow(&self, microseconds: u64) -> impl Iterator<Item = (IpAddr, u64)> {
        let known = self.iter().filter(|server| server.latencies.responses() >= RESPONSES_MIN);
        let times = known.filter_map(|server| Some((server.address, server.percentile(95)?)));
        times.filter(move |&(_, time)| time > microseconds)
    }

    /// Counts from zero again; the servers stay.
    pub(crate) fn reset(&mut self) {
        for server in &mut self.servers {
            let Upstream { address, port, generation, stream, .. } = *server;
            *server = Upstream { address, port, generation, stream, ..Upstream::FREE };
        }
    }
}

impl Default for Upstreams {
    fn default() -> Self {
        Upstreams {
            servers: table(HEALTH_UPSTREAMS, Upstream::FREE),
            keys: [0; HEALTH_UPSTREAMS],
            chance: crate::sys::random::number() | 1,
            passed_ms: 0,
        }
    }
}

/// An address in 32 bits, never 0.
fn fold(address: IpAddr) -> u32 {
    let folded = match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => {
            let half = (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64;
            (half >> 32) as u32 ^ half as u32
        }
    };
    folded.max(1)
}

const _: () = assert!(HEALTH_UPSTREAMS <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_servers_keep_their_places() {
        let mut upstreams = Upstreams::default();
        let address = |number: u32| IpAddr::V4(core::net::Ipv4Addr::from_bits(number));
        let event = Event::from_dnstap(&Default::default());
        for round in 0..20_000u32 {
            for busy in 0..10 {
                let place = upstreams.place_of(address(busy)).unwrap();
                upstreams.count_query(place, &event, 0);
            }
            if let Some(place) = upstreams.place_of(address(1_000 + round)) {
                upstreams.count_query(place, &event, 0);
            }
        }
        for busy in 0..10 {
            let server = upstreams.iter().find(|server| server.address == address(busy)).unwrap();
            assert_eq!(server.queries, 20_000);
        }
        assert_eq!(upstreams.iter().count(), HEALTH_UPSTREAMS);
    }
}
