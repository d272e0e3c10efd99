//! The process: whose rights it runs with, and where its number is written.

pub(crate) mod descriptors;
mod pid_file;
pub(crate) mod privileges;
pub(crate) mod service;
mod start_error;

pub(crate) use pid_file::PidFile;
pub(crate) use start_error::StartError;

use crate::values::{Account, FilePath};
use serde::Deserialize;

/// Section `process`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// User to become once sockets and files are open; unset = stay.
    pub(crate) user: Option<Account>,
    /// Group to become; unset = stay, or the user's own when `user` is set.
    pub(crate) group: Option<Account>,
    /// Give up every system call not needed, where the system supports it.
    pub(crate) seccomp: bool,
    /// File with the number of the process, removed at exit.
    pub(crate) pid_file: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section { user: None, group: None, seccomp: true, pid_file: None }
    }
}
