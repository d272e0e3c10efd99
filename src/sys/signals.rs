//! Signals as something to read, so that nothing runs inside a signal handler.

use std::io;

use crate::reactor::Async;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals this program knows, blocked and readable.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

/// The request a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGINT, SIGTERM: stop.
    Stop,
    /// SIGHUP: read the configuration again, open files again.
    Reload,
    /// SIGWINCH: the terminal has another size.
    Resize,
}

impl Signals {
    /// Blocks the signals for this thread and all it starts; to be called before there is another thread.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub(crate) fn block() -> io::Result<Self> {
        Self::block_set(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
    }

    /// The same for a program with a screen, which hears of another size, too.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor left.
    pub(crate) fn block_for_screen() -> io::Result<Self> {
        Self::block_set(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH])
    }

    fn block_set(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Puts the signals into the reactor.
    ///
    /// # Errors
    ///
    /// When the reactor refuses them.
    pub(crate) fn into_async(self) -> io::Result<AsyncSignals> {
        Ok(AsyncSignals(Async::new_nonblocking(self.0)?))
    }
}

/// Signals to wait for.
#[derive(Debug)]
pub(crate) struct AsyncSignals(Async<SignalFd>);

impl AsyncSignals {
    /// Waits for the next signal.
    ///
    /// # Errors
    ///
    /// When the descriptor fails.
    pub(crate) async fn next(&self) -> io::Result<Request> {
        // It is asked after each look of the reactor, so it waits first and reads then: mostly, there is none.
        let signal = loop {
            self.0.readable().await?;
            match self.0.get_ref().read_signal() {
                Ok(Some(signal)) => break signal,
                Ok(None) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        Ok(match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
            Ok(Ok(Signal::SIGHUP)) => Request::Reload,
            Ok(Ok(Signal::SIGWINCH)) => Request::Resize,
            _ => Request::Stop,
        })
    }
}
