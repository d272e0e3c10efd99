//! A peer that takes datagrams: a syslog server over UDP, or a local socket such as `/dev/log`.
//!
//! One record is one datagram. Over UDP nobody says whether anything arrived; but when nothing listens at the
//! other end, its machine may say so, and the next send fails. Then, and when the network is down, the output
//! waits as one over a stream does, and asks for the name again; each attempt costs one record, which counts
//! as delivered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use defmt_or_log::info;
use nix::libc;
use smol::future::yield_now;

use super::uplink::Uplink;
use super::{DropReason, Outlet, Outlets, RunningSink, Sink, TaskContext, TaskStep, WriteState};
use crate::limits::DATAGRAM_BYTES;
use crate::net::dial::{PeerAddress, resolve};
use crate::reactor::{Async, Timer};
use crate::values::{Host, Seconds};

/// A peer that takes datagrams.
#[derive(Debug)]
pub(crate) struct DatagramSink {
    /// Where it is.
    pub(crate) peer: PeerAddress,
    /// Time to the next attempt to reach it.
    pub(crate) retry: Seconds,
}

impl Sink for DatagramSink {
    fn cost(&self) -> usize {
        0
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        Box::pin(run(outlet, &context.outlets, self.peer, self.retry))
    }
}

/// A socket that sends to one peer.
enum DatagramSocket {
    Udp(Async<UdpSocket>),
    Unix(Async<UnixDatagram>),
}

impl DatagramSocket {
    async fn open(peer: &PeerAddress) -> io::Result<Self> {
        match peer {
            PeerAddress::Tcp(host, port) => Ok(DatagramSocket::Udp(udp(host, *port).await?)),
            PeerAddress::Unix(path) => Ok(DatagramSocket::Unix(unix(path)?)),
        }
    }

    /// Sends one datagram without waiting.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            DatagramSocket::Udp(socket) => socket.get_ref().send(bytes),
            DatagramSocket::Unix(socket) => socket.get_ref().send(bytes),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            DatagramSocket::Udp(socket) => socket.writable().await,
            DatagramSocket::Unix(socket) => socket.writable().await,
        }
    }
}

async fn udp(host: &Host, port: u16) -> io::Result<Async<UdpSocket>> {
    let address = resolve(host, port).await?.into_iter().next().ok_or(io::ErrorKind::NotFound)?;
    let any =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Async::new(socket)
}

fn unix(path: &PathBuf) -> io::Result<Async<UnixDatagram>> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Async::new(socket)
}

/// Sends records until the daemon stops.
async fn run(outlet: &Outlet, outlets: &Outlets, peer: PeerAddress, retry: Seconds) {
    let mut uplink = Uplink::new(outlet, outlets, &peer, retry);
    while !outlet.is_over() {
        let error = match uplink.attempt(DatagramSocket::open(&peer)).await {
            Ok(socket) => {
                outlet.set_connected();
                let opened = Instant::now();
                let mut proven = || {
                    // Within a second the other machine has told that nothing listens, if it tells at all.
                    if uplink.is_troubled() && opened.elapsed() > PROBATION {
                        uplink.succeeded();
                        info!("Output {}: {} takes records again", outlet.name(), peer.to_string());
                    }
                };
                match send(outlet, outlets, &socket, &mut proven).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        uplink.pause(error.to_string()).await;
    }
}

/// Sends until nothing is queued at a stop; `proven` is told of each datagram that went.
///
/// # Errors
///
/// Errors that another attempt with this socket would not mend.
async fn send(
    outlet: &Outlet,
    outlets: &Outlets,
    socket: &DatagramSocket,
    proven: &mut impl FnMut(),
) -> io::Result<()> {
    while outlet.next_step().await != TaskStep::End {
        for _ in 0..DATAGRAMS_A_TURN {
            let Some(sent) = outlet.write_first_with(|pieces| send_pieces(socket, pieces)) else { break };
            match sent {
                Ok(()) => {
                    outlet.set_write_state(WriteState::Ready);
                    proven();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    outlet.drop_first(DropReason::Oversize)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outlet.set_write_state(WriteState::Blocked);
                    outlets.progressed();
                    socket.writable().await?;
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    outlet.set_write_state(WriteState::Blocked);
                    outlets.progressed();
                    Timer::after(NO_BUFFERS).await;
                }
                Err(error) => return Err(error),
            }
        }
        outlets.progressed();
        yield_now().await;
    }
    Ok(())
}

/// Sends a record, which may be in two pieces where the queue's memory ends.
fn send_pieces(socket: &DatagramSocket, [first, second]: [&[u8]; 2]) -> io::Result<usize> {
    if second.is_empty() {
        return socket.send(first);
    }
    let mut bytes = heapless::Vec::<u8, DATAGRAM_BYTES>::new();
    let whole = bytes.extend_from_slice(first).and_then(|()| bytes.extend_from_slice(second));
    whole.map_err(|_| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
    socket.send(&bytes)
}

/// Datagrams sent before others have their turn.
const DATAGRAMS_A_TURN: usize = 64;

/// How long a socket must work to count as mended.
const PROBATION: Duration = Duration::from_secs(1);

/// Pause when the kernel has no memory for a datagram.
const NO_BUFFERS: Duration = Duration::from_millis(2);
