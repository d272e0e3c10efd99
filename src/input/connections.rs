//! Places for connections, each with a deadline.
//!
//! There are as many places as connections allowed. One ticker looks at all deadlines once a second, instead of
//! a timer for each connection: a deadline of `n` seconds passes between `n` and `n + 1` seconds after it was
//! set. A lease also holds the connection's task, so that all can be ended at once.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use smol::Task;

/// All places.
pub struct ConnectionTable {
    entries: Box<[ConnectionEntry]>,
    /// Seconds since start, as far as the ticker tells.
    now: Cell<u32>,
}

#[derive(Default)]
struct ConnectionEntry {
    taken: Cell<bool>,
    due: Cell<Option<u32>>,
    waker: Cell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
}

impl ConnectionTable {
    /// Free places for `connections` connections.
    pub fn new(connections: usize) -> Self {
        ConnectionTable {
            entries: (0..connections).map(|_| ConnectionEntry::default()).collect(),
            now: Cell::new(0),
        }
    }

    /// A free lease, if there is one.
    pub fn take(&self) -> Option<ConnectionLease<'_>> {
        let entry = self.entries.iter().find(|entry| !entry.taken.get())?;
        entry.taken.set(true);
        entry.due.set(None);
        Some(ConnectionLease { entries: self, entry })
    }

    /// Lets one second pass and wakes the connections whose deadline has come.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for entry in &self.entries {
            if entry.due.get().is_some_and(|due| due <= now)
                && let Some(waker) = entry.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        for entry in &self.entries {
            drop(entry.task.take());
        }
    }
}

/// A lease taken by a connection; free again when dropped.
pub struct ConnectionLease<'a> {
    entries: &'a ConnectionTable,
    entry: &'a ConnectionEntry,
}

impl<'a> ConnectionLease<'a> {
    /// Ends the wait after `seconds`, counted from now.
    pub fn set_deadline(&self, seconds: u32) {
        self.entry.due.set(Some(self.entries.now.get() + seconds + 1));
    }

    /// Sets a deadline unless one runs already.
    pub fn keep_deadline(&self, seconds: u32) {
        if self.entry.due.get().is_none() {
            self.set_deadline(seconds);
        }
    }

    /// Waits without end again.
    pub fn clear_deadline(&self) {
        self.entry.due.set(None);
    }

    /// Whether the deadline has passed; wakes the task when it does.
    pub fn poll_deadline(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.entry.due.get() {
            Some(due) if due <= self.entries.now.get() => Poll::Ready(()),
            _ => {
                let waker = self.entry.waker.take().filter(|waker| waker.will_wake(context.waker()));
                self.entry.waker.set(waker.or_else(|| Some(context.waker().clone())));
                Poll::Pending
            }
        }
    }

    /// Waits for the deadline.
    pub async fn deadline(&self) {
        poll_fn(|context| self.poll_deadline(context)).await;
    }

    /// Where the connection's task is to be kept.
    pub fn task_handle(&self) -> TaskHandle<'a> {
        TaskHandle(self.entry)
    }
}

impl Drop for ConnectionLease<'_> {
    fn drop(&mut self) {
        self.entry.due.set(None);
        self.entry.waker.set(None);
        self.entry.taken.set(false);
    }
}

/// Keeps a connection's task, so that [`ConnectionTable::close_all`] can end it.
pub struct TaskHandle<'a>(&'a ConnectionEntry);

impl TaskHandle<'_> {
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
        let entries = ConnectionTable::new(1);
        let lease = entries.take();
        assert!(lease.is_some());
        assert!(entries.take().is_none());
        drop(lease);
        assert!(entries.take().is_some());
    }

    #[test]
    fn a_deadline_passes_after_its_seconds_and_wakes() {
        let entries = ConnectionTable::new(1);
        let lease = entries.take().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        lease.set_deadline(2);
        for _ in 0..2 {
            entries.tick();
            assert_eq!(lease.poll_deadline(&mut context), Poll::Pending);
        }
        lease.keep_deadline(9);
        entries.tick();
        assert_eq!(lease.poll_deadline(&mut context), Poll::Ready(()));
        lease.clear_deadline();
        assert_eq!(lease.poll_deadline(&mut context), Poll::Pending);
    }
}
