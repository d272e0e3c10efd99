//! The streams: one set of statistics for each identity, up to a limit, and one for all the others.
//!
//! Streams stand in order of first appearance and are never removed. When the table is full, messages of
//! further identities go to the stream `other`, and are counted as evicted: a storm of invented identities
//! changes nothing but that.

use core::hash::BuildHasher;

use super::counters::Counters;
use crate::limits::{self, IDENTITY_BYTES};
use crate::message::event::Event;
use crate::sketch::latency::LatencyHistogram;
use crate::sketch::rates::StreamRates;
use crate::wire::text::{TEXT_PER_OCTET, write_label_text};

/// Statistics of one identity.
#[derive(Clone, Debug)]
pub struct Stream {
    /// First bytes of the identity, as sent; `-` for none.
    identity: heapless::Vec<u8, IDENTITY_BYTES, u8>,
    /// The identity as people read it.
    text: heapless::String<{ IDENTITY_BYTES * TEXT_PER_OCTET }>,
    /// What was counted.
    pub counters: Counters,
    /// Messages a second.
    pub rates: StreamRates,
    /// Latencies of responses.
    pub latencies: LatencyHistogram,
}

impl Stream {
    fn new(identity: &[u8]) -> Self {
        let mut room = [0; IDENTITY_BYTES * TEXT_PER_OCTET];
        let length = write_label_text(identity, &mut room).unwrap_or(0);
        let text = core::str::from_utf8(room.get(..length).unwrap_or_default()).unwrap_or_default();
        Stream {
            identity: heapless::Vec::from_slice(identity).unwrap_or_default(),
            text: heapless::String::try_from(text).unwrap_or_default(),
            counters: Counters::ZERO,
            rates: StreamRates::ZERO,
            latencies: LatencyHistogram::NONE,
        }
    }

    /// The identity as people read it.
    pub fn name(&self) -> &str {
        &self.text
    }
}

/// Number of a stream: its place in order of first appearance; `other` comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

impl StreamId {
    /// The place in order of first appearance.
    pub fn place(self) -> usize {
        self.0
    }
}

/// The table of streams.
#[derive(Debug)]
pub struct Streams {
    /// `capacity` streams and, last, `other`.
    streams: Box<[Stream]>,
    /// Streams in use without `other`; `used < streams.len()`.
    used: usize,
    /// Open addressing: place + 1 of the stream whose identity hashes here; 0 is free.
    index: Box<[u16]>,
    hasher: foldhash::quality::RandomState,
    /// The stream of the last message: the next is likely of the same.
    last: usize,
    /// Messages that went to `other`.
    overflow: u64,
}

/// The identity under which messages without one are counted.
const ABSENT: &[u8] = b"-";

impl Streams {
    /// Bytes a stream costs, its place in the index included.
    pub const STREAM_BYTES: usize = size_of::<Stream>() + 2 * size_of::<u16>();

    /// Room for `capacity` identities.
    pub fn new(capacity: usize) -> Self {
        Streams {
            streams: limits::table(capacity + 1, Stream::new(b"other")),
            used: 0,
            index: limits::table((capacity * 2).next_power_of_two(), 0),
            hasher: Default::default(),
            last: 0,
            overflow: 0,
        }
    }

    /// The stream a message belongs to, made at its first message.
    pub fn of(&mut self, event: &Event<'_>) -> Option<&mut Stream> {
        let identity = if event.identity.is_empty() { ABSENT } else { event.identity };
        let is_last =
            self.last < self.used && self.streams.get(self.last).is_some_and(|s| s.identity == identity);
        if !is_last {
            self.last = self.find_or_insert(identity);
        }
        self.streams.get_mut(self.last)
    }

    fn find_or_insert(&mut self, identity: &[u8]) -> usize {
        let other = self.streams.len() - 1;
        let mask = self.index.len() - 1;
        let mut slot = self.hasher.hash_one(identity) as usize & mask;
        loop {
            match self.index.get(slot).copied().unwrap_or(0) {
                0 if self.used == other => {
                    self.overflow += 1;
                    return other;
                }
                0 => break,
                place if self.streams.get(usize::from(place) - 1).is_some_and(|s| s.identity == identity) => {
                    return usize::from(place) - 1;
                }
                _ => slot = (slot + 1) & mask,
            }
        }
        let place = self.used;
        if let (Some(stream), Some(index)) = (self.streams.get_mut(place), self.index.get_mut(slot)) {
            *stream = Stream::new(identity);
            self.used += 1;
            *index = u16::try_from(self.used).unwrap_or(0);
        }
        place
    }

    /// The streams seen so far, in order of first appearance, `other` last and only once it was used.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        let other = self.streams.len() - 1;
        let in_use = move |place: &usize| *place < self.used || (*place == other && self.overflow > 0);
        (0..=other).filter(in_use).filter_map(|place| Some((StreamId(place), self.streams.get(place)?)))
    }

    /// The stream of that number.
    pub fn get(&self, StreamId(place): StreamId) -> Option<&Stream> {
        self.streams.get(place)
    }

    /// All streams for writing.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut()
    }

    /// How many streams there can be, `other` among them.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.streams.len()
    }

    /// The place of the stream that was asked for last.
    #[inline]
    pub fn last_place(&self) -> usize {
        self.last
    }

    /// Whether a stream is the one for all others.
    pub fn is_other(&self, id: StreamId) -> bool {
        id.0 == self.streams.len() - 1
    }

    /// Messages that found no stream of their own.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Counts from zero again; the streams stay.
    pub fn reset(&mut self) {
        for stream in &mut self.streams {
            stream.counters = Counters::ZERO;
            stream.rates = StreamRates::ZERO;
            stream.latencies = LatencyHistogram::NONE;
        }
    }
}
