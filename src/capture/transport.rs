//! UDP and TCP headers.

use super::ip::{IpDatagram, TCP, UDP};
use super::{FiveTuple, Ignored};
use crate::wire::cursor::Cursor;
use crate::wire::iana::Protocol;

/// The content of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport<'a> {
    Udp { ports: (u16, u16), payload: &'a [u8] },
    Tcp(TcpSegment<'a>),
}

/// A segment of a connection (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpSegment<'a> {
    ports: (u16, u16),
    /// Number of its first byte.
    pub(crate) sequence: u32,
    /// SYN: it begins the connection, and its number is that before the first byte.
    pub(crate) syn: bool,
    /// FIN or RST: it ends the connection.
    pub(crate) fin: bool,
    /// ACK: the number after the last byte that the sender of this segment has got.
    pub(crate) acknowledged: Option<u32>,
    pub(crate) payload: &'a [u8],
}

/// The Ethernet frame in a datagram of VXLAN (RFC 7348, 5): a flag that says so, and a number of the network.
pub(super) fn vxlan_payload<'a>(datagram: &IpDatagram<'a>, dns_ports: &[u16]) -> Option<&'a [u8]> {
    /// The registered one, and Linux's from before there was one.
    const PORTS: [u16; 2] = [4789, 8472];
    if datagram.protocol != UDP || datagram.fragment.is_some() {
        return None;
    }
    let Some(Transport::Udp { ports, payload }) = Transport::parse_udp(Cursor::new(datagram.payload)) else {
        return None;
    };
    if !PORTS.contains(&ports.1) || dns_ports.contains(&ports.0) || dns_ports.contains(&ports.1) {
        return None;
    }
    let mut rest = Cursor::new(payload);
    let [flags, ..] = rest.array::<8>()?;
    (flags & 0x08 != 0).then(|| rest.rest())
}

impl<'a> Transport<'a> {
    /// Reads the header of a datagram that is whole.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn parse(datagram: &IpDatagram<'a>) -> Result<Self, Ignored> {
        let rest = Cursor::new(datagram.payload);
        match datagram.protocol {
            UDP => Transport::parse_udp(rest).ok_or(Ignored::Malformed),
            TCP => Transport::parse_tcp(rest).ok_or(Ignored::Malformed),
            _ => Err(Ignored::Other),
        }
    }

    /// RFC 768. What is beyond its length is padding; 0 is that of a jumbogram (RFC 2675, 4).
    #[cfg_attr(for_size, optimize(speed))]
    fn parse_udp(mut rest: Cursor<'a>) -> Option<Self> {
        let ports = (rest.u16()?, rest.u16()?);
        let length = usize::from(rest.u16()?);
        rest.u16()?;
        let payload = if length == 0 { rest.len() } else { length.checked_sub(8)?.min(rest.len()) };
        Some(Transport::Udp { ports, payload: rest.take(payload)? })
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn parse_tcp(mut rest: Cursor<'a>) -> Option<Self> {
        let whole = rest.rest();
        let ports = (rest.u16()?, rest.u16()?);
        let sequence = rest.u32()?;
        let acknowledged = rest.u32()?;
        let [offset, flags] = rest.array()?;
        let header = usize::from(offset >> 4) * 4;
        if header < 20 {
            return None;
        }
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        Some(Transport::Tcp(TcpSegment {
            ports,
            sequence,
            syn: flags & SYN != 0,
            fin: flags & (FIN | RST) != 0,
            acknowledged: (flags & ACK != 0).then_some(acknowledged),
            payload: whole.get(header..)?,
        }))
    }

    /// Who speaks to whom.
    pub(crate) fn five_tuple(&self, datagram: &IpDatagram<'_>) -> FiveTuple {
        let (protocol, (source, destination)) = match self {
            Transport::Udp { ports, .. } => (Protocol::UDP, *ports),
            Transport::Tcp(segment) => (Protocol::TCP, segment.ports),
        };
        FiveTuple {
            protocol,
            source: (datagram.source, source),
            destination: (datagram.destination, destination),
        }
    }
}
