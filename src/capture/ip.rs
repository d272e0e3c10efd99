//! Link-layer and IP headers, and those of tunnels that carry IP in IP: GRE, 6in4, IPIP. VXLAN has a UDP
//! header, and is stepped over where that is read.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Ignored, LinkLayer};
use crate::wire::cursor::Cursor;

/// An IP packet without its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IpDatagram<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The protocol of the payload.
    pub(crate) protocol: u8,
    /// Where the payload belongs, when it is a part.
    pub(crate) fragment: Option<IpFragment>,
    /// As much as the header says; less when the packet was cut.
    pub(crate) payload: &'a [u8],
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IpFragment {
    /// The fields that all parts have in common.
    pub(crate) id: u32,
    /// Bytes before it.
    pub(crate) offset: usize,
    /// Whether it is the last.
    pub(crate) is_last: bool,
}

/// Headers of links and tunnels that are stepped over: VLAN tags, PPPoE, GRE, IP in IP.
const LAYERS: usize = 8;

/// Extension headers that are stepped over.
const EXTENSIONS: usize = 8;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// VLAN tags that are stepped over to find out who sent a frame.
const TAGS: usize = 2;

/// Kinds of what follows a link-layer header (the registry of Ethernet's types).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ETHERNET_IN_GRE: u16 = 0x6558;
pub(super) const PPPOE_SESSION: u16 = 0x8864;

/// The IP address and the MAC that an Ethernet frame comes from; `None` if it holds no IP, or comes from no
/// machine.
#[cfg_attr(for_size, optimize(speed))]
pub(super) fn sender(frame: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    let mut rest = Cursor::new(frame);
    rest.take(6)?;
    let mac: [u8; 6] = rest.array()?;
    let mut kind = rest.u16()?;
    for _ in 0..TAGS {
        if matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
            rest.take(2)?;
            kind = rest.u16()?;
        }
    }
    let address = match kind {
        IPV4 => rest.take(12).and_then(|_| rest.array::<4>()).map(IpAddr::from),
        IPV6 => rest.take(8).and_then(|_| rest.array::<16>()).map(IpAddr::from),
        _ => None,
    }?;
    // The first bit is that of groups (IEEE 802, 8.2); on loopback all are 0.
    (mac[0] & 1 == 0 && mac != [0; 6]).then_some((address, mac))
}

impl<'a> IpDatagram<'a> {
    /// Reads the headers of a packet, through tunnels to the innermost IP header.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn parse(link: LinkLayer, bytes: &'a [u8]) -> Result<Self, Ignored> {
        let (mut link, mut rest) = (link, Cursor::new(bytes));
        for _ in 0..LAYERS {
            link = match link {
                LinkLayer::Raw | LinkLayer::Cooked(IPV4 | IPV6) => {
                    let datagram = IpDatagram::parse_ip(rest)?;
                    match datagram.inner() {
                        Some(inner) => (link, rest) = inner,
                        None => return Ok(datagram),
                    }
                    link
                }
                LinkLayer::Ethernet => {
                    let kind = rest.take(12).and_then(|_| rest.u16());
                    LinkLayer::Cooked(kind.ok_or(Ignored::Malformed)?)
                }
                // IEEE 802.1Q: two bytes of tag, then the type of what follows.
                LinkLayer::Cooked(0x8100 | 0x88a8 | 0x9100) => {
                    let kind = rest.take(2).and_then(|_| rest.u16());
                    LinkLayer::Cooked(kind.ok_or(Ignored::Malformed)?)
                }
                // RFC 2516, 4: version, code, session and length.
                LinkLayer::Cooked(PPPOE_SESSION) => {
                    rest.take(6).ok_or(Ignored::Malformed)?;
                    LinkLayer::Ppp
                }
                LinkLayer::Cooked(_) => return Err(Ignored::Other),
                LinkLayer::Ppp => IpDatagram::parse_ppp(&mut rest)?,
            };
        }
        Err(Ignored::Other)
    }

    /// RFC 1661, 2 and RFC 1662, 3.1: perhaps the address 0xff and the control 0x03, then the protocol in two
    /// bytes, or in one, which is odd.
    fn parse_ppp(rest: &mut Cursor<'a>) -> Result<LinkLayer, Ignored> {
        if rest.rest().starts_with(&[0xff, 0x03]) {
            rest.take(2);
        }
        let first = rest.u8().ok_or(Ignored::Malformed)?;
        let protocol = if first & 1 == 1 {
            u16::from(first)
        } else {
            u16::from_be_bytes([first, rest.u8().ok_or(Ignored::Malformed)?])
        };
        match protocol {
            0x0021 | 0x0057 => Ok(LinkLayer::Raw),
            _ => Err(Ignored::Other),
        }
    }

    /// The packet in a tunnel; `None` when it is not one, or a fragment.
    fn inner(&self) -> Option<(LinkLayer, Cursor<'a>)> {
        const IPV4_IN_IP: u8 = 4;
        const IPV6_IN_IP: u8 = 41;
        const GRE: u8 = 47;
        let mut rest = Cursor::new(self.payload);
        match self.protocol {
            _ if self.fragment.is_some() => None,
            IPV4_IN_IP | IPV6_IN_IP => Some((LinkLayer::Raw, rest)),
            GRE => IpDatagram::parse_gre(&mut rest).map(|link| (link, rest)),
            _ => None,
        }
    }

    /// RFC 2784, 2 and RFC 2890, 2: flags, the type of what follows, and up to three numbers as the flags
    /// say.
    fn parse_gre(rest: &mut Cursor<'a>) -> Option<LinkLayer> {
        let (flags, kind) = (rest.u16()?, rest.u16()?);
        // Other versions, and the routing of RFC 1701, are not read.
        if flags & 0x4007 != 0 {
            return None;
        }
        let numbers = [0x8000, 0x2000, 0x1000].into_iter().filter(|flag| flags & flag != 0).count();
        rest.take(4 * numbers)?;
        Some(if kind == ETHERNET_IN_GRE { LinkLayer::Ethernet } else { LinkLayer::Cooked(kind) })
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn parse_ip(rest: Cursor<'a>) -> Result<Self, Ignored> {
        match rest.rest().first().map(|byte| byte >> 4) {
            Some(4) => IpDatagram::parse_v4(rest).ok_or(Ignored::Malformed),
            Some(6) => IpDatagram::parse_v6(rest).ok_or(Ignored::Malformed),
            _ => Err(Ignored::Malformed),
        }
    }

    /// RFC 791, 3.1.
    #[cfg_attr(for_size, optimize(speed))]
    fn parse_v4(mut rest: Cursor<'a>) -> Option<Self> {
        let whole = rest.rest();
        let [version, _] = rest.array()?;
        let length = usize::from(rest.u16()?);
        let id = rest.u16()?;
        let flags = rest.u16()?;
        let [_, protocol, ..] = rest.array::<4>()?;
        let [source, destination] =
            [rest.array()?, rest.array()?].map(|bytes: [u8; 4]| Ipv4Addr::from(bytes));
        let header = usize::from(version & 0x0f) * 4;
        if header < 20 {
            return None;
        }
        // The hardware that cuts a long packet into several fills the length in later.
        let length = if length == 0 { whole.len() } else { length.min(whole.len()) };
        let offset = usize::from(flags & 0x1fff) * 8;
        let more = flags & 0x2000 != 0;
        Some(IpDatagram {
            source: source.into(),
            destination: destination.into(),
            protocol,
            fragment: (more || offset > 0).then_some(IpFragment { id: id.into(), offset, is_last: !more }),
            payload: whole.get(header..length)?,
        })
    }

    /// RFC 8200, 3 and 4.
    #[cfg_attr(for_size, optimize(speed))]
    fn parse_v6(mut rest: Cursor<'a>) -> Option<Self> {
        rest.take(4)?;
        let length = usize::from(rest.u16()?);
        let [mut protocol, _] = rest.array()?;
        let [source, destination] =
            [rest.array()?, rest.array()?].map(|bytes: [u8; 16]| Ipv6Addr::from(bytes));
        // 0 is a jumbogram, or a packet that the hardware will cut.
        let length = if length == 0 { rest.len() } else { length.min(rest.len()) };
        rest = Cursor::new(rest.take(length)?);
        let mut fragment = None;
        for _ in 0..EXTENSIONS {
            match protocol {
                // Hop-by-hop options, routing, destination options.
                0 | 43 | 60 => {
                    let [next, length] = rest.array()?;
                    rest.take(6 + 8 * usize::from(length))?;
                    protocol = next;
                }
                44 if fragment.is_none() => {
                    let [next, _] = rest.array()?;
                    let flags = rest.u16()?;
                    let id = rest.u32()?;
                    let offset = usize::from(flags & 0xfff8);
                    protocol = next;
                    // One that is all of it is not a fragment (RFC 6946).
                    if offset > 0 || flags & 1 != 0 {
                        fragment = Some(IpFragment { id, offset, is_last: flags & 1 == 0 });
                        break;
                    }
                }
                // Authentication, in units of four bytes (RFC 4302, 2.2).
                51 => {
                    let [next, length] = rest.array()?;
                    rest.take(6 + 4 * usize::from(length))?;
                    protocol = next;
                }
                _ => break,
            }
        }
        Some(IpDatagram {
            source: source.into(),
            destination: destination.into(),
            protocol,
            fragment,
            payload: rest.rest(),
        })
    }

    /// Steps over what is before the transport header in a datagram that was put together.
    pub(crate) fn step_over_extensions(self) -> Result<Self, Ignored> {
        let IpDatagram { mut protocol, payload, .. } = self;
        let mut rest = Cursor::new(payload);
        for _ in 0..EXTENSIONS {
            if !matches!(protocol, 0 | 43 | 60) {
                break;
            }
            let [next, length] = rest.array().ok_or(Ignored::Malformed)?;
            rest.take(6 + 8 * usize::from(length)).ok_or(Ignored::Malformed)?;
            protocol = next;
        }
        Ok(IpDatagram { protocol, payload: rest.rest(), ..self })
    }
}
