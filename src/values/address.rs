//! Addresses, with or without brackets.

use super::{Invalid, Value, deserialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address to listen on: an IP address, `[::1]` or `::1`, or `localhost` for 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress(IpAddr);

impl ListenAddress {
    /// The default of every listener: only this machine reaches it.
    pub(crate) const LOCALHOST: Self = ListenAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// The address.
    pub(crate) const fn get(self) -> IpAddr {
        self.0
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(self) -> bool {
        self.0.to_canonical().is_loopback()
    }
}

impl Value for ListenAddress {
    fn allowed() -> String {
        "an IP address, such as \"127.0.0.1\", \"0.0.0.0\" or \"[::]\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text == "localhost" {
            return Ok(ListenAddress::LOCALHOST);
        }
        bare(text).parse().map(ListenAddress).map_err(|_| Invalid::Value)
    }
}

/// The other end of a connection: an IP address or a host name, kept without brackets.
///
/// Names are resolved at each connect, not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// The address or name; an IPv6 address may carry a zone, `fe80::1%eth0`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same without a zone, as a certificate has it.
    pub(crate) fn without_zone(&self) -> &str {
        self.0.split_once('%').map_or(&self.0, |(address, _)| address)
    }
}

impl Value for Host {
    fn allowed() -> String {
        "an IP address or a host name".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let host = bare(text);
        let zoned = host.split_once('%').filter(|(_, zone)| !zone.is_empty());
        let is_address = match zoned {
            Some((address, _)) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<IpAddr>().is_ok(),
        };
        // Four numbers that are not address are a typing error, not a name.
        let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_address || (host == text && !numeric && is_host_name(host)) {
            return Ok(Host(host.to_owned()));
        }
        Err(Invalid::Value)
    }
}

/// A network, `192.0.2.0/24`, or one address.
///
/// Host bits after the prefix are cut off, so `192.0.2.7/24` is the network of that address.
/// IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is IPv4, in the network and in the peer asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address; the bits after `prefix` are zero.
    address: IpAddr,
    /// Leading bits that count: `0 <= prefix <= 32` or `128`.
    prefix: u8,
}

impl Network {
    /// Every IPv4 address.
    pub(crate) const ALL_IPV4: Self = Network { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 };

    /// Every IPv6 address.
    pub(crate) const ALL_IPV6: Self = Network { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 };

    /// Whether a peer's address is in this network.
    pub(crate) fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_ipv4() == self.address.is_ipv4() && masked(peer, self.prefix) == self.address
    }
}

impl Value for Network {
    fn allowed() -> String {
        "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or one address".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = bare(address).parse().map_err(|_| Invalid::Value)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse::<u8>().ok().filter(|prefix| *prefix <= width).ok_or(Invalid::Value)?
            }
            Some(_) => return Err(Invalid::Value),
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

/// The address with all bits after the prefix cleared.
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
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_ip_addresses() {
        let check = |text: &str, expected: Option<&str>| {
            let address = ListenAddress::from_text(text).ok().map(|address| address.get().to_string());
            assert_eq!(address.as_deref(), expected, "{text:?}");
        };
        check("127.0.0.1", Some("127.0.0.1"));
        check("[127.0.0.1]", Some("127.0.0.1"));
        check("::1", Some("::1"));
        check("[::]", Some("::"));
        check("localhost", Some("127.0.0.1"));
        for wrong in
            ["", "[]", "[::1", "::1]", "[[::1]]", "127.0.0.1:6000", "[::1]:6000", "*", "router.lan", "127.1"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("::ffff:0.0.0.0", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(
                ListenAddress::from_text(text).map(ListenAddress::is_loopback),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        let check = |text: &str, expected: Option<&str>| {
            let host = Host::from_text(text).ok();
            assert_eq!(host.as_ref().map(Host::as_str), expected, "{text:?}");
        };
        check("192.0.2.1", Some("192.0.2.1"));
        check("[2001:db8::1]", Some("2001:db8::1"));
        check("fe80::1%eth0", Some("fe80::1%eth0"));
        check("[fe80::1%eth0]", Some("fe80::1%eth0"));
        check("collector", Some("collector"));
        check("collector.example.net.", Some("collector.example.net."));
        check("my_host-1.lan", Some("my_host-1.lan"));
        check("1.example", Some("1.example"));
        let long = "a".repeat(64);
        for wrong in [
            "",
            ".",
            "a..b",
            "10.0.0",
            "10.0.0.256",
            "1",
            "a b",
            "a:80",
            "[collector]",
            "fe80::1%",
            "192.0.2.1%eth0",
            &long,
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn networks_hold_what_they_should() {
        let check = |network: &str, peer: &str, expected: bool| {
            let known = Network::from_text(network).unwrap();
            assert_eq!(known.contains(peer.parse().unwrap()), expected, "{peer} in {network}");
        };
        check("0.0.0.0/0", "192.0.2.1", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "::1", true);
        // A peer on a dual-stack socket is an IPv4 peer.
        check("0.0.0.0/0", "::ffff:192.0.2.1", true);
        check("::/0", "::ffff:192.0.2.1", false);
        check("::ffff:192.0.2.0/120", "192.0.2.77", true);
        check("::ffff:0:0/96", "203.0.113.1", true);
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        // Host bits are cut off.
        check("192.0.2.77/24", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1/31", "192.0.2.0", true);
        check("128.0.0.0/1", "127.255.255.255", false);
        check("[2001:db8::]/32", "2001:db8:ffff::1", true);
        check("2001:db8::/33", "2001:db8:8000::", false);
        check("2001:db8::1/128", "2001:db8::1", true);
    }

    #[test]
    fn networks_that_are_none() {
        for wrong in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "10/8",
            "lan",
            "10.0.0.0/255.0.0.0",
        ] {
            assert_eq!(Network::from_text(wrong), Err(Invalid::Value), "{wrong:?}");
        }
    }

    #[test]
    fn networks_are_shown_as_they_act() {
        let shown = |text: &str| Network::from_text(text).unwrap().to_string();
        assert_eq!(shown("192.0.2.77/24"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(shown("2001:db8::1"), "2001:db8::1/128");
    }
}
