//! librdkafka as this output uses it: which settings it gets, and how it is made.
//!
//! `rdkafka-config` goes to librdkafka as it is. Only where it says nothing, some settings differ from
//! librdkafka's own defaults: its queue is as long as ours, not a gigabyte, and it tells once a second how
//! its connections are.
//!
//! The start has two steps. A client is made without brokers, which reads certificates but connects nothing:
//! that is what `--check` and the start before the loss of privileges need. The task then names the brokers.

use std::io;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, DefaultProducerContext};

use super::BROKER_LISTS;
use super::Properties;
use super::reports::DeliveryReports;
use crate::limits::{KAFKA_MESSAGE_BYTES, KAFKA_QUEUE_BYTES_PER_MESSAGE, KAFKA_STATISTICS_MS};
use crate::sys::kafka::Watched;
use crate::values::KeyError;

/// A producer that reports to us.
pub(crate) type KafkaClient = Watched<DeliveryReports>;

/// Whether this build knows Kafka.
pub(crate) const BUILT: bool = true;

/// Asks librdkafka whether it takes the settings, by their words alone: no file is opened, nothing connects.
///
/// # Errors
///
/// The first setting it refuses, in its own words.
pub(crate) fn check(properties: &Properties, queue: usize) -> Result<(), KeyError> {
    let mut config = config(properties, queue);
    config.create_native_config().map_err(|error| fault(&error))?;
    if config.get("transactional.id").is_some() {
        let text = "`transactional.id`: records are not sent in transactions; allowed: `enable.idempotence`";
        return Err(KeyError::new(KEY, text));
    }
    for (name, _) in properties.iter().filter(|(name, _)| is_of_the_machine(name)) {
        config.remove(name);
    }
    // What contradicts each other shows only when a client is made.
    let tried: KafkaResult<BaseProducer<DefaultProducerContext>> =
        config.create_with_context(DefaultProducerContext);
    tried.map(drop).map_err(|error| fault(&error))
}

/// A client without brokers.
///
/// # Errors
///
/// The message of librdkafka; after [`check`] that is a file it cannot use.
pub(crate) fn make(properties: &Properties, queue: usize) -> io::Result<KafkaClient> {
    let mut config = config(properties, queue);
    config.set_log_level(log_level(properties));
    let producer = config.create_with_context(DeliveryReports::default());
    Watched::new(producer.map_err(|error| io::Error::other(words(&error)))?)
}

/// The brokers to begin with.
pub(crate) fn brokers(properties: &Properties) -> String {
    BROKER_LISTS.iter().filter_map(|name| properties.value(name)).collect::<Vec<_>>().join(",")
}

/// Bytes that librdkafka's queue takes at most.
pub(crate) fn cost(properties: &Properties, queue: usize) -> usize {
    let config = config(properties, queue);
    let number = |name| config.get(name).and_then(|text| text.trim().parse().ok()).unwrap_or(0_usize);
    let records = number(QUEUE_KBYTES).saturating_mul(1 << 10);
    records.saturating_add(number(QUEUE_MESSAGES).saturating_mul(KAFKA_MESSAGE_BYTES))
}

/// The settings, without the brokers.
fn config(properties: &Properties, queue: usize) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set(QUEUE_KBYTES, (queue >> 10).max(1).to_string());
    config.set(QUEUE_MESSAGES, (queue / KAFKA_QUEUE_BYTES_PER_MESSAGE).max(1).to_string());
    config.set("statistics.interval.ms", KAFKA_STATISTICS_MS.to_string());
    config.set("client.id", env!("CARGO_PKG_NAME"));
    for (name, value) in properties.iter().filter(|(name, _)| !BROKER_LISTS.contains(name)) {
        config.set(name, value);
    }
    config
}

/// From which severity on librdkafka says something: its own rules.
fn log_level(properties: &Properties) -> RDKafkaLogLevel {
    let asked = properties.value("log_level").and_then(|text| text.trim().parse::<u8>().ok());
    match asked {
        Some(0) => RDKafkaLogLevel::Emerg,
        Some(1) => RDKafkaLogLevel::Alert,
        Some(2) => RDKafkaLogLevel::Critical,
        Some(3) => RDKafkaLogLevel::Error,
        Some(4) => RDKafkaLogLevel::Warning,
        Some(5) => RDKafkaLogLevel::Notice,
        None if properties.value("debug").is_none() => RDKafkaLogLevel::Info,
        Some(6) => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

/// Whether a setting names something on this machine.
fn is_of_the_machine(name: &str) -> bool {
    name.ends_with(".location") || name == "plugin.library.paths"
}

fn fault(error: &KafkaError) -> KeyError {
    KeyError::new(KEY, format!("{}; allowed: the settings of librdkafka", words(error)))
}

/// The error of librdkafka. The value of a setting is not repeated by us: it may be a secret.
fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, text, ..) | KafkaError::ClientCreation(text) => text.trim().to_owned(),
        KafkaError::Nul(_) => "a setting with a byte of zero".to_owned(),
        other => other.to_string(),
    }
}

/// The key of the section that librdkafka's settings are in.
const KEY: &str = "rdkafka-config";

const QUEUE_KBYTES: &str = "queue.buffering.max.kbytes";
const QUEUE_MESSAGES: &str = "queue.buffering.max.messages";
