//! Health in a build with it: which message goes to which detector.

use super::alarms::{Alarm, AlarmKind, Alarms, Finding, Subject};
use super::bursts::Burst;
use super::cache::AskedOthers;
use super::devices::SeenDevices;
use super::domain_table::FreshNames;
use super::domains::RecentDomains;
use super::new_domains::SeenDomains;
use super::rebinding;
use super::section::{DetectorSection, Section};
use super::seen::skip_saved;
use super::subdomains::RandomSubdomains;
use super::timeouts::Outstanding;
use super::tunnel::Tunnels;
use super::upstreams::Upstreams;
use crate::limits::{HEALTH_ALARMS, HEALTH_BYTES};
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::wire::iana::{MessageType, Rcode};
use crate::wire::name::Name;
use crate::wire::segment::{FIRST_SEEN, Input, Output};

/// Everything that watches.
#[derive(Debug)]
pub(crate) struct Health {
    section: Section,
    upstreams: Upstreams,
    outstanding: Outstanding,
    asked: Box<AskedOthers>,
    nxdomain: Burst,
    servfail: Burst,
    subdomains: Option<Box<RandomSubdomains>>,
    tunnels: Option<Box<Tunnels>>,
    devices: Option<Box<SeenDevices>>,
    domains: Option<Box<SeenDomains>>,
    fresh: Box<FreshNames>,
    recent: Box<RecentDomains>,
    /// A bit for each stream that tells queries of clients: of the others the names are taken from
    /// responses.
    tells_queries: [u32; STREAMS / 32],
    alarms: Alarms,
    /// The time of the last message, and milliseconds since.
    clock: u64,
    passed_ms: u64,
}

/// Streams that are told apart.
const STREAMS: usize = 512;

/// More places than there are in the file of a table.
const SAVED_PLACES: usize = 1 << 20;

/// Bytes that it takes with all detectors but that of new domains.
const COST: usize = size_of::<Health>()
    + Upstreams::COST
    + Outstanding::COST
    + size_of::<AskedOthers>()
    + size_of::<FreshNames>()
    + size_of::<RecentDomains>()
    + size_of::<RandomSubdomains>()
    + size_of::<Tunnels>()
    + SeenDevices::COST
    + Alarms::COST;
const _: () = assert!(COST <= HEALTH_BYTES);

/// Bytes that a section asks for, and those for new domains.
pub(crate) fn cost(section: &Section) -> [usize; 2] {
    if !section.enable {
        return [0; 2];
    }
    let all = [
        (section.random_subdomains.enable, size_of::<RandomSubdomains>()),
        (section.tunnel.enable, size_of::<Tunnels>()),
        (section.new_device.enable, SeenDevices::COST),
    ];
    let off = all.iter().map(|(is_on, bytes)| if *is_on { 0 } else { *bytes }).sum::<usize>();
    [COST - off, if section.newly_observed.enable { SeenDomains::COST } else { 0 }]
}

impl Health {
    /// Watches as the section says; `None` if it is off.
    pub(crate) fn start(section: &Section) -> Option<Self> {
        section.enable.then(|| Health::new(section))
    }

    fn new(section: &Section) -> Self {
        let mut health = Health {
            section: section.clone(),
            upstreams: Upstreams::default(),
            outstanding: Outstanding::new(),
            asked: Box::default(),
            nxdomain: Burst::default(),
            servfail: Burst::default(),
            subdomains: None,
            tunnels: None,
            devices: None,
            domains: None,
            fresh: Box::default(),
            recent: Box::default(),
            tells_queries: [0; STREAMS / 32],
            alarms: Alarms::default(),
            clock: 0,
            passed_ms: 0,
        };
        health.configure(section);
        health
    }

    /// Puts another section in force. What was found stays, and what a detector has learned while it is on.
    pub(crate) fn configure(&mut self, section: &Section) {
        self.section = section.clone();
        switch(&mut self.subdomains, &section.random_subdomains);
        switch(&mut self.tunnels, &section.tunnel);
        switch(&mut self.devices, &section.new_device);
        switch(&mut self.domains, &section.newly_observed);
    }

    /// Looks at one message of the stream at that place. Of a response to a client: whether it came from the
    /// cache, where that is known.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn observe(
        &mut self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        stream: usize,
    ) -> Option<bool> {
        if let Some(time) = event.time {
            (self.clock, self.passed_ms) = (time.seconds, 0);
        }
        if is_upstream(event.message_type) {
            if !event.is_response() {
                self.asked.note(event, hashes, stream);
            }
            self.observe_upstream(event, hashes, stream as u16);
        } else if hashes.is_of_client {
            self.observe_client(event, hashes, stream);
            if event.message_type == MessageType::CLIENT_RESPONSE {
                return self.asked.judge(event, hashes, stream);
            }
        }
        None
    }

    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn observe_upstream(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>, stream: u16) {
        let Some(server) = event.response().address else { return };
        let Some(place) = self.upstreams.place_of(server) else { return };
        if event.is_response() {
            self.upstreams.count_response(place, event, stream);
        } else {
            self.upstreams.count_query(place, event, stream);
        }
        let Some(exchange) = asked(event, hashes, place, stream) else { return };
        if event.is_response() {
            self.outstanding.take(exchange);
        } else {
            if self.outstanding.is_far(self.clock) {
                let lost = |place, generation| self.upstreams.count_timeout(place, generation);
                self.outstanding.expire(self.clock, lost);
            }
            self.outstanding.put(exchange, self.clock, place, self.upstreams.generation(place));
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn observe_client(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>, stream: usize) {
        let section = &self.section;
        let tells_queries = self.tells_queries.get_mut(stream / 32);
        if event.is_response() {
            let has_told = tells_queries.is_none_or(|word| *word >> (stream % 32) & 1 == 1);
            let burst = match event.dns.rcode {
                Some(Rcode(3)) => {
                    Some((&mut self.nxdomain, &section.nxdomain_burst, AlarmKind::NxdomainBurst))
                }
                Some(Rcode(2)) => {
                    Some((&mut self.servfail, &section.servfail_burst, AlarmKind::ServfailBurst))
                }
                _ => None,
            };
            if let Some((burst, detector, kind)) = burst
                && detector.enable
                && let Some(count) = burst.count(self.clock, detector.threshold.as_count())
            {
                let finding = Finding::text(kind, event.identity, count, self.clock);
                self.alarms.raise(finding, detector.hold_off.get());
            }
            if section.rebinding.enable
                && let Some(address) = rebinding::find(event)
            {
                let found = Finding::name(AlarmKind::Rebinding, hashes.name.wire_form(), 1, self.clock);
                self.alarms.raise(found.with_example(address), section.rebinding.hold_off.get());
            }
            if has_told {
                return;
            }
        } else if let Some(word) = tells_queries {
            *word |= 1 << (stream % 32);
        }
        if let (Some(devices), Some(client), Some(_)) =
            (&mut self.devices, event.query.address, hashes.client)
            && devices.is_new(client)
        {
            let finding = Finding::address(AlarmKind::NewDevice, client, 1, self.clock);
            self.alarms.raise(finding, section.new_device.hold_off.get());
        }
        if section.resolver_bypass.enable
            && let (Some(client), Some(server)) = (event.query.address, event.response().address)
            && !rebinding::is_private(server)
        {
            let finding = Finding::address(AlarmKind::ResolverBypass, client, 1, self.clock);
            self.alarms.raise(finding.with_example(server), section.resolver_bypass.hold_off.get());
        }
        if self.subdomains.is_some() || self.tunnels.is_some() || self.domains.is_some() {
            self.observe_name(event, hashes);
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn observe_name(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>) {
        let Some((domain, key)) = self.recent.find(&hashes.name, hashes.folded) else { return };
        let section = &self.section;
        if let Some(domains) = &mut self.domains
            && domains.is_new(domain.suffix, self.clock)
        {
            let mut finding = Finding::name(AlarmKind::NewlyObserved, domain.suffix, 1, self.clock);
            finding.example = event.query.address;
            self.alarms.raise(finding, section.newly_observed.hold_off.get());
        }
        let is_fresh = self.fresh.is_fresh(hashes.folded, self.clock / 60);
        if let Some(subdomains) = &mut self.subdomains
            && let Some(count) = subdomains.observe(
                (key, hashes.folded),
                is_fresh,
                self.clock / 60,
                section.random_subdomains.threshold.as_count(),
            )
        {
            let finding = Finding::name(AlarmKind::RandomSubdomains, domain.suffix, count, self.clock);
            self.alarms.raise(finding, section.random_subdomains.hold_off.get());
        }
        if let Some(tunnels) = &mut self.tunnels
            && let Some(bytes) = tunnels.observe(
                (key, hashes.folded),
                is_fresh,
                domain.bytes_below,
                self.clock / 60,
                section.tunnel.threshold.as_count(),
            )
        {
            let mut finding = Finding::name(AlarmKind::Tunnel, domain.suffix, bytes, self.clock);
            finding.example = event.query.address;
            self.alarms.raise(finding, section.tunnel.hold_off.get());
        }
    }

    /// Some time has passed: timeouts, and servers that are slow.
    pub(crate) fn tick(&mut self, milliseconds: u64) {
        self.passed_ms += milliseconds;
        let now = self.clock.saturating_add(self.passed_ms / 1_000);
        self.outstanding.expire(now, |place, generation| self.upstreams.count_timeout(place, generation));
        self.upstreams.tick(milliseconds);
        let detector = &self.section.slow_upstream;
        if detector.enable {
            let threshold = (detector.threshold.get() * 1e6) as u64;
            for (server, microseconds) in self.upstreams.slow(threshold) {
                let finding = Finding::address(AlarmKind::SlowUpstream, server, microseconds / 1_000, now);
                self.alarms.raise(finding, detector.hold_off.get());
            }
        }
    }

    /// The servers that were asked.
    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The finding.
    pub(crate) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Whether alarms were raised that nobody was told of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.alarms.has_news()
    }

    /// Tells of the alarms that were raised since the last time, oldest first.
    pub(crate) fn tell(&mut self, tell: impl FnMut(&Alarm<'_>)) {
        self.alarms.tell(tell);
    }

    /// Whether domains or clients are watched for that were not seen before: those that were are saved.
    pub(crate) fn has_seen(&self) -> bool {
        self.domains.is_some() || self.devices.is_some()
    }

    /// Writes which domains and clients were seen, and of the last domains when, from that place on, 0 first;
    /// `None` when all is written, else the place to go on with.
    pub(crate) fn write_saved(&self, from: usize, out: &mut Output<'_>) -> Option<usize> {
        let observed = || self.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NewlyObserved);
        let count = observed().count();
        for place in from..count {
            if !out.has_room() {
                return Some(place);
            }
            // The oldest first, so that they come back in their order.
            if let Some(Alarm { subject: Subject::Name(name), count, first, last, .. }) =
                observed().nth(count - 1 - place)
            {
                out.byte(FIRST_SEEN);
                out.string(name);
                [count, first, last].into_iter().for_each(|number| out.number(number));
            }
        }
        // The domains have the places below 2^20, the clients those above.
        let rest = from.saturating_sub(HEALTH_ALARMS);
        if rest < SAVED_PLACES
            && let Some(domains) = &self.domains
            && let Some(next) = domains.write_saved(rest, out)
        {
            return Some(next + HEALTH_ALARMS);
        }
        let next = self.devices.as_ref()?.write_saved(rest.saturating_sub(SAVED_PLACES), out)?;
        Some(next + SAVED_PLACES + HEALTH_ALARMS)
    }

    /// Reads an entry of what was saved. `None` if it is broken.
    pub(crate) fn read_saved(&mut self, kind: u8, input: &mut Input<'_>) -> Option<()> {
        if kind == FIRST_SEEN {
            let name = input.string()?;
            let numbers = [input.small()?, input.small()?, input.small()?];
            Name::parse(name).ok()?;
            if self.domains.is_some() {
                self.alarms.load(AlarmKind::NewlyObserved, name, numbers);
            }
            return Some(());
        }
        match (input.byte()?, &mut self.domains, &mut self.devices) {
            (SeenDomains::TABLE, Some(domains), _) => domains.read_saved(kind, input),
            (SeenDevices::TABLE, _, Some(devices)) => devices.read_saved(kind, input),
            (SeenDomains::TABLE | SeenDevices::TABLE, _, _) => skip_saved(kind, input),
            _ => None,
        }
    }

    /// Counts from zero again. What was found stays.
    pub(crate) fn reset(&mut self) {
        self.upstreams.reset();
        self.outstanding.reset();
    }
}

/// The traits that a question to the server at a place and its answer have in common. Not the port that was
/// asked from: with the answer Unbound tells that of another question, if several are open (1.17).
fn asked(event: &Event<'_>, hashes: &MessageHashes<'_>, place: u8, stream: u16) -> Option<u64> {
    let qtype = event.dns.question.as_ref().and_then(|question| question.qtype).map_or(0, |qtype| qtype.0);
    // The id, which differs most, is lowest: a product spreads upwards.
    let numbers = [place.into(), stream, qtype, event.dns.id?];
    let numbers = numbers.iter().fold(0, |all, number| all << 16 | u64::from(*number));
    // The hash of the name is seeded, so nobody can choose what meets.
    let mixed =
        (hashes.folded ^ numbers.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Some(mixed ^ mixed >> 32)
}

/// Whether a message is of the machine itself, which asks others.
fn is_upstream(message: MessageType) -> bool {
    matches!(message.0, 3 | 4 | 7 | 8)
}

/// Makes the state of a detector that is on, and drops that of one that is off.
fn switch<T: Default, const ON: bool, const N: u32>(
    state: &mut Option<Box<T>>,
    detector: &DetectorSection<ON, N>,
) {
    match detector.enable {
        true => _ = state.get_or_insert_default(),
        false => *state = None,
    }
}
