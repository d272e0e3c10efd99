//! The way of a message, as one function.
//!
//! [`Collector::ingest`] takes one whole frame from parsing to the last queue: no await, no allocation, no I/O.
//! Every frame ends in exactly one of three counters of the input it came from: rejected (no dnstap message),
//! filtered, or received, so `frames = rejected + filtered + received` at any instant.

use core::cell::{Cell, RefCell};
use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;

use crate::capture::Ignored;
use crate::message::event::Event;
use crate::message::filter::{Filter, Verdict};
use crate::message::geoip::{Location, LocationDatabase};
use crate::message::pairing::Pairing;
use crate::output::Outlets;
use crate::statistics::{MessageHashes, Statistics};
use crate::tally::Tally;
use crate::wire::dns::Malformed;
use crate::wire::dnstap::{Dnstap, Reject};
use crate::wire::foreign::Foreign;
use crate::wire::framestream::Violation;
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
    malformed: Tally,
}

/// What a message passes before it is counted.
#[derive(Debug)]
struct Stages {
    filter: Filter,
    pairing: Pairing,
    /// Knows where addresses are; none when nobody asks.
    geoip: Option<LocationDatabase>,
}

/// Why a frame longer than the limit is rejected.
pub const OVERSIZE: &str = "oversize";

/// Why what comes to a port that speaks TLS is rejected when it is not TLS.
pub const PLAINTEXT: &str = "plaintext";

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
            malformed: Tally::new(Malformed::ALL.iter().map(|reason| reason.label())),
        }
    }

    /// Takes one frame, which came in through the input that `intake` counts for.
    ///
    /// # Errors
    ///
    /// Why the frame is no dnstap message; it is counted already.
    pub fn ingest(&self, intake: &Intake, frame: &[u8]) -> Result<(), Reject> {
        intake.frames.set(intake.frames.get() + 1);
        match Dnstap::parse(frame) {
            Ok(dnstap) => {
                self.pass(intake, &dnstap, frame);
                Ok(())
            }
            Err(reject) => {
                intake.rejected.count(reject.label());
                Err(reject)
            }
        }
    }

    fn pass(&self, intake: &Intake, dnstap: &Dnstap<'_>, frame: &[u8]) {
        let mut stages = self.stages.borrow_mut();
        let Stages { filter, pairing, geoip } = &mut *stages;
        let mut event = Event::from_dnstap(dnstap);
        if let Some(reason) = event.dns.malformed {
            self.malformed.count(reason.label());
        }
        let (address, folded, hashes) = self.hash(&event);
        pairing.observe(&mut event, address, folded);
        if let Verdict::Drop(filter) = filter.judge(&event) {
            return intake.filtered.count(filter.label());
        }
        intake.received.set(intake.received.get() + 1);
        event.location = geoip.as_ref().map(|database| {
            event.query.address.map_or(Location::default(), |address| database.look_up(address))
        });
        self.statistics.borrow_mut().observe(&event, &hashes);
        self.outputs.offer(&event, frame);
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
    pub fn malformed(&self) -> &Tally {
        &self.malformed
    }

    /// Queries forgotten before their response came.
    pub fn pairing_evicted(&self) -> u64 {
        self.stages.borrow().pairing.evicted()
    }
}

/// What one input counts.
#[derive(Debug)]
pub struct Intake {
    name: &'static str,
    frames: Cell<u64>,
    octets: Cell<u64>,
    received: Cell<u64>,
    filtered: Tally,
    rejected: Tally,
    refused: Tally,
    connections: Cell<u64>,
    connections_total: Cell<u64>,
    /// Connections that are meant to be there.
    connections_wanted: Cell<u64>,
    kernel_drops: Cell<u64>,
    ignored: Tally,
}

/// Why a connection is closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is not on the access list.
    AccessList,
    /// There are as many connections as the limit allows.
    Limit,
    /// A handshake or a frame stayed unfinished for too long.
    Timeout,
    /// No agreement on TLS: version, certificate, or the handshake itself.
    Tls,
}

impl Refusal {
    const ALL: [Refusal; 4] = [Refusal::AccessList, Refusal::Limit, Refusal::Timeout, Refusal::Tls];

    /// Label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::AccessList => "access_list",
            Refusal::Limit => "limit",
            Refusal::Timeout => "timeout",
            Refusal::Tls => "tls",
        }
    }
}

impl Intake {
    /// Counters of the input `name`, all 0.
    pub fn new(name: &'static str) -> Self {
        let rejects = Reject::ALL.iter().map(|reject| reject.label());
        let violations = Violation::ALL.iter().map(|violation| violation.label());
        let foreign = [Foreign::Tls, Foreign::Http, Foreign::BareProtobuf].map(Foreign::label);
        Intake {
            name,
            frames: Cell::new(0),
            octets: Cell::new(0),
            received: Cell::new(0),
            filtered: Tally::new(
                crate::message::filter::FilterReason::ALL.iter().map(|reason| reason.label()),
            ),
            rejected: Tally::new(rejects.chain(violations).chain(foreign).chain([OVERSIZE, PLAINTEXT])),
            refused: Tally::new(Refusal::ALL.map(Refusal::label)),
            connections: Cell::new(0),
            connections_total: Cell::new(0),
            connections_wanted: Cell::new(0),
            kernel_drops: Cell::new(0),
            ignored: Tally::default(),
        }
    }

    /// The same for an input that makes messages of packets.
    pub fn of_packets(name: &'static str) -> Self {
        Intake { ignored: Tally::new(Ignored::ALL.map(Ignored::label)), ..Intake::new(name) }
    }

    /// Counts what cannot be a message: a frame too long, or octets that break the framing. Each counts as one
    /// frame, rejected.
    pub fn reject(&self, reason: &str) {
        self.frames.set(self.frames.get() + 1);
        self.rejected.count(reason);
    }

    /// Counts a connection that is closed by us.
    pub fn refuse(&self, refusal: Refusal) {
        self.refused.count(refusal.label());
    }

    /// Counts octets read.
    pub fn read(&self, octets: usize) {
        self.octets.set(self.octets.get() + octets as u64);
    }

    /// Counts packets that the kernel dropped before we read them.
    pub fn miss(&self, packets: u32) {
        self.kernel_drops.set(self.kernel_drops.get() + u64::from(packets));
    }

    /// Counts a connection as long as the value returned lives.
    pub fn connect(&self) -> Connected<'_> {
        self.connections.set(self.connections.get() + 1);
        self.connections_total.set(self.connections_total.get() + 1);
        Connected(self)
    }

    /// Says that so many connections are meant to be open at any time: an input that connects to others is down
    /// while there are fewer.
    pub fn want(&self, connections: u64) {
        self.connections_wanted.set(connections);
    }

    /// Whether a connection is missing that is meant to be there.
    pub fn is_down(&self) -> bool {
        self.connections.get() < self.connections_wanted.get()
    }

    /// Name in metrics and log: its section's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Frames that came to an end, whatever became of them.
    pub fn frames(&self) -> u64 {
        self.frames.get()
    }

    /// Octets read.
    pub fn octets(&self) -> u64 {
        self.octets.get()
    }

    /// Messages that passed the filters.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Messages that a filter stopped.
    pub fn filtered(&self) -> &Tally {
        &self.filtered
    }

    /// Frames that are no message.
    pub fn rejected(&self) -> &Tally {
        &self.rejected
    }

    /// Packets that the kernel dropped before we read them.
    pub fn kernel_drops(&self) -> u64 {
        self.kernel_drops.get()
    }

    /// Packets, or parts of them, that no message was made of.
    pub fn ignored(&self) -> &Tally {
        &self.ignored
    }

    /// Connections closed by us.
    pub fn refused(&self) -> &Tally {
        &self.refused
    }

    /// Connections that are open.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Connections since start.
    pub fn connections_total(&self) -> u64 {
        self.connections_total.get()
    }
}

/// An open connection, for the counter.
#[derive(Debug)]
pub struct Connected<'a>(&'a Intake);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
    }
}

/// An event is made and dropped a million times a second.
const _: () = assert!(size_of::<Event<'static>>() <= 256);
