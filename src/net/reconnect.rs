//! How long to wait before the next attempt to reach a remote, and what the log says of it.
//!
//! The first wait is the section's `retry`, each further one twice as long, up to [`RETRY_MAX_SECONDS`]. Each
//! is cut by chance to between half and all of that: many collectors that lost the same remote do not come
//! back in the same instant.
//!
//! Why there is no connection is in the log once, until the reason changes or the remote is reached.

use core::time::Duration;

use defmt_or_log::{debug, warn};

use crate::limits::RETRY_MAX_SECONDS;
use crate::reactor::Timer;
use crate::values::Seconds;

/// The waits between attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
    chance: fastrand::Rng,
}

impl Backoff {
    /// Waits that begin with `retry`.
    pub(crate) fn new(retry: Seconds) -> Self {
        let first = retry.duration();
        Backoff { first, next: first, chance: fastrand::Rng::with_seed(crate::sys::random::number()) }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next;
        let longest = self.first.max(Duration::from_secs(RETRY_MAX_SECONDS));
        self.next = whole.saturating_mul(2).min(longest);
        // In 1024ths: all of it at most, half at least.
        whole.saturating_mul(self.chance.u32(512..=1024)) / 1024
    }

    /// The remote was reached: the next wait is a first one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Attempts to reach a remote, as long as it takes.
#[derive(Debug)]
pub(crate) struct Reconnect {
    /// Names input or output, and remote, in the log.
    who: String,
    backoff: Backoff,
    /// Why the last attempt failed, as the log knows it.
    known: Option<String>,
}

impl Reconnect {
    /// No attempt was made yet.
    pub(crate) fn new(who: String, retry: Seconds) -> Self {
        Reconnect { who, backoff: Backoff::new(retry), known: None }
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_troubled(&self) -> bool {
        self.known.is_some()
    }

    /// The remote works: the next wait is a first one again.
    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.known = None;
    }

    /// Waits for the next attempt; `why` says what became of the last one.
    pub(crate) async fn pause(&mut self, why: String) {
        let wait = self.backoff.wait();
        self.pause_for(wait, why).await;
    }

    /// The same for a time that the remote asked for.
    pub(crate) async fn pause_for(&mut self, wait: Duration, why: String) {
        if self.known.as_ref().is_some_and(|known| is_same(known, &why)) {
            debug!("{}: still so; the next attempt in {} ms", self.who, wait.as_millis() as u64);
        } else {
            warn!("{}: {}; trying again", self.who, why);
            self.known = Some(why);
        }
        Timer::after(wait).await;
    }
}

/// Whether two reasons differ in numbers alone: a certificate that expired comes with the time at which it
/// was judged.
fn is_same(one: &str, other: &str) -> bool {
    let without_numbers = |text: &'_ str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    without_numbers(one) == without_numbers(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wait: Duration, seconds: u64) {
        let whole = Duration::from_secs(seconds);
        assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
    }

    #[test]
    fn a_reason_with_another_number_is_the_same() {
        assert!(is_same("expired at 1764, judged at 1801", "expired at 1764, judged at 9"));
        assert!(!is_same("no answer in 10 s", "connection refused"));
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
