//! The program's log.

use crate::setting::FilePath;
use serde::Deserialize;

/// Section `trace`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Log debug lines too.
    pub verbose: bool,
    /// Where lines are appended; unset = stderr.
    pub file: Option<FilePath>,
}
