//! Tunnels: data that leave in the names that are asked for, below a domain of whoever takes them out.
//!
//! After the information-based heavy hitters of Ozery, Nadler and Shabtai (2023): for each registered domain the bytes of
//! the different names below it, where a name that came before adds nothing. A bitmap of 2,048 bits knows what came; it is
//! emptied each hour while the bytes are halved, so that a slow tunnel adds up and a domain with some hundred names
//! does not. A tunnel at one byte a second writes 3,600 bytes of names and more in an hour.
//!
//! Left out: how the names look. Hosts of a large network (video, updates) may have as many bytes in an hour; that is a
//! matter of the threshold.

use super::domain_table::{DomainEntry, DomainTable, WAYS};

/// Domains watched at once.
const DOMAINS: usize = 64;
const WORDS: usize = 32;

/// The domains below which most bytes of names were asked for.
#[derive(Debug, Default)]
pub(crate) struct Tunnels(DomainTable<TunnelDomain, { DOMAINS / WAYS }>);

/// One domain.
#[derive(Clone, Copy, Debug)]
struct TunnelDomain {
    /// Hash of the domain; 0 is free.
    key: u64,
    hour: u64,
    /// Bytes of different names.
    bytes: u64,
    bits: [u64; WORDS],
}

/// Bytes against which a new domain wins once in two times.
const UNIT: u64 = 32;

impl DomainEntry for TunnelDomain {
    const FREE: Self = TunnelDomain { key: 0, hour: 0, bytes: 0, bits: [0; WORDS] };

    fn begin(key: u64, hour: u64) -> Self {
        TunnelDomain { key, hour, ..Self::FREE }
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn period(&self) -> u64 {
        self.hour
    }

    fn renew(&mut self, hour: u64) {
        // Time may go backwards, when somebody's clock does: that is another hour, too.
        let passed = hour.abs_diff(self.hour).min(63);
        *self = TunnelDomain { hour, bytes: self.bytes >> passed, bits: [0; WORDS], ..*self };
    }

    fn size(&self, _: u64) -> u64 {
        self.bytes
    }

    fn odds(&self, _: u64) -> u64 {
        self.bytes / UNIT + 1
    }
}

impl Tunnels {
    /// Notes a name with that many bytes below a domain, both by their hashes; the bytes, once they reach the threshold.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        (key, name): (u64, u64),
        below: usize,
        hour: u64,
        threshold: u64,
    ) -> Option<u64> {
        let domain = self.0.entry(key, hour)?;
        let bits = domain.bits.get_mut((name >> 59) as usize % WORDS)?;
        let bit = 1 << (name >> 53 & 63);
        if *bits & bit != 0 {
            return None;
        }
        *bits |= bit;
        let before = domain.bytes;
        domain.bytes += below as u64;
        (before < threshold && domain.bytes >= threshold).then_some(domain.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        let mixed = (number ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn names_that_come_again_carry_nothing() {
        let mut tunnels = Tunnels::default();
        for round in 0..1_000 {
            for name in 0..20 {
                assert_eq!(tunnels.observe((1, hash(name)), 15, round / 100, 4_096), None);
            }
        }
        let found: Vec<u64> =
            (100..200).filter_map(|name| tunnels.observe((1, hash(name)), 110, 10, 4_096)).collect();
        assert!(matches!(found[..], [4_096..=4_400]), "{found:?}");
    }

    /// One byte a second in names of 12 bytes, one each 6 s, is found within an hour or the next.
    #[test]
    fn a_slow_tunnel_adds_up_among_other_domains() {
        let mut tunnels = Tunnels::default();
        let mut found = None;
        for second in 0..7_200u64 {
            let hour = second / 3_600;
            for other in 0..5 {
                let domain = hash(second * 5 + other) % 3_000 + 10;
                tunnels.observe((hash(domain), hash(domain * 10 + second % 3)), 6, hour, 4_096);
            }
            if second % 6 == 0
                && tunnels.observe((hash(1), hash((second + 1) << 20)), 12, hour, 4_096).is_some()
            {
                found = found.or(Some(second));
            }
        }
        assert!(found.is_some_and(|second| second < 6_000), "{found:?}");
    }
}
