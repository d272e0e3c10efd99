//! Output `syslog`: sends records to a syslog server, over UDP, TCP or TLS, or to the machine's own.

pub(crate) mod choices;
mod message;

pub use message::SyslogComposer;

use choices::{Facility, HeaderFormat, MessageFraming, Severity, Transport};

use std::io;
use std::rc::Rc;

use super::stream_sink::{self, PeerAddress, StreamProtocol, StreamSink};
use super::{Plan, QueueSettings, RecordKind, datagram_sink};
use crate::limits::{QUEUE, QueueSize};
use crate::net::tls::Client;
use crate::values::{ClientTls, FilePath, Format, Host, KeyError, Port, Seconds, Text, WhenFull, required};
use serde::Deserialize;

/// Section `output.syslog`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// What carries a message.
    pub transport: Transport,
    /// How a record is written.
    pub format: Format,
    /// Time to the next attempt to connect.
    pub retry: Seconds,
    /// Where the server is.
    pub remote_address: Option<Host>,
    /// Its port; unset = 514, with TLS 6514.
    pub remote_port: Option<Port>,
    /// A local datagram socket instead of a server.
    pub path: Option<FilePath>,
    /// What stands before a record.
    pub header: HeaderFormat,
    /// How a stream tells messages apart.
    pub framing: MessageFraming,
    /// The facility of every message.
    pub facility: Facility,
    /// The severity of every message.
    pub severity: Severity,
    /// The same as `transport = "tls"`; may be repeated here, not contradicted.
    pub tls_support: Option<bool>,
    /// Whose certificates the server may show, PEM; unset = the system's list.
    pub tls_ca: Option<FilePath>,
    /// The name in its certificate; unset = `remote-address`.
    pub tls_server_name: Option<Text>,
    /// Our own certificate chain, PEM.
    pub tls_client_cert: Option<FilePath>,
    /// Our own private key, PEM.
    pub tls_client_key: Option<FilePath>,
    /// Bytes kept while the server is slow or away.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            transport: Transport::Udp,
            format: Format::Text,
            retry: Seconds::new(5),
            remote_address: None,
            remote_port: None,
            path: None,
            header: HeaderFormat::Rfc5424,
            framing: MessageFraming::OctetCounting,
            facility: Facility::Daemon,
            severity: Severity::Info,
            tls_support: None,
            tls_ca: None,
            tls_server_name: None,
            tls_client_cert: None,
            tls_client_key: None,
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}

impl Section {
    /// The server's port.
    pub fn port(&self) -> u16 {
        match (self.remote_port, self.transport) {
            (Some(port), _) => port.get(),
            (None, Transport::Tls) => 6514,
            (None, Transport::Udp | Transport::Tcp) => 514,
        }
    }

    /// The TLS keys together.
    pub fn tls(&self) -> ClientTls<'_> {
        ClientTls {
            support: if self.transport == Transport::Tls { Some(true) } else { self.tls_support },
            ca: &self.tls_ca,
            server_name: &self.tls_server_name,
            cert: &self.tls_client_cert,
            key: &self.tls_client_key,
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Neither address nor path, or both; a path with another transport than datagrams; newlines as
    /// framing where records have newlines inside or TLS asks for lengths (RFC 5425, 4.3); TLS keys
    /// that disagree.
    pub fn check(&self) -> Result<(), KeyError> {
        match (&self.remote_address, &self.path) {
            (Some(_), Some(_)) => {
                return Err(KeyError::new("path", "given beside `remote-address`; allowed: one of the two"));
            }
            (_, Some(_)) if self.transport != Transport::Udp => {
                return Err(KeyError::new(
                    "transport",
                    "a local socket takes datagrams; allowed with `path`: `udp`",
                ));
            }
            (None, None) => return required("remote-address", &self.remote_address),
            _ => {}
        }
        if self.tls_support.is_some_and(|support| support != (self.transport == Transport::Tls)) {
            return Err(KeyError::new(
                "tls-support",
                format!(
                    "does not go with `transport = \"{}\"`; allowed: `transport = \"tls\"` for TLS",
                    self.transport
                ),
            ));
        }
        if self.framing == MessageFraming::Newline && self.transport == Transport::Tls {
            return Err(KeyError::new(
                "framing",
                "TLS needs lengths (RFC 5425); allowed with `tls`: `octet-counting`",
            ));
        }
        if self.framing == MessageFraming::Newline && self.format == Format::Yaml {
            return Err(KeyError::new(
                "framing",
                "YAML has newlines inside; allowed with `yaml`: `octet-counting`",
            ));
        }
        self.tls().check()
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "syslog";

/// The output of a section.
///
/// # Errors
///
/// When there is neither address nor path, which [`Section::check`] has refused before.
pub fn plan(section: &Section, tls: Option<Rc<Client>>) -> io::Result<Plan> {
    let peer = match (&section.remote_address, &section.path) {
        (Some(host), _) => PeerAddress::Tcp(host.clone(), section.port()),
        (None, Some(path)) => PeerAddress::Unix(path.to_path_buf()),
        (None, None) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let is_stream = section.transport != Transport::Udp;
    let framing = is_stream.then_some(section.framing);
    let priority = (section.facility, section.severity);
    let transport = if section.path.is_some() { "local" } else { section.transport.as_str() };
    let what = format!("{peer}, {transport}, {}, {}", section.header, section.format);
    let remote = StreamSink { peer, tls, retry: section.retry, protocol: StreamProtocol::Bare };
    Ok(Plan {
        name: NAME,
        what,
        kind: RecordKind::Syslog(SyslogComposer::new(section.format, section.header, framing, priority)),
        queue: QueueSettings { bytes: section.queue.in_memory(), when_full: section.when_full },
        buffers: 0,
        task: Box::new(move |context, output| {
            if is_stream {
                Box::pin(stream_sink::run(output, &context.outputs, remote))
            } else {
                Box::pin(datagram_sink::run(output, &context.outputs, remote.peer, remote.retry))
            }
        }),
    })
}
