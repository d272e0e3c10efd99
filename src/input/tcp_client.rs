//! Input `tcp-client`: connects to senders that listen.
//!
//! Who connects decides nothing else: the other end is the sender of Frame Streams all the same, and begins with
//! READY or with START.
//!
//! ```text
//! resolve the name -> connect, TLS -> serve until it ends
//!        ^             |  10 s for each address   |
//!        +--- wait <---+--------------------------+
//! ```
//!
//! The wait grows while attempts fail, see [`Reconnect`]; a sender that got through the handshake of Frame Streams
//! makes it short again. Each remote keeps its lease for good, so that listeners never leave it without one. Why
//! there is no connection is in the log once, until the reason changes or the connection is there.

use std::fmt;
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::Arc;

use async_io::Async;
use defmt_or_log::info;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::connections::ConnectionLease;
use super::receiver::{Receiver, serve};
use crate::input::counters::InputCounters;
use crate::net::dial::{Dialled, KeepAlive, PeerAddress, dial};
use crate::net::reconnect::Reconnect;
use crate::net::tls::Client;
use crate::values::{ClientTls, FilePath, Host, KeyError, Port, Seconds, Text, all, required};

/// Section `input.tcp-client`, or one of several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Time to the next attempt to connect.
    pub retry: Seconds,
    /// Where the sender listens.
    pub remote_address: Option<Host>,
    /// Its port.
    pub remote_port: Option<Port>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Whose certificates the sender may show, PEM; unset = the system's list.
    pub tls_ca: Option<FilePath>,
    /// The name in its certificate; unset = `remote-address`.
    pub tls_server_name: Option<Text>,
    /// Our own certificate chain, PEM.
    pub tls_client_cert: Option<FilePath>,
    /// Our own private key, PEM.
    pub tls_client_key: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            retry: Seconds::new(1),
            remote_address: None,
            remote_port: None,
            tls_support: None,
            tls_ca: None,
            tls_server_name: None,
            tls_client_cert: None,
            tls_client_key: None,
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
        all([
            required("remote-address", &self.remote_address),
            required("remote-port", &self.remote_port),
            self.tls().check(),
        ])
    }
}

/// All of them: written as one table, `[input.tcp-client]`, or as several, `[[input.tcp-client]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sections(Vec<Section>);

/// One, switched off, as every other section is when it is absent.
impl Default for Sections {
    fn default() -> Self {
        Sections(vec![Section::default()])
    }
}

impl Deref for Sections {
    type Target = [Section];

    fn deref(&self) -> &[Section] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// serde's half of [`Sections`].
struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Sections;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, [input.tcp-client], or several, [[input.tcp-client]]")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Sections, A::Error> {
        Section::deserialize(MapAccessDeserializer::new(table)).map(|section| Sections(vec![section]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Sections, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(tables)).map(Sections)
    }
}

/// Name of the input in metrics and log.
pub const NAME: &str = "tcp-client";

/// A sender to connect to.
pub struct Remote<'a> {
    host: Host,
    port: u16,
    retry: Seconds,
    tls: Option<&'a Client>,
}

impl<'a> Remote<'a> {
    /// The one of a section that is on; `None` otherwise.
    pub fn new(section: &Section, tls: Option<&'a Client>) -> Option<Self> {
        let host = section.remote_address.clone().filter(|_| section.enable)?;
        Some(Remote { host, port: section.remote_port?.get(), retry: section.retry, tls })
    }
}

/// As the log names it.
impl fmt::Display for Remote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PeerAddress::Tcp(self.host.clone(), self.port).fmt(f)
    }
}

/// Connects to a remote, and connects again, for ever.
pub async fn run(
    remote: Remote<'_>,
    receiver: &Receiver<'_>,
    counters: &InputCounters,
    lease: ConnectionLease<'_>,
) {
    let mut reconnect = Reconnect::new(format!("Input tcp-client: {remote}"), remote.retry);
    loop {
        let why = match dial(&remote.host, remote.port, remote.tls, KeepAlive::SENDER).await {
            Ok(dialled) => {
                info!("Input tcp-client: connected to {}", remote.to_string());
                let started = match dialled {
                    Dialled::Plain(stream) => {
                        let stream: Arc<Async<TcpStream>> = stream.into();
                        serve(&*stream, &remote, counters, receiver, &lease).await
                    }
                    Dialled::Tls(stream) => serve(*stream, &remote, counters, receiver, &lease).await,
                };
                if started {
                    reconnect.succeeded();
                }
                "the connection ended".to_owned()
            }
            Err(error) => error.to_string(),
        };
        lease.clear_deadline();
        reconnect.pause(why).await;
    }
}
