//! The conditions of a search in the log, and how names are matched.

use super::read::{LogRecord, message};
use super::record::{Outcome, Status};
use super::shape::Shape;
use crate::limits::IDENTITY_BYTES;
use crate::wire::iana::{MessageType, Protocol, Rcode, RrType};
use crate::wire::name::{Name, TEXT_MAX};
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// The most values of one kind in a filter.
pub(crate) const FILTER_VALUES: usize = 16;

/// The conditions of a search. Empty lists want everything; of a list, any value will do.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFilter<'f> {
    /// Names as text, in lower case and without final dot; `*` is any run of characters.
    pub(crate) names: heapless::Vec<&'f [u8], FILTER_VALUES>,
    /// Types of questions.
    pub(crate) types: heapless::Vec<RrType, FILTER_VALUES>,
    /// Rcodes.
    pub(crate) rcodes: heapless::Vec<Rcode, FILTER_VALUES>,
    /// Sides, or sides and directions.
    pub(crate) messages: heapless::Vec<MessageTerm, FILTER_VALUES>,
    /// Identities as people read them.
    pub(crate) identities: heapless::Vec<&'f [u8], FILTER_VALUES>,
    /// Statuses.
    pub(crate) statuses: heapless::Vec<Status, FILTER_VALUES>,
    /// Transports.
    pub(crate) protocols: heapless::Vec<Protocol, FILTER_VALUES>,
    /// The least latency in microseconds.
    pub(crate) min_latency: Option<u64>,
    /// Milliseconds since 1970: not before.
    pub(crate) since: Option<i64>,
    /// Milliseconds since 1970: not after.
    pub(crate) until: Option<i64>,
}

/// A side, such as CLIENT, or a side and direction, such as CLIENT_RESPONSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageTerm {
    /// Both directions of a side.
    Kind(u32),
    /// One.
    Message(MessageType),
}

impl MessageTerm {
    /// Reads `CLIENT` or `CLIENT_RESPONSE`, in any case.
    pub(crate) fn parse(text: &str) -> Option<MessageTerm> {
        let side = |message: &&MessageType| {
            let name = message.mnemonic().and_then(|name| name.strip_suffix("_QUERY"));
            name.is_some_and(|name| name.eq_ignore_ascii_case(text))
        };
        let side = MessageType::ALL.iter().find(side).map(|message| MessageTerm::Kind(message.kind()));
        side.or_else(|| MessageType::from_mnemonic(text).map(MessageTerm::Message))
    }

    fn wants(self, message: MessageType) -> bool {
        match self {
            MessageTerm::Kind(kind) => message.kind() == kind,
            MessageTerm::Message(wanted) => message == wanted,
        }
    }
}

/// Whether a list wants a value.
fn wants<T: PartialEq, const N: usize>(list: &heapless::Vec<T, N>, value: Option<T>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.contains(&value))
}

impl LogFilter<'_> {
    pub(super) fn wants_outcome(&self, outcome: &Outcome) -> bool {
        wants(&self.statuses, Some(outcome.status)) && wants(&self.rcodes, outcome.rcode.map(Rcode))
    }

    /// Whether it wants a shape, once for exchanges without a response and once for those with.
    pub(super) fn wants_shape(&self, shape: &Shape<'_>) -> [bool; 2] {
        let common = wants(&self.types, shape.qtype)
            && wants(&self.protocols, shape.protocol)
            && (self.identities.is_empty() || self.wants_identity(shape.identity));
        [false, true].map(|responded| {
            let message = message(shape.message, responded);
            common && (self.messages.is_empty() || self.messages.iter().any(|term| term.wants(message)))
        })
    }

    pub(super) fn wants_identity(&self, identity: &[u8]) -> bool {
        let mut room = [0; IDENTITY_BYTES * TEXT_PER_BYTE];
        let identity = if identity.is_empty() { b"-" } else { identity };
        let text = write_label_text(identity, &mut room).and_then(|length| room.get(..length));
        text.is_some_and(|text| self.identities.contains(&text))
    }

    pub(super) fn wants_name(&self, name: Option<Name<'_>>) -> bool {
        let Some(name) = name else { return self.names.is_empty() };
        let mut room = [0; TEXT_MAX];
        let text = name.write_text(&mut room).and_then(|length| room.get_mut(..length)).unwrap_or_default();
        text.make_ascii_lowercase();
        let text = text.strip_suffix(b".").unwrap_or(text);
        self.names.is_empty() || self.names.iter().any(|pattern| is_at_or_below(pattern, text))
    }

    /// Whether it may want a name of these bytes: a no is sure, and costs much less than the text of the
    /// name.
    pub(super) fn may_want_name(&self, bytes: &[u8]) -> bool {
        self.names.iter().any(|pattern| may_match(pattern, bytes))
    }

    pub(super) fn wants_time(&self, time: Option<i64>) -> bool {
        let bound = |bound: Option<i64>, fits: fn(i64, i64) -> bool| {
            bound.is_none_or(|bound| time.is_some_and(|time| fits(time, bound)))
        };
        bound(self.since, |time, since| time >= since) && bound(self.until, |time, until| time <= until)
    }

    /// Whether it wants a record, by all but the client. Searches come to the same result by shorter ways.
    pub(crate) fn wants(&self, record: &LogRecord<'_>) -> bool {
        let shape = Shape {
            stream: record.stream,
            identity: record.identity,
            qtype: record.qtype,
            message: record.query_message,
            family: record.family,
            protocol: record.protocol,
        };
        let [lone, responded] = self.wants_shape(&shape);
        (if record.outcome.responded { responded } else { lone })
            && self.wants_outcome(&record.outcome)
            && self
                .min_latency
                .is_none_or(|least| record.latency.microseconds().is_some_and(|it| it >= least))
            && self.wants_time(record.time)
            && self.wants_name(record.name)
    }
}

/// Whether a name is the one of a pattern or below it. All are below the root, whose text is empty here.
fn is_at_or_below(pattern: &[u8], text: &[u8]) -> bool {
    let Some(last) = pattern.last() else { return true };
    // Most names end in another way, which is seen at once.
    if *last != b'*' && text.last() != Some(last) {
        return false;
    }
    if pattern.first() == Some(&b'*') {
        // The star takes what is before, too.
        return matches(pattern, text);
    }
    if !pattern.contains(&b'*') {
        return text.strip_suffix(pattern).is_some_and(|before| before.is_empty() || ends_in_dot(before));
    }
    let dots =
        text.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| text.split_at(at + 1));
    let below = dots.filter(|(before, _)| ends_in_dot(before)).map(|(_, name)| name);
    core::iter::once(text).chain(below).any(|text| matches(pattern, text))
}

/// Whether the name of these bytes may be one of a pattern or below it: it ends like the pattern, and has the
/// longest part between its stars. In wire form the place of a dot has the length of a label.
fn may_match(pattern: &[u8], bytes: &[u8]) -> bool {
    let Some(labels) = bytes.strip_suffix(&[0]) else { return true };
    if pattern.contains(&b'\\') {
        return true;
    }
    let is_same = |part: &[u8], bytes: &[u8]| {
        let mut pairs = part.iter().zip(bytes);
        pairs.all(|(part, byte)| if *part == b'.' { *byte < 64 } else { *part == byte.to_ascii_lowercase() })
    };
    let mut parts = pattern.rsplit(|byte| *byte == b'*');
    let end = parts.next().unwrap_or_default();
    let tail = labels.len().checked_sub(end.len()).and_then(|start| labels.get(start..));
    let Some(longest) = parts.max_by_key(|part| part.len()) else {
        return tail.is_some_and(|tail| is_same(end, tail));
    };
    // Such a byte is three digits as text.
    let has_numbers = |(name, _): (Name<'_>, _)| name.labels().flatten().any(|byte| !byte.is_ascii_graphic());
    if pattern.iter().any(u8::is_ascii_digit) && Name::parse(bytes).is_ok_and(has_numbers) {
        return true;
    }
    if !tail.is_some_and(|tail| is_same(end, tail)) {
        return false;
    }
    let Some((first, rest)) = longest.split_first() else { return true };
    let is_first = |byte: &u8| if *first == b'.' { *byte < 64 } else { byte.eq_ignore_ascii_case(first) };
    let mut left = labels;
    while let Some(at) = left.iter().position(is_first) {
        left = left.get(at + 1..).unwrap_or_default();
        if left.len() >= rest.len() && is_same(rest, left) {
            return true;
        }
    }
    false
}

/// Whether a text ends with a dot between labels: one that no backslash escapes.
fn ends_in_dot(text: &[u8]) -> bool {
    let Some(rest) = text.strip_suffix(b".") else { return false };
    rest.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

/// Whether a text is what a pattern says, where `*` stands for any run of bytes.
///
/// Only the last star needs to be gone back to: what an earlier one could take, a later one can take as well.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((byte, after))) if wanted == byte => (pattern, text) = (rest, after),
            (None, None) => return true,
            _ => match star {
                Some((rest, [_, after @ ..])) => {
                    star = Some((rest, after));
                    (pattern, text) = (rest, after);
                }
                _ => return false,
            },
        }
    }
}
