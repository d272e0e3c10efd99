//! Drops in the log: one line when an output begins to drop, one a minute with how many, one when it ends.
//!
//! ```text
//! drops      . . . ||||||||||||||||||||||||||||| . . . . . . . .
//! lines            begins        a minute later           10 s later: ends
//! degraded         |------------------------------ ... 60 s after the last one -->
//! ```
//!
//! The counter is looked at once a second, so nothing is added to the way of a message.

use std::time::{Duration, Instant};

use defmt_or_log::{info, warn};

use super::counters::{DropReason, OutletCounters};
use crate::reasons::Reason;

/// Whether an output drops, and since when.
#[derive(Debug, Default)]
pub(super) struct DropReport {
    /// Drops in all at the last look.
    seen: u64,
    last_drop: Option<Instant>,
    episode: Option<DropEpisode>,
}

/// A time in which an output drops.
#[derive(Clone, Copy, Debug)]
struct DropEpisode {
    /// Drops in all before it.
    before: u64,
    last_line: Instant,
    /// Drops in all at the last line.
    at_last_line: u64,
}

impl DropReport {
    /// Looks at the counters; to be called every second. Drops of the stop itself are reported elsewhere.
    pub(super) fn tick(&mut self, now: Instant, name: &str, counters: &OutletCounters) {
        let total = counters.dropped.total();
        let is_dropping = total > self.seen;
        if is_dropping {
            self.last_drop = Some(now);
        }
        match &mut self.episode {
            None if is_dropping => {
                warn!("Output {} drops records: {}", name, main_reason(counters).to_string());
                let before = self.seen;
                self.episode = Some(DropEpisode { before, last_line: now, at_last_line: total });
            }
            None => {}
            Some(episode) if !is_dropping && self.last_drop.is_none_or(|last| now - last >= QUIET) => {
                info!(
                    "Output {} drops no more; {} records were dropped in all",
                    name,
                    total - episode.before
                );
                self.episode = None;
            }
            Some(episode) if now - episode.last_line >= MINUTE => {
                let dropped = total - episode.at_last_line;
                warn!("Output {} dropped {} records in the last minute", name, dropped);
                (episode.last_line, episode.at_last_line) = (now, total);
            }
            Some(_) => {}
        }
        self.seen = total;
    }

    /// Whether a record was dropped within the last minute, or since the last look.
    pub(super) fn is_recent(&self, now: Instant, counters: &OutletCounters) -> bool {
        counters.dropped.total() > self.seen || self.last_drop.is_some_and(|last| now - last < MINUTE)
    }
}

/// The reason that counts most.
fn main_reason(counters: &OutletCounters) -> DropReason {
    DropReason::all().max_by_key(|&reason| counters.dropped.of(reason)).unwrap_or(DropReason::Full)
}

/// Time without a drop after which an output drops no more.
const QUIET: Duration = Duration::from_secs(10);

/// Time from line to line, and for which a drop is recent.
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which something was dropped, and at which an episode begins and ends.
    #[test]
    fn an_episode_ends_after_ten_quiet_seconds() {
        let (counters, mut report, start) =
            (OutletCounters::default(), DropReport::default(), Instant::now());
        let mut dropping = Vec::new();
        for second in 0..120 {
            if [5, 6, 14, 30].contains(&second) {
                counters.dropped.add(DropReason::Away, 3);
            }
            let now = start + Duration::from_secs(second);
            assert_eq!(
                report.is_recent(now, &counters),
                (5..90).contains(&second),
                "{second}, before the look"
            );
            report.tick(now, "test", &counters);
            if report.episode.is_some() {
                dropping.push(second);
            }
            assert_eq!(report.is_recent(now, &counters), (5..90).contains(&second), "{second}");
        }
        assert_eq!(dropping, (5..24).chain(30..40).collect::<Vec<_>>());
        assert_eq!(main_reason(&counters), DropReason::Away);
    }
}
