//! The registered domain of a name ([`registered_domain`]), and how much of the name is below it.
//!
//! A rule that is missing there makes one domain of many, so a threshold is reached sooner, never later.

use core::hash::{BuildHasher, Hasher};

use crate::limits::HEALTH_RECENT_DOMAINS;
use crate::sys::random::{SeededState, seeded_state};
use crate::wire::name::Name;
use crate::wire::registered_domain::registered_domain;

/// A registered domain, and how much of the name is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredDomain<'a> {
    /// The domain in wire form.
    pub(crate) suffix: &'a [u8],
    /// Bytes of the labels below it, their length bytes apart.
    pub(crate) bytes_below: usize,
}

impl<'a> RegisteredDomain<'a> {
    /// The registered domain of a name; `None` for one that is none or has nothing below it.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn of(name: &Name<'a>) -> Option<Self> {
        let (domain, below) = registered_domain(name)?;
        let start = name.wire_form().len() - domain.wire_form().len();
        (below > 0).then_some(RegisteredDomain { suffix: domain.wire_form(), bytes_below: start - below })
    }

    /// A hash without regard to case.
    #[cfg_attr(for_size, optimize(speed))]
    fn hash(&self, state: &SeededState) -> u64 {
        let mut hasher = state.build_hasher();
        if let Ok((name, _)) = Name::parse(self.suffix) {
            name.hash_folded(&mut hasher);
        }
        hasher.finish().max(1)
    }
}

/// The registered domains of the last names: most names come again before long, as A and AAAA, from the next
/// device.
///
/// A name is known by 54 bits of its hash, without regard to case; an entry is overwritten by the next one
/// that falls on it.
#[derive(Debug)]
pub(crate) struct RecentDomains {
    names: [RecentDomain; HEALTH_RECENT_DOMAINS],
    hasher: SeededState,
}

#[derive(Clone, Copy, Debug, Default)]
struct RecentDomain {
    /// The upper bits of the name's hash, the bytes before its domain, 8, and how many of these tell lengths,
    /// 8.
    name: u64,
    /// Hash of the domain; 0 is that of a name with nothing below its domain, or without one.
    hash: u64,
}

/// Bits of an entry that are not the name's hash.
const START_BITS: u32 = 16;

impl Default for RecentDomains {
    fn default() -> Self {
        RecentDomains { names: [RecentDomain::default(); HEALTH_RECENT_DOMAINS], hasher: seeded_state() }
    }
}

impl RecentDomains {
    /// The registered domain of a name with that hash, and a hash of it, without regard to case; `None` as
    /// for [`RegisteredDomain::of`].
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn find<'a>(&mut self, name: &Name<'a>, hash: u64) -> Option<(RegisteredDomain<'a>, u64)> {
        let entry = self.names.get_mut(hash as usize % HEALTH_RECENT_DOMAINS)?;
        if (entry.name ^ hash) >> START_BITS != 0 {
            *entry = RecentDomain::of(name, hash, &self.hasher);
        }
        let [labels, start, ..] = entry.name.to_le_bytes().map(usize::from);
        let suffix = name.wire_form().get(start..)?;
        (entry.hash != 0).then_some((RegisteredDomain { suffix, bytes_below: start - labels }, entry.hash))
    }
}

impl RecentDomain {
    #[cold]
    fn of(name: &Name<'_>, hash: u64, hasher: &SeededState) -> Self {
        let name_bits = hash >> START_BITS << START_BITS;
        let Some(domain) = RegisteredDomain::of(name) else {
            return RecentDomain { name: name_bits, hash: 0 };
        };
        // Both are below the length of a name.
        let start = name.wire_form().len() - domain.suffix.len();
        let labels = start - domain.bytes_below;
        RecentDomain { name: name_bits | (start << 8 | labels) as u64, hash: domain.hash(hasher) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_has_the_domain_that_it_had() {
        let mut recent = RecentDomains::default();
        let names = ["www.example.com", "WWW.Example.com", "a.b.example.co.uk", "example.com", "com", ""];
        for (text, hash) in names.iter().zip([7 << 16, 7 << 16, 8 << 16, 9 << 16, 7 << 16 | 1, 1 << 40]) {
            let labels = text.split('.').filter(|label| !label.is_empty());
            let labels = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            let bytes = labels.chain([0]).collect::<Vec<u8>>();
            let name = Name::parse(&bytes).unwrap().0;
            let expected = RegisteredDomain::of(&name);
            for _ in 0..2 {
                let found = recent.find(&name, hash);
                assert_eq!(found.map(|(domain, _)| domain), expected, "{text}");
                let hash = expected.map(|domain| domain.hash(&recent.hasher));
                assert_eq!(found.map(|(_, hash)| hash), hash, "{text}");
            }
        }
    }

    #[test]
    fn what_is_below_is_told_from_what_is_owned() {
        let check = |name: &str, expected: Option<(&str, usize)>| {
            let wire = |text: &str| {
                let labels = text.split('.').filter(|label| !label.is_empty());
                let labels = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
                labels.chain([0]).collect::<Vec<u8>>()
            };
            let bytes = wire(name);
            let found = RegisteredDomain::of(&Name::parse(&bytes).unwrap().0);
            let expected = expected.map(|(suffix, below)| (wire(suffix), below));
            assert_eq!(found.map(|found| (found.suffix.to_vec(), found.bytes_below)), expected, "{name}");
        };
        check("www.example.com", Some(("example.com", 3)));
        check("a.b.Example.CO.uk", Some(("Example.CO.uk", 2)));
        check("x.customer.cloudfront.net", Some(("customer.cloudfront.net", 1)));
        for none in ["", "com", "example.com", "example.co.uk", "1.0.0.127.in-addr.arpa"] {
            check(none, None);
        }
    }
}
