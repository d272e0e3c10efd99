//! Addresses that guess credentials.
//!
//! After [`GUESSES`] wrong ones within a minute an address is told to wait, with 429, for each further wrong
//! one until the minute is over. A right credential is served at any time, so nobody can be locked out by
//! somebody else behind the same address. A request without any is not a guess: each browser begins with one.

use core::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::limits::HTTP_GUESSERS;

/// Wrong credentials of an address within a minute that are answered with 401.
const GUESSES: u32 = 10;

/// The time within which they are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Who guessed lately. When the table is full the oldest goes.
#[derive(Default)]
pub(super) struct Guesses(RefCell<heapless::Vec<Guesser, HTTP_GUESSERS>>);

struct Guesser {
    address: IpAddr,
    since: Instant,
    count: u32,
}

impl Guesses {
    /// Counts a wrong credential; tells whether it was one too many.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> bool {
        let mut guessers = self.0.borrow_mut();
        guessers.retain(|guesser| now.duration_since(guesser.since) < MINUTE);
        let address = network(address);
        if let Some(guesser) = guessers.iter_mut().find(|guesser| guesser.address == address) {
            guesser.count = guesser.count.saturating_add(1);
            return guesser.count > GUESSES;
        }
        if guessers.is_full() {
            guessers.remove(0);
        }
        // Cannot fail: there is room now.
        let _ = guessers.push(Guesser { address, since: now, count: 1 });
        false
    }
}

/// The address, or the /64 of an IPv6 address, of which one machine may use all.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_guess_of_a_minute_is_one_too_many() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let guess = |address: &str, seconds| {
            guesses.count(address.parse().unwrap(), start + Duration::from_secs(seconds))
        };
        assert!((0..10).all(|second| !guess("192.0.2.1", second)));
        assert!(guess("192.0.2.1", 11) && guess("::ffff:192.0.2.1", 59));
        assert!(!guess("192.0.2.2", 12) && !guess("192.0.2.1", 60));
        // Any address of a network counts for all.
        assert!((0..10).all(|last| !guess(&format!("2001:db8::{last}"), 61)) && guess("2001:db8::ff:1", 62));
    }

    #[test]
    fn a_full_table_forgets_the_oldest() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..1000u32 {
            assert!(!guesses.count(std::net::Ipv4Addr::from(number).into(), now));
        }
        assert_eq!(guesses.0.borrow().len(), HTTP_GUESSERS);
    }
}
