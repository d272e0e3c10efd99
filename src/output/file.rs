//! Output `file`: writes records to a file that rotates.
//!
//! Records are written in batches, a tenth of a second after the first one at the latest. A batch leaves the
//! queue, goes to the blocking pool together with the file, and comes back empty; until then its records
//! count as queued. So a disk that stalls stalls nothing else. While a batch is on its way the output is
//! still owed its turn, so nothing is dropped at full speed, unless it takes longer than a second.
//!
//! When a write fails (disk full, folder gone, read-only), the batch and the queue are kept, and it is tried
//! again every second; what the queue has no room for in the meantime is dropped and counted. The log has one
//! line when it begins and one when it is over.

use std::io;
use std::time::Duration;

use defmt_or_log::{info, warn};
use smol::future::{or, pending};

use super::rotating_file::{self, FileSettings, RotatingFile};
use super::{
    Outlet, Outlets, OutputKind, Plan, PlanContext, RawFrames, RecordKind, ReopenedFile, RunningSink, Sink,
    TaskContext, TaskStep, WriteState,
};
use crate::limits::FILE_BATCH_BYTES;
use crate::reactor::Timer;
use crate::section::section;
use crate::values::{FilePath, Format, KeyError, PlanError, choice};

section! {
    /// Section `output.file`.
    pub struct Section {
        ..enable
        /// How a record is written.
        format: FileFormat = FileFormat::Text,
        /// The live file.
        file: FilePath = FilePath::new("/var/log/dnstap.log"),
        ..rotation(size = 10 << 20, count = 10)
        ..record_output
    }
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
        /// Fields apart by commas.
        Csv = "csv",
        /// One object of the Elastic Common Schema a line.
        Ecs = "ecs",
        /// One object of Zeek's log a response.
        Zeek = "zeek",
        /// A Frame Streams capture, as `fstrm_capture` writes it.
        Dnstap = "dnstap",
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn format(&self) -> Option<Format> {
        match self.format {
            FileFormat::Text => Some(Format::Text),
            FileFormat::Json => Some(Format::Json),
            FileFormat::Yaml => Some(Format::Yaml),
            FileFormat::Csv => Some(Format::Csv),
            FileFormat::Ecs => Some(Format::Ecs),
            FileFormat::Zeek => Some(Format::Zeek),
            FileFormat::Dnstap => None,
        }
    }

    /// A capture has messages alone.
    fn check(&self) -> Result<(), KeyError> {
        if self.alarms && self.format == FileFormat::Dnstap {
            return Err(KeyError::new(
                "alarms",
                "a capture has no place for alarms; allowed with `dnstap`: `false`",
            ));
        }
        Ok(())
    }

    fn plan(&self, context: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let kind = match self.encoding() {
            Some(encoding) => {
                RecordKind::Plain { encoding: encoding.with_long_records(), terminator: (*b"\n").into() }
            }
            None => RecordKind::RawFrames(RawFrames::new(context.limits.frame, None)),
        };
        let settings = FileSettings {
            path: self.file.to_path_buf(),
            max_size: self.file_max_size.get(),
            count: self.file_count.get(),
            is_capture: self.format == FileFormat::Dnstap,
            is_log: false,
            batch: FILE_BATCH_BYTES.max(kind.longest()),
        };
        Ok(Plan::new(
            self,
            format!("{}, {}", self.file.display(), self.format),
            kind,
            Box::new(open(settings, context)?),
        ))
    }
}

/// Opens the live file.
///
/// # Errors
///
/// When it cannot be opened for writing.
pub(super) fn open(settings: FileSettings, context: &PlanContext<'_>) -> io::Result<RotatingFile> {
    let named = format!("{}", settings.path.display());
    RotatingFile::open(settings, context.identity)
        .map_err(|error| io::Error::new(error.kind(), format!("{named}: {error}")))
}

impl Sink for RotatingFile {
    fn cost(&self) -> usize {
        self.batch.capacity()
    }

    fn file(&self) -> Option<ReopenedFile> {
        Some(ReopenedFile { path: self.path().to_owned(), rotates: self.rotates() })
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        if rotating_file::is_on_flash(self.path()) {
            warn!(
                "Output {}: {} is on a file system that may be a router's flash, which wears out",
                outlet.name(),
                self.path().display().to_string()
            );
        }
        Box::pin(run(outlet, &context.outlets, *self))
    }
}

/// Writes records until the daemon stops.
async fn run(outlet: &Outlet, outlets: &Outlets, mut live: RotatingFile) {
    loop {
        match outlet.next_step().await {
            TaskStep::Write => {
                or(outlet.filled(FILE_BATCH_BYTES / 2), async {
                    Timer::after(LINGER).await;
                })
                .await;
                let room = live.room(outlet.first_bytes().unwrap_or_default());
                outlet.take_batch(&mut live.batch, room);
                outlets.progressed();
                live = until_done(outlet, outlets, live, RotatingFile::write).await;
                outlet.batch_written();
                outlets.progressed();
            }
            TaskStep::Reopen => live = until_done(outlet, outlets, live, RotatingFile::reopen).await,
            TaskStep::End => {
                until_done(outlet, outlets, live, RotatingFile::finish).await;
                return;
            }
        }
    }
}

/// Does something that may block, again every second until it succeeds.
async fn until_done(
    outlet: &Outlet,
    outlets: &Outlets,
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
            if outlet.is_connected() {
                outlet.set_write_state(WriteState::Blocked);
                outlets.progressed();
            }
            pending().await
        };
        let result;
        (live, result) = or(work, patience).await;
        let was_connected = outlet.is_connected();
        match result {
            Ok(()) => {
                if !was_connected {
                    info!("Output {}: works again", outlet.name());
                }
                outlet.set_write_state(WriteState::Ready);
                return live;
            }
            Err(error) => {
                if was_connected {
                    warn!("Output {}: {}; tried again every second", outlet.name(), error.to_string());
                }
                outlet.set_write_state(WriteState::Away);
                outlets.progressed();
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
