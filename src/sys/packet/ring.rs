//! Memory shared with the kernel: blocks, each filled with packets and handed over whole (TPACKET_V3).
//!
//! ```text
//! | block  | block  | block  | ...   in turn, around and around
//!   | status, number of packets, first | packet | packet | ...
//!                                        | next, time, lengths | address | bytes |
//! ```
//!
//! A block is the kernel's or ours, as its status says. Ours begin with the one that is read; when it is
//! read, it goes back. When all are ours the kernel drops packets, and counts them. A block that is not full
//! is handed over [`RETIRE_MS`] after its first packet, so that is what a message may be late.
//!
//! Specified in Linux's `Documentation/networking/packet_mmap.rst` and `linux/if_packet.h`.

use core::num::NonZeroUsize;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::OwnedFd;

use nix::libc::{self, c_int, tpacket_req3};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};

use super::Packet;
use crate::limits::SNIFFER_BLOCK_BYTES;
use crate::time::Time;

/// Milliseconds after which a block is handed over that is not full.
const RETIRE_MS: u32 = 20;

/// The blocks of a socket.
#[derive(Debug)]
pub(crate) struct Ring {
    memory: NonNull<u8>,
    bytes: NonZeroUsize,
    blocks: usize,
    /// The block that is read, or that will be ours next; `current < blocks`.
    current: usize,
    /// Where its next packet begins and how many there are, while it is ours.
    rest: Option<UnreadPackets>,
}

/// The rest of a block.
#[derive(Clone, Copy, Debug)]
struct UnreadPackets {
    at: usize,
    packets: u32,
}

impl Ring {
    /// Makes a ring of that many blocks for a socket that has none.
    ///
    /// # Errors
    ///
    /// When the kernel does not know of them, or has no memory.
    pub(crate) fn new(descriptor: &OwnedFd, blocks: usize) -> io::Result<Self> {
        setsockopt(descriptor, Version, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        let request = tpacket_req3 {
            tp_block_size: SNIFFER_BLOCK_BYTES as u32,
            tp_block_nr: u32::try_from(blocks).map_err(|_| io::ErrorKind::InvalidInput)?,
            // Of no meaning to this version but that they must agree: one frame a block.
            tp_frame_size: SNIFFER_BLOCK_BYTES as u32,
            tp_frame_nr: u32::try_from(blocks).map_err(|_| io::ErrorKind::InvalidInput)?,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        setsockopt(descriptor, ReceiveRing, &request)?;
        let bytes = NonZeroUsize::new(blocks * SNIFFER_BLOCK_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a mapping at a place the kernel chooses touches nothing that is there; the socket's ring
        // has been made with this many bytes, and stays so.
        let memory = unsafe { mmap(None, bytes, protection, flags, descriptor, 0) }?.cast();
        Ok(Ring { memory, bytes, blocks, current: 0, rest: None })
    }

    /// The next packet that is there.
    pub(crate) fn next_packet(&mut self) -> Option<Packet<'_>> {
        let (at, found) = self.advance()?;
        let block = self.block();
        let bytes = block.get(at..)?.get(found.bytes).unwrap_or_default();
        Some(Packet { kind: found.kind, time: found.time, bytes })
    }

    /// Steps to the next packet: where it begins in the current block, and what its header says.
    fn advance(&mut self) -> Option<(usize, RingHeader)> {
        loop {
            let rest = match self.rest {
                Some(rest) => rest,
                None => self.take_block()?,
            };
            let header = RingHeader::parse(self.block().get(rest.at..).unwrap_or_default());
            match header.filter(|_| rest.packets > 0) {
                Some(header) => {
                    self.rest = Some(UnreadPackets { at: rest.at + header.next, packets: rest.packets - 1 });
                    return Some((rest.at, header));
                }
                None => self.give_block_back(),
            }
        }
    }

    /// Begins the current block, when the kernel has handed it over.
    fn take_block(&mut self) -> Option<UnreadPackets> {
        if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let block = self.block();
        let rest = UnreadPackets { packets: number(block, 12)?, at: number(block, 16)? as usize };
        self.rest = Some(rest);
        Some(rest)
    }

    /// Gives the current block back to the kernel, and goes on to the next.
    fn give_block_back(&mut self) {
        self.rest = None;
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.current = (self.current + 1) % self.blocks;
    }

    /// Status of the current block.
    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status is the third number of the block, inside the mapping, which lives as long as
        // `self` and begins at a page, so it is aligned. Kernel and we both write it, as one word each time.
        unsafe {
            AtomicU32::from_ptr(self.memory.as_ptr().add(self.current * SNIFFER_BLOCK_BYTES + 8).cast())
        }
    }

    /// The bytes of the current block. To be asked for only while it is ours.
    fn block(&self) -> &[u8] {
        // SAFETY: `current < blocks`, so the block is inside the mapping, which lives as long as `self`.
        // While the block is ours the kernel writes nothing to it, and we do so only when nobody borrows it:
        // giving it back takes `&mut self`.
        unsafe {
            let first = self.memory.as_ptr().add(self.current * SNIFFER_BLOCK_BYTES);
            core::slice::from_raw_parts(first, SNIFFER_BLOCK_BYTES)
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is this long and ours alone; what was borrowed from it has ended before `self`.
        let _ = unsafe { munmap(self.memory.cast(), self.bytes.get()) };
    }
}

/// The header before a packet: `struct tpacket3_hdr` and, after it, `struct sockaddr_ll`.
struct RingHeader {
    /// Distance to the next one.
    next: usize,
    time: Time,
    /// The packet, counted from here.
    bytes: Range<usize>,
    kind: u16,
}

impl RingHeader {
    /// Bytes of `struct tpacket3_hdr`, which is aligned to 16.
    const ADDRESS: usize = 48;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let [next, seconds, nanoseconds, length] = [0, 4, 8, 12].map(|at| number(bytes, at));
        let first = usize::from(short(bytes, 24)?);
        Some(RingHeader {
            next: next? as usize,
            time: Time::new(seconds?.into(), nanoseconds?)?,
            bytes: first..first + length? as usize,
            kind: short(bytes, RingHeader::ADDRESS + 8)?,
        })
    }
}

/// The number of four bytes at a place, as this machine writes it.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number of two bytes at a place, as this machine writes it.
fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const _: () = {
    use core::mem::offset_of;
    use libc::{sockaddr_ll, tpacket_block_desc, tpacket_hdr_v1, tpacket3_hdr};
    assert!(size_of::<tpacket3_hdr>() == RingHeader::ADDRESS);
    assert!(offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status) == 8);
    assert!(offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts) == 12);
    assert!(offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, offset_to_first_pkt) == 16);
    assert!(offset_of!(tpacket3_hdr, tp_snaplen) == 12 && offset_of!(tpacket3_hdr, tp_mac) == 24);
    assert!(offset_of!(sockaddr_ll, sll_hatype) == 8);
};

sockopt_impl!(
    /// The version of the ring.
    Version,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_VERSION,
    c_int
);

sockopt_impl!(
    /// The ring itself.
    ReceiveRing,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_RX_RING,
    tpacket_req3
);
