//! Output `file`: writes records to a file that rotates.

use crate::limits::{QUEUE, QueueSize};
use crate::setting::{FileFormat, FilePath, Octets, WhenFull, Within};
use serde::Deserialize;

/// Section `output.file`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// How a record is written.
    pub format: FileFormat,
    /// The live file.
    pub file: FilePath,
    /// Rotate before the live file reaches this size; 0 = never.
    pub file_max_size: Octets,
    /// Rotated files kept beside the live one; 0 = never rotate.
    pub file_count: FileCount,
    /// Octets kept while the disk is slow.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

/// What `file-count` takes.
pub type FileCount = Within<0, 9999>;

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            format: FileFormat::Text,
            file: FilePath::new("/var/log/dnstap.log"),
            file_max_size: Octets::new(10 << 20),
            file_count: FileCount::new(10),
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}
