//! The web API: counters and metrics for dashboards and Prometheus, over HTTP/1.1.
//!
//! picoserve reads requests and writes heads; everything else is ours. The way of a request:
//!
//! ```text
//! server      a worker accepts the connection; eight of them, more connections wait in the kernel
//!   v
//! wire        TLS, if configured
//!   v
//! adapter     bytes (send_buffer, guard), time limits, turns for other tasks
//!   v
//! routes      auth, then path, method, parameters (query): which answer
//!   v
//! answer      short text, refusal, or a document in pieces
//!   v
//! exposition  /metrics, over the table in metrics; chunk: what goes out at once
//! listing     /counters, /streams
//! tables      /tables
//! page        /: the dashboard, which asks for the others
//! ```
//!
//! # What it promises
//!
//! * **Nothing of it grows.** A worker has 4 KiB for a request's head, 4 KiB for what is on its way out, and
//!   room for one answer's state. An answer of any length goes out in pieces of that size.
//! * **It delays no message.** After every chunk, as after every read, the other tasks have their turn.
//! * **A slow or hostile client holds a worker for seconds, not longer**: 10 s for TLS, 5 s without a request, 10 s
//!   for a request, 10 s of waiting for an answer to be taken.
//! * **An answer is valid whatever happens while it is written**: streams may appear and counters be reset
//!   between two pieces.
//!
//! # What it leaves out
//!
//! Request bodies are read past. There is no compression but that of the page, which is made when the program is
//! built, no `Expect: 100-continue`, no range. Unknown
//! parameters are passed over. A request whose head is malformed or too long is answered 400, in plain text.

mod auth;
mod body_chunk;
mod connection;
mod documents;
mod error;
pub mod query;
mod response;
mod routes;
mod send_buffer;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use core::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};

use crate::input::counters::InputCounters;
use crate::limits::{HTTP_COUNTER_BYTES, HTTP_KERNEL_BYTES, HTTP_LIST_BYTES};
use crate::output::Outlets;
use crate::pipeline::Collector;
use crate::statistics::tables::TrackedTable;
use crate::statistics::{self, Statistics};
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, Secret, ServerTls, Text};
use auth::Credentials;
use response::Words;
use serde::Deserialize;

pub use server::{COST, Stop, serve};

/// Section `web-api`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Address to listen on.
    pub local_address: ListenAddress,
    /// Port to listen on; 0 = any free one.
    pub local_port: ListenPort,
    /// What `X-API-Key` must be; empty = this method is off.
    pub api_key: Secret,
    /// File with the key, instead of `api-key`: its first line.
    pub api_key_file: Option<FilePath>,
    /// The user of Basic authentication.
    pub login: Text,
    /// Its password; empty = this method is off.
    pub password: Secret,
    /// File with the password, instead of `password`: its first line.
    pub password_file: Option<FilePath>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Certificate chain, PEM.
    pub tls_server_cert: Option<FilePath>,
    /// Private key, PEM.
    pub tls_server_key: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: true,
            local_address: ListenAddress::LOCALHOST,
            local_port: ListenPort::new(8080),
            api_key: Secret::new(Secret::SHIPPED),
            api_key_file: None,
            login: Text::new("admin"),
            password: Secret::new(Secret::SHIPPED),
            password_file: None,
            tls_support: None,
            tls_server_cert: None,
            tls_server_key: None,
        }
    }
}

impl Section {
    /// The TLS keys together.
    pub fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: None,
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Those of [`ServerTls::check`].
    pub fn check(&self) -> Result<(), KeyError> {
        self.tls().check()
    }

    /// Refuses an API that anybody on the network could use; asked once the secret files are read.
    ///
    /// # Errors
    /// The address is not this machine's own, and a credential is as shipped or there is none at all.
    pub fn check_exposure(&self) -> Result<(), KeyError> {
        if self.local_address.is_loopback() {
            return Ok(());
        }
        let open = "while the API listens beyond this machine; allowed:";
        for (key, secret) in [("api-key", &self.api_key), ("password", &self.password)] {
            if secret.is_shipped() {
                let text =
                    format!("still \"{}\" {open} another one, or \"\" to turn it off", Secret::SHIPPED);
                return Err(KeyError::new(key, text));
            }
        }
        if self.api_key.is_off() && self.password.is_off() {
            return Err(KeyError::new(
                "api-key",
                format!("off, as is `password`, {open} at least one of them set"),
            ));
        }
        Ok(())
    }
}

/// What requests are answered from. All of it is borrowed for a moment at a time.
#[derive(Clone, Copy)]
pub struct App<'a> {
    /// What the configuration says of answers.
    pub settings: &'a Settings,
    /// The counters of the traffic.
    pub statistics: &'a RefCell<Statistics>,
    /// The way of a message, with its counters.
    pub collector: &'a Collector<'a>,
    /// The outputs, with their counters.
    pub outputs: &'a Outlets,
    /// The counters of the inputs that are on.
    pub inputs: &'a [InputCounters],
    /// Asks the workers to stop.
    pub stop: &'a Stop,
}

impl App<'_> {
    /// The input or output that is down, if any, in words.
    fn down(&self) -> Option<Words> {
        let output = self.outputs.iter().find(|output| !output.is_connected());
        let input = || self.inputs.iter().find(|counters| counters.is_down());
        let output = output.map(|output| Words("output ", output.name(), " is down"));
        output.or_else(|| input().map(|counters| Words("input ", counters.name, " is down")))
    }

    /// The output that dropped, or the input that turned a connection away, within the last minute, if any, in words.
    fn degraded(&self) -> Option<Words> {
        let now = Instant::now();
        let output = self.outputs.iter().find(|output| output.has_dropped_lately(now));
        let input = || self.inputs.iter().find(|counters| counters.is_refusing());
        let output = output.map(|output| Words("degraded: ", output.name(), " drops"));
        output.or_else(|| input().map(|counters| Words("degraded: ", counters.name, " refuses")))
    }
}

/// What the configuration says of answers.
pub struct Settings {
    credentials: Credentials,
    /// Names in `/counters`, each once.
    default_counters: Vec<Text>,
    /// Rows of a table in `/tables`.
    max_items: usize,
    /// How many of what is tracked are shown unasked: the first ones.
    default_tables: usize,
    /// Rows of each table in `/metrics`.
    export_top: usize,
    /// The tables of domains that are kept, with commas between them.
    tracked: &'static str,
}

impl Settings {
    /// Takes over what concerns the API; the secret files were read.
    pub fn new(section: &Section, statistics: &statistics::Section) -> Self {
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
            default_counters,
            max_items: statistics.max_items.get() as usize,
            export_top: statistics.export_top.get() as usize,
            default_tables: TrackedTable::of(&only_defaults).map_or(0, |tables| tables.len()),
            tracked: list(&tracked).leak(),
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

/// The address and port to listen on.
pub fn address(section: &Section) -> SocketAddr {
    SocketAddr::new(section.local_address.get(), section.local_port.get())
}

/// Opens the listener. Its connections inherit the limit of what the kernel holds for them.
///
/// # Errors
///
/// The address is not this machine's, or somebody else listens there.
pub fn bind(section: &Section) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address(section))?;
    setsockopt(&listener, sockopt::SndBuf, &HTTP_KERNEL_BYTES)?;
    Ok(listener)
}
