//! Input `file`: replays a capture.
//!
//! A Frame Streams capture is a stream without answers: START, data, STOP. One that ends without STOP, or in
//! the middle of a frame, was cut by a crash or a kill: the log says that, and it is not an error. One that
//! breaks its format broke off: when it is the only input, the program ends with status 1.
//!
//! A capture of packets, pcap or pcapng, goes the way of the sniffer's packets, and is cut off in the same
//! way when it is.
//!
//! The files of a folder are replayed in the order of their names. A pipe, and standard input (`-`), is read
//! as what is written to it comes.
//!
//! A replay loses nothing: it waits for room in every output, and reads into a buffer of its own, so that it
//! makes nobody else wait. Files are read directly; they do not block for long.

mod frames;
mod packets;
mod reader;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use defmt_or_log::{info, warn};
use nix::libc;
use smol::future::yield_now;

use frames::FrameCapture;
use packets::PacketCapture;
use reader::CaptureReader;

use super::plan::{BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, RunningSource, Source};
use super::sniffer;
use crate::capture::is_pcap;
use crate::input::counters::InputCounters;
use crate::limits::Limits;
use crate::pipeline::Collector;
use crate::reactor::Timer;
use crate::section::section;
use crate::values::{Bounded, FilePath, KeyError, PlanError, choice, required};

section! {
    /// Section `input.file`.
    pub struct Section {
        ..enable
        /// The capture: Frame Streams, pcap or pcapng, told by its content; a folder of such, a pipe, or `-`.
        path: Option<FilePath> = None,
        /// Begin again after the last frame.
        #[serde(rename = "loop")]
        repeat: bool = false,
        /// Frames a second; unset = as fast as it goes.
        rate: Option<FramesPerSecond> = None,
        /// After the last frame; unset = `exit` when it is the only input and does not loop.
        at_end: Option<AtEnd> = None,
    }
}

choice! {
    /// The action of an input file after its last frame.
    AtEnd {
        /// Drain the outputs and end the program.
        Exit = "exit",
        /// Keep the program running.
        Stay = "stay",
    }
}

/// The values of `rate`.
pub(crate) type FramesPerSecond = Bounded<1, 1_000_000_000>;

/// Name of the input in metrics and log.
pub(crate) const NAME: &str = "file";

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> Result<(), KeyError> {
        required("path", &self.path)
    }

    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let replay = Replay::open(self, &context.input.sniffer, context.limits)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(InputPlan {
            name: NAME,
            words: path.display().to_string(),
            memory: vec![("buffers of input file".to_owned(), replay.cost())],
            source: Box::new(FileSource { replay, is_last: self.at_end == Some(AtEnd::Exit) }),
        })
    }
}

/// A replay, before it runs.
struct FileSource {
    replay: Replay,
    is_last: bool,
}

impl Source for FileSource {
    fn reads_packets(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        self.is_last
    }

    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource> {
        Ok(Box::pin(run(self.replay, context.receiver.collector, counters)))
    }
}

/// Captures to replay, one after the other.
struct Replay {
    captures: CaptureList,
    section: Section,
    sniffer: sniffer::Section,
    limits: Limits,
    /// Made when the first capture of that content comes.
    frames: Option<FrameCapture>,
    packets: Option<Box<PacketCapture>>,
    rate: Option<ReplayRate>,
}

/// Where the captures are.
enum CaptureList {
    /// Files, in the order of their names.
    Files(Vec<PathBuf>),
    /// A pipe, or standard input: one capture, which cannot be read again.
    Pipe(Option<File>),
}

/// The content of a capture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CaptureContent {
    Frames,
    Packets,
}

impl CaptureContent {
    /// The content of a capture that begins so.
    fn of(first: &[u8]) -> io::Result<Self> {
        match first.first_chunk() {
            Some([0, 0, 0, 0]) => Ok(CaptureContent::Frames),
            Some(&first) if is_pcap(first) => Ok(CaptureContent::Packets),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, strange(first))),
        }
    }
}

impl CaptureList {
    /// Those at a path: a file, the files of a folder, a pipe, or `-`.
    ///
    /// # Errors
    ///
    /// When there is nothing that can be read, or the only file is not a capture.
    fn at(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(CaptureList::Pipe(Some(File::from(io::stdin().as_fd().try_clone_to_owned()?))));
        }
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            return CaptureList::in_folder(path);
        }
        if metadata.file_type().is_fifo() {
            // Without waiting for somebody who writes: a start never hangs.
            let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
            return Ok(CaptureList::Pipe(Some(file)));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a file, nor a folder, nor a pipe",
            ));
        }
        let mut first = Vec::new();
        File::open(path)?.take(4).read_to_end(&mut first)?;
        CaptureContent::of(&first)?;
        Ok(CaptureList::Files(vec![path.to_owned()]))
    }

    /// The files of a folder, not those of folders in it.
    fn in_folder(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in path.read_dir()? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no file in this folder"));
        }
        Ok(CaptureList::Files(files))
    }
}

impl Replay {
    /// The captures that a section names; packets are read as the sniffer's section says.
    fn open(section: &Section, sniffer: &sniffer::Section, limits: &Limits) -> io::Result<Self> {
        let captures = CaptureList::at(section.path.as_deref().unwrap_or(Path::new("")))?;
        Ok(Replay {
            captures,
            section: section.clone(),
            sniffer: sniffer.clone(),
            limits: *limits,
            frames: None,
            packets: None,
            rate: section.rate.map(|rate| ReplayRate::new(rate.get())),
        })
    }

    /// Bytes that it takes: those of its content, or of both where that is not known yet.
    fn cost(&self) -> usize {
        let [frames, packets] = [FrameCapture::cost(self.limits.frame), PacketCapture::cost(&self.limits)];
        match &self.captures {
            CaptureList::Files(files) if files.len() == 1 => {
                let mut first = Vec::new();
                let file = files.first().and_then(|path| File::open(path).ok());
                let read = file.map(|file| file.take(4).read_to_end(&mut first));
                match CaptureContent::of(&first) {
                    Ok(CaptureContent::Frames) => frames,
                    Ok(CaptureContent::Packets) => packets,
                    Err(_) => read.map_or(0, |_| frames + packets),
                }
            }
            _ => frames + packets,
        }
    }

    /// Replays one capture, which `path` names in the log.
    async fn replay(
        &mut self,
        mut reader: CaptureReader,
        path: &str,
        collector: &Collector<'_>,
        counters: &InputCounters,
    ) -> io::Result<()> {
        let Replay { frames, packets, rate, limits, sniffer, .. } = self;
        match CaptureContent::of(reader.peek().await?)? {
            CaptureContent::Frames => {
                let frames = frames.get_or_insert_with(|| FrameCapture::new(limits.frame));
                frames.replay(&mut reader, path, rate, collector, counters).await
            }
            CaptureContent::Packets => {
                let packets = packets.get_or_insert_with(|| Box::new(PacketCapture::new(sniffer, limits)));
                packets.replay(&mut reader, rate, collector, counters).await
            }
        }
    }
}

/// The kind of a file that does not begin as a capture does.
fn strange(first: &[u8]) -> String {
    let what = if first.starts_with(&[0x1f, 0x8b]) { "a gzip file" } else { "not a capture" };
    format!("{what}; allowed: a capture of Frame Streams, pcap or pcapng")
}

/// Replays the captures to their end; for ever when it repeats.
async fn run(
    mut replay: Replay,
    collector: &Collector<'_>,
    counters: &InputCounters,
) -> Result<(), BrokenOff> {
    let repeats = replay.section.repeat && matches!(replay.captures, CaptureList::Files(_));
    let mut result = Ok(());
    loop {
        let files = match &mut replay.captures {
            CaptureList::Files(files) => files.clone(),
            CaptureList::Pipe(file) => {
                let reader = file.take().map(CaptureReader::of_pipe);
                let path = replay.section.path.as_deref().unwrap_or(Path::new("-")).display().to_string();
                if let Some(reader) = reader {
                    result = replay_one(&mut replay, reader, &path, collector, counters).await.and(result);
                }
                Vec::new()
            }
        };
        for path in files {
            let reader = File::open(&path).map(CaptureReader::of_file);
            let path = path.display().to_string();
            result = replay_one(&mut replay, reader, &path, collector, counters).await.and(result);
            yield_now().await;
        }
        if !repeats {
            return result;
        }
        yield_now().await;
    }
}

/// Replays one capture, and says in the log what became of it.
async fn replay_one(
    replay: &mut Replay,
    reader: io::Result<CaptureReader>,
    path: &str,
    collector: &Collector<'_>,
    counters: &InputCounters,
) -> Result<(), BrokenOff> {
    let replayed = match reader {
        Ok(reader) => replay.replay(reader, path, collector, counters).await,
        Err(error) => Err(error),
    };
    if let Err(error) = replayed {
        warn!("{}: {}", path, error.to_string());
        // Cut short by a crash or a kill of who wrote it: all there is was read.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Err(BrokenOff);
        }
    }
    if !replay.section.repeat {
        info!("{}: replayed", path);
    }
    Ok(())
}

/// Frames replayed before others get a turn.
const FRAMES_A_TURN: u32 = 1_000;

/// Frames at a steady rate: one at a time up to a hundred a second, beyond that in bursts a hundredth apart.
#[derive(Debug)]
struct ReplayRate {
    interval: Duration,
    burst: u32,
    left: u32,
    next: Instant,
}

impl ReplayRate {
    fn new(frames_per_second: u32) -> Self {
        let burst = frames_per_second.div_ceil(100);
        let interval = Duration::from_secs(1) * burst / frames_per_second.max(1);
        ReplayRate { interval, burst, left: burst, next: Instant::now() + interval }
    }

    /// Waits until the next frame is due.
    async fn wait(&mut self) {
        if self.left == 0 {
            Timer::at(self.next).await;
            // After a stall the rate starts over, without a flood to make up for it.
            self.next = Instant::now().max(self.next + self.interval);
            self.left = self.burst;
        }
        self.left -= 1;
    }
}
