//! Output `dnstap`: sends messages on to another collector, as a bidirectional Frame Streams client.
//!
//! Frames go out as the bytes they came in, so fields of newer schemas survive. Only with `dnstap-identity` the
//! identity is replaced, and still nothing else.

use std::io;
use std::rc::Rc;

use super::stream_sink::{self, PeerAddress, StreamProtocol, StreamSink};
use super::{Plan, QueueSettings, RawFrames, RecordKind};
use crate::limits::{Limits, QUEUE, QueueSize};
use crate::net::tls::Client;
use crate::values::{ClientTls, FilePath, Host, KeyError, Port, Seconds, Text, WhenFull, required};
use serde::Deserialize;

/// Section `output.dnstap`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Time to the next attempt to connect.
    pub retry: Seconds,
    /// Where the collector is.
    pub remote_address: Option<Host>,
    /// Its port.
    pub remote_port: Option<Port>,
    /// Its Unix socket, instead of address and port.
    pub path: Option<FilePath>,
    /// The identity every message gets; unset = the sender's.
    pub dnstap_identity: Option<Text>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Whose certificates the collector may show, PEM; unset = the system's list.
    pub tls_ca: Option<FilePath>,
    /// The name in its certificate; unset = `remote-address`.
    pub tls_server_name: Option<Text>,
    /// Our own certificate chain, PEM.
    pub tls_client_cert: Option<FilePath>,
    /// Our own private key, PEM.
    pub tls_client_key: Option<FilePath>,
    /// Bytes kept while the collector is slow or away.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            retry: Seconds::new(1),
            remote_address: None,
            remote_port: None,
            path: None,
            dnstap_identity: None,
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
    /// Neither address and port nor path, or both; TLS over a path; those of [`ClientTls::check`].
    pub fn check(&self) -> Result<(), KeyError> {
        if self.path.is_none() {
            required("remote-address", &self.remote_address)?;
            required("remote-port", &self.remote_port)?;
            return self.tls().check();
        }
        if self.remote_address.is_some() {
            return Err(KeyError::new("path", "given beside `remote-address`; allowed: one of the two"));
        }
        if self.tls().is_on() {
            return Err(KeyError::new(
                "tls-support",
                "a Unix socket has no TLS; allowed with `path`: `false`",
            ));
        }
        self.tls().check()
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "dnstap";

/// The output of a section.
///
/// # Errors
///
/// When there is neither address and port nor path, which [`Section::check`] has refused before.
pub fn plan(section: &Section, limits: &Limits, tls: Option<Rc<Client>>) -> io::Result<Plan> {
    let peer = match (&section.path, &section.remote_address, section.remote_port) {
        (Some(path), ..) => PeerAddress::Unix(path.to_path_buf()),
        (None, Some(host), Some(port)) => PeerAddress::Tcp(host.clone(), port.get()),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let frames =
        RawFrames::new(limits.frame, section.dnstap_identity.as_ref().map(|identity| identity.as_str()));
    let remote = StreamSink { peer, tls, retry: section.retry, protocol: StreamProtocol::FrameStreams };
    Ok(Plan {
        name: NAME,
        what: remote.to_string(),
        buffers: frames.cost() + remote.cost(),
        kind: RecordKind::RawFrames(frames),
        queue: QueueSettings { bytes: section.queue.in_memory(), when_full: section.when_full },
        task: Box::new(move |context, output| Box::pin(stream_sink::run(output, &context.outputs, remote))),
    })
}
