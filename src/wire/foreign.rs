//! Other protocols that come to the wrong port, told by their first bytes.
//!
//! For the log only: what begins unlike Frame Streams is a violation anyway, but an operator is helped by
//! the name of what came.

use super::cursor::Cursor;
use crate::reasons::reasons;

reasons! {
    /// A protocol that is not Frame Streams.
    pub enum Foreign {
        /// A TLS handshake, on a port without TLS.
        Tls = "tls", "TLS";
        /// An HTTP request.
        Http = "http", "HTTP";
        /// Protocol Buffers without Frame Streams around them, each after its length in 2 or 4 bytes; the
        /// remote loggers of PowerDNS speak so.
        BareProtobuf = "bare_protobuf", "protobuf without Frame Streams";
    }
}

/// The beginnings of HTTP requests, as long as the shortest.
const HTTP_METHODS: [&[u8; 4]; 9] =
    [b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"TRAC", b"CONN", b"PATC"];

/// Tells which protocol begins with `first`, the first bytes of a connection: 6 or more are enough. `None`
/// when it is Frame Streams, or nothing we know.
pub(crate) fn recognise(first: &[u8]) -> Option<Foreign> {
    let head: [u8; 4] = Cursor::new(first).array()?;
    if head.starts_with(&[0x16, 0x03]) {
        // ContentType handshake, ProtocolVersion 3.x (RFC 8446, 5.1).
        Some(Foreign::Tls)
    } else if HTTP_METHODS.contains(&&head) {
        Some(Foreign::Http)
    } else {
        is_bare_protobuf(first).then_some(Foreign::BareProtobuf)
    }
}

/// Whether `first` is a length and the first bytes of a protobuf message that loggers send.
fn is_bare_protobuf(first: &[u8]) -> bool {
    let mut cursor = Cursor::new(first);
    let short = cursor.u16().is_some_and(|length| length > 0) && begins_message(cursor);
    let mut cursor = Cursor::new(first);
    let long =
        cursor.u32().is_some_and(|length| (1..0x0100_0000).contains(&length)) && begins_message(cursor);
    short || long
}

/// Whether these may be the first two bytes of a message: `PBDNSMessage.type` (1, small number), or one of
/// the fields a Dnstap begins with: identity (1), version (2), message (14) with some length, or type (15).
fn begins_message(mut cursor: Cursor<'_>) -> bool {
    match (cursor.u8(), cursor.u8()) {
        (Some(0x08), Some(value)) => (1..=16).contains(&value),
        (Some(0x78), Some(value)) => value == 1,
        (Some(0x0a | 0x12 | 0x72), Some(length)) => length > 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_comes_to_the_wrong_port() {
        let check = |first: &[u8], expected| assert_eq!(recognise(first), expected, "{first:x?}");
        // ClientHello: record header, handshake type and length.
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", Some(Foreign::Tls));
        check(b"GET / HTTP/1.1\r\n", Some(Foreign::Http));
        check(b"HEAD /x", Some(Foreign::Http));
        check(b"POST", Some(Foreign::Http));
        check(b"OPTIONS * HTTP/1.1", Some(Foreign::Http));
        // PowerDNS: 2 bytes of length, type = DNSQueryType, messageId (16 bytes).
        check(b"\x00\x5c\x08\x01\x12\x10", Some(Foreign::BareProtobuf));
        // The same with 4 bytes of length.
        check(b"\x00\x00\x00\x5c\x08\x01\x12\x10", Some(Foreign::BareProtobuf));
        // Dnstap data frame without a handshake: identity "x".
        check(b"\x00\x00\x00\x5c\x0a\x01x", Some(Foreign::BareProtobuf));
        // READY, and an escape with a control length that looks like a field.
        check(b"\x00\x00\x00\x00\x0a\x01\x00\x00", None);
        check(b"\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x04", None);
        check(b"SSH-2.0-OpenSSH_9.2", None);
        check(b"\xff\xff\xff\xff\xff\xff", None);
        check(b"", None);
        check(b"\x16\x03", None);
    }
}
