//! Output `stdout`: prints records.

use crate::limits::{QUEUE, QueueSize};
use crate::setting::{Format, WhenFull};
use serde::Deserialize;

/// Section `output.stdout`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Absent = on when no other output is.
    pub enable: Option<bool>,
    /// How a record is written.
    pub format: Format,
    /// Octets kept while the reader is slow.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

impl Default for Section {
    fn default() -> Self {
        Section { enable: None, format: Format::Text, queue: QUEUE, when_full: WhenFull::Drop }
    }
}

impl Section {
    /// Whether it runs, once resolved.
    pub fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }
}
