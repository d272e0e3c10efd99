//! Packets without shared memory: some with each system call (recvmmsg(2)).
//!
//! Their times come as control messages, in the layout with 64-bit seconds where the kernel has it (Linux
//! 5.1), whatever the C library's own is.

use core::mem::{offset_of, zeroed};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, iovec, mmsghdr, sockaddr_ll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::{setsockopt_impl, sockopt_impl};

use super::Packet;
use crate::limits::{self, SNIFFER_BATCH, SNIFFER_BLOCK_BYTES, SNIFFER_PACKET_BYTES};
use crate::time::Time;

/// Packets that were read, and room for the next ones.
#[derive(Debug)]
pub(crate) struct Batch {
    /// [`SNIFFER_BATCH`] places of [`SNIFFER_PACKET_BYTES`] each.
    memory: Box<[u8]>,
    /// The facts about the packets that were read, in order.
    read: heapless::Vec<PacketInfo, SNIFFER_BATCH>,
    /// How many of them were taken.
    taken: usize,
}

/// The facts about a packet besides its bytes.
#[derive(Clone, Copy, Debug)]
struct PacketInfo {
    kind: u16,
    time: Time,
    length: usize,
}

/// Room for control messages, aligned as they are; a time takes 32 bytes.
type ControlBuffer = [u64; 8];

impl Batch {
    /// Room for batches; the kernel is asked to queue as much as the ring would hold.
    ///
    /// # Errors
    ///
    /// When the kernel tells no times.
    pub(crate) fn new(descriptor: &OwnedFd, blocks: usize) -> io::Result<Self> {
        let queue = blocks * SNIFFER_BLOCK_BYTES;
        // The one takes a right that we may lack, the other is cut by the system's maximum.
        if setsockopt(descriptor, sockopt::RcvBufForce, &queue).is_err() {
            setsockopt(descriptor, sockopt::RcvBuf, &queue)?;
        }
        if setsockopt(descriptor, WideTimes, &1).is_err() {
            setsockopt(descriptor, Times, &1)?;
        }
        let memory = limits::table(SNIFFER_BATCH * SNIFFER_PACKET_BYTES, 0);
        Ok(Batch { memory, read: heapless::Vec::new(), taken: 0 })
    }

    /// The next packet that is there.
    ///
    /// # Errors
    ///
    /// Those of recvmmsg(2), which are the socket's.
    pub(crate) fn next_packet(&mut self, descriptor: &impl AsFd) -> io::Result<Option<Packet<'_>>> {
        if self.taken == self.read.len() {
            self.receive(descriptor.as_fd().as_raw_fd())?;
        }
        let Some(PacketInfo { kind, time, length }) = self.read.get(self.taken).copied() else {
            return Ok(None);
        };
        let at = self.taken * SNIFFER_PACKET_BYTES;
        self.taken += 1;
        let bytes = self.memory.get(at..).and_then(|place| place.get(..length)).unwrap_or_default();
        Ok(Some(Packet { kind, time, bytes }))
    }

    /// Reads what is there, as far as there are places for it.
    fn receive(&mut self, descriptor: c_int) -> io::Result<()> {
        self.read.clear();
        self.taken = 0;
        let mut control: [ControlBuffer; SNIFFER_BATCH] = [[0; 8]; SNIFFER_BATCH];
        // SAFETY: both are numbers and pointers only, for which all bytes 0 are a value.
        let mut addresses: [sockaddr_ll; SNIFFER_BATCH] = unsafe { zeroed() };
        // SAFETY: the same.
        let (mut pieces, mut headers): ([iovec; SNIFFER_BATCH], [mmsghdr; SNIFFER_BATCH]) =
            unsafe { zeroed() };
        let places = self.memory.chunks_exact_mut(SNIFFER_PACKET_BYTES);
        let parts = headers.iter_mut().zip(&mut pieces).zip(places).zip(&mut addresses).zip(&mut control);
        for ((((header, piece), place), address), control) in parts {
            *piece = iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut *address).cast();
            header.msg_hdr.msg_namelen = size_of::<sockaddr_ll>() as u32;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<ControlBuffer>() as _;
        }
        // SAFETY: there are as many headers as said, and what they point to outlives the call and is borrowed
        // by nobody else: a place, an address and a control buffer each, with their lengths. There is no
        // timeout.
        let read = unsafe {
            libc::recvmmsg(
                descriptor,
                headers.as_mut_ptr(),
                SNIFFER_BATCH as _,
                libc::MSG_DONTWAIT as _,
                core::ptr::null_mut(),
            )
        };
        let read = match Errno::result(read) {
            Ok(read) => usize::try_from(read).unwrap_or(0),
            Err(Errno::EAGAIN) => 0,
            Err(errno) => return Err(errno.into()),
        };
        for ((header, address), control) in headers.iter().zip(&addresses).zip(&control).take(read) {
            let length = (header.msg_len as usize).min(SNIFFER_PACKET_BYTES);
            let time = time(control).unwrap_or_else(Time::now);
            // Cannot be full: it has as many places as there are headers.
            let _ = self.read.push(PacketInfo { kind: address.sll_hatype, time, length });
        }
        Ok(())
    }
}

/// The time in the first control message; we ask for no other.
///
/// ```text
/// | length, a word | level 4 | type 4 | seconds | nanoseconds |
/// ```
fn time(control: &ControlBuffer) -> Option<Time> {
    let bytes = control.map(u64::to_ne_bytes);
    let bytes = bytes.as_flattened();
    let (length, rest) = bytes.split_first_chunk()?;
    let value = rest.get(8..usize::from_ne_bytes(*length).checked_sub(size_of::<usize>())?)?;
    let (seconds, nanoseconds) = match value.len() {
        16 => {
            let (seconds, nanoseconds) = value.split_first_chunk()?;
            (u64::from_ne_bytes(*seconds), u64::from_ne_bytes(nanoseconds.try_into().ok()?))
        }
        8 => {
            let (seconds, nanoseconds) = value.split_first_chunk()?;
            (u32::from_ne_bytes(*seconds).into(), u32::from_ne_bytes(nanoseconds.try_into().ok()?).into())
        }
        _ => return None,
    };
    Time::new(seconds, u32::try_from(nanoseconds).ok()?)
}

/// `SO_TIMESTAMPNS_NEW` of all processors but SPARC and PA-RISC, whose Linux this is not for.
const SO_TIMESTAMPNS_NEW: c_int = 64;

/// `SO_TIMESTAMPNS_OLD`.
const SO_TIMESTAMPNS_OLD: c_int = 35;

sockopt_impl!(
    /// Times of packets, with 64-bit seconds.
    WideTimes,
    SetOnly,
    libc::SOL_SOCKET,
    SO_TIMESTAMPNS_NEW,
    c_int
);

sockopt_impl!(
    /// Times of packets, with seconds of a word.
    Times,
    SetOnly,
    libc::SOL_SOCKET,
    SO_TIMESTAMPNS_OLD,
    c_int
);

const _: () = assert!(offset_of!(sockaddr_ll, sll_hatype) == 8);

#[cfg(test)]
mod tests {
    use super::*;

    /// A control message with a value of such words, the rest of the room filled.
    fn control(value: &[&[u8]]) -> ControlBuffer {
        let value = value.concat();
        let length = size_of::<usize>() + 8 + value.len();
        let mut bytes = [length.to_ne_bytes().as_slice(), &[1; 8], &value].concat();
        bytes.resize(size_of::<ControlBuffer>(), 0xee);
        let mut words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        core::array::from_fn(|_| words.next().unwrap())
    }

    #[test]
    fn times_are_read_in_both_layouts() {
        // After 2038, when a signed number of 32 bits is at its end.
        let (seconds, nanoseconds) = (4_000_000_000u32, 999_999_999u32);
        let expected = Time::new(seconds.into(), nanoseconds);
        assert!(expected.is_some());
        let wide = [u64::from(seconds), nanoseconds.into()].map(u64::to_ne_bytes);
        assert_eq!(time(&control(&[&wide[0], &wide[1]])), expected);
        let narrow = [seconds, nanoseconds].map(u32::to_ne_bytes);
        assert_eq!(time(&control(&[&narrow[0], &narrow[1]])), expected);
        // No second has that many nanoseconds; what is not a time is none.
        assert_eq!(time(&control(&[&narrow[0], &1_000_000_000u32.to_ne_bytes()])), None);
        assert_eq!(time(&control(&[&narrow[0]])), None);
        assert_eq!(time(&[0; 8]), None);
        assert_eq!(time(&[u64::MAX; 8]), None);
    }
}
