//! The rights of the process: what it keeps once everything is open.

use std::io;
use std::path::{Path, PathBuf};

use defmt_or_log::{info, warn};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Section, StartError};
use crate::sys::privileges::{self, Identity};
use crate::sys::{files, owned_file, seccomp};

/// A file that is opened again while the daemon runs.
pub(crate) struct KeptFile {
    /// The key that names it.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// Whether it is renamed, too, and another one is made in its place.
    pub(crate) rotates: bool,
}

/// Who the section says to become.
///
/// # Errors
///
/// When nobody is called so.
pub(crate) fn identity(section: &Section) -> Result<Identity, StartError> {
    let [user, group] = [&section.user, &section.group].map(|account| account.as_ref().map(|a| a.as_str()));
    let key = if user.is_some() { "process.user" } else { "process.group" };
    Identity::find(user, group).map_err(StartError::of(key))
}

/// Becomes who the section says, forgoes new rights, and puts the system call filter in force. Log and output
/// files go to the new owner, who has to open them again at rotation and reload.
///
/// # Errors
///
/// A step that only root may take, or an output that the new user could not rotate.
pub(crate) fn give_up(section: &Section, identity: &Identity, files: &[KeptFile]) -> Result<(), StartError> {
    for file in files {
        hand_over(&file.path, identity).map_err(StartError::of(format_args!(
            "{}: {}",
            file.key,
            file.path.display()
        )))?;
    }
    identity.assume().map_err(StartError::of("process.user, process.group"))?;
    privileges::forgo_new().map_err(StartError::of("no_new_privs"))?;
    if section.seccomp {
        filter_calls()?;
    }
    for file in files {
        warn_if_not_reopenable(file)?;
    }
    Ok(())
}

/// Gives a file to its new owner, by descriptor and through no link of that owner's.
fn hand_over(path: &Path, identity: &Identity) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    match owned_file::open_for(path, Some(identity), flags, Mode::from_bits_truncate(0o644)) {
        // A FIFO without a reader is nobody's file to own.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => Ok(()),
        opened => opened.map(drop),
    }
}

/// Says now what would fail later.
///
/// # Errors
///
/// A file that the user could not rotate.
pub(crate) fn warn_if_not_reopenable(file: &KeptFile) -> Result<(), StartError> {
    if files::may_make_beside(&file.path) {
        return Ok(());
    }
    let folder = files::folder_of(&file.path);
    let what = format!("{}: {}: this user may not make files there", file.key, folder.display());
    if file.rotates && file.path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(StartError(format!("{what}, as rotation needs")));
    }
    warn!("{}; once moved away, the file cannot be opened again", what);
    Ok(())
}

fn filter_calls() -> Result<(), StartError> {
    match seccomp::install() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            info!("process.seccomp: this system has no filter for system calls");
            Ok(())
        }
        result => result.map_err(StartError::of("process.seccomp")),
    }
}
