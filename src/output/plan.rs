//! An output that is about to be made: what `--check` prints, and what the daemon starts.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;

use super::{Output, Outputs, QueueSettings, Shape};
use crate::sketch::record_queue::RecordQueue;
use crate::statistics::Statistics;

/// One output, opened as far as it can be before anything runs.
pub struct Plan {
    /// Name in metrics and log: its section's.
    pub name: &'static str,
    /// What it is, in words, for `--check`.
    pub what: String,
    /// What its records are made of.
    pub shape: Shape,
    /// Its queue.
    pub queue: QueueSettings,
    /// Octets of its buffers beside the queue.
    pub buffers: usize,
    /// What takes records out of the queue and writes them.
    pub task: Task,
}

/// The second half of an output: runs until the queue is empty at a stop.
pub type Task = Box<dyn FnOnce(&'static Stage, &'static Output) -> Running>;

/// A task that runs.
type Running = Pin<Box<dyn Future<Output = ()>>>;

/// What the tasks of outputs may use.
#[derive(Debug)]
pub struct Stage {
    /// All outputs.
    pub outputs: Outputs,
    /// The statistics.
    pub statistics: &'static RefCell<Statistics>,
}

impl Plan {
    /// Octets it takes.
    pub fn cost(&self) -> usize {
        RecordQueue::cost(self.queue.octets) + self.buffers
    }

    /// The output with its queue, and its task.
    pub fn build(self) -> (Output, Task) {
        (Output::shaped(self.name, self.shape, self.queue), self.task)
    }
}

impl core::fmt::Debug for Plan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Plan").field("name", &self.name).field("what", &self.what).finish_non_exhaustive()
    }
}
