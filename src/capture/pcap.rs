//! Files of packets: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), told by their content.
//!
//! A [`PcapReader`] owns no bytes: it is shown what has been read, and says how much of it the next block takes and
//! what packet is in it. Blocks that hold no packet are stepped over.
//!
//! pcap-parser 0.17 reads these formats, too, but no pcapng at all on a big-endian machine.

use super::{Captured, LinkLayer};
use crate::limits::CAPTURE_INTERFACES;
use crate::time::Time;
use crate::wire::cursor::Cursor;

/// A file of packets, as far as it has been read.
#[derive(Debug, Default)]
pub struct PcapReader {
    format: PcapFormat,
    /// pcap has one; in pcapng they come as they are described, in each section anew.
    interfaces: heapless::Vec<PcapInterface, CAPTURE_INTERFACES>,
}

/// A format, and whether its numbers are big endian: in pcapng those of the section.
#[derive(Clone, Copy, Debug, Default)]
enum PcapFormat {
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
struct PcapInterface {
    kind: i32,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds to be added.
    offset: i64,
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug)]
pub enum PcapBlock<'a> {
    /// More has to be read.
    Incomplete,
    /// A block of so many bytes without a packet.
    Other(usize),
    /// A block of so many bytes, with a packet.
    Packet(usize, Captured<'a>),
    /// The same, with a packet of this kind of link, which is not read.
    Strange(usize, i32),
}

/// Whether a file that begins so is a [`PcapReader`].
pub fn is_pcap(first: [u8; 4]) -> bool {
    let magic = u32::from_le_bytes(first);
    magic == SECTION || pcap_kind(magic).is_some()
}

/// Whether the numbers of a pcap are big endian, and its units of time in a second.
fn pcap_kind(magic: u32) -> Option<(bool, u64)> {
    match magic {
        0xa1b2_c3d4 => Some((false, 1_000_000)),
        0xd4c3_b2a1 => Some((true, 1_000_000)),
        0xa1b2_3c4d => Some((false, 1_000_000_000)),
        0x4d3c_b2a1 => Some((true, 1_000_000_000)),
        _ => None,
    }
}

impl PcapReader {
    /// What comes next in these bytes, which begin where the last block ended.
    ///
    /// # Errors
    ///
    /// What breaks the format, in words; there is no way on from there.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<PcapBlock<'a>, &'static str> {
        match self.format {
            PcapFormat::Unknown => self.begin(bytes),
            PcapFormat::Pcap { is_big } => self.next_packet(bytes, is_big),
            PcapFormat::PcapNg { is_big } => self.next_block(bytes, is_big),
        }
    }

    /// Reads the head of a file.
    ///
    /// ```text
    /// pcap     | magic 4 | version 2 + 2 | zone 4 | accuracy 4 | longest packet 4 | kind of link 4 |
    /// ```
    fn begin<'a>(&mut self, bytes: &'a [u8]) -> Result<PcapBlock<'a>, &'static str> {
        let mut cursor = Cursor::new(bytes);
        let Some(magic) = cursor.u32_le() else { return Ok(PcapBlock::Incomplete) };
        if magic == SECTION {
            // Its first block says which way round it is.
            self.format = PcapFormat::PcapNg { is_big: false };
            return Ok(PcapBlock::Other(0));
        }
        let (is_big, resolution) = pcap_kind(magic).ok_or("the head of the file is broken")?;
        let mut numbers = EndianCursor { cursor, is_big };
        let (Some(_), Some(kind)) = (numbers.cursor.take(16), numbers.u32()) else {
            return Ok(PcapBlock::Incomplete);
        };
        self.format = PcapFormat::Pcap { is_big };
        // Above the kind are flags, such as for the checksum at the end of a frame.
        self.describe(PcapInterface { kind: (kind & 0xffff) as i32, resolution, offset: 0 })?;
        Ok(PcapBlock::Other(bytes.len() - numbers.cursor.len()))
    }

    /// A packet of pcap.
    ///
    /// ```text
    /// | seconds 4 | parts 4 | bytes 4 | bytes on the wire 4 | bytes |
    /// ```
    fn next_packet<'a>(&self, bytes: &'a [u8], is_big: bool) -> Result<PcapBlock<'a>, &'static str> {
        let mut numbers = EndianCursor { cursor: Cursor::new(bytes), is_big };
        let (Some(seconds), Some(parts), Some(length), Some(_)) =
            (numbers.u32(), numbers.u32(), numbers.u32(), numbers.u32())
        else {
            return Ok(PcapBlock::Incomplete);
        };
        let Some(data) = numbers.cursor.take_long(length.into()) else { return Ok(PcapBlock::Incomplete) };
        let interface = *self.interfaces.first().ok_or(BROKEN_PACKET)?;
        let nanoseconds = u64::from(parts) * (1_000_000_000 / interface.resolution);
        let time = u32::try_from(nanoseconds).ok().and_then(|part| Time::new(seconds.into(), part));
        Ok(packet(bytes.len() - numbers.cursor.len(), interface, time.ok_or(IMPOSSIBLE_TIME)?, data))
    }

    /// A block of pcapng.
    fn next_block<'a>(&mut self, bytes: &'a [u8], is_big: bool) -> Result<PcapBlock<'a>, &'static str> {
        let Some(block) = PcapngBlock::read(bytes, is_big)? else { return Ok(PcapBlock::Incomplete) };
        match block.kind {
            SECTION => {
                self.format = PcapFormat::PcapNg { is_big: block.content.is_big };
                self.interfaces.clear();
            }
            INTERFACE => self.describe(PcapInterface::read(block.content)?)?,
            PACKET => return self.enhanced_packet(block),
            // Packets without a time are among them: there is nothing to tell of those.
            _ => {}
        }
        Ok(PcapBlock::Other(block.length))
    }

    /// A block with a packet.
    ///
    /// ```text
    /// | number of the interface 4 | time 4 + 4 | bytes 4 | bytes on the wire 4 | bytes, filled up | options |
    /// ```
    fn enhanced_packet<'a>(&self, block: PcapngBlock<'a>) -> Result<PcapBlock<'a>, &'static str> {
        let mut numbers = block.content;
        let mut number = || numbers.u32().ok_or(BROKEN_PACKET);
        let (interface, high, low, length, _) = (number()?, number()?, number()?, number()?, number()?);
        let interface = usize::try_from(interface).ok().and_then(|at| self.interfaces.get(at));
        let interface = *interface.ok_or("a packet of an interface that is not described")?;
        let units = u64::from(high) << 32 | u64::from(low);
        let time = interface.time(units).ok_or(IMPOSSIBLE_TIME)?;
        let data = numbers.cursor.take_long(length.into()).ok_or(BROKEN_PACKET)?;
        Ok(packet(block.length, interface, time, data))
    }

    fn describe(&mut self, interface: PcapInterface) -> Result<(), &'static str> {
        self.interfaces.push(interface).map_err(|_| "too many interfaces")
    }
}

/// The kinds of blocks of pcapng that matter here. That of a section is the same both ways round.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// What a section begins with, when its numbers are read the right way round.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const BROKEN_BLOCK: &str = "a block is broken";
const BROKEN_PACKET: &str = "a packet's header is broken";

/// Bytes, and which way round the numbers in them are.
#[derive(Clone, Copy, Debug)]
struct EndianCursor<'a> {
    cursor: Cursor<'a>,
    is_big: bool,
}

impl EndianCursor<'_> {
    fn u16(&mut self) -> Option<u16> {
        self.cursor.array().map(if self.is_big { u16::from_be_bytes } else { u16::from_le_bytes })
    }

    fn u32(&mut self) -> Option<u32> {
        if self.is_big { self.cursor.u32() } else { self.cursor.u32_le() }
    }
}

/// A block of pcapng.
///
/// ```text
/// | kind 4 | length 4 | content, filled up | length 4 |
/// ```
#[derive(Clone, Copy, Debug)]
struct PcapngBlock<'a> {
    kind: u32,
    /// Bytes in all.
    length: usize,
    content: EndianCursor<'a>,
}

impl<'a> PcapngBlock<'a> {
    /// Bytes of a block without content.
    const LEAST: usize = 12;

    /// The first block; none when more has to be read.
    fn read(bytes: &'a [u8], mut is_big: bool) -> Result<Option<Self>, &'static str> {
        let mut head = EndianCursor { cursor: Cursor::new(bytes), is_big };
        let (Some(kind), Some(mut length), Some(first)) = (head.u32(), head.u32(), head.u32()) else {
            return Ok(None);
        };
        if kind == SECTION && first != BYTE_ORDER {
            if first != BYTE_ORDER.swap_bytes() {
                return Err(BROKEN_BLOCK);
            }
            (is_big, length) = (!is_big, length.swap_bytes());
        }
        let bytes_in_all = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes_in_all < Self::LEAST {
            return Err(BROKEN_BLOCK);
        }
        let Some(block) = bytes.get(..bytes_in_all) else { return Ok(None) };
        let content = block.get(8..bytes_in_all - 4).unwrap_or_default();
        let mut behind =
            EndianCursor { cursor: Cursor::new(block.get(bytes_in_all - 4..).unwrap_or_default()), is_big };
        if behind.u32() != Some(length) {
            return Err(BROKEN_BLOCK);
        }
        let content = EndianCursor { cursor: Cursor::new(content), is_big };
        Ok(Some(PcapngBlock { kind, length: bytes_in_all, content }))
    }
}

/// Why a packet cannot be told of.
const IMPOSSIBLE_TIME: &str = "a packet's time is impossible";

impl PcapInterface {
    /// Reads the content of its block.
    ///
    /// ```text
    /// | kind of link 2 | 0 2 | longest packet 4 | options: | code 2 | length 2 | value, filled up | ...
    /// ```
    fn read(mut content: EndianCursor<'_>) -> Result<Self, &'static str> {
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let kind = content.u16().ok_or(BROKEN_BLOCK)?;
        content.cursor.take(6).ok_or(BROKEN_BLOCK)?;
        let mut interface = PcapInterface { kind: kind.into(), resolution: 1_000_000, offset: 0 };
        while let Some((code, length)) = content.u16().zip(content.u16()).filter(|&(code, _)| code != 0) {
            let value = content.cursor.take(length.into()).ok_or(BROKEN_BLOCK)?;
            // The last one need not be filled up.
            let _ = content.cursor.take((4 - usize::from(length) % 4) % 4);
            match (code, value) {
                (RESOLUTION, &[option]) => {
                    interface.resolution = resolution(option).ok_or("an interface's clock is impossible")?;
                }
                (OFFSET, value) => {
                    let bytes = value.first_chunk().copied().ok_or(BROKEN_BLOCK)?;
                    interface.offset =
                        if content.is_big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) };
                }
                _ => {}
            }
        }
        Ok(interface)
    }

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

/// Kinds of links, by the registry of the same draft.
mod link_kind {
    pub const NULL: i32 = 0;
    pub const ETHERNET: i32 = 1;
    pub const LOOP: i32 = 108;
    pub const SLL: i32 = 113;
    pub const SLL2: i32 = 276;
}

/// A packet behind the header of its link, where that is not for the packet path.
fn packet(length: usize, interface: PcapInterface, time: Time, bytes: &[u8]) -> PcapBlock<'_> {
    /// Bytes of the headers of Linux's "cooked" captures, and where the type of what follows stands in them.
    const SLL: (usize, usize) = (16, 14);
    const SLL2: (usize, usize) = (20, 0);
    let cooked = |(header, at): (usize, usize)| {
        let kind = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
        (LinkLayer::Cooked(kind.map_or(0, u16::from_be_bytes)), bytes.get(header..).unwrap_or_default())
    };
    let (link, bytes) = match interface.kind {
        link_kind::ETHERNET => (LinkLayer::Ethernet, bytes),
        // Raw, as it is called now, by BSDs and by old files, and for one version of IP.
        101 | 12 | 14 | 228 | 229 => (LinkLayer::Raw, bytes),
        // An address family, in the order of the machine that wrote it or of the network; IP says itself which it is.
        link_kind::NULL | link_kind::LOOP => (LinkLayer::Raw, bytes.get(4..).unwrap_or_default()),
        link_kind::SLL => cooked(SLL),
        link_kind::SLL2 => cooked(SLL2),
        _ => return PcapBlock::Strange(length, interface.kind),
    };
    PcapBlock::Packet(length, Captured { link, time, bytes })
}
