//! Replays a Frame Streams capture.

use std::io;

use smol::future::yield_now;

use super::reader::CaptureReader;
use super::{FRAMES_A_TURN, ReplayRate};
use crate::input::counters::{InputCounters, Rejection};
use crate::input::frame_reader::{FeedOutcome, FrameReader, Pace};
use crate::input::receiver::large_buffer_bytes;
use crate::limits::{self, FILE_READ_BYTES};
use crate::output::WaitPolicy;
use crate::pipeline::Collector;

/// A capture of data frames.
#[derive(Debug)]
pub(crate) struct FrameCapture {
    buffer: Box<[u8]>,
    longest: u32,
}

impl FrameCapture {
    /// Bytes that it takes.
    pub(crate) fn cost(frame_max: usize) -> usize {
        large_buffer_bytes(frame_max) + FILE_READ_BYTES
    }

    /// With room for frames of up to `frame_max` bytes.
    pub(crate) fn new(frame_max: usize) -> Self {
        let longest = u32::try_from(frame_max).unwrap_or(u32::MAX);
        FrameCapture { buffer: limits::table(FrameCapture::cost(frame_max), 0), longest }
    }

    /// Replays the file once; `path` names it in the log.
    ///
    /// # Errors
    ///
    /// An error of reading, or the place where the file ends too early or breaks its format.
    pub(crate) async fn replay(
        &mut self,
        file: &mut CaptureReader,
        path: &str,
        rate: &mut Option<ReplayRate>,
        collector: &Collector<'_>,
        counters: &InputCounters,
    ) -> io::Result<()> {
        let FrameCapture { buffer, longest } = self;
        let mut frame_reader = FrameReader::of_file(collector, counters, *longest);
        // Whether the last frame was STOP.
        let mut is_stopped = false;
        let mut filled = 0;
        loop {
            let read = file.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
            counters.bytes.add(read as u64);
            filled += read;
            is_stopped &= read == 0;
            let mut rest = buffer.get(..filled).unwrap_or_default();
            loop {
                if let Some(rate) = rate {
                    rate.wait().await;
                }
                let fault = |fault: Rejection| io::Error::new(io::ErrorKind::InvalidData, fault.to_string());
                let frames = if rate.is_some() { 1 } else { FRAMES_A_TURN };
                match frame_reader.feed(&mut rest, Pace::Replay(frames), &path).map_err(fault)? {
                    FeedOutcome::Incomplete => break,
                    FeedOutcome::NeedsRoom => collector.outputs().room(WaitPolicy::Forever).await,
                    FeedOutcome::BatchDone => yield_now().await,
                    FeedOutcome::Reply(_) => {}
                    // Another stream may come.
                    FeedOutcome::Stop(_) => is_stopped = rest.is_empty(),
                }
            }
            let left = rest.len();
            if read == 0 && left == 0 && is_stopped {
                return Ok(());
            }
            if read == 0 {
                let reason = if left == 0 { "ends without STOP" } else { "ends in the middle of a frame" };
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            buffer.copy_within(filled - left..filled, 0);
            filled = left;
            yield_now().await;
        }
    }
}
