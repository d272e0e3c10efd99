//! UDP and TCP headers.

use super::ip::{Datagram, TCP, UDP};
use super::{Ends, Ignored};
use crate::wire::cursor::Cursor;

/// What a datagram carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Udp { ports: (u16, u16), payload: &'a [u8] },
    Tcp(TcpSegment<'a>),
}

/// A segment of a connection (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpSegment<'a> {
    ports: (u16, u16),
    /// Number of its first octet.
    pub sequence: u32,
    /// It begins the connection: its number is that before the first octet.
    pub begins: bool,
    /// It ends the connection.
    pub ends: bool,
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads the header of a datagram that is whole.
    pub fn parse(datagram: &Datagram<'a>) -> Result<Self, Ignored> {
        let rest = Cursor::new(datagram.payload);
        match datagram.protocol {
            UDP => Segment::parse_udp(rest).ok_or(Ignored::Malformed),
            TCP => Segment::parse_tcp(rest).ok_or(Ignored::Malformed),
            _ => Err(Ignored::Other),
        }
    }

    /// RFC 768. What is beyond its length is padding; 0 is that of a jumbogram (RFC 2675, 4).
    fn parse_udp(mut rest: Cursor<'a>) -> Option<Self> {
        let ports = (rest.u16()?, rest.u16()?);
        let length = usize::from(rest.u16()?);
        rest.u16()?;
        let payload = if length == 0 { rest.len() } else { length.checked_sub(8)?.min(rest.len()) };
        Some(Segment::Udp { ports, payload: rest.take(payload)? })
    }

    fn parse_tcp(mut rest: Cursor<'a>) -> Option<Self> {
        let whole = rest.rest();
        let ports = (rest.u16()?, rest.u16()?);
        let sequence = rest.u32()?;
        rest.u32()?;
        let [offset, flags] = rest.array()?;
        let header = usize::from(offset >> 4) * 4;
        if header < 20 {
            return None;
        }
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        Some(Segment::Tcp(TcpSegment {
            ports,
            sequence,
            begins: flags & SYN != 0,
            ends: flags & (FIN | RST) != 0,
            payload: whole.get(header..)?,
        }))
    }

    /// Who speaks to whom.
    pub fn ends(&self, datagram: &Datagram<'_>) -> Ends {
        let (source, destination) = match self {
            Segment::Udp { ports, .. } => *ports,
            Segment::Tcp(segment) => segment.ports,
        };
        Ends { source: (datagram.source, source), destination: (datagram.destination, destination) }
    }
}
