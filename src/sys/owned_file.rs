//! Opening files as root for the user the program is about to become, in folders that may already be that
//! user's.
//!
//! Who may write in a folder can put a symbolic link there, or a hard link to somebody else's file, and what
//! root opens, empties or gives away through it is not the file that was meant. Here the way to a file is
//! gone folder by folder, each by the descriptor of the one before:
//!
//! ```text
//! /            root's, nobody else writes there    its links are followed: root made them (/var -> /tmp)
//! /tmp/log     the user's                          its links are not followed (ELOOP)
//! out.log      opened in that folder; given away by its descriptor, and only if it is new,
//!              or is root's own and has no second name
//! ```
//!
//! A path is never the argument of chown or chmod. After the rights are given up all of this is needless,
//! because the kernel asks whether the user may; then, and where no user is configured, a file is opened in
//! the usual way.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{fchown, geteuid};

use super::privileges::Identity;

/// A folder that is open, and whether only root can change what is in it.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Its descriptor, good for `openat` and the like alone (`O_PATH`).
    pub(crate) descriptor: OwnedFd,
    /// Whether only root can change what is in it, so that its links can be trusted.
    pub(crate) is_roots: bool,
}

impl Folder {
    /// The folder that `path` names something in, and the name there.
    ///
    /// # Errors
    ///
    /// A folder that is not there, or a link in a folder that not only root can write in (`ELOOP`,
    /// `ENOTDIR`); a path without a name at its end.
    pub(crate) fn of(path: &Path) -> io::Result<(Folder, &OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let start = if path.is_absolute() { "/" } else { "." };
        let mut folder = Folder::new(open(start, FOLDER, Mode::empty())?)?;
        for component in path.parent().unwrap_or(Path::new("")).components() {
            let step = match component {
                Component::Normal(step) => step,
                Component::ParentDir => OsStr::new(".."),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            };
            let flags = FOLDER | folder.no_follow();
            folder = Folder::new(openat(&folder.descriptor, step, flags, Mode::empty())?)?;
        }
        Ok((folder, name))
    }

    fn new(descriptor: OwnedFd) -> io::Result<Folder> {
        let status = fstat(&descriptor)?;
        let others_write = Mode::from_bits_truncate(status.st_mode).intersects(Mode::S_IWGRP | Mode::S_IWOTH);
        Ok(Folder { descriptor, is_roots: status.st_uid == 0 && !others_write })
    }

    /// The flag that keeps a link in this folder from being followed, where it is not to be trusted. Who is
    /// not root can be led to no file but those it may open.
    pub(crate) fn no_follow(&self) -> OFlag {
        if self.is_roots || !geteuid().is_root() { OFlag::empty() } else { OFlag::O_NOFOLLOW }
    }
}

/// Opens the file at `path`, which is made if it is not there, and gives it to `identity`.
///
/// Only a regular file is given away: never a device such as `/dev/null`.
///
/// # Errors
///
/// Those of the file system; a link in a folder that not only root can write in; somebody else's file in such
/// a folder, or one that has a second name.
pub(crate) fn open_for(
    path: &Path,
    identity: Option<&Identity>,
    flags: OFlag,
    mode: Mode,
) -> io::Result<File> {
    let flags = flags | OFlag::O_CLOEXEC;
    let Some(identity) = identity.filter(|identity| is_other(identity)) else {
        return Ok(open(path, flags | OFlag::O_CREAT, mode)?.into());
    };
    let (folder, name) = Folder::of(path)?;
    loop {
        // First as a new file: then it is known to be ours, whatever the folder.
        match openat(&folder.descriptor, name, flags | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(file) => {
                fchown(&file, identity.user, identity.group)?;
                return Ok(file.into());
            }
        }
        match openat(&folder.descriptor, name, flags | folder.no_follow(), mode) {
            // It went away in between; or it is a link to nothing, which root made and `O_CREAT` follows.
            Err(Errno::ENOENT) if folder.is_roots => {
                let file = openat(&folder.descriptor, name, flags | OFlag::O_CREAT, mode)?;
                fchown(&file, identity.user, identity.group)?;
                return Ok(file.into());
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(file) => {
                hand_over(&file, identity, &folder)?;
                return Ok(file.into());
            }
        }
    }
}

/// Whether a file has to be given away at all.
fn is_other(identity: &Identity) -> bool {
    geteuid().is_root() && (identity.user.is_some_and(|user| !user.is_root()) || identity.group.is_some())
}

/// Gives a file that was there to its new owner.
fn hand_over(file: &OwnedFd, identity: &Identity, folder: &Folder) -> io::Result<()> {
    let status = fstat(file)?;
    let is_regular = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    if !is_regular || belongs_to(&status, identity) {
        return Ok(());
    }
    // In a folder of the user a second name of a file that is not the user's looks like the file itself.
    if !folder.is_roots && (status.st_uid != 0 || status.st_nlink != 1) {
        let text = "it belongs to somebody else, in a folder where others than root can write";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(fchown(file, identity.user, identity.group)?)
}

fn belongs_to(status: &FileStat, identity: &Identity) -> bool {
    identity.user.is_none_or(|user| user.as_raw() == status.st_uid)
        && identity.group.is_none_or(|group| group.as_raw() == status.st_gid)
}

/// How a folder on the way is opened.
const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    const NOBODY: u32 = 65_534;

    /// A folder of root's, with a folder of nobody's in it; `None` for who cannot make one.
    fn folders(name: &str) -> Option<(PathBuf, PathBuf, Identity)> {
        let roots = Path::new("/").join(format!("dnstapd-owned-{name}-{}", std::process::id()));
        let theirs = roots.join("theirs");
        if !geteuid().is_root() || fs::create_dir_all(&theirs).is_err() {
            return None;
        }
        fs::set_permissions(&roots, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
        let identity = Identity::find(Some("65534"), Some("65534")).unwrap();
        Some((roots, theirs, identity))
    }

    fn append(path: &Path, identity: &Identity) -> io::Result<File> {
        open_for(path, Some(identity), OFlag::O_APPEND | OFlag::O_WRONLY, Mode::from_bits_truncate(0o640))
    }

    fn owner(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    #[test]
    fn what_the_user_puts_in_the_way_is_not_given_away() {
        let Some((roots, theirs, identity)) = folders("links") else { return };
        let secret = roots.join("secret");
        fs::write(&secret, "root's").unwrap();
        symlink(&secret, theirs.join("link")).unwrap();
        symlink(&roots, theirs.join("folder")).unwrap();
        symlink(roots.join("not-there"), theirs.join("to-nothing")).unwrap();
        fs::hard_link(&secret, theirs.join("second-name")).unwrap();
        for name in ["link", "folder/secret", "folder/new", "to-nothing", "second-name"] {
            assert!(append(&theirs.join(name), &identity).is_err(), "{name}");
        }
        assert_eq!((owner(&secret), roots.join("not-there").exists()), (0, false));
        assert!(!roots.join("new").exists());
        fs::remove_dir_all(roots).unwrap();
    }

    #[test]
    fn files_of_our_own_go_to_the_user() {
        let Some((roots, theirs, identity)) = folders("own") else { return };
        for path in [theirs.join("new"), roots.join("new")] {
            for _ in 0..2 {
                append(&path, &identity).unwrap();
                assert_eq!(owner(&path), NOBODY);
                chown(&path, Some(0), Some(0)).unwrap();
            }
        }
        symlink("new", roots.join("link")).unwrap();
        append(&roots.join("link"), &identity).unwrap();
        assert_eq!(owner(&roots.join("new")), NOBODY, "a link that root made");
        symlink("theirs/later", roots.join("to-nothing")).unwrap();
        append(&roots.join("to-nothing"), &identity).unwrap();
        assert_eq!(owner(&theirs.join("later")), NOBODY);
        append(Path::new("/dev/null"), &identity).unwrap();
        assert_eq!(owner(Path::new("/dev/null")), 0);
        assert!(append(&roots.join("no-folder/new"), &identity).is_err());
        fs::remove_dir_all(roots).unwrap();
    }
}
