//! The registered domain of a name ([`registered_domain`]), and how much of the name is below it.
//!
//! A rule that is missing there makes one domain of many, so a threshold is reached sooner, never later.

use core::hash::{BuildHasher, Hasher};

use crate::sys::random::SeededState;
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
    pub(crate) fn hash(&self, state: &SeededState) -> u64 {
        let mut hasher = state.build_hasher();
        if let Ok((name, _)) = Name::parse(self.suffix) {
            name.hash_folded(&mut hasher);
        }
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
