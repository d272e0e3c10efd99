//! Moments to wait for.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::REACTOR;

/// Ready from a moment on.
#[derive(Debug)]
pub(crate) struct Timer {
    /// `None` = never.
    when: Option<Instant>,
    /// Its place among the timers, once somebody waits.
    key: Option<u64>,
}

impl Timer {
    /// Ready when that much time has passed.
    pub(crate) fn after(time: Duration) -> Self {
        Timer { when: Instant::now().checked_add(time), key: None }
    }

    /// Ready at a moment.
    pub(crate) fn at(when: Instant) -> Self {
        Timer { when: Some(when), key: None }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(when) = self.when else { return Poll::Pending };
        if Instant::now() >= when {
            return Poll::Ready(());
        }
        let key = self.key;
        self.key = Some(REACTOR.with(|reactor| reactor.timers.borrow_mut().set(when, key, context.waker())));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (Some(when), Some(key)) = (self.when, self.key) {
            // At the end of a thread there may be no reactor any more.
            let _ = REACTOR.try_with(|reactor| reactor.timers.borrow_mut().cancel(when, key));
        }
    }
}

/// The timers that somebody waits for: the next one is last.
#[derive(Default)]
pub(super) struct Timers {
    waiting: Vec<(Instant, u64, Waker)>,
    keys: u64,
}

impl Timers {
    /// Wakes `waker` at a moment; `key` tells who asked before. They are few, so their place is searched for.
    fn set(&mut self, when: Instant, key: Option<u64>, waker: &Waker) -> u64 {
        let key = key.unwrap_or_else(|| {
            self.keys += 1;
            self.keys
        });
        match self.place(when, key) {
            Ok(at) => {
                if let Some((_, _, known)) = self.waiting.get_mut(at) {
                    known.clone_from(waker);
                }
            }
            Err(at) => self.waiting.insert(at, (when, key, waker.clone())),
        }
        key
    }

    fn cancel(&mut self, when: Instant, key: u64) {
        if let Ok(at) = self.place(when, key) {
            self.waiting.remove(at);
        }
    }

    fn place(&self, when: Instant, key: u64) -> Result<usize, usize> {
        self.waiting.binary_search_by(|(other, number, _)| (when, key).cmp(&(*other, *number)))
    }

    /// Time to the next one; `None` if there is none.
    pub(super) fn next_in(&self) -> Option<Duration> {
        self.waiting.last().map(|(when, ..)| when.saturating_duration_since(Instant::now()))
    }

    /// Takes those whose moment has come.
    pub(super) fn expire(&mut self, due: &mut Vec<Waker>) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((_, _, waker)) = self.waiting.pop_if(|(when, ..)| *when <= now) {
            due.push(waker);
        }
    }
}
