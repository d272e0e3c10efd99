//! Where messages come from.
//!
//! Every input hands whole frames to the collector and counts into its own [`counters::InputCounters`]. What inputs
//! share stands in `framing` (bytes to frames), `stream` (a connection) and `connections` (places and deadlines).

pub mod connections;
pub mod counters;
pub mod file;
mod file_mode;
pub mod frame_reader;
pub mod receiver;
pub mod sniffer;
pub mod tcp_client;
pub mod tcp_server;
pub mod unix_socket;

use file::AtEnd;
use serde::Deserialize;

/// Section `input`: one table for each kind of input.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Listens on TCP.
    pub tcp_socket: tcp_server::Section,
    /// Connects to senders that listen; one table or several.
    pub tcp_client: tcp_client::Sections,
    /// Listens on a Unix socket.
    pub unix_socket: unix_socket::Section,
    /// Reads packets from an interface.
    pub sniffer: sniffer::Section,
    /// Replays a capture.
    pub file: file::Section,
}

impl Section {
    /// Settles what depends on the other inputs: `tcp-socket.enable` and `file.at-end`.
    ///
    /// `asked` says that the command line gave the listener an address or a port.
    pub fn resolve(&mut self, asked: bool) {
        let others = usize::from(self.unix_socket.enable)
            + usize::from(self.sniffer.enable)
            + self.tcp_client.iter().filter(|client| client.enable).count();
        let file = self.file.enable;
        self.tcp_socket.enable.get_or_insert(asked || (others == 0 && !file));
        let alone = others == 0 && !self.tcp_socket.is_enabled();
        let at_end = if alone && !self.file.repeat { AtEnd::Exit } else { AtEnd::Stay };
        self.file.at_end.get_or_insert(at_end);
    }

    /// Whether there is anything to read, once resolved.
    pub fn any_enabled(&self) -> bool {
        self.tcp_socket.is_enabled()
            || self.tcp_client.iter().any(|client| client.enable)
            || self.unix_socket.enable
            || self.sniffer.enable
            || self.file.enable
    }
}
