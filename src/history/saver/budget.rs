//! How much may be written: a day's worth of bytes, evenly.
//!
//! It is a bucket of tokens, as large as a day's worth and refilled evenly. So that the first day keeps it, too,
//! the bucket is half full at the start, and filled half as fast for a day; a stop on that day may use all that
//! is left of the day's worth. A file costs its pages, since that is how a kernel writes.

use std::time::Instant;

/// Seconds of a day.
pub(super) const DAY_SECONDS: u64 = 86_400;
/// How a kernel writes.
pub(super) const PAGE_BYTES: u64 = 4096;

/// Bytes that may be written.
#[derive(Debug)]
pub(super) struct WriteBudget {
    /// A day's worth; 0 = no limit.
    size: u64,
    tokens: u64,
    /// When it began, and the seconds after that to which it is filled.
    began: Instant,
    filled: u64,
    /// Bytes of the last day, those before the start included, as long as that is its first.
    spent: u64,
}

impl WriteBudget {
    /// One that has spent so much within the day before.
    pub(super) fn new(size: u64, spent: u64, now: Instant) -> WriteBudget {
        WriteBudget { size, tokens: (size / 2).saturating_sub(spent), began: now, filled: 0, spent }
    }

    /// Adds what the time has brought.
    pub(super) fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        let new = self.earned(seconds).saturating_sub(self.earned(self.filled));
        // What is less than a token is not lost: the clock goes on by whole ones.
        if new > 0 {
            self.tokens = self.tokens.saturating_add(new).min(self.size);
            self.filled = seconds;
        }
    }

    /// Bytes that so many seconds bring: half as many on the first day.
    fn earned(&self, seconds: u64) -> u64 {
        let halves = seconds.saturating_add(seconds.saturating_sub(DAY_SECONDS));
        self.size.saturating_mul(halves) / (2 * DAY_SECONDS)
    }

    /// Bytes that a file may have now: whole pages. The last one of a first day may have what is left of that
    /// day.
    pub(super) fn room(&self, is_last: bool) -> u64 {
        let left = match is_last && self.filled < DAY_SECONDS {
            true => self.size.saturating_sub(self.spent),
            false => self.tokens,
        };
        if self.size == 0 { u64::MAX } else { left / PAGE_BYTES * PAGE_BYTES }
    }

    /// Pays for a file.
    pub(super) fn take(&mut self, bytes: u64) {
        let pages = bytes.next_multiple_of(PAGE_BYTES);
        self.tokens = self.tokens.saturating_sub(pages);
        self.spent = self.spent.saturating_add(pages);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_first_day_costs_a_days_worth_and_a_stop_may_use_what_is_left_of_it() {
        const SIZE: u64 = 64 * PAGE_BYTES;
        let (now, hour) = (Instant::now(), Duration::from_secs(3_600));
        let mut budget = WriteBudget::new(SIZE, 0, now);
        assert_eq!((budget.room(false), budget.room(true)), (SIZE / 2, SIZE));
        budget.take(SIZE / 2);
        budget.fill(now + 12 * hour);
        assert_eq!((budget.room(false), budget.room(true)), (SIZE / 4, SIZE / 2));
        // By the end of the day all of it, and not more.
        budget.fill(now + 24 * hour);
        assert_eq!((budget.room(false), budget.room(true)), (SIZE / 2, SIZE / 2));
        budget.take(SIZE / 2);
        // From then on a day's worth a day, which may be saved up.
        budget.fill(now + 36 * hour);
        assert_eq!(budget.room(true), SIZE / 2);
        budget.fill(now + 480 * hour);
        assert_eq!(budget.room(false), SIZE);
        // What the day before has cost is taken off.
        let after = WriteBudget::new(SIZE, SIZE / 4, now);
        assert_eq!((after.room(false), after.room(true)), (SIZE / 4, SIZE * 3 / 4));
        assert_eq!(WriteBudget::new(SIZE, 2 * SIZE, now).room(true), 0);
        assert_eq!(WriteBudget::new(0, 5, now).room(false), u64::MAX);
    }
}
