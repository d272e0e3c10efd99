//! Clients that were seen, by fingerprints of their addresses ([`SavedKeys`]).
//!
//! The last 800 are known, and up to 1,600, so that it never ends: a home has 50 addresses, some thousand
//! with those of IPv6 that change by the day. One that was not seen is taken for one that was in less than
//! 0.01 % of all cases. They are saved with the history: a restart makes nobody new.

use core::net::IpAddr;

use super::seen::SavedKeys;
use crate::wire::segment::{Input, Output};

/// Buckets of one filter.
const BUCKETS: usize = 1 << 9;
/// Clients of a generation: four of five places.
const GENERATION: usize = 820;

/// Clients that were seen.
#[derive(Debug, Default)]
pub(crate) struct SeenDevices(SavedKeys<BUCKETS>);

impl SeenDevices {
    /// Bytes of them.
    pub(crate) const COST: usize = SavedKeys::<BUCKETS>::COST;
    /// The number of the table in what is saved.
    pub(super) const TABLE: u8 = 1;

    /// Notes a client; whether it was not seen before.
    pub(crate) fn is_new(&mut self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.0.is_new(v4.octets().into_iter(), GENERATION),
            IpAddr::V6(v6) => self.0.is_new(v6.octets().into_iter(), GENERATION),
        }
    }

    /// Writes entries from a number on, 0 first; `None` when all are written, else the number to go on with.
    pub(super) fn write_saved(&self, from: usize, out: &mut Output<'_>) -> Option<usize> {
        self.0.write_saved(Self::TABLE, [0; 2], from, out)
    }

    /// Reads an entry, after its table. `None` if it is broken.
    pub(super) fn read_saved(&mut self, kind: u8, input: &mut Input<'_>) -> Option<()> {
        self.0.read_saved(kind, input).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    #[test]
    fn each_is_new_once_and_the_table_is_never_full() {
        let mut seen = SeenDevices::default();
        let address = |number: u32| match number % 2 {
            0 => IpAddr::V4(number.into()),
            _ => IpAddr::V6(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number))),
        };
        assert!(seen.is_new(address(0)));
        for number in 1..20_000 {
            assert!(!seen.is_new(address(0)), "in use: {number}");
            seen.is_new(address(number));
        }
        let new = (0..500).filter(|&number| seen.is_new(address(100_000 + number))).count();
        let again = (0..500).filter(|&number| seen.is_new(address(100_000 + number))).count();
        assert!(new >= 497 && again <= 2, "{new}, {again}");
    }
}
