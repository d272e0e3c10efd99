//! Tunnels: data that leave in the names that are asked for, below a domain of whoever takes them out.
//!
//! After the information-based heavy hitters of Ozery, Nadler and Shabtai (2023): for each registered domain
//! the bytes of the different names below it, where a name that came before adds nothing. A bitmap
//! ([`NameBits`]) knows what came. A new name that meets the bit of another one is taken for known, so those
//! that do not stand for the others: with `free` of 512 bits free, each counts 512 / `free` times (Ting 2014,
//! streamed approximate counting). So the sum is right on average, until all bits are set, after some 3,000
//! names.
//!
//! An hour after the first name of a domain half of the bits are forgotten, the other half an hour later, and
//! the bytes are halved each time: a slow tunnel adds up, and a domain with some hundred names that come
//! again and again does not. One byte a second leaves in 1.6 bytes of names or more, which is 4,096 within
//! three quarters of an hour.
//!
//! Left out: how the names look. Hosts of a large network (video, updates) may have as many bytes in an hour;
//! that is a matter of the threshold.

use super::domain_table::{DomainEntry, DomainTable, NAME_BITS, NameBits, WAYS};

/// Domains watched at once.
const DOMAINS: usize = 64;

/// The domains below which most bytes of names were asked for.
#[derive(Debug, Default)]
pub(crate) struct Tunnels(DomainTable<TunnelDomain, { DOMAINS / WAYS }>);

/// One domain.
#[derive(Clone, Copy, Debug)]
struct TunnelDomain {
    /// Hash of the domain; 0 is free.
    key: u32,
    /// Bytes of different names.
    bytes: u32,
    /// The minute in which the hour under way began.
    begun: u16,
    /// Bits that are set.
    set: u16,
    bits: NameBits,
    /// Which half of the bits is forgotten next.
    odd: bool,
}

/// Bytes against which a new domain wins once in two times.
const UNIT: u32 = 32;

/// Minutes of an hour.
const HOUR: u16 = 60;

impl TunnelDomain {
    /// Hours that are over. A clock that is set back begins another one.
    fn hours(&self, minute: u16) -> u16 {
        match minute.wrapping_sub(self.begun) {
            passed if passed.cast_signed() >= 0 => passed / HOUR,
            // Messages of several streams come a little out of order.
            passed => u16::from(passed.cast_signed() < -HOUR.cast_signed()),
        }
    }
}

impl DomainEntry for TunnelDomain {
    const FREE: Self = TunnelDomain { key: 0, bytes: 0, begun: 0, set: 0, bits: NameBits::NONE, odd: false };

    fn begin(key: u32, minute: u16) -> Self {
        TunnelDomain { key, begun: minute, ..Self::FREE }
    }

    fn key(&self) -> u32 {
        self.key
    }

    fn pass(&mut self, minute: u16) {
        let hours = self.hours(minute);
        if hours == 0 {
            return;
        }
        (self.bytes, self.begun) = (self.size(minute), minute);
        for _ in 0..hours.min(2) {
            self.set = self.bits.forget_half(self.odd) as u16;
            self.odd = !self.odd;
        }
    }

    fn size(&self, minute: u16) -> u32 {
        self.bytes.checked_shr(u32::from(self.hours(minute))).unwrap_or(0)
    }

    fn odds(&self, minute: u16) -> u32 {
        self.size(minute) / UNIT + 1
    }
}

impl Tunnels {
    /// Notes a name with that many bytes below a domain, both by their hashes; the bytes, from the threshold
    /// on.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        (key, name): (u64, u64),
        is_fresh: bool,
        below: usize,
        minute: u64,
        threshold: u64,
    ) -> Option<u64> {
        let domain = self.0.entry(key, minute, is_fresh)?;
        if !domain.bits.is_new(name) {
            return None;
        }
        let free = NAME_BITS.saturating_sub(u32::from(domain.set)).max(1);
        domain.set += 1;
        domain.bytes = domain.bytes.saturating_add(below as u32 * NAME_BITS / free); // `below` is 255 at most
        Some(u64::from(domain.bytes)).filter(|bytes| *bytes >= threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::super::domain_table::FreshNames;
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
                assert_eq!(tunnels.observe((1, hash(name)), true, 15, round / 2, 4_096), None);
            }
        }
        let found: Vec<u64> =
            (100..200).filter_map(|name| tunnels.observe((1, hash(name)), true, 110, 500, 4_096)).collect();
        assert!(matches!(found[..], [4_096..=4_400, ..]), "{found:?}");
    }

    /// One byte a second, in base32 a name of ten bytes each six seconds, is found within an hour, whenever
    /// it begins.
    #[test]
    fn a_slow_tunnel_adds_up_among_other_domains() {
        for begin in [0, 600, 1_800, 3_500] {
            let mut tunnels = Tunnels::default();
            let mut found = None;
            for second in begin..begin + 7_200u64 {
                for other in 0..5 {
                    let domain = hash(second * 5 + other) % 3_000 + 10;
                    let name = hash(domain * 10 + second % 3);
                    tunnels.observe((hash(domain), name), true, 6, second / 60, 4_096);
                }
                if second % 6 == 0
                    && tunnels.observe((hash(1), hash(second << 20)), true, 10, second / 60, 4_096).is_some()
                {
                    found = found.or(Some(second - begin));
                }
            }
            assert!(found.is_some_and(|second| second < 3_600), "{begin}: {found:?}");
        }
    }

    #[test]
    fn what_is_known_still_counts_for_bits_that_are_set() {
        let mut errors = 0.0;
        for seed in 0..20u64 {
            let mut tunnels = Tunnels::default();
            for name in 0..600 {
                tunnels.observe((1, hash(seed << 32 | name)), true, 10, 7, u64::MAX);
            }
            errors += f64::from(tunnels.0.entry(1, 7, false).unwrap().bytes) / 6_000.0 - 1.0;
        }
        assert!(errors.abs() / 20.0 < 0.03, "{errors}");
    }

    /// Fifty queries a second for 3,000 domains with three names each hide nobody who asks for new names.
    #[test]
    fn what_is_usual_lets_a_slow_tunnel_through() {
        let (mut tunnels, mut fresh) = (Tunnels::default(), FreshNames::default());
        let mut found = None;
        for second in 0..3_600u64 {
            for other in 0..50 {
                let domain = hash(second * 50 + other) % 3_000 + 10;
                let name = hash(domain * 10 + second % 3);
                tunnels.observe(
                    (hash(domain), name),
                    fresh.is_fresh(name, second / 60),
                    12,
                    second / 60,
                    4_096,
                );
            }
            let name = hash(second << 20);
            if second % 6 == 0 {
                let is_fresh = fresh.is_fresh(name, second / 60);
                let told = tunnels.observe((hash(1), name), is_fresh, 10, second / 60, 4_096);
                found = found.or(told.map(|_| second));
            }
        }
        assert!(found.is_some(), "not within an hour");
    }
}
