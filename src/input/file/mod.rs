//! Input `file`: replays a capture.
//!
//! A Frame Streams capture is a stream without answers: START, data, STOP. One that ends without STOP, or in the
//! middle of a frame, was cut by a crash or a kill: the log says that, and it is not an error. One that breaks its format
//! broke off: when it is the only input, the program ends with status 1.
//!
//! A capture of packets, pcap or pcapng, goes the way of the sniffer's packets, and is cut off in the same way when it is.
//!
//! A replay loses nothing: it waits for room in every output, and reads into a buffer of its own, so that it
//! makes nobody else wait. Files are read directly; they do not block for long.

mod frames;
mod packets;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::{Duration, Instant};

use async_io::Timer;
use defmt_or_log::{info, warn};
use serde::Deserialize;
use smol::future::yield_now;

use frames::Frames;
use packets::Packets;

use super::plan::{BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, RunningSource, Source};
use super::sniffer;
use crate::capture::is_pcap;
use crate::input::counters::InputCounters;
use crate::limits::Limits;
use crate::pipeline::Collector;
use crate::values::{Bounded, FilePath, KeyError, PlanError, choice, required};

/// Section `input.file`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// The capture: Frame Streams, pcap or pcapng, told by its content.
    pub path: Option<FilePath>,
    /// Begin again after the last frame.
    #[serde(rename = "loop")]
    pub repeat: bool,
    /// Frames a second; unset = as fast as it goes.
    pub rate: Option<Rate>,
    /// After the last frame; unset = `exit` when it is the only input and does not loop.
    pub at_end: Option<AtEnd>,
}

choice! {
    /// What an input file does after its last frame.
    AtEnd {
        /// Drain the outputs and end the program.
        Exit = "exit",
        /// Keep the program running.
        Stay = "stay",
    }
}

/// What `rate` takes.
pub type Rate = Bounded<1, 1_000_000_000>;

/// Name of the input in metrics and log.
pub const NAME: &str = "file";

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_enabled(&self) -> bool {
        self.enable
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
            memory: vec![("buffers of input file".to_owned(), replay.cost(context.limits))],
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

/// A capture, open.
#[derive(Debug)]
struct Replay {
    file: File,
    path: String,
    content: CaptureContent,
    repeat: bool,
    pace: Option<ReplayRate>,
}

/// What is in a capture.
#[derive(Debug)]
enum CaptureContent {
    Frames(Frames),
    Packets(Box<Packets>),
}

impl Replay {
    /// Opens the capture of a section; packets are read as the sniffer's section says.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no capture.
    fn open(section: &Section, sniffer: &sniffer::Section, limits: &Limits) -> io::Result<Self> {
        let path = section.path.as_deref().unwrap_or(Path::new(""));
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut first = [0; 4];
        let read = file.read(&mut first)?;
        let content = match first {
            [0, 0, 0, 0] if read == first.len() => CaptureContent::Frames(Frames::new(limits.frame)),
            _ if is_pcap(first) => CaptureContent::Packets(Box::new(Packets::new(sniffer, limits))),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, strange(first))),
        };
        file.rewind()?;
        Ok(Replay {
            file,
            path: path.display().to_string(),
            content,
            repeat: section.repeat,
            pace: section.rate.map(|rate| ReplayRate::new(rate.get())),
        })
    }

    /// Bytes that it takes.
    fn cost(&self, limits: &Limits) -> usize {
        match &self.content {
            CaptureContent::Frames(_) => Frames::cost(limits.frame),
            CaptureContent::Packets(_) => Packets::cost(limits),
        }
    }

    async fn replay(&mut self, collector: &Collector<'_>, counters: &InputCounters) -> io::Result<()> {
        let Replay { file, path, content, pace, .. } = self;
        match content {
            CaptureContent::Frames(frames) => frames.replay(file, path, pace, collector, counters).await,
            CaptureContent::Packets(packets) => packets.replay(file, pace, collector, counters).await,
        }
    }
}

/// What a file is that does not begin as a capture does.
fn strange(first: [u8; 4]) -> String {
    let what = if first.starts_with(&[0x1f, 0x8b]) { "a gzip file" } else { "not a capture" };
    format!("{what}; allowed: a capture of Frame Streams, pcap or pcapng")
}

/// Replays the capture to its end; for ever when it repeats.
async fn run(
    mut capture: Replay,
    collector: &Collector<'_>,
    counters: &InputCounters,
) -> Result<(), BrokenOff> {
    loop {
        if let Err(error) = capture.replay(collector, counters).await {
            warn!("{}: {}", capture.path, error.to_string());
            // Cut short by a crash or a kill of who wrote it: all there is was read.
            if error.kind() != io::ErrorKind::UnexpectedEof && !capture.repeat {
                return Err(BrokenOff);
            }
        }
        if !capture.repeat {
            info!("{}: replayed", capture.path);
            return Ok(());
        }
        if let Err(error) = capture.file.rewind() {
            warn!("{}: {}", capture.path, error.to_string());
            return Err(BrokenOff);
        }
        yield_now().await;
    }
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
