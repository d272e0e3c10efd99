//! Connections to a remote: from its name to a stream.
//!
//! A name is resolved again at each attempt, and its addresses are tried in turn, each for
//! [`PATIENCE_SECONDS`](crate::limits::PATIENCE_SECONDS). The kernel looks after a connection: see
//! `KeepAlive`.

use core::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use defmt_or_log::debug;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};

use super::timeout::in_time;
use super::tls::{Client, ClientStream};
use crate::limits::{DIAL_ADDRESSES, UNACKNOWLEDGED_SECONDS};
use crate::reactor::{self, Async};
use crate::values::Host;

/// Where the other end is.
#[derive(Debug, Clone)]
pub(crate) enum PeerAddress {
    /// A name or address, and a port.
    Tcp(Host, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Tcp(host, port) if host.as_str().contains(':') => {
                write!(f, "[{}]:{port}", host.as_str())
            }
            PeerAddress::Tcp(host, port) => write!(f, "{}:{port}", host.as_str()),
            PeerAddress::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The socket addresses of a host, asked for again at each call; never none.
///
/// # Errors
///
/// When the name has none, or nobody answers.
pub(crate) async fn resolve(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses = look_up(host.as_str(), port)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("the name cannot be resolved: {error}")))?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses.into_iter().take(DIAL_ADDRESSES).collect())
}

/// The socket addresses of a name or an address. It is not to be cut short: a name is looked up on another
/// thread, and each attempt given up would leave one behind.
///
/// # Errors
///
/// When the name has none, or nobody answers.
pub(crate) async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    smol::unblock(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

/// A connection to a remote.
pub(crate) enum Dialled {
    /// Without TLS.
    Plain(Async<TcpStream>),
    /// Over TLS; in a box, as those without need no room for it.
    Tls(Box<ClientStream>),
}

/// Connects to the first address of a host that answers, over TLS if there is `tls`.
///
/// # Errors
///
/// Why the last address did not answer; see [`resolve`].
pub(crate) async fn dial(
    host: &Host,
    port: u16,
    tls: Option<&Client>,
    keep_alive: KeepAlive,
) -> io::Result<Dialled> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in resolve(host, port).await? {
        let attempt = in_time(async {
            let stream = reactor::connect(address).await?;
            keep_alive.set(&stream, &address);
            match tls {
                None => Ok(Dialled::Plain(stream)),
                Some(tls) => Ok(Dialled::Tls(Box::new(tls.connect(stream).await?))),
            }
        });
        result = attempt.await.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")));
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Connects to a Unix socket.
///
/// # Errors
///
/// Nobody listens there; or somebody does, but takes no connections, and the queue of those that wait is
/// full.
pub(crate) fn connect_unix(path: &Path) -> io::Result<Async<UnixStream>> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The kernel connects at once or not at all. "Try again" is the full queue: it is not in progress, as it
    // is with TCP.
    match connect(socket.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(Errno::EAGAIN) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "its queue of connections is full, nobody takes them",
        )),
        Err(errno) => Err(errno.into()),
        Ok(()) => Async::new_nonblocking(UnixStream::from(socket)),
    }
}

/// When the kernel finds out that a peer has gone without a word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    /// Seconds of silence before the first probe.
    idle: u32,
    /// Seconds between probes.
    interval: u32,
    /// Probes without an answer that end the connection.
    probes: u32,
    /// Seconds within which the peer must acknowledge what it was sent; also turns off the delay of small
    /// writes.
    unacknowledged: Option<u32>,
}

impl KeepAlive {
    /// For peers that send: a dead one only takes a place.
    pub(crate) const SENDER: KeepAlive =
        KeepAlive { idle: 120, interval: 30, probes: 4, unacknowledged: None };

    /// For peers that we send to: the sooner a dead one is found, the less waits for it.
    pub(crate) const READER: KeepAlive =
        KeepAlive { idle: 60, interval: 10, probes: 6, unacknowledged: Some(UNACKNOWLEDGED_SECONDS) };

    /// Tells the kernel; `peer` names the other end in the log.
    pub(crate) fn set(self, stream: &impl AsFd, peer: &impl fmt::Display) {
        if let Err(errno) = self.try_set(stream) {
            debug!("{}: no keepalive: {}", peer.to_string(), errno.to_string());
        }
    }

    fn try_set(self, stream: &impl AsFd) -> nix::Result<()> {
        setsockopt(stream, sockopt::KeepAlive, &true)?;
        setsockopt(stream, sockopt::TcpKeepIdle, &self.idle)?;
        setsockopt(stream, sockopt::TcpKeepInterval, &self.interval)?;
        setsockopt(stream, sockopt::TcpKeepCount, &self.probes)?;
        let Some(seconds) = self.unacknowledged else { return Ok(()) };
        setsockopt(stream, sockopt::TcpNoDelay, &true)?;
        setsockopt(stream, sockopt::TcpUserTimeout, &(seconds * 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_full_queue_is_named() {
        let path = std::env::temp_dir().join(format!("dnstapd-full-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert_eq!(connect_unix(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
        let mut held = Vec::new();
        let error = loop {
            match connect_unix(&path) {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), held.len()), (io::ErrorKind::WouldBlock, 2));
        assert!(error.to_string().contains("queue of connections is full"));
        std::fs::remove_file(path).unwrap();
    }
}
