//! Pauses between reads, so that one wake-up reads many small writes.
//!
//! A server writes a message as soon as it has it. Read at once, each write costs a wake-up, and at some hundred messages a
//! second wake-ups are nearly all that a collector does. So a connection that just read a little lets some milliseconds
//! pass before it reads again; what comes in the meantime waits in the socket.
//!
//! ```text
//! written   | | | | | | | | |         | | | | |
//! read      |       |       |         |       |     - : PAUSE
//!           '-------'-------'         '-------'
//! ```
//!
//! Nobody is held up by it. A pause is no longer than a small part of a Unix socket of the usual size ([`ROOM`]) takes to fill
//! at the rate of the last milliseconds; where that is less than [`SHORTEST`], or after a read that brought more, there is none.
//! When a pause brought clearly more the sender may have waited for room, and the rate is the one that we let it have: then
//! nothing pauses until the rate is known. A connection whose pauses bring nothing makes them more and more rarely.
//!
//! Pauses of several connections end together where they can, and share a wake-up.

use core::cell::Cell;
use std::time::{Duration, Instant};

use crate::reactor::Timer;
use event_listener::{Event as Notice, listener};
use smol::future::{or, yield_now};

/// The pauses of all connections.
pub struct Gather {
    /// When the pause that began last ends.
    until: Cell<Option<Instant>>,
    /// Whether there are none any more, because the daemon stops.
    is_over: Cell<bool>,
    ended: Notice,
}

impl Default for Gather {
    fn default() -> Self {
        Gather { until: Cell::new(None), is_over: Cell::new(false), ended: Notice::new() }
    }
}

impl Gather {
    /// Lets `pause` pass, or less, when another connection's pause ends within it.
    pub async fn pause(&self, pause: Duration, now: Instant) {
        if self.is_over.get() {
            return yield_now().await;
        }
        let end = self.end_of(pause, now);
        listener!(self.ended => ended);
        or(ended, async {
            Timer::at(end).await;
        })
        .await;
    }

    /// The end of a pause that begins now.
    fn end_of(&self, pause: Duration, now: Instant) -> Instant {
        let latest = now + pause;
        let shared = self.until.get().filter(|&until| now < until && until <= latest);
        let end = shared.unwrap_or(latest);
        self.until.set(Some(end));
        end
    }

    /// Ends all pauses; there will be no more.
    pub fn finish(&self) {
        self.is_over.set(true);
        self.ended.notify(usize::MAX);
    }
}

/// The rate at which one connection brings frames, and the pause that suits it.
#[derive(Debug)]
pub struct Rhythm {
    /// Since when it is counted what the frames took up in the socket, and how much that was.
    since: Instant,
    load: u32,
    /// Time in which [`ROOM`] fills.
    fair: Duration,
    /// Whether a pause went before this read.
    paused: bool,
    /// Reads without a pause after each pause that brought nothing, and those still to come.
    rest: u32,
    resting: u32,
}

impl Rhythm {
    /// A connection that begins now.
    pub fn new(now: Instant) -> Self {
        Rhythm { since: now, load: 0, fair: PAUSE, paused: false, rest: 0, resting: 0 }
    }

    /// The pause after a read of `frames` frames in `bytes` bytes, before which there was nothing to read for a while if
    /// `waited`. `None` = read on.
    pub fn after_read(&mut self, frames: u32, bytes: u32, waited: bool, now: Instant) -> Option<Duration> {
        let load = frames.saturating_mul(WRITE_BYTES).saturating_add(bytes.saturating_mul(2));
        self.load = self.load.saturating_add(load);
        let paused = core::mem::take(&mut self.paused);
        if paused && load > 2 * ROOM {
            (self.since, self.load, self.fair) = (now, 0, Duration::ZERO);
        }
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.fair = (elapsed.min(Duration::from_secs(1)) * (ROOM / UNIT)) / (self.load / UNIT).max(1);
            (self.since, self.load) = (now, 0);
        }
        if paused {
            self.rest = if waited { (2 * self.rest + 1).min(LONGEST_REST) } else { 0 };
            self.resting = self.rest;
        }
        if frames == 0 || load > 3 * ROOM {
            return None;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return None;
        }
        let pause = self.fair.min(PAUSE);
        self.paused = pause >= SHORTEST;
        self.paused.then_some(pause)
    }
}

/// The usual pause: with what else takes time, a message is seen within 20 ms.
const PAUSE: Duration = Duration::from_millis(12);

/// No pause is shorter.
const SHORTEST: Duration = Duration::from_millis(1);

/// Bytes of a socket that may fill in a pause. Linux gives it 212,992 (`net.core.wmem_default`), but tells who polls that it
/// has room only while less than a quarter is taken; this is a third of that quarter.
const ROOM: u32 = 18_000;

/// Bytes that a write takes up there beside twice its own: the kernel's buffers have sizes of powers of two, and a head.
const WRITE_BYTES: u32 = 600;

/// The unit in which these are divided.
const UNIT: u32 = 100;

/// Time over which the rate is taken.
const WINDOW: Duration = Duration::from_millis(4);

/// Reads without a pause, where pauses bring nothing.
const LONGEST_REST: u32 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses that a sender of so many frames a millisecond gets over a second, in milliseconds each.
    fn pauses(per_ms: f64) -> Vec<f64> {
        let start = Instant::now();
        let (mut rhythm, mut at, mut read, mut pauses) = (Rhythm::new(start), 0.0, 0.0, Vec::new());
        while at < 1_000.0 {
            // The next frame may be still to come.
            let waited = at * per_ms < read + 1.0;
            if waited {
                at = (read + 1.0) / per_ms;
            }
            let frames = (at * per_ms - read).floor();
            read += frames;
            let now = start + Duration::from_micros((at * 1e3) as u64);
            let pause = rhythm.after_read(frames as u32, 80 * frames as u32, waited, now);
            pauses.extend(pause.map(|pause| pause.as_secs_f64() * 1e3));
            at += pause.map_or(0.01, |pause| pause.as_secs_f64() * 1e3);
        }
        pauses
    }

    #[test]
    fn a_pause_is_long_where_little_comes_and_short_where_much_does() {
        assert_eq!(pauses(0.2), [12.0; 84][..pauses(0.2).len()], "two frames each");
        assert!(pauses(1.0).iter().all(|&pause| pause == 12.0));
        let fast = pauses(10.0);
        let settled = fast.get(8..).unwrap();
        assert!(settled.iter().all(|pause| (1.5..3.5).contains(pause)), "{fast:?}");
        assert!(pauses(60.0).len() <= 4);
        assert!(pauses(1_000.0).len() <= 4, "a busy line does not wait");
    }

    #[test]
    fn pauses_that_bring_nothing_become_rare() {
        // 20 a second for a second, then for ten.
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        let made = |rhythm: &mut Rhythm, from: u64| {
            (0..200)
                .filter(|n| {
                    let now = start + Duration::from_millis(from + n * 50);
                    rhythm.after_read(1, 80, true, now).is_some()
                })
                .count()
        };
        assert!(made(&mut rhythm, 0) <= 10);
        assert!(made(&mut rhythm, 10_000) <= 7);
        // Once one pays, they are back.
        let mut now = start + Duration::from_secs(30);
        while rhythm.after_read(1, 80, true, now).is_none() {
            now += Duration::from_millis(50);
        }
        for _ in 0..5 {
            now += PAUSE;
            assert_eq!(rhythm.after_read(5, 400, false, now), Some(PAUSE));
        }
    }

    #[test]
    fn a_large_read_is_followed_by_the_next() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        assert_eq!(rhythm.after_read(1_500, 120_000, true, start), None);
        assert_eq!(rhythm.after_read(0, 0, false, start), None, "an unfinished frame");
        // The rate shows a window later.
        assert_eq!(rhythm.after_read(50, 4_000, false, start + WINDOW), None);
    }

    /// A sender that fills the socket in each pause is not taken for one that is as slow as the pauses make it.
    #[test]
    fn a_full_socket_is_no_rate() {
        for (frames, bytes) in [(278, 22_000), (93, 82_000), (69, 9_000), (24, 18_648), (12, 36_000)] {
            let mut now = Instant::now();
            let mut rhythm = Rhythm::new(now);
            let mut paused = Duration::ZERO;
            for _ in 0..20 {
                let pause = rhythm.after_read(frames, bytes, false, now);
                paused += pause.unwrap_or_default();
                // The sender fills it at once.
                now += pause.unwrap_or(Duration::from_micros(200));
            }
            assert!(paused <= 2 * PAUSE, "{frames}: {paused:?}");
        }
    }

    #[test]
    fn pauses_end_together_and_at_a_stop() {
        let gather = Gather::default();
        let now = Instant::now();
        let end = gather.end_of(PAUSE, now);
        assert_eq!(gather.end_of(PAUSE, now + PAUSE / 2), end);
        assert_eq!(gather.end_of(PAUSE / 4, now + PAUSE / 2), now + 3 * PAUSE / 4);
        assert_eq!(gather.end_of(PAUSE, end), end + PAUSE);
        let hour = Duration::from_secs(3_600);
        crate::reactor::block_on(async {
            smol::future::zip(gather.pause(hour, Instant::now()), async { gather.finish() }).await;
            gather.pause(hour, Instant::now()).await;
        });
    }
}
