//! Input `tcp-socket`: listens for senders on TCP.
//!
//! A peer that is not on the access list, or finds all places taken, is closed at once and counted. Dead peers
//! never say STOP, so keepalive finds them: after two minutes of silence, four probes half a minute apart.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use async_io::Async;
use defmt_or_log::{debug, warn};
use serde::Deserialize;
use smol::LocalExecutor;
use smol::future::or;

use super::connections::ConnectionLease;
use super::receiver::{Receiver, serve};
use crate::input::counters::{InputCounters, RefuseReason, Rejection};
use crate::limits::PATIENCE_SECONDS;
use crate::net::accept::Acceptor;
use crate::net::dial::KeepAlive;
use crate::net::tls::{Refused, Server, ServerStream};
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, Network, ServerTls};

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
    pub fn check(&self) -> Result<(), KeyError> {
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
    receiver: &'static Receiver<'static>,
    counters: &'static InputCounters,
    access: &'static AccessList,
    tls: Option<&'static Server>,
    listener: Async<TcpListener>,
) {
    let acceptor = Acceptor::new("Input tcp-socket", listener);
    loop {
        let (stream, peer) = acceptor.accept().await;
        if let Some(lease) = admit(receiver, counters, access, peer) {
            KeepAlive::SENDER.set(&stream, &peer);
            match tls {
                None => start(executor, receiver, counters, lease, stream, peer),
                Some(tls) => start_tls(executor, receiver, counters, lease, stream, peer, tls),
            }
        }
    }
}

/// A lease for the peer, unless it is to be closed.
fn admit(
    receiver: &'static Receiver<'static>,
    counters: &InputCounters,
    access: &AccessList,
    peer: SocketAddr,
) -> Option<ConnectionLease<'static>> {
    if !access.allows(peer.ip()) {
        debug!("{}: not on the access list", peer.to_string());
        counters.refused.count(RefuseReason::AccessList);
        return None;
    }
    let lease = receiver.connections.take();
    if lease.is_none() {
        warn!("{}: closed, all places for connections are taken (limits.connections)", peer.to_string());
        counters.refused.count(RefuseReason::Limit);
    }
    lease
}

fn start(
    executor: &'static LocalExecutor<'static>,
    receiver: &'static Receiver<'static>,
    counters: &'static InputCounters,
    lease: ConnectionLease<'static>,
    stream: Async<TcpStream>,
    peer: SocketAddr,
) {
    let task_handle = lease.task_handle();
    task_handle.keep(executor.spawn(async move {
        serve(&stream, &peer, counters, receiver, &lease).await;
    }));
}

/// The same over TLS: a task of its own kind, so that those without TLS need no room for it.
fn start_tls(
    executor: &'static LocalExecutor<'static>,
    receiver: &'static Receiver<'static>,
    counters: &'static InputCounters,
    lease: ConnectionLease<'static>,
    stream: Async<TcpStream>,
    peer: SocketAddr,
    tls: &'static Server,
) {
    let task_handle = lease.task_handle();
    task_handle.keep(executor.spawn(async move {
        if let Some(stream) = shake(tls, stream.into(), &peer, counters, &lease).await {
            serve(stream, &peer, counters, receiver, &lease).await;
        }
    }));
}

/// Does the TLS handshake, and says in the log and the counters why it came to nothing.
async fn shake(
    tls: &Server,
    stream: async_net::TcpStream,
    peer: &SocketAddr,
    counters: &InputCounters,
    lease: &ConnectionLease<'_>,
) -> Option<ServerStream> {
    lease.set_deadline(PATIENCE_SECONDS);
    let shaken = async { Some(tls.accept(stream).await) };
    let late = async {
        lease.deadline().await;
        None
    };
    match Box::pin(or(shaken, late)).await {
        Some(Ok(stream)) => return Some(stream),
        Some(Err(Refused::Closed)) => debug!("{}: closed before TLS was agreed on", peer.to_string()),
        Some(Err(Refused::Plain)) => {
            counters.reject(Rejection::Plaintext);
            warn!("{}: closed: plain text, and this port speaks TLS", peer.to_string());
        }
        Some(Err(Refused::Handshake(error))) => {
            counters.refused.count(RefuseReason::Tls);
            warn!("{}: closed: no TLS: {}", peer.to_string(), error.to_string());
        }
        None => {
            counters.refused.count(RefuseReason::Timeout);
            warn!("{}: closed, TLS was not agreed on for {} s", peer.to_string(), PATIENCE_SECONDS);
        }
    }
    None
}
