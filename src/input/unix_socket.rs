//! Input `unix-socket`: listens for senders on this machine.

use crate::setting::{Account, Fault, FileMode, FilePath, required};
use serde::Deserialize;

/// Section `input.unix-socket`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// The socket's path.
    pub path: Option<FilePath>,
    /// The socket's permissions.
    pub mode: FileMode,
    /// The socket's owner; unset = who runs the program.
    pub owner: Option<Account>,
    /// The socket's group; unset = that of who runs the program.
    pub group: Option<Account>,
}

impl Default for Section {
    fn default() -> Self {
        Section { enable: false, path: None, mode: FileMode::new(0o660), owner: None, group: None }
    }
}

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No path.
    pub fn check(&self) -> Result<(), Fault> {
        required("path", &self.path)
    }
}
