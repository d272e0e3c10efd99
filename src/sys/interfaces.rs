//! The interfaces of this machine, their addresses and neighbours: rtnetlink(7).

use core::net::IpAddr;
use std::io;

use nix::libc::{self, nlmsghdr};
use nix::net::if_::if_nametoindex;

use super::netlink::{
    ADDRESS_HEADERS, LINK_HEADERS, NEIGHBOUR_HEADERS, dump, each_attribute, ip, number_at, short_at,
};
use crate::limits::{SNIFFER_ADDRESSES, SNIFFER_INTERFACES};

/// The number of an interface; `None` if there is none of that name.
pub(crate) fn number(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// Whether an interface is there and switched on.
pub(crate) fn is_up(name: &str) -> bool {
    has_flag(name, libc::IFF_UP)
}

/// Whether an interface is this machine's way to itself.
pub(crate) fn is_loopback(name: &str) -> bool {
    has_flag(name, libc::IFF_LOOPBACK)
}

fn has_flag(name: &str, flag: i32) -> bool {
    let wanted = number(name);
    let mut found = false;
    // Without an answer there is no interface.
    let _ = dump(libc::RTM_GETLINK, &mut |message| {
        if let Some(link) = Link::parse(message).filter(|link| Some(link.number) == wanted) {
            found = link.flags & flag.cast_unsigned() != 0;
        }
    });
    found
}

/// The addresses of an interface, or of all; the first [`SNIFFER_ADDRESSES`].
pub(crate) fn addresses(name: Option<&str>) -> heapless::Vec<IpAddr, SNIFFER_ADDRESSES> {
    let mut found = heapless::Vec::new();
    each_address(name, &mut |entry| {
        // Those beyond are nobody's.
        let _ = found.push(entry.address);
    });
    found
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
    let mut found = heapless::Vec::new();
    each_subnet(name, &mut |_, subnet| {
        let _ = found.push(subnet);
    });
    found
}

/// The networks of all interfaces but loopback, each with the number of its interface; the first
/// [`SNIFFER_ADDRESSES`].
pub(crate) fn numbered_subnets() -> heapless::Vec<(u32, Subnet), SNIFFER_ADDRESSES> {
    let mut found = heapless::Vec::new();
    each_subnet(None, &mut |interface, subnet| {
        let _ = found.push((interface, subnet));
    });
    found
}

fn each_subnet(name: Option<&str>, take: &mut dyn FnMut(u32, Subnet)) {
    let mut loopback = None;
    let _ = dump(libc::RTM_GETLINK, &mut |message| {
        let is_loopback = |link: &Link| link.flags & libc::IFF_LOOPBACK.cast_unsigned() != 0;
        loopback = loopback.or(Link::parse(message).filter(is_loopback).map(|link| link.number));
    });
    each_address(name, &mut |entry| {
        if let Some(subnet) = entry.subnet().filter(|_| Some(entry.interface) != loopback) {
            take(entry.interface, subnet);
        }
    });
}

/// Hands over the addresses of an interface, or of all; none when the kernel does not answer.
fn each_address(name: Option<&str>, take: &mut dyn FnMut(OwnAddress)) {
    let wanted = name.map(number);
    let _ = dump(libc::RTM_GETADDR, &mut |message| {
        let is_wanted = |entry: &OwnAddress| wanted.is_none_or(|wanted| wanted == Some(entry.interface));
        if let Some(entry) = OwnAddress::parse(message).filter(is_wanted) {
            take(entry);
        }
    });
}

/// The numbers of the interfaces that belong to another: ports of a bridge, members of a bond; the first
/// [`SNIFFER_INTERFACES`].
///
/// # Errors
///
/// When the kernel does not answer.
pub(crate) fn members() -> io::Result<heapless::Vec<u32, SNIFFER_INTERFACES>> {
    let mut found = heapless::Vec::new();
    dump(libc::RTM_GETLINK, &mut |message| {
        if let Some(link) = Link::parse(message).filter(|link| link.has_master) {
            // Those beyond are heard twice.
            let _ = found.push(link.number);
        }
    })?;
    Ok(found)
}

/// Hands over the addresses that the kernel knows of neighbours, each with the interface and the MAC.
///
/// # Errors
///
/// When the kernel does not answer.
pub(crate) fn neighbours(mut take: impl FnMut(u32, IpAddr, [u8; 6])) -> io::Result<()> {
    dump(libc::RTM_GETNEIGH, &mut |message| {
        if let Some((interface, address, mac)) = parse_neighbour(message) {
            take(interface, address, mac);
        }
    })
}

/// Of an interface.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    number: u32,
    flags: u32,
    /// Whether it belongs to another.
    has_master: bool,
}

impl Link {
    /// Reads a message about an interface, whose headers are those of the question.
    fn parse(message: &[u8]) -> Option<Self> {
        if short_at(message, 4) != Some(libc::RTM_NEWLINK) {
            return None;
        }
        let number = number_at(message, size_of::<nlmsghdr>() + 4)?;
        let flags = number_at(message, size_of::<nlmsghdr>() + 8)?;
        let mut has_master = false;
        each_attribute(message, LINK_HEADERS, &mut |kind, _| has_master |= kind == libc::IFLA_MASTER);
        Some(Link { number, flags, has_master })
    }
}

/// An address of this machine.
#[derive(Debug, PartialEq, Eq)]
struct OwnAddress {
    interface: u32,
    address: IpAddr,
    prefix: u8,
}

impl OwnAddress {
    /// Reads a message about an address (`ifaddrmsg`):
    ///
    /// ```text
    /// | family 1 | prefix 1 | flags 1 | scope 1 | interface 4 |
    /// ```
    fn parse(message: &[u8]) -> Option<Self> {
        if short_at(message, 4) != Some(libc::RTM_NEWADDR) {
            return None;
        }
        let prefix = *message.get(size_of::<nlmsghdr>() + 1)?;
        let interface = number_at(message, size_of::<nlmsghdr>() + 4)?;
        let (mut local, mut address) = (None, None);
        // Where there is one peer alone, `IFA_ADDRESS` is the peer's.
        each_attribute(message, ADDRESS_HEADERS, &mut |kind, value| match kind {
            libc::IFA_LOCAL => local = ip(value),
            libc::IFA_ADDRESS => address = ip(value),
            _ => {}
        });
        Some(OwnAddress { interface, address: local.or(address)?, prefix })
    }

    /// The network it is part of, if somebody else is.
    fn subnet(&self) -> Option<Subnet> {
        let mask = |bits: u32| bits.checked_sub(u32::from(self.prefix));
        let mask = match self.address {
            IpAddr::V4(_) => IpAddr::from(u32::MAX.checked_shl(mask(32)?).unwrap_or(0).to_be_bytes()),
            IpAddr::V6(_) => IpAddr::from(u128::MAX.checked_shl(mask(128)?).unwrap_or(0).to_be_bytes()),
        };
        Subnet::new(self.address, mask)
    }
}

/// Reads a message about a neighbour (`ndmsg`): interface, address and MAC of one that is known.
///
/// ```text
/// | family 1 | 3 | interface 4 | state 2 | flags 1 | type 1 |
/// ```
fn parse_neighbour(message: &[u8]) -> Option<(u32, IpAddr, [u8; 6])> {
    let interface = number_at(message, size_of::<nlmsghdr>() + 4)?;
    // Those that failed or are looked for have no address, those of multicast are nobody's.
    let state = short_at(message, size_of::<nlmsghdr>() + 8)?;
    if state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP) != 0 {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    each_attribute(message, NEIGHBOUR_HEADERS, &mut |kind, value| match kind {
        libc::NDA_DST => address = ip(value),
        libc::NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
        _ => {}
    });
    Some((interface, address?, mac?))
}

/// States of a neighbour (rtnetlink(7)).
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;
const NUD_NOARP: u16 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::netlink::each_message;

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

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = 4 + value.len();
        let mut attribute = [&(length as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        attribute.resize(length.next_multiple_of(4), 0);
        attribute
    }

    fn message(kind: u16, header: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = [header, &attributes.concat()].concat();
        let length = (size_of::<nlmsghdr>() + body.len()) as u32;
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &body].concat()
    }

    fn all<T>(answer: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        assert!(each_message(answer, &mut |message| found.extend(parse(message))));
        found
    }

    fn neighbour(state: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let state = state.to_ne_bytes();
        let header = [&[2, 0, 0, 0][..], &7u32.to_ne_bytes(), &state, &[0, 1]].concat();
        message(libc::RTM_NEWNEIGH, &header, attributes)
    }

    #[test]
    fn neighbours_are_read_or_passed_over() {
        assert!(neighbours(|_, _, _| {}).is_ok());
        let v4 = attribute(libc::NDA_DST, &[192, 168, 1, 5]);
        let mac = attribute(libc::NDA_LLADDR, &[1, 2, 3, 4, 5, 6]);
        let v6 = attribute(libc::NDA_DST, &[0xfd; 16]);
        let answer = [
            neighbour(2, &[v4.clone(), mac.clone()]),
            neighbour(NUD_FAILED, &[v4.clone(), mac.clone()]),
            neighbour(2, std::slice::from_ref(&v4)),
            neighbour(4, &[mac, v6]),
        ]
        .concat();
        let mac = [1, 2, 3, 4, 5, 6];
        let expected = [(7, IpAddr::from([192, 168, 1, 5]), mac), (7, IpAddr::from([0xfd; 16]), mac)];
        assert_eq!(all(&answer, parse_neighbour), expected);
    }

    fn link(number: u32, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let header = [&[0, 0, 1, 0][..], &number.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat();
        message(libc::RTM_NEWLINK, &header, attributes)
    }

    #[test]
    fn interfaces_with_a_master_are_found() {
        let mtu = attribute(libc::IFLA_MTU, &1500u32.to_ne_bytes());
        let master = attribute(libc::IFLA_MASTER, &9u32.to_ne_bytes());
        let answer = [link(5, 9, std::slice::from_ref(&mtu)), link(6, 1, &[mtu, master])].concat();
        let expected = [(5, 9, false), (6, 1, true)];
        let expected = expected.map(|(number, flags, has_master)| Link { number, flags, has_master });
        assert_eq!(all(&answer, Link::parse), expected);
        assert!(!each_message(&message(libc::NLMSG_DONE as u16, &[0; 4], &[]), &mut |_| {}));
    }

    fn own(prefix: u8, interface: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let header = [&[2, prefix, 0, 0][..], &interface.to_ne_bytes()].concat();
        message(libc::RTM_NEWADDR, &header, attributes)
    }

    #[test]
    fn addresses_and_their_networks() {
        let address = |value: &[u8]| attribute(libc::IFA_ADDRESS, value);
        let answer = [
            own(24, 3, &[address(&[192, 0, 2, 1]), attribute(3, b"br-lan\0")]),
            // Of a tunnel: the first is the peer's.
            own(32, 4, &[address(&[192, 0, 2, 9]), attribute(libc::IFA_LOCAL, &[192, 0, 2, 8])]),
            own(64, 3, &[address(&[0xfd; 16])]),
            own(0, 5, &[address(&[10, 0, 0, 1])]),
            // Neither is an address of IP, and no network is as narrow.
            own(24, 3, &[address(&[1, 2, 3])]),
            own(33, 6, &[address(&[10, 0, 0, 2])]),
        ]
        .concat();
        let found = all(&answer, OwnAddress::parse);
        let expected = [
            (3, "192.0.2.1"),
            (4, "192.0.2.8"),
            (3, &"fdfd:".repeat(8)[..39]),
            (5, "10.0.0.1"),
            (6, "10.0.0.2"),
        ];
        let expected = expected.map(|(interface, address)| (interface, address.parse().unwrap()));
        assert_eq!(found.iter().map(|own| (own.interface, own.address)).collect::<Vec<_>>(), expected);
        let contains = |at: usize, address: &str| {
            found[at].subnet().is_some_and(|subnet| subnet.contains(address.parse().unwrap()))
        };
        assert!(contains(0, "192.0.2.254") && !contains(0, "192.0.3.1"));
        assert!(
            !contains(1, "192.0.2.9") && contains(2, "fdfd:fdfd:fdfd:fdfd::1") && !contains(2, "fd00::1")
        );
        assert!(contains(3, "198.51.100.1") && !contains(3, "fd00::1") && !contains(4, "10.0.0.2"));
    }

    /// Every answer ends, and is cut and bent without harm: each byte in turn has values that lengths
    /// dislike.
    #[test]
    fn hostile_answers_end() {
        let mac = attribute(libc::NDA_LLADDR, &[1, 2, 3, 4, 5, 6]);
        let address = attribute(libc::IFA_ADDRESS, &[192, 0, 2, 1]);
        let answer = [
            own(24, 3, &[address.clone(), mac.clone()]),
            link(1, 9, std::slice::from_ref(&mac)),
            neighbour(2, &[address, mac]),
        ];
        let answer = answer.concat();
        let read = |answer: &[u8]| {
            let mut messages = 0;
            each_message(answer, &mut |message| {
                messages += 1;
                let _ = (Link::parse(message), parse_neighbour(message));
                let _ = OwnAddress::parse(message).and_then(|own| own.subnet());
            });
            // Each took four bytes at least.
            assert!(messages <= answer.len() / 4 + 1);
        };
        for at in 0..answer.len() {
            read(&answer[..at]);
            for value in [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 0x7f, 0x80, 0xff] {
                let mut bent = answer.clone();
                bent[at] = value;
                read(&bent);
                bent[at..].fill(value);
                read(&bent);
            }
        }
    }
}
