//! Connections of a listener, one after the other.
//!
//! Who connects and closes as fast as the machine lets them must not keep the thread: after each connection
//! all other tasks have their turn, as an executor has no fairness of its own. When accepting fails, mostly
//! for want of descriptors, the next attempt is made a second later; until then the backlog keeps the peers.

use core::cell::Cell;
use core::future::Future;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::reactor::{Async, Timer};
use defmt_or_log::warn;
use smol::future::yield_now;

/// A socket that listens.
pub(crate) trait Listener {
    /// A connection.
    type Stream;
    /// The other end's address.
    type Peer;

    /// Waits for a connection.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>>;
}

impl Listener for Async<TcpListener> {
    type Stream = Async<TcpStream>;
    type Peer = SocketAddr;

    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> {
        self.accept()
    }
}

/// Peers have no address.
impl Listener for Async<UnixListener> {
    type Stream = Async<UnixStream>;
    type Peer = ();

    async fn next(&self) -> io::Result<(Self::Stream, ())> {
        Ok((self.accept().await?, ()))
    }
}

/// Accepts connections.
#[derive(Debug)]
pub(crate) struct Acceptor<L> {
    listener: L,
    /// Names the listener in the log.
    who: &'static str,
    /// Whether the log says already that accepting fails.
    is_failing: Cell<bool>,
}

impl<L: Listener> Acceptor<L> {
    /// Nothing was accepted yet.
    pub(crate) fn new(who: &'static str, listener: L) -> Self {
        Acceptor { listener, who, is_failing: Cell::new(false) }
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> (L::Stream, L::Peer) {
        loop {
            yield_now().await;
            match self.listener.next().await {
                Ok(connection) => {
                    self.is_failing.set(false);
                    return connection;
                }
                // The peer was quicker to go than we to take it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !self.is_failing.replace(true) {
                        warn!("{}: connections cannot be accepted: {}", self.who, error.to_string());
                    }
                    Timer::after(RETRY).await;
                }
            }
        }
    }
}

/// Pause after a failed attempt.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::or;

    /// A listener on which there always is one more.
    struct Flood(Cell<u64>);

    impl Listener for Flood {
        type Stream = ();
        type Peer = ();

        async fn next(&self) -> io::Result<((), ())> {
            self.0.set(self.0.get() + 1);
            if self.0.get().is_multiple_of(2) {
                Ok(((), ()))
            } else {
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    #[test]
    fn others_have_their_turn_while_connections_come() {
        let acceptor = Acceptor::new("test", Flood(Cell::new(0)));
        let flood = async {
            loop {
                acceptor.accept().await;
            }
        };
        let others = async {
            for _ in 0..1_000 {
                yield_now().await;
            }
        };
        crate::reactor::block_on(or(flood, others));
        assert!((100..=2_000).contains(&acceptor.listener.0.get()));
    }
}
