//! The second half of the output, opened as far as it can be.

use core::fmt;
use std::io;

use super::super::{Outlet, RunningSink, Sink, TaskContext};
use super::record::KeyedRecords;
use super::{Section, client, task};

/// A client of librdkafka without brokers, and those that it gets once it runs.
pub(crate) struct KafkaSink {
    client: client::KafkaClient,
    brokers: String,
    topic: String,
    /// Bytes that librdkafka's queue takes at most.
    queue_cost: usize,
}

impl KafkaSink {
    /// The sink of a section: certificates are read, nothing connects.
    ///
    /// # Errors
    ///
    /// A file that librdkafka cannot use; no topic, which the rules of the section refused before.
    pub(crate) fn new(section: &Section) -> io::Result<Self> {
        let topic = section.topic.as_ref().ok_or(io::ErrorKind::InvalidInput)?.as_str().to_owned();
        let (properties, queue) =
            (&section.rdkafka_config, section.queue.unwrap_or(crate::limits::QUEUE).in_memory());
        Ok(KafkaSink {
            client: client::make(properties, queue)?,
            brokers: client::brokers(properties),
            topic,
            queue_cost: client::cost(properties, queue),
        })
    }
}

impl fmt::Display for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} at {}", self.topic, self.brokers)
    }
}

impl Sink for KafkaSink {
    fn cost(&self) -> usize {
        self.queue_cost + KeyedRecords::LONGEST
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        let KafkaSink { client, brokers, topic, .. } = *self;
        // For good: to take it down would wait for its threads, at the end of the process.
        let client: &'static client::KafkaClient = Box::leak(Box::new(client));
        Box::pin(async move { task::run(outlet, &context.outlets, client, (&brokers, &topic)).await })
    }
}
