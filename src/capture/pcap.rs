//! Files of packets: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), told by their
//! content.
//!
//! A [`PcapReader`] owns no bytes: it is shown what has been read, and says how much of it the next block
//! takes and what packet is in it. Blocks that hold no packet are stepped over. A block that cannot be read
//! costs itself alone ([`Unreadable`]): only a length that contradicts itself leaves no way on.
//!
//! pcap-parser 0.17 reads these formats, too, but no pcapng at all on a big-endian machine.

use super::ip::PPPOE_SESSION;
use super::{Captured, Ignored, LinkLayer};
use crate::limits::{CAPTURE_BLOCK_BYTES, CAPTURE_INTERFACES};
use crate::time::Time;
use crate::wire::cursor::Cursor;
use core::fmt;

/// A file of packets, as far as it has been read.
#[derive(Debug, Default)]
pub struct PcapReader {
    format: PcapFormat,
    /// pcap has one; in pcapng they come as they are described, in each section again.
    interfaces: heapless::Vec<Option<PcapInterface>, CAPTURE_INTERFACES>,
    /// Milliseconds since 1970 of the last packet with a time.
    clock: u64,
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
    /// Bytes of the longest packet; what is longer was cut. 0 is no limit.
    longest: u32,
}

/// The next item of a file.
#[derive(Clone, Copy, Debug)]
pub enum PcapBlock<'a> {
    /// More has to be read.
    Incomplete,
    /// A block of that many bytes without a packet.
    Other(usize),
    /// A block of that many bytes, with a packet.
    Packet(usize, Captured<'a>),
    /// A block of that many bytes, which may be more than are shown, with a packet that cannot be read.
    Unreadable(usize, Unreadable),
}

/// Why a packet in a capture cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its kind of link is not known.
    Link(i32),
    /// Its interface is not described, or beyond [`CAPTURE_INTERFACES`].
    Interface(u32),
    /// Its time does not exist.
    Time,
    /// Its header contradicts itself.
    Header,
    /// It is longer than [`CAPTURE_BLOCK_BYTES`].
    TooLong,
}

impl Unreadable {
    /// As what it is counted.
    pub(crate) fn reason(self) -> Ignored {
        match self {
            Unreadable::Link(_) | Unreadable::Interface(_) => Ignored::Other,
            Unreadable::Time | Unreadable::Header => Ignored::Malformed,
            Unreadable::TooLong => Ignored::Oversize,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Link(kind) => write!(f, "a link of kind {kind}"),
            Unreadable::Interface(number) if (*number as usize) < CAPTURE_INTERFACES => {
                write!(f, "interface {number}, which is not described")
            }
            Unreadable::Interface(number) => {
                write!(f, "interface {number}; {CAPTURE_INTERFACES} interfaces are read")
            }
            Unreadable::Time => f.write_str("a time that does not exist"),
            Unreadable::Header => f.write_str("a header that contradicts itself"),
            Unreadable::TooLong => write!(f, "more than {CAPTURE_BLOCK_BYTES} bytes"),
        }
    }
}

/// Whether a file that begins so is a [`PcapReader`].
pub(crate) fn is_pcap(first: [u8; 4]) -> bool {
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
    /// The next item in these bytes, which begin where the last block ended.
    ///
    /// # Errors
    ///
    /// The breach of the format, in words; there is no way on from there.
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
        let (Some(_), Some(longest), Some(kind)) = (numbers.cursor.take(12), numbers.u32(), numbers.u32())
        else {
            return Ok(PcapBlock::Incomplete);
        };
        self.format = PcapFormat::Pcap { is_big };
        // Above the kind are flags, such as for the checksum at the end of a frame.
        let kind = (kind & 0xffff) as i32;
        self.describe(Some(PcapInterface { kind, resolution, offset: 0, longest }));
        Ok(PcapBlock::Other(bytes.len() - numbers.cursor.len()))
    }

    /// A packet of pcap.
    ///
    /// ```text
    /// | seconds 4 | parts 4 | bytes 4 | bytes on the wire 4 | bytes |
    /// ```
    fn next_packet<'a>(&mut self, bytes: &'a [u8], is_big: bool) -> Result<PcapBlock<'a>, &'static str> {
        const HEADER_BYTES: usize = 16;
        let mut numbers = EndianCursor { cursor: Cursor::new(bytes), is_big };
        let (Some(seconds), Some(parts), Some(length), Some(_)) =
            (numbers.u32(), numbers.u32(), numbers.u32(), numbers.u32())
        else {
            return Ok(PcapBlock::Incomplete);
        };
        let whole = usize::try_from(length).ok().and_then(|length| length.checked_add(HEADER_BYTES));
        let whole = whole.ok_or("a packet is longer than any")?;
        if whole > CAPTURE_BLOCK_BYTES {
            return Ok(PcapBlock::Unreadable(whole, Unreadable::TooLong));
        }
        let Some(data) = numbers.cursor.take_long(length.into()) else { return Ok(PcapBlock::Incomplete) };
        let interface = self.interface(0);
        let time = interface.and_then(|interface| {
            let nanoseconds = u64::from(parts) * (1_000_000_000 / interface.resolution);
            let time = u32::try_from(nanoseconds).ok().and_then(|part| Time::new(seconds.into(), part));
            time.ok_or(Unreadable::Time)
        });
        Ok(self.block(whole, interface, time.map(Some), data, is_big))
    }

    /// A block of pcapng.
    fn next_block<'a>(&mut self, bytes: &'a [u8], is_big: bool) -> Result<PcapBlock<'a>, &'static str> {
        let block = match PcapngBlock::read(bytes, is_big)? {
            PcapngRead::Incomplete => return Ok(PcapBlock::Incomplete),
            PcapngRead::TooLong(length) => return Ok(PcapBlock::Unreadable(length, Unreadable::TooLong)),
            PcapngRead::Whole(block) => block,
        };
        match block.kind {
            SECTION => {
                self.format = PcapFormat::PcapNg { is_big: block.content.is_big };
                self.interfaces.clear();
            }
            // Packets of one that cannot be read are not read either; those of the others are.
            INTERFACE => self.describe(PcapInterface::read(block.content)),
            ENHANCED_PACKET | OBSOLETE_PACKET => return Ok(self.packet_with_time(block)),
            SIMPLE_PACKET => return Ok(self.simple_packet(block)),
            _ => {}
        }
        Ok(PcapBlock::Other(block.length))
    }

    /// A block with a packet and its time; the obsolete one has two short numbers where the other has a long
    /// one.
    ///
    /// ```text
    /// enhanced | interface 4            | time 4 + 4 | bytes 4 | bytes on the wire 4 | bytes, filled up | options |
    /// obsolete | interface 2 | drops 2  | time 4 + 4 | bytes 4 | bytes on the wire 4 | bytes, filled up | options |
    /// ```
    fn packet_with_time<'a>(&mut self, block: PcapngBlock<'a>) -> PcapBlock<'a> {
        let mut numbers = block.content;
        let number = match block.kind {
            OBSOLETE_PACKET => numbers.u16().zip(numbers.u16()).map(|(number, _)| u32::from(number)),
            _ => numbers.u32(),
        };
        let (Some(number), Some(high), Some(low), Some(length), Some(_)) =
            (number, numbers.u32(), numbers.u32(), numbers.u32(), numbers.u32())
        else {
            return PcapBlock::Unreadable(block.length, Unreadable::Header);
        };
        let Some(data) = numbers.cursor.take_long(length.into()) else {
            return PcapBlock::Unreadable(block.length, Unreadable::Header);
        };
        let interface = self.interface(number);
        let units = u64::from(high) << 32 | u64::from(low);
        let time = interface.and_then(|interface| interface.time(units).ok_or(Unreadable::Time));
        self.block(block.length, interface, time.map(Some), data, numbers.is_big)
    }

    /// A block with a packet of the first interface, without a time.
    ///
    /// ```text
    /// | bytes on the wire 4 | bytes, as many as the interface takes at most, filled up |
    /// ```
    fn simple_packet<'a>(&mut self, block: PcapngBlock<'a>) -> PcapBlock<'a> {
        let mut numbers = block.content;
        let Some(length) = numbers.u32() else {
            return PcapBlock::Unreadable(block.length, Unreadable::Header);
        };
        let interface = self.interface(0);
        let longest = interface.map_or(0, |interface| interface.longest);
        let length = if longest > 0 { length.min(longest) } else { length };
        match numbers.cursor.take_long(length.into()) {
            Some(data) => self.block(block.length, interface, Ok(None), data, numbers.is_big),
            None => PcapBlock::Unreadable(block.length, Unreadable::Header),
        }
    }

    /// A packet after the header of its link, if it can be read.
    fn block<'a>(
        &mut self,
        length: usize,
        interface: Result<PcapInterface, Unreadable>,
        time: Result<Option<Time>, Unreadable>,
        bytes: &'a [u8],
        is_big: bool,
    ) -> PcapBlock<'a> {
        let packet = interface.and_then(|interface| packet(interface.kind, bytes, is_big));
        match packet.and_then(|packet| Ok((packet, time?))) {
            Ok(((link, bytes), time)) => {
                if let Some(time) = time {
                    self.clock = time.seconds * 1_000 + u64::from(time.nanoseconds) / 1_000_000;
                }
                PcapBlock::Packet(length, Captured { link, time, clock: self.clock, bytes })
            }
            Err(unreadable) => PcapBlock::Unreadable(length, unreadable),
        }
    }

    /// Milliseconds since 1970 of the last packet with a time; 0 before the first.
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    fn describe(&mut self, interface: Option<PcapInterface>) {
        // Those beyond are counted by their packets.
        let _ = self.interfaces.push(interface);
    }

    fn interface(&self, number: u32) -> Result<PcapInterface, Unreadable> {
        let interface = usize::try_from(number).ok().and_then(|at| self.interfaces.get(at));
        interface.copied().flatten().ok_or(Unreadable::Interface(number))
    }
}

/// The kinds of blocks of pcapng that matter here. That of a section is the same both ways round.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// The start of a section, when its numbers are read the right way round.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const BROKEN_BLOCK: &str = "a block is broken";

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

    /// The first block.
    fn read(bytes: &'a [u8], mut is_big: bool) -> Result<PcapngRead<'a>, &'static str> {
        let mut head = EndianCursor { cursor: Cursor::new(bytes), is_big };
        let (Some(kind), Some(mut length), Some(first)) = (head.u32(), head.u32(), head.u32()) else {
            return Ok(PcapngRead::Incomplete);
        };
        if kind == SECTION && first != BYTE_ORDER {
            if first != BYTE_ORDER.swap_bytes() {
                return Err(BROKEN_BLOCK);
            }
            (is_big, length) = (!is_big, length.swap_bytes());
        }
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if whole < Self::LEAST {
            return Err(BROKEN_BLOCK);
        }
        if whole > CAPTURE_BLOCK_BYTES {
            return Ok(PcapngRead::TooLong(whole));
        }
        let Some(block) = bytes.get(..whole) else { return Ok(PcapngRead::Incomplete) };
        let content = block.get(8..whole - 4).unwrap_or_default();
        let mut end =
            EndianCursor { cursor: Cursor::new(block.get(whole - 4..).unwrap_or_default()), is_big };
        if end.u32() != Some(length) {
            return Err(BROKEN_BLOCK);
        }
        let content = EndianCursor { cursor: Cursor::new(content), is_big };
        Ok(PcapngRead::Whole(PcapngBlock { kind, length: whole, content }))
    }
}

/// The content of a block of pcapng.
enum PcapngRead<'a> {
    /// Its end is not there yet.
    Incomplete,
    /// It is longer than is read at once: that many bytes.
    TooLong(usize),
    Whole(PcapngBlock<'a>),
}

impl PcapInterface {
    /// Reads the content of its block; `None` when it contradicts itself.
    ///
    /// ```text
    /// | kind of link 2 | 0 2 | longest packet 4 | options: | code 2 | length 2 | value, filled up | ...
    /// ```
    fn read(mut content: EndianCursor<'_>) -> Option<Self> {
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let (kind, _, longest) = (content.u16()?, content.u16()?, content.u32()?);
        let mut interface = PcapInterface { kind: kind.into(), resolution: 1_000_000, offset: 0, longest };
        while let Some((code, length)) = content.u16().zip(content.u16()).filter(|&(code, _)| code != 0) {
            let value = content.cursor.take(length.into())?;
            // The last one need not be filled up.
            let _ = content.cursor.take((4 - usize::from(length) % 4) % 4);
            match (code, value) {
                (RESOLUTION, &[option]) => interface.resolution = resolution(option)?,
                (OFFSET, value) => {
                    let bytes = value.first_chunk().copied()?;
                    interface.offset =
                        if content.is_big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) };
                }
                _ => {}
            }
        }
        Some(interface)
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
    pub(crate) const NULL: i32 = 0;
    pub(crate) const ETHERNET: i32 = 1;
    pub(crate) const PPP: i32 = 9;
    pub(crate) const PPP_SERIAL: i32 = 50;
    pub(crate) const PPPOE_SESSION: i32 = 51;
    pub(crate) const LOOP: i32 = 108;
    pub(crate) const SLL: i32 = 113;
    pub(crate) const NFLOG: i32 = 239;
    pub(crate) const SLL2: i32 = 276;
}

/// A packet as the dissector takes it: after the header of its link, where that is of this format alone.
fn packet(kind: i32, bytes: &[u8], is_big: bool) -> Result<(LinkLayer, &[u8]), Unreadable> {
    /// Bytes of the headers of Linux's "cooked" captures, and where the type of what follows is in them.
    const SLL: (usize, usize) = (16, 14);
    const SLL2: (usize, usize) = (20, 0);
    let cooked = |(header, at): (usize, usize)| {
        let kind = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
        (LinkLayer::Cooked(kind.map_or(0, u16::from_be_bytes)), bytes.get(header..).unwrap_or_default())
    };
    Ok(match kind {
        link_kind::ETHERNET => (LinkLayer::Ethernet, bytes),
        // Raw, as it is called now, by BSDs and by old files, and for one version of IP.
        101 | 12 | 14 | 228 | 229 => (LinkLayer::Raw, bytes),
        // An address family, in the order of the machine that wrote it or of the network; IP says itself
        // which it is.
        link_kind::NULL | link_kind::LOOP => (LinkLayer::Raw, bytes.get(4..).unwrap_or_default()),
        link_kind::PPP | link_kind::PPP_SERIAL => (LinkLayer::Ppp, bytes),
        link_kind::PPPOE_SESSION => (LinkLayer::Cooked(PPPOE_SESSION), bytes),
        link_kind::SLL => cooked(SLL),
        link_kind::SLL2 => cooked(SLL2),
        link_kind::NFLOG => (LinkLayer::Raw, nflog_payload(bytes, is_big).unwrap_or_default()),
        _ => return Err(Unreadable::Link(kind)),
    })
}

/// The packet among the attributes of netfilter's log.
///
/// ```text
/// | family 1 | version 1 | group 2 | attributes: | length 2 | kind 2 | value, filled up | ...
/// ```
///
/// The numbers of attributes are in the order of the machine that wrote the file, and lengths include their 4
/// bytes.
fn nflog_payload(bytes: &[u8], is_big: bool) -> Option<&[u8]> {
    const PAYLOAD: u16 = 9;
    let mut numbers = EndianCursor { cursor: Cursor::new(bytes), is_big };
    numbers.cursor.take(4)?;
    loop {
        let (length, kind) = (usize::from(numbers.u16()?), numbers.u16()?);
        let value = length.checked_sub(4)?;
        // A packet that was cut has less than its attribute says.
        let value = numbers.cursor.take(value.min(numbers.cursor.len()))?;
        if kind & 0x7fff == PAYLOAD {
            return Some(value);
        }
        numbers.cursor.take((4 - length % 4) % 4)?;
    }
}
