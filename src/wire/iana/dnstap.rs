//! The enumerations of the dnstap schema. They are open: a newer sender may use numbers of its own.

use super::numbers;

numbers! {
    /// Who spoke to whom, and whether it was the query or the response (`Message.Type`).
    MessageType(u32) else "MESSAGE";
    1 "AUTH_QUERY",
    2 "AUTH_RESPONSE",
    3 "RESOLVER_QUERY",
    4 "RESOLVER_RESPONSE",
    5 "CLIENT_QUERY",
    6 "CLIENT_RESPONSE",
    7 "FORWARDER_QUERY",
    8 "FORWARDER_RESPONSE",
    9 "STUB_QUERY",
    10 "STUB_RESPONSE",
    11 "TOOL_QUERY",
    12 "TOOL_RESPONSE",
    13 "UPDATE_QUERY",
    14 "UPDATE_RESPONSE",
}

numbers! {
    /// The network protocol below the transport (`SocketFamily`).
    Family(u32) else "FAMILY";
    1 "INET",
    2 "INET6",
}

numbers! {
    /// The transport of the DNS message (`SocketProtocol`).
    Protocol(u32) else "PROTOCOL";
    1 "UDP",
    2 "TCP",
    3 "DOT",
    4 "DOH",
    5 "DNSCryptUDP",
    6 "DNSCryptTCP",
    7 "DOQ",
}

numbers! {
    /// The version of HTTP below DNS over HTTPS (`HttpProtocol`).
    HttpProtocol(u32) else "HTTPPROTOCOL";
    1 "HTTP1",
    2 "HTTP2",
    3 "HTTP3",
}

impl MessageType {
    /// A query to an authoritative server.
    #[cfg(test)]
    pub(crate) const AUTH_QUERY: MessageType = MessageType(1);
    /// Its response.
    pub(crate) const AUTH_RESPONSE: MessageType = MessageType(2);
    /// A query of a resolver to an authoritative server.
    pub(crate) const RESOLVER_QUERY: MessageType = MessageType(3);
    /// Its response.
    pub(crate) const RESOLVER_RESPONSE: MessageType = MessageType(4);
    /// A query of a client to a resolver.
    pub(crate) const CLIENT_QUERY: MessageType = MessageType(5);
    /// Its response.
    pub(crate) const CLIENT_RESPONSE: MessageType = MessageType(6);
    /// A query of a forwarder to its upstream.
    pub(crate) const FORWARDER_QUERY: MessageType = MessageType(7);
    /// Its response.
    pub(crate) const FORWARDER_RESPONSE: MessageType = MessageType(8);

    /// All that the schema names.
    pub(crate) const ALL: [MessageType; 14] = {
        let mut all = [MessageType(0); 14];
        let mut rest: &mut [MessageType] = &mut all;
        let mut number = 1;
        while let Some((slot, tail)) = rest.split_first_mut() {
            *slot = MessageType(number);
            number += 1;
            rest = tail;
        }
        all
    };

    /// Whether it is a response. The schema has no bit for it: RESPONSE is QUERY + 1, and QUERY is odd.
    #[inline]
    pub const fn is_response(self) -> bool {
        self.0.is_multiple_of(2)
    }

    /// The number that a query and its response share: 0 for AUTH, 1 for RESOLVER, 2 for CLIENT and so on.
    /// The number 0, which the schema does not have, is alone with the largest kind.
    #[inline]
    pub(crate) const fn kind(self) -> u32 {
        self.0.wrapping_sub(1) / 2
    }
}

impl Family {
    /// IPv4.
    pub const INET: Family = Family(1);
    /// IPv6.
    pub(crate) const INET6: Family = Family(2);
}

impl Protocol {
    /// DNS over UDP (RFC 1035, 4.2.1).
    pub const UDP: Protocol = Protocol(1);
    /// DNS over TCP (RFC 1035, 4.2.2).
    pub const TCP: Protocol = Protocol(2);
    /// DNS over TLS (RFC 7858).
    pub(crate) const DOT: Protocol = Protocol(3);
    /// DNS over HTTPS (RFC 8484).
    pub(crate) const DOH: Protocol = Protocol(4);
    /// DNSCrypt over UDP.
    pub(crate) const DNSCRYPT_UDP: Protocol = Protocol(5);
    /// DNSCrypt over TCP.
    pub(crate) const DNSCRYPT_TCP: Protocol = Protocol(6);
    /// DNS over QUIC (RFC 9250).
    pub(crate) const DOQ: Protocol = Protocol(7);

    /// The transport below it; `None` for a number without a name.
    pub(crate) const fn transport(self) -> Option<&'static str> {
        match self {
            Protocol::UDP | Protocol::DNSCRYPT_UDP | Protocol::DOQ => Some("udp"),
            Protocol::TCP | Protocol::DOT | Protocol::DOH | Protocol::DNSCRYPT_TCP => Some("tcp"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_follows_its_query() {
        for pair in MessageType::ALL.chunks(2) {
            let (query, response) = (pair[0], pair[1]);
            assert!(query.to_string().ends_with("_QUERY") && !query.is_response());
            assert!(response.to_string().ends_with("_RESPONSE") && response.is_response());
            assert_eq!(query.kind(), response.kind());
        }
        assert_eq!(MessageType::CLIENT_QUERY.kind(), 2);
        assert_eq!(MessageType::ALL.len(), MessageType::KNOWN.len());
        assert!(MessageType::ALL.iter().all(|other| other.kind() != MessageType(0).kind()));
    }

    #[test]
    fn the_constants_are_the_rows() {
        assert_eq!(MessageType(1).to_string(), "AUTH_QUERY");
        assert_eq!(MessageType(2).to_string(), "AUTH_RESPONSE");
        assert_eq!(MessageType::RESOLVER_QUERY.to_string(), "RESOLVER_QUERY");
        assert_eq!(MessageType::RESOLVER_RESPONSE.to_string(), "RESOLVER_RESPONSE");
        assert_eq!(MessageType::CLIENT_QUERY.to_string(), "CLIENT_QUERY");
        assert_eq!(MessageType::CLIENT_RESPONSE.to_string(), "CLIENT_RESPONSE");
        assert_eq!(MessageType::FORWARDER_QUERY.to_string(), "FORWARDER_QUERY");
        assert_eq!(MessageType::FORWARDER_RESPONSE.to_string(), "FORWARDER_RESPONSE");
        assert_eq!(Family::INET.to_string(), "INET");
        assert_eq!(Family::INET6.to_string(), "INET6");
        assert_eq!(Protocol::UDP.to_string(), "UDP");
        assert_eq!(Protocol::TCP.to_string(), "TCP");
    }
}
