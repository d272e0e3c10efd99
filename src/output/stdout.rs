//! Records on standard output.
//!
//! Many records go out in one write. A pipe or a terminal is opened again through `/proc/self/fd/1`: that
//! gives a description of our own that can be non-blocking, while the one shared with the shell and with
//! other programs stays as it is. Where that is not possible, a write of at most `PIPE_BUF` bytes after
//! `poll` says so cannot block either (POSIX, `write`: a pipe that polls as writable has room for that much).
//! Regular files and `/dev/null` are written directly: their writes end in the page cache.
//!
//! When the reader goes away (EPIPE), the output is closed: what waits and what follows is dropped and
//! counted. Standard output does not come back. Any other error, such as a full disk, is tried again every
//! second.

use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use smol::future::yield_now;

use super::columns::Columns;
use super::{
    DropReason, Outlet, Outlets, OutputKind, Plan, PlanContext, RecordKind, RunningSink, Sink, TaskContext,
    TaskStep, WriteState,
};
use crate::limits::RECORD_BYTES;
use crate::reactor::{Async, Timer};
use crate::section::{Switched, section};
use crate::sys::stdio;
use crate::values::Format;
use crate::values::PlanError;
use defmt_or_log::{info, warn};

section! {
    /// Section `output.stdout`.
    pub struct Section {
        /// Absent = on when no other output is.
        enable: Option<bool> = None,
        /// How a record is written.
        format: Format = Format::Text,
        ..record_output
    }
}

/// Name of the output in metrics and log.
pub(crate) const NAME: &str = "stdout";

impl Switched for Section {
    fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let writer = StdoutWriter::open()?;
        let encoding = self.record_encoding(self.format);
        let (encoding, sink): (_, Box<dyn Sink>) =
            match self.format == Format::Text && io::stdout().is_terminal() {
                true => (encoding, Box::new(TerminalSink { writer, columns: Columns::new() })),
                false => (encoding.with_long_records(), Box::new(writer)),
            };
        Ok(Plan::new(
            self,
            self.format.to_string(),
            RecordKind::Plain { encoding, terminator: (*b"\n").into() },
            sink,
        ))
    }
}

impl Sink for StdoutWriter {
    fn cost(&self) -> usize {
        0
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        Box::pin(run(outlet, &context.outlets, *self))
    }
}

/// A terminal, which shows lines aligned and in colours.
struct TerminalSink {
    writer: StdoutWriter,
    columns: Columns,
}

impl Sink for TerminalSink {
    fn cost(&self) -> usize {
        BATCH_BYTES + SHOWN_BYTES
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        Box::pin(show(outlet, &context.outlets, *self))
    }
}

/// Shows records until the terminal goes away.
async fn show(outlet: &Outlet, outlets: &Outlets, terminal: TerminalSink) {
    let TerminalSink { writer, mut columns } = terminal;
    let (mut batch, mut shown) = (Vec::with_capacity(BATCH_BYTES), Vec::with_capacity(SHOWN_BYTES));
    while outlet.next_step().await != TaskStep::End {
        batch.clear();
        shown.clear();
        outlet.take_batch(&mut batch, BATCH_BYTES);
        columns.show(&batch, &mut shown);
        let mut rest = shown.as_slice();
        while !rest.is_empty() {
            match writer.write([rest, &[]]) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outlet.set_write_state(WriteState::Blocked);
                    outlets.progressed();
                    if writer.writable().await.is_err() {
                        yield_now().await;
                    }
                }
                Err(_) => {
                    outlet.set_write_state(WriteState::Closed);
                    outlet.discard(DropReason::Closed);
                    outlets.progressed();
                    return;
                }
            }
        }
        outlet.batch_written();
        outlet.set_write_state(WriteState::Ready);
        outlets.progressed();
        yield_now().await;
    }
}

/// Bytes of records that are taken at once: the longest fits.
const BATCH_BYTES: usize = 2 * RECORD_BYTES;
/// Room for what becomes of them. The shortest records grow most, by colours and spaces.
const SHOWN_BYTES: usize = 8 * BATCH_BYTES;

/// Standard output as something to write to.
#[derive(Debug)]
pub enum StdoutWriter {
    /// Never blocks for long: regular files, `/dev/null`.
    Direct(File),
    /// Says when it can be written; at most `limit` bytes at once.
    Polled {
        /// The descriptor, in the reactor.
        descriptor: Async<File>,
        /// Bytes that can be written without blocking once it polls as writable.
        limit: usize,
    },
}

impl StdoutWriter {
    /// Standard output of this process.
    ///
    /// # Errors
    ///
    /// When the descriptor is closed or the reactor refuses it.
    pub(crate) fn open() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        StdoutWriter::from_descriptor(stdout)
    }

    /// Any descriptor, judged by what it is.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        match stdio::kind(&descriptor)? {
            stdio::WaitKind::Direct => Ok(StdoutWriter::Direct(File::from(descriptor))),
            stdio::WaitKind::Pollable => match stdio::reopen(&descriptor) {
                Ok(own) => Ok(StdoutWriter::Polled { descriptor: Async::new(own)?, limit: usize::MAX }),
                Err(_) => Ok(StdoutWriter::Polled {
                    descriptor: Async::new_nonblocking(File::from(descriptor))?,
                    limit: stdio::PIPE_BUF,
                }),
            },
        }
    }

    /// Writes what it can without blocking.
    fn write(&self, pieces: [&[u8]; 2]) -> io::Result<usize> {
        match self {
            StdoutWriter::Direct(file) => write_pieces(file, pieces),
            StdoutWriter::Polled { descriptor, limit: usize::MAX } => {
                write_pieces(descriptor.get_ref(), pieces)
            }
            StdoutWriter::Polled { descriptor, limit } => {
                if !stdio::is_writable(descriptor.get_ref())? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let [first, _] = pieces;
                write_pieces(descriptor.get_ref(), [first.get(..*limit).unwrap_or(first), &[]])
            }
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            StdoutWriter::Direct(_) => Ok(()),
            StdoutWriter::Polled { descriptor, .. } => descriptor.writable().await,
        }
    }
}

fn write_pieces(mut file: &File, pieces: [&[u8]; 2]) -> io::Result<usize> {
    file.write_vectored(&pieces.map(IoSlice::new))
}

/// Writes records until the reader goes away; then only counts.
pub async fn run(outlet: &Outlet, outlets: &Outlets, target: StdoutWriter) {
    loop {
        match outlet.next_step().await {
            TaskStep::Write => {}
            TaskStep::Reopen => continue,
            TaskStep::End => return,
        }
        match outlet.write_with(|pieces| target.write(pieces)) {
            Ok(()) => {
                outlet.set_write_state(WriteState::Ready);
                outlets.progressed();
                yield_now().await;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                outlet.set_write_state(WriteState::Blocked);
                outlets.progressed();
                if target.writable().await.is_err() {
                    yield_now().await;
                }
            }
            Err(error) if is_final(&error) => {
                info!("Output {}: the reader is gone, records are dropped from now on", outlet.name());
                outlet.set_write_state(WriteState::Closed);
                outlet.discard(DropReason::Closed);
                outlets.progressed();
                return;
            }
            Err(error) => {
                if outlet.is_connected() {
                    warn!("Output {}: {error}; tried again every second", outlet.name());
                }
                outlet.set_write_state(WriteState::Away);
                outlets.progressed();
                Timer::after(RETRY).await;
            }
        }
    }
}

/// Whether no later write can succeed.
fn is_final(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(nix::libc::EBADF)
}

/// Pause after a write that failed for want of space or the like.
const RETRY: Duration = Duration::from_secs(1);
