//! Unix sockets that are listened on, in folders that may belong to others.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open, openat};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, umask};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::files::folder_of;
use super::owned_file::Folder;

/// How long another program that makes a socket in the same folder is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Listens at a path, with these permissions, and owner and group if given. A socket that nobody listens on
/// any more is replaced.
///
/// # Errors
///
/// When something else is at the path, somebody listens there, or the socket may not be made or given away.
pub(crate) fn listen_at(
    path: &Path,
    mode: u32,
    owner: Option<Uid>,
    group: Option<Gid>,
) -> io::Result<UnixListener> {
    // Two that start at once would each take the other's socket for a stale one: one of them waits.
    let _lock = lock_folder(folder_of(path));
    let (folder, name) = Folder::of(path)?;
    remove_stale(&folder, name, path)?;
    // The mode from the first moment on, without a change by name afterwards.
    let mask = umask(Mode::from_bits_truncate(!mode & 0o777));
    let listener = UnixListener::bind(path);
    umask(mask);
    let listener = listener?;
    if owner.is_some() || group.is_some() {
        give(&folder, name, owner, group)?;
    }
    Ok(listener)
}

/// Why no socket can have this path: it is longer than an address of one.
pub(crate) fn too_long(path: &Path) -> Option<io::Error> {
    UnixAddr::new(path).err().map(io::Error::from)
}

/// Gives a socket away by its descriptor: whoever owns the folder may have put a second name of another file
/// in its place.
fn give(folder: &Folder, name: &OsStr, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(&folder.descriptor, name, flags, Mode::empty())?;
    let status = fstat(&made)?;
    if !is_socket(&status) || status.st_nlink != 1 {
        let text = "the socket was replaced while it was made";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(fchownat(&made, "", owner, group, AtFlags::AT_EMPTY_PATH)?)
}

/// Holds a folder against others that make sockets in it; `None` where it cannot be held, or others hold it
/// for longer than [`LOCK_WAIT`].
fn lock_folder(folder: &Path) -> Option<Flock<File>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut folder = File::from(open(folder, flags, Mode::empty()).ok()?);
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((back, Errno::EAGAIN)) if Instant::now() < deadline => folder = back,
            Err(_) => return None,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Removes a socket nobody listens on.
fn remove_stale(folder: &Folder, name: &OsStr, path: &Path) -> io::Result<()> {
    let found = match fstatat(&folder.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found?,
    };
    if !is_socket(&found) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is no socket"));
    }
    // Without waiting: a program with a full backlog may never take anybody.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(probe.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(Errno::ECONNREFUSED) => Ok(unlinkat(&folder.descriptor, name, UnlinkatFlags::NoRemoveDir)?),
        Err(Errno::EACCES) => Err(Errno::EACCES.into()),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens on this socket")),
    }
}

fn is_socket(status: &FileStat) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
}
