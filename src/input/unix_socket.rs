//! Input `unix-socket`: listens for senders on this machine.
//!
//! A socket that nobody listens on any more is replaced; one that is in use, or anything else at the path, is
//! not touched. The socket has its mode from the first moment, and is removed at exit.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use async_io::Async;
use defmt_or_log::warn;
use serde::Deserialize;
use smol::LocalExecutor;

use super::file_mode::FileMode;
use super::receiver::{Receiver, serve};
use crate::input::counters::{InputCounters, RefuseReason};
use crate::net::accept::Acceptor;
use crate::sys::privileges::Identity;
use crate::sys::{accounts, files, unix_listener};
use crate::values::{Account, FilePath, KeyError, required};

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
    pub fn check(&self) -> Result<(), KeyError> {
        required("path", &self.path)
    }
}

/// Name of the input in metrics and log.
pub const NAME: &str = "unix-socket";

/// A listener, and the file that is removed with it.
#[derive(Debug)]
pub struct Socket {
    /// The listener.
    pub listener: UnixListener,
    /// Removes the file when dropped.
    pub file: SocketFile,
}

/// The socket's file; removed when dropped, if it still is the one that was made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says when the file cannot be removed at exit; to be called with the rights the process keeps.
    pub fn warn_if_it_stays(&self) {
        if !files::may_make_beside(&self.path) {
            warn!(
                "input.unix-socket: {}: stays after the end: this user may not remove it",
                self.path.display().to_string()
            );
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket, with its mode, owner and group; unset, they are those that the process is about to become.
///
/// # Errors
///
/// When something else is at the path, somebody listens there, or the owner is unknown or may not be set.
pub fn bind(section: &Section, identity: &Identity) -> io::Result<Socket> {
    let path = section.path.as_deref().unwrap_or(Path::new(""));
    let owner = section.owner.as_ref().map(|owner| accounts::user(owner.as_str())).transpose()?;
    let group = section.group.as_ref().map(|group| accounts::group(group.as_str())).transpose()?;
    let owner = owner.map(|(user, _)| user).or(identity.user);
    let listener = unix_listener::listen_at(path, section.mode.get(), owner, group.or(identity.group))?;
    let made = fs::symlink_metadata(path)?;
    Ok(Socket { listener, file: SocketFile { path: path.to_owned(), made: (made.dev(), made.ino()) } })
}

/// Accepts connections for ever.
pub async fn run(
    executor: &'static LocalExecutor<'static>,
    receiver: &'static Receiver<'static>,
    counters: &'static InputCounters,
    listener: Async<UnixListener>,
) {
    let acceptor = Acceptor::new("Input unix-socket", listener);
    let mut connections = 0u64;
    loop {
        let (stream, ()) = acceptor.accept().await;
        connections += 1;
        let Some(lease) = receiver.connections.take() else {
            warn!("{}: closed, all places for connections are taken (limits.connections)", NAME);
            counters.refused.count(RefuseReason::Limit);
            continue;
        };
        let task_handle = lease.task_handle();
        let peer = Peer(connections);
        task_handle.keep(executor.spawn(async move {
            serve(&stream, &peer, counters, receiver, &lease).await;
        }));
    }
}

/// A peer has no address: its number in order of connection.
struct Peer(u64);

impl core::fmt::Display for Peer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{NAME} #{}", self.0)
    }
}
