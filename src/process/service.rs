//! Messages to the service manager, when there is one that listens (`NOTIFY_SOCKET`, sd_notify(3)).

use std::time::{Duration, Instant};

use defmt_or_log::warn;
use nix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;

/// Everything is open and runs.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again; [`ready`] ends it.
pub(crate) fn reloading() {
    // Since systemd 253 the time has to come with it. sd-notify's own overflows where a long has 32 bits.
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(now) => {
            let microseconds = i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1000;
            tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(microseconds)]);
        }
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is about to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Signs of life, as often as the service manager asks for.
pub(crate) struct Watchdog {
    /// Half of the time after which the service manager loses patience; `None` if it has no clock running.
    interval: Option<Duration>,
    last: Instant,
}

impl Watchdog {
    /// As `WATCHDOG_USEC` says.
    pub(crate) fn from_environment() -> Self {
        Watchdog { interval: sd_notify::watchdog_enabled().map(|limit| limit / 2), last: Instant::now() }
    }

    /// Gives a sign of life when it is time for one; to be called every second.
    pub(crate) fn tick(&mut self, now: Instant) {
        // A second early rather than late.
        let due = |interval: Duration| now.duration_since(self.last) + Duration::from_secs(1) > interval;
        if self.interval.is_some_and(due) {
            self.last = now;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("The service manager cannot be told: {}", error.to_string());
    }
}
