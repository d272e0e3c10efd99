//! Numbers and their names.
//!
//! Each kind is a number that survives as it came: what no registry names prints as `TYPE1234` and is
//! read back from that. The rows are the registries of IANA as of 2025 ("Domain Name System Parameters")
//! and the enumerations of `proto/dnstap.proto`; one row gives the number and the name, both ways. Names
//! are in the registries' spelling, in upper case, except `ANY` where IANA has an asterisk, and the two
//! DNSCrypt names, which keep the spelling of the schema.

use core::fmt;

mod dnstap;
mod rr_type;

pub use dnstap::{Family, HttpProtocol, MessageType, Protocol};
pub use rr_type::RrType;

/// Makes a kind of number: the rows, in rising order, and what is written before a number without a row.
macro_rules! numbers {
    ($(#[$doc:meta])* $kind:ident($number:ty) else $prefix:literal; $($value:literal $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $kind(pub $number);

        #[allow(dead_code, reason = "not every kind of number is listed, or read from text")]
        impl $kind {
            /// Every number that has a name, in rising order.
            pub(crate) const KNOWN: &'static [($number, &'static str)] = &[$(($value, $name),)+];

            /// The word before a number that has no name.
            pub(crate) const PREFIX: &'static str = $prefix;

            /// The name, when the number has one.
            #[inline]
            pub(crate) const fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)+
                    _ => None,
                }
            }

            /// The number of a name, or of the prefix and a number, in any case.
            pub(crate) fn from_mnemonic(name: &str) -> Option<Self> {
                let row = Self::KNOWN.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
                match row {
                    Some((number, _)) => Some($kind(*number)),
                    None => $crate::wire::iana::number_after(Self::PREFIX, name)?.try_into().ok().map($kind),
                }
            }
        }

        impl core::fmt::Display for $kind {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.mnemonic() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}{}", Self::PREFIX, self.0),
                }
            }
        }
    };
}
use numbers;

/// The number written after `prefix`: decimal digits only, no sign.
fn number_after(prefix: &str, name: &str) -> Option<u32> {
    let (head, digits) = name.split_at_checked(prefix.len())?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if head.eq_ignore_ascii_case(prefix) && plain { digits.parse().ok() } else { None }
}

numbers! {
    /// How a query went: 4 bits in the header (RFC 1035, 4.1.1), 12 with EDNS (RFC 6891, 6.1.3).
    Rcode(u16) else "RCODE";
    0 "NOERROR",
    1 "FORMERR",
    2 "SERVFAIL",
    3 "NXDOMAIN",
    4 "NOTIMP",
    5 "REFUSED",
    6 "YXDOMAIN",
    7 "YXRRSET",
    8 "NXRRSET",
    9 "NOTAUTH",
    10 "NOTZONE",
    11 "DSOTYPENI",
    16 "BADVERS",
    17 "BADKEY",
    18 "BADTIME",
    19 "BADMODE",
    20 "BADNAME",
    21 "BADALG",
    22 "BADTRUNC",
    23 "BADCOOKIE",
}

numbers! {
    /// The kind of query: 4 bits in the header (RFC 1035, 4.1.1).
    Opcode(u8) else "OPCODE";
    0 "QUERY",
    1 "IQUERY",
    2 "STATUS",
    4 "NOTIFY",
    5 "UPDATE",
    6 "DSO",
}

numbers! {
    /// The class of a question or record (RFC 1035, 3.2.4 and 3.2.5).
    Class(u16) else "CLASS";
    1 "IN",
    3 "CH",
    4 "HS",
    254 "NONE",
    255 "ANY",
}

impl Class {
    /// The Internet.
    pub(crate) const IN: Class = Class(1);
}

/// Some words with one space between them.
pub(super) fn write_words<'a>(
    f: &mut fmt::Formatter<'_>,
    words: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    for (position, word) in words.enumerate() {
        if position > 0 {
            f.write_str(" ")?;
        }
        f.write_str(word)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! check_rows {
        ($kind:ident) => {
            assert!($kind::KNOWN.windows(2).all(|pair| pair[0].0 < pair[1].0), "rows out of order");
            for (number, name) in $kind::KNOWN {
                assert_eq!($kind(*number).mnemonic(), Some(*name));
                assert_eq!($kind::from_mnemonic(name), Some($kind(*number)));
                assert_eq!($kind::from_mnemonic(&name.to_ascii_lowercase()), Some($kind(*number)));
                assert_eq!($kind(*number).to_string(), *name);
            }
            let unnamed = (1..255).map($kind).filter(|number| number.mnemonic().is_none());
            for number in unnamed {
                let text = number.to_string();
                assert_eq!(text, format!("{}{}", $kind::PREFIX, number.0));
                assert_eq!($kind::from_mnemonic(&text.to_ascii_lowercase()), Some(number));
            }
        };
    }

    #[test]
    fn every_row_reads_back() {
        check_rows!(RrType);
        check_rows!(Rcode);
        check_rows!(Opcode);
        check_rows!(Class);
        check_rows!(MessageType);
        check_rows!(Family);
        check_rows!(Protocol);
        check_rows!(HttpProtocol);
    }

    #[test]
    fn numbers_without_a_name_survive() {
        assert_eq!(RrType(1234).to_string(), "TYPE1234");
        assert_eq!(Rcode(12).to_string(), "RCODE12");
        assert_eq!(Class(9).to_string(), "CLASS9");
        assert_eq!(Opcode(7).to_string(), "OPCODE7");
        assert_eq!(MessageType(15).to_string(), "MESSAGE15");
        assert_eq!(Family(3).to_string(), "FAMILY3");
        assert_eq!(Protocol(9).to_string(), "PROTOCOL9");
        assert_eq!(MessageType(u32::MAX).to_string(), "MESSAGE4294967295");
        assert_eq!(RrType::from_mnemonic("type65535"), Some(RrType(65535)));
        // A known number may be written either way.
        assert_eq!(RrType::from_mnemonic("TYPE1"), Some(RrType(1)));
    }

    #[test]
    fn what_names_nothing_is_nothing() {
        for name in
            ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE+1", "TYPE 1", "TYP1", "1", "é", "TYPEé", "BOGUS"]
        {
            assert_eq!(RrType::from_mnemonic(name), None, "{name}");
        }
        assert_eq!(Opcode::from_mnemonic("OPCODE256"), None);
    }

    #[test]
    fn contract_spellings() {
        assert_eq!(Rcode(4).to_string(), "NOTIMP");
        assert_eq!(Rcode(16).to_string(), "BADVERS");
        assert_eq!(RrType(52).to_string(), "TLSA");
        assert_eq!(RrType(255).to_string(), "ANY");
        assert_eq!(format!("{:>6}|", RrType(65)), " HTTPS|");
    }
}
