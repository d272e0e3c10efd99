//! Where events go: what all outputs have in common.
//!
//! An output has two halves. `offer` is synchronous and the same for all: it puts the encoded record into the
//! output's own queue, or counts a loss. `run` is a task of its own for each kind: it takes whole records out
//! and writes them somewhere. A new kind is one file, which says in a [`Plan`] how its records look and what its
//! task is, and one line of the table in [`Section::plans`]. So nothing is dispatched per message, and no output can hold up another one.
//!
//! When two outputs want the same encoding, the record is encoded once.
//!
//! **Turns.** An output whose last write went through is owed a turn before its queue may overflow: inputs
//! stop between two frames until it had one ([`Outlets::room`]). So one that keeps up loses nothing at any
//! speed. An output whose write would have blocked had its turn; from then on its records are dropped when
//! its queue is full, or, with `when-full = "wait"`, the inputs wait for it.
//!
//! At any instant `received = delivered + dropped + queued`, in messages, or in lines for the output that makes its own.

mod capture_file;
mod datagram_sink;
pub mod dnstap;
pub mod file;
pub mod kafka;
pub mod metrics;
mod outlet;
mod outlets;
mod plan;
mod record;
mod rotating_file;
pub mod stdout;
mod stream_sink;
pub mod syslog;
pub mod tcp_socket;

use std::io;
use std::rc::Rc;

use crate::limits::Limits;
use crate::net::tls::Client;
use crate::values::{ClientTls, Host, KeyError};
use serde::Deserialize;

pub use outlet::{DropReason, Outlet, QueueSettings, TaskStep, WriteState};
pub use outlets::Outlets;
pub use plan::{OutletTask, Plan, TaskContext};
pub use record::{RawFrames, RecordKind};
pub use syslog::SyslogComposer;

/// Section `output`: one table for each kind of output.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Prints.
    pub stdout: stdout::Section,
    /// Writes a file that rotates.
    pub file: file::Section,
    /// Sends to a TCP server.
    pub tcp_socket: tcp_socket::Section,
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

impl Section {
    /// What is to run, opened as far as it can be: one line for each kind of output.
    ///
    /// # Errors
    ///
    /// The section that cannot work on this machine, and why.
    pub fn plans(&self, limits: &Limits, clients: &Clients) -> Result<Vec<Plan>, (&'static str, io::Error)> {
        type Row<'a> = (&'static str, bool, &'a dyn Fn() -> io::Result<Plan>);
        let table: &[Row<'_>] = &[
            (stdout::NAME, self.stdout.is_enabled(), &|| stdout::plan(&self.stdout)),
            (dnstap::NAME, self.dnstap.enable, &|| {
                dnstap::plan(&self.dnstap, limits, clients.dnstap.clone())
            }),
            (file::NAME, self.file.enable, &|| file::plan(&self.file, limits)),
            (kafka::NAME, self.kafka.enable, &|| kafka::plan(&self.kafka)),
            (metrics::NAME, self.metrics.enable, &|| metrics::plan(&self.metrics)),
            (syslog::NAME, self.syslog.enable, &|| syslog::plan(&self.syslog, clients.syslog.clone())),
            (tcp_socket::NAME, self.tcp_socket.enable, &|| {
                tcp_socket::plan(&self.tcp_socket, clients.tcp_socket.clone())
            }),
        ];
        let enabled = table.iter().filter(|(_, enabled, _)| *enabled);
        enabled.map(|(name, _, plan)| plan().map_err(|error| (*name, error))).collect()
    }
}

/// What the outputs that encrypt show and trust.
#[derive(Debug, Default)]
pub struct Clients {
    tcp_socket: Option<Rc<Client>>,
    syslog: Option<Rc<Client>>,
    dnstap: Option<Rc<Client>>,
}

impl Clients {
    /// Reads the files of the sections that are on.
    ///
    /// # Errors
    ///
    /// The section, and what is wrong with which of its files.
    pub fn load(section: &Section) -> Result<Self, (&'static str, KeyError)> {
        let load = |(name, tls, host): Row<'_>| {
            let Some(host) = host else { return Ok(None) };
            let client = Client::load(&tls, host).map_err(|fault| (name, fault))?;
            Ok(client.map(Rc::new))
        };
        let [tcp_socket, syslog, dnstap] = section.clients().map(load);
        Ok(Clients { tcp_socket: tcp_socket?, syslog: syslog?, dnstap: dnstap? })
    }

    /// Reads all files again; tells of each section whose files are of no use, and what was in force there stays.
    pub fn reload(&self, section: &Section, mut complain: impl FnMut(&'static str, KeyError)) {
        let clients = [&self.tcp_socket, &self.syslog, &self.dnstap];
        for (client, (name, tls, _)) in clients.into_iter().zip(section.clients()) {
            let Some(client) = client.as_ref().filter(|_| tls.is_on()) else { continue };
            if let Err(fault) = client.reload(&tls) {
                complain(name, fault);
            }
        }
    }
}

/// The name of a section, its TLS keys, and where it connects to when it is on.
type Row<'a> = (&'static str, ClientTls<'a>, Option<&'a Host>);

impl Section {
    /// The sections that can encrypt.
    fn clients(&self) -> [Row<'_>; 3] {
        let Section { tcp_socket, syslog, dnstap, .. } = self;
        [
            (
                tcp_socket::NAME,
                tcp_socket.tls(),
                tcp_socket.remote_address.as_ref().filter(|_| tcp_socket.enable),
            ),
            (syslog::NAME, syslog.tls(), syslog.remote_address.as_ref().filter(|_| syslog.enable)),
            (dnstap::NAME, dnstap.tls(), dnstap.remote_address.as_ref().filter(|_| dnstap.enable)),
        ]
    }
}
