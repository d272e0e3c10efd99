//! The little of a response that tells whether it is blocked: its first addresses and the extended DNS error.
//!
//! ```text
//! header | question | answer: name, type, class, TTL, length, data | ... | OPT: option code, length, data
//!                             A 192.0.2.1                                       15 (EDE): info code, text
//! ```
//!
//! [`AnswerSummary::parse`] never refuses, as [`Summary::parse`](super::dns::Summary::parse): what cannot be
//! read ends it, and what was read stays. It looks at a bounded number of records: a response has as many as
//! fit 64 KiB, of which the rest would say nothing new.
//!
//! Extended DNS errors: RFC 8914. Names in answers may be compressed (RFC 1035, 4.1.4); [`read_name`] follows
//! pointers, which may only look back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::{Composer, Cursor};
use super::dns::HEADER_BYTES;
use super::iana::{Class, RrType};
use super::name::{self, NAME_MAX, Name};

/// The content of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AnswerSummary<'a> {
    /// Records of the answer section, as the header counts them.
    pub(crate) count: u16,
    /// The address of the first record, if it is one of class IN.
    pub(crate) address: Option<IpAddr>,
    /// The first address or alias.
    pub(crate) first: Option<FirstAnswer<'a>>,
    /// The first extended DNS error.
    pub(crate) ede: Option<u16>,
}

/// The first answer that is an address or an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstAnswer<'a> {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME: the message, and where its name begins; see [`read_name`].
    Alias(&'a [u8], usize),
}

/// Records of the answer section that are looked at.
const ANSWERS_MAX: u16 = 32;
/// Records that are stepped over on the way to the OPT record, which mostly is the last one.
const RECORDS_MAX: u32 = 512;
/// Pointers that are followed for one name.
const POINTERS_MAX: u32 = 16;

/// EDNS option: extended DNS error (RFC 8914, 2).
const OPTION_EDE: u16 = 15;

impl<'a> AnswerSummary<'a> {
    /// Reads a response whose question section ends at `start`: as far as that may be worth something.
    #[inline]
    pub(crate) fn parse(message: &'a [u8], start: usize) -> Self {
        let mut answers = AnswerSummary::default();
        let _ = answers.read(message, start);
        answers
    }

    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn read(&mut self, message: &'a [u8], start: usize) -> Option<()> {
        let [_, _, _, _, _, _, an1, an0, ns1, ns0, ar1, ar0] =
            Cursor::new(message).array::<HEADER_BYTES>()?;
        let u16_of = |high, low| u16::from_be_bytes([high, low]);
        self.count = u16_of(an1, an0);
        let mut cursor = Cursor::new(message.get(start..)?);
        let additional = u16_of(ar1, ar0);
        // Nearly all responses end with an OPT record that has no options, or have none at all: then the
        // first answer that is worth something is all there is to read.
        let has_options = additional > 0 && !(additional == 1 && ends_in_bare_opt(message));
        for number in 0..self.count {
            if !has_options && (number >= ANSWERS_MAX || self.first.is_some()) {
                return Some(());
            }
            let record = AnswerRecord::parse(message, &mut cursor)?;
            if number < ANSWERS_MAX {
                self.take_answer(message, number, &record);
            }
        }
        if has_options { self.read_options(message, cursor, u16_of(ns1, ns0), additional) } else { Some(()) }
    }

    /// Reads the sections after the answers.
    #[inline(never)]
    fn read_options(
        &mut self,
        message: &'a [u8],
        mut cursor: Cursor<'a>,
        authority: u16,
        additional: u16,
    ) -> Option<()> {
        let authority = u32::from(authority);
        for number in 0..(authority + u32::from(additional)).min(RECORDS_MAX) {
            let record = AnswerRecord::parse(message, &mut cursor)?;
            if number >= authority && record.rr_type == RrType::OPT {
                self.ede = find_ede(record.data);
                break;
            }
        }
        Some(())
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn take_answer(&mut self, message: &'a [u8], number: u16, record: &AnswerRecord<'a>) {
        let address = (record.class == Class::IN).then(|| record.address()).flatten();
        if number == 0 {
            self.address = address;
        }
        if self.first.is_none() {
            let alias =
                (record.rr_type == RrType::CNAME).then_some(FirstAnswer::Alias(message, record.data_start));
            self.first = address.map(FirstAnswer::Address).or(alias);
        }
    }

    /// The address if that is all the response says: one record.
    pub(crate) fn only_address(&self) -> Option<IpAddr> {
        self.address.filter(|_| self.count == 1)
    }
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub struct AnswerRecord<'a> {
    /// The message that it is in.
    pub(crate) message: &'a [u8],
    /// Where its name begins in the message; see [`read_name`].
    pub(crate) name_start: usize,
    /// The place that it points to, if the name is a pointer and nothing else.
    pointer: Option<u16>,
    /// Its type.
    pub rr_type: RrType,
    /// Its class.
    pub class: Class,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// Its data.
    pub data: &'a [u8],
    /// Where the data begins in the message.
    pub(crate) data_start: usize,
}

/// The sections after the questions.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    message: &'a [u8],
    /// Behind the last question.
    cursor: Cursor<'a>,
    /// Records of the answer section, as the header counts them.
    pub answer_count: u16,
    /// The same of the authority section.
    pub(crate) authority_count: u16,
    /// The same of the additional section.
    pub(crate) additional_count: u16,
}

impl<'a> Sections<'a> {
    /// The sections of a message; `None` if its header or questions cannot be read.
    pub fn of(message: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(message);
        cursor.u32()?;
        let (questions, answer_count) = (cursor.u16()?, cursor.u16()?);
        let (authority_count, additional_count) = (cursor.u16()?, cursor.u16()?);
        for _ in 0..questions {
            name::skip(&mut cursor)?;
            cursor.u32()?;
        }
        Some(Sections { message, cursor, answer_count, authority_count, additional_count })
    }

    /// The same of a message whose only question ends at `start`.
    #[inline]
    pub fn after_question(message: &'a [u8], start: usize) -> Option<Self> {
        let counts = message.get(4..)?.first_chunk::<8>()?;
        let [0, 1, an1, an0, ns1, ns0, ar1, ar0] = *counts else { return Sections::of(message) };
        let cursor = Cursor::new(message.get(start..)?);
        let count = |high, low| u16::from_be_bytes([high, low]);
        let (answer_count, authority_count, additional_count) =
            (count(an1, an0), count(ns1, ns0), count(ar1, ar0));
        Some(Sections { message, cursor, answer_count, authority_count, additional_count })
    }

    /// The answers, as far as they can be read.
    pub fn answers(&self) -> impl Iterator<Item = AnswerRecord<'a>> + use<'a> {
        self.records().take(usize::from(self.answer_count))
    }

    /// The first OPT record of the additional section.
    pub(crate) fn opt(&self) -> Option<AnswerRecord<'a>> {
        let before = usize::from(self.answer_count) + usize::from(self.authority_count);
        let mut additional = self.records().take(before + usize::from(self.additional_count)).skip(before);
        additional.find(|record| record.rr_type == RrType::OPT)
    }

    /// Records up to the end of the message, whatever the header says.
    fn records(&self) -> impl Iterator<Item = AnswerRecord<'a>> + use<'a> {
        let (message, mut cursor) = (self.message, self.cursor);
        core::iter::from_fn(move || AnswerRecord::parse(message, &mut cursor))
    }
}

impl<'a> AnswerRecord<'a> {
    #[inline]
    fn parse(message: &'a [u8], cursor: &mut Cursor<'a>) -> Option<AnswerRecord<'a>> {
        let name_start = message.len() - cursor.len();
        // Nearly always a pointer is all there is of the name.
        let pointer = match *cursor.rest() {
            [high @ 0xc0..=0xff, low, ..] => Some(u16::from_be_bytes([high & 0x3f, low])),
            _ => None,
        };
        match pointer {
            Some(_) => _ = cursor.u16()?,
            None => name::skip(cursor)?,
        }
        let [type1, type0, class1, class0, ttl3, ttl2, ttl1, ttl0, length1, length0] = cursor.array()?;
        let data_start = message.len() - cursor.len();
        let data = cursor.take(usize::from(u16::from_be_bytes([length1, length0])))?;
        let rr_type = RrType(u16::from_be_bytes([type1, type0]));
        let class = Class(u16::from_be_bytes([class1, class0]));
        let ttl = u32::from_be_bytes([ttl3, ttl2, ttl1, ttl0]);
        Some(AnswerRecord { message, name_start, pointer, rr_type, class, ttl, data, data_start })
    }

    /// Its name, put together in `room`.
    pub fn name<'r>(&self, room: &'r mut [u8; NAME_MAX]) -> Option<Name<'r>> {
        read_name(self.message, self.name_start, room)
    }

    /// Where its name begins, if a pointer to it is all there is: nearly always at that of the question.
    #[inline]
    pub fn pointed_at(&self) -> Option<&'a [u8]> {
        let target = usize::from(self.pointer?);
        self.message.get(target..).filter(|_| target < self.name_start)
    }

    /// The address of A and AAAA, of whatever class.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.rr_type {
            RrType::A => <[u8; 4]>::try_from(self.data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
            RrType::AAAA => <[u8; 16]>::try_from(self.data).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
            _ => None,
        }
    }
}

/// Whether the last record is an OPT record without options (RFC 6891, 6.1.2): the root, type 41, ..., length
/// 0.
#[inline]
fn ends_in_bare_opt(message: &[u8]) -> bool {
    matches!(message.last_chunk(), Some([0, 0, 41, _, _, _, _, _, _, 0, 0]))
}

/// The first extended DNS error among the options of an OPT record.
fn find_ede(options: &[u8]) -> Option<u16> {
    let mut cursor = Cursor::new(options);
    loop {
        let (code, length) = (cursor.u16()?, cursor.u16()?);
        let data = cursor.take(usize::from(length))?;
        if code == OPTION_EDE {
            return Cursor::new(data).u16();
        }
    }
}

/// Reads the name at `start` of a message, which may be compressed, into `room`, in wire form. `None` if it
/// is not a name.
///
/// A pointer has to point before the part of the name that it ends, so that no chain of them comes back.
pub(crate) fn read_name<'r>(message: &[u8], start: usize, room: &'r mut [u8; NAME_MAX]) -> Option<Name<'r>> {
    let mut composer = Composer::new(room);
    let (mut at, mut limit) = (start, start);
    let mut pointers = 0;
    loop {
        let mut cursor = Cursor::new(message.get(at..)?);
        match cursor.u8()? {
            0 => {
                composer.put(&[0])?;
                break;
            }
            length @ 1..=63 => {
                composer.put(&[length])?;
                composer.put(cursor.take(usize::from(length))?)?;
                at += 1 + usize::from(length);
            }
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, cursor.u8()?]));
                pointers += 1;
                if target >= limit || pointers > POINTERS_MAX {
                    return None;
                }
                (at, limit) = (target, target);
            }
            _ => return None,
        }
    }
    let length = composer.written();
    Name::parse(room.get(..length)?).ok().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response for `a.example.` with that many records of each section, and those.
    fn response(answers: u8, authority: u8, additional: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, answers, 0, authority, 0, additional];
        message.extend(b"\x01a\x07example\0\0\x01\0\x01");
        records.iter().for_each(|record| message.extend(*record));
        message
    }

    /// Where the question ends.
    const START: usize = 12 + 11 + 4;

    const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";
    const UNSPECIFIED: &[u8] = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    /// `www`, and the `example.` of the question.
    const CNAME: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03www\xc0\x0e";
    const SOA: &[u8] = b"\xc0\x0e\0\x06\0\x01\0\0\0\x3c\0\x02\0\0";
    /// A cookie (10), then EDE 17 with a text, then EDE 3.
    const OPT: &[u8] =
        b"\0\0\x29\x04\xd0\0\0\0\0\0\x14\0\x0a\0\x02\x01\x02\0\x0f\0\x04\0\x11no\0\x0f\0\x02\0\x03";

    #[test]
    fn one_address_is_all_that_is_said() {
        let check = |records: &[&[u8]], only: Option<&str>, first: Option<&str>| {
            let message = response(records.len() as u8, 0, 0, records);
            let answers = AnswerSummary::parse(&message, START);
            assert_eq!(answers.only_address(), only.map(|text| text.parse().unwrap()));
            let mut room = [0; NAME_MAX];
            let text = answers.first.map(|first| match first {
                FirstAnswer::Address(address) => address.to_string(),
                FirstAnswer::Alias(message, start) => {
                    read_name(message, start, &mut room).unwrap().to_string()
                }
            });
            assert_eq!(text.as_deref(), first);
        };
        check(&[A], Some("192.0.2.1"), Some("192.0.2.1"));
        check(&[UNSPECIFIED], Some("::"), Some("::"));
        check(&[A, A], None, Some("192.0.2.1"));
        check(&[CNAME, A], None, Some("www.example."));
        check(&[SOA, A], None, Some("192.0.2.1"));
        check(&[], None, None);
    }

    #[test]
    fn the_first_extended_error_is_found_behind_the_other_sections() {
        let message = response(1, 1, 2, &[A, SOA, A, OPT]);
        let whole = AnswerSummary::parse(&message, START);
        assert_eq!((whole.ede, whole.count), (Some(17), 1));
        // An OPT record elsewhere is none.
        assert_eq!(AnswerSummary::parse(&response(1, 0, 0, &[OPT]), START).ede, None);
        // Without options in it there is nothing to be found.
        let bare = response(1, 0, 1, &[A, b"\0\0\x29\x04\xd0\0\0\0\0\0\0"]);
        assert_eq!(
            AnswerSummary::parse(&bare, START),
            AnswerSummary { ede: None, ..AnswerSummary::parse(&bare, START) }
        );
        for end in 0..message.len() {
            let cut = AnswerSummary::parse(&message[..end], START);
            assert!(
                cut.ede.is_none_or(|ede| ede == 17)
                    && cut.address.is_none_or(|_| cut.address == whole.address)
            );
        }
    }

    #[test]
    fn sections_after_the_question_are_those_of_the_message() {
        let message = response(2, 1, 1, &[CNAME, A, SOA, OPT]);
        let seen = |sections: Option<Sections<'_>>| {
            let sections = sections?;
            let answers = sections.answers().map(|record| (record.name_start, record.data_start));
            let counts = (sections.answer_count, sections.authority_count, sections.additional_count);
            Some((answers.collect::<Vec<_>>(), sections.opt().map(|record| record.data_start), counts))
        };
        for end in START..=message.len() {
            let message = &message[..end];
            assert_eq!(seen(Sections::after_question(message, START)), seen(Sections::of(message)), "{end}");
        }
        let twice =
            [&[0, 7, 0x81, 0x80, 0, 2, 0, 1, 0, 0, 0, 0], &message[12..START], &message[12..START], A]
                .concat();
        assert_eq!(seen(Sections::after_question(&twice, START)), seen(Sections::of(&twice)));
    }

    #[test]
    fn pointers_only_look_back() {
        let read = |message: &[u8], start| {
            let mut room = [0; NAME_MAX];
            read_name(message, start, &mut room).map(|name| name.to_string())
        };
        assert_eq!(read(b"\x01a\0\x01b\xc0\x00", 3).as_deref(), Some("b.a."));
        assert_eq!(read(b"\xc0\x00", 0), None, "to itself");
        assert_eq!(read(b"\xc0\x02\xc0\x00", 2), None, "forward");
        assert_eq!(read(b"\x01a\xc0\x00", 2), None, "round and round");
        assert_eq!(read(b"\x41a\0", 0), None);
        let long: Vec<u8> = (0..5).flat_map(|_| [&[63][..], &[b'x'; 63]].concat()).chain([0]).collect();
        assert_eq!(read(&long, 0), None, "too long");
    }
}
