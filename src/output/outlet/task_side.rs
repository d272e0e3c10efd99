//! The second half of an output as its task sees it: waits for records, takes them out, and says what became
//! of them.
//!
//! ```text
//! queue ---- write_with, write_first_with ----> written: delivered
//!   |------- drop_first ----------------------> dropped
//!   '------- take_batch, send_first_with ---> on its way --- batch_written, settle_delivered ---> delivered
//!                                                         '-- settle_lost ---> dropped
//! ```

use core::future::poll_fn;
use core::task::{Context, Poll};

use super::Outlet;
use crate::output::DropReason;

/// The next thing for an output's task to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskStep {
    /// Write: something is queued.
    Write,
    /// Open the file again.
    Reopen,
    /// End: the daemon stops, and nothing is queued any more.
    End,
}

impl Outlet {
    /// Waits for something to do.
    pub(crate) async fn next_step(&self) -> TaskStep {
        poll_fn(|context| self.poll_step(context)).await
    }

    /// The same, for one look.
    pub(crate) fn poll_step(&self, context: &mut Context<'_>) -> Poll<TaskStep> {
        self.poll_until(context, 1, |outlet| {
            if outlet.reopen.take() {
                Some(TaskStep::Reopen)
            } else if !outlet.queue.borrow().is_empty() {
                Some(TaskStep::Write)
            } else {
                outlet.finishing.get().then_some(TaskStep::End)
            }
        })
    }

    /// Waits until that many bytes are queued that inputs would soon have to wait, but no more than `bytes`;
    /// not at all once the daemon stops.
    pub(crate) async fn filled(&self, bytes: usize) {
        let capacity = self.queue.borrow().capacity();
        let enough = bytes.min((capacity - self.longest) / 2);
        let ready = |outlet: &Self| outlet.finishing.get() || outlet.queue.borrow().bytes() >= enough;
        poll_fn(|context| self.poll_until(context, enough, |outlet| ready(outlet).then_some(()))).await;
    }

    /// Waits until the daemon stops and nothing is queued.
    pub(crate) async fn ended(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_over().then_some(())))
            .await;
    }

    /// Waits until the daemon stops.
    pub(crate) async fn stopping(&self) {
        poll_fn(|context| self.poll_until(context, usize::MAX, |outlet| outlet.is_stopping().then_some(())))
            .await;
    }

    /// Whether the daemon stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.finishing.get()
    }

    /// Whether the daemon stops and nothing is queued.
    pub(crate) fn is_over(&self) -> bool {
        self.finishing.get() && self.is_drained()
    }

    /// Whether no record waits or is on its way.
    pub(in crate::output) fn is_drained(&self) -> bool {
        self.queue.borrow().is_empty() && self.in_flight.get().0 == 0
    }

    /// Ready when `ready` says something; it is asked again whenever `wake_at` bytes are queued.
    fn poll_until<T>(
        &self,
        context: &mut Context<'_>,
        wake_at: usize,
        ready: impl Fn(&Self) -> Option<T>,
    ) -> Poll<T> {
        match ready(self) {
            Some(result) => Poll::Ready(result),
            None => {
                self.wake_at.set(wake_at);
                self.reader.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Hands what is to be written to `write` and takes out as much as it says it wrote.
    ///
    /// # Errors
    ///
    /// Those of `write`; the queue is then as before.
    pub fn write_with<E>(&self, write: impl FnOnce([&[u8]; 2]) -> Result<usize, E>) -> Result<(), E> {
        let written = write(self.queue.borrow().pending())?;
        let complete = self.queue.borrow_mut().take(written);
        self.count_delivered(complete);
        Ok(())
    }

    /// Hands the first record to `write`, and takes it out when that succeeds; `None` when nothing is queued.
    pub(crate) fn write_first_with<T, E>(
        &self,
        write: impl FnOnce([&[u8]; 2]) -> Result<T, E>,
    ) -> Option<Result<(), E>> {
        let written = self.queue.borrow().first().map(write)?;
        Some(written.map(|_| {
            let records = self.take_first();
            self.count_delivered(records);
        }))
    }

    /// Throws the first record away, and counts it.
    pub(crate) fn drop_first(&self, reason: DropReason) {
        let records = self.take_first();
        self.count_dropped(records, reason);
    }

    fn take_first(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let length = queue.first_length().unwrap_or(0);
        queue.take(length)
    }

    /// Bytes of the first record.
    pub(crate) fn first_bytes(&self) -> Option<usize> {
        self.queue.borrow().first_length()
    }

    /// Moves whole records to the end of `batch`, at most `room` bytes; they count as queued until
    /// [`Outlet::batch_written`].
    pub(crate) fn take_batch(&self, batch: &mut Vec<u8>, room: usize) {
        let before = batch.len();
        let moved = self.queue.borrow_mut().drain_into(batch, room);
        let (records, bytes) = self.in_flight.get();
        self.in_flight.set((records + moved, bytes + batch.len() - before));
    }

    /// Counts what [`Outlet::take_batch`] took as delivered.
    pub(crate) fn batch_written(&self) {
        let (records, _) = self.in_flight.take();
        self.count_delivered(records);
    }

    /// Hands the first record to `send`, and when that succeeds takes it out; it counts as queued until
    /// [`Outlet::settle_delivered`] or [`Outlet::settle_lost`]. `None` when nothing waits.
    pub(crate) fn send_first_with<E>(
        &self,
        send: impl FnOnce([&[u8]; 2]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let bytes = self.first_bytes()?;
        let sent = self.queue.borrow().first().map(send)?;
        Some(sent.map(|()| {
            let (records, before) = self.in_flight.get();
            self.in_flight.set((records + self.take_first(), before + bytes));
        }))
    }

    /// Counts records that were on their way, with that many bytes in all, as delivered.
    pub(crate) fn settle_delivered(&self, records: u64, bytes: usize) {
        let settled = self.settle(records, bytes);
        self.count_delivered(settled);
    }

    /// Counts records that were on their way, with that many bytes in all, as lost.
    pub(crate) fn settle_lost(&self, records: u64, bytes: usize, reason: DropReason) {
        let settled = self.settle(records, bytes);
        self.count_dropped(settled, reason);
    }

    /// Takes records from those on their way.
    fn settle(&self, records: u64, bytes: usize) -> u64 {
        let (flying, weight) = self.in_flight.get();
        let landed = records.min(flying);
        self.in_flight.set((flying - landed, weight.saturating_sub(bytes)));
        landed
    }

    /// Starts a record over that was written in part, on a new connection.
    pub(crate) fn rewind(&self) {
        self.queue.borrow_mut().rewind();
    }
}
