//! The findings of the detectors: a list of the last alarms, each subject once in its hold-off.
//!
//! A finding of a kind and subject that were heard within the hold-off adds to that alarm and makes no new
//! one, so that nothing floods list, outputs and people.

use core::fmt::{self, Display};
use core::net::IpAddr;

use crate::limits::{HEALTH_ALARM_BYTES, HEALTH_ALARMS, IDENTITY_BYTES, table};
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

/// The subject of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// A name in wire form.
    Name(&'a [u8]),
    /// An address.
    Address(IpAddr),
    /// The identity of a stream.
    Identity(&'a [u8]),
}

/// One finding of a detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding<'a> {
    kind: AlarmKind,
    subject: Subject<'a>,
    count: u64,
    seconds: u64,
    /// A client or an address that shows it.
    pub(crate) example: Option<IpAddr>,
}

/// One alarm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm<'a> {
    /// The finding.
    pub(crate) kind: AlarmKind,
    /// Its subject: a name is in lower case.
    pub(crate) subject: Subject<'a>,
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
///
/// ```text
/// list   | alarm | alarm | ...                                  a ring of 256
/// text   | example | subject | example | subject | ...         a ring of bytes, in the same order
/// ```
///
/// `0 <= used <= list.len()`; the oldest is at `next - used`. Where subjects are so long that the bytes are
/// short, the oldest alarms go before their time.
#[derive(Debug)]
pub(crate) struct Alarms {
    list: Box<[KeptAlarm]>,
    text: Box<[u8]>,
    /// Where the next one goes.
    next: usize,
    used: usize,
    /// How many of the newest nobody was told of.
    untold: usize,
    totals: [u64; KINDS],
    /// Places of the last alarms, by a hash of kind and subject: what is found with each message is found
    /// here.
    recent: [u8; RECENT],
}

/// An alarm as it is kept: numbers that do not fit are cut to the highest.
#[derive(Clone, Copy, Debug, Default)]
struct KeptAlarm {
    count: u32,
    first: u32,
    last: u32,
    /// Where its bytes begin.
    at: u16,
    /// The kind, and above it how many words of four bytes the example has: none, 1 or 4.
    kind: u8,
    /// Bytes of the subject.
    subject: u8,
}

/// Bits of a kind.
const KIND_BITS: u32 = 4;

impl KeptAlarm {
    fn kind(&self) -> usize {
        usize::from(self.kind) % (1 << KIND_BITS)
    }

    /// Bytes of the example.
    fn example(&self) -> usize {
        usize::from(self.kind >> KIND_BITS) * 4
    }

    /// Where its bytes end; there is one at least, so that no two begin at one place.
    fn end(&self) -> usize {
        usize::from(self.at) + (self.example() + usize::from(self.subject)).max(1)
    }
}

/// Places of `recent`.
const RECENT: usize = 64;

const _: () = assert!(KINDS <= 1 << KIND_BITS);
const _: () = assert!(HEALTH_ALARMS <= 1 << u8::BITS && HEALTH_ALARM_BYTES <= 1 << u16::BITS);

impl<'a> Finding<'a> {
    /// A finding about a name in wire form.
    pub(crate) fn name(kind: AlarmKind, wire: &'a [u8], count: u64, seconds: u64) -> Self {
        Finding { kind, subject: Subject::Name(wire), count, seconds, example: None }
    }

    /// A finding about an address.
    pub(crate) fn address(kind: AlarmKind, address: IpAddr, count: u64, seconds: u64) -> Self {
        Finding { kind, subject: Subject::Address(address), count, seconds, example: None }
    }

    /// A finding about a stream.
    pub(crate) fn text(kind: AlarmKind, identity: &'a [u8], count: u64, seconds: u64) -> Self {
        Finding { kind, subject: Subject::Identity(identity), count, seconds, example: None }
    }

    /// The same finding, with an address that shows it.
    pub(crate) fn with_example(self, address: IpAddr) -> Self {
        Finding { example: Some(address), ..self }
    }
}

impl Alarms {
    /// Bytes of the list.
    pub(crate) const COST: usize = HEALTH_ALARMS * size_of::<KeptAlarm>() + HEALTH_ALARM_BYTES;

    /// Notes a finding; whether it made a new alarm.
    pub(crate) fn raise(&mut self, finding: Finding<'_>, hold_off: u32) -> bool {
        let Finding { kind, subject, count, seconds, example } = finding;
        let mut room = [0; SUBJECT_BYTES];
        let subject = subject_bytes(subject, &mut room);
        let (count, seconds) = (count.try_into().unwrap_or(u32::MAX), seconds.try_into().unwrap_or(u32::MAX));
        let is_held = |this: &Self, place: usize| {
            this.list.get(place).is_some_and(|alarm| {
                let passed = seconds.abs_diff(alarm.first);
                alarm.kind() == kind as usize
                    && passed < hold_off.max(HOLD_OFF_MIN)
                    && this.bytes(alarm).1 == subject
            })
        };
        let hash =
            subject.iter().fold(kind as usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(*byte));
        let recent = self.recent.get(hash % RECENT).copied().map_or(0, usize::from);
        let held = match recent < self.used && is_held(self, recent) {
            true => Some(recent),
            false => self.places().find(|place| is_held(self, *place)),
        };
        if let Some(alarm) = held.and_then(|place| self.list.get_mut(place)) {
            alarm.count = alarm.count.max(count);
            alarm.last = alarm.last.max(seconds);
            // The latest one who shows it, where there is room.
            let mut room = [0; 16];
            let example = example.map_or(&[][..], |address| address_bytes(address, &mut room));
            let at = usize::from(alarm.at);
            if example.len() == alarm.example()
                && let Some(kept) = self.text.get_mut(at..at + example.len())
            {
                kept.copy_from_slice(example);
            }
            return false;
        }
        self.add(
            KeptAlarm { count, first: seconds, last: seconds, kind: kind as u8, ..KeptAlarm::default() },
            example,
            subject,
        );
        if let Some(recent) = self.recent.get_mut(hash % RECENT) {
            *recent = ((self.next + HEALTH_ALARMS - 1) % HEALTH_ALARMS) as u8;
        }
        self.untold = (self.untold + 1).min(self.used);
        if let Some(total) = self.totals.get_mut(kind as usize) {
            *total += 1;
        }
        true
    }

    /// Puts an alarm at the end, whoever has to go for it.
    fn add(&mut self, alarm: KeptAlarm, example: Option<IpAddr>, subject: &[u8]) {
        let mut room = [0; 16];
        let example = example.map_or(&[][..], |address| address_bytes(address, &mut room));
        let bytes = example.len() + subject.len();
        let newest = (self.next + HEALTH_ALARMS - 1) % HEALTH_ALARMS;
        let after = self.list.get(newest).filter(|_| self.used > 0).map_or(0, KeptAlarm::end);
        let wraps = after + bytes.max(1) > self.text.len();
        let at = if wraps { 0 } else { after };
        while let Some(oldest) = self.list.get(self.oldest()).filter(|_| self.used > 0) {
            let starts = usize::from(oldest.at);
            let is_in_the_way =
                starts < at + bytes.max(1) && oldest.end() > at || wraps && starts >= after && starts > 0;
            if !is_in_the_way && self.used < HEALTH_ALARMS {
                break;
            }
            self.used -= 1;
        }
        self.untold = self.untold.min(self.used);
        if let Some(text) = self.text.get_mut(at..at + bytes)
            && let Some((first, second)) = text.split_at_mut_checked(example.len())
        {
            first.copy_from_slice(example);
            second.copy_from_slice(subject);
        }
        if let Some(place) = self.list.get_mut(self.next) {
            let kind = alarm.kind | (example.len() as u8 / 4) << KIND_BITS;
            *place = KeptAlarm { at: at as u16, kind, subject: subject.len() as u8, ..alarm }; // 255 at most
        }
        self.next = (self.next + 1) % HEALTH_ALARMS;
        self.used += 1;
    }

    fn oldest(&self) -> usize {
        (self.next + HEALTH_ALARMS - self.used) % HEALTH_ALARMS
    }

    /// The places in use, newest first.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let next = self.next + HEALTH_ALARMS;
        (1..=self.used).map(move |back| (next - back) % HEALTH_ALARMS)
    }

    /// Example and subject of an alarm.
    fn bytes(&self, alarm: &KeptAlarm) -> (&[u8], &[u8]) {
        let rest = self.text.get(usize::from(alarm.at)..).unwrap_or_default();
        let (example, rest) = rest.split_at_checked(alarm.example()).unwrap_or_default();
        (example, rest.get(..usize::from(alarm.subject)).unwrap_or_default())
    }

    /// Whether there are alarms that nobody was told of.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.untold > 0
    }

    /// Tells of them, oldest first.
    pub(crate) fn tell(&mut self, mut tell: impl FnMut(&Alarm<'_>)) {
        for number in (0..core::mem::take(&mut self.untold)).rev() {
            if let Some(alarm) = self.iter().nth(number) {
                tell(&alarm);
            }
        }
    }

    /// The alarms, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Alarm<'_>> {
        self.places().filter_map(|place| {
            let kept = self.list.get(place)?;
            let kind = *AlarmKind::ALL.get(kept.kind())?;
            let (example, subject) = self.bytes(kept);
            let subject = match kind {
                AlarmKind::NxdomainBurst | AlarmKind::ServfailBurst => Subject::Identity(subject),
                AlarmKind::SlowUpstream | AlarmKind::NewDevice | AlarmKind::ResolverBypass => {
                    Subject::Address(address(subject)?)
                }
                _ => Subject::Name(subject),
            };
            Some(Alarm {
                kind,
                subject,
                count: kept.count.into(),
                first: kept.first.into(),
                last: kept.last.into(),
                example: address(example),
            })
        })
    }

    /// Alarms of each kind since the start.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (AlarmKind, u64)> {
        AlarmKind::ALL.iter().copied().zip(self.totals)
    }

    /// Puts an alarm about a name back that was saved. Nobody is told of it again.
    pub(crate) fn load(&mut self, kind: AlarmKind, name: &[u8], [count, first, last]: [u32; 3]) {
        let alarm = KeptAlarm { count, first, last, kind: kind as u8, ..KeptAlarm::default() };
        self.add(alarm, None, name);
    }
}

/// The longest subject: a name.
const SUBJECT_BYTES: usize = 255;

/// A subject as it is kept and compared: a name in lower case, for some mix the case of each query.
fn subject_bytes<'a>(subject: Subject<'_>, room: &'a mut [u8; SUBJECT_BYTES]) -> &'a [u8] {
    let mut address_room = [0; 16];
    let bytes = match subject {
        Subject::Name(bytes) | Subject::Identity(bytes) => bytes,
        Subject::Address(address) => address_bytes(address, &mut address_room),
    };
    let bytes = bytes.get(..SUBJECT_BYTES).unwrap_or(bytes);
    let Some(kept) = room.get_mut(..bytes.len()) else { return &[] };
    kept.copy_from_slice(bytes);
    if let Subject::Name(_) = subject {
        kept.make_ascii_lowercase();
    }
    kept
}

fn address_bytes(address: IpAddr, room: &mut [u8; 16]) -> &[u8] {
    match address {
        IpAddr::V4(v4) => {
            let (four, _) = room.split_at_mut(4);
            four.copy_from_slice(&v4.octets());
            four
        }
        IpAddr::V6(v6) => {
            *room = v6.octets();
            room
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms {
            list: table(HEALTH_ALARMS, KeptAlarm::default()),
            text: table(HEALTH_ALARM_BYTES, 0),
            next: 0,
            used: 0,
            untold: 0,
            totals: [0; KINDS],
            recent: [0; RECENT],
        }
    }
}

impl Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Name(wire) => Name::parse(wire).map_or(Ok(()), |(name, _)| write!(f, "{name}")),
            Subject::Address(address) => write!(f, "{address}"),
            Subject::Identity([]) => f.write_str("-"),
            Subject::Identity(identity) => {
                let mut room = [0; IDENTITY_BYTES * TEXT_PER_BYTE];
                let identity = identity.get(..IDENTITY_BYTES).unwrap_or(identity);
                let length = write_label_text(identity, &mut room).unwrap_or(0);
                f.write_str(room.get(..length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
            }
        }
    }
}

/// The alarm in words, for people.
impl Display for Alarm<'_> {
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

    fn finding(number: u32, seconds: u64) -> Finding<'static> {
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
    fn subjects_of_any_length_and_case() {
        let long = [&[60][..], &[b'a'; 60], &[63], &[b'b'; 63], b"\x07example\x03com\0"].concat();
        let mut alarms = Alarms::default();
        let client = IpAddr::V6(core::net::Ipv6Addr::LOCALHOST);
        assert!(alarms.raise(Finding::name(AlarmKind::Rebinding, &long, 1, 5).with_example(client), 60));
        assert!(!alarms.raise(Finding::name(AlarmKind::Rebinding, &long.to_ascii_uppercase(), 1, 6), 60));
        assert!(alarms.raise(Finding::text(AlarmKind::NxdomainBurst, b"a b", 1, 7), 60));
        let shown: Vec<_> =
            alarms.iter().map(|alarm| (alarm.subject.to_string(), alarm.last, alarm.example)).collect();
        let name = format!("{}.{}.example.com.", "a".repeat(60), "b".repeat(63));
        assert_eq!(shown, [("a\\032b".to_owned(), 7, None), (name, 6, Some(client))]);
    }

    /// Subjects of all lengths, until the bytes have gone round some times: what is listed is what was
    /// raised.
    #[test]
    fn the_newest_are_whole_where_bytes_are_short() {
        let mut alarms = Alarms::default();
        let (mut raised, mut most) = (Vec::new(), 0);
        for number in 0..5_000u64 {
            let identity = vec![b'a' + (number % 26) as u8; number as usize * 37 % 120];
            let example = (number % 3 > 0).then(|| IpAddr::from([10, 0, 0, number as u8]));
            let finding = Finding {
                example,
                ..Finding::text(AlarmKind::ServfailBurst, &identity, number, number * 70)
            };
            assert!(alarms.raise(finding, 60));
            raised.push((identity, number, example));
            let listed: Vec<_> = alarms
                .iter()
                .map(|alarm| match alarm.subject {
                    Subject::Identity(identity) => (identity.to_vec(), alarm.count, alarm.example),
                    _ => panic!("{alarm}"),
                })
                .collect();
            assert!(raised.iter().rev().zip(&listed).all(|(raised, listed)| raised == listed), "{number}");
            most = most.max(listed.len());
            assert!(number < 60 || listed.len() > 60, "{number}: {}", listed.len());
        }
        assert!(most < HEALTH_ALARMS);
    }
}
