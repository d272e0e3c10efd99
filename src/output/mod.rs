//! Where messages go.

pub mod dnstap;
pub mod file;
pub mod kafka;
pub mod metrics;
pub mod stdout;
pub mod syslog;
pub mod tcp;

use serde::Deserialize;

/// Section `output`: one table for each kind of output.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Prints.
    pub stdout: stdout::Section,
    /// Writes a file that rotates.
    pub file: file::Section,
    /// Sends to a TCP server.
    pub tcp_socket: tcp::Section,
    /// Sends to a syslog server.
    pub syslog: syslog::Section,
    /// Writes one line of counters every some seconds.
    pub metrics: metrics::Section,
    /// Sends to another collector.
    pub dnstap: dnstap::Section,
    /// Sends to a Kafka topic.
    pub kafka: kafka::Section,
}

impl Section {
    /// Settles what depends on the other outputs: `stdout.enable`.
    pub fn resolve(&mut self) {
        let others = self.file.enable
            || self.tcp_socket.enable
            || self.syslog.enable
            || self.metrics.enable
            || self.dnstap.enable
            || self.kafka.enable;
        self.stdout.enable.get_or_insert(!others);
    }
}
