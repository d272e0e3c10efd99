//! The interfaces of this machine and their addresses, and word when they change: rtnetlink(7).
//!
//! The kernel's messages about changes are not read, they only mean that it is time to look again: so no
//! message can be missed or misunderstood, and one that was lost because there were many does no harm.

use core::net::IpAddr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc::{self, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK, ifinfomsg, nlattr, nlmsghdr};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv,
    send, socket,
};

use crate::limits::{SNIFFER_ADDRESSES, SNIFFER_INTERFACES};
use crate::reactor::Async;

/// The number of an interface; `None` if there is none of that name.
pub(crate) fn number(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// Whether an interface is there and switched on.
pub(crate) fn is_up(name: &str) -> bool {
    entries(Some(name)).any(|entry| entry.flags.contains(InterfaceFlags::IFF_UP))
}

/// Whether an interface is this machine's way to itself.
pub(crate) fn is_loopback(name: &str) -> bool {
    entries(Some(name)).any(|entry| entry.flags.contains(InterfaceFlags::IFF_LOOPBACK))
}

/// The addresses of an interface, or of all; the first [`SNIFFER_ADDRESSES`].
pub(crate) fn addresses(name: Option<&str>) -> heapless::Vec<IpAddr, SNIFFER_ADDRESSES> {
    entries(name).filter_map(|entry| ip(&entry.address?)).take(SNIFFER_ADDRESSES).collect()
}

/// A network that an interface is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// With its host bits, as IPv6 has it.
    address: u128,
    mask: u128,
}

impl Subnet {
    /// The network of an address and its mask; `None` when nobody else is part of it.
    pub(crate) fn new(address: IpAddr, mask: IpAddr) -> Option<Self> {
        let mask = match mask {
            // The 96 bits before an IPv4 address count, too.
            IpAddr::V4(mask) => u128::MAX << 32 | u128::from(mask.to_bits()),
            IpAddr::V6(mask) => mask.to_bits(),
        };
        (mask < u128::MAX).then_some(Subnet { address: bits(address), mask })
    }

    /// Whether an address is part of it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        (bits(address) ^ self.address) & self.mask == 0
    }
}

/// An address as IPv6 has it.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The networks of an interface, or of all but loopback; the first [`SNIFFER_ADDRESSES`].
pub(crate) fn subnets(name: Option<&str>) -> heapless::Vec<Subnet, SNIFFER_ADDRESSES> {
    let is_loopback = |entry: &InterfaceAddress| entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let subnet = |entry: InterfaceAddress| Subnet::new(ip(&entry.address?)?, ip(&entry.netmask?)?);
    entries(name).filter(|entry| !is_loopback(entry)).filter_map(subnet).take(SNIFFER_ADDRESSES).collect()
}

/// The networks of all interfaces but loopback, each with the number of its interface; the first [`SNIFFER_ADDRESSES`].
pub(crate) fn numbered_subnets() -> heapless::Vec<(u32, Subnet), SNIFFER_ADDRESSES> {
    let all: Vec<InterfaceAddress> = entries(None).collect();
    let name = |entry: &InterfaceAddress| entry.interface_name.split(':').next().map(str::to_owned);
    let number = |wanted: &InterfaceAddress| {
        let same = all.iter().filter(|entry| name(entry) == name(wanted));
        same.filter_map(|entry| entry.address?.as_link_addr().map(|link| link.ifindex())).next()
    };
    let is_loopback = |entry: &&InterfaceAddress| entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let subnet = |entry: &InterfaceAddress| Subnet::new(ip(&entry.address?)?, ip(&entry.netmask?)?);
    let others = all.iter().filter(|entry| !is_loopback(entry));
    let found = others.filter_map(|entry| Some((u32::try_from(number(entry)?).ok()?, subnet(entry)?)));
    found.take(SNIFFER_ADDRESSES).collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// The kernel's answers about an interface, or of all: once of each and once of each address.
fn entries(name: Option<&str>) -> impl Iterator<Item = InterfaceAddress> {
    let all = getifaddrs().into_iter().flatten();
    // Addresses of IPv4 may have a label, which is the name, a colon and a word.
    let is_of = |entry: &InterfaceAddress, name| entry.interface_name.split(':').next() == Some(name);
    all.filter(move |entry| name.is_none_or(|name| is_of(entry, name)))
}

/// The numbers of the interfaces that belong to another: ports of a bridge, members of a bond; the first
/// [`SNIFFER_INTERFACES`].
///
/// # Errors
///
/// When the kernel does not answer.
pub(crate) fn members() -> io::Result<heapless::Vec<u32, SNIFFER_INTERFACES>> {
    let socket = open(0)?;
    send(socket.as_raw_fd(), &ask_for_all(libc::RTM_GETLINK), MsgFlags::empty())?;
    let mut found = heapless::Vec::new();
    let mut answer = vec![0; ANSWER_BYTES];
    loop {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        if !collect_subordinates(answer.get(..length).unwrap_or_default(), &mut found) {
            return Ok(found);
        }
    }
}

/// Hands over the addresses that the kernel knows of neighbours, each with the interface and the MAC.
///
/// # Errors
///
/// When the kernel does not answer.
pub(crate) fn neighbours(mut take: impl FnMut(u32, IpAddr, [u8; 6])) -> io::Result<()> {
    let socket = open(0)?;
    send(socket.as_raw_fd(), &ask_for_all(libc::RTM_GETNEIGH), MsgFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    loop {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        if !take_neighbours(answer.get(..length).unwrap_or_default(), &mut take) {
            return Ok(());
        }
    }
}

/// Bytes of the two headers of a message about a neighbour (`ndmsg`):
///
/// ```text
/// | family 1 | 3 | interface 4 | state 2 | flags 1 | type 1 |
/// ```
const NEIGHBOUR_HEADERS: usize = size_of::<nlmsghdr>() + 12;

/// Reads one part of the answer; whether more is to come.
fn take_neighbours(mut answer: &[u8], take: &mut impl FnMut(u32, IpAddr, [u8; 6])) -> bool {
    while let Some((message, rest)) = split(answer, |bytes| number_at(bytes, 0)) {
        answer = rest;
        let kind = short_at(message, 4);
        if kind == Some(libc::NLMSG_DONE as u16) || kind == Some(libc::NLMSG_ERROR as u16) {
            return false;
        }
        let interface = number_at(message, size_of::<nlmsghdr>() + 4);
        // Those that failed or are looked for have no address, those of multicast are nobody's.
        let state = short_at(message, size_of::<nlmsghdr>() + 8);
        let is_known = state.is_some_and(|state| state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP) == 0);
        let (mut address, mut mac) = (None, None);
        let mut attributes = message.get(NEIGHBOUR_HEADERS..).unwrap_or_default();
        while let Some((attribute, rest)) = split_attribute(attributes) {
            let value = attribute.get(4..).unwrap_or_default();
            match short_at(attribute, 2) {
                Some(libc::NDA_DST) => {
                    let v4 = <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
                    address = v4.or_else(|| <[u8; 16]>::try_from(value).ok().map(IpAddr::from));
                }
                Some(libc::NDA_LLADDR) => mac = <[u8; 6]>::try_from(value).ok(),
                _ => {}
            }
            attributes = rest;
        }
        if let (true, Some(interface), Some(address), Some(mac)) = (is_known, interface, address, mac) {
            take(interface, address, mac);
        }
    }
    true
}

/// States of a neighbour (rtnetlink(7)).
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;
const NUD_NOARP: u16 = 0x40;

/// Word of changes.
#[derive(Debug)]
pub(crate) struct RouteSocket(OwnedFd);

impl RouteSocket {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the kernel has no netlink, or no descriptor left.
    pub(crate) fn open() -> io::Result<Self> {
        let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
        open(groups as u32).map(RouteSocket)
    }

    /// Puts it into the reactor.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub(crate) fn into_async(self) -> io::Result<AsyncRouteSocket> {
        Ok(AsyncRouteSocket(Async::new_nonblocking(self.0)?))
    }
}

/// Word of changes to wait for.
#[derive(Debug)]
pub(crate) struct AsyncRouteSocket(Async<OwnedFd>);

impl AsyncRouteSocket {
    /// Waits until something changed, or probably did.
    ///
    /// # Errors
    ///
    /// When the reactor fails.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Whether something changed since this was last asked.
    pub(crate) fn take(&self) -> bool {
        let mut changed = false;
        // Bounded: what comes in the meantime is for the next time.
        for _ in 0..TAKEN_AT_ONCE {
            // What does not fit is cut, for it is not read.
            match recv(self.0.as_fd().as_raw_fd(), &mut [0; 64], MsgFlags::empty()) {
                // The kernel had no room for all there was to say.
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(_) => return changed,
            }
        }
        changed
    }
}

/// Messages of the kernel taken at once.
const TAKEN_AT_ONCE: usize = 64;

/// Bytes of an answer; the kernel cuts none that has 32 KiB.
const ANSWER_BYTES: usize = 32 << 10;

/// A socket that speaks with the kernel about its network. The kernel answers at once or not at all, so nothing
/// waits.
fn open(groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// Bytes of the two headers of a message about an interface.
const LINK_HEADERS: usize = size_of::<nlmsghdr>() + size_of::<ifinfomsg>();

/// Asks for all interfaces, or all neighbours, whose header is shorter: what is more is 0 and not read.
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

/// Reads one part of the answer; whether more is to come.
fn collect_subordinates(mut answer: &[u8], found: &mut heapless::Vec<u32, SNIFFER_INTERFACES>) -> bool {
    while let Some((message, rest)) = split(answer, |bytes| number_at(bytes, 0)) {
        answer = rest;
        let kind = short_at(message, 4);
        if kind == Some(libc::NLMSG_DONE as u16) || kind == Some(libc::NLMSG_ERROR as u16) {
            return false;
        }
        let number = number_at(message, size_of::<nlmsghdr>() + 4);
        if let Some(number) = number.filter(|_| has_master(message.get(LINK_HEADERS..).unwrap_or_default())) {
            // Those beyond are heard twice.
            let _ = found.push(number);
        }
    }
    true
}

/// Whether one of the attributes of an interface says that it belongs to another.
fn has_master(mut attributes: &[u8]) -> bool {
    while let Some((attribute, rest)) = split_attribute(attributes) {
        if short_at(attribute, 2) == Some(libc::IFLA_MASTER) {
            return true;
        }
        attributes = rest;
    }
    false
}

/// Splits off the first attribute.
fn split_attribute(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split(bytes, |bytes| short_at(bytes, 0).map(u32::from))
}

/// Splits off the first of several things, each as long as it says itself, and then aligned to four bytes.
fn split(bytes: &[u8], length: impl Fn(&[u8]) -> Option<u32>) -> Option<(&[u8], &[u8])> {
    let length = length(bytes)? as usize;
    let first = bytes.get(..length).filter(|first| first.len() >= size_of::<nlattr>())?;
    Some((first, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_addresses_and_belongs_to_nobody() {
        assert!(addresses(Some("lo")).contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(addresses(None).len() >= addresses(Some("lo")).len());
        assert!(addresses(Some("none")).is_empty());
        assert!(is_loopback("lo") && is_up("lo") && !is_up("none"));
        let number = number("lo").unwrap();
        assert!(!members().unwrap().contains(&number));
        assert_eq!(super::number("none"), None);
    }

    #[test]
    fn a_subnet_contains_its_own() {
        let subnet = |address: &str, mask: &str| Subnet::new(address.parse().unwrap(), mask.parse().unwrap());
        let contains =
            |subnet: Option<Subnet>, address: &str| subnet.unwrap().contains(address.parse().unwrap());
        let v4 = subnet("192.0.2.1", "255.255.255.128");
        assert!(contains(v4, "192.0.2.127") && !contains(v4, "192.0.2.128") && !contains(v4, "2001:db8::1"));
        let v6 = subnet("2001:db8::1", "ffff:ffff:ffff:ffff::");
        assert!(
            contains(v6, "2001:db8::ff:1") && !contains(v6, "2001:db8:0:1::1") && !contains(v6, "192.0.2.1")
        );
        assert_eq!(subnet("192.0.2.1", "255.255.255.255"), None);
        assert_eq!(subnet("2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), None);
        assert!(subnets(Some("lo")).is_empty());
    }

    #[test]
    fn neighbours_are_read_or_passed_over() {
        assert!(neighbours(|_, _, _| {}).is_ok());
        let attribute = |kind: u16, value: &[u8]| {
            let length = 4 + value.len();
            let mut attribute = [&(length as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
            attribute.resize(length.next_multiple_of(4), 0);
            attribute
        };
        let message = |state: u16, attributes: &[Vec<u8>]| {
            let attributes = attributes.concat();
            let length = (NEIGHBOUR_HEADERS + attributes.len()) as u32;
            let header =
                [&length.to_ne_bytes()[..], &libc::RTM_NEWNEIGH.to_ne_bytes(), &[0; 10], &[2, 0, 0, 0]];
            [&header.concat()[..], &7u32.to_ne_bytes(), &state.to_ne_bytes(), &[0, 1], &attributes].concat()
        };
        let (v4, mac) =
            (attribute(libc::NDA_DST, &[192, 168, 1, 5]), attribute(libc::NDA_LLADDR, &[1, 2, 3, 4, 5, 6]));
        let v6 = attribute(libc::NDA_DST, &[0xfd; 16]);
        let answer = [
            message(2, &[v4.clone(), mac.clone()]),
            message(NUD_FAILED, &[v4.clone(), mac.clone()]),
            message(2, std::slice::from_ref(&v4)),
            message(4, &[mac, v6]),
        ]
        .concat();
        let mut found = Vec::new();
        assert!(
            take_neighbours(&answer, &mut |interface, address, mac| found.push((interface, address, mac)))
        );
        let mac = [1, 2, 3, 4, 5, 6];
        assert_eq!(found, [(7, IpAddr::from([192, 168, 1, 5]), mac), (7, IpAddr::from([0xfd; 16]), mac)]);
        for length in 0..answer.len() {
            take_neighbours(&answer[..length], &mut |_, _, _| {});
        }
    }

    #[test]
    fn interfaces_with_a_master_are_found() {
        let attribute = |kind: u16, value: u32| {
            [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value.to_ne_bytes()].concat()
        };
        let message = |kind: u16, number: u32, attributes: &[u8]| {
            let length = (LINK_HEADERS + attributes.len()) as u32;
            let header = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &[0, 0, 1, 0]].concat();
            [&header[..], &number.to_ne_bytes(), &[0; 8], attributes].concat()
        };
        let mtu = attribute(libc::IFLA_MTU, 1500);
        let port = [mtu.clone(), attribute(libc::IFLA_MASTER, 9)].concat();
        let mut found = heapless::Vec::new();
        let answer = [message(16, 5, &mtu), message(16, 6, &port), message(16, 7, &port)].concat();
        assert!(collect_subordinates(&answer, &mut found));
        assert_eq!(found, [6, 7]);
        for length in 0..answer.len() {
            collect_subordinates(&answer[..length], &mut heapless::Vec::new());
        }
        assert!(!collect_subordinates(&message(libc::NLMSG_DONE as u16, 0, &[]), &mut found));
    }
}
