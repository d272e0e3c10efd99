//! DNS rebinding: a public name that is answered with a private address, so that a page from outside reaches
//! a device inside.
//!
//! Names of homes (`lan`, `local`, `internal`, `home.arpa`, `fritz.box` and more, names without a dot) have
//! private addresses by right. 0.0.0.0 and :: are the answers of ad blockers, and no device's. Exact: every
//! address in the answer is looked at.

use core::net::IpAddr;

use crate::message::event::Event;
use crate::wire::answers::Sections;
use crate::wire::iana::{Class, RrType};
use crate::wire::name::Name;

/// Records looked at: a response with more has said what it has to say.
const RECORDS_MAX: usize = 64;

/// Domains whose names have private addresses by right, in wire form without the root.
const INSIDE: &[&[u8]] = &[
    b"\x03lan",
    b"\x04home",
    b"\x04corp",
    b"\x05local",
    b"\x08internal",
    b"\x08intranet",
    b"\x09localhost",
    b"\x0blocaldomain",
    b"\x04home\x04arpa",
    b"\x05fritz\x03box",
];

/// The private address that a response gives for a public name.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(crate) fn find(event: &Event<'_>) -> Option<IpAddr> {
    let question = event.dns.question.as_ref()?;
    if !matches!(question.qtype, Some(RrType(1 | 28))) {
        return None;
    }
    // Few answers have a private address, so the name is looked at last.
    let address = private_address(&event.sections()?)?;
    is_public(&question.name).then_some(address)
}

fn is_public(name: &Name<'_>) -> bool {
    let bytes = name.wire_form();
    let labels = bytes.split_last().map_or(&[][..], |(_, labels)| labels);
    let is_below = |domain: &&[u8]| {
        let start = labels.len().checked_sub(domain.len());
        start.and_then(|start| labels.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
    };
    // A name without a dot is one label: its length byte says that it ends where the name does.
    let is_single = labels.first().is_none_or(|&length| usize::from(length) + 1 >= labels.len());
    !is_single && !INSIDE.iter().any(is_below)
}

/// The first private address among the answers.
fn private_address(sections: &Sections<'_>) -> Option<IpAddr> {
    let records = sections.answers().take(RECORDS_MAX).filter(|record| record.class == Class::IN);
    { records }.filter_map(|record| record.address()).find(|&address| is_private(address))
}

/// Whether an address is of a home, a company or this machine; the unspecified ones are not.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Vec<u8> {
        let labels = text.split('.').filter(|label| !label.is_empty());
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect()
    }

    #[test]
    fn names_of_homes_are_not_public() {
        let check = |text: &str, expected| {
            let wire = name(text);
            assert_eq!(is_public(&Name::parse(&wire).unwrap().0), expected, "{text}");
        };
        for public in ["example.com", "www.lan.example", "xlocal.com", "a.xlan"] {
            check(public, true);
        }
        for inside in [
            "router",
            "",
            "a.LAN",
            "x.y.local",
            "fritz.box",
            "nas.fritz.box",
            "a.home",
            "nas.home.arpa",
            "lan",
        ] {
            check(inside, false);
        }
    }

    #[test]
    fn any_private_address_in_the_answer_counts() {
        let response = |addresses: &[[u8; 4]]| {
            let mut payload = vec![0, 1, 0x81, 0x80, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0];
            payload.extend(name("www.example.com"));
            payload.extend([0, 1, 0, 1]);
            for address in addresses {
                payload.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                payload.extend(address);
            }
            payload
        };
        let private = |payload: &[u8]| private_address(&Sections::of(payload)?);
        let found = |addresses: &[[u8; 4]]| private(&response(addresses)).map(|it| it.to_string());
        assert_eq!(found(&[[192, 0, 2, 1], [8, 8, 8, 8]]), None);
        assert_eq!(found(&[[0, 0, 0, 0]]), None, "blocked");
        assert_eq!(found(&[[192, 0, 2, 1], [192, 168, 1, 1]]).as_deref(), Some("192.168.1.1"));
        assert_eq!(found(&[[127, 0, 0, 1]]).as_deref(), Some("127.0.0.1"));
        let whole = response(&[[10, 0, 0, 1]]);
        for length in 0..whole.len() {
            assert_eq!(private(&whole[..length]), None, "cut after {length}");
        }
    }
}
