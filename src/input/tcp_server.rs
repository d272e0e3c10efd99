//! Input `tcp-socket`: listens for senders on TCP.
//!
//! A peer that is not on the access list, or finds all places taken, is closed at once and counted. Dead peers
//! never say STOP, so keepalive finds them: after two minutes of silence, four probes half a minute apart.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use async_io::Async;
use defmt_or_log::{debug, warn};
use nix::sys::socket::{setsockopt, sockopt};
use serde::Deserialize;
use smol::LocalExecutor;

use super::slots::Place;
use super::stream::{Shared, serve};
use crate::collector::{Intake, Refusal};
use crate::setting::{Fault, FilePath, ListenAddress, ListenPort, Network, ServerTls};

/// Section `input.tcp-socket`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Absent = on when no other input is, or when the command line gives an address or port.
    pub enable: Option<bool>,
    /// Address to listen on.
    pub local_address: ListenAddress,
    /// Port to listen on; 0 = any free one.
    pub local_port: ListenPort,
    /// Peers let in: any entry that contains the address. Empty = nobody.
    pub access_control_list: Vec<Network>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Certificate chain, PEM.
    pub tls_server_cert: Option<FilePath>,
    /// Private key, PEM.
    pub tls_server_key: Option<FilePath>,
    /// Let in only peers with a certificate of one of these, PEM.
    pub tls_client_ca: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: None,
            local_address: ListenAddress::LOCALHOST,
            local_port: ListenPort::new(6000),
            access_control_list: vec![Network::ALL_IPV4, Network::ALL_IPV6],
            tls_support: None,
            tls_server_cert: None,
            tls_server_key: None,
            tls_client_ca: None,
        }
    }
}

impl Section {
    /// Whether it runs, once resolved.
    pub fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }

    /// The TLS keys together.
    pub fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: self.tls_client_ca.as_ref(),
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Those of [`ServerTls::check`].
    pub fn check(&self) -> Result<(), Fault> {
        self.tls().check()
    }
}

/// Name of the input in metrics and log.
pub const NAME: &str = "tcp-socket";

/// Where a section listens.
pub fn address(section: &Section) -> SocketAddr {
    SocketAddr::new(section.local_address.get(), section.local_port.get())
}

/// Binds the listener.
///
/// # Errors
///
/// When the address is not ours or the port is taken.
pub fn bind(section: &Section) -> io::Result<TcpListener> {
    TcpListener::bind(address(section))
}

/// Peers let in.
#[derive(Debug)]
pub struct AccessList(std::cell::RefCell<Vec<Network>>);

impl AccessList {
    /// The list of a section.
    pub fn new(section: &Section) -> Self {
        AccessList(std::cell::RefCell::new(section.access_control_list.clone()))
    }

    /// Puts another list in force; connections that are open stay.
    pub fn replace(&self, section: &Section) {
        self.0.borrow_mut().clone_from(&section.access_control_list);
    }

    fn allows(&self, peer: IpAddr) -> bool {
        self.0.borrow().iter().any(|network| network.contains(peer))
    }
}

/// Accepts connections for ever.
pub async fn run(
    executor: &'static LocalExecutor<'static>,
    shared: &'static Shared<'static>,
    intake: &'static Intake,
    access: &'static AccessList,
    listener: async_net::TcpListener,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let admitted = admit(shared, intake, access, peer);
                if let Some(place) = admitted {
                    start(executor, shared, intake, place, stream, peer);
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: the backlog keeps the peer until there are some again.
                warn!("Input {}: {}", NAME, error.to_string());
                async_io::Timer::after(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Pause after a failed accept.
const ACCEPT_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// A place for the peer, unless it is to be closed.
fn admit(
    shared: &'static Shared<'static>,
    intake: &Intake,
    access: &AccessList,
    peer: SocketAddr,
) -> Option<Place<'static>> {
    if !access.allows(peer.ip()) {
        debug!("{}: not on the access list", peer.to_string());
        intake.refuse(Refusal::AccessList);
        return None;
    }
    let place = shared.slots.take();
    if place.is_none() {
        warn!("{}: closed, all places for connections are taken (limits.connections)", peer.to_string());
        intake.refuse(Refusal::Limit);
    }
    place
}

fn start(
    executor: &'static LocalExecutor<'static>,
    shared: &'static Shared<'static>,
    intake: &'static Intake,
    place: Place<'static>,
    stream: async_net::TcpStream,
    peer: SocketAddr,
) {
    let stream: Arc<Async<std::net::TcpStream>> = stream.into();
    if let Err(error) = keep_alive(stream.get_ref()) {
        debug!("{}: no keepalive: {}", peer.to_string(), error.to_string());
    }
    let keeper = place.keeper();
    keeper.keep(executor.spawn(async move { serve(&*stream, &peer, intake, shared, &place).await }));
}

fn keep_alive(stream: &std::net::TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &120)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &30)?;
    setsockopt(stream, sockopt::TcpKeepCount, &4)
}
