//! Which messages are kept.
//!
//! A message is kept when every key that is set agrees; the first that does not is counted as the reason.
//! Patterns are matched on the text that all formats show, in its own case, with the final dot; what is
//! missing is `-`. The text is made only when a pattern asks for it, and a pattern that is plain alternatives
//! (`literals`) is decided without the engine for regular expressions.
//!
//! Sampling comes last: of the messages that pass everything else, one in N is kept, the first included.

mod literals;
mod pattern;

pub use pattern::Pattern;

use serde::Deserialize;

use crate::limits::IDENTITY_BYTES;
use crate::message::event::Event;
use crate::reasons::{Reason, reasons};
use crate::values::{Bounded, choice};
use crate::wire::name::TEXT_MAX;
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// Section `filter`. A message is kept when every key that is set agrees.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Keep names that match.
    pub qname_regex: Option<Pattern>,
    /// Keep identities that match.
    pub dnstap_identities: Option<Pattern>,
    /// Leave out names that match.
    pub exclude_qname_regex: Option<Pattern>,
    /// Leave out identities that match.
    pub exclude_identities: Option<Pattern>,
    /// Keep these message types; empty = all.
    pub message_types: Vec<MessageName>,
    /// Keep one message in this many.
    pub sample_rate: SampleRate,
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
pub type SampleRate = Bounded<1, 1_000_000_000>;

impl Default for Section {
    fn default() -> Self {
        Section {
            qname_regex: None,
            dnstap_identities: None,
            exclude_qname_regex: None,
            exclude_identities: None,
            message_types: Vec::new(),
            sample_rate: SampleRate::new(1),
        }
    }
}

impl Section {
    /// The patterns that are set, with their keys.
    pub fn patterns(&self) -> impl Iterator<Item = (&'static str, &Pattern)> {
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
}

/// The verdict on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
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
        /// It was not its turn.
        Sample = "sample-rate";
    }
}

impl Filter {
    /// The filter of a section.
    pub fn new(section: &Section) -> Self {
        let bits = section.message_types.iter().fold(0, |bits, &name| bits | 1 << name as u32);
        let message_types = if section.message_types.is_empty() { u32::MAX } else { bits };
        Filter { section: section.clone(), message_types, skip: 0, is_open: *section == Section::default() }
    }

    /// Decides about one message.
    #[cfg_attr(for_size, optimize(speed))]
    pub fn judge(&mut self, event: &Event<'_>) -> Verdict {
        if self.is_open {
            return Verdict::Keep;
        }
        if !self.keeps_type(event) {
            return Verdict::Drop(FilterReason::MessageTypes);
        }
        let identity = (&self.section.dnstap_identities, &self.section.exclude_identities);
        let qname = (&self.section.qname_regex, &self.section.exclude_qname_regex);
        let identity = || {
            refuse(identity, [FilterReason::Identity, FilterReason::ExcludedIdentity], |room| {
                identity_text(event, room)
            })
        };
        let qname = || {
            refuse(qname, [FilterReason::Qname, FilterReason::ExcludedQname], |room| qname_text(event, room))
        };
        if let Some(reason) = identity().or_else(qname) {
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

    /// One message in how many is kept of those that pass.
    pub fn sample_rate(&self) -> u64 {
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

/// The name as all formats show it; `None` if there is none.
fn qname_text(event: &Event<'_>, room: &mut [u8]) -> Option<usize> {
    event.dns.question.as_ref()?.name.write_text(room)
}

/// The longest identity fits where the longest name does.
const _: () = assert!(IDENTITY_BYTES * TEXT_PER_BYTE <= TEXT_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dnstap::{Dnstap, Message};
    use proptest::prelude::*;

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
                let verdict = filter.judge(&Event::from_dnstap(&Dnstap { message, ..Dnstap::default() }));
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
