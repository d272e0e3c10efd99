//! Replays a capture of packets, by the same packet path as the sniffer's.

use std::fs::File;
use std::io::{self, Read};

use defmt_or_log::warn;
use smol::future::yield_now;

use super::{FRAMES_A_TURN, ReplayRate};
use crate::capture::{Captured, Dissector, PcapBlock, PcapReader};
use crate::input::counters::InputCounters;
use crate::input::sniffer;
use crate::limits::{self, CAPTURE_BLOCK_BYTES, Limits};
use crate::pipeline::Collector;

/// A capture of packets.
#[derive(Debug)]
pub struct Packets {
    dissector: Dissector,
    buffer: Box<[u8]>,
    /// The data frames that one packet completed, each behind its length.
    frames: Vec<u8>,
    /// Whether the log knows of links that are not read.
    told: bool,
}

impl Packets {
    /// Bytes that it takes.
    pub fn cost(limits: &Limits) -> usize {
        Dissector::cost(limits) + CAPTURE_BLOCK_BYTES
    }

    /// What makes messages as the section of the sniffer asks for.
    pub fn new(section: &sniffer::Section, limits: &Limits) -> Self {
        let mut dissector = section.dissector(limits);
        let local: Vec<_> = section.eth_ip.iter().map(|address| address.get()).collect();
        if local.is_empty() {
            dissector.assume_server_side();
        }
        dissector.set_local(&local);
        let buffer = limits::table(CAPTURE_BLOCK_BYTES, 0);
        Packets { dissector, buffer, frames: Vec::new(), told: false }
    }

    /// Replays the file once.
    ///
    /// # Errors
    ///
    /// What cannot be read, and where it ends too early or breaks its format.
    pub async fn replay(
        &mut self,
        file: &mut File,
        rate: &mut Option<ReplayRate>,
        collector: &Collector<'_>,
        counters: &InputCounters,
    ) -> io::Result<()> {
        let mut container = PcapReader::default();
        let mut filled = 0;
        let mut turn = 0;
        loop {
            let read = file.read(self.buffer.get_mut(filled..).unwrap_or_default())?;
            counters.bytes.add(read as u64);
            filled += read;
            let mut from = 0;
            loop {
                let rest = self.buffer.get(from..filled).unwrap_or_default();
                let broken = |why| io::Error::new(io::ErrorKind::InvalidData, why);
                match container.next(rest).map_err(broken)? {
                    PcapBlock::Incomplete => break,
                    PcapBlock::Other(length) => from += length,
                    PcapBlock::Strange(length, kind) => {
                        if !core::mem::replace(&mut self.told, true) {
                            warn!("Input file: packets of a link of kind {} are not read", kind);
                        }
                        from += length;
                    }
                    PcapBlock::Packet(length, captured) => {
                        from += length;
                        take(&mut self.dissector, captured, counters, &mut self.frames);
                    }
                }
                let mut frames = self.frames.as_slice();
                while let Some(frame) = first(&mut frames) {
                    if let Some(rate) = rate {
                        rate.wait().await;
                    }
                    collector.outputs().room_everywhere().await;
                    // Why it is none is counted; we made it, so that does not happen.
                    counters.count(collector.ingest(frame));
                }
                self.frames.clear();
                turn += 1;
                if turn % FRAMES_A_TURN == 0 {
                    yield_now().await;
                }
            }
            if read == 0 {
                return end(filled - from);
            }
            self.buffer.copy_within(from..filled, 0);
            filled -= from;
            if filled == self.buffer.len() {
                let why = format!("a block is longer than {CAPTURE_BLOCK_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}

/// The end of the file, with bytes left over.
fn end(left: usize) -> io::Result<()> {
    if left == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ends in the middle of a block"))
}

/// Appends the data frames that a packet completes. They are kept until there is room for them, as nothing waits
/// inside the packet path.
fn take(dissector: &mut Dissector, captured: Captured<'_>, counters: &InputCounters, frames: &mut Vec<u8>) {
    dissector.take(captured, &|reason| counters.ignore(reason), &mut |frame| {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        frames.extend_from_slice(&length.to_be_bytes());
        frames.extend_from_slice(frame);
    });
}

/// Takes the first data frame off.
fn first<'a>(frames: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = frames.split_first_chunk()?;
    let (frame, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *frames = rest;
    Some(frame)
}
