//! Standard streams that must never block the one thread.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes that a writable pipe takes without blocking (POSIX asks for 512 at least, Linux has 4096).
pub(crate) const PIPE_BUF: usize = libc::PIPE_BUF;

/// How a descriptor can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitKind {
    /// Not at all: regular files and devices such as `/dev/null`, which `epoll` refuses.
    Direct,
    /// By polling: pipes, sockets, terminals.
    Pollable,
}

/// The kind of thing a descriptor is open on.
///
/// # Errors
///
/// When it cannot be asked.
pub(crate) fn kind(descriptor: &OwnedFd) -> io::Result<WaitKind> {
    let file = File::from(descriptor.try_clone()?);
    let file_type = file.metadata()?.file_type();
    let is_terminal = descriptor.is_terminal();
    Ok(if file_type.is_fifo() || file_type.is_socket() || is_terminal {
        WaitKind::Pollable
    } else {
        WaitKind::Direct
    })
}

/// Opens what a descriptor is open on once more, for writing without blocking.
///
/// # Errors
///
/// Sockets cannot be opened, nor can what belongs to another user, nor anything without `/proc`.
pub(crate) fn reopen(descriptor: &OwnedFd) -> io::Result<File> {
    let mut path = heapless::String::<32>::new();
    core::fmt::Write::write_fmt(&mut path, format_args!("/proc/self/fd/{}", descriptor.as_raw_fd()))
        .map_err(|core::fmt::Error| io::ErrorKind::InvalidInput)?;
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path.as_str())
}

/// Whether a write of up to [`PIPE_BUF`] bytes would go through now.
///
/// # Errors
///
/// Those of `poll`.
pub(crate) fn is_writable(descriptor: impl AsFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(descriptor.as_fd(), PollFlags::POLLOUT)];
    Ok(poll(&mut descriptors, PollTimeout::ZERO)? > 0)
}

/// Whether somebody sits at a terminal that one of the standard streams is: then its end is the program's.
pub(crate) fn has_terminal() -> bool {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    input.is_terminal() || output.is_terminal() || error.is_terminal()
}
