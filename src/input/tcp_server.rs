//! Input `tcp-socket`: listens for senders on TCP.
//!
//! A peer that is not on the access list, or finds all places taken, is closed at once and counted. Dead
//! peers never say STOP, so keepalive finds them: after two minutes of silence, four probes half a minute
//! apart.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;

use defmt_or_log::{debug, warn};
use smol::future::or;

use super::connections::{ConnectionGroup, ConnectionLease};
use super::counters::{InputCounters, RefuseReason, Rejection};
use super::plan::{
    BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, Reloadable, RunningSource, Source,
};
use super::receiver::serve;
use crate::limits::{PATIENCE_SECONDS, TLS_CONNECTION_BYTES};
use crate::net::accept::Acceptor;
use crate::net::dial::KeepAlive;
use crate::net::tls::{Refused, Server, ServerStream};
use crate::reactor::Async;
use crate::section::{Switched, section};
use crate::sys::privileges::{Identity, may_listen_on};
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, Network, PlanError, ServerTls};

section! {
    /// Section `input.tcp-socket`.
    pub struct Section {
        /// Absent = on when no other input is, or when the command line gives an address or port.
        enable: Option<bool> = None,
        /// Address to listen on.
        local_address: ListenAddress = ListenAddress::LOCALHOST,
        /// Port to listen on; 0 = any free one.
        local_port: ListenPort = ListenPort::new(6000),
        /// Peers let in: any entry that contains the address. Empty = nobody.
        access_control_list: Vec<Network> = vec![Network::ALL_IPV4, Network::ALL_IPV6],
        /// Encrypt.
        tls_support: Option<bool> = None,
        /// Certificate chain, PEM.
        tls_server_cert: Option<FilePath> = None,
        /// Private key, PEM.
        tls_server_key: Option<FilePath> = None,
        /// Let in only peers with a certificate of one of these, PEM.
        tls_client_ca: Option<FilePath> = None,
    }
}

impl Section {
    /// The TLS keys together.
    pub fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: self.tls_client_ca.as_ref(),
        }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.local_address.get(), self.local_port.get())
    }
}

/// Name of the input in metrics and log.
pub(crate) const NAME: &str = "tcp-socket";

impl Switched for Section {
    fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }
}

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> Result<(), KeyError> {
        self.tls().check()
    }

    fn uses_tls(&self) -> bool {
        self.tls().is_on()
    }

    fn tls_files(&self) -> Vec<&Path> {
        let files = [&self.tls_server_cert, &self.tls_server_key, &self.tls_client_ca];
        files.into_iter().filter(|_| self.uses_tls()).filter_map(|path| path.as_deref()).collect()
    }

    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError> {
        let (tls, limits) = (self.tls(), context.limits);
        let mut memory = Vec::new();
        if tls.is_on() {
            let what = format!("TLS of {} connections, at most", limits.connections);
            memory.push((what, limits.connections * TLS_CONNECTION_BYTES));
        }
        let shared = TcpShared { access: AccessList::new(self), tls: Server::load(&tls)? };
        Ok(InputPlan {
            name: NAME,
            words: format!("on {}{}", self.address(), tls.words()),
            memory,
            source: Box::new(TcpServer {
                address: self.address(),
                places: (limits.connections, limits.connections_per_address),
                shared: Rc::new(shared),
                listener: None,
            }),
        })
    }
}

/// A listener on TCP.
struct TcpServer {
    address: SocketAddr,
    /// Connections in all, and from one address.
    places: (usize, usize),
    shared: Rc<TcpShared>,
    listener: Option<TcpListener>,
}

/// The parts that a reload changes.
struct TcpShared {
    access: AccessList,
    tls: Option<Server>,
}

impl Reloadable for TcpShared {
    fn reload(&self, section: &super::Section) -> Result<(), KeyError> {
        let section = &section.tcp_socket;
        self.access.replace(section);
        match &self.tls {
            Some(tls) if section.tls().is_on() => tls.reload(&section.tls()),
            _ => Ok(()),
        }
    }
}

impl Source for TcpServer {
    fn foresee(&self) -> Vec<String> {
        if may_listen_on(self.address.port()) {
            return Vec::new();
        }
        vec![format!(": {}: {}", self.address, io::Error::from_raw_os_error(nix::libc::EACCES))]
    }

    fn open(&mut self, _: &Identity) -> io::Result<()> {
        let listener = TcpListener::bind(self.address)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.address)))?;
        // As many may wait in the kernel as the system lets wait, not the 128 of std: what a storm of
        // connects pushes out there comes again only a second later.
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXALLOWABLE)?;
        self.listener = Some(listener);
        Ok(())
    }

    fn reloadable(&self) -> Option<Rc<dyn Reloadable>> {
        Some(Rc::<TcpShared>::clone(&self.shared))
    }

    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource> {
        let listener = self.listener.ok_or(io::ErrorKind::NotConnected)?;
        debug!("Input handler: listening on {}", listener.local_addr()?.to_string());
        let (places, share) = self.places;
        let group = context.receiver.connections.group(places, share);
        Ok(Box::pin(accept(context, counters, group, self.shared, Async::new(listener)?)))
    }
}

/// Peers let in.
#[derive(Debug)]
struct AccessList(RefCell<Vec<Network>>);

impl AccessList {
    fn new(section: &Section) -> Self {
        AccessList(RefCell::new(section.access_control_list.clone()))
    }

    /// Puts another list in force; connections that are open stay.
    fn replace(&self, section: &Section) {
        self.0.borrow_mut().clone_from(&section.access_control_list);
    }

    fn allows(&self, peer: IpAddr) -> bool {
        self.0.borrow().iter().any(|network| network.contains(peer))
    }
}

/// Accepts connections for ever.
async fn accept(
    context: InputContext,
    counters: &'static InputCounters,
    group: &'static ConnectionGroup,
    shared: Rc<TcpShared>,
    listener: Async<TcpListener>,
) -> Result<(), BrokenOff> {
    let InputContext { executor, receiver } = context;
    let acceptor = Acceptor::new("Input tcp-socket", listener);
    loop {
        let (stream, peer) = acceptor.accept().await;
        if !shared.access.allows(peer.ip()) {
            debug!("{}: not on the access list", peer.to_string());
            counters.refuse(RefuseReason::AccessList);
            continue;
        }
        let Some(lease) = group.admit(peer.ip().into(), counters, &peer).await else { continue };
        KeepAlive::SENDER.set(&stream, &peer);
        lease.note_socket(stream.get_ref(), shared.tls.is_none());
        let task_handle = lease.task_handle();
        // Two kinds of tasks, so that those without TLS need no room for it.
        task_handle.keep(if shared.tls.is_none() {
            executor.spawn(async move {
                serve(&stream, &peer, counters, receiver, &lease).await;
            })
        } else {
            let shared = Rc::clone(&shared);
            executor.spawn(async move {
                let Some(tls) = &shared.tls else { return };
                if let Some(stream) = shake(tls, stream, &peer, counters, &lease).await {
                    serve(stream, &peer, counters, receiver, &lease).await;
                }
            })
        });
    }
}

/// Does the TLS handshake, and says in the log and the counters why it came to nothing.
async fn shake(
    tls: &Server,
    stream: Async<TcpStream>,
    peer: &SocketAddr,
    counters: &InputCounters,
    lease: &ConnectionLease,
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
            counters.refuse(RefuseReason::Tls);
            warn!("{}: closed: no TLS: {}", peer.to_string(), error.to_string());
        }
        None => {
            counters.refuse(RefuseReason::Timeout);
            warn!("{}: closed, TLS was not agreed on for {} s", peer.to_string(), PATIENCE_SECONDS);
        }
    }
    None
}
