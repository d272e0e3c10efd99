//! Output `metrics`: writes one line of counters every some seconds.

use super::file::FileCount;
use crate::limits::{QUEUE, QueueSize};
use crate::setting::{FilePath, Octets, Seconds, WhenFull};
use serde::Deserialize;

/// Section `output.metrics`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Time from line to line.
    pub interval: Seconds,
    /// Count from the start; else from the last line on.
    pub cumulative: bool,
    /// The live file; unset = stdout.
    pub file: Option<FilePath>,
    /// Rotate before the live file reaches this size; 0 = never.
    pub file_max_size: Octets,
    /// Rotated files kept beside the live one; 0 = never rotate.
    pub file_count: FileCount,
    /// Octets kept while the reader or the disk is slow.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            interval: Seconds::new(300),
            cumulative: true,
            file: None,
            file_max_size: Octets::new(10 << 20),
            file_count: FileCount::new(10),
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}
