//! Files of packets: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), told by their content.
//!
//! A [`Container`] owns no octets: it is shown what has been read, and says how much of it the next block takes and
//! what packet is in it. Blocks that hold no packet are stepped over. The formats themselves are `pcap-parser`'s to
//! read; what stands here is what it leaves open: times, kinds of links, limits.

use pcap_parser::nom;
use pcap_parser::pcapng::{Block, EPB_MAGIC, IDB_MAGIC, SHB_MAGIC};
use pcap_parser::{
    Linktype, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header,
};

use super::{Captured, Link};
use crate::limits::CAPTURE_INTERFACES;
use crate::time::Time;

/// A file of packets, as far as it has been read.
#[derive(Debug, Default)]
pub struct Container {
    format: Format,
    /// pcap has one; in pcapng they come as they are described, in each section anew.
    interfaces: heapless::Vec<Interface, CAPTURE_INTERFACES>,
}

/// A format, and whether its numbers are big endian: in pcapng those of the section.
#[derive(Clone, Copy, Debug, Default)]
enum Format {
    /// Nothing has been read yet.
    #[default]
    Unknown,
    Pcap {
        is_big: bool,
    },
    PcapNg {
        is_big: bool,
    },
}

/// How the packets of an interface are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interface {
    kind: i32,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds to be added.
    offset: i64,
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// More has to be read.
    Incomplete,
    /// A block of so many octets without a packet.
    Other(usize),
    /// A block of so many octets, with a packet.
    Packet(usize, Captured<'a>),
    /// The same, with a packet of this kind of link, which is not read.
    Strange(usize, i32),
}

/// Whether a file that begins so is a [`Container`].
pub fn is_container(first: [u8; 4]) -> bool {
    // Microseconds and nanoseconds, both ways round; pcapng's section header is the same both ways.
    matches!(u32::from_le_bytes(first), 0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 | 0x0a0d_0d0a)
}

impl Container {
    /// What comes next in these octets, which begin where the last block ended.
    ///
    /// # Errors
    ///
    /// What breaks the format, in words; there is no way on from there.
    pub fn next<'a>(&mut self, octets: &'a [u8]) -> Result<Next<'a>, &'static str> {
        match self.format {
            Format::Unknown => self.begin(octets),
            Format::Pcap { is_big } => self.next_packet(octets, is_big),
            Format::PcapNg { is_big } => self.next_block(octets, is_big),
        }
    }

    /// A packet of pcap.
    fn next_packet<'a>(&self, octets: &'a [u8], is_big: bool) -> Result<Next<'a>, &'static str> {
        const BROKEN: &str = "a packet's header is broken";
        let parse = if is_big { parse_pcap_frame_be } else { parse_pcap_frame };
        let Some((left, block)) = known(parse(octets), BROKEN)? else { return Ok(Next::Incomplete) };
        let interface = *self.interfaces.first().ok_or(BROKEN)?;
        let nanoseconds = u64::from(block.ts_usec) * (1_000_000_000 / interface.resolution);
        let time = u32::try_from(nanoseconds)
            .ok()
            .and_then(|nanoseconds| Time::new(block.ts_sec.into(), nanoseconds))
            .ok_or(IMPOSSIBLE_TIME)?;
        Ok(packet(octets.len() - left.len(), interface, time, block.data))
    }

    /// A block of pcapng.
    fn next_block<'a>(&mut self, octets: &'a [u8], is_big: bool) -> Result<Next<'a>, &'static str> {
        const BROKEN: &str = "a block is broken";
        let Some((kind, length)) = block_head(octets, is_big) else { return Ok(Next::Incomplete) };
        if !matches!(kind, SHB_MAGIC | IDB_MAGIC | EPB_MAGIC) {
            // Packets without a time are among them: there is nothing to tell of those.
            return match usize::try_from(length) {
                Ok(length) if length < BLOCK_LEAST => Err(BROKEN),
                Ok(length) if length <= octets.len() => Ok(Next::Other(length)),
                _ => Ok(Next::Incomplete),
            };
        }
        let parse = if is_big { parse_block_be } else { parse_block_le };
        let Some((left, block)) = known(parse(octets), BROKEN)? else { return Ok(Next::Incomplete) };
        let length = octets.len() - left.len();
        match block {
            Block::SectionHeader(header) => {
                self.format = Format::PcapNg { is_big: header.big_endian() };
                self.interfaces.clear();
            }
            Block::InterfaceDescription(interface) => {
                let resolution =
                    resolution(interface.if_tsresol).ok_or("an interface's clock is impossible")?;
                let (kind, offset) = (interface.linktype.0, interface.if_tsoffset);
                let interface = Interface { kind, resolution, offset };
                self.interfaces.push(interface).map_err(|_| "too many interfaces")?;
            }
            Block::EnhancedPacket(block) => {
                let interface = usize::try_from(block.if_id).ok().and_then(|at| self.interfaces.get(at));
                let interface = *interface.ok_or("a packet of an interface that is not described")?;
                let units = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let time = interface.time(units).ok_or(IMPOSSIBLE_TIME)?;
                // Behind the packet may be filling.
                let data = block.data.get(..usize::try_from(block.caplen).unwrap_or(usize::MAX));
                return Ok(packet(length, interface, time, data.ok_or("a packet's header is broken")?));
            }
            _ => {}
        }
        Ok(Next::Other(length))
    }

    /// Reads the head of a file.
    fn begin<'a>(&mut self, octets: &'a [u8]) -> Result<Next<'a>, &'static str> {
        if octets.first_chunk() == Some(&0x0a0d_0d0a_u32.to_be_bytes()) {
            // Its first block says which way round it is.
            self.format = Format::PcapNg { is_big: false };
            return Ok(Next::Other(0));
        }
        let Some((left, header)) = known(parse_pcap_header(octets), "the head of the file is broken")? else {
            return Ok(Next::Incomplete);
        };
        let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
        self.format = Format::Pcap { is_big: header.is_bigendian() };
        // Above the kind are flags, such as for the checksum at the end of a frame.
        let interface = Interface { kind: header.network.0 & 0xffff, resolution, offset: 0 };
        self.interfaces.push(interface).map_err(|_| "too many interfaces")?;
        Ok(Next::Other(octets.len() - left.len()))
    }
}

/// Why a packet cannot be told of.
const IMPOSSIBLE_TIME: &str = "a packet's time is impossible";

impl Interface {
    fn time(self, units: u64) -> Option<Time> {
        let seconds = (units / self.resolution).checked_add_signed(self.offset)?;
        let part = u128::from(units % self.resolution) * 1_000_000_000 / u128::from(self.resolution);
        Time::new(seconds, u32::try_from(part).ok()?)
    }
}

/// Units of time in a second: a power of ten, or with the highest bit of two.
fn resolution(option: u8) -> Option<u64> {
    match option {
        0..0x80 => 10u64.checked_pow(option.into()),
        _ => 1u64.checked_shl(u32::from(option & 0x7f)),
    }
}

/// Octets of a block of pcapng without content: its kind, and its length before and behind.
const BLOCK_LEAST: usize = 12;

/// The kind of a block of pcapng, and its octets in all; none when more has to be read.
fn block_head(octets: &[u8], is_big: bool) -> Option<(u32, u32)> {
    let number = if is_big { u32::from_be_bytes } else { u32::from_le_bytes };
    let (kind, rest) = octets.split_first_chunk()?;
    Some((number(*kind), number(*rest.first_chunk()?)))
}

/// What a parser made of the octets; none when it wants more.
fn known<'a, T, E>(
    parsed: nom::IResult<&'a [u8], T, E>,
    why: &'static str,
) -> Result<Option<(&'a [u8], T)>, &'static str> {
    match parsed {
        Ok(parsed) => Ok(Some(parsed)),
        Err(nom::Err::Incomplete(_)) => Ok(None),
        Err(_) => Err(why),
    }
}

/// A packet behind the header of its link, where that is not for the packet path.
fn packet(length: usize, interface: Interface, time: Time, octets: &[u8]) -> Next<'_> {
    /// Octets of the headers of Linux's "cooked" captures, and where the type of what follows stands in them.
    const SLL: (usize, usize) = (16, 14);
    const SLL2: (usize, usize) = (20, 0);
    let cooked = |(header, at): (usize, usize)| {
        let kind = octets.get(at..).and_then(<[u8]>::first_chunk).copied();
        (Link::Cooked(kind.map_or(0, u16::from_be_bytes)), octets.get(header..).unwrap_or_default())
    };
    let (link, octets) = match Linktype(interface.kind) {
        Linktype::ETHERNET => (Link::Ethernet, octets),
        // RAW, and what BSDs and old files call so.
        Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14 | 101) => (Link::Raw, octets),
        // An address family, in the order of the machine that wrote it or of the network; IP says itself which it is.
        Linktype::NULL | Linktype::LOOP => (Link::Raw, octets.get(4..).unwrap_or_default()),
        Linktype::LINUX_SLL => cooked(SLL),
        Linktype::LINUX_SLL2 => cooked(SLL2),
        _ => return Next::Strange(length, interface.kind),
    };
    Next::Packet(length, Captured { link, time, octets })
}
