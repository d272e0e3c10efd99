//! The findings of the detectors: a list of the last alarms, each subject once in its hold-off.
//!
//! A finding of a kind and subject that were heard within the hold-off adds to that alarm and makes no new one, so that
//! nothing floods list, outputs and people.

use core::fmt::{self, Display};
use core::net::IpAddr;

use crate::limits::{HEALTH_ALARMS, table};
use crate::values::choice;
use crate::wire::name::Name;
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

choice! {
    /// The finding.
    AlarmKind {
        /// Many names that do not exist below one domain.
        RandomSubdomains = "random-subdomains",
        /// Data that leave in names.
        Tunnel = "tunnel",
        /// A public name with a private address.
        Rebinding = "rebinding",
        /// Many responses with NXDOMAIN.
        NxdomainBurst = "nxdomain-burst",
        /// Many responses with SERVFAIL.
        ServfailBurst = "servfail-burst",
        /// An upstream server that takes long.
        SlowUpstream = "slow-upstream",
        /// A client that was not seen before.
        NewDevice = "new-device",
        /// A client that asks elsewhere.
        ResolverBypass = "resolver-bypass",
        /// A domain that was not seen before.
        NewlyObserved = "newly-observed",
    }
}

/// Kinds of alarms.
pub(crate) const KINDS: usize = AlarmKind::ALL.len();

/// Seconds for which no subject is heard again, whatever is configured.
const HOLD_OFF_MIN: u32 = 60;

/// Bytes of a subject that are kept.
const SUBJECT_BYTES: usize = 64;

/// The subject of an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A name in wire form.
    Name(heapless::Vec<u8, SUBJECT_BYTES, u8>),
    /// An address.
    Address(IpAddr),
    /// The identity of a stream.
    Identity(heapless::Vec<u8, SUBJECT_BYTES, u8>),
}

/// One finding of a detector.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    kind: AlarmKind,
    subject: Subject,
    count: u64,
    seconds: u64,
    /// A client or an address that shows it.
    pub(crate) example: Option<IpAddr>,
}

/// One alarm.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    /// The finding.
    pub(crate) kind: AlarmKind,
    /// Its subject.
    pub(crate) subject: Subject,
    /// How much of it, in the detector's unit: the most of all findings.
    pub(crate) count: u64,
    /// The first and the last finding, in seconds since 1970.
    pub(crate) first: u64,
    /// See `first`.
    pub(crate) last: u64,
    /// A client or an address that shows it.
    pub(crate) example: Option<IpAddr>,
}

/// The last alarms.
#[derive(Debug)]
pub(crate) struct Alarms {
    /// A ring.
    list: Box<[Option<Alarm>]>,
    /// Where the next one goes.
    next: usize,
    /// How many of the newest nobody was told of.
    untold: usize,
    totals: [u64; KINDS],
}

impl Finding {
    /// A finding about a name in wire form. Of a long one the end counts, which says whose it is.
    pub(crate) fn name(kind: AlarmKind, wire: &[u8], count: u64, seconds: u64) -> Self {
        let mut rest = wire;
        while rest.len() > SUBJECT_BYTES
            && let Some((&length, _)) = rest.split_first()
        {
            rest = rest.get(usize::from(length) + 1..).unwrap_or_default();
        }
        let subject = Subject::Name(heapless::Vec::from_slice(rest).unwrap_or_default());
        Finding { kind, subject, count, seconds, example: None }
    }

    /// A finding about an address.
    pub(crate) fn address(kind: AlarmKind, address: IpAddr, count: u64, seconds: u64) -> Self {
        Finding { kind, subject: Subject::Address(address), count, seconds, example: None }
    }

    /// A finding about a stream.
    pub(crate) fn text(kind: AlarmKind, identity: &[u8], count: u64, seconds: u64) -> Self {
        let identity = identity.get(..SUBJECT_BYTES).unwrap_or(identity);
        let subject = Subject::Identity(heapless::Vec::from_slice(identity).unwrap_or_default());
        Finding { kind, subject, count, seconds, example: None }
    }

    /// The same finding, with an address that shows it.
    pub(crate) fn with_example(self, address: IpAddr) -> Self {
        Finding { example: Some(address), ..self }
    }
}

impl Alarms {
    /// Bytes of the list.
    pub(crate) const COST: usize = HEALTH_ALARMS * size_of::<Option<Alarm>>();

    /// Notes a finding; whether it made a new alarm.
    pub(crate) fn raise(&mut self, finding: Finding, hold_off: u32) -> bool {
        let Finding { kind, subject, count, seconds, example } = finding;
        let is_held = |alarm: &&mut Alarm| {
            let passed = seconds.abs_diff(alarm.first);
            alarm.kind == kind && alarm.subject == subject && passed < u64::from(hold_off.max(HOLD_OFF_MIN))
        };
        if let Some(alarm) = self.list.iter_mut().flatten().find(is_held) {
            alarm.count = alarm.count.max(count);
            alarm.last = alarm.last.max(seconds);
            return false;
        }
        if let Some(place) = self.list.get_mut(self.next) {
            *place = Some(Alarm { kind, subject, count, first: seconds, last: seconds, example });
        }
        self.next = (self.next + 1) % self.list.len().max(1);
        self.untold = (self.untold + 1).min(self.list.len());
        if let Some(total) = self.totals.get_mut(kind as usize) {
            *total += 1;
        }
        true
    }

    /// Whether there are alarms that nobody was told of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.untold > 0
    }

    /// Tells of them, oldest first.
    pub(crate) fn tell(&mut self, mut tell: impl FnMut(&Alarm)) {
        for number in (0..core::mem::take(&mut self.untold)).rev() {
            if let Some(alarm) = self.iter().nth(number) {
                tell(alarm);
            }
        }
    }

    /// The alarms, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Alarm> {
        let (newer, older) = self.list.split_at_checked(self.next).unwrap_or_default();
        newer.iter().rev().chain(older.iter().rev()).flatten()
    }

    /// Alarms of each kind since the start.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (AlarmKind, u64)> {
        AlarmKind::ALL.iter().copied().zip(self.totals)
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms { list: table(HEALTH_ALARMS, None), next: 0, untold: 0, totals: [0; KINDS] }
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Name(wire) => Name::parse(wire).map_or(Ok(()), |(name, _)| write!(f, "{name}")),
            Subject::Address(address) => write!(f, "{address}"),
            Subject::Identity(identity) if identity.is_empty() => f.write_str("-"),
            Subject::Identity(identity) => {
                let mut room = [0; SUBJECT_BYTES * TEXT_PER_BYTE];
                let length = write_label_text(identity, &mut room).unwrap_or(0);
                f.write_str(room.get(..length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
            }
        }
    }
}

/// The alarm in words, for people.
impl Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Alarm { kind, subject, count, example, .. } = self;
        match kind {
            AlarmKind::RandomSubdomains => write!(f, "{count} different names in a minute below {subject}")?,
            AlarmKind::Tunnel => write!(f, "{count} bytes of different names below {subject}")?,
            AlarmKind::Rebinding => write!(f, "{subject} was answered with a private address")?,
            AlarmKind::NxdomainBurst => {
                write!(f, "{count} responses with NXDOMAIN in a minute from {subject}")?
            }
            AlarmKind::ServfailBurst => {
                write!(f, "{count} responses with SERVFAIL in a minute from {subject}")?
            }
            AlarmKind::SlowUpstream => {
                write!(f, "{subject} takes {count} ms for 5 in 100 responses, or longer")?
            }
            AlarmKind::NewDevice => write!(f, "{subject} was not seen before")?,
            AlarmKind::ResolverBypass => write!(f, "{subject} asks a server elsewhere")?,
            AlarmKind::NewlyObserved => write!(f, "{subject} was not seen before")?,
        }
        match (kind, example) {
            (AlarmKind::Tunnel, Some(client)) => write!(f, ", the last by {client}"),
            (_, Some(address)) => write!(f, ": {address}"),
            (_, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(number: u32, seconds: u64) -> Finding {
        Finding::address(AlarmKind::NewDevice, IpAddr::V4(number.into()), u64::from(number), seconds)
    }

    #[test]
    fn a_subject_is_heard_once_in_its_hold_off() {
        let mut alarms = Alarms::default();
        assert!(alarms.raise(finding(1, 1_000), 60));
        assert!(!alarms.raise(finding(1, 1_059), 60));
        assert!(alarms.raise(finding(2, 1_059), 60), "another subject");
        assert!(alarms.raise(finding(1, 1_060), 60));
        let shown: Vec<_> = alarms.iter().map(|alarm| (alarm.count, alarm.first, alarm.last)).collect();
        assert_eq!(shown, [(1, 1_060, 1_060), (2, 1_059, 1_059), (1, 1_000, 1_059)]);
        assert_eq!(alarms.totals().map(|(_, total)| total).sum::<u64>(), 3);
    }

    #[test]
    fn each_alarm_is_told_once() {
        let mut alarms = Alarms::default();
        for (number, seconds) in [(1, 1_000), (2, 1_001), (1, 1_030), (1, 1_060)] {
            alarms.raise(finding(number, seconds), 1);
        }
        let mut told = Vec::new();
        alarms.tell(|alarm| told.push((alarm.count, alarm.first)));
        assert_eq!(told, [(1, 1_000), (2, 1_001), (1, 1_060)], "a minute apart at least");
        assert!(!alarms.has_news());
        alarms.tell(|alarm| panic!("{alarm}"));
    }

    #[test]
    fn the_list_keeps_the_newest() {
        let mut alarms = Alarms::default();
        for number in 0..1_000 {
            alarms.raise(finding(number, 5), 60);
        }
        let counts: Vec<u64> = alarms.iter().map(|alarm| alarm.count).collect();
        assert_eq!(counts, (1_000 - HEALTH_ALARMS as u64..1_000).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_long_name_is_known_by_its_end() {
        let wire = [&[60][..], &[b'a'; 60], b"\x07example\x03com\0"].concat();
        let found = Finding::name(AlarmKind::Rebinding, &wire, 1, 0);
        assert_eq!(found.subject.to_string(), "example.com.");
        assert_eq!(Finding::text(AlarmKind::NxdomainBurst, b"a b", 1, 0).subject.to_string(), "a\\032b");
    }
}
