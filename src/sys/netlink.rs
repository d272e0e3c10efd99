//! Questions to the kernel about its network, and the messages of its answers: netlink(7).

use core::net::IpAddr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{self, ifinfomsg, nlattr, nlmsghdr};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// Asks for all that the kernel has of a kind, and hands over each message of its answer.
///
/// The kernel answers at once, so this does not wait. It ends whatever the answer is: an emulator may give
/// one that has no end (the C library's `getifaddrs` does not survive that).
pub(super) fn dump(kind: u16, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let socket = open(0)?;
    send(socket.as_raw_fd(), &ask_for_all(kind), MsgFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    for _ in 0..ANSWER_PARTS {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        if !each_message(answer.get(..length).unwrap_or_default(), take) {
            return Ok(());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Hands over the messages of one part of an answer; whether more is to come.
pub(super) fn each_message(mut answer: &[u8], take: &mut dyn FnMut(&[u8])) -> bool {
    while let Some((message, rest)) = split(answer, |bytes| number_at(bytes, 0)) {
        answer = rest;
        let kind = short_at(message, 4);
        if kind == Some(libc::NLMSG_DONE as u16) || kind == Some(libc::NLMSG_ERROR as u16) {
            return false;
        }
        take(message);
    }
    true
}

/// Hands over kind and value of each attribute behind the headers of a message.
pub(super) fn each_attribute(message: &[u8], headers: usize, take: &mut dyn FnMut(u16, &[u8])) {
    let mut attributes = message.get(headers..).unwrap_or_default();
    while let Some((attribute, rest)) = split(attributes, |bytes| short_at(bytes, 0).map(u32::from)) {
        attributes = rest;
        if let (Some(kind), Some(value)) = (short_at(attribute, 2), attribute.get(4..)) {
            take(kind, value);
        }
    }
}

/// An address of 4 or 16 bytes.
pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(value).ok().map(IpAddr::from))
}

/// Bytes of an answer; the kernel cuts none that has 32 KiB.
const ANSWER_BYTES: usize = 32 << 10;

/// A socket that speaks with the kernel about its network. The kernel answers at once or not at all, so
/// nothing waits.
pub(super) fn open(groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// Parts of an answer that are read: some 100,000 neighbours.
const ANSWER_PARTS: usize = 512;

/// Bytes of the two headers of a message about an interface.
pub(super) const LINK_HEADERS: usize = size_of::<nlmsghdr>() + size_of::<ifinfomsg>();
/// Of one about an address.
pub(super) const ADDRESS_HEADERS: usize = size_of::<nlmsghdr>() + 8;
/// Of one about a neighbour.
pub(super) const NEIGHBOUR_HEADERS: usize = size_of::<nlmsghdr>() + 12;

/// The question for all interfaces, addresses or neighbours; where a header is shorter, what is more is 0 and
/// not read.
///
/// ```text
/// | length 4 | type 2 | flags 2 | sequence 4 | port 4 || family 1 | 1 | kind 2 | number 4 | flags 4 | change 4 |
/// ```
fn ask_for_all(kind: u16) -> [u8; LINK_HEADERS] {
    let mut message = [0; LINK_HEADERS];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let [a, b, c, d] = (LINK_HEADERS as u32).to_ne_bytes();
    let ([e, f], [g, h]) = (kind.to_ne_bytes(), flags.to_ne_bytes());
    for (place, byte) in message.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *place = byte;
    }
    message
}

/// Splits off the first of several things, each as long as it says itself, and then aligned to four bytes.
fn split(bytes: &[u8], length: impl Fn(&[u8]) -> Option<u32>) -> Option<(&[u8], &[u8])> {
    let length = length(bytes)? as usize;
    let first = bytes.get(..length).filter(|first| first.len() >= size_of::<nlattr>())?;
    Some((first, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

pub(super) fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn short_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
