//! Output `kafka`: sends records to a Kafka topic, by librdkafka.
//!
//! One message a record, with the record as its value and a key that decides on its partition ([`keyed`]). The
//! settings are librdkafka's own (`client`); it connects, compresses, encrypts, retries and reconnects on its own
//! threads. Here records are handed over and its reports are counted (`task`): delivered is what a broker
//! acknowledged.
//!
//! A build without the cargo feature `kafka` or `kafka-plain` knows the section and refuses it when it is enabled.

#[cfg(not(feature = "kafka-plain"))]
mod absent;
#[cfg(feature = "kafka-plain")]
mod client;
#[cfg(feature = "kafka-plain")]
mod plan;
mod properties;
pub mod record;
#[cfg(feature = "kafka-plain")]
mod reports;
#[cfg(feature = "kafka-plain")]
mod task;

#[cfg(not(feature = "kafka-plain"))]
use absent as client;
#[cfg(not(feature = "kafka-plain"))]
pub use absent::plan;
pub use client::BUILT;
#[cfg(feature = "kafka-plain")]
pub use plan::plan;
pub use properties::Properties;
pub use record::{KeyedRecords, split};

use crate::limits::{QUEUE, QueueSize};
use crate::values::{Format, KeyError, Text, WhenFull, choice, required};
use serde::Deserialize;

/// Section `output.kafka`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// How a record is written.
    pub format: Format,
    /// The topic.
    pub topic: Option<Text>,
    /// What librdkafka is given.
    pub rdkafka_config: Properties,
    /// The key of each record.
    pub key: RecordKey,
    /// Bytes kept while the brokers are slow or away.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

choice! {
    /// What a Kafka record's key is made of; records of one key go to one partition.
    RecordKey {
        /// No key.
        None = "none",
        /// The identity.
        Identity = "identity",
        /// The query address.
        QueryIp = "query-ip",
        /// The query name.
        Qname = "qname",
    }
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            format: Format::Json,
            topic: None,
            rdkafka_config: Properties::default(),
            key: RecordKey::None,
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No topic, no broker, what librdkafka refuses.
    pub fn check(&self) -> Result<(), KeyError> {
        required("topic", &self.topic)?;
        if BROKER_LISTS.iter().all(|name| self.rdkafka_config.value(name).is_none()) {
            return Err(KeyError::new(
                "rdkafka-config",
                "no `bootstrap.servers`, and it is needed here; allowed: \"host:port\", several apart by commas",
            ));
        }
        client::check(&self.rdkafka_config, self.queue.in_memory())
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "kafka";

/// The two names that librdkafka knows the list of brokers by.
const BROKER_LISTS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
