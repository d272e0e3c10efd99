//! Which messages are kept.
//!
//! A message is kept when every key that is set agrees; the first that does not is counted as the reason.
//! Patterns are matched on the text that all formats show, in its own case, with the final dot; what is
//! missing is `-`. The text is made only when a pattern asks for it, and a pattern that is plain alternatives
//! (`literals`) is decided without the engine for regular expressions.
//!
//! Lists of names are files (see [`NameSet`]), read by [`Filter::load`]; who reads them again while messages
//! come does that elsewhere, and puts the whole filter in the place of the old one.
//!
//! Sampling comes last: of the messages that pass everything else, one in N is kept, the first included.

mod literals;
mod pattern;

pub(crate) use pattern::Pattern;

use core::net::IpAddr;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::limits::IDENTITY_BYTES;
use crate::message::event::Event;
use crate::message::name_set::NameSet;
use crate::message::status::ExchangeStatus;
use crate::reasons::{Reason, reasons};
use crate::sys::files::open_regular;
use crate::values::{Bounded, FilePath, Invalid, KeyError, Network, RawValue, Value, choice, deserialize};
use crate::wire::iana::{Rcode, RrType};
use crate::wire::name::{Name, TEXT_MAX};
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// Section `filter`. A message is kept when every key that is set agrees.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Keep names that match.
    pub(crate) qname_regex: Option<Pattern>,
    /// Keep identities that match.
    pub(crate) dnstap_identities: Option<Pattern>,
    /// Leave out names that match.
    pub(crate) exclude_qname_regex: Option<Pattern>,
    /// Leave out identities that match.
    pub(crate) exclude_identities: Option<Pattern>,
    /// Keep these message types; empty = all.
    pub(crate) message_types: Vec<MessageName>,
    /// Keep one message in this many.
    pub(crate) sample_rate: SampleRate,
    /// Keep these rcodes; empty = all.
    pub(crate) rcodes: Vec<RcodeName>,
    /// Keep questions for these types; empty = all.
    pub(crate) qtypes: Vec<TypeName>,
    /// Keep query addresses in these networks; empty = all.
    pub(crate) clients: Vec<Network>,
    /// Leave out query addresses in these networks.
    pub(crate) exclude_clients: Vec<Network>,
    /// Keep exchanges that ended so; empty = all.
    pub(crate) statuses: Vec<ExchangeStatus>,
    /// Keep what took at least so long.
    pub(crate) min_latency: Option<LeastLatency>,
    /// Keep names that a file lists.
    pub(crate) names_file: Option<FilePath>,
    /// Leave out names that a file lists.
    pub(crate) exclude_names_file: Option<FilePath>,
}

/// A response code by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RcodeName(Rcode);

impl Value for RcodeName {
    fn allowed() -> String {
        "a response code such as `NOERROR`, `NXDOMAIN` or `RCODE12`".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        Rcode::from_mnemonic(text).map(RcodeName).ok_or(Invalid::Value)
    }
}

/// A type of records by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeName(RrType);

impl Value for TypeName {
    fn allowed() -> String {
        "a type such as `A`, `HTTPS` or `TYPE1234`".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        RrType::from_mnemonic(text).map(TypeName).ok_or(Invalid::Value)
    }
}

deserialize!(RcodeName, TypeName);

/// A latency from which on messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeastLatency {
    nanoseconds: u64,
}

impl<'de> Deserialize<'de> for LeastLatency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = RawValue::deserialize(deserializer)?;
        let seconds = if let RawValue::Scalar(text) = &given { text.parse::<f64>().ok() } else { None };
        match seconds.filter(|seconds| (0.0..=60.0).contains(seconds)) {
            Some(seconds) => Ok(LeastLatency { nanoseconds: (seconds * 1e9) as u64 }),
            None => Err(D::Error::custom(format_args!(
                "invalid value: {}, expected a number of seconds such as 0.5, 60 at most",
                given.kind()
            ))),
        }
    }
}

choice! {
    /// A dnstap message type by name; the discriminant is its number in `dnstap.proto`.
    MessageName {
        /// An authoritative server received a query.
        AuthQuery = "AUTH_QUERY" = 1,
        /// An authoritative server sent a response.
        AuthResponse = "AUTH_RESPONSE" = 2,
        /// A resolver sent a query.
        ResolverQuery = "RESOLVER_QUERY" = 3,
        /// A resolver received a response.
        ResolverResponse = "RESOLVER_RESPONSE" = 4,
        /// A server received a client's query.
        ClientQuery = "CLIENT_QUERY" = 5,
        /// A server sent a client its response.
        ClientResponse = "CLIENT_RESPONSE" = 6,
        /// A forwarder sent a query.
        ForwarderQuery = "FORWARDER_QUERY" = 7,
        /// A forwarder received a response.
        ForwarderResponse = "FORWARDER_RESPONSE" = 8,
        /// A stub resolver sent a query.
        StubQuery = "STUB_QUERY" = 9,
        /// A stub resolver received a response.
        StubResponse = "STUB_RESPONSE" = 10,
        /// A tool sent a query.
        ToolQuery = "TOOL_QUERY" = 11,
        /// A tool received a response.
        ToolResponse = "TOOL_RESPONSE" = 12,
        /// A server received an update.
        UpdateQuery = "UPDATE_QUERY" = 13,
        /// A server answered an update.
        UpdateResponse = "UPDATE_RESPONSE" = 14,
    }
}

/// The values of `sample-rate`.
pub(crate) type SampleRate = Bounded<1, 1_000_000_000>;

impl Default for Section {
    fn default() -> Self {
        Section {
            qname_regex: None,
            dnstap_identities: None,
            exclude_qname_regex: None,
            exclude_identities: None,
            message_types: Vec::new(),
            sample_rate: SampleRate::new(1),
            rcodes: Vec::new(),
            qtypes: Vec::new(),
            clients: Vec::new(),
            exclude_clients: Vec::new(),
            statuses: Vec::new(),
            min_latency: None,
            names_file: None,
            exclude_names_file: None,
        }
    }
}

impl Section {
    /// The patterns that are set, with their keys.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&'static str, &Pattern)> {
        [
            (FilterReason::Identity, &self.dnstap_identities),
            (FilterReason::ExcludedIdentity, &self.exclude_identities),
            (FilterReason::Qname, &self.qname_regex),
            (FilterReason::ExcludedQname, &self.exclude_qname_regex),
        ]
        .into_iter()
        .filter_map(|(reason, pattern)| Some((reason.label(), pattern.as_ref()?)))
    }
}

/// The filter in force.
#[derive(Debug)]
pub struct Filter {
    section: Section,
    /// Bit n: keep message type n; all bits when every type is kept.
    message_types: u32,
    /// Messages that will be left out before the next is kept.
    skip: u32,
    /// Whether no key is set, so that everything is kept.
    is_open: bool,
    /// The names of `names-file`.
    names: Option<NameSet>,
    /// The names of `exclude-names-file`.
    excluded_names: Option<NameSet>,
}

/// The verdict on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Keep,
    /// It ends here.
    Drop(FilterReason),
}

reasons! {
    /// Which key left a message out.
    pub enum FilterReason {
        /// Not one of the types to keep.
        MessageTypes = "message-types";
        /// The identity does not match.
        Identity = "dnstap-identities";
        /// The identity matches what is left out.
        ExcludedIdentity = "exclude-identities";
        /// The name does not match.
        Qname = "qname-regex";
        /// The name matches what is left out.
        ExcludedQname = "exclude-qname-regex";
        /// Not one of the rcodes to keep.
        Rcodes = "rcodes";
        /// Not for one of the types to keep.
        Qtypes = "qtypes";
        /// The query address is in none of the networks to keep.
        Clients = "clients";
        /// The query address is in a network that is left out.
        ExcludedClients = "exclude-clients";
        /// The exchange did not end as it should.
        Statuses = "statuses";
        /// It was quicker, or its latency is not known.
        MinLatency = "min-latency";
        /// The name is not in the file.
        Names = "names-file";
        /// The name is in the file of what is left out.
        ExcludedNames = "exclude-names-file";
        /// It was not its turn.
        Sample = "sample-rate";
    }
}

impl Filter {
    /// The filter of a section, whose files of names are read.
    ///
    /// # Errors
    ///
    /// The key whose file cannot be read.
    pub(crate) fn load(section: &Section) -> Result<Self, KeyError> {
        let read = |key, path: &Option<FilePath>| {
            let Some(path) = path else { return Ok(None) };
            let names = NameSet::read(&mut core::iter::once(open_regular(path)));
            names.map(Some).map_err(|error| KeyError::new(key, format!("{}: {error}", path.display())))
        };
        Ok(Filter {
            names: read("names-file", &section.names_file)?,
            excluded_names: read("exclude-names-file", &section.exclude_names_file)?,
            ..Filter::new(section)
        })
    }

    /// Bytes of its lists of names.
    pub(crate) fn cost(&self) -> usize {
        [&self.names, &self.excluded_names].into_iter().flatten().map(NameSet::cost).sum()
    }

    /// Whether no key is set, so that everything is kept.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether it must know how an exchange ended.
    #[inline]
    pub(crate) fn asks_for_status(&self) -> bool {
        !self.is_open && !self.section.statuses.is_empty()
    }

    /// The filter of a section, without its files of names.
    pub fn new(section: &Section) -> Self {
        let bits = section.message_types.iter().fold(0, |bits, &name| bits | 1 << name as u32);
        let message_types = if section.message_types.is_empty() { u32::MAX } else { bits };
        Filter {
            section: section.clone(),
            message_types,
            skip: 0,
            is_open: *section == Section::default(),
            names: None,
            excluded_names: None,
        }
    }

    /// Decides about one message; `asked_by` is its query address as it was sent, and `asked_for` its name,
    /// whatever hides them from all that follows. Without `asked_for` the event has it.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn judge(
        &mut self,
        event: &Event<'_>,
        asked_by: Option<IpAddr>,
        asked_for: Option<Name<'_>>,
    ) -> Verdict {
        if self.is_open {
            return Verdict::Keep;
        }
        if !self.keeps_type(event) {
            return Verdict::Drop(FilterReason::MessageTypes);
        }
        if let Some(reason) = self.refuse_values(event, asked_by) {
            return Verdict::Drop(reason);
        }
        let identity = (&self.section.dnstap_identities, &self.section.exclude_identities);
        let qname = (&self.section.qname_regex, &self.section.exclude_qname_regex);
        let identity = || {
            refuse(identity, [FilterReason::Identity, FilterReason::ExcludedIdentity], |room| {
                identity_text(event, room)
            })
        };
        let name = || asked_for.or_else(|| event.dns.question.as_ref().map(|question| question.name));
        let qname = || {
            refuse(qname, [FilterReason::Qname, FilterReason::ExcludedQname], |room| name()?.write_text(room))
        };
        if let Some(reason) = identity().or_else(qname).or_else(|| self.refuse_name(name)) {
            return Verdict::Drop(reason);
        }
        match self.skip.checked_sub(1) {
            Some(left) => {
                self.skip = left;
                Verdict::Drop(FilterReason::Sample)
            }
            None => {
                self.skip = self.section.sample_rate.get() - 1;
                Verdict::Keep
            }
        }
    }

    /// The key whose values do not allow the message, if any.
    fn refuse_values(&self, event: &Event<'_>, asked_by: Option<IpAddr>) -> Option<FilterReason> {
        let Section { rcodes, qtypes, clients, exclude_clients, statuses, min_latency, .. } = &self.section;
        if !rcodes.is_empty() && !event.dns.rcode.is_some_and(|rcode| rcodes.contains(&RcodeName(rcode))) {
            return Some(FilterReason::Rcodes);
        }
        let qtype = || event.dns.question.as_ref().and_then(|question| question.qtype);
        if !qtypes.is_empty() && !qtype().is_some_and(|qtype| qtypes.contains(&TypeName(qtype))) {
            return Some(FilterReason::Qtypes);
        }
        let is_in = |networks: &[Network]| {
            asked_by.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
        };
        if !clients.is_empty() && !is_in(clients) {
            return Some(FilterReason::Clients);
        }
        if !exclude_clients.is_empty() && is_in(exclude_clients) {
            return Some(FilterReason::ExcludedClients);
        }
        if !statuses.is_empty() && !event.status.is_some_and(|status| statuses.contains(&status)) {
            return Some(FilterReason::Statuses);
        }
        let is_slow = |least: &LeastLatency| {
            event.latency.is_some_and(|latency| latency.nanoseconds() >= least.nanoseconds)
        };
        if min_latency.as_ref().is_some_and(|least| !is_slow(least)) {
            return Some(FilterReason::MinLatency);
        }
        None
    }

    /// The file of names that does not allow the message, if any.
    fn refuse_name<'n>(&self, name: impl Fn() -> Option<Name<'n>>) -> Option<FilterReason> {
        let is_in = |names: &NameSet| name().is_some_and(|name| names.contains(name));
        if self.names.as_ref().is_some_and(|names| !is_in(names)) {
            return Some(FilterReason::Names);
        }
        self.excluded_names.as_ref().is_some_and(is_in).then_some(FilterReason::ExcludedNames)
    }

    /// One message in how many is kept of those that pass.
    pub(crate) fn sample_rate(&self) -> u64 {
        u64::from(self.section.sample_rate.get())
    }

    fn keeps_type(&self, event: &Event<'_>) -> bool {
        let bit = 1u32.checked_shl(event.message_type.0).unwrap_or(0);
        self.message_types == u32::MAX || self.message_types & bit != 0
    }
}

/// The reason why a text is not kept, if any: `keep` does not match it, or `exclude` does.
///
/// `write` gives the text and its length; it is asked only when there is a pattern.
fn refuse(
    (keep, exclude): (&Option<Pattern>, &Option<Pattern>),
    [missed, excluded]: [FilterReason; 2],
    write: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<FilterReason> {
    if keep.is_none() && exclude.is_none() {
        return None;
    }
    let mut room = [0; TEXT_MAX];
    let text =
        write(&mut room).and_then(|length| core::str::from_utf8(room.get(..length)?).ok()).unwrap_or("-");
    if keep.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
        return Some(missed);
    }
    exclude.as_ref().is_some_and(|pattern| pattern.is_match(text)).then_some(excluded)
}

/// The identity as all formats show it; `None` if there is none.
fn identity_text(event: &Event<'_>, room: &mut [u8]) -> Option<usize> {
    if event.identity.is_empty() { None } else { write_label_text(event.identity, room) }
}

/// The longest identity fits where the longest name does.
const _: () = assert!(IDENTITY_BYTES * TEXT_PER_BYTE <= TEXT_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dnstap::{Dnstap, Message};
    use proptest::prelude::*;

    /// A response of NXDOMAIN for AAAA of `ads.example.com`, to 192.0.2.7, after 20 ms.
    fn verdict(section: &str, names: &str) -> Verdict {
        let path = std::env::temp_dir().join(format!("dnstapd-filter-{}", std::process::id()));
        std::fs::write(&path, names).unwrap();
        let section = section.replace("FILE", path.to_str().unwrap());
        let mut filter = Filter::load(&toml::from_str(&section).unwrap()).unwrap();
        let payload = b"\0\x01\x81\x83\0\x01\0\0\0\0\0\0\x03ads\x07Example\x03com\0\0\x1c\0\x01";
        let message = Message {
            message_type: crate::wire::iana::MessageType::CLIENT_RESPONSE,
            query_address: Some(&[192, 0, 2, 7]),
            response_message: Some(payload),
            ..Message::default()
        };
        let mut event = Event::from_dnstap(&Dnstap { message, ..Dnstap::default() });
        let at = |nanoseconds| crate::time::Time::new(1_700_000_000, nanoseconds).unwrap();
        event.latency = crate::time::Latency::between(at(0), at(20_000_000));
        event.status = Some(ExchangeStatus::Nxdomain);
        filter.judge(&event, event.query.address, None)
    }

    #[test]
    fn every_key_keeps_what_it_should() {
        for (section, names, kept) in [
            ("rcodes = ['NOERROR', 'nxdomain']", "", true),
            ("rcodes = ['SERVFAIL']", "", false),
            ("qtypes = ['A', 'TYPE28']", "", true),
            ("qtypes = ['A']", "", false),
            ("clients = ['192.0.2.0/24']", "", true),
            ("clients = ['192.0.2.8', '::/0']", "", false),
            ("exclude-clients = ['192.0.2.8']", "", true),
            ("exclude-clients = ['192.0.2.0/29']", "", false),
            ("statuses = ['blocked', 'nxdomain']", "", true),
            ("statuses = ['answered']", "", false),
            ("min-latency = 0.02", "", true),
            ("min-latency = 1", "", false),
            ("names-file = 'FILE'", "EXAMPLE.com", true),
            ("names-file = 'FILE'", "0.0.0.0 example.com", false),
            ("exclude-names-file = 'FILE'", "example.net", true),
            ("exclude-names-file = 'FILE'", "||example.com^", false),
        ] {
            let key = section.split(' ').next().unwrap();
            let refused = FilterReason::all().find(|reason| reason.label() == key).unwrap();
            let expected = if kept { Verdict::Keep } else { Verdict::Drop(refused) };
            assert_eq!(verdict(section, names), expected, "{section} {names}");
        }
        let missing = toml::from_str("names-file = '/does/not/exist'").unwrap();
        assert_eq!(Filter::load(&missing).unwrap_err().key, "names-file");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The first is kept, and then one in `sample-rate`, of those only that pass everything else.
        #[test]
        fn one_in_so_many_is_kept(
            rate in 1u32..40,
            types in proptest::collection::vec(proptest::sample::select(vec![5u32, 6]), 0..300),
        ) {
            let section = format!("message-types = ['CLIENT_QUERY']\nsample-rate = {rate}");
            let mut filter = Filter::new(&toml::from_str(&section).unwrap());
            let mut passed = 0;
            for number in types {
                let message = Message { message_type: crate::wire::iana::MessageType(number), ..Message::default() };
                let verdict = filter.judge(&Event::from_dnstap(&Dnstap { message, ..Dnstap::default() }), None, None);
                let expected = match number {
                    6 => Verdict::Drop(FilterReason::MessageTypes),
                    _ if passed % rate == 0 => Verdict::Keep,
                    _ => Verdict::Drop(FilterReason::Sample),
                };
                passed += u32::from(number == 5);
                prop_assert_eq!(verdict, expected);
            }
        }
    }
}
