//! Packets as the kernel shows them: an AF_PACKET socket with a filter of ours, see packet(7).
//!
//! Opening takes CAP_NET_RAW; everything later, another interface or another filter too, does not. The filter
//! is there before the socket is bound, so that nothing unfiltered ever arrives.
//!
//! Packets come through memory shared with the kernel (`ring`, TPACKET_V3) or, where there is none (emulated
//! processors, old kernels), in batches of one system call each (`batch`). What the kernel had no room for it
//! counts: [`AsyncPacketSocket::drops`].
#![allow(unsafe_code)]

mod batch;
pub(crate) mod capture_filter;
mod ring;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, packet_mreq, sock_fprog, sockaddr_ll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockType, SockaddrLike, bind, getsockopt, setsockopt, socket, sockopt,
};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

use crate::reactor::Async;
use crate::sys::bpf::Instruction;
use crate::time::Time;
use batch::Batch;
use ring::Ring;

/// A packet, from its link-layer header on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// The kind of its interface, `ARPHRD_*`.
    pub(crate) kind: u16,
    /// When the kernel saw it.
    pub(crate) time: Time,
    /// All of it; less when the memory is too small, which takes more than 64 KiB.
    pub(crate) bytes: &'a [u8],
}

/// A socket that is open, and not yet bound.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    descriptor: OwnedFd,
    source: PacketSource,
}

/// Where packets come from.
#[derive(Debug)]
enum PacketSource {
    Ring(Ring),
    Batch(Box<Batch>),
}

impl PacketSocket {
    /// Opens a socket that will show what the filter lets pass, with `blocks` blocks of memory of
    /// [`SNIFFER_BLOCK_BYTES`](crate::limits::SNIFFER_BLOCK_BYTES).
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_RAW; a kernel without packet sockets; a program it does not take.
    pub(crate) fn open(program: &[Instruction], blocks: usize) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        attach(&descriptor, program)?;
        let source = match Ring::new(&descriptor, blocks) {
            Ok(ring) => PacketSource::Ring(ring),
            Err(_) => PacketSource::Batch(Box::new(Batch::new(&descriptor, blocks)?)),
        };
        Ok(PacketSocket { descriptor, source })
    }

    /// Whether packets come through shared memory.
    pub(crate) fn has_ring(&self) -> bool {
        matches!(self.source, PacketSource::Ring(_))
    }

    /// Begins to show packets of an interface, by its number, or of all.
    ///
    /// # Errors
    ///
    /// When the interface is not there any more.
    pub(crate) fn listen(&self, interface: Option<u32>) -> io::Result<()> {
        listen(&self.descriptor, interface)
    }

    /// The kind of the interface it is bound to, `ARPHRD_*`; 0 for all.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub(crate) fn kind(&self) -> io::Result<u16> {
        let mut address = sockaddr_ll { sll_family: 0, ..EVERYWHERE };
        let mut length = size_of::<sockaddr_ll>() as libc::socklen_t;
        // SAFETY: both pointers are to whole values that outlive the call; the kernel writes no more than
        // `length`. nix will not do: it wants the address longer than the kernel writes it.
        let done = unsafe {
            libc::getsockname(self.descriptor.as_raw_fd(), (&raw mut address).cast(), &raw mut length)
        };
        Errno::result(done)?;
        Ok(address.sll_hatype)
    }

    /// Puts the socket into the reactor.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub(crate) fn into_async(self) -> io::Result<AsyncPacketSocket> {
        let PacketSocket { descriptor, source } = self;
        Ok(AsyncPacketSocket { descriptor: Async::new_nonblocking(descriptor)?, source })
    }
}

/// A socket to wait for.
#[derive(Debug)]
pub(crate) struct AsyncPacketSocket {
    descriptor: Async<OwnedFd>,
    source: PacketSource,
}

impl AsyncPacketSocket {
    /// The next packet that is there; `None` if it is to be waited for.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the interface is down or gone.
    pub(crate) fn next_packet(&mut self) -> io::Result<Option<Packet<'_>>> {
        match &mut self.source {
            PacketSource::Ring(ring) => Ok(ring.next_packet()),
            PacketSource::Batch(batch) => batch.next_packet(&self.descriptor),
        }
    }

    /// Waits for packets, or for an error.
    ///
    /// # Errors
    ///
    /// When the reactor fails.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.descriptor.readable().await
    }

    /// The error since this was last asked: `NetworkDown` when the interface went down or away.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match getsockopt(&self.descriptor, sockopt::SocketError) {
            Ok(0) => None,
            Ok(errno) => Some(Errno::from_raw(errno).into()),
            Err(errno) => Some(errno.into()),
        }
    }

    /// Packets the kernel had no room for since this was last asked.
    pub(crate) fn drops(&self) -> u32 {
        let drops = match self.source {
            PacketSource::Ring(_) => {
                getsockopt(&self.descriptor, RingStatistics).map(|counts| counts.tp_drops)
            }
            PacketSource::Batch(_) => {
                getsockopt(&self.descriptor, PlainStatistics).map(|counts| counts.tp_drops)
            }
        };
        drops.unwrap_or(0)
    }

    /// Begins to show packets of another interface, or of all.
    ///
    /// # Errors
    ///
    /// When the interface is not there any more.
    pub(crate) fn listen(&self, interface: Option<u32>) -> io::Result<()> {
        listen(&self.descriptor, interface)
    }

    /// Asks an interface for packets between others, too, for as long as it and the socket are there.
    ///
    /// # Errors
    ///
    /// When the interface is not there any more.
    pub(crate) fn make_promiscuous(&self, interface: u32) -> io::Result<()> {
        let request = packet_mreq {
            mr_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
            mr_type: libc::PACKET_MR_PROMISC as _,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        Ok(setsockopt(&self.descriptor, AddMembership, &request)?)
    }

    /// Puts another filter in force.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it.
    pub(crate) fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        attach(&self.descriptor, program)
    }
}

/// Gives a socket its filter.
fn attach(descriptor: &impl AsFd, program: &[Instruction]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    Ok(setsockopt(descriptor, AttachFilter, &program)?)
}

/// Binds a socket to an interface, or to all.
fn listen(descriptor: &impl AsFd, interface: Option<u32>) -> io::Result<()> {
    let sll_ifindex = interface.map_or(Ok(0), c_int::try_from).map_err(|_| io::ErrorKind::InvalidInput)?;
    let address = sockaddr_ll { sll_ifindex, ..EVERYWHERE };
    // SAFETY: the pointer is to a whole `sockaddr_ll`, of the family and the length that go with it; it is
    // copied.
    let address =
        unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(size_of::<sockaddr_ll>() as u32)) };
    Ok(bind(descriptor.as_fd().as_raw_fd(), &address.ok_or(io::ErrorKind::InvalidInput)?)?)
}

/// All packets of all interfaces.
const EVERYWHERE: sockaddr_ll = sockaddr_ll {
    sll_family: libc::AF_PACKET as u16,
    sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
    sll_ifindex: 0,
    sll_hatype: 0,
    sll_pkttype: 0,
    sll_halen: 0,
    sll_addr: [0; 8],
};

sockopt_impl!(
    /// The filter of a socket.
    AttachFilter,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_FILTER,
    sock_fprog
);

sockopt_impl!(
    /// The mode an interface is asked for while the socket is there.
    AddMembership,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_ADD_MEMBERSHIP,
    packet_mreq
);

sockopt_impl!(
    /// Counts since the last time, of a socket with a ring of version 3.
    RingStatistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats_v3
);

sockopt_impl!(
    /// Counts since the last time, of a socket without a ring.
    PlainStatistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats
);

#[cfg(test)]
mod tests;
