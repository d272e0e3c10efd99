//! Messages by the country of their query address.
//!
//! There are some 250 countries, so each has a place of its own, in order of first appearance, and the numbers are
//! exact. The global numbers and those of the first streams are kept; a stream further back has none.
//!
//! What a database calls a country is not up to us: should it know more than [`COUNTRIES`] names, messages from the
//! further ones are counted as evicted. An address that it does not know counts under `-`.

use core::hash::BuildHasher;

use super::counters::Direction;
use crate::limits::{self, COUNTRIES, PLACE_BYTES};

/// The table.
#[derive(Debug)]
pub struct Countries {
    /// Names as the database has them, in order of first appearance.
    names: heapless::Vec<heapless::String<PLACE_BYTES, u8>, COUNTRIES>,
    /// Open addressing: place + 1 of the name that hashes here; 0 is free.
    index: [u16; 2 * COUNTRIES],
    /// All streams together, then the first ones.
    counts: Box<[Counts]>,
    hasher: foldhash::fast::RandomState,
    evicted: u64,
}

/// Queries and responses of each country.
type Counts = [[u64; 2]; COUNTRIES];

/// The name for what the database does not know.
const UNKNOWN: &str = "-";

impl Countries {
    /// Octets of the table for so many streams.
    pub const fn cost(streams: usize) -> usize {
        size_of::<Countries>() + (streams + 1) * size_of::<Counts>()
    }

    /// Nothing counted; room for the first `streams` streams.
    pub fn new(streams: usize) -> Box<Self> {
        Box::new(Countries {
            names: heapless::Vec::new(),
            index: [0; 2 * COUNTRIES],
            counts: limits::table(streams + 1, [[0; 2]; COUNTRIES]),
            hasher: Default::default(),
            evicted: 0,
        })
    }

    /// Counts a message of the stream at a place; `country` is empty when it is not known.
    pub fn observe(&mut self, stream: usize, direction: Direction, country: &str) {
        let Some(place) = self.place(if country.is_empty() { UNKNOWN } else { country }) else {
            self.evicted += 1;
            return;
        };
        for scope in [Some(0), stream.checked_add(1)].into_iter().flatten() {
            let counts = self.counts.get_mut(scope).and_then(|counts| counts.get_mut(place));
            if let Some(count) = counts.and_then(|counts| counts.get_mut(direction as usize)) {
                *count += 1;
            }
        }
    }

    /// The place of a name, made when it is new and there is room.
    fn place(&mut self, name: &str) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        loop {
            match self.index.get(slot).copied().unwrap_or(0) {
                0 => break,
                place if self.names.get(usize::from(place) - 1).is_some_and(|known| known == name) => {
                    return Some(usize::from(place) - 1);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
        let place = self.names.len();
        self.names.push(heapless::String::try_from(name).ok()?).ok()?;
        if let Some(free) = self.index.get_mut(slot) {
            *free = u16::try_from(place + 1).unwrap_or(0);
        }
        Some(place)
    }

    /// Each country and its messages, in no order: of the stream at a place, or of all. None for a stream that has no
    /// numbers of its own.
    pub fn rows(&self, stream: Option<usize>, direction: Direction) -> impl Iterator<Item = (&str, u64)> {
        let scope = stream.map_or(0, |stream| stream.saturating_add(1));
        let counts = self.counts.get(scope).into_iter().flatten();
        let counts = counts.map(move |counts| counts.get(direction as usize).copied().unwrap_or(0));
        self.names.iter().map(|name| name.as_str()).zip(counts).filter(|&(_, count)| count > 0)
    }

    /// Counts from zero again.
    pub fn reset(&mut self) {
        self.names.clear();
        self.index.fill(0);
        self.counts.fill([[0; 2]; COUNTRIES]);
    }

    /// Messages from countries that found no room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

const _: () = assert!(COUNTRIES.is_power_of_two() && COUNTRIES < u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Query, Response};

    fn rows(countries: &Countries, stream: Option<usize>, direction: Direction) -> Vec<(&str, u64)> {
        countries.rows(stream, direction).collect()
    }

    #[test]
    fn each_country_has_a_count_of_its_own() {
        let mut countries = Countries::new(2);
        for (stream, direction, country) in [
            (0, Query, "Japan"),
            (1, Query, "Japan"),
            (9, Query, "Peru"),
            (0, Response, ""),
            (0, Query, "Peru"),
        ] {
            countries.observe(stream, direction, country);
        }
        assert_eq!(rows(&countries, None, Query), [("Japan", 2), ("Peru", 2)]);
        assert_eq!(rows(&countries, None, Response), [("-", 1)]);
        assert_eq!(rows(&countries, Some(0), Query), [("Japan", 1), ("Peru", 1)]);
        assert_eq!(rows(&countries, Some(1), Query), [("Japan", 1)]);
        assert_eq!(rows(&countries, Some(9), Query), []);
        countries.reset();
        assert_eq!(rows(&countries, None, Query), []);
    }

    #[test]
    fn a_full_table_counts_what_it_leaves_out() {
        let mut countries = Countries::new(0);
        for round in 1..=2 {
            for number in 0..COUNTRIES + 10 {
                countries.observe(0, Query, &format!("Country {number}"));
            }
            let rows = rows(&countries, None, Query);
            assert!(rows.len() == COUNTRIES && rows.iter().all(|&(_, count)| count == round));
            assert_eq!(countries.evicted(), 10 * round);
        }
    }
}
