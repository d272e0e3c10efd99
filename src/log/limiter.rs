//! Lines of one kind in bounds: the first ones, then one a minute with the number of those that were held back.
//!
//! ```text
//! lines     ||||||||||||||||||||||||||||||||||||||||||||||||| ... | | |
//! written   ||||||||||                    | (2,814 more)       | (97 more)
//!           the first ten                 a minute later       a minute later, also if no other line comes
//! ```
//!
//! A kind is the place in the program that makes the line, whatever peer or number is in it: a stranger who connects a
//! thousand times a second makes a thousand lines of one kind. After a minute without any the first ones are free again.
//! Lines of the daemon itself, such as those of a reload, are not held back: only who runs it can make them.

use core::fmt::{Arguments, Write as _};
use std::time::{Duration, Instant};

use log::{Level, Record};

use super::Cut;
use crate::limits::{LOG_BURST, LOG_BURST_DEBUG, LOG_EXAMPLE_BYTES, LOG_KINDS};

/// The kinds of lines seen so far.
#[derive(Debug)]
pub(super) struct LineLimiter {
    kinds: heapless::Vec<LineKind, LOG_KINDS>,
}

#[derive(Debug)]
struct LineKind {
    /// File and line of the program.
    place: (&'static str, u32),
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
        let place = (record.file_static().unwrap_or_default(), record.line().unwrap_or_default());
        self.judge_place(place, record.level(), record.args(), now)
    }

    fn judge_place(
        &mut self,
        place: (&'static str, u32),
        level: Level,
        text: &Arguments<'_>,
        now: Instant,
    ) -> LineVerdict {
        let burst = if level > Level::Info { LOG_BURST_DEBUG } else { LOG_BURST };
        let Some(kind) = self.kinds.iter_mut().find(|kind| kind.place == place) else {
            // There are fewer places that make lines than this holds.
            let _ = self.kinds.push(LineKind {
                place,
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
        let _ = write!(Cut(&mut kind.example), "{text}");
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

/// The part of the program whose lines are never held back.
const UNLIMITED: &str = "dnstapd::daemon";

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_then_one_a_minute_with_a_count() {
        let (mut limiter, start) = (LineLimiter::new(), Instant::now());
        let mut written = Vec::new();
        // Ten lines a second for 130 seconds; another kind in between.
        for tenth in 0..1300u64 {
            let now = start + Duration::from_millis(100 * tenth);
            match limiter.judge_place(("a", 1), Level::Warn, &format_args!("line {tenth}"), now) {
                LineVerdict::Write(held_back) => written.push((tenth, held_back)),
                LineVerdict::HoldBack => {}
            }
            if tenth % 300 == 0 {
                let other = limiter.judge_place(("a", 2), Level::Warn, &format_args!("other"), now);
                assert_eq!(other, LineVerdict::Write(0));
            }
        }
        let first = (0..10).map(|tenth| (tenth, 0));
        assert_eq!(written, first.chain([(609, 599), (1209, 599)]).collect::<Vec<_>>());
        // The flood is over: what was held back is reported all the same, once.
        let mut reports = Vec::new();
        for second in 130..300 {
            limiter.tick(start + Duration::from_secs(second), |level, example, number| {
                reports.push((second, level, example.to_owned(), number));
            });
        }
        assert_eq!(reports, [(181, Level::Warn, "line 1299".to_owned(), 90)]);
        let later = start + Duration::from_secs(300);
        for _ in 0..LOG_BURST {
            let verdict = limiter.judge_place(("a", 1), Level::Warn, &format_args!("again"), later);
            assert_eq!(verdict, LineVerdict::Write(0), "after a quiet minute");
        }
    }
}
