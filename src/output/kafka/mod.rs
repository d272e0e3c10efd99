//! Output `kafka`: sends records to a Kafka topic, by librdkafka.
//!
//! One message a record, with the record as its value and a key that decides on its partition (`record`). The
//! settings are librdkafka's own (`client`); it connects, compresses, encrypts, retries and reconnects on its
//! own threads. Here records are handed over and its reports are counted (`task`): delivered is what a broker
//! acknowledged.
//!
//! A build without the cargo feature `kafka` or `kafka-plain` knows the section and refuses it when it is
//! enabled.

#[cfg(not(feature = "kafka-plain"))]
mod absent;
#[cfg(feature = "kafka-plain")]
mod client;
mod properties;
pub(crate) mod record;
#[cfg(feature = "kafka-plain")]
mod reports;
#[cfg(feature = "kafka-plain")]
mod sink;
#[cfg(feature = "kafka-plain")]
mod task;

#[cfg(not(feature = "kafka-plain"))]
use absent as client;
#[cfg(not(feature = "kafka-plain"))]
use absent::KafkaSink;
pub(crate) use client::BUILT;
pub(crate) use properties::Properties;
pub(crate) use record::KeyedRecords;
#[cfg(feature = "kafka-plain")]
use sink::KafkaSink;

use super::{OutputKind, Plan, PlanContext, RecordKind};
use crate::section::section;
use crate::values::{Format, KeyError, PlanError, Text, choice, required};

section! {
    /// Section `output.kafka`.
    pub struct Section {
        ..enable
        /// How a record is written.
        format: Format = Format::Json,
        /// The topic.
        topic: Option<Text> = None,
        /// Settings that librdkafka is given.
        rdkafka_config: Properties = Properties::default(),
        /// The key of each record.
        key: RecordKey = RecordKey::None,
        ..record_output
    }
}

choice! {
    /// The source of a Kafka record's key; records of one key go to one partition.
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

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        NAME
    }

    /// No topic, no broker, whatever librdkafka refuses.
    fn check(&self) -> Result<(), KeyError> {
        required("topic", &self.topic)?;
        if BROKER_LISTS.iter().all(|name| self.rdkafka_config.value(name).is_none()) {
            return Err(KeyError::new(
                "rdkafka-config",
                "no `bootstrap.servers`, and it is needed here; allowed: \"host:port\", several apart by commas",
            ));
        }
        client::check(&self.rdkafka_config, self.queue.unwrap_or(crate::limits::QUEUE).in_memory())
    }

    fn missing_feature(&self) -> Option<KeyError> {
        (!BUILT).then(|| {
            KeyError::new(
                "enable",
                "needs the cargo feature `kafka`, which this build is without; allowed: `enable = false`",
            )
        })
    }

    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    /// Certificates are read, nothing connects.
    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let sink = KafkaSink::new(self)?;
        Ok(Plan::new(
            self,
            format!("{sink}, {}", self.format),
            RecordKind::Keyed(KeyedRecords {
                encoding: self.record_encoding(self.format).with_long_records(),
                key: self.key,
            }),
            Box::new(sink),
        ))
    }
}

/// Name of the output in metrics and log.
const NAME: &str = "kafka";

/// The two names that librdkafka knows the list of brokers by.
const BROKER_LISTS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
