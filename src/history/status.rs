//! How an exchange ended, as far as its response says it: answered, blocked, no such name, an error.
//!
//! A filter in a resolver has many ways to say that it keeps something back: a policy in the dnstap message,
//! an extended DNS error, an address that leads nowhere, or NXDOMAIN for a name of its list. Each is looked
//! for in that order, and only in responses to clients: an authoritative server may well answer 0.0.0.0.
//!
//! Of the payload only what that needs is read ([`AnswerSummary`]), and mostly that is the header.

use core::net::IpAddr;

use super::log::{LoggedAnswer, Outcome, Status};
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::message::name_set::NameSet;
use crate::message::status::ExchangeStatus;
use crate::values::Network;
use crate::wire::answers::{AnswerSummary, FirstAnswer, read_name};
use crate::wire::name::{NAME_MAX, Name};

/// The marks of a blocked response.
#[derive(Debug, Default)]
pub struct StatusRules {
    /// Addresses that lead nowhere, besides 0.0.0.0 and ::.
    pub(crate) addresses: Vec<Network>,
    /// Names for which, and for those below, NXDOMAIN is the answer of a list.
    pub(crate) names: Option<NameSet>,
}

/// A response, judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JudgedResponse<'a> {
    /// How it ended.
    pub(crate) outcome: Outcome,
    first: Option<FirstAnswer<'a>>,
}

/// Extended DNS errors: Blocked, Censored, Filtered (RFC 8914, 4.16 to 4.18).
const EDE_BLOCKED: core::ops::RangeInclusive<u16> = 15..=17;
const NXDOMAIN: u16 = 3;

/// Names for which an address that leads nowhere or NXDOMAIN is no wonder: nobody asks the world for them.
const OWN_ZONES: &[&[&[u8]]] = &[
    &[b"localhost"],
    &[b"local"],
    &[b"invalid"],
    &[b"onion"],
    &[b"home", b"arpa"],
    &[b"in-addr", b"arpa"],
    &[b"ip6", b"arpa"],
];

/// The statuses that log and records have in common.
const SAME_STATUS: [(Status, ExchangeStatus); 7] = [
    (Status::Pending, ExchangeStatus::Pending),
    (Status::Answered, ExchangeStatus::Answered),
    (Status::Blocked, ExchangeStatus::Blocked),
    (Status::Nxdomain, ExchangeStatus::Nxdomain),
    (Status::Error, ExchangeStatus::Error),
    (Status::Unanswered, ExchangeStatus::Unanswered),
    (Status::Unknown, ExchangeStatus::Unknown),
];

impl From<ExchangeStatus> for Status {
    fn from(status: ExchangeStatus) -> Self {
        let pair = SAME_STATUS.iter().find(|(_, shown)| *shown == status);
        pair.map_or(Status::Unknown, |(logged, _)| *logged)
    }
}

impl StatusRules {
    /// Judges a response.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn judge<'a>(
        &self,
        event: &Event<'a>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
    ) -> JudgedResponse<'a> {
        // The records come after the one question that was read.
        let answers =
            event.question_end().map(|end| AnswerSummary::parse(event.payload, end)).unwrap_or_default();
        let rcode = event.dns.rcode.map(|rcode| rcode.0);
        let is_blocked = hashes.is_of_client
            && (policy_intervened
                || answers.ede.is_some_and(|ede| EDE_BLOCKED.contains(&ede))
                || self.leads_nowhere(&answers, hashes.name)
                || rcode == Some(NXDOMAIN) && self.is_listed(hashes.name));
        let status = if is_blocked { Status::Blocked } else { Status::of_rcode(rcode) };
        JudgedResponse {
            outcome: Outcome { status, rcode, ede: answers.ede, responded: true },
            first: answers.first,
        }
    }

    /// How the exchange of a message ended, as far as the message says it.
    pub(crate) fn status(
        &self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
    ) -> ExchangeStatus {
        if !event.is_response() {
            return ExchangeStatus::Pending;
        }
        let status = self.judge(event, hashes, policy_intervened).outcome.status;
        let pair = SAME_STATUS.iter().find(|(logged, _)| *logged == status);
        pair.map_or(ExchangeStatus::Unknown, |(_, shown)| *shown)
    }

    /// Whether a name is in a list.
    fn is_listed(&self, name: Name<'_>) -> bool {
        self.names.as_ref().is_some_and(|names| names.contains(name)) && !is_own(name)
    }

    /// Whether the only answer is an address that leads nowhere.
    fn leads_nowhere(&self, answers: &AnswerSummary<'_>, name: Name<'_>) -> bool {
        let Some(address) = answers.only_address() else { return false };
        let is_listed = |address: IpAddr| self.addresses.iter().any(|network| network.contains(address));
        (address.is_unspecified() || is_listed(address)) && !is_own(name)
    }
}

/// Whether a name is one that nobody asks the world for.
fn is_own(name: Name<'_>) -> bool {
    OWN_ZONES.iter().any(|zone| {
        let depth = name.labels().count();
        depth >= zone.len()
            && name
                .labels()
                .skip(depth - zone.len())
                .zip(*zone)
                .all(|(label, own)| label.eq_ignore_ascii_case(own))
    })
}

impl JudgedResponse<'_> {
    /// The first answer; a name is put together in `room`.
    pub(crate) fn answer<'r>(&self, room: &'r mut [u8; NAME_MAX]) -> LoggedAnswer<'r> {
        match self.first {
            None => LoggedAnswer::None,
            Some(FirstAnswer::Address(address)) => LoggedAnswer::Address(address),
            Some(FirstAnswer::Alias(message, start)) => {
                read_name(message, start, room).map_or(LoggedAnswer::None, LoggedAnswer::Alias)
            }
        }
    }
}
