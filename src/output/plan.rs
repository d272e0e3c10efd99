//! An output that is about to be made: what `--check` prints, and what the daemon starts.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;

use super::{Outlet, Outlets, QueueSettings, RecordKind};
use crate::sketch::record_queue::RecordQueue;
use crate::statistics::Statistics;

/// One output, opened as far as it can be before anything runs.
pub struct Plan {
    /// Name in metrics and log: its section's.
    pub name: &'static str,
    /// What it is, in words, for `--check`.
    pub what: String,
    /// What its records are made of.
    pub kind: RecordKind,
    /// Its queue.
    pub queue: QueueSettings,
    /// Bytes of its buffers beside the queue.
    pub buffers: usize,
    /// What takes records out of the queue and writes them.
    pub task: OutletTask,
}

/// The second half of an output: runs until the queue is empty at a stop.
pub type OutletTask = Box<dyn FnOnce(&'static TaskContext, &'static Outlet) -> Running>;

/// A task that runs.
type Running = Pin<Box<dyn Future<Output = ()>>>;

/// What the tasks of outputs may use.
#[derive(Debug)]
pub struct TaskContext {
    /// All outputs.
    pub outputs: Outlets,
    /// The statistics.
    pub statistics: &'static RefCell<Statistics>,
}

impl Plan {
    /// Octets it takes.
    pub fn cost(&self) -> usize {
        RecordQueue::cost(self.queue.bytes) + self.buffers
    }

    /// The output with its queue, and its task.
    pub fn build(self) -> (Outlet, OutletTask) {
        (Outlet::of_kind(self.name, self.kind, self.queue), self.task)
    }
}

impl core::fmt::Debug for Plan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Plan").field("name", &self.name).field("what", &self.what).finish_non_exhaustive()
    }
}
