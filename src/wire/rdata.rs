//! Data of resource records in the form of zone files (RFC 1035, 5.1).
//!
//! ```text
//! A, AAAA         192.0.2.1
//! CNAME, NS, PTR  www.example.com.
//! MX              10 mail.example.com.
//! SOA             ns.example.com. admin.example.com. 1 7200 3600 1209600 300
//! SRV             1 2 5060 sip.example.com.
//! TXT             "v=spf1 -all" "more"
//! CAA             0 issue "ca.test"                           RFC 8659, 4.1
//! SVCB, HTTPS     1 . alpn="h2,h3" ipv4hint="192.0.2.1"       RFC 9460, 2.1
//! others          \# 3 0a0b0c                                 RFC 3597, 5
//! ```
//!
//! Parameters of SVCB are in rising order, and each is what its number promises (RFC 9460, 2.2).
//!
//! Data that is not what its type promises is written as that of an unknown type, as is data of types that
//! mean it for the class IN alone in another class. Whatever comes, the text is printable ASCII.

use core::fmt::{self, Write};
use core::net::{Ipv4Addr, Ipv6Addr};

use super::answers::{AnswerRecord, read_name};
use super::cursor::Cursor;
use super::iana::{Class, RrType};
use super::name::{self, NAME_MAX, Name, TEXT_MAX};

/// How names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameForm {
    /// `www.example.com.`
    FinalDot,
    /// `www.example.com`; the root is a dot all the same.
    NoFinalDot,
}

impl NameForm {
    /// Writes a name.
    ///
    /// # Errors
    ///
    /// No room.
    pub(crate) fn write(self, name: &Name<'_>, out: &mut dyn Write) -> fmt::Result {
        let mut room = [0; TEXT_MAX];
        let length = name.write_text(&mut room).ok_or(fmt::Error)?;
        let text = core::str::from_utf8(room.get(..length).unwrap_or_default()).map_err(|_| fmt::Error)?;
        out.write_str(match self {
            NameForm::NoFinalDot if !name.is_root() => text.strip_suffix('.').unwrap_or(text),
            _ => text,
        })
    }
}

/// Writes the data of a record as its type has it.
///
/// # Errors
///
/// No room; it is not what the type promises, or the type is none of those above. A part of it may be
/// written.
pub fn write_known(record: &AnswerRecord<'_>, names: NameForm, out: &mut dyn Write) -> fmt::Result {
    let end = record.data_start + record.data.len();
    let mut data = Data { message: record.message, rest: Cursor::new(record.data), end, names, out };
    data.write(record.rr_type, record.class)?;
    if data.rest.is_empty() { Ok(()) } else { Err(fmt::Error) }
}

/// Writes the data of a record of any type.
///
/// # Errors
///
/// No room.
pub fn write_unknown(record: &AnswerRecord<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "\\# {}", record.data.len())?;
    if record.data.is_empty() {
        return Ok(());
    }
    out.write_char(' ')?;
    write_hex(record.data, out)
}

/// Writes bytes as two digits each.
///
/// # Errors
///
/// No room.
pub(crate) fn write_hex(bytes: &[u8], out: &mut dyn Write) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS.get(usize::from(half)).copied().unwrap_or(b'0'));
    bytes.iter().try_for_each(|byte| {
        out.write_char(digit(byte >> 4))?;
        out.write_char(digit(byte & 0x0f))
    })
}

/// Data that is being written.
struct Data<'a, 'o> {
    message: &'a [u8],
    rest: Cursor<'a>,
    /// Where the data ends in the message.
    end: usize,
    names: NameForm,
    out: &'o mut dyn Write,
}

impl Data<'_, '_> {
    fn write(&mut self, rr_type: RrType, class: Class) -> fmt::Result {
        match rr_type.0 {
            1 | 28 | 33 | 64 | 65 if class != Class::IN => Err(fmt::Error),
            1 => self.address_v4(),
            28 => self.address_v6(),
            2 | 5 | 12 => self.name(), // NS, CNAME, PTR
            15 => {
                self.numbers(1)?; // MX
                self.name()
            }
            33 => {
                self.numbers(3)?; // SRV
                self.name()
            }
            6 => self.soa(),
            16 => self.strings(),
            257 => self.caa(),
            64 | 65 => self.service(), // SVCB, HTTPS
            _ => Err(fmt::Error),
        }
    }

    fn address_v4(&mut self) -> fmt::Result {
        let bytes: [u8; 4] = self.rest.array().ok_or(fmt::Error)?;
        write!(self.out, "{}", Ipv4Addr::from(bytes))
    }

    fn address_v6(&mut self) -> fmt::Result {
        let bytes: [u8; 16] = self.rest.array().ok_or(fmt::Error)?;
        write!(self.out, "{}", Ipv6Addr::from(bytes))
    }

    fn u16(&mut self) -> Result<u16, fmt::Error> {
        self.rest.u16().ok_or(fmt::Error)
    }

    /// Numbers of two bytes, with a space after each.
    fn numbers(&mut self, count: usize) -> fmt::Result {
        for _ in 0..count {
            let number = self.u16()?;
            write!(self.out, "{number} ")?;
        }
        Ok(())
    }

    fn name(&mut self) -> fmt::Result {
        let start = self.end - self.rest.len();
        name::skip(&mut self.rest).ok_or(fmt::Error)?;
        let mut room = [0; NAME_MAX];
        let name = read_name(self.message, start, &mut room).ok_or(fmt::Error)?;
        self.names.write(&name, self.out)
    }

    fn soa(&mut self) -> fmt::Result {
        self.name()?;
        self.out.write_char(' ')?;
        self.name()?;
        for _ in 0..5 {
            let number = self.rest.u32().ok_or(fmt::Error)?;
            write!(self.out, " {number}")?;
        }
        Ok(())
    }

    /// Strings with their length before them, of which there is one at least.
    fn strings(&mut self) -> fmt::Result {
        loop {
            let length = self.rest.u8().ok_or(fmt::Error)?;
            let text = self.rest.take(usize::from(length)).ok_or(fmt::Error)?;
            self.quoted(text)?;
            if self.rest.is_empty() {
                return Ok(());
            }
            self.out.write_char(' ')?;
        }
    }

    /// RFC 8659, 4.1.
    fn caa(&mut self) -> fmt::Result {
        let [flags, length] = self.rest.array().ok_or(fmt::Error)?;
        let tag = self.rest.take(usize::from(length)).ok_or(fmt::Error)?;
        if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
            return Err(fmt::Error);
        }
        write!(self.out, "{flags} {} ", core::str::from_utf8(tag).map_err(|_| fmt::Error)?)?;
        let value = self.rest.take(self.rest.len()).ok_or(fmt::Error)?;
        self.quoted(value)
    }

    /// RFC 9460, 2.2.
    fn service(&mut self) -> fmt::Result {
        self.numbers(1)?;
        self.name()?;
        let mut least = 0;
        while !self.rest.is_empty() {
            let [key, length] = [self.u16()?, self.u16()?];
            if u32::from(key) < least {
                return Err(fmt::Error);
            }
            least = u32::from(key) + 1;
            let value = self.rest.take(usize::from(length)).ok_or(fmt::Error)?;
            self.out.write_char(' ')?;
            self.parameter(key, value)?;
        }
        Ok(())
    }

    fn parameter(&mut self, key: u16, value: &[u8]) -> fmt::Result {
        match PARAMETERS.get(usize::from(key)) {
            Some(name) => self.out.write_str(name)?,
            None => write!(self.out, "key{key}")?,
        }
        match (key, value) {
            (0 | 1 | 3 | 4 | 6, []) | (2, [_, ..]) => return Err(fmt::Error),
            (3, [_, _, _, ..]) => return Err(fmt::Error),
            (_, []) => return Ok(()),
            _ => {}
        }
        self.out.write_char('=')?;
        let mut value = Cursor::new(value);
        let mut between = "\"";
        // Lists; all else is a string.
        while matches!(key, 0 | 1 | 3 | 4 | 6) && !value.is_empty() {
            self.out.write_str(core::mem::replace(&mut between, ","))?;
            self.element(key, &mut value).ok_or(fmt::Error)??;
        }
        match key {
            _ if between == "," => self.out.write_char('"'),
            5 => self.base64(value.rest()), // ech
            _ => self.quoted(value.rest()),
        }
    }

    /// The next element of a list.
    fn element(&mut self, key: u16, value: &mut Cursor<'_>) -> Option<fmt::Result> {
        Some(match key {
            0 => {
                let key = value.u16()?;
                match PARAMETERS.get(usize::from(key)) {
                    Some(name) => self.out.write_str(name),
                    None => write!(self.out, "key{key}"),
                }
            }
            1 => {
                let length = value.u8().filter(|length| *length > 0)?;
                self.list_item(value.take(usize::from(length))?)
            }
            3 => write!(self.out, "{}", value.u16()?),
            4 => write!(self.out, "{}", Ipv4Addr::from(value.array::<4>()?)),
            _ => write!(self.out, "{}", Ipv6Addr::from(value.array::<16>()?)),
        })
    }

    /// RFC 4648, 4, between quotes.
    fn base64(&mut self, bytes: &[u8]) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.out.write_char('"')?;
        for group in bytes.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for at in 0..4 {
                let digit = DIGITS.get((bits >> (18 - 6 * at) & 0x3f) as usize).copied();
                let is_there = at <= group.len();
                self.out.write_char(if is_there { char::from(digit.unwrap_or(b'=')) } else { '=' })?;
            }
        }
        self.out.write_char('"')
    }

    fn quoted(&mut self, text: &[u8]) -> fmt::Result {
        self.out.write_char('"')?;
        self.characters(text)?;
        self.out.write_char('"')
    }

    /// An item of a list within quotes: its commas and backslashes are escaped once for the list, and once
    /// more for the string (RFC 9460, appendix A.1).
    fn list_item(&mut self, item: &[u8]) -> fmt::Result {
        item.iter().try_for_each(|byte| match byte {
            b',' => self.out.write_str("\\\\,"),
            b'\\' => self.out.write_str("\\\\\\\\"),
            byte => self.characters(&[*byte]),
        })
    }

    fn characters(&mut self, text: &[u8]) -> fmt::Result {
        text.iter().try_for_each(|byte| match byte {
            b'"' | b'\\' => write!(self.out, "\\{}", char::from(*byte)),
            0x20..=0x7e => self.out.write_char(char::from(*byte)),
            _ => write!(self.out, "\\{byte:03}"),
        })
    }
}

/// Names of the parameters of SVCB, by number (RFC 9460, 14.3.2; RFC 9461, 9540).
const PARAMETERS: &[&str] =
    &["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::answers::Sections;
    use proptest::prelude::*;

    /// The data of a type, as text; a name in it may point at `example.com` in byte 12.
    fn text(rr_type: u16, data: &[u8]) -> String {
        let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        message.extend(b"\x07example\x03com\0\0\x01\0\x01\xc0\x0c");
        message.extend(rr_type.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
        let record = Sections::of(&message).unwrap().answers().next().unwrap();
        assert_eq!(record.ttl, 60);
        let mut out = String::new();
        if write_known(&record, NameForm::FinalDot, &mut out).is_err() {
            out.clear();
            write_unknown(&record, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn data_of_every_known_type() {
        for (rr_type, data, expected) in [
            (1, &b"\xc0\0\x02\x01"[..], "192.0.2.1"),
            (28, b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", "2001:db8::1"),
            (5, b"\x03w.w\xc0\x0c", r"w\.w.example.com."),
            (2, b"\0", "."),
            (12, b"\xc0\x0c", "example.com."),
            (15, b"\0\x0a\x04mail\xc0\x0c", "10 mail.example.com."),
            (33, b"\0\x01\0\x02\x13\xc4\xc0\x0c", "1 2 5060 example.com."),
            (
                6,
                b"\xc0\x0c\x01r\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
                "example.com. r.example.com. 1 2 3 4 5",
            ),
            (16, b"\x05a b\"\\\x01\xff", r#""a b\"\\" "\255""#),
            (257, b"\0\x05issueca.test", r#"0 issue "ca.test""#),
            (
                65,
                b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x02\0\0\0\x03\0\x02\x01\xbb\0\x04\0\x04\xc0\0\x02\x01",
                r#"1 . alpn="h2,h3" no-default-alpn port="443" ipv4hint="192.0.2.1""#,
            ),
            (64, b"\0\x00\xc0\x0c\x03\xe7\0\x02hi", r#"0 example.com. key999="hi""#),
            (99, b"\x0a\x0b\x0c", r"\# 3 0a0b0c"),
            (10, b"", r"\# 0"),
        ] {
            assert_eq!(text(rr_type, data), expected);
        }
    }

    /// Made by dnspython; see tests/data/rdata.py.
    #[test]
    fn data_is_written_as_dnspython_writes_it() {
        let mut count = 0;
        for line in include_str!("../../tests/data/rdata.txt").lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().unwrap();
            let (rr_type, hex, expected) = (part().parse().unwrap(), part().trim_matches('-'), part());
            let digits: Vec<_> =
                hex.bytes().map(|byte| char::from(byte).to_digit(16).unwrap() as u8).collect();
            let data: Vec<_> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            assert_eq!(text(rr_type, &data), expected, "{line}");
            count += 1;
        }
        assert!(count > 500);
    }

    proptest! {
        /// Whatever the data, there is a text, of printable ASCII; names have no final dot where nobody wants
        /// it.
        #[test]
        fn any_data_has_a_text(
            rr_type in prop_oneof![
                Just(1u16), Just(2), Just(6), Just(15), Just(16), Just(33), Just(64), Just(65), Just(257), any::<u16>(),
            ],
            data in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            let text = text(rr_type, &data);
            prop_assert!(!text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text}");
        }
    }

    #[test]
    fn broken_data_is_that_of_an_unknown_type() {
        for (rr_type, data) in [
            (1, &b"\xc0\0\x02"[..]),
            (1, b"\xc0\0\x02\x01\0"),
            (5, b"\xc0\xff"),
            (5, b"\x05ab"),
            (15, b"\0"),
            (16, b""),
            (16, b"\x05a"),
            (257, b"\0\x01 x"),
            (65, b"\0\x01\0\0\x03\0\x01\x01"),
            (65, b"\0\x01\0\0\x03\0\x04\x01\xbb\x01\xbb"),
            (65, b"\0\x01\0\0\x02\0\x01\x01"),
            (65, b"\0\x01\0\0\x01\0\x01\0"),
            (65, b"\0\x01\0\0\x04\0\0"),
            (65, b"\0\x01\0\x03\xe8\0\0\x03\xe7\0\0"),
            (65, b"\0\x01\0\x03\xe7\0\0\x03\xe7\0\0"),
        ] {
            assert!(text(rr_type, data).starts_with(r"\# "), "{}", text(rr_type, data));
        }
    }
}
