//! The program's log: one line an event, on standard error or appended to a file that rotates.
//!
//! ```text
//! 2026-11-23T04:42:00.123Z WARN text
//! ```
//!
//! Logging never blocks. On standard error a line is written only when the descriptor says that it can be,
//! and a line is short enough (`PIPE_BUF`) for that to be a promise. A file never says so: its lines wait in
//! a queue, and a task has them written on the blocking pool, with the file inside, as
//! [`crate::output::file`] does it. Before that task runs and after it ended, at the start and at the very
//! end, lines are written directly.
//!
//! A line that finds no room is dropped and counted. Lines of one kind are limited ([`mod@limiter`]). Only
//! this program's own lines are shown, not its libraries'.

mod limiter;

use core::fmt::Write as _;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Metadata, Record};

use crate::limits::{LOG_LINE_BYTES, LOG_QUEUE_BYTES};
use crate::output::rotating_file::{FileSettings, RotatingFile};
use crate::reactor::Timer;
use crate::section::section;
use crate::sys::privileges::Identity;
use crate::sys::stdio;
use crate::time::{Time, write_log_time};
use crate::values::FilePath;
use limiter::{LineLimiter, LineVerdict};

section! {
    /// Section `trace`.
    pub struct Section {
        /// Log debug lines too.
        verbose: bool = false,
        /// Where lines are appended; unset = stderr.
        file: Option<FilePath> = None,
        ..rotation(size = 1 << 20, count = 2)
    }
}

impl Section {
    /// The file and its like; `None` = standard error.
    fn settings(&self) -> Option<FileSettings> {
        self.file.as_ref().map(|path| FileSettings {
            path: path.to_path_buf(),
            max_size: self.file_max_size.get(),
            count: self.file_count.get(),
            is_capture: false,
            is_log: true,
            batch: LOG_QUEUE_BYTES,
        })
    }

    fn level(&self) -> LevelFilter {
        if self.verbose { LevelFilter::Debug } else { LevelFilter::Info }
    }
}

/// Starts the log; its file goes to `owner`, who has to open it again later.
///
/// # Errors
///
/// When the file cannot be opened.
pub(crate) fn start(section: &Section, owner: Option<&Identity>) -> io::Result<()> {
    let target = match section.settings() {
        Some(settings) => LogTarget::File(Some(RotatingFile::open(settings, owner)?)),
        None => LogTarget::Stderr,
    };
    LOGGER.lock().target = target;
    log::set_max_level(section.level());
    // A second start, as tests make, keeps the logger that is there.
    let _ = log::set_logger(&LOGGER);
    Ok(())
}

/// Leaves out what is not a warning at least.
pub(crate) fn only_warnings() {
    log::set_max_level(LevelFilter::Warn);
}

/// Takes over another section; opens the file again, so a rotated one is let go. The task of [`run`] does
/// that, since it may block, and says when it fails; the log then goes on as before.
pub(crate) fn reconfigure(section: &Section) {
    log::set_max_level(section.level());
    let output = &mut *LOGGER.lock();
    match section.settings() {
        None => (output.target, output.to_open) = (LogTarget::Stderr, None),
        settings => {
            output.to_open = settings;
            output.wake();
        }
    }
}

/// Writes the lines of the file, and opens it, until it is dropped.
pub(crate) async fn run() {
    loop {
        match poll_fn(|context| LOGGER.lock().poll_job(context)).await {
            LogJob::Write(mut file) => {
                let (file, lost) = smol::unblock(move || {
                    let lost = if file.write().is_err() { file.discard_batch() } else { 0 };
                    (file, lost)
                })
                .await;
                LOGGER.count_dropped(lost);
                LOGGER.lock().put_back(file);
            }
            LogJob::Open(settings) => {
                let path = settings.path.display().to_string();
                match smol::unblock(move || RotatingFile::open(settings, None)).await {
                    Ok(file) => LOGGER.lock().target = LogTarget::File(Some(file)),
                    Err(error) => defmt_or_log::warn!("trace.file: {}: {}", path, error.to_string()),
                }
            }
        }
    }
}

/// Waits until all lines are written, but no longer than a disk may take at a stop; from then on [`run`] is
/// over, and lines are written directly, unless the file is still away.
pub(crate) async fn finish() {
    let begun = Instant::now();
    while begun.elapsed() < LAST_LINES && !LOGGER.lock().is_drained() {
        Timer::after(Duration::from_millis(10)).await;
    }
    LOGGER.lock().is_queued = false;
}

/// Says what was held back; to be called every second.
pub(crate) fn tick(now: Instant) {
    let output = &mut *LOGGER.lock();
    let mut lost = 0;
    limiter().tick(now, |level, example, number| {
        let text = line(level, &format_args!("{example}"), number);
        lost += u32::from(output.put(&text).is_err());
    });
    LOGGER.count_dropped(lost);
}

/// Lines that were dropped because nobody read fast enough.
pub(crate) fn dropped() -> u64 {
    u64::from(LOGGER.dropped.load(Ordering::Relaxed))
}

static LOGGER: Logger = Logger {
    output: Mutex::new(LogOutput {
        target: LogTarget::Stderr,
        is_queued: false,
        queue: Vec::new(),
        to_open: None,
        task: None,
    }),
    dropped: AtomicU32::new(0),
};

/// The one logger.
struct Logger {
    output: Mutex<LogOutput>,
    dropped: AtomicU32,
}

/// Alone, for it is all zeros at first and so takes no room in the program's file.
static LIMITER: Mutex<LineLimiter> = Mutex::new(LineLimiter::new());

/// The kinds of lines. Taken after the logger's own lock.
fn limiter() -> MutexGuard<'static, LineLimiter> {
    LIMITER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where lines go.
struct LogOutput {
    target: LogTarget,
    /// Whether [`run`] writes the lines of a file.
    is_queued: bool,
    /// Whole lines that wait for it, at most [`LOG_QUEUE_BYTES`].
    queue: Vec<u8>,
    /// A file to open.
    to_open: Option<FileSettings>,
    /// The task of [`run`], when it waits.
    task: Option<Waker>,
}

enum LogTarget {
    Stderr,
    /// `None` while it is on the blocking pool.
    File(Option<RotatingFile>),
}

/// Something that may block.
enum LogJob {
    /// Write the batch of the file.
    Write(RotatingFile),
    /// Open a file, which takes the place of the one in use.
    Open(FileSettings),
}

impl Logger {
    fn lock(&self) -> MutexGuard<'_, LogOutput> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_dropped(&self, lines: u32) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut output = self.lock();
        let LineVerdict::Write(held_back) = limiter().judge(record, Instant::now()) else { return };
        if output.put(&line(record.level(), record.args(), held_back)).is_err() {
            self.count_dropped(1);
        }
    }

    fn flush(&self) {}
}

impl LogOutput {
    /// Writes a line, or queues it.
    fn put(&mut self, line: &str) -> io::Result<()> {
        match &mut self.target {
            LogTarget::Stderr => write(io::stderr(), io::stderr().lock(), line),
            LogTarget::File(_) if self.is_queued => {
                if self.queue.len() + line.len() > LOG_QUEUE_BYTES {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.queue.extend_from_slice(line.as_bytes());
                self.wake();
                Ok(())
            }
            LogTarget::File(Some(file)) => {
                file.batch.extend_from_slice(line.as_bytes());
                file.write().inspect_err(|_| {
                    file.discard_batch();
                })
            }
            LogTarget::File(None) => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn poll_job(&mut self, context: &mut Context<'_>) -> Poll<LogJob> {
        if !self.is_queued {
            self.is_queued = true;
            self.queue.reserve_exact(LOG_QUEUE_BYTES);
        }
        if let Some(settings) = self.to_open.take() {
            return Poll::Ready(LogJob::Open(settings));
        }
        if !self.queue.is_empty()
            && let LogTarget::File(file) = &mut self.target
            && let Some(mut file) = file.take()
        {
            file.batch.extend_from_slice(&self.queue);
            self.queue.clear();
            return Poll::Ready(LogJob::Write(file));
        }
        self.task = Some(context.waker().clone());
        Poll::Pending
    }

    /// Takes a file back from the blocking pool, unless another took its place.
    fn put_back(&mut self, file: RotatingFile) {
        if let LogTarget::File(place @ None) = &mut self.target {
            *place = Some(file);
        }
    }

    fn is_drained(&self) -> bool {
        self.queue.is_empty() && !matches!(self.target, LogTarget::File(None))
    }
}

/// A line with its line break; a text too long is cut.
fn line(level: Level, text: &core::fmt::Arguments<'_>, held_back: u64) -> heapless::String<LOG_LINE_BYTES> {
    let mut line = heapless::String::new();
    let _ = write_log_time(&mut line, Time::now());
    let mut cut = CutText(&mut line);
    let _ = write!(cut, " {level} {text}");
    if held_back > 0 {
        let _ = write!(cut, " ({held_back} more of this kind were left out)");
    }
    if line.push('\n').is_err() {
        line.pop();
        let _ = line.push('\n');
    }
    line
}

/// Takes what fits and leaves the rest out.
struct CutText<'a, const N: usize>(&'a mut heapless::String<N>);

impl<const N: usize> core::fmt::Write for CutText<'_, N> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            // A line break in a text would make two lines of it.
            self.0
                .push(if character.is_control() { ' ' } else { character })
                .map_err(|_| core::fmt::Error)?;
        }
        Ok(())
    }
}

fn write(descriptor: impl AsFd, mut out: impl Write, line: &str) -> io::Result<()> {
    if !stdio::is_writable(descriptor)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    out.write_all(line.as_bytes())
}

/// How long the last lines may take at a stop.
const LAST_LINES: Duration = Duration::from_millis(500);
