//! EDNS: the OPT record of a message, and the options in it that records show.
//!
//! ```text
//! OPT record: root, 41, class = size, TTL = | upper rcode | version |DO| zeros |, data = options
//! option:     | code | length | data |
//!                8      family, bits, scope, prefix       client subnet        RFC 7871, 6
//!                15     info code, text                   extended DNS error   RFC 8914, 2
//!                10     client's, server's                cookie               RFC 7873, 4
//!                3      any bytes                         name server          RFC 5001, 2.1
//! ```
//!
//! (RFC 6891, 6.1.) An option that cannot be read ends the list; those before it stay.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answers::Sections;
use super::cursor::Cursor;

/// The OPT record of a message.
#[derive(Debug, Clone, Copy)]
pub struct Edns<'a> {
    /// The version; 0 is all there is.
    pub version: u8,
    /// Bytes that the sender takes over UDP.
    pub size: u16,
    /// Whether DNSSEC is wanted (RFC 3225).
    pub is_do: bool,
    options: &'a [u8],
}

/// An extended DNS error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError<'a> {
    /// Which one.
    pub code: u16,
    /// More about it; UTF-8, if the sender is right.
    pub text: &'a [u8],
}

/// A client subnet, of any family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet<'a> {
    /// 1 IPv4, 2 IPv6.
    pub family: u16,
    /// Bits of the prefix that were sent.
    pub bits: u8,
    /// The bytes with those bits.
    pub prefix: &'a [u8],
}

impl<'a> Edns<'a> {
    /// That of a message; `None` if it has none.
    pub fn of(message: &'a [u8]) -> Option<Self> {
        Edns::in_sections(&Sections::of(message)?)
    }

    /// That of a message by its sections.
    pub fn in_sections(sections: &Sections<'a>) -> Option<Self> {
        let record = sections.opt()?;
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        Some(Edns { version, size: record.class.0, is_do: flags & 0x80 != 0, options: record.data })
    }

    /// Its options: code and data.
    fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut cursor = Cursor::new(self.options);
        core::iter::from_fn(move || {
            let (code, length) = (cursor.u16()?, cursor.u16()?);
            Some((code, cursor.take(usize::from(length))?))
        })
    }

    fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|(found, _)| *found == code).map(|(_, data)| data)
    }

    /// The extended errors, in their order.
    pub fn errors(&self) -> impl Iterator<Item = ExtendedError<'a>> + use<'a> {
        self.options().filter(|(code, _)| *code == EXTENDED_ERROR).filter_map(|(_, data)| {
            let mut cursor = Cursor::new(data);
            Some(ExtendedError { code: cursor.u16()?, text: cursor.rest() })
        })
    }

    /// The client subnet.
    pub fn subnet(&self) -> Option<ClientSubnet<'a>> {
        let mut cursor = Cursor::new(self.option(CLIENT_SUBNET)?);
        let (family, [bits, _]) = (cursor.u16()?, cursor.array()?);
        Some(ClientSubnet { family, bits, prefix: cursor.rest() })
    }

    /// The cookie: that of the client, and behind it that of the server.
    pub fn cookie(&self) -> Option<&'a [u8]> {
        self.option(COOKIE)
    }

    /// The identifier of the name server; empty in a query that asks for it.
    pub fn name_server(&self) -> Option<&'a [u8]> {
        self.option(NAME_SERVER)
    }
}

impl ClientSubnet<'_> {
    /// The address with those bits and zeros behind; `None` if it is none.
    pub fn address(&self, prefix: &[u8]) -> Option<IpAddr> {
        fn filled<const N: usize>(prefix: &[u8], bits: u8) -> Option<[u8; N]> {
            let mut bytes = [0; N];
            bytes.get_mut(..prefix.len())?.copy_from_slice(prefix);
            (usize::from(bits) <= 8 * N).then_some(bytes)
        }
        match self.family {
            1 => filled(prefix, self.bits).map(|bytes| Ipv4Addr::from(bytes).into()),
            2 => filled(prefix, self.bits).map(|bytes| Ipv6Addr::from(bytes).into()),
            _ => None,
        }
    }
}

/// Codes of the options.
const NAME_SERVER: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut message = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01".to_vec();
        message.extend(b"\0\0\x29\x04\xd0\0\x01\x80\0");
        message.extend((options.len() as u16).to_be_bytes());
        message.extend(options);
        message
    }

    #[test]
    fn options_are_read_as_far_as_they_go() {
        let options = b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x0f\0\x04\0\x11no\0\x0f\0\x02\0\x03\0\x0a\0\x08abcdefgh\0\x03\0\x02ns";
        let whole = message(options);
        let edns = Edns::of(&whole).unwrap();
        assert_eq!((edns.version, edns.size, edns.is_do), (1, 1232, true));
        let subnet = edns.subnet().unwrap();
        assert_eq!((subnet.address(subnet.prefix), subnet.bits), (Some("192.0.2.0".parse().unwrap()), 24));
        let errors: Vec<_> = edns.errors().map(|error| (error.code, error.text)).collect();
        assert_eq!(errors, [(17, &b"no"[..]), (3, b"")]);
        assert_eq!((edns.cookie(), edns.name_server()), (Some(&b"abcdefgh"[..]), Some(&b"ns"[..])));
        for end in 0..options.len() {
            let cut = message(&options[..end]);
            let edns = Edns::of(&cut).unwrap();
            assert!(edns.errors().count() <= 2 && edns.subnet().is_none_or(|cut| cut == subnet));
        }
        for end in 0..whole.len() {
            assert!(Edns::of(&whole[..end]).is_none());
        }
    }

    #[test]
    fn a_prefix_that_is_too_long_is_no_address() {
        let subnet = |family, bits| ClientSubnet { family, bits, prefix: &[10, 0, 0, 0, 0] };
        assert_eq!(subnet(1, 24).address(&[10, 0, 0, 0, 0]), None);
        assert_eq!(subnet(1, 33).address(&[10]), None);
        assert_eq!(subnet(3, 8).address(&[10]), None);
        assert_eq!(subnet(2, 8).address(&[10]), Some("a00::".parse().unwrap()));
    }
}
