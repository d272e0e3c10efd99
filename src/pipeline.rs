//! The way of a message, as one function.
//!
//! [`Collector::ingest`] takes one whole frame from parsing to the last queue: no await, no allocation, no I/O.
//! It tells what became of the frame, and the input that brought it counts that.

use core::cell::RefCell;
use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;

use crate::message::event::Event;
use crate::message::filter::{Filter, FilterReason, Verdict};
use crate::message::geoip::{Location, LocationDatabase};
use crate::message::pairing::Pairing;
use crate::output::Outlets;
use crate::reasons::Tally;
use crate::statistics::{MessageHashes, Statistics};
use crate::wire::dns::Malformed;
use crate::wire::dnstap::{Dnstap, Reject};
use crate::wire::name::Name;

/// Everything a message passes.
#[derive(Debug)]
pub struct Collector<'a> {
    statistics: &'a RefCell<Statistics>,
    outputs: &'a Outlets,
    stages: RefCell<Stages>,
    hasher: foldhash::quality::RandomState,
    /// Whether names are counted without regard to case.
    lowercase: bool,
    malformed: Tally<Malformed>,
}

/// What a message passes before it is counted.
#[derive(Debug)]
struct Stages {
    filter: Filter,
    pairing: Pairing,
    /// Knows where addresses are; none when nobody asks.
    geoip: Option<LocationDatabase>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingested {
    /// It went to the statistics and the outputs.
    Received,
    /// A filter left it out.
    Filtered(FilterReason),
    /// It is not a dnstap message.
    Rejected(Reject),
}

impl<'a> Collector<'a> {
    /// A collector that counts in `statistics` and offers to `outputs`.
    pub fn new(
        statistics: &'a RefCell<Statistics>,
        outputs: &'a Outlets,
        filter: Filter,
        pairing: Pairing,
        lowercase: bool,
    ) -> Self {
        Collector {
            statistics,
            outputs,
            stages: RefCell::new(Stages { filter, pairing, geoip: None }),
            hasher: Default::default(),
            lowercase,
            malformed: Tally::default(),
        }
    }

    /// Takes one frame, and tells what became of it, for the counters of its input.
    pub fn ingest(&self, frame: &[u8]) -> Ingested {
        match Dnstap::parse(frame) {
            Ok(dnstap) => self.pass(&dnstap, frame),
            Err(reject) => Ingested::Rejected(reject),
        }
    }

    fn pass(&self, dnstap: &Dnstap<'_>, frame: &[u8]) -> Ingested {
        let mut stages = self.stages.borrow_mut();
        let Stages { filter, pairing, geoip } = &mut *stages;
        let mut event = Event::from_dnstap(dnstap);
        if let Some(reason) = event.dns.malformed {
            self.malformed.count(reason);
        }
        let (address, folded, hashes) = self.hash(&event);
        pairing.observe(&mut event, address, folded);
        if let Verdict::Drop(reason) = filter.judge(&event) {
            return Ingested::Filtered(reason);
        }
        event.location = geoip.as_ref().map(|database| {
            event.query.address.map_or(Location::default(), |address| database.look_up(address))
        });
        self.statistics.borrow_mut().observe(&event, &hashes);
        self.outputs.offer(&event, frame);
        Ingested::Received
    }

    /// The hash of the query address, that of the name in lower case, 0 without one, and what the statistics count by.
    #[inline]
    fn hash<'e>(&self, event: &Event<'e>) -> (Option<u64>, u64, MessageHashes<'e>) {
        let name = event.dns.question.as_ref().map(|question| question.name);
        let folded = name.map(|name| {
            let mut hasher = self.hasher.build_hasher();
            name.hash_folded(&mut hasher);
            hasher.finish()
        });
        let own = || name.map(|name| self.hasher.hash_one(name.octets()));
        let domain = if self.lowercase { folded } else { own() };
        let address = event.query.address.map(|address| {
            let mut hasher = self.hasher.build_hasher();
            match address {
                IpAddr::V4(v4) => hasher.write_u32(v4.to_bits()),
                IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
            }
            hasher.finish()
        });
        let is_client = event.query.address.is_some_and(|address| !address.is_unspecified());
        let client = address.filter(|_| is_client);
        (address, folded.unwrap_or(0), MessageHashes { client, domain, name: name.unwrap_or(Name::ROOT) })
    }

    /// The outputs behind.
    pub fn outputs(&self) -> &'a Outlets {
        self.outputs
    }

    /// Puts another filter in force.
    pub fn set_filter(&self, filter: Filter) {
        self.stages.borrow_mut().filter = filter;
    }

    /// Puts another database in force, or none.
    pub fn set_geoip(&self, database: Option<LocationDatabase>) {
        self.stages.borrow_mut().geoip = database;
    }

    /// When the database in force was made, in seconds since 1970.
    pub fn geoip_built(&self) -> Option<u64> {
        self.stages.borrow().geoip.as_ref().map(LocationDatabase::built)
    }

    /// One message in how many passes.
    pub fn sample_rate(&self) -> u64 {
        self.stages.borrow().filter.sample_rate()
    }

    /// Messages whose DNS payload could not be read to its end, by reason; they are events all the same.
    pub fn malformed(&self) -> &Tally<Malformed> {
        &self.malformed
    }

    /// Queries forgotten before their response came.
    pub fn pairing_evicted(&self) -> u64 {
        self.stages.borrow().pairing.evicted()
    }
}

/// An event is made and dropped a million times a second.
const _: () = assert!(size_of::<Event<'static>>() <= 256);
