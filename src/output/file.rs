//! Output `file`: writes records to a file that rotates.
//!
//! Records are written in batches, a tenth of a second after the first one at the latest. A batch leaves the queue,
//! goes to the blocking pool together with the file, and comes back empty; until then its records count as
//! queued. So a disk that stalls stalls nothing else. While a batch is on its way the output is still owed its turn,
//! so nothing is dropped at full speed, unless it takes longer than a second.
//!
//! When a write fails (disk full, folder gone, read-only), the batch and the queue are kept, and it is tried again
//! every second; what the queue has no room for meanwhile is dropped and counted. The log has one line when it
//! begins and one when it is over.

use std::io;
use std::time::Duration;

use async_io::Timer;
use defmt_or_log::{info, warn};
use smol::future::{or, pending};

use super::rotating_file::{self, RotatingFile};
use super::{Outlet, Outlets, Plan, QueueSettings, RawFrames, RecordKind, TaskStep, WriteState};
use crate::limits::{FILE_BATCH_BYTES, Limits, QUEUE, QueueSize};
use crate::values::{Bounded, ByteSize, FilePath, Format, WhenFull, choice};
use serde::Deserialize;

/// Section `output.file`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// How a record is written.
    pub format: FileFormat,
    /// The live file.
    pub file: FilePath,
    /// Rotate before the live file reaches this size; 0 = never.
    pub file_max_size: ByteSize,
    /// Rotated files kept beside the live one; 0 = never rotate.
    pub file_count: FileCount,
    /// Bytes kept while the disk is slow.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

choice! {
    /// How one message is written to a file.
    FileFormat {
        /// One line, fields apart by one space.
        Text = "text",
        /// One compact object a line.
        Json = "json",
        /// One document a message.
        Yaml = "yaml",
        /// A Frame Streams capture, as `fstrm_capture` writes it.
        Dnstap = "dnstap",
    }
}

/// What `file-count` takes.
pub type FileCount = Bounded<0, 9999>;

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            format: FileFormat::Text,
            file: FilePath::new("/var/log/dnstap.log"),
            file_max_size: ByteSize::new(10 << 20),
            file_count: FileCount::new(10),
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "file";

/// The output of a section, open.
///
/// # Errors
///
/// When the file cannot be opened for writing.
pub fn plan(section: &Section, limits: &Limits) -> io::Result<Plan> {
    let plain = |format| RecordKind::Plain { format, terminator: (*b"\n").into() };
    let kind = match section.format {
        FileFormat::Text => plain(Format::Text),
        FileFormat::Json => plain(Format::Json),
        FileFormat::Yaml => plain(Format::Yaml),
        FileFormat::Dnstap => RecordKind::RawFrames(RawFrames::new(limits.frame, None)),
    };
    let is_capture = section.format == FileFormat::Dnstap;
    let room = FILE_BATCH_BYTES.max(kind.longest());
    let path = &section.file;
    let live = open(path, (section.file_max_size, section.file_count), is_capture, room)?;
    Ok(Plan {
        name: NAME,
        what: format!("{}, {}", path.display(), section.format),
        kind,
        queue: QueueSettings { bytes: section.queue.in_memory(), when_full: section.when_full },
        buffers: room,
        task: task(live),
    })
}

/// Opens the live file; `room` is the size of a batch.
///
/// # Errors
///
/// When it cannot be opened for writing.
pub fn open(
    path: &FilePath,
    (max_size, count): (ByteSize, FileCount),
    is_capture: bool,
    room: usize,
) -> io::Result<RotatingFile> {
    RotatingFile::open(path, (max_size.get(), count.get()), is_capture, room)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The task of an output that writes to `live`.
pub fn task(live: RotatingFile) -> super::OutletTask {
    Box::new(|context, output| {
        if rotating_file::is_on_flash(live.path()) {
            warn!(
                "Output {}: {} is on a file system that may be a router's flash, which wears out",
                output.name(),
                live.path().display().to_string()
            );
        }
        Box::pin(run(output, &context.outputs, live))
    })
}

/// Writes records until the daemon stops.
async fn run(output: &Outlet, outputs: &Outlets, mut live: RotatingFile) {
    loop {
        match output.next_step().await {
            TaskStep::Write => {
                or(output.filled(FILE_BATCH_BYTES / 2), async {
                    Timer::after(LINGER).await;
                })
                .await;
                let room = live.room(output.first_bytes().unwrap_or_default());
                output.take_batch(&mut live.batch, room);
                outputs.progressed();
                live = until_done(output, outputs, live, RotatingFile::write).await;
                output.batch_written();
                outputs.progressed();
            }
            TaskStep::Reopen => live = until_done(output, outputs, live, RotatingFile::reopen).await,
            TaskStep::End => {
                until_done(output, outputs, live, RotatingFile::finish).await;
                return;
            }
        }
    }
}

/// Does something that may block, again every second until it succeeds.
async fn until_done(
    output: &Outlet,
    outputs: &Outlets,
    mut live: RotatingFile,
    step: fn(&mut RotatingFile) -> io::Result<()>,
) -> RotatingFile {
    loop {
        let work = smol::unblock(move || {
            let result = step(&mut live);
            (live, result)
        });
        let patience = async {
            Timer::after(PATIENCE).await;
            if output.is_connected() {
                output.set_write_state(WriteState::Blocked);
                outputs.progressed();
            }
            pending().await
        };
        let result;
        (live, result) = or(work, patience).await;
        let was_connected = output.is_connected();
        match result {
            Ok(()) => {
                if !was_connected {
                    info!("Output {}: works again", output.name());
                }
                output.set_write_state(WriteState::Ready);
                return live;
            }
            Err(error) => {
                if was_connected {
                    warn!("Output {}: {}; tried again every second", output.name(), error.to_string());
                }
                output.set_write_state(WriteState::Away);
                outputs.progressed();
                Timer::after(RETRY).await;
            }
        }
    }
}

/// How long the first record of a batch waits for others.
const LINGER: Duration = Duration::from_millis(100);

/// After this time a write counts as one that blocks.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
