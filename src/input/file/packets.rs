//! Replays a capture of packets, by the same dissector as the sniffer's.

use std::io;

use defmt_or_log::warn;
use smol::future::yield_now;

use super::reader::CaptureReader;
use super::{FRAMES_A_TURN, ReplayRate};
use crate::capture::{Dissector, PcapBlock, PcapReader, Unreadable};
use crate::input::counters::InputCounters;
use crate::input::sniffer;
use crate::limits::{self, CAPTURE_BLOCK_BYTES, Limits};
use crate::output::WaitPolicy;
use crate::pipeline::Collector;

/// A capture of packets.
#[derive(Debug)]
pub(crate) struct PacketCapture {
    dissector: Dissector,
    buffer: Box<[u8]>,
    /// The data frames that one packet completed, each after its length.
    frames: Vec<u8>,
    /// The reasons why packets were not read that the log knows of; those beyond are counted alone.
    logged: heapless::Vec<Unreadable, REASONS_LOGGED>,
}

impl PacketCapture {
    /// Bytes that it takes.
    pub(crate) fn cost(limits: &Limits) -> usize {
        Dissector::cost(limits) + CAPTURE_BLOCK_BYTES
    }

    /// The maker of messages as the section of the sniffer asks for.
    pub(crate) fn new(section: &sniffer::Section, limits: &Limits) -> Self {
        let mut dissector = section.dissector(limits);
        let local: Vec<_> = section.eth_ip.iter().map(|address| address.get()).collect();
        dissector.assume_server_side(local.is_empty());
        dissector.set_local(&local, &[]);
        let buffer = limits::table(CAPTURE_BLOCK_BYTES, 0);
        PacketCapture { dissector, buffer, frames: Vec::new(), logged: heapless::Vec::new() }
    }

    /// Replays the file once.
    ///
    /// # Errors
    ///
    /// An error of reading, or the place where the file ends too early or breaks its format.
    pub(crate) async fn replay(
        &mut self,
        file: &mut CaptureReader,
        rate: &mut Option<ReplayRate>,
        collector: &Collector<'_>,
        counters: &InputCounters,
    ) -> io::Result<()> {
        let mut container = PcapReader::default();
        let mut filled = 0;
        // Bytes of a block that is stepped over and not there yet.
        let mut skip = 0;
        let mut turn = 0;
        loop {
            let read = file.read(self.buffer.get_mut(filled..).unwrap_or_default()).await?;
            counters.bytes.add(read as u64);
            filled += read;
            let mut from = filled.min(skip);
            skip -= from;
            loop {
                let rest = self.buffer.get(from..filled).unwrap_or_default();
                let broken = |why| io::Error::new(io::ErrorKind::InvalidData, why);
                match container.next(rest).map_err(broken)? {
                    PcapBlock::Incomplete => break,
                    PcapBlock::Other(length) => from += length,
                    PcapBlock::Unreadable(length, why) => {
                        counters.ignore(why.reason());
                        if !self.logged.contains(&why) && self.logged.push(why).is_ok() {
                            warn!("Input file: not read are packets with {}", why.to_string());
                        }
                        skip = length.saturating_sub(rest.len());
                        from += length - skip;
                    }
                    PcapBlock::Packet(length, captured) => {
                        from += length;
                        self.dissector.take(
                            captured,
                            &|reason| counters.ignore(reason),
                            &mut keep(&mut self.frames),
                        );
                    }
                }
                self.hand_on(rate, collector, counters).await;
                turn += 1;
                if turn % FRAMES_A_TURN == 0 {
                    yield_now().await;
                }
            }
            if read == 0 {
                self.dissector.finish(
                    container.clock(),
                    &|reason| counters.ignore(reason),
                    &mut keep(&mut self.frames),
                );
                self.hand_on(rate, collector, counters).await;
                return end(filled - from + skip);
            }
            self.buffer.copy_within(from..filled, 0);
            filled -= from;
            if filled == self.buffer.len() {
                let why = format!("a block is longer than {CAPTURE_BLOCK_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }

    /// Hands the data frames that were kept on, each when there is room for it.
    async fn hand_on(
        &mut self,
        rate: &mut Option<ReplayRate>,
        collector: &Collector<'_>,
        counters: &InputCounters,
    ) {
        let mut frames = self.frames.as_slice();
        while let Some(frame) = first(&mut frames) {
            if let Some(rate) = rate {
                rate.wait().await;
            }
            collector.outputs().room(WaitPolicy::Forever).await;
            counters.count(collector.ingest(frame));
        }
        self.frames.clear();
    }
}

/// Reasons why packets were not read that are logged, each once.
const REASONS_LOGGED: usize = 8;

/// The end of the file, with bytes left over.
fn end(left: usize) -> io::Result<()> {
    if left == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ends in the middle of a block"))
}

/// Appends data frames, each after its length. They are kept until there is room for them, as nothing waits
/// inside the dissector.
fn keep(frames: &mut Vec<u8>) -> impl FnMut(&[u8]) {
    |frame| {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        frames.extend_from_slice(&length.to_be_bytes());
        frames.extend_from_slice(frame);
    }
}

/// Takes the first data frame off.
fn first<'a>(frames: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = frames.split_first_chunk()?;
    let (frame, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *frames = rest;
    Some(frame)
}
