//! The program's log: one line an event, on standard error or appended to a file.
//!
//! ```text
//! 2026-11-23T04:42:00.123Z WARN text
//! ```
//!
//! Logging never blocks. A line is written only when the descriptor says that it can be, and a line is short
//! enough (`PIPE_BUF`) for that to be a promise; else it is dropped and counted. Only this program's own lines
//! are shown, not its libraries'.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use log::{Level, LevelFilter, Metadata, Record};
use serde::Deserialize;

use crate::limits::LOG_LINE_BYTES;
use crate::sys::privileges::Identity;
use crate::sys::{owned_file, stdio};
use crate::time::{Time, write_log_time};
use crate::values::FilePath;

/// Section `trace`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Log debug lines too.
    pub verbose: bool,
    /// Where lines are appended; unset = stderr.
    pub file: Option<FilePath>,
}

/// Starts the log; its file goes to `owner`, who has to open it again later.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn start(section: &Section, owner: Option<&Identity>) -> io::Result<()> {
    take_over(section, owner)?;
    // A second start, as tests make, keeps the logger that is there.
    let _ = log::set_logger(&LOGGER);
    Ok(())
}

/// Takes over another section; opens the file anew, so a rotated one is let go.
///
/// # Errors
///
/// When the file cannot be opened; the log goes on as before.
pub fn reconfigure(section: &Section) -> io::Result<()> {
    take_over(section, None)
}

fn take_over(section: &Section, owner: Option<&Identity>) -> io::Result<()> {
    let file = section.file.as_ref().map(|path| open(path, owner)).transpose()?;
    *LOGGER.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
    log::set_max_level(if section.verbose { LevelFilter::Debug } else { LevelFilter::Info });
    Ok(())
}

/// Lines that were dropped because nobody read fast enough.
pub fn dropped() -> u64 {
    u64::from(LOGGER.dropped.load(Ordering::Relaxed))
}

/// Opens a log file for appending. A FIFO that nobody reads is an error, not a wait.
fn open(path: &Path, owner: Option<&Identity>) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    owned_file::open_for(path, owner, flags, Mode::from_bits_truncate(0o644))
}

static LOGGER: Logger = Logger { file: Mutex::new(None), dropped: AtomicU32::new(0) };

/// Where lines go.
struct Logger {
    /// Standard error when there is none.
    file: Mutex<Option<File>>,
    dropped: AtomicU32,
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(record.level(), record.args());
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &*file {
            Some(file) => write(file, file, &line),
            None => write(io::stderr(), io::stderr().lock(), &line),
        };
        if written.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// A line with its line break; a text too long is cut.
fn line(level: Level, text: &core::fmt::Arguments<'_>) -> heapless::String<LOG_LINE_BYTES> {
    let mut line = heapless::String::new();
    let _ = write_log_time(&mut line, Time::now());
    let mut cut = Cut(&mut line);
    let _ = write!(cut, " {level} {text}");
    if line.push('\n').is_err() {
        line.pop();
        let _ = line.push('\n');
    }
    line
}

/// Takes what fits and leaves the rest out.
struct Cut<'a>(&'a mut heapless::String<LOG_LINE_BYTES>);

impl core::fmt::Write for Cut<'_> {
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
