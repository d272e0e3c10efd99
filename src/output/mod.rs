//! Where events go: what all outputs have in common.
//!
//! An output has two halves. `offer` is synchronous and the same for all: it puts the encoded record into the
//! output's own queue, or counts a loss. `run` is a task of its own for each kind: it takes whole records out
//! and writes them somewhere. A new kind is one file, which says in a [`Plan`] how its records look, what it
//! costs and what its task is, and one row of the table `kinds!` below. So nothing is dispatched per message,
//! and no output can hold up another one.
//!
//! When two outputs want the same encoding, the record is encoded once.
//!
//! **Turns.** An output whose last write went through is owed a turn before its queue may overflow: inputs
//! stop between two frames until it had one ([`Outlets::room`]). So one that keeps up loses nothing at any
//! speed. An output whose write would have blocked had its turn; from then on its records are dropped when
//! its queue is full, or, with `when-full = "wait"`, the inputs wait for it.
//!
//! **Filters.** An output may have a filter of its own, besides the one that all messages pass.
//!
//! At any instant `received = filtered + delivered + dropped + queued`, in messages, or in lines for the
//! output that makes its own.

mod capture_file;
mod columns;
mod counters;
mod datagram_sink;
pub(crate) mod dnstap;
mod drop_report;
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod metrics;
pub(crate) mod mqtt;
mod outlet;
mod outlets;
mod plan;
mod record;
pub(crate) mod rotating_file;
pub mod stdout;
mod stream_sink;
pub(crate) mod syslog;
pub(crate) mod tcp_socket;
mod uplink;

use crate::limits::OUTPUTS;
use crate::values::{KeyError, PlanError, Several};
use serde::Deserialize;

pub(crate) use crate::format::{Encoding, Field, Template};
pub(crate) use crate::message::filter::Section as FilterSection;
pub(crate) use counters::DropReason;
pub use counters::OutletCounters;
pub use outlet::{Outlet, WaitPolicy};
pub(crate) use outlet::{TaskStep, WriteState};
pub use outlets::Outlets;
pub(crate) use plan::{
    OutputCertificates, OutputKeys, OutputKind, OutputSettings, ReopenedFile, RunningSink, Sink,
};
pub use plan::{Plan, PlanContext, TaskContext};
pub(crate) use record::{RawFrames, RecordKind};

/// The text about an output that pushes in a build without it.
fn without_push() -> KeyError {
    KeyError::new(
        "enable",
        "needs the cargo feature `push`, which this build is without; allowed: `enable = false`",
    )
}

/// Makes the section `output` of the table of kinds.
macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $kind:ident,)*) => {
        /// Section `output`: one table or several for each kind of output.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Section {
            $($(#[$doc])* pub(crate) $field: Several<$kind::Section>,)*
        }

        impl Section {
            /// All outputs, whether they are enabled or not, each with the path of its section below
            /// `output`.
            pub(crate) fn kinds(&self) -> Vec<(String, &dyn OutputKind)> {
                let mut kinds: Vec<(String, &dyn OutputKind)> = Vec::new();
                $(
                    let kind = self.$field.first().map_or("", OutputKind::kind);
                    kinds.extend(self.$field.paths(kind).map(|(path, section)| (path, section as &dyn OutputKind)));
                )*
                kinds
            }
        }
    };
}

kinds! {
    /// Prints.
    stdout: stdout,
    /// Writes a file that rotates.
    file: file,
    /// Sends to a TCP server.
    tcp_socket: tcp_socket,
    /// Sends to a syslog server.
    syslog: syslog,
    /// Writes one line of counters every some seconds.
    metrics: metrics,
    /// Sends to another collector.
    dnstap: dnstap,
    /// Sends to a Kafka topic.
    kafka: kafka,
    /// Sends to a server over HTTP.
    http: http,
    /// Tells a broker of MQTT.
    mqtt: mqtt,
}

impl Section {
    /// Settles whatever depends on the other outputs: `stdout.enable`.
    pub(crate) fn resolve(&mut self) {
        let others = self.enabled().next().is_some();
        for stdout in self.stdout.iter_mut() {
            stdout.enable.get_or_insert(!others);
        }
    }

    /// The outputs that are to run, each with the path of its section below `output`.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = (String, &dyn OutputKind)> {
        self.kinds().into_iter().filter(|(_, kind)| kind.is_enabled())
    }

    /// The path of the section of the output with that name.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let named = self.enabled().find(|(_, kind)| kind.name() == name);
        named.map_or_else(|| name.to_owned(), |(path, _)| path)
    }

    /// The rules between the outputs that are to run: no two names alike, and not too many; what is wrong,
    /// with the path of the section.
    pub(crate) fn check(&self) -> Vec<(String, KeyError)> {
        let (mut wrong, mut names) = (Vec::new(), Vec::new());
        for (number, (path, kind)) in self.enabled().enumerate() {
            if names.contains(&kind.name()) {
                let text =
                    format!("`{}` is the name of another output, too; allowed: one of its own", kind.name());
                wrong.push((path, KeyError::new("name", text)));
            } else if number == OUTPUTS {
                let text = format!("too many outputs; allowed: at most {OUTPUTS} with `enable = true`");
                wrong.push((path, KeyError::new("enable", text)));
            }
            names.push(kind.name());
        }
        wrong
    }

    /// The outputs that are to run, opened as far as they can be.
    ///
    /// # Errors
    ///
    /// The path of the section that cannot work on this machine, and why.
    pub fn plans(&self, context: &PlanContext<'_>) -> Result<Vec<Plan>, (String, PlanError)> {
        let plan = |kind: &dyn OutputKind| Ok(kind.plan(context)?.settled(context.limits));
        self.enabled().map(|(path, kind)| plan(kind).map_err(|error| (path, error))).collect()
    }
}
