//! Reports of librdkafka: deliveries, the state of its connections, its log lines.
//!
//! All of it arrives while the task serves the queue of events, on our one thread, but librdkafka's crate
//! asks for a value that any thread could use: so there are atomics here, which the task empties after each
//! look.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use defmt_or_log::{debug, error, info, warn};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use super::NAME;
use crate::limits::{KAFKA_LOG_KINDS, KAFKA_LOG_SECONDS};

/// The reports since the task looked last.
#[derive(Debug, Default)]
pub(crate) struct DeliveryReports {
    delivered: SettledRecords,
    lost: SettledRecords,
    /// Whether a connection to a broker stands.
    connected: AtomicBool,
    said: Mutex<LogTimes>,
}

/// Records that are not on their way any more.
#[derive(Debug, Default)]
struct SettledRecords {
    records: AtomicU32,
    bytes: AtomicUsize,
}

impl SettledRecords {
    fn add(&self, bytes: usize) {
        self.records.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Records and their bytes since the last time.
    fn take(&self) -> (u64, usize) {
        (u64::from(self.records.swap(0, Relaxed)), self.bytes.swap(0, Relaxed))
    }
}

impl DeliveryReports {
    /// Records that the brokers took, and their bytes.
    pub(crate) fn take_delivered(&self) -> (u64, usize) {
        self.delivered.take()
    }

    /// Records that the brokers did not take, and their bytes.
    pub(crate) fn take_lost(&self) -> (u64, usize) {
        self.lost.take()
    }

    /// Whether a connection to a broker stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Logs that a record is lost, once for each reason and while.
    pub(crate) fn tell_loss(&self, error: &KafkaError) {
        let kind = error.rdkafka_error_code().map_or(0, |code| code as i32);
        if self.may_say(("lost", kind)) {
            let reason =
                error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
            warn!("Output {}: a record was not delivered: {}", NAME, reason);
        }
    }

    fn may_say(&self, kind: impl Hash) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).may_say(kind, Instant::now())
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                self.connected.store(true, Relaxed);
                self.delivered.add(bytes(message));
            }
            Err((error, message)) => {
                self.tell_loss(error);
                self.lost.add(bytes(message));
            }
        }
    }
}

/// Bytes of a message's key and value.
fn bytes(message: &impl Message) -> usize {
    message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len)
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // Brokers are named once the output's task runs.
        if text.contains(WITHOUT_BROKERS) {
            return;
        }
        let is_detail = matches!(level, RDKafkaLogLevel::Debug);
        if !is_detail && !self.may_say(facility) {
            return;
        }
        match level {
            RDKafkaLogLevel::Debug => debug!("Output {}: {}: {}", NAME, facility, text),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                info!("Output {}: {}: {}", NAME, facility, text)
            }
            // To librdkafka a broker that is away is an error; here it is a remote that may come back.
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Error => {
                warn!("Output {}: {}: {}", NAME, facility, text);
            }
            _ => error!("Output {}: {}: {}", NAME, facility, text),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.connected.store(any_broker_up(statistics), Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.connected.store(false, Relaxed);
        }
        if self.may_say(("error", code.map_or(0, |code| code as i32))) {
            warn!("Output {}: {}", NAME, reason);
        }
    }
}

/// Whether one of the brokers in librdkafka's statistics, JSON, is in the state `UP`.
///
/// No text in there can look so: a quote in a name comes with a backslash.
fn any_broker_up(statistics: &[u8]) -> bool {
    statistics.windows(BROKER_UP.len()).any(|part| part == BROKER_UP)
}

/// When something of each kind was last said in the log.
#[derive(Debug, Default)]
struct LogTimes {
    kinds: heapless::Vec<(u64, Instant), KAFKA_LOG_KINDS>,
}

impl LogTimes {
    /// Whether a line of that kind may be said now: one a kind and [`KAFKA_LOG_SECONDS`].
    fn may_say(&mut self, kind: impl Hash, now: Instant) -> bool {
        let kind = foldhash::fast::FixedState::default().hash_one(kind);
        let known = self.kinds.iter_mut().find(|(known, _)| *known == kind);
        if let Some((_, last)) = known {
            let may = now.saturating_duration_since(*last) >= Duration::from_secs(KAFKA_LOG_SECONDS);
            if may {
                *last = now;
            }
            return may;
        }
        // Full: the oldest makes room, which says more than never to speak again.
        if self.kinds.is_full() {
            let oldest = self.kinds.iter().enumerate().min_by_key(|(_, (_, last))| *last).map(|(at, _)| at);
            oldest.map(|at| self.kinds.swap_remove(at));
        }
        self.kinds.push((kind, now)).is_ok()
    }
}

/// How librdkafka's statistics say that a connection stands.
const BROKER_UP: &[u8] = b"\"state\":\"UP\"";

/// The complaint of librdkafka about a client that is made without brokers.
const WITHOUT_BROKERS: &str = "No `bootstrap.servers` configured";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_kind_and_while() {
        let (mut said, start) = (LogTimes::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(said.may_say("FAIL", start));
        assert!(!said.may_say("FAIL", later(KAFKA_LOG_SECONDS - 1)));
        assert!(said.may_say(("lost", 3), later(1)));
        assert!(said.may_say("FAIL", later(KAFKA_LOG_SECONDS)));
        for kind in 0..KAFKA_LOG_KINDS {
            assert!(said.may_say(kind, later(KAFKA_LOG_SECONDS + 1)), "a new kind is always heard");
        }
        assert!(said.may_say("FAIL", later(KAFKA_LOG_SECONDS + 2)), "it was forgotten");
    }

    #[test]
    fn a_broker_is_up_by_its_own_state() {
        let statistics = |state| format!(r#"{{"brokers":{{"a:9092/1":{{"name":"a","state":"{state}"}}}}}}"#);
        assert!(any_broker_up(statistics("UP").as_bytes()));
        assert!(!any_broker_up(statistics("UPDATE").as_bytes()));
        assert!(!any_broker_up(statistics("DOWN").as_bytes()));
        assert!(!any_broker_up(br#"{"topic":"\"state\":\"UP\""}"#));
    }
}
