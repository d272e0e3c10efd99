//! What a service manager is told, when there is one that listens (`NOTIFY_SOCKET`, sd_notify(3)).

use std::time::{Duration, Instant};

use defmt_or_log::warn;
use sd_notify::NotifyState;

/// Everything is open and runs.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again; [`ready`] ends it.
pub fn reloading() {
    // Since systemd 253 the time has to come with it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Signs of life, as often as the service manager asks for.
pub struct Watchdog {
    /// Half of the time after which the service manager loses patience; none when it has no clock running.
    interval: Option<Duration>,
    last: Instant,
}

impl Watchdog {
    /// As `WATCHDOG_USEC` says.
    pub fn from_environment() -> Self {
        Watchdog { interval: sd_notify::watchdog_enabled().map(|limit| limit / 2), last: Instant::now() }
    }

    /// Gives a sign of life when it is time for one; to be called every second.
    pub fn tick(&mut self, now: Instant) {
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
