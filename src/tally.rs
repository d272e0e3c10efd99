//! Counters by reason: what was dropped, rejected, filtered, malformed or evicted, and why.
//!
//! The reasons are known at start, so every one is there with 0 from the first scrape on. Counting searches
//! the list: a tally is for the exception, not for every message.

use core::cell::Cell;

use crate::limits::REASONS;

/// One counter for each of a fixed list of reasons.
#[derive(Debug, Default)]
pub struct Tally(heapless::Vec<(&'static str, Cell<u64>), REASONS>);

impl Tally {
    /// All reasons with 0; a reason listed twice is kept once, those beyond [`REASONS`] count under the last.
    pub fn new(reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let mut tally = Tally::default();
        for reason in reasons {
            if tally.find(reason).is_none() {
                let _ = tally.0.push((reason, Cell::new(0)));
            }
        }
        tally
    }

    /// Counts `number` more for a reason.
    pub fn add(&self, reason: &str, number: u64) {
        if let Some(count) = self.find(reason).or_else(|| self.0.last().map(|(_, count)| count)) {
            count.set(count.get().wrapping_add(number));
        }
    }

    /// Counts one more for a reason.
    pub fn count(&self, reason: &str) {
        self.add(reason, 1);
    }

    /// Count of one reason; 0 for one that is not listed.
    pub fn of(&self, reason: &str) -> u64 {
        self.find(reason).map_or(0, Cell::get)
    }

    /// Sum over all reasons.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// All reasons and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, count.get()))
    }

    fn find(&self, reason: &str) -> Option<&Cell<u64>> {
        self.0.iter().find(|(listed, _)| *listed == reason).map(|(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_from_the_start() {
        let tally = Tally::new(["full", "closed", "full"]);
        tally.count("closed");
        tally.add("closed", 2);
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("full", 0), ("closed", 3)]);
        assert_eq!((tally.of("closed"), tally.of("other"), tally.total()), (3, 0, 3));
    }
}
