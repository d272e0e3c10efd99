//! The web API: counters and metrics for dashboards and Prometheus, over HTTP/1.1.
//!
//! picoserve reads requests and writes heads; everything else is ours. The way of a request:
//!
//! ```text
//! admission   who of those that connect is served by one of eight workers
//!   v
//! stream      TLS, if configured
//!   v
//! connection  bytes (send_buffer), time limits, turns for other tasks
//!   v
//! routes      host, credentials (auth, guesses), then path, method, parameters (query): a handler
//!   v
//! response    a few words, an error, or a document, as bodies of picoserve
//!   v
//! live        the connection stays for events, at a place of its own
//! documents   metrics_text: /metrics, over the table in metrics
//!             counters, streams, tables: JSON
//!             page: /, which asks for the others
//! ```
//!
//! # What it promises
//!
//! * **Nothing of it grows.** A worker has 4 KiB for a request's head, 4 KiB for what is on its way out, and
//!   room for one answer's state. An answer of any length goes out in pieces of that size.
//! * **It delays no message.** After every chunk, as after every read, the other tasks have their turn.
//! * **A slow or hostile client holds a worker for seconds, not longer**: 10 s for TLS, 5 s without a
//!   request, 10 s for a request, 10 s of waiting for an answer to be taken.
//! * **An answer is valid whatever happens while it is written**: streams may appear and counters be reset
//!   between two pieces.
//!
//! # What it leaves out
//!
//! Request bodies are read past. There is no compression but that of the page, which is made when the program
//! is built, no `Expect: 100-continue`, no range. Unknown parameters are passed over. A request whose head is
//! malformed or too long is answered 400, in plain text.

mod admission;
mod auth;
mod body_chunk;
mod connection;
mod documents;
mod error;
mod guesses;
mod host;
mod live;
pub mod query;
mod response;
mod routes;
mod section;
mod send_buffer;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use core::cell::RefCell;
use std::time::Instant;

use crate::history::History;
use crate::history::saver::SaverControl;
use crate::input::counters::InputCounters;
use crate::limits::{HTTP_COUNTER_BYTES, HTTP_LIST_BYTES};
use crate::output::Outlets;
use crate::pipeline::Collector;
use crate::statistics::descriptors::DEVICES;
use crate::statistics::tables::TrackedTable;
use crate::statistics::{self, Statistics};
use crate::values::Text;
use auth::Credentials;
use host::HostNames;
use response::Words;

pub use documents::config::ConfigText;
pub(crate) use documents::log_filter::FilterTexts;
pub(crate) use routes::FILTER_PARAMETERS;
pub(crate) use section::address;
pub use section::{Section, listeners};
pub(crate) use server::cost;
pub use server::{Stop, serve};

/// The sources of all answers. All of it is borrowed for a moment at a time.
#[derive(Clone, Copy)]
pub struct App<'a> {
    /// The settings of answers.
    pub settings: &'a Settings,
    /// The counters of the traffic.
    pub statistics: &'a RefCell<Statistics>,
    /// The way of a message, with its counters.
    pub collector: &'a Collector<'a>,
    /// The outputs, with their counters.
    pub outputs: &'a Outlets,
    /// The counters of the inputs that are on.
    pub inputs: &'a [InputCounters],
    /// Saves the history; `None` if it is in memory alone.
    pub saver: Option<&'a SaverControl>,
    /// The keys that are set, and the memory map.
    pub config: &'a ConfigText,
    /// Asks the workers to stop.
    pub stop: &'a Stop,
}

impl<'a> App<'a> {
    /// The memory of exchanges; `None` if history is off.
    #[inline]
    pub(crate) fn history(self) -> Option<&'a RefCell<History>> {
        self.collector.history()
    }

    /// The input or output that is down, if any, in words.
    fn down(&self) -> Option<Words> {
        let output = self.outputs.iter().find(|output| !output.is_connected());
        let input = || self.inputs.iter().find(|counters| counters.is_down());
        let output = output.map(|output| Words("output ", output.name(), " is down"));
        output.or_else(|| input().map(|counters| Words("input ", counters.name, " is down")))
    }

    /// The output that dropped, or the input that turned a connection away, within the last minute, if any,
    /// in words.
    fn degraded(&self) -> Option<Words> {
        let now = Instant::now();
        let output = self.outputs.iter().find(|output| output.has_dropped_lately(now));
        let input = || self.inputs.iter().find(|counters| counters.is_refusing());
        let output = output.map(|output| Words("degraded: ", output.name(), " drops"));
        output.or_else(|| input().map(|counters| Words("degraded: ", counters.name, " refuses")))
    }
}

/// The settings of answers.
pub struct Settings {
    credentials: Credentials,
    hosts: HostNames,
    /// Names in `/counters`, each once.
    default_counters: Vec<Text>,
    /// Rows of a table in `/tables`.
    max_items: usize,
    /// How many of what is tracked are shown unasked: the first ones.
    default_tables: usize,
    /// Readers of `/live` at once.
    live_readers: usize,
    /// Rows of each table in `/metrics`.
    export_top: usize,
    /// The tables of domains that are kept, with commas between them.
    tracked: &'static str,
    /// Whether `/tables` has devices unasked.
    shows_devices: bool,
    /// Connections that are served at once.
    workers: usize,
}

impl Settings {
    /// Takes over what concerns the API; the secret files were read.
    pub fn new(
        section: &Section,
        statistics: &statistics::Section,
        [workers, live_readers]: [usize; 2],
    ) -> Self {
        let mut default_counters: Vec<Text> = Vec::new();
        for name in &statistics.default_counters {
            if !default_counters.contains(name) {
                default_counters.push(name.clone());
            }
        }
        let only_defaults = statistics::Section { track: Vec::new(), ..statistics.clone() };
        let tracked = TrackedTable::of(statistics).unwrap_or_default();
        Settings {
            credentials: Credentials::new(section),
            hosts: HostNames::new(&section.hosts),
            default_counters,
            max_items: statistics.max_items.get() as usize,
            live_readers,
            export_top: statistics.export_top.get() as usize,
            default_tables: TrackedTable::of(&only_defaults).map_or(0, |tables| tables.len()),
            tracked: list(&tracked).leak(),
            shows_devices: statistics
                .default_top
                .iter()
                .chain(&statistics.track)
                .any(|table| table.as_str() == DEVICES.flag),
            workers,
        }
    }
}

/// The flags of tables, as many as an answer has room for.
fn list(tracked: &[TrackedTable]) -> String {
    let mut list = String::new();
    for table in tracked.iter().take_while(|table| table.flag().len() < HTTP_COUNTER_BYTES) {
        if list.len() + table.flag().len() > HTTP_LIST_BYTES {
            break;
        }
        list += if list.is_empty() { "" } else { ", " };
        list += table.flag();
    }
    list
}
