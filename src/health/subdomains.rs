//! Random subdomains: an attack that asks for many names that do not exist below one domain, so that no cache
//! helps.
//!
//! After the distinct heavy hitters of Afek, Bremler-Barr, Cohen, Feibish and Shagam (2017): for each
//! registered domain a small sketch of how many different names came in the minute under way. The sketch is a
//! bitmap ([`NameBits`]): of `m` bits, the hash of a name sets one, and `n = -m ln(free / m)` names were
//! seen. With 512 bits, 200 names are estimated within 3 % (one standard error); above 1,000 it only says
//! "many".
//!
//! A new domain takes the place of one of an earlier minute, else that of the one with the fewest names, once
//! in that number + 1 ([`DomainTable`]). So a domain of which 1 in 100 queries is comes in within its first
//! names.

use super::domain_table::{DomainEntry, DomainTable, NAME_BITS, NameBits, WAYS};

/// Domains watched at once.
const DOMAINS: usize = 64;

/// The domains of which most names are asked for.
#[derive(Debug, Default)]
pub(crate) struct RandomSubdomains(DomainTable<WatchedDomain, { DOMAINS / WAYS }>);

/// One domain and its bitmap.
#[derive(Clone, Copy, Debug)]
struct WatchedDomain {
    /// Hash of the domain; 0 is free.
    key: u32,
    minute: u16,
    /// Bits that are set.
    set: u16,
    bits: NameBits,
}

impl WatchedDomain {
    /// Whether a minute is another one. Messages of several streams come a little out of order: the minute
    /// before is still this one.
    fn is_over(&self, minute: u16) -> bool {
        !matches!(self.minute.wrapping_sub(minute), 0 | 1)
    }
}

impl DomainEntry for WatchedDomain {
    const FREE: Self = WatchedDomain { key: 0, minute: 0, set: 0, bits: NameBits::NONE };

    fn begin(key: u32, minute: u16) -> Self {
        WatchedDomain { key, minute, ..Self::FREE }
    }

    fn key(&self) -> u32 {
        self.key
    }

    fn pass(&mut self, minute: u16) {
        if self.is_over(minute) {
            *self = Self::begin(self.key, minute);
        }
    }

    fn size(&self, minute: u16) -> u32 {
        if self.key == 0 || self.is_over(minute) { 0 } else { u32::from(self.set) + 1 }
    }

    fn odds(&self, minute: u16) -> u32 {
        self.size(minute).max(1)
    }
}

impl RandomSubdomains {
    /// Notes a name below a domain, both by their hashes; the estimate, from the threshold of a minute on.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        (key, name): (u64, u64),
        is_fresh: bool,
        minute: u64,
        threshold: u64,
    ) -> Option<u64> {
        let domain = self.0.entry(key, minute, is_fresh)?;
        if !domain.bits.is_new(name) {
            return None;
        }
        domain.set += 1;
        Some(estimate(domain.set)).filter(|names| *names >= threshold)
    }
}

/// Names that set that many bits.
fn estimate(set: u16) -> u64 {
    let free = f64::from(NAME_BITS.saturating_sub(u32::from(set)).max(1));
    (-f64::from(NAME_BITS) * (free / f64::from(NAME_BITS)).ln()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        let mixed = (number ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn the_estimate_is_that_of_linear_counting() {
        for count in [50u64, 200, 400, 800] {
            let mut errors = 0.0;
            for seed in 0..20 {
                let mut table = RandomSubdomains::default();
                let mut last = 0;
                for name in 0..count {
                    table.observe((7, hash(name + seed * 10_000)), true, 1, u64::MAX);
                    let entry = table.0.entry(7, 1, false).unwrap();
                    last = estimate(entry.set);
                }
                errors += (last as f64 / count as f64 - 1.0).abs() / 20.0;
            }
            assert!(errors < 0.06, "{count}: {errors}");
        }
    }

    /// A victim of which 1 query in 100 is, among 2,000 other domains, within 1,000 queries of the attack.
    #[test]
    fn a_victim_is_found_among_many_domains() {
        let mut table = RandomSubdomains::default();
        let (victim, mut attack) = (hash(1), 0);
        for query in 0..100_000u64 {
            if query % 100 == 0 {
                attack += 1;
                if table.observe((victim, hash(query + 1_000_000)), true, 1, 200).is_some() {
                    break;
                }
            } else {
                let domain = hash(query) % 2_000;
                let name = hash(hash(query) % 8 + domain * 100);
                let found = table.observe((hash(domain + 77), name), true, 1, 200);
                assert_eq!(found, None, "a domain with eight names");
            }
        }
        assert!((180..1_000).contains(&attack), "{attack}");
    }

    #[test]
    fn a_minute_begins_at_zero() {
        let mut table = RandomSubdomains::default();
        let found =
            (0..400).filter(|&name| table.observe((3, hash(name)), true, name / 150, 200).is_some()).count();
        assert_eq!(found, 0, "150 a minute");
        let found: Vec<u64> =
            (0..400).filter_map(|name| table.observe((3, hash(name)), true, 9, 200)).collect();
        assert!(
            found.is_sorted() && found[0] < 210 && found.last().is_some_and(|last| *last > 350),
            "{found:?}"
        );
    }

    /// Ten victims, each of which 1 query in 100 is, among domains of which each is asked for once.
    #[test]
    fn ten_victims_are_found_among_ever_new_domains() {
        for seed in 0..5u64 {
            let mut table = RandomSubdomains::default();
            let mut attacks = [0; 10];
            let mut found = [false; 10];
            for query in 0..100_000u64 {
                let (victim, name) = ((query % 100) as usize, hash(query + 1_000_000 + (seed << 32)));
                if victim < 10 {
                    attacks[victim] += u32::from(!found[victim]);
                    found[victim] |=
                        table.observe((hash(victim as u64 + (seed << 40)), name), true, 1, 200).is_some();
                } else {
                    assert_eq!(table.observe((hash(query + (seed << 48)), name), true, 1, 200), None);
                }
            }
            assert!(attacks.iter().all(|attacks| (180..1_000).contains(attacks)), "{attacks:?}");
        }
    }
}
