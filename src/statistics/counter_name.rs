//! Counters by the names that they are read by, such as `query/udp`, `response/noerror`,
//! `response/latency0_1`.
//!
//! Names are looked up in a fixed order, protocol, family, rcode, type, so each name means one thing.

use super::counters::{COUNTERS, CounterRow, Direction, LATENCY_CLASSES};
use crate::wire::iana::{Family, Protocol, Rcode, RrType};

/// One counter, by what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterName {
    /// A counter with a row of its own, by the place of that.
    Plain(usize),
    /// Messages over one transport.
    Protocol(Direction, Protocol),
    /// Messages over one address family.
    Family(Direction, Family),
    /// Messages with one rcode.
    Rcode(Direction, Rcode),
    /// Messages with one question type.
    Type(Direction, RrType),
    /// Responses of one latency class, by index in `LATENCY_CLASSES`.
    Latency(usize),
}

impl CounterName {
    /// Reads a published name, such as `query/udp`; `None` for a name that counts nothing here.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (direction, what) = match name.split_once('/') {
            None => (name, ""),
            Some((_, "")) => return None,
            Some(parts) => parts,
        };
        let direction = Direction::parse(direction)?;
        let is_meant = |row: &CounterRow| row.direction == direction && row.name == what;
        if let Some(row) = COUNTERS.iter().position(is_meant) {
            return Some(CounterName::Plain(row));
        }
        if let (Direction::Response, Some(class)) =
            (direction, LATENCY_CLASSES.iter().position(|(class, _)| *class == what))
        {
            return Some(CounterName::Latency(class));
        }
        let protocol =
            || Protocol::from_mnemonic(what).map(|protocol| CounterName::Protocol(direction, protocol));
        let family = || Family::from_mnemonic(what).map(|family| CounterName::Family(direction, family));
        let rcode = || parse_rcode(what).map(|rcode| CounterName::Rcode(direction, rcode));
        let rrtype = || parse_type(what).map(|rrtype| CounterName::Type(direction, rrtype));
        protocol().or_else(family).or_else(rcode).or_else(rrtype)
    }
}

/// An rcode by its mnemonic, or by the old spelling of NOTIMP.
pub(crate) fn parse_rcode(what: &str) -> Option<Rcode> {
    if what.eq_ignore_ascii_case("noimp") { Some(Rcode(4)) } else { Rcode::from_mnemonic(what) }
}

/// A type by its mnemonic, or by the old spellings of TLSA and of type 0.
pub(crate) fn parse_type(what: &str) -> Option<RrType> {
    if what.eq_ignore_ascii_case("tsla") {
        Some(RrType(52))
    } else if what.eq_ignore_ascii_case("none") {
        Some(RrType(0))
    } else {
        RrType::from_mnemonic(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_first_kind_that_knows_it() {
        use CounterName::*;
        let check = |name: &str, expected: Option<CounterName>| {
            assert_eq!(CounterName::parse(name), expected, "{name}")
        };
        check("query", Some(Plain(2)));
        check("response/bytes", Some(Plain(1)));
        check("response/blocked", Some(Plain(4)));
        check("query/blocked", None);
        check("query/", None);
        check("query/dot", Some(Protocol(Direction::Query, crate::wire::iana::Protocol(3))));
        check("query/dnscryptudp", Some(Protocol(Direction::Query, crate::wire::iana::Protocol(5))));
        check("query/inet6", Some(Family(Direction::Query, crate::wire::iana::Family(2))));
        check("response/nxdomain", Some(Rcode(Direction::Response, crate::wire::iana::Rcode(3))));
        check("response/noimp", Some(Rcode(Direction::Response, crate::wire::iana::Rcode(4))));
        check("query/mx", Some(Type(Direction::Query, RrType(15))));
        check("query/tsla", Some(Type(Direction::Query, RrType(52))));
        check("query/none", Some(Type(Direction::Query, RrType(0))));
        check("query/type65280", Some(Type(Direction::Query, RrType(65280))));
        check("response/latency_slow", Some(Latency(5)));
        check("query/latency_slow", None);
        check("query/com", None);
        check("latency", None);
        check("", None);
    }
}
