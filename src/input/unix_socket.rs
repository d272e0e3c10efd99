//! Input `unix-socket`: listens for senders on this machine.
//!
//! A socket that nobody listens on any more is replaced; one that is in use, or anything else at the path, is
//! not touched. The socket has its mode from the first moment, and is removed at exit.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use defmt_or_log::{debug, warn};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use super::connections::{ConnectionGroup, Origin};
use super::counters::InputCounters;
use super::file_mode::FileMode;
use super::plan::{BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, RunningSource, Source};
use super::receiver::serve;
use crate::net::accept::Acceptor;
use crate::reactor::Async;
use crate::section::section;
use crate::sys::privileges::Identity;
use crate::sys::{accounts, files, unix_listener};
use crate::values::{Account, FilePath, KeyError, PlanError, required};

section! {
    /// Section `input.unix-socket`.
    pub struct Section {
        ..enable
        /// The socket's path.
        path: Option<FilePath> = None,
        /// The socket's permissions.
        mode: FileMode = FileMode::new(0o660),
        /// The socket's owner; unset = who runs the program.
        owner: Option<Account> = None,
        /// The socket's group; unset = that of who runs the program.
        group: Option<Account> = None,
    }
}

/// Name of the input in metrics and log.
pub(crate) const NAME: &str = "unix-socket";

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> Result<(), KeyError> {
        required("path", &self.path)
    }

    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        Ok(InputPlan {
            name: NAME,
            words: format!("at {}", path.display()),
            memory: Vec::new(),
            source: Box::new(UnixServer {
                section: self.clone(),
                places: context.limits.connections,
                listener: None,
                file: None,
            }),
        })
    }
}

/// A listener on a Unix socket.
struct UnixServer {
    section: Section,
    places: usize,
    listener: Option<UnixListener>,
    /// Removes the file when dropped.
    file: Option<SocketFile>,
}

impl Source for UnixServer {
    fn foresee(&self) -> Vec<String> {
        let Section { path, owner, group, .. } = &self.section;
        let path = path.as_deref().unwrap_or(Path::new(""));
        let shown = path.display();
        let mut errors: Vec<_> =
            files::cannot_make(path).map(|why| format!(": {shown}: {why}")).into_iter().collect();
        errors.extend(unix_listener::too_long(path).map(|why| format!(": {shown}: {why}")));
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.file_type().is_socket()) {
            errors.push(format!(": {shown}: the file exists and is no socket"));
        }
        let owner = owner.as_ref().and_then(|owner| accounts::user(owner.as_str()).err());
        let group = group.as_ref().and_then(|group| accounts::group(group.as_str()).err());
        for (key, error) in [("owner", owner), ("group", group)] {
            errors.extend(error.map(|error| format!(".{key}: {error}")));
        }
        errors
    }

    fn open(&mut self, identity: &Identity) -> io::Result<()> {
        let path = self.section.path.as_deref().unwrap_or(Path::new(""));
        let (listener, file) = bind(&self.section, identity).map_err(|error| {
            let why = files::cannot_make(path).filter(|why| why.kind() == io::ErrorKind::NotFound);
            let why = why.unwrap_or(error);
            io::Error::new(why.kind(), format!("{}: {why}", path.display()))
        })?;
        (self.listener, self.file) = (Some(listener), Some(file));
        Ok(())
    }

    fn warn_of_lost_rights(&self) {
        if let Some(file) = &self.file {
            file.warn_if_it_stays();
        }
    }

    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource> {
        let UnixServer { places, listener, file, .. } = *self;
        let listener = Async::new(listener.ok_or(io::ErrorKind::NotConnected)?)?;
        if let Some(file) = &file {
            debug!("Input handler: listening on {}", file.path.display().to_string());
        }
        let group = context.receiver.connections.group(places, places);
        Ok(Box::pin(async move {
            let _file = file;
            accept(context, counters, group, listener).await
        }))
    }
}

/// The socket's file; removed when dropped, if it still is the one that was made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
}

impl SocketFile {
    /// Says when the file cannot be removed at exit; to be called with the rights the process keeps.
    fn warn_if_it_stays(&self) {
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

/// Makes the socket, with its mode, owner and group; unset, they are those that the process is about to
/// become.
///
/// # Errors
///
/// When something else is at the path, somebody listens there, or the owner is unknown or may not be set.
fn bind(section: &Section, identity: &Identity) -> io::Result<(UnixListener, SocketFile)> {
    let path = section.path.as_deref().unwrap_or(Path::new(""));
    let owner = section.owner.as_ref().map(|owner| accounts::user(owner.as_str())).transpose()?;
    let group = section.group.as_ref().map(|group| accounts::group(group.as_str())).transpose()?;
    let owner = owner.map(|(user, _)| user).or(identity.user);
    let listener = unix_listener::listen_at(path, section.mode.get(), owner, group.or(identity.group))?;
    let made = fs::symlink_metadata(path)?;
    Ok((listener, SocketFile { path: path.to_owned(), made: (made.dev(), made.ino()) }))
}

/// Accepts connections for ever.
async fn accept(
    context: InputContext,
    counters: &'static InputCounters,
    group: &'static ConnectionGroup,
    listener: Async<UnixListener>,
) -> Result<(), BrokenOff> {
    let InputContext { executor, receiver } = context;
    let acceptor = Acceptor::new("Input unix-socket", listener);
    let mut connections = 0u64;
    loop {
        let (stream, ()) = acceptor.accept().await;
        connections += 1;
        let peer = UnixPeer(connections);
        let process = getsockopt(&stream, PeerCredentials).map_or(0, |credentials| credentials.pid());
        let origin = Origin::Process(process.unsigned_abs());
        let Some(lease) = group.admit(origin, counters, &peer).await else { continue };
        let task_handle = lease.task_handle();
        task_handle.keep(executor.spawn(async move {
            lease.note_socket(stream.get_ref(), true);
            serve(&stream, &peer, counters, receiver, &lease).await;
        }));
    }
}

/// A peer has no address: its number in order of connection.
struct UnixPeer(u64);

impl core::fmt::Display for UnixPeer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{NAME} #{}", self.0)
    }
}
