//! Word when interfaces and their addresses change: rtnetlink(7).
//!
//! The kernel's messages about changes are not read, they only mean that it is time to look again: so no
//! message can be missed or misunderstood, and one that was lost because there were many does no harm.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
use nix::sys::socket::{MsgFlags, recv};

use super::netlink::open;
use crate::reactor::Async;

/// Word of changes.
#[derive(Debug)]
pub(crate) struct RouteSocket(OwnedFd);

impl RouteSocket {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the kernel has no netlink, or no descriptor left.
    pub(crate) fn open() -> io::Result<Self> {
        let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
        open(groups as u32).map(RouteSocket)
    }

    /// Puts it into the reactor.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub(crate) fn into_async(self) -> io::Result<AsyncRouteSocket> {
        Ok(AsyncRouteSocket(Async::new_nonblocking(self.0)?))
    }
}

/// Word of changes to wait for.
#[derive(Debug)]
pub(crate) struct AsyncRouteSocket(Async<OwnedFd>);

impl AsyncRouteSocket {
    /// Waits until something changed, or probably did.
    ///
    /// # Errors
    ///
    /// When the reactor fails.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Whether something changed since this was last asked.
    pub(crate) fn take(&self) -> bool {
        let mut changed = false;
        // Bounded: what comes in the meantime is for the next time.
        for _ in 0..TAKEN_AT_ONCE {
            // What does not fit is cut, for it is not read.
            match recv(self.0.as_fd().as_raw_fd(), &mut [0; 64], MsgFlags::empty()) {
                // The kernel had no room for all there was to say.
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(_) => return changed,
            }
        }
        changed
    }
}

/// Messages of the kernel taken at once.
const TAKEN_AT_ONCE: usize = 64;
