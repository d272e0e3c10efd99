//! `dnstapd cat`: prints a capture, or what of it is asked for.
//!
//! It is the daemon with one input, one output and nothing else, so packets and frames, pairing and formats
//! are the same. The filters are the parameters of `/log`, read by the same code. A message is judged by
//! itself: a query has the status `pending`, its response has that of the exchange.

use core::net::IpAddr;

use crate::args::CatOptions;
use crate::config::{CommandLine, Config};
use crate::daemon;
use crate::history::log::{LatencyClass, LogFilter, LogRecord, LoggedAnswer, Outcome, Position, Status};
use crate::history::status::StatusRules;
use crate::http::{FILTER_PARAMETERS, FilterTexts, query::Parameters};
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::pipeline::Selection;
use crate::time::Time;

/// Prints the capture.
///
/// # Errors
///
/// The fault, and the exit status: 2 for the words, 1 for the machine.
pub fn run(options: &CatOptions) -> Result<(), (String, u8)> {
    let wanted = WantedMessages::read(&options.filters).map_err(|why| (format!("dnstapd: {why}"), 2))?;
    let text = format!(
        "[web-api]\nenable = false\n[history]\nenable = false\n[health]\nenable = false\n[output.stdout]\nformat = \"{}\"",
        options.format
    );
    let overlay = CommandLine { replay: Some(options.file.clone()), ..CommandLine::default() };
    let config = Config::parse_under(&text, "", &overlay)
        .map_err(|errors| (errors.to_string(), errors.class().exit_status()))?;
    daemon::print(config, Box::leak(Box::new(wanted))).map_err(|failure| (failure.to_string(), 1))
}

/// The messages that are asked for.
#[derive(Debug)]
struct WantedMessages {
    texts: &'static FilterTexts,
    filter: LogFilter<'static>,
    rules: StatusRules,
}

impl WantedMessages {
    /// Reads filters of the form `KEY=VALUE`; values of one key are a list.
    fn read(filters: &[String]) -> Result<Self, String> {
        let allowed = || format!("allowed: KEY=VALUE, where KEY is one of {}", FILTER_PARAMETERS.join(", "));
        let mut parameters = String::new();
        for key in FILTER_PARAMETERS {
            let values = filters.iter().filter_map(|filter| filter.strip_prefix(key)?.strip_prefix('='));
            for (number, value) in values.enumerate() {
                parameters.push_str(if number > 0 { "," } else { "&" });
                if number == 0 {
                    parameters.push_str(key);
                    parameters.push('=');
                }
                value.chars().for_each(|character| match character {
                    '%' => parameters.push_str("%25"),
                    '&' => parameters.push_str("%26"),
                    '+' => parameters.push_str("%2B"),
                    character => parameters.push(character),
                });
            }
        }
        let is_known =
            |filter: &String| filter.split_once('=').is_some_and(|(key, _)| FILTER_PARAMETERS.contains(&key));
        if let Some(strange) = filters.iter().find(|filter| !is_known(filter)) {
            return Err(format!("--filter {strange}: unknown; {}", allowed()));
        }
        let parameters = Parameters(String::leak(parameters));
        let now = i64::try_from(Time::now().seconds).unwrap_or_default() * 1_000;
        let texts: &'static FilterTexts = Box::leak(Box::new(
            FilterTexts::read(parameters).map_err(|why| format!("--filter: {}", why.reason()))?,
        ));
        let filter = texts.filter(parameters, now).map_err(|why| format!("--filter: {}", why.reason()))?;
        Ok(WantedMessages { texts, filter, rules: StatusRules::default() })
    }

    fn wants_client(&self, address: Option<IpAddr>) -> bool {
        self.texts.wants_client(None, address)
    }
}

impl Selection for WantedMessages {
    fn wants(&self, event: &Event<'_>, hashes: &MessageHashes<'_>, policy_intervened: bool) -> bool {
        let outcome = if event.is_response() {
            self.rules.judge(event, hashes, policy_intervened).outcome
        } else {
            let rcode = event.dns.rcode.map(|rcode| rcode.0);
            Outcome { status: Status::Pending, rcode, ede: None, responded: false }
        };
        let question = event.dns.question.as_ref();
        let milliseconds = |time: Time| {
            i64::try_from(time.seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
                + i64::from(time.nanoseconds / 1_000_000)
        };
        self.wants_client(event.query.address)
            && self.filter.wants(&LogRecord {
                position: Position::NEWEST,
                time: event.time.map(milliseconds),
                identity: event.identity,
                stream: 0,
                client: event.query.address,
                name: question.map(|question| question.name),
                qtype: question.and_then(|question| question.qtype),
                query_message: event.message_type,
                family: event.family,
                protocol: event.protocol,
                outcome,
                latency: LatencyClass::of(event.latency),
                answer: LoggedAnswer::None,
            })
    }
}
