//! The second hand of the daemon: what is done once a second.

use std::time::{Duration, Instant};

use defmt_or_log::warn;

use super::parts::{self, ProcessTables};
use crate::log;
use crate::message::geoip;
use crate::process::service::Watchdog;
use crate::reactor::Timer;
use crate::time::Time;

/// Once a second: rates and deadlines.
pub(super) async fn tick(parts: &'static ProcessTables) {
    let mut last = Instant::now();
    let mut watchdog = Watchdog::from_environment();
    // So that the series have their dates from the beginning.
    tick_history(parts);
    loop {
        Timer::after(Duration::from_secs(1)).await;
        let now = Instant::now();
        let milliseconds = u64::try_from(now.duration_since(last).as_millis()).unwrap_or(u64::MAX);
        parts.stage.statistics.borrow_mut().tick(milliseconds);
        tick_history(parts);
        // Who prints a capture to a reader that had enough is not told what was not read.
        if !parts.receiver.collector.is_selective() {
            parts.stage.outlets.tick(now);
        }
        parts.receiver.collector.tick(milliseconds);
        log::tick(now);
        parts.receiver.connections.tick();
        if geoip::was_cut() {
            warn!(
                "geoip.city-database: it was cut short while in use, so places are missing until SIGHUP; replace it by renaming"
            );
        }
        watchdog.tick(now);
        last = now;
    }
}

/// Ends the minutes that are over, and the queries that found no response.
fn tick_history(parts: &ProcessTables) {
    if let Some(history) = parts.receiver.collector.history() {
        let mut statistics = parts.stage.statistics.borrow_mut();
        let unanswered = |place| statistics.count_unanswered(usize::from(place));
        history.borrow_mut().tick(parts::monotonic_ms(), wall_seconds(), unanswered);
    }
}

/// Seconds since 1970; `None` while the clock is older than this program, as on a router that has not heard
/// the time yet.
fn wall_seconds() -> Option<u64> {
    let seconds = Time::now().seconds;
    (seconds >= BUILT_SECONDS).then_some(seconds)
}

/// No clock that is set shows a time before this one: 2026-11-01.
const BUILT_SECONDS: u64 = 1_793_491_200;
