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
//! Nobody may be held up by it: a socket takes some 70 small writes of who polls for room, and a server that finds none
//! loses messages. So a pause is as long as brings some [`FEW`] frames: shorter after one that brought more than [`MANY`], longer
//! after one that brought clearly less. Where the shortest pause brings more, twice, the connection is busy, and does not pause for a while:
//! longer each time that the next pause finds it busy, too. A connection whose pauses bring nothing makes them more and more rarely.
//!
//! Pauses of several connections end together where they can, and share a wake-up.

use core::cell::Cell;
use std::time::{Duration, Instant};

use crate::reactor::Timer;
use event_listener::{Event as Notice, listener};
use smol::future::{or, yield_now};

/// The pauses of all connections.
pub(crate) struct Gather {
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
    pub(crate) async fn pause(&self, pause: Duration, now: Instant) {
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
    pub(crate) fn finish(&self) {
        self.is_over.set(true);
        self.ended.notify(usize::MAX);
    }
}

/// How a connection brings its frames, and the pause that suits it.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// The next pause: what it brings says how long the one after it is.
    pause: Duration,
    /// Until when it does not pause, because it was busy, and for how long that was so.
    busy_until: Instant,
    busy: Duration,
    /// Whether the last pauses brought more than the shortest should.
    is_over: bool,
    /// Whether a pause went before this read.
    paused: bool,
    /// Reads without a pause after each pause that brought nothing, and those still to come.
    rest: u32,
    resting: u32,
}

impl Rhythm {
    /// A connection that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Rhythm {
            pause: LONGEST_PAUSE,
            busy_until: now,
            busy: Duration::ZERO,
            is_over: false,
            paused: false,
            rest: 0,
            resting: 0,
        }
    }

    /// The pause after a read of `frames` frames, before which there was nothing to read for a while if `waited`.
    /// `None` = read on.
    pub(crate) fn after_read(&mut self, frames: u32, waited: bool, now: Instant) -> Option<Duration> {
        if core::mem::take(&mut self.paused) {
            self.rest = if waited { (2 * self.rest + 1).min(LONGEST_REST) } else { 0 };
            self.resting = self.rest;
            self.learn(frames, now);
        } else if frames > MANY {
            self.busy_until = now + self.busy.max(BUSY);
        }
        if frames == 0 || now < self.busy_until {
            return None;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return None;
        }
        self.paused = true;
        Some(self.pause)
    }

    /// The frames of the last pause decide about the next.
    fn learn(&mut self, frames: u32, now: Instant) {
        if frames <= MANY {
            self.is_over = false;
            self.busy = Duration::ZERO;
            // Frames come in writes of several: where half as many more would do, another write is one too many.
            if frames <= FEW * 3 / 4 {
                self.pause = (self.pause * FEW / frames.max(FEW / 2)).min(LONGEST_PAUSE);
            }
            return;
        }
        self.pause = self.pause * FEW / frames;
        if self.pause >= SHORTEST_PAUSE {
            return;
        }
        self.pause = SHORTEST_PAUSE;
        // Once may be a sender, or a processor, that was late.
        if core::mem::replace(&mut self.is_over, true) {
            self.busy = (2 * self.busy).clamp(BUSY, LONGEST_BUSY);
            self.busy_until = now + self.busy;
        }
    }
}

/// Pauses: the longest delays nobody who looks; the kernel's clock of sleeps knows nothing below the shortest.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Frames that a pause should bring: a third of what a socket takes of small ones, most of what it takes of large ones.
const FEW: u32 = 20;

/// Frames of a pause that was too long.
const MANY: u32 = FEW * 3 / 2;

/// Time for which a connection counts as busy, at first and at most.
const BUSY: Duration = Duration::from_millis(500);
const LONGEST_BUSY: Duration = Duration::from_secs(8);

/// Reads without a pause, where pauses bring nothing.
const LONGEST_REST: u32 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses that a sender of so many frames a millisecond, in writes of so many, gets over a second, in milliseconds each.
    fn pauses(per_ms: f64, write: f64) -> Vec<f64> {
        let start = Instant::now();
        let (mut rhythm, mut at, mut read, mut pauses) = (Rhythm::new(start), 0.0, 0.0, Vec::new());
        let written = |at: f64| (at * per_ms / write + 1e-9).floor() * write;
        while at < 1_000.0 {
            // The next write may be still to come.
            let waited = written(at) < read + write;
            if waited {
                at = (read + write) / per_ms;
            }
            // The socket takes no more.
            let frames = (written(at) - read).min(69.0 * write);
            read = (read + frames).max(written(at) - 69.0 * write);
            let now = start + Duration::from_micros((at * 1e3) as u64);
            let pause = rhythm.after_read(frames as u32, waited, now);
            pauses.extend(pause.map(|pause| pause.as_secs_f64() * 1e3));
            at += pause.map_or(0.01, |pause| pause.as_secs_f64() * 1e3);
        }
        pauses
    }

    #[test]
    fn pauses_are_as_long_as_brings_a_few_frames() {
        assert!(pauses(0.2, 1.0).len() > 50, "more than one frame each");
        for (per_ms, write, longest, most) in [
            (1.0, 1.0, 10.0, 900.0),
            (4.0, 1.0, 6.0, 900.0),
            (10.0, 1.0, 4.0, 400.0),
            // In lumps.
            (10.0, 10.0, 4.0, 400.0),
            (10.0, 11.0, 4.0, 400.0),
        ] {
            let pauses = pauses(per_ms, write);
            let (begin, rest) = pauses.split_at(4);
            assert!(begin.iter().chain(rest).sum::<f64>() > most, "{per_ms}, {write}: {pauses:?}");
            assert!(
                rest.iter().all(|&pause| pause <= longest && pause * per_ms <= f64::from(2 * FEW)),
                "{per_ms}, {write}: {pauses:?}"
            );
            let few = 1_100.0 * per_ms / f64::from(FEW * 3 / 4);
            assert!((pauses.len() as f64) < few.max(120.0), "{per_ms}, {write}: {} pauses", pauses.len());
        }
        for fast in [60.0, 1_000.0] {
            let pauses = pauses(fast, 1.0);
            assert!(
                pauses.len() <= 5 && pauses.iter().sum::<f64>() < 17.0,
                "{fast}: a busy line does not wait"
            );
        }
    }

    #[test]
    fn a_burst_in_between_is_soon_forgotten() {
        let mut now = Instant::now();
        let mut rhythm = Rhythm::new(now);
        let mut read = |frames| {
            let pause = rhythm.after_read(frames, false, now);
            now += pause.unwrap_or_default();
            pause
        };
        assert_eq!(
            [10, 10, 50].map(&mut read),
            [Some(LONGEST_PAUSE), Some(LONGEST_PAUSE), Some(LONGEST_PAUSE * 2 / 5)]
        );
        assert_eq!([4, 8].map(&mut read), [Some(LONGEST_PAUSE * 4 / 5), Some(LONGEST_PAUSE)]);
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
                    rhythm.after_read(1, true, now).is_some()
                })
                .count()
        };
        assert!(made(&mut rhythm, 0) <= 10);
        assert!(made(&mut rhythm, 10_000) <= 7);
        // Once one pays, they are back.
        let mut now = start + Duration::from_secs(30);
        while rhythm.after_read(1, true, now).is_none() {
            now += Duration::from_millis(50);
        }
        for _ in 0..5 {
            now += LONGEST_PAUSE;
            assert_eq!(rhythm.after_read(5, false, now), Some(LONGEST_PAUSE));
        }
    }

    #[test]
    fn a_busy_connection_does_not_pause() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        assert_eq!(rhythm.after_read(MANY + 1, true, start), None);
        assert_eq!(rhythm.after_read(0, false, start), None, "an unfinished frame");
        assert_eq!(rhythm.after_read(1, false, start + BUSY / 2), None);
        let mut now = start + BUSY;
        assert_eq!(rhythm.after_read(1, false, now), Some(LONGEST_PAUSE));
        assert_eq!(rhythm.after_read(300, false, now), Some(SHORTEST_PAUSE), "once is nothing");
        assert_eq!(rhythm.after_read(FEW, false, now), Some(SHORTEST_PAUSE));
        assert_eq!(rhythm.after_read(300, false, now), Some(SHORTEST_PAUSE));
        assert_eq!(rhythm.after_read(300, false, now), None);
        now += BUSY;
        // Each pause that finds it busy is followed by a longer time without.
        for busy in [2 * BUSY, 4 * BUSY, 8 * BUSY, LONGEST_BUSY, LONGEST_BUSY] {
            assert_eq!(rhythm.after_read(1, false, now), Some(SHORTEST_PAUSE), "{busy:?}");
            assert_eq!(rhythm.after_read(300, false, now), None);
            assert_eq!(rhythm.after_read(1, false, now + busy - SHORTEST_PAUSE), None);
            now += busy;
        }
    }

    #[test]
    fn pauses_end_together_and_at_a_stop() {
        let gather = Gather::default();
        let now = Instant::now();
        let end = gather.end_of(LONGEST_PAUSE, now);
        assert_eq!(gather.end_of(LONGEST_PAUSE, now + LONGEST_PAUSE / 2), end);
        assert_eq!(gather.end_of(LONGEST_PAUSE / 4, now + LONGEST_PAUSE / 2), now + 3 * LONGEST_PAUSE / 4);
        assert_eq!(gather.end_of(LONGEST_PAUSE, end), end + LONGEST_PAUSE);
        let hour = Duration::from_secs(3_600);
        crate::reactor::block_on(async {
            smol::future::zip(gather.pause(hour, Instant::now()), async { gather.finish() }).await;
            gather.pause(hour, Instant::now()).await;
        });
    }
}
