//! Pauses between reads, so that one wake-up reads many small writes.
//!
//! A server writes a message as soon as it has it. Read at once, each write costs a wake-up, and at some
//! hundred messages a second wake-ups are nearly all that a collector does. So a connection that just read a
//! little lets some milliseconds pass before it reads again; what comes in the meantime waits in the socket.
//!
//! ```text
//! written   | | | | | | | | |         | | | | |
//! read      |       |       |         |       |     - : PAUSE
//!           '-------'-------'         '-------'
//! ```
//!
//! Nobody may be held up by it: a sender that asks for room first (`poll`) finds none once a quarter of its
//! socket's buffer is taken, by some 70 small writes, and may lose messages then. So a pause is as long as
//! fills [`AIM`] of it: shorter after one that filled more than [`MOST`], longer after one that filled clearly
//! less. Where the shortest pause fills more, twice, the connection is busy, and does not pause for a while:
//! longer each time that the next pause finds it busy, too. A connection whose pauses bring nothing makes them
//! more and more rarely.
//!
//! A write takes more room than its bytes, and nobody tells how many writes there were. So now and then a
//! pause is left out: the read after it comes as soon as there is anything, and brings one write, mostly. The
//! least of the last such reads is taken for the size of all ([`WriteSizes`]).
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

/// The yield of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadResult {
    /// Whole frames.
    pub(crate) frames: u32,
    /// Bytes.
    pub(crate) bytes: u32,
    /// Whether there was nothing to read for a while before.
    pub(crate) waited: bool,
}

/// How a connection brings its frames, and the pause that suits it.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// The next pause: what it brings says how long the one after it is.
    pause: Duration,
    writes: WriteSizes,
    /// Until when it does not pause, because it was busy, and for how long that was so.
    busy_until: Instant,
    busy: Duration,
    /// Whether the last pause, which was the shortest, filled more than it should.
    is_over: bool,
    /// Whether the last read without a pause brought more than a pause should fill.
    had_many: bool,
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
            writes: WriteSizes::default(),
            busy_until: now,
            busy: Duration::ZERO,
            is_over: false,
            had_many: false,
            paused: false,
            rest: 0,
            resting: 0,
        }
    }

    /// The pause after a read. `None` = read on.
    pub(crate) fn after_read(&mut self, read: ReadResult, now: Instant) -> Option<Duration> {
        let paused = core::mem::take(&mut self.paused);
        if !paused && read.waited && read.frames > 0 {
            self.writes.note(read.bytes);
        }
        let fill = self.writes.room_of(read);
        if paused {
            self.rest = if read.waited { (2 * self.rest + 1).min(LONGEST_REST) } else { 0 };
            self.resting = self.rest;
            self.learn(fill, now);
        } else if fill > MOST {
            // Once may be a write of many.
            if core::mem::replace(&mut self.had_many, true) {
                self.busy_until = now + self.busy.max(BUSY);
            }
            return None;
        } else if read.frames > 0 {
            self.had_many = false;
        }
        if read.frames == 0 || now < self.busy_until {
            return None;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return None;
        }
        if paused && self.writes.is_due() {
            return None;
        }
        self.paused = true;
        Some(self.pause)
    }

    /// Decides about the next pause by what the last one filled.
    fn learn(&mut self, fill: u32, now: Instant) {
        // The kernel's shortest sleep may be half as long again.
        let most = if self.pause > SHORTEST_PAUSE { MOST } else { AIM };
        if fill <= most {
            self.is_over = false;
            self.busy = Duration::ZERO;
            // Frames come in writes of several, of which one read has a whole one less than another: so a pause
            // grows little by little.
            if fill <= AIM * 3 / 4 {
                self.pause = (self.pause * 5 / 4).min(LONGEST_PAUSE);
            }
            return;
        }
        // A sender that asked for room wrote no more: so how much it is too long is not known.
        self.pause = (self.pause * AIM / fill).min(self.pause / 2);
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

/// The size of a connection's writes, from reads that came as soon as there was anything.
#[derive(Debug, Default)]
struct WriteSizes {
    /// Bytes of the last such reads, round and round; 0 = none yet.
    last: [u32; 4],
    next: u8,
    /// Pauses since the last such read.
    pauses: u8,
}

impl WriteSizes {
    fn note(&mut self, bytes: u32) {
        self.next = (self.next + 1) % 4;
        if let Some(last) = self.last.get_mut(usize::from(self.next)) {
            *last = bytes;
        }
    }

    /// Whether it is time for another such read; to be asked after each pause.
    fn is_due(&mut self) -> bool {
        self.pauses += 1;
        let known = self.last.iter().all(|bytes| *bytes > 0);
        let is_due = self.pauses >= if known { PAUSES_A_SAMPLE } else { PAUSES_A_FIRST_SAMPLE };
        if is_due {
            self.pauses = 0;
        }
        is_due
    }

    /// Bytes of the sender's buffer that all writes of a read but the last took, as its sender found it
    /// before that: they had the least size of the last ones, or else were a frame each.
    fn room_of(&self, read: ReadResult) -> u32 {
        let least = self.last.iter().min().copied().unwrap_or(0);
        let write = least.max(read.bytes / read.frames.max(1)).max(1);
        read.bytes.div_ceil(write).saturating_sub(1).saturating_mul(room_of_write(write))
    }
}

/// Bytes of the sender's buffer that a write takes in Linux: its bytes in a block of the allocator with 320
/// more, or of 4 KiB and whole pages beside it, and 256 for the header.
fn room_of_write(bytes: u32) -> u32 {
    const BLOCK: u32 = 4096;
    let bytes = bytes.min(1 << 20);
    let with_info = bytes + 320;
    256 + if with_info <= BLOCK {
        with_info.next_power_of_two()
    } else {
        BLOCK + (with_info - BLOCK).next_multiple_of(BLOCK)
    }
}

/// Pauses: the longest delays nobody who looks; the kernel's clock of sleeps knows nothing below the
/// shortest.
const LONGEST_PAUSE: Duration = Duration::from_millis(15);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Bytes of its sender's buffer that a pause should fill before the last write of it, and those that are too
/// many: of 212,992, of which a sender that asks finds a quarter, 53,248. A small write takes 768, one of sixty
/// messages up to 16,640: of these, three are not too many.
const AIM: u32 = MOST * 4 / 5;
const MOST: u32 = 52_000;

/// Pauses between two reads for the size of writes, and at first.
const PAUSES_A_SAMPLE: u8 = 64;
const PAUSES_A_FIRST_SAMPLE: u8 = 4;

/// Time for which a connection counts as busy, at first and at most.
const BUSY: Duration = Duration::from_millis(500);
const LONGEST_BUSY: Duration = Duration::from_secs(8);

/// Reads without a pause, where pauses bring nothing.
const LONGEST_REST: u32 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a frame.
    const FRAME: u32 = 140;

    /// A read of frames of which each had a write of its own.
    fn read(frames: u32, waited: bool) -> ReadResult {
        ReadResult { frames, bytes: frames * FRAME, waited }
    }

    /// Pauses that a sender of so many frames a millisecond, in writes of so many, gets over two seconds, in
    /// milliseconds each.
    fn pauses(per_ms: f64, write: f64) -> Vec<f64> {
        let start = Instant::now();
        let (mut rhythm, mut at, mut done, mut pauses) = (Rhythm::new(start), 0.0, 0.0, Vec::new());
        let written = |at: f64| (at * per_ms / write + 1e-9).floor() * write;
        let room = POLLED / f64::from(room_of_write(write as u32 * FRAME)) * write;
        while at < 2_000.0 {
            // The next write may be still to come.
            let waited = written(at) < done + write;
            if waited {
                at = (done + write) / per_ms;
            }
            // The socket takes no more.
            let frames = (written(at) - done).min(room);
            done = (done + frames).max(written(at) - room);
            let now = start + Duration::from_micros((at * 1e3) as u64);
            let pause = rhythm.after_read(read(frames as u32, waited), now);
            pauses.extend(pause.map(|pause| pause.as_secs_f64() * 1e3));
            at += pause.map_or(0.01, |pause| pause.as_secs_f64() * 1e3);
        }
        pauses
    }

    /// The part of a socket's buffer that a sender who polls finds.
    const POLLED: f64 = 212_992.0 / 4.0;

    #[test]
    fn pauses_are_as_long_as_fill_a_part_of_the_socket() {
        assert!(pauses(0.2, 1.0).len() > 50, "more than one frame each");
        // Frames a millisecond, a write; pauses at most.
        for (per_ms, write, most) in [
            (1.0, 1.0, 240),
            (4.0, 1.0, 320),
            (10.0, 1.0, 700),
            (10.0, 10.0, 400),
            (10.0, 11.0, 400),
            (60.0, 60.0, 1_100),
        ] {
            let pauses = pauses(per_ms, write);
            // Until the size of the writes is known.
            let (_, rest) = pauses.split_at(40);
            assert!(rest.iter().sum::<f64>() > 1_200.0, "{per_ms}, {write}: {pauses:?}");
            let room = f64::from(room_of_write(write as u32 * FRAME));
            assert!(
                rest.iter().all(|&pause| ((pause * per_ms / write).ceil() - 1.0) * room <= POLLED),
                "{per_ms}, {write}: {pauses:?}"
            );
            assert!(pauses.len() < most, "{per_ms}, {write}: {} pauses", pauses.len());
        }
        for fast in [60.0, 1_000.0] {
            let pauses = pauses(fast, 1.0);
            assert!(
                pauses.len() <= 8 && pauses.iter().sum::<f64>() < 33.0,
                "{fast}: a busy line does not wait: {pauses:?}"
            );
        }
    }

    #[test]
    fn a_burst_in_between_is_soon_forgotten() {
        let mut now = Instant::now();
        let mut rhythm = Rhythm::new(now);
        let mut after = |frames| {
            let pause = rhythm.after_read(read(frames, false), now);
            now += pause.unwrap_or_default();
            pause
        };
        assert_eq!(
            [20, 20, 100].map(&mut after),
            [Some(LONGEST_PAUSE), Some(LONGEST_PAUSE), Some(LONGEST_PAUSE / 2)]
        );
        assert_eq!(
            [8, 16].map(&mut after),
            [Some(LONGEST_PAUSE * 5 / 8), None],
            "the size of a write is asked for"
        );
        assert!([16; 10].map(&mut after).contains(&Some(LONGEST_PAUSE)), "little by little");
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
                    rhythm.after_read(read(1, true), now).is_some()
                })
                .count()
        };
        assert!(made(&mut rhythm, 0) <= 10);
        assert!(made(&mut rhythm, 10_000) <= 7);
        // Once one pays, they are back.
        let mut now = start + Duration::from_secs(30);
        while rhythm.after_read(read(1, true), now).is_none() {
            now += Duration::from_millis(50);
        }
        for _ in 0..5 {
            now += LONGEST_PAUSE;
            assert_eq!(rhythm.after_read(read(5, false), now), Some(LONGEST_PAUSE));
        }
    }

    #[test]
    fn a_busy_connection_does_not_pause() {
        const MANY: u32 = MOST / 768 + 1;
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        assert_eq!(rhythm.after_read(read(MANY + 1, false), start), None);
        assert_eq!(rhythm.after_read(read(1, false), start), Some(LONGEST_PAUSE), "once is nothing");
        assert_eq!(rhythm.after_read(read(1, false), start), Some(LONGEST_PAUSE));
        let mut rhythm = Rhythm::new(start);
        assert_eq!([MANY + 1; 2].map(|frames| rhythm.after_read(read(frames, false), start)), [None; 2]);
        assert_eq!(rhythm.after_read(read(0, false), start), None, "an unfinished frame");
        assert_eq!(rhythm.after_read(read(1, false), start + BUSY / 2), None);
        let mut now = start + BUSY;
        assert_eq!(rhythm.after_read(read(1, false), now), Some(LONGEST_PAUSE));
        assert_eq!(rhythm.after_read(read(1_000, false), now), Some(SHORTEST_PAUSE), "once is nothing");
        assert_eq!(rhythm.after_read(read(AIM / 768, false), now), Some(SHORTEST_PAUSE));
        assert_eq!(rhythm.after_read(read(1_000, false), now), Some(SHORTEST_PAUSE));
        assert_eq!(rhythm.after_read(read(1_000, false), now), None);
        now += BUSY;
        // Each pause that finds it busy is followed by a longer time without.
        for busy in [2 * BUSY, 4 * BUSY, 8 * BUSY, LONGEST_BUSY, LONGEST_BUSY] {
            assert_eq!(rhythm.after_read(read(1, false), now), Some(SHORTEST_PAUSE), "{busy:?}");
            assert_eq!(rhythm.after_read(read(1_000, false), now), None);
            assert_eq!(rhythm.after_read(read(1, false), now + busy - SHORTEST_PAUSE), None);
            now += busy;
        }
    }

    #[test]
    fn the_room_of_a_write_is_that_of_the_kernel() {
        assert_eq!([1, 140, 192, 193, 1_900, 3_776].map(room_of_write), [768, 768, 768, 1_280, 4_352, 4_352]);
        assert_eq!([3_777, 11_400].map(room_of_write), [8_448, 12_544]);
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
