//! The output of a section, opened as far as it can be.

use std::io;

use super::super::{Plan, QueueSettings, RecordKind};
use super::record::Keyed;
use super::{NAME, Section, client, task};

/// The output of a section: certificates are read, nothing connects.
///
/// # Errors
///
/// A file that librdkafka cannot use; no topic, which [`Section::check`] has refused before.
pub fn plan(section: &Section) -> io::Result<Plan> {
    let topic = section.topic.as_ref().ok_or(io::ErrorKind::InvalidInput)?.as_str().to_owned();
    let (properties, queue) = (&section.rdkafka_config, section.queue.in_memory());
    let brokers = client::brokers(properties);
    let client = client::make(properties, queue)?;
    Ok(Plan {
        name: NAME,
        what: format!("topic {topic} at {brokers}, {}", section.format),
        kind: RecordKind::Keyed(KeyedRecords { format: section.format, key: section.key }),
        queue: QueueSettings { bytes: queue, when_full: section.when_full },
        buffers: client::cost(properties, queue) + KeyedRecords::LONGEST,
        task: Box::new(move |context, output| {
            // For good: to take it down would wait for its threads, at the end of the process.
            let client: &'static client::Client = Box::leak(Box::new(client));
            Box::pin(async move { task::run(output, &context.outputs, client, (&brokers, &topic)).await })
        }),
    })
}
