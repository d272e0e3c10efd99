//! Files that say which device has which address: leases of dnsmasq and odhcpd, hosts and ethers files.
//!
//! A file is not told by its name but line by line by its content, since a folder such as `/tmp/hosts` has
//! several kinds:
//!
//! ```text
//! 1700003600 aa:bb:cc:dd:ee:ff 192.168.1.5 tv 01:aa:bb:cc:dd:ee:ff      dnsmasq, IPv4
//! 1700003600 7435624 fd00::5 tv 00:03:00:01:aa:bb:cc:dd:ee:ff           dnsmasq, IPv6: IAID, then the DUID last
//! duid 00:01:00:01:...                                                  dnsmasq: its own, passed over
//! # br-lan 00010001...aabbccddeeff 7435624 tv 1700003600 5 128 fd00::5/128 ...      odhcpd, IPv6
//! # br-lan aabbccddeeff ipv4 tv 1700003600 5 32 192.168.1.5/32                      odhcpd, IPv4
//! 192.168.1.5 tv.lan tv                                                 hosts
//! aa:bb:cc:dd:ee:ff tv                                                  ethers
//! ```
//!
//! `*` and `-` are not names. A DUID of type 1 or 3 (RFC 8415, 11.2 and 11.4) ends with a MAC. What is said
//! of addresses that block something (0.0.0.0, ::) or are this machine's own way to itself is passed over, so
//! a hosts file of a million advertisers does no harm.

use core::net::IpAddr;

/// Six bytes of an Ethernet address.
pub(crate) type Mac = [u8; 6];

/// How much a name weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameSource {
    /// A hosts or ethers file.
    Hosts,
    /// A lease.
    Lease,
    /// The configuration.
    Static,
}

/// One thing that a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact<'l> {
    /// Who says it.
    pub(crate) source: NameSource,
    /// An address of the device.
    pub(crate) address: Option<IpAddr>,
    /// Its Ethernet address.
    pub(crate) mac: Option<Mac>,
    /// Its name.
    pub(crate) name: Option<&'l str>,
}

/// Hands over what a line says.
pub(crate) fn read_line<'l>(line: &'l str, mut take: impl FnMut(Fact<'l>)) {
    let line = line.trim();
    if let Some(odhcpd) = line.strip_prefix("# ") {
        let _ = read_odhcpd(odhcpd, &mut take);
        return;
    }
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let (Some(first), Some(second)) = (words.next(), words.next()) else { return };
    let fact = if let Ok(address) = first.parse() {
        Some(Fact { source: NameSource::Hosts, address: Some(address), mac: None, name: name(second) })
    } else if let Some(mac) = parse_mac(first) {
        let address = second.parse().ok();
        let name = if address.is_some() { None } else { name(second) };
        Some(Fact { source: NameSource::Hosts, address, mac: Some(mac), name })
    } else if first.bytes().all(|byte| byte.is_ascii_digit()) {
        read_dnsmasq(second, &mut words)
    } else {
        None
    };
    if let Some(fact) = fact.filter(Fact::is_worth_something) {
        take(fact);
    }
}

impl Fact<'_> {
    /// Whether it is about a device: it says something of an address that a device can have.
    fn is_worth_something(&self) -> bool {
        let is_device = |address: IpAddr| !address.is_unspecified() && !address.to_canonical().is_loopback();
        self.address.is_none_or(is_device) && (self.name.is_some() || self.mac.is_some())
    }
}

/// The words after the expiry of a lease: `MAC ADDRESS NAME CLIENT-ID`, or `IAID ADDRESS NAME DUID`.
fn read_dnsmasq<'l>(second: &str, words: &mut impl Iterator<Item = &'l str>) -> Option<Fact<'l>> {
    let (address, lease_name, id) = (words.next()?, words.next()?, words.next());
    let address = address.parse().ok()?;
    // An address of hardware other than Ethernet bears its type: `06-aa:bb:...`.
    let mac = parse_mac(second.rsplit('-').next()?).or_else(|| parse_duid(id?));
    Some(Fact { source: NameSource::Lease, address: Some(address), mac, name: name(lease_name) })
}

/// `IFACE DUID-or-MAC IAID-or-ipv4 NAME EXPIRY ID LENGTH ADDRESS/LEN...`
fn read_odhcpd<'l>(line: &'l str, take: &mut impl FnMut(Fact<'l>)) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let (_, id, iaid, lease_name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (expiry, _, _) = (words.next()?, words.next()?, words.next()?);
    expiry.strip_prefix('-').unwrap_or(expiry).parse::<u64>().ok()?;
    let mac = if iaid == "ipv4" { parse_mac(id) } else { parse_duid(id) };
    for word in words {
        let (address, length) = word.split_once('/').unwrap_or((word, ""));
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        // A prefix that was delegated is not an address of the device.
        let is_host = length.is_empty() || length == if address.is_ipv4() { "32" } else { "128" };
        let fact = Fact { source: NameSource::Lease, address: Some(address), mac, name: name(lease_name) };
        if is_host && fact.is_worth_something() {
            take(fact);
        }
    }
    Some(())
}

/// A word as a name.
fn name(word: &str) -> Option<&str> {
    let is_name = !matches!(word, "*" | "-") && word.bytes().all(|byte| byte.is_ascii_graphic());
    Some(word.strip_suffix('.').unwrap_or(word)).filter(|word| is_name && !word.is_empty())
}

/// Six bytes in hexadecimal, with colons, hyphens or nothing between them.
pub(crate) fn parse_mac(word: &str) -> Option<Mac> {
    hexadecimal::<6>(word).filter(|_| word.len() == 12 || word.len() >= 11 && word.contains([':', '-']))
}

/// Bytes in hexadecimal, of one or two digits where something is between them.
fn hexadecimal<const N: usize>(word: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let byte = |digits: &str| u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    if word.contains([':', '-']) {
        let mut parts = word.split([':', '-']);
        for place in &mut bytes {
            *place = parts.next().filter(|part| part.len() <= 2).and_then(byte)?;
        }
        return parts.next().is_none().then_some(bytes);
    }
    if word.len() != 2 * N {
        return None;
    }
    for (place, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *place = word.get(at..at + 2).and_then(byte)?;
    }
    Some(bytes)
}

/// The MAC in a DUID: of type 1 with a time before it, of type 3 without, both of hardware type 1.
fn parse_duid(word: &str) -> Option<Mac> {
    let long: Option<[u8; 14]> = hexadecimal(word);
    let short: Option<[u8; 10]> = hexadecimal(word);
    match (long, short) {
        (Some([0, 1, 0, 1, _, _, _, _, mac @ ..]), _) | (_, Some([0, 3, 0, 1, mac @ ..])) => Some(mac),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

    type Expected<'e> = (NameSource, Option<&'e str>, Option<Mac>, Option<&'e str>);

    fn check(line: &str, expected: &[Expected<'_>]) {
        let mut facts = Vec::new();
        read_line(line, |fact| facts.push((fact.source, fact.address, fact.mac, fact.name)));
        let expected: Vec<_> = expected
            .iter()
            .map(|(source, address, mac, name)| (*source, address.map(|a| a.parse().unwrap()), *mac, *name))
            .collect();
        assert_eq!(facts, expected, "{line}");
    }

    #[test]
    fn every_form_is_told_by_its_content() {
        use NameSource::{Hosts, Lease};
        let v4 = Some("192.168.1.5");
        check(
            "1700003600 aa:bb:cc:dd:ee:ff 192.168.1.5 tv 01:aa:bb:cc:dd:ee:ff",
            &[(Lease, v4, Some(MAC), Some("tv"))],
        );
        check("0 AA:BB:CC:DD:EE:FF 192.168.1.5 * *", &[(Lease, v4, Some(MAC), None)]);
        check("1700003600 06-aa:bb:cc:dd:ee:ff 192.168.1.5 tv *", &[(Lease, v4, Some(MAC), Some("tv"))]);
        let v6 = Some("fd00::5");
        check(
            "1700003600 7435624 fd00::5 tv 00:03:00:01:aa:bb:cc:dd:ee:ff",
            &[(Lease, v6, Some(MAC), Some("tv"))],
        );
        check(
            "1700003600 7435624 fd00::5 tv 00:01:00:01:2a:00:00:01:aa:bb:cc:dd:ee:ff",
            &[(Lease, v6, Some(MAC), Some("tv"))],
        );
        check(
            "1700003600 7435624 fd00::5 tv 00:02:00:01:aa:bb:cc:dd:ee:ff",
            &[(Lease, v6, None, Some("tv"))],
        );
        check("duid 00:01:00:01:2a:00:00:01:aa:bb:cc:dd:ee:ff", &[]);
        check(
            "# br-lan 000100012a000001aabbccddeeff 7435624 tv 1700003600 5 128 fd00::5/128 2001:db8::5/128",
            &[(Lease, v6, Some(MAC), Some("tv")), (Lease, Some("2001:db8::5"), Some(MAC), Some("tv"))],
        );
        check("# br-lan aabbccddeeff ipv4 - -1 5 32 192.168.1.5/32", &[(Lease, v4, Some(MAC), None)]);
        check("# br-lan 00030001aabbccddeeff 1 router 1700003600 5 56 2001:db8:5::/56", &[]);
        check("192.168.1.5 tv.lan tv # the one in the kitchen", &[(Hosts, v4, None, Some("tv.lan"))]);
        check("aa:bb:cc:dd:ee:ff tv", &[(Hosts, None, Some(MAC), Some("tv"))]);
        check("aa:bb:cc:dd:ee:ff 192.168.1.5", &[(Hosts, v4, Some(MAC), None)]);
    }

    #[test]
    fn what_blocks_and_what_is_nothing_is_passed_over() {
        for line in [
            "0.0.0.0 ads.example",
            ":: ads.example",
            "127.0.0.1 localhost",
            "::1 localhost",
            "",
            "#",
            "# a comment",
            "192.168.1.5",
            "tv 192.168.1.5",
            "17000 1 2 3",
            "# br-lan x y z",
            "1.2.3.4 -",
            "aa:bb:cc:dd:ee tv",
            "1700003600 aa:bb:cc:dd:ee:ff 192.168.1 tv *",
        ] {
            check(line, &[]);
        }
    }

    #[test]
    fn macs_are_read_in_every_form() {
        for text in ["aa:bb:cc:dd:ee:ff", "AA-BB-CC-DD-EE-FF", "aabbccddeeff"] {
            assert_eq!(parse_mac(text), Some(MAC), "{text}");
        }
        assert_eq!(parse_mac("0:1:2:3:4:5"), Some([0, 1, 2, 3, 4, 5]));
        for text in [
            "aa:bb:cc:dd:ee",
            "aa:bb:cc:dd:ee:ff:00",
            "aabbccddeef",
            "aa:bb:cc:dd:ee:fg",
            "aa:bb:cc:dd:ee:+1",
            "é́aaaaaaaaa",
        ] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
