//! The counted and printed parts of a DNS message.
//!
//! The header, the first question, and the upper bits of the rcode from the OPT record:
//!
//! ```text
//!                                  1  1  1  1  1  1
//!    0  1  2  3  4  5  6  7  8  9  0  1  2  3  4  5
//!  +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
//!  |                      ID                       |
//!  |QR|  Opcode   |AA|TC|RD|RA| Z|AD|CD|   RCODE   |   Flags(u16) is this line as it came
//!  |    QDCOUNT    ANCOUNT    NSCOUNT    ARCOUNT   |
//!  +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
//! ```
//!
//! (RFC 1035, 4.1.1; AD and CD: RFC 4035, 3.1.6 and 3.2.2; the extended rcode: RFC 6891, 6.1.3.)
//!
//! [`Summary::parse`] never refuses: a message that is cut short or wrong gives what could be read of it,
//! with the reason in `malformed`. No payload at all is neither, since some servers send none.
//!
//! Every record is stepped over to find the OPT record and to notice a message that was cut. Names in
//! records are not followed, record data is not looked into, and bytes after the last record are not
//! minded.

use super::cursor::Cursor;
use super::iana::{self, Class, Opcode, Rcode, RrType};
use super::name::{self, Name, NameError};
use crate::reasons::reasons;
use core::fmt;

/// How many bytes the header takes.
pub const HEADER_BYTES: usize = 12;

/// The summary of one DNS message. A field that is `None` could not be read, or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary<'a> {
    /// The number that a response takes over from its query.
    pub id: Option<u16>,
    /// The flags, and all else on their line.
    pub flags: Option<Flags>,
    /// The kind of query.
    pub opcode: Option<Opcode>,
    /// How it went, with the upper bits of EDNS.
    pub rcode: Option<Rcode>,
    /// The first question.
    pub question: Option<Question<'a>>,
    /// The first thing that is wrong with the message.
    pub malformed: Option<Malformed>,
}

/// The first question. A message may end after the name or the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The qname.
    pub name: Name<'a>,
    /// The qtype.
    pub qtype: Option<RrType>,
    /// The qclass.
    pub qclass: Option<Class>,
}

/// The second line of the header as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

reasons! {
    /// Why a message could not be read to its end.
    pub enum Malformed {
        /// Fewer bytes than the header has.
        ShortHeader = "short_header", "shorter than a DNS header";
        /// The message ends within the first question.
        Question = "question_truncated", "cut within the question";
        /// The name of the first question is none.
        Name(error: NameError);
        /// The questions or records run off the end, or the name of one is none.
        Records = "records", "cut within the records";
    }
}

/// Bytes of the names of all flags, with a space after each.
pub(crate) const FLAGS_TEXT_BYTES: usize = 7 * 3;

impl<'a> Summary<'a> {
    /// Reads what can be read of a DNS message.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Self {
        let mut cursor = Cursor::new(payload);
        let Some(header) = cursor.array().map(DnsHeader::parse) else { return Summary::of_short(payload) };
        let mut summary = Summary {
            id: Some(header.id),
            flags: Some(header.flags),
            opcode: Some(header.flags.opcode()),
            rcode: Some(header.flags.rcode()),
            ..Summary::default()
        };
        if let Err(malformed) = summary.read_sections(&header, cursor) {
            summary.malformed = Some(malformed);
        }
        summary
    }

    /// The fields in less than a header.
    #[cold]
    fn of_short(payload: &[u8]) -> Self {
        let mut cursor = Cursor::new(payload);
        let id = cursor.u16();
        let flags = cursor.u16().map(Flags);
        Summary {
            id,
            flags,
            opcode: flags.map(Flags::opcode),
            rcode: flags.map(Flags::rcode),
            question: None,
            malformed: (!payload.is_empty()).then_some(Malformed::ShortHeader),
        }
    }

    /// Reads what is after the header.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn read_sections(&mut self, header: &DnsHeader, mut cursor: Cursor<'a>) -> Result<(), Malformed> {
        if header.questions > 0 {
            let (name, rest) = Name::parse(cursor.rest()).map_err(Malformed::Name)?;
            cursor = Cursor::new(rest);
            let qtype = cursor.u16().map(RrType);
            let qclass = cursor.u16().map(Class);
            self.question = Some(Question { name, qtype, qclass });
            if qclass.is_none() {
                return Err(Malformed::Question);
            }
        }
        let mut upper = None;
        let whole = header.walk(cursor, &mut upper);
        if let Some(upper) = upper {
            self.rcode = Some(header.flags.rcode().extended(upper));
        }
        whole.ok_or(Malformed::Records)
    }
}

/// The header's six numbers.
struct DnsHeader {
    id: u16,
    flags: Flags,
    questions: u16,
    /// Answer and authority records, which are all the same to us.
    records: u32,
    additional: u16,
}

impl DnsHeader {
    /// Reads a header.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn parse(bytes: [u8; HEADER_BYTES]) -> DnsHeader {
        let [id1, id0, flags1, flags0, qd1, qd0, an1, an0, ns1, ns0, ar1, ar0] = bytes;
        let u16_of = |high, low| u16::from_be_bytes([high, low]);
        DnsHeader {
            id: u16_of(id1, id0),
            flags: Flags(u16_of(flags1, flags0)),
            questions: u16_of(qd1, qd0),
            records: u32::from(u16_of(an1, an0)) + u32::from(u16_of(ns1, ns0)),
            additional: u16_of(ar1, ar0),
        }
    }

    /// Steps over all after the first question, and takes the upper rcode bits of the first OPT record among
    /// the additional ones; `None` when it runs off the end.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn walk(&self, mut cursor: Cursor<'_>, upper: &mut Option<u8>) -> Option<()> {
        for _ in 1..self.questions {
            name::skip(&mut cursor)?;
            cursor.array::<4>()?;
        }
        for _ in 0..self.records {
            ResourceRecord::parse(&mut cursor)?;
        }
        for _ in 0..self.additional {
            let record = ResourceRecord::parse(&mut cursor)?;
            if record.rr_type == RrType::OPT && upper.is_none() {
                *upper = Some(record.upper_rcode);
            }
        }
        Some(())
    }
}

/// The fields of a record after its name (RFC 1035, 4.1.3; OPT: RFC 6891, 6.1.3).
struct ResourceRecord {
    rr_type: RrType,
    /// The first byte of the TTL, which is no TTL in an OPT record.
    upper_rcode: u8,
}

impl ResourceRecord {
    /// Steps over a record; `None` when it is not whole.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn parse(cursor: &mut Cursor<'_>) -> Option<ResourceRecord> {
        name::skip(cursor)?;
        let [type1, type0, _, _, upper_rcode, _, _, _, length1, length0] = cursor.array()?;
        cursor.take(usize::from(u16::from_be_bytes([length1, length0])))?;
        Some(ResourceRecord { rr_type: RrType(u16::from_be_bytes([type1, type0])), upper_rcode })
    }
}

impl Flags {
    /// The ones with a name, in the order they are printed: the bit and the name.
    const NAMED: [(u16, &'static str); 7] = [
        (0x8000, "QR"),
        (0x0400, "AA"),
        (0x0200, "TC"),
        (0x0100, "RD"),
        (0x0080, "RA"),
        (0x0020, "AD"),
        (0x0010, "CD"),
    ];

    /// The names of those that are set, from `QR` to `CD`.
    #[inline]
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }

    /// The names of those that are set, with one space between: the text, and its length in it.
    #[inline]
    pub(crate) fn text(self) -> ([u8; FLAGS_TEXT_BYTES], usize) {
        let (mut text, mut used) = ([0; FLAGS_TEXT_BYTES], 0);
        for (bit, name) in Self::NAMED {
            // Written in any case, and overwritten by the next one if it is not set.
            if let (Some(place), [a, b]) =
                (text.get_mut(used..).and_then(<[u8]>::first_chunk_mut), name.as_bytes())
            {
                *place = [*a, *b, b' '];
            }
            used += if self.0 & bit != 0 { 3 } else { 0 };
        }
        (text, used.saturating_sub(1))
    }

    /// The opcode that stands among the flags.
    #[inline]
    pub(crate) const fn opcode(self) -> Opcode {
        Opcode((self.0 >> 11) as u8 & 0x0f)
    }

    /// The lower four bits of the rcode, which stand among the flags.
    #[inline]
    pub(crate) const fn rcode(self) -> Rcode {
        Rcode(self.0 & 0x000f)
    }
}

impl Rcode {
    /// The rcode with these four bits and the upper eight of an OPT record.
    #[inline]
    const fn extended(self, upper: u8) -> Rcode {
        Rcode((upper as u16) << 4 | self.0)
    }
}

impl fmt::Display for Flags {
    /// The names of those that are set, with one space between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        iana::write_words(f, self.names())
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
