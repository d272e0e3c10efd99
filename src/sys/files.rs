//! Small files: made new, read whole, and whether one may be made at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{AccessFlags, UnlinkatFlags, access, fchown, unlinkat};

use super::owned_file::Folder;
use super::privileges::Identity;

/// Makes a file that is new, in place of what is at the path: neither a link there nor a second name of
/// another file is written to.
///
/// # Errors
///
/// Those of the file system; a link on the way that others than root may have made.
pub(crate) fn make_anew(path: &Path, mode: u32) -> io::Result<File> {
    let (folder, name) = Folder::of(path)?;
    match unlinkat(&folder.descriptor, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    Ok(openat(&folder.descriptor, name, flags, Mode::from_bits_truncate(mode))?.into())
}

/// Makes a folder that is not there, for `identity` alone; one that is there may be of whomever.
///
/// # Errors
///
/// Those of the file system; something else is there, or a link on the way that others than root may have
/// made.
pub(crate) fn make_folder(path: &Path, identity: &Identity) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let (folder, name) = Folder::of(path)?;
    mkdirat(&folder.descriptor, name, Mode::S_IRWXU)?;
    // Given away by its descriptor: by now another file may have its name.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(&folder.descriptor, name, flags, Mode::empty())?;
    Ok(fchown(&made, identity.user, identity.group)?)
}

/// Opens a file for reading, without waiting: a pipe may never bring anything, and a device never end.
///
/// # Errors
///
/// Those of the file system; neither a regular file nor `/dev/null`.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() || path == Path::new("/dev/null") {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// Why a file cannot be made in the folder of a path.
pub(crate) fn cannot_make(path: &Path) -> Option<io::Error> {
    match folder_of(path).metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(io::Error::new(
            error.kind(),
            format!("{error}: there is no folder {}", folder_of(path).display()),
        )),
        Err(error) => Some(error),
        Ok(metadata) if !metadata.is_dir() => Some(io::Error::from_raw_os_error(libc::ENOTDIR)),
        Ok(_) if !may_make_beside(path) => Some(io::Error::from_raw_os_error(libc::EACCES)),
        // As root: a link on the way that others may have made.
        Ok(_) => Folder::of(path).err(),
    }
}

/// Whether this process may make, and so remove, files in the folder of a path.
pub(crate) fn may_make_beside(path: &Path) -> bool {
    access(folder_of(path), AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Whether this process may read a file.
pub(crate) fn may_read(path: &Path) -> bool {
    access(path, AccessFlags::R_OK).is_ok()
}

/// The folder of a path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// How long a pipe is waited for that is named where a file is read whole.
const PIPE_WAIT: Duration = Duration::from_secs(1);

/// A whole file of at most `max` bytes. A pipe that brings nothing is an error after a second, not a wait for
/// ever.
///
/// # Errors
///
/// Those of reading; a file that is longer.
pub(crate) fn read_whole(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let deadline = Instant::now() + PIPE_WAIT;
    loop {
        // A FIFO without a writer reads as if it were at its end; only `poll` knows that nobody came.
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        if poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it is a pipe, and nothing comes"));
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {max} bytes")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::{env, fs, process};

    #[test]
    fn a_pipe_that_brings_nothing_is_not_waited_for() {
        let path = env::temp_dir().join(format!("dnstapd-fifo-{}", process::id()));
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let error = read_whole(&path, 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(open_regular(&path).is_err() && open_regular(Path::new("/dev/zero")).is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(open_regular(&path).is_ok() && open_regular(Path::new("/dev/null")).is_ok());
        fs::remove_file(&path).unwrap();
        assert_eq!(read_whole(Path::new("/dev/null"), 10).unwrap(), b"");
        assert!(
            read_whole(Path::new("/dev/zero"), 10).unwrap_err().to_string().starts_with("longer than 10")
        );
    }

    #[test]
    fn what_a_link_leads_to_is_not_written() {
        let folder = env::temp_dir().join(format!("dnstapd-anew-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (victim, link) = (folder.join("victim"), folder.join("link"));
        fs::write(&victim, "as it was").unwrap();
        symlink(&victim, &link).unwrap();
        make_anew(&link, 0o644).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        fs::remove_dir_all(folder).unwrap();
    }
}
