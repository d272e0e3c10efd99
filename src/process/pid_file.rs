//! The file with the process number.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use defmt_or_log::warn;

use super::StartError;
use crate::sys::files;

/// The file with the process number; removed when dropped, if it still is the one that was made.
pub(crate) struct PidFile {
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
}

impl PidFile {
    /// Writes the number of this process, into a file that did not exist before: what is at the path is
    /// removed, never written to.
    ///
    /// # Errors
    ///
    /// When something other than a pid file is at the path, or it cannot be replaced.
    pub(crate) fn write(path: &Path) -> Result<Self, StartError> {
        let failure = StartError::of(format!("process.pid-file: {}", path.display()));
        let mut file = make(path).map_err(&failure)?;
        writeln!(file, "{}", std::process::id()).map_err(&failure)?;
        let metadata = file.metadata().map_err(&failure)?;
        Ok(PidFile { path: path.to_owned(), made: (metadata.dev(), metadata.ino()) })
    }

    /// Why it could not be written.
    pub(crate) fn obstacle(path: &Path) -> Option<io::Error> {
        is_replaceable(path).err().or_else(|| files::cannot_make(path))
    }

    /// Says when the file cannot be removed at exit; to be called with the rights the process keeps.
    pub(crate) fn warn_if_it_stays(&self) {
        if !files::may_make_beside(&self.path) {
            warn!(
                "process.pid-file: {}: stays after the end: this user may not remove it",
                self.path.display().to_string()
            );
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Bytes of the longest file that is taken for a pid file of an earlier run.
const LONGEST: u64 = 32;

fn make(path: &Path) -> io::Result<File> {
    is_replaceable(path)?;
    files::make_anew(path, 0o644)
}

/// Whether there is nothing at the path, or what may be a pid file.
fn is_replaceable(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(old) if old.is_symlink() || (old.is_file() && old.len() <= LONGEST) => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is no pid file")),
        Err(_) => Ok(()),
    }
}
