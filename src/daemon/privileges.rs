//! The rights of the process: what it keeps once everything is open.

use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use defmt_or_log::{info, warn};
use nix::unistd::{AccessFlags, access};

use super::Failure;
use crate::config::Config;
use crate::process::Section;
use crate::sys::privileges::{self, Identity};
use crate::sys::seccomp;

/// A file that is opened again while the daemon runs.
struct Kept<'a> {
    key: &'static str,
    path: &'a Path,
    /// Whether it is renamed, too, and another one is made in its place.
    rotates: bool,
}

/// Who the section says to become.
///
/// # Errors
///
/// When nobody is called so.
pub fn identity(section: &Section) -> Result<Identity, Failure> {
    let [user, group] = [&section.user, &section.group].map(|account| account.as_ref().map(|a| a.as_str()));
    let key = if user.is_some() { "process.user" } else { "process.group" };
    Identity::find(user, group).map_err(Failure::of(key))
}

/// Becomes who the configuration says, forgoes new rights, and puts the system call filter in force. Log and
/// output files go to the new owner, who has to open them again at rotation and reload.
///
/// # Errors
///
/// What only root may do, and an output that the new user could not rotate.
pub fn give_up(config: &Config, identity: &Identity) -> Result<(), Failure> {
    let files = files(config);
    for file in &files {
        hand_over(file.path, identity).map_err(Failure::of(format!(
            "{}: {}",
            file.key,
            file.path.display()
        )))?;
    }
    identity.assume().map_err(Failure::of("process.user, process.group"))?;
    privileges::forgo_new().map_err(Failure::of("no_new_privs"))?;
    if config.process.seccomp {
        filter_calls()?;
    }
    for file in &files {
        warn_if_not_reopenable(file)?;
    }
    Ok(())
}

/// The files that are opened again.
fn files(config: &Config) -> Vec<Kept<'_>> {
    let (trace, file, metrics) = (&config.trace, &config.output.file, &config.output.metrics);
    let trace = trace.file.as_deref().map(|path| Kept { key: "trace.file", path, rotates: false });
    let file = file.enable.then(|| Kept {
        key: "output.file.file",
        path: &file.file,
        rotates: file.file_count.get() > 0 && file.file_max_size.get() > 0,
    });
    let metrics = metrics.file.as_deref().filter(|_| metrics.enable).map(|path| Kept {
        key: "output.metrics.file",
        path,
        rotates: metrics.file_count.get() > 0 && metrics.file_max_size.get() > 0,
    });
    [trace, file, metrics].into_iter().flatten().collect()
}

/// Gives a file to its new owner.
fn hand_over(path: &Path, identity: &Identity) -> io::Result<()> {
    // Never a device such as /dev/null.
    if (identity.user.is_none() && identity.group.is_none()) || !path.metadata()?.is_file() {
        return Ok(());
    }
    chown(path, identity.user.map(|user| user.as_raw()), identity.group.map(|group| group.as_raw()))
}

/// Says now what would fail later.
fn warn_if_not_reopenable(file: &Kept<'_>) -> Result<(), Failure> {
    let folder = match file.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() {
        return Ok(());
    }
    let what = format!("{}: {}: this user may not make files there", file.key, folder.display());
    if file.rotates && file.path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Failure(format!("{what}, as rotation needs")));
    }
    warn!("{}; once moved away, the file cannot be opened again", what);
    Ok(())
}

fn filter_calls() -> Result<(), Failure> {
    match seccomp::install() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            info!("process.seccomp: this system has no filter for system calls");
            Ok(())
        }
        result => result.map_err(Failure::of("process.seccomp")),
    }
}
