//! Output `tcp-socket`: sends records to a TCP server, each followed by the delimiter.

use std::io;
use std::rc::Rc;

use super::stream_sink::{self, PeerAddress, StreamProtocol, StreamSink};
use super::{Plan, QueueSettings, RecordKind};
use crate::limits::{QUEUE, QueueSize};
use crate::net::tls::Client;
use crate::values::{ClientTls, FilePath, Format, Host, KeyError, Port, Seconds, Text, WhenFull, required};
use serde::Deserialize;

/// Section `output.tcp-socket`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// How a record is written.
    pub format: Format,
    /// Written after each record.
    pub delimiter: String,
    /// Time to the next attempt to connect.
    pub retry: Seconds,
    /// Where the server is.
    pub remote_address: Option<Host>,
    /// Its port.
    pub remote_port: Option<Port>,
    /// Encrypt.
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
            format: Format::Text,
            delimiter: "\n".to_owned(),
            retry: Seconds::new(5),
            remote_address: None,
            remote_port: None,
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
    /// The TLS keys together.
    pub fn tls(&self) -> ClientTls<'_> {
        ClientTls {
            support: self.tls_support,
            ca: &self.tls_ca,
            server_name: &self.tls_server_name,
            cert: &self.tls_client_cert,
            key: &self.tls_client_key,
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No address, no port, those of [`ClientTls::check`].
    pub fn check(&self) -> Result<(), KeyError> {
        required("remote-address", &self.remote_address)?;
        required("remote-port", &self.remote_port)?;
        self.tls().check()
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "tcp-socket";

/// The output of a section.
///
/// # Errors
///
/// When there is no address or port, which [`Section::check`] has refused before.
pub fn plan(section: &Section, tls: Option<Rc<Client>>) -> io::Result<Plan> {
    let (Some(host), Some(port)) = (&section.remote_address, section.remote_port) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let remote = StreamSink {
        peer: PeerAddress::Tcp(host.clone(), port.get()),
        tls,
        retry: section.retry,
        protocol: StreamProtocol::Bare,
    };
    Ok(Plan {
        name: NAME,
        what: format!("{remote}, {}", section.format),
        kind: RecordKind::Plain { format: section.format, terminator: section.delimiter.as_bytes().into() },
        queue: QueueSettings { bytes: section.queue.in_memory(), when_full: section.when_full },
        buffers: 0,
        task: Box::new(move |context, output| Box::pin(stream_sink::run(output, &context.outputs, remote))),
    })
}
