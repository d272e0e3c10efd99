//! Input `tcp-client`: connects to senders that listen.
//!
//! Who connects decides nothing else: the other end is the sender of Frame Streams all the same, and begins
//! with READY or with START.
//!
//! ```text
//! resolve the name -> connect, TLS -> serve until it ends
//!        ^             |  10 s for each address   |
//!        +--- wait <---+--------------------------+
//! ```
//!
//! The wait grows while attempts fail, see `Reconnect`; a sender that got through the handshake of Frame
//! Streams makes it short again. Each remote keeps its lease for good, so that listeners never leave it
//! without one. Why there is no connection is in the log once, until the reason changes or the connection is
//! there.

use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;

use defmt_or_log::info;

use super::connections::{ConnectionLease, Origin};
use super::counters::InputCounters;
use super::plan::{
    BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, Reloadable, RunningSource, Source,
};
use super::receiver::{Receiver, serve};
use crate::limits::TLS_CONNECTION_BYTES;
use crate::net::dial::{Dialled, KeepAlive, PeerAddress, dial};
use crate::net::reconnect::Reconnect;
use crate::net::tls::{self, Client};
use crate::section::section;
use crate::values::{Host, KeyError, PlanError, Seconds, all, required};

section! {
    /// Section `input.tcp-client`, or one of several.
    pub struct Section {
        ..enable
        ..remote(retry = 1)
        ..client_tls
    }
}

/// Name of the input in metrics and log.
pub(crate) const NAME: &str = "tcp-client";

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> Result<(), KeyError> {
        all([
            required("remote-address", &self.remote_address),
            required("remote-port", &self.remote_port),
            self.tls_keys().check(),
        ])
    }

    fn uses_tls(&self) -> bool {
        self.tls_keys().is_on()
    }

    fn tls_files(&self) -> Vec<&Path> {
        self.tls_client_key.as_deref().filter(|_| self.uses_tls()).into_iter().collect()
    }

    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError> {
        // The rules between the keys asked for both.
        let (Some(host), Some(port)) = (&self.remote_address, self.remote_port) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        let tls = Client::load(&self.tls_keys(), host)?;
        let peer = PeerAddress::Tcp(host.clone(), port.get());
        let (words, memory) = match &tls {
            None => (format!("to {peer}"), Vec::new()),
            Some(_) => {
                let cost = (format!("TLS of input {NAME} to {peer}"), TLS_CONNECTION_BYTES);
                (format!("to {peer}, TLS"), vec![cost])
            }
        };
        let at = context.input.tcp_client.iter().position(|section| core::ptr::eq(section, self));
        let shared = Rc::new(ClientShared { at: at.unwrap_or(0), tls });
        let source = TcpClient { host: host.clone(), port: port.get(), retry: self.retry, shared };
        Ok(InputPlan { name: NAME, words, memory, source: Box::new(source) })
    }
}

/// A sender to connect to.
struct TcpClient {
    host: Host,
    port: u16,
    retry: Seconds,
    shared: Rc<ClientShared>,
}

/// The parts that a reload changes.
struct ClientShared {
    /// Its place in the list of sections.
    at: usize,
    tls: Option<Client>,
}

impl Reloadable for ClientShared {
    fn reload(&self, section: &super::Section) -> Result<(), KeyError> {
        match (&self.tls, section.tcp_client.get(self.at)) {
            (Some(tls), Some(section)) if section.tls_keys().is_on() => tls.reload(&section.tls_keys()),
            _ => Ok(()),
        }
    }
}

impl Source for TcpClient {
    fn reloadable(&self) -> Option<Rc<dyn Reloadable>> {
        Some(Rc::<ClientShared>::clone(&self.shared))
    }

    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource> {
        counters.expect_one_more();
        let group = context.receiver.connections.group(1, 1);
        let lease = group.take(Origin::Remote).map_err(|_| io::ErrorKind::ResourceBusy)?;
        Ok(Box::pin(async move { self.connect(context.receiver, counters, lease).await }))
    }
}

/// As the log names it.
impl fmt::Display for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PeerAddress::Tcp(self.host.clone(), self.port).fmt(f)
    }
}

impl TcpClient {
    /// Connects, and connects again, for ever.
    ///
    /// The outputs have a way of their own for that (`output::uplink`): it tells the inputs that wait for the
    /// output, and ends once nothing is queued. Nobody waits for a sender, and a sender that ends is no
    /// reason to stop; what both need, the waits and what the log says of them, is [`Reconnect`].
    async fn connect(
        &self,
        receiver: &Receiver<'_>,
        counters: &InputCounters,
        lease: ConnectionLease,
    ) -> Result<(), BrokenOff> {
        let mut reconnect = Reconnect::new(format!("Input {NAME}: {self}"), self.retry);
        loop {
            let tls = self.shared.tls.as_ref();
            let why = match dial(&self.host, self.port, tls, KeepAlive::SENDER).await {
                Ok(dialled) => {
                    info!("Input {}: connected to {}", NAME, self.to_string());
                    let started = match dialled {
                        Dialled::Plain(stream) => {
                            lease.note_socket(stream.get_ref(), true);
                            serve(stream, self, counters, receiver, &lease).await
                        }
                        Dialled::Tls(stream) => {
                            lease.note_socket(tls::socket(&stream), false);
                            serve(*stream, self, counters, receiver, &lease).await
                        }
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
}
