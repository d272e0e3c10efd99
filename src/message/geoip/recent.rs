//! The places of the last addresses: one for each slot of a table, the newer in the place of the older.
//!
//! Who chooses addresses that meet in a slot makes lookups as slow as they are without the table, and no
//! more.

use core::cell::Cell;
use core::net::IpAddr;

use crate::limits::{self, PLACE_SLOT_BYTES, PLACES};

/// The table.
#[derive(Debug)]
pub(crate) struct RecentLocations {
    slots: Box<[Cell<Option<RecentSlot>>]>,
}

/// An address, and the texts for it.
#[derive(Clone, Copy, Debug)]
struct RecentSlot {
    /// IPv4 as a mapped one.
    address: u128,
    texts: [TextSpan; 2],
}

/// A short text within the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpan {
    start: u32,
    length: u8,
}

impl TextSpan {
    /// Where `text` is in `bytes`; `None` when that is too far in.
    pub(crate) fn within(bytes: &[u8], text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(TextSpan::default());
        }
        let start = (text.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
        Some(TextSpan { start: u32::try_from(start).ok()?, length: u8::try_from(text.len()).ok()? })
    }

    /// The text; empty when what is there is none any more.
    pub(crate) fn of(self, bytes: &[u8]) -> &str {
        let start = self.start as usize;
        let text = bytes.get(start..start + usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl RecentLocations {
    /// The texts for an address, when it was among the last.
    pub(crate) fn get(&self, address: IpAddr) -> Option<[TextSpan; 2]> {
        let address = number(address);
        let slot = self.slots.get(place(address))?.get()?;
        (slot.address == address).then_some(slot.texts)
    }

    /// Remembers the texts for an address.
    pub(crate) fn put(&self, address: IpAddr, texts: [TextSpan; 2]) {
        let address = number(address);
        if let Some(slot) = self.slots.get(place(address)) {
            slot.set(Some(RecentSlot { address, texts }));
        }
    }
}

impl Default for RecentLocations {
    fn default() -> Self {
        RecentLocations { slots: limits::table(PLACES, Cell::new(None)) }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The slot of an address: its bits stirred by a multiplication (Knuth's, 6.4).
fn place(address: u128) -> usize {
    let folded = (address >> 64) as u64 ^ address as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.ilog2())) as usize
}

const _: () = assert!(PLACES.is_power_of_two() && size_of::<Option<RecentSlot>>() <= PLACE_SLOT_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_stands_in_the_place_of_the_older() {
        let bytes = b"..Berlin, Bern..";
        let text = core::str::from_utf8(bytes).unwrap();
        let [berlin, bern] = [&text[2..8], &text[10..14]].map(|text| TextSpan::within(bytes, text).unwrap());
        let recent = RecentLocations::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(recent.get(address), None);
        recent.put(address, [berlin, TextSpan::default()]);
        assert_eq!(recent.get(address).unwrap().map(|span| span.of(bytes)), ["Berlin", ""]);
        for other in 0..20_000u32 {
            recent.put(IpAddr::V4(other.into()), [bern, bern]);
        }
        assert_eq!(recent.get(address), None);
        assert_eq!(recent.get(IpAddr::V4(19_999.into())).unwrap()[1].of(bytes), "Bern");
    }
}
