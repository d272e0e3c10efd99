//! Input `file`: replays a capture.
//!
//! A Frame Streams capture is a stream without answers: START, data, STOP. One that ends without STOP, or in the
//! middle of a frame, was cut by a crash or a kill: that is said in the log and no error.
//!
//! A replay loses nothing: it waits for room in every output, and reads into a buffer of its own, so that it
//! makes nobody else wait. Files are read directly; they do not block for long.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::time::{Duration, Instant};

use async_io::Timer;
use defmt_or_log::{info, warn};
use serde::Deserialize;
use smol::future::yield_now;

use super::framing::{Framing, Manner, Outcome};
use super::stream::block_bytes;
use crate::collector::{Collector, Intake};
use crate::limits::{self, FILE_READ_BYTES};
use crate::setting::{AtEnd, Fault, FilePath, Within, required};

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

/// What `rate` takes.
pub type Rate = Within<1, 1_000_000_000>;

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No path.
    pub fn check(&self) -> Result<(), Fault> {
        required("path", &self.path)
    }
}

/// Name of the input in metrics and log.
pub const NAME: &str = "file";

/// A capture, open.
#[derive(Debug)]
pub struct Capture {
    file: File,
    path: String,
    buffer: Box<[u8]>,
    frame_max: u32,
    repeat: bool,
    pace: Option<Pace>,
}

impl Capture {
    /// Opens the capture of a section.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no Frame Streams capture.
    pub fn open(section: &Section, frame_max: usize) -> io::Result<Self> {
        let path = section.path.as_deref().unwrap_or(std::path::Path::new(""));
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut first = [0; 4];
        let read = file.read(&mut first)?;
        if first.get(..read) != Some(&[0; 4]) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, kind_of(first)));
        }
        file.rewind()?;
        Ok(Capture {
            file,
            path: path.display().to_string(),
            buffer: limits::table(block_bytes(frame_max) + FILE_READ_BYTES, 0),
            frame_max: u32::try_from(frame_max).unwrap_or(u32::MAX),
            repeat: section.repeat,
            pace: section.rate.map(|rate| Pace::new(rate.get())),
        })
    }

    /// Octets that an open capture takes.
    pub fn cost(frame_max: usize) -> usize {
        block_bytes(frame_max) + FILE_READ_BYTES
    }
}

/// What a file is that does not begin as a Frame Streams capture does.
fn kind_of(first: [u8; 4]) -> &'static str {
    match first {
        [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0xc3, 0xd4]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d] => {
            "a pcap capture, which is not read yet; allowed: a Frame Streams capture"
        }
        [0x0a, 0x0d, 0x0d, 0x0a] => {
            "a pcapng capture, which is not read yet; allowed: a Frame Streams capture"
        }
        [0x1f, 0x8b, ..] => "a gzip file; allowed: a Frame Streams capture",
        _ => "not a capture; allowed: a Frame Streams capture",
    }
}

/// Replays the capture to its end; for ever when it repeats.
pub async fn run(mut capture: Capture, collector: &Collector<'_>, intake: &Intake) {
    loop {
        if let Err(error) = replay(&mut capture, collector, intake).await {
            warn!("{}: {}", capture.path, error.to_string());
        }
        if !capture.repeat {
            info!("{}: replayed", capture.path);
            return;
        }
        if let Err(error) = capture.file.rewind() {
            warn!("{}: {}", capture.path, error.to_string());
            return;
        }
        yield_now().await;
    }
}

/// Frames replayed before others get a turn.
const FRAMES_A_TURN: u32 = 1_000;

/// Replays the capture once.
async fn replay(capture: &mut Capture, collector: &Collector<'_>, intake: &Intake) -> io::Result<()> {
    let Capture { file, path, buffer, frame_max, pace, .. } = capture;
    let mut framing = Framing::new(collector, intake, *frame_max);
    let mut filled = 0;
    loop {
        let read = file.read(buffer.get_mut(filled..).unwrap_or_default())?;
        intake.read(read);
        filled += read;
        let mut rest = buffer.get(..filled).unwrap_or_default();
        loop {
            if let Some(pace) = pace {
                pace.wait().await;
            }
            let fault =
                |fault: super::framing::Fault| io::Error::new(io::ErrorKind::InvalidData, fault.to_string());
            let frames = if pace.is_some() { 1 } else { FRAMES_A_TURN };
            match framing.feed(&mut rest, Manner::Replay(frames), path).map_err(fault)? {
                Outcome::Incomplete => break,
                Outcome::NeedsRoom => collector.outputs().room_everywhere().await,
                Outcome::Fed => yield_now().await,
                Outcome::Reply(_) => {}
                Outcome::Stop(_) => return Ok(()),
            }
        }
        let left = rest.len();
        if read == 0 {
            let reason = if left == 0 { "ends without STOP" } else { "ends in the middle of a frame" };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        buffer.copy_within(filled - left..filled, 0);
        filled = left;
        yield_now().await;
    }
}

/// Frames at a steady rate: one at a time up to a hundred a second, beyond that in bursts a hundredth apart.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    burst: u32,
    left: u32,
    next: Instant,
}

impl Pace {
    fn new(frames_per_second: u32) -> Self {
        let burst = frames_per_second.div_ceil(100);
        let interval = Duration::from_secs(1) * burst / frames_per_second.max(1);
        Pace { interval, burst, left: burst, next: Instant::now() + interval }
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
