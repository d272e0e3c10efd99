//! Addresses, with or without brackets.

use super::{Value, Wrong, deserialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address to listen on: an IP address, `[::1]` or `::1`, or `localhost` for 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(IpAddr);

impl ListenAddress {
    /// The default of every listener: only this machine reaches it.
    pub const LOCALHOST: Self = ListenAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// The address.
    pub const fn get(self) -> IpAddr {
        self.0
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(self) -> bool {
        self.0.to_canonical().is_loopback()
    }
}

impl Value for ListenAddress {
    fn allowed() -> String {
        "an IP address, such as \"127.0.0.1\", \"0.0.0.0\" or \"[::]\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "localhost" {
            return Ok(ListenAddress::LOCALHOST);
        }
        bare(text).parse().map(ListenAddress).map_err(|_| Wrong::Value)
    }
}

/// The other end of a connection: an IP address or a host name, kept without brackets.
///
/// Names are resolved at each connect, not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// The address or name; an IPv6 address may carry a zone, `fe80::1%eth0`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Host {
    fn allowed() -> String {
        "an IP address or a host name".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let host = bare(text);
        let zoned = host.split_once('%').filter(|(_, zone)| !zone.is_empty());
        let is_address = match zoned {
            Some((address, _)) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<IpAddr>().is_ok(),
        };
        // Four numbers that are no address are a typing error, not a name.
        let numeric = host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        if is_address || (host == text && !numeric && is_host_name(host)) {
            return Ok(Host(host.to_owned()));
        }
        Err(Wrong::Value)
    }
}

/// A network, `192.0.2.0/24`, or one address.
///
/// Host bits behind the prefix are cut off, so `192.0.2.7/24` is the network of that address.
/// IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is IPv4, in the network and in the peer asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address; the bits behind `prefix` are zero.
    address: IpAddr,
    /// Leading bits that count: `0 <= prefix <= 32` or `128`.
    prefix: u8,
}

impl Network {
    /// Every IPv4 address.
    pub const ALL_IPV4: Self = Network { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 };

    /// Every IPv6 address.
    pub const ALL_IPV6: Self = Network { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 };

    /// Whether a peer's address is in this network.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_ipv4() == self.address.is_ipv4() && masked(peer, self.prefix) == self.address
    }
}

impl Value for Network {
    fn allowed() -> String {
        "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or one address".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = bare(address).parse().map_err(|_| Wrong::Value)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
                digits.parse::<u8>().ok().filter(|prefix| *prefix <= width).ok_or(Wrong::Value)?
            }
            Some(_) => return Err(Wrong::Value),
            None => width,
        };
        // The mapped block is ::ffff:0:0/96: a longer prefix is an IPv4 network in disguise.
        let (address, prefix) = match address.to_canonical() {
            canonical if canonical != address && prefix >= 96 => (canonical, prefix - 96),
            _ => (address, prefix),
        };
        Ok(Network { address: masked(address, prefix), prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

deserialize!(ListenAddress, Host, Network);

/// The address with all bits behind the prefix cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// The text without one pair of brackets around it.
fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

/// Whether this could be a host name: labels of letters, digits, `-` and `_`, as resolvers take them.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label)
}
