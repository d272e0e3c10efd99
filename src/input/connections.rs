//! Places for connections, each with a deadline.
//!
//! There are as many places as connections allowed. One ticker looks at all deadlines once a second, instead of
//! a timer for each connection: a deadline of `n` seconds passes between `n` and `n + 1` seconds after it was
//! set. A place also holds the connection's task, so that all can be ended at once.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use smol::Task;

/// All places.
pub struct Slots {
    slots: Box<[Slot]>,
    /// Seconds since start, as far as the ticker tells.
    now: Cell<u32>,
}

#[derive(Default)]
struct Slot {
    taken: Cell<bool>,
    due: Cell<Option<u32>>,
    waker: Cell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
}

impl Slots {
    /// Free places for `connections` connections.
    pub fn new(connections: usize) -> Self {
        Slots { slots: (0..connections).map(|_| Slot::default()).collect(), now: Cell::new(0) }
    }

    /// A free place, if there is one.
    pub fn take(&self) -> Option<Place<'_>> {
        let slot = self.slots.iter().find(|slot| !slot.taken.get())?;
        slot.taken.set(true);
        slot.due.set(None);
        Some(Place { slots: self, slot })
    }

    /// Lets one second pass and wakes the connections whose deadline has come.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for slot in &self.slots {
            if slot.due.get().is_some_and(|due| due <= now)
                && let Some(waker) = slot.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        for slot in &self.slots {
            drop(slot.task.take());
        }
    }
}

/// A place taken by a connection; free again when dropped.
pub struct Place<'a> {
    slots: &'a Slots,
    slot: &'a Slot,
}

impl<'a> Place<'a> {
    /// Ends the wait after `seconds`, counted from now.
    pub fn set_deadline(&self, seconds: u32) {
        self.slot.due.set(Some(self.slots.now.get() + seconds + 1));
    }

    /// Sets a deadline unless one runs already.
    pub fn keep_deadline(&self, seconds: u32) {
        if self.slot.due.get().is_none() {
            self.set_deadline(seconds);
        }
    }

    /// Waits without end again.
    pub fn clear_deadline(&self) {
        self.slot.due.set(None);
    }

    /// Whether the deadline has passed; wakes the task when it does.
    pub fn poll_deadline(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.slot.due.get() {
            Some(due) if due <= self.slots.now.get() => Poll::Ready(()),
            _ => {
                let waker = self.slot.waker.take().filter(|waker| waker.will_wake(context.waker()));
                self.slot.waker.set(waker.or_else(|| Some(context.waker().clone())));
                Poll::Pending
            }
        }
    }

    /// Waits for the deadline.
    pub async fn deadline(&self) {
        poll_fn(|context| self.poll_deadline(context)).await;
    }

    /// Where the connection's task is to be kept.
    pub fn keeper(&self) -> Keeper<'a> {
        Keeper(self.slot)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slot.due.set(None);
        self.slot.waker.set(None);
        self.slot.taken.set(false);
    }
}

/// Keeps a connection's task, so that [`Slots::close_all`] can end it.
pub struct Keeper<'a>(&'a Slot);

impl Keeper<'_> {
    /// Takes the task; one that was there before is over.
    pub fn keep(self, task: Task<()>) {
        if self.0.taken.get() {
            *self.0.task.borrow_mut() = Some(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let slots = Slots::new(1);
        let place = slots.take();
        assert!(place.is_some());
        assert!(slots.take().is_none());
        drop(place);
        assert!(slots.take().is_some());
    }

    #[test]
    fn a_deadline_passes_after_its_seconds_and_wakes() {
        let slots = Slots::new(1);
        let place = slots.take().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        place.set_deadline(2);
        for _ in 0..2 {
            slots.tick();
            assert_eq!(place.poll_deadline(&mut context), Poll::Pending);
        }
        place.keep_deadline(9);
        slots.tick();
        assert_eq!(place.poll_deadline(&mut context), Poll::Ready(()));
        place.clear_deadline();
        assert_eq!(place.poll_deadline(&mut context), Poll::Pending);
    }
}
