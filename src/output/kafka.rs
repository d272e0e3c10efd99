//! Output `kafka`: sends records to a Kafka topic.

use crate::limits::{QUEUE, QueueSize};
use crate::setting::{Fault, Format, Properties, RecordKey, Text, WhenFull, required};
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
    /// Octets kept while the brokers are slow or away.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
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
    /// No topic, no broker.
    pub fn check(&self) -> Result<(), Fault> {
        required("topic", &self.topic)?;
        // librdkafka knows the list of brokers by two names.
        let brokers = ["bootstrap.servers", "metadata.broker.list"];
        if brokers.iter().all(|name| self.rdkafka_config.value(name).is_none()) {
            return Err(Fault::new(
                "rdkafka-config",
                "no `bootstrap.servers`, and it is needed here; allowed: \"host:port\", several apart by commas",
            ));
        }
        Ok(())
    }
}
