//! Link-layer and IP headers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Ignored, LinkLayer};
use crate::wire::cursor::Cursor;

/// An IP packet without its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Where the payload belongs, when it is a part.
    pub fragment: Option<Fragment>,
    /// As much as the header says; less when the packet was cut.
    pub payload: &'a [u8],
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// What all parts have in common.
    pub id: u32,
    /// Bytes before it.
    pub offset: usize,
    /// Whether it is the last.
    pub is_last: bool,
}

/// Tags of VLANs that are stepped over.
const TAGS: usize = 4;

/// Extension headers that are stepped over.
const EXTENSIONS: usize = 8;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

impl<'a> Datagram<'a> {
    /// Reads the headers of a packet.
    pub fn parse(link: LinkLayer, bytes: &'a [u8]) -> Result<Self, Ignored> {
        let mut rest = Cursor::new(bytes);
        let ethertype = match link {
            LinkLayer::Raw => return Datagram::parse_ip(rest),
            LinkLayer::Cooked(ethertype) => Some(ethertype),
            LinkLayer::Ethernet => rest.take(12).and_then(|_| rest.u16()),
        };
        let mut ethertype = ethertype.ok_or(Ignored::Malformed)?;
        for _ in 0..TAGS {
            match ethertype {
                0x0800 | 0x86dd => return Datagram::parse_ip(rest),
                // IEEE 802.1Q: two bytes of tag, then the type of what follows.
                0x8100 | 0x88a8 | 0x9100 => {
                    ethertype = rest.take(2).and_then(|_| rest.u16()).ok_or(Ignored::Malformed)?;
                }
                _ => return Err(Ignored::Other),
            }
        }
        Err(Ignored::Other)
    }

    fn parse_ip(rest: Cursor<'a>) -> Result<Self, Ignored> {
        match rest.rest().first().map(|byte| byte >> 4) {
            Some(4) => Datagram::parse_v4(rest).ok_or(Ignored::Malformed),
            Some(6) => Datagram::parse_v6(rest).ok_or(Ignored::Malformed),
            _ => Err(Ignored::Malformed),
        }
    }

    /// RFC 791, 3.1.
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
        Some(Datagram {
            source: source.into(),
            destination: destination.into(),
            protocol,
            fragment: (more || offset > 0).then_some(Fragment { id: id.into(), offset, is_last: !more }),
            payload: whole.get(header..length)?,
        })
    }

    /// RFC 8200, 3 and 4.
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
                    // One that is all of it is no fragment (RFC 6946).
                    if offset > 0 || flags & 1 != 0 {
                        fragment = Some(Fragment { id, offset, is_last: flags & 1 == 0 });
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
        Some(Datagram {
            source: source.into(),
            destination: destination.into(),
            protocol,
            fragment,
            payload: rest.rest(),
        })
    }

    /// Steps over what stands before the transport header in a datagram that was put together.
    pub fn step_over_extensions(self) -> Result<Self, Ignored> {
        let Datagram { mut protocol, payload, .. } = self;
        let mut rest = Cursor::new(payload);
        for _ in 0..EXTENSIONS {
            if !matches!(protocol, 0 | 43 | 60) {
                break;
            }
            let [next, length] = rest.array().ok_or(Ignored::Malformed)?;
            rest.take(6 + 8 * usize::from(length)).ok_or(Ignored::Malformed)?;
            protocol = next;
        }
        Ok(Datagram { protocol, payload: rest.rest(), ..self })
    }
}
