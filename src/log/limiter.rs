//! Lines of one kind in bounds: the first ones, then one a minute with the number of those that were held
//! back.
//!
//! ```text
//! lines     ||||||||||||||||||||||||||||||||||||||||||||||||| ... | | |
//! written   |                             | (2,823 more)       | (97 more)
//!           the first                     a minute later       a minute later, also if no other line comes
//! ```
//!
//! A kind is the place in the program that makes the line, and the words of the line without what differs
//! from peer to peer, such as addresses and numbers: a stranger who connects a thousand times a second makes
//! a thousand lines of one kind, and another fault than theirs is told. Strangers may choose words, too, so a
//! place has a few kinds and no more. After a minute without any the first line is free again. Of what we
//! dialled or opened ourselves, which comes and goes at our own pace, the first ten are written. Lines of the
//! daemon itself, such as those of a reload, are not held back: only who runs it can make them.

use core::fmt::{Arguments, Write as _};
use std::time::{Duration, Instant};

use log::{Level, Record};

use super::CutText;
use crate::limits::{
    LOG_BURST, LOG_BURST_DEBUG, LOG_EXAMPLE_BYTES, LOG_KINDS, LOG_KINDS_OF_A_PLACE, LOG_LINE_BYTES,
};

/// The kinds of lines seen so far.
#[derive(Debug)]
pub(super) struct LineLimiter {
    kinds: heapless::Vec<LineKind, LOG_KINDS>,
}

#[derive(Debug)]
struct LineKind {
    /// Module and line of the program: small builds know no files (scripts/cross).
    place: LinePlace,
    /// Tells the kinds of one place apart; 0 = the only one, or all further ones.
    words: u32,
    level: Level,
    /// Lines that may still be written at once.
    left: u32,
    last: Instant,
    last_written: Instant,
    held_back: u64,
    /// The beginning of the last line that was held back.
    example: heapless::String<LOG_EXAMPLE_BYTES>,
}

/// The answer to a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineVerdict {
    /// It is written, with this number of lines of its kind that were held back before it.
    Write(u64),
    /// It is counted and not written.
    HoldBack,
}

impl LineLimiter {
    pub(super) const fn new() -> Self {
        LineLimiter { kinds: heapless::Vec::new() }
    }

    /// Judges a line.
    pub(super) fn judge(&mut self, record: &Record<'_>, now: Instant) -> LineVerdict {
        if record.module_path().is_some_and(|path| path.starts_with(UNLIMITED)) {
            return LineVerdict::Write(0);
        }
        let place = (record.module_path_static().unwrap_or_default(), record.line().unwrap_or_default());
        let (burst, words) = match record.level() {
            Level::Debug | Level::Trace => (LOG_BURST_DEBUG, 0),
            _ if is_of_strangers(record) => (1, fingerprint(record.args())),
            _ => (LOG_BURST, 0),
        };
        self.judge_kind((place, words), burst, record.level(), record.args(), now)
    }

    fn judge_kind(
        &mut self,
        (place, words): (LinePlace, u32),
        burst: u32,
        level: Level,
        text: &Arguments<'_>,
        now: Instant,
    ) -> LineVerdict {
        let of_place = self.kinds.iter().filter(|kind| kind.place == place);
        let is_known = |kind: &LineKind| kind.words == words;
        let words = if of_place.clone().any(is_known) || of_place.count() + 1 < LOG_KINDS_OF_A_PLACE {
            words
        } else {
            0
        };
        let Some(kind) = self.kinds.iter_mut().find(|kind| kind.place == place && kind.words == words) else {
            // There are fewer places that make lines than this holds.
            let _ = self.kinds.push(LineKind {
                place,
                words,
                level,
                left: burst - 1,
                last: now,
                last_written: now,
                held_back: 0,
                example: heapless::String::new(),
            });
            return LineVerdict::Write(0);
        };
        if now - kind.last >= MINUTE {
            kind.left = burst;
        }
        kind.last = now;
        if kind.left > 0 || now - kind.last_written >= MINUTE {
            kind.left = kind.left.saturating_sub(1);
            kind.last_written = now;
            return LineVerdict::Write(core::mem::take(&mut kind.held_back));
        }
        kind.held_back += 1;
        kind.example.clear();
        let _ = write!(CutText(&mut kind.example), "{text}");
        LineVerdict::HoldBack
    }

    /// Hands on what a minute held back, where no line came since that could say it: level, example, number.
    pub(super) fn tick(&mut self, now: Instant, mut report: impl FnMut(Level, &str, u64)) {
        for kind in &mut self.kinds {
            if kind.held_back > 0 && now - kind.last_written >= MINUTE {
                kind.last_written = now;
                report(kind.level, &kind.example, core::mem::take(&mut kind.held_back));
            }
        }
    }
}

/// File and line of the program.
type LinePlace = (&'static str, u32);

/// Whether strangers cause the line: whoever reaches a listener.
fn is_of_strangers(record: &Record<'_>) -> bool {
    let module = record.module_path().unwrap_or_default();
    OF_STRANGERS.iter().any(|part| module.starts_with(part))
}

/// A number for the words of a line, never 0; those with a digit or a colon inside are addresses, times and
/// counts, and left out.
fn fingerprint(text: &Arguments<'_>) -> u32 {
    let mut line = heapless::String::<LOG_LINE_BYTES>::new();
    let _ = write!(CutText(&mut line), "{text}");
    let is_word =
        |word: &&str| !word.trim_end_matches(':').contains(|c: char| c.is_ascii_digit() || c == ':');
    let bytes = line.split(' ').filter(is_word).flat_map(|word| word.bytes().chain([b' ']));
    // FNV-1a, 32 bits.
    bytes.fold(0x811C_9DC5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
}

/// The part of the program whose lines are never held back.
const UNLIMITED: &str = "dnstapd::daemon";

/// The parts whose lines are about those who connect.
const OF_STRANGERS: [&str; 7] = [
    "dnstapd::http",
    "dnstapd::input::connections",
    "dnstapd::input::frame_reader",
    "dnstapd::input::receiver",
    "dnstapd::input::tcp_server",
    "dnstapd::input::unix_socket",
    "dnstapd::net::accept",
];

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_then_one_a_minute_with_a_count() {
        let (mut limiter, start) = (LineLimiter::new(), Instant::now());
        let mut written = Vec::new();
        let judge = |limiter: &mut LineLimiter, place, text: &Arguments<'_>, now| {
            limiter.judge_kind((("a", place), fingerprint(text)), 1, Level::Warn, text, now)
        };
        // Ten lines a second for 130 seconds; other kinds in between.
        for tenth in 0..1300u64 {
            let now = start + Duration::from_millis(100 * tenth);
            match judge(&mut limiter, 1, &format_args!("192.0.2.{tenth}:53: closed"), now) {
                LineVerdict::Write(held_back) => written.push((tenth, held_back)),
                LineVerdict::HoldBack => {}
            }
            if tenth % 700 == 0 {
                for (place, text) in [(2, "192.0.2.1: closed"), (1, "192.0.2.1: frame rejected")] {
                    let other = judge(&mut limiter, place, &format_args!("{text}"), now);
                    assert_eq!(other, LineVerdict::Write(0));
                }
            }
        }
        assert_eq!(written, [(0, 0), (600, 599), (1200, 599)]);
        // The flood is over: what was held back is reported all the same, once.
        let mut reports = Vec::new();
        for second in 130..300 {
            limiter.tick(start + Duration::from_secs(second), |level, example, number| {
                reports.push((second, level, example.to_owned(), number));
            });
        }
        assert_eq!(reports, [(180, Level::Warn, "192.0.2.1299:53: closed".to_owned(), 99)]);
        let later = start + Duration::from_secs(300);
        let verdict = judge(&mut limiter, 1, &format_args!("192.0.2.1:53: closed"), later);
        assert_eq!(verdict, LineVerdict::Write(0), "after a quiet minute");
    }

    /// Who chooses the words of its lines gains a few of them.
    #[test]
    fn a_place_has_few_kinds() {
        let (mut limiter, now) = (LineLimiter::new(), Instant::now());
        let written = (0..10_000u32).filter(|number| {
            let text: String =
                number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            let words = fingerprint(&format_args!("192.0.2.1: no content type {text}"));
            let verdict = limiter.judge_kind((("a", 1), words), 1, Level::Warn, &format_args!("{text}"), now);
            verdict == LineVerdict::Write(0)
        });
        assert_eq!(written.count(), LOG_KINDS_OF_A_PLACE);
    }

    #[test]
    fn lines_of_strangers_are_told_apart_from_ours() {
        let mut limiter = LineLimiter::new();
        let mut written = |module: &'static str| {
            let mut record = Record::builder();
            let record = record.level(Level::Warn).module_path_static(Some(module)).build();
            (0..100).filter(|_| limiter.judge(&record, Instant::now()) == LineVerdict::Write(0)).count()
        };
        assert_eq!(written("dnstapd::output::stream_sink"), LOG_BURST as usize);
        assert_eq!(written("dnstapd::input::receiver"), 1);
        assert_eq!(written("dnstapd::net::accept"), 1);
        assert_eq!(written("dnstapd::daemon"), 100);
    }
}
