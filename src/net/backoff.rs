//! How long to wait before the next attempt to reach a remote.
//!
//! The first wait is the section's `retry`, each further one twice as long, up to [`RETRY_MAX_SECONDS`]. Each is
//! cut by chance to between half and all of that: many collectors that lost the same remote do not come back in
//! the same instant.

use core::hash::BuildHasher;
use core::time::Duration;

use crate::limits::RETRY_MAX_SECONDS;
use crate::values::Seconds;

/// The waits between attempts.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    /// Seeded by chance, so the hash of anything is a random number.
    chance: foldhash::quality::RandomState,
    waits: u64,
}

impl Backoff {
    /// Waits that begin with `retry`.
    pub fn new(retry: Seconds) -> Self {
        let first = retry.duration();
        Backoff { first, next: first, chance: Default::default(), waits: 0 }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        let longest = self.first.max(Duration::from_secs(RETRY_MAX_SECONDS));
        self.next = whole.saturating_mul(2).min(longest);
        self.waits = self.waits.wrapping_add(1);
        let cut = (self.chance.hash_one(self.waits) % 513) as u32;
        whole.saturating_mul(1024 - cut) / 1024
    }

    /// The remote was reached: the next wait is a first one again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wait: Duration, seconds: u64) {
        let whole = Duration::from_secs(seconds);
        assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
    }

    #[test]
    fn waits_double_up_to_thirty_seconds() {
        let mut backoff = Backoff::new(Seconds::new(1));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            check(backoff.wait(), seconds);
        }
        backoff.reset();
        check(backoff.wait(), 1);
    }

    #[test]
    fn a_longer_retry_stays() {
        let mut backoff = Backoff::new(Seconds::new(90));
        check(backoff.wait(), 90);
        check(backoff.wait(), 90);
    }

    #[test]
    fn two_remotes_wait_differently() {
        let waits = |mut backoff: Backoff| [(); 8].map(|()| backoff.wait());
        assert_ne!(waits(Backoff::new(Seconds::new(60))), waits(Backoff::new(Seconds::new(60))));
    }
}
