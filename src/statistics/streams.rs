//! The streams: one set of statistics for each identity, up to a limit, and one for all the others.
//!
//! ```text
//! | reserved | in order of first appearance | free | other | forgotten |
//! ```
//!
//! When the table is full, a new identity takes the place of the stream that has been silent for longest, if
//! that is longer than `statistics.forget-after` and the place is not reserved. If there is none, its
//! messages go to the stream `other`, and are counted as evicted: a storm of invented identities takes what
//! is free, for that long, and no more. The counts of a forgotten stream stay in the sums of all streams, so
//! that no counter ever goes down.

use core::hash::BuildHasher;

use super::counters::Counters;
use crate::limits::{self, IDENTITY_BYTES};
use crate::sketch::latency::LatencyHistogram;
use crate::sketch::rates::StreamRates;
use crate::sys::random::{SeededState, seeded_state};
use crate::values::Text;
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// Statistics of one identity.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// First bytes of the identity, as sent; `-` for none.
    identity: heapless::Vec<u8, IDENTITY_BYTES, u8>,
    /// The identity as people read it.
    text: heapless::String<{ IDENTITY_BYTES * TEXT_PER_BYTE }>,
    /// The counts.
    pub(crate) counters: Counters,
    /// Messages a second: of all, and of kinds whose query address is a client.
    pub(crate) rates: [StreamRates; 2],
    /// Latencies of responses.
    pub(crate) latencies: LatencyHistogram,
    /// When the last message came, in the table's seconds.
    last_heard: u32,
    state: StreamState,
}

/// Whose a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamState {
    /// Its identity is in the configuration, and has not been heard of yet.
    Awaited,
    /// Its identity is in the configuration; the place is never another's.
    Reserved,
    /// Its identity was heard of.
    Heard,
}

impl Stream {
    fn new(identity: &[u8], state: StreamState) -> Self {
        let mut room = [0; IDENTITY_BYTES * TEXT_PER_BYTE];
        let length = write_label_text(identity, &mut room).unwrap_or(0);
        let text = core::str::from_utf8(room.get(..length).unwrap_or_default()).unwrap_or_default();
        // An identity must not pass for the stream of all the others: two series of one name are an error to
        // Prometheus.
        let text = if identity == OTHER.as_bytes() { OTHER_AS_IDENTITY } else { text };
        Stream {
            identity: heapless::Vec::from_slice(identity).unwrap_or_default(),
            text: heapless::String::try_from(text).unwrap_or_default(),
            counters: Counters::ZERO,
            rates: [StreamRates::ZERO; 2],
            latencies: LatencyHistogram::NONE,
            last_heard: 0,
            state,
        }
    }

    /// The stream of a name that is not an identity.
    fn named(name: &str) -> Self {
        let text = heapless::String::try_from(name).unwrap_or_default();
        Stream { text, ..Stream::new(b"", StreamState::Reserved) }
    }

    /// Counts from zero again.
    fn reset(&mut self) {
        self.counters = Counters::ZERO;
        self.rates = [StreamRates::ZERO; 2];
        self.latencies = LatencyHistogram::NONE;
    }

    /// The identity as people read it.
    pub(crate) fn name(&self) -> &str {
        &self.text
    }
}

/// Number of a stream: its place in order of first appearance; `other` comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

impl StreamId {
    /// The place in order of first appearance.
    pub(crate) fn place(self) -> usize {
        self.0
    }
}

/// The table of streams.
#[derive(Debug)]
pub(crate) struct Streams {
    /// `capacity` streams, then `other`.
    streams: Box<[Stream]>,
    /// Streams in use or reserved, without `other`; `used < streams.len()`.
    used: usize,
    /// Sums of the streams that made room for others.
    forgotten: Box<Stream>,
    /// Open addressing: place + 1 of the stream whose identity hashes here; 0 is free.
    index: Box<[u16]>,
    hasher: SeededState,
    /// The stream of the last message, and the hash of its identity: the next is likely of the same.
    last: Option<(u64, usize)>,
    /// Messages that went to `other`.
    overflow: u64,
    /// Seconds, begun at `forget_after`, so that a stream last heard at 0 may go in any case.
    now: u32,
    /// Milliseconds of the second under way.
    passed_ms: u64,
    /// Seconds after which a silent stream may be forgotten.
    forget_after: u32,
    /// Until then nobody has been silent for so long.
    look_at: u32,
}

/// The identity under which messages without one are counted.
const ABSENT: &[u8] = b"-";

/// The name of the stream of all the others.
const OTHER: &str = "other";

/// An identity that reads like it.
const OTHER_AS_IDENTITY: &str = "\\111ther";

impl Streams {
    /// Bytes a stream costs, its place in the index included.
    pub(crate) const STREAM_BYTES: usize = size_of::<Stream>() + 2 * size_of::<u16>();

    /// Room for `capacity` identities, some of them reserved, as far as there is room. The others are
    /// forgotten after that many seconds of silence, if their places are needed.
    pub(crate) fn new(capacity: usize, reserved: &[Text], forget_after: u32) -> Self {
        let mut streams = Streams {
            streams: limits::table(capacity + 1, Stream::named(OTHER)),
            used: 0,
            forgotten: Box::new(Stream::named("")),
            index: limits::table((capacity * 2).next_power_of_two(), 0),
            hasher: seeded_state(),
            last: None,
            overflow: 0,
            now: forget_after,
            passed_ms: 0,
            forget_after,
            look_at: 0,
        };
        for text in reserved {
            let identity = parse_identity(text.as_str());
            if let Err(slot) = streams.find(&identity)
                && streams.used < streams.other()
            {
                streams.put(streams.used, slot, Stream::new(&identity, StreamState::Awaited));
                streams.used += 1;
            }
        }
        streams
    }

    /// The place of an identity with that hash if it is that of the last message, too.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn find_last(&self, hash: u64) -> Option<usize> {
        self.last.filter(|(last, _)| *last == hash).map(|(_, place)| place)
    }

    /// The place of an identity, and whether it was another's until now.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn find_or_insert(&mut self, identity: &[u8], hash: u64) -> (usize, bool) {
        let identity = if identity.is_empty() { ABSENT } else { identity };
        let (place, forgot) = match self.find(identity) {
            Ok(place) => (place, false),
            Err(slot) if self.used < self.other() => {
                self.put(self.used, slot, Stream::new(identity, StreamState::Heard));
                self.used += 1;
                (self.used - 1, false)
            }
            Err(_) => match self.longest_silent() {
                Some(place) => {
                    self.replace(place, identity);
                    (place, true)
                }
                None => {
                    self.overflow += 1;
                    return (self.other(), false); // not the last: each of its messages may be of a stream with a place
                }
            },
        };
        if let Some(stream) = self.streams.get_mut(place)
            && stream.state == StreamState::Awaited
        {
            stream.state = StreamState::Reserved;
        }
        self.last = Some((hash, place));
        (place, forgot)
    }

    /// The place of an identity, else the free slot of the index for it.
    fn find(&self, identity: &[u8]) -> Result<usize, usize> {
        let mask = self.index.len() - 1;
        let mut slot = self.hasher.hash_one(identity) as usize & mask;
        // At least half of the slots are free.
        loop {
            let Some(place) = usize::from(self.index.get(slot).copied().unwrap_or(0)).checked_sub(1) else {
                return Err(slot);
            };
            if self.streams.get(place).is_some_and(|stream| stream.identity == identity) {
                return Ok(place);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn put(&mut self, place: usize, slot: usize, stream: Stream) {
        if let (Some(held), Some(index)) = (self.streams.get_mut(place), self.index.get_mut(slot)) {
            *held = Stream { last_heard: self.now, ..stream };
            *index = u16::try_from(place + 1).unwrap_or(0);
        }
    }

    /// The stream that has been silent for longest, if that is long enough.
    ///
    /// Under a storm of invented identities this is asked for every message, so a look at all streams that
    /// found nobody is not repeated before the earliest of them can be due.
    fn longest_silent(&mut self) -> Option<usize> {
        if self.now < self.look_at {
            return None;
        }
        let own = self.streams.iter().take(self.used).enumerate();
        let may_go = own.filter(|(_, stream)| stream.state == StreamState::Heard);
        let (place, last_heard) = may_go
            .map(|(place, stream)| (place, stream.last_heard))
            .min_by_key(|&(_, last_heard)| last_heard)?;
        let due = last_heard.saturating_add(self.forget_after);
        if self.now < due {
            self.look_at = due;
            return None;
        }
        Some(place)
    }

    /// Gives the place of a stream to another identity; what was counted goes to the sums of the forgotten
    /// ones.
    fn replace(&mut self, place: usize, identity: &[u8]) {
        let Some(stream) = self.streams.get_mut(place) else { return };
        self.forgotten.counters.add(&stream.counters);
        *stream = Stream::new(identity, StreamState::Heard);
        stream.last_heard = self.now;
        // An entry cannot be taken out of open addressing alone: those that were put after it would not be
        // found.
        self.index.fill(0);
        for place in 0..self.used {
            let slot = self.streams.get(place).and_then(|stream| self.find(&stream.identity).err());
            if let Some(index) = slot.and_then(|slot| self.index.get_mut(slot)) {
                *index = u16::try_from(place + 1).unwrap_or(0);
            }
        }
    }

    /// The streams heard of, in order of their places, `other` last and only once it was used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        let own = self.streams.iter().take(self.used).enumerate();
        let heard = own.filter(|(_, stream)| stream.state != StreamState::Awaited);
        let other = self.streams.last().filter(|_| self.overflow > 0).map(|stream| (self.other(), stream));
        heard.chain(other).map(|(place, stream)| (StreamId(place), stream))
    }

    /// Sums of the streams that made room for others.
    pub(crate) fn forgotten(&self) -> &Stream {
        &self.forgotten
    }

    /// The stream at a place, for a message of it.
    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut Stream> {
        let stream = self.streams.get_mut(place)?;
        stream.last_heard = self.now;
        Some(stream)
    }

    /// All streams for writing.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, milliseconds: u64) {
        self.passed_ms += milliseconds;
        self.now = self.now.saturating_add(u32::try_from(self.passed_ms / 1_000).unwrap_or(u32::MAX));
        self.passed_ms %= 1_000;
    }

    /// How many streams there can be, `other` among them.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.streams.len()
    }

    /// The place of the stream of all the others.
    fn other(&self) -> usize {
        self.streams.len() - 1
    }

    /// Whether a stream is the one for all others.
    pub(crate) fn is_other(&self, id: StreamId) -> bool {
        id.0 == self.other()
    }

    /// Messages that found no stream of their own.
    pub(crate) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Counts from zero again. The streams stay, but one of which nothing more is heard makes room at once.
    pub(crate) fn reset(&mut self) {
        for stream in &mut self.streams {
            stream.reset();
            stream.last_heard = 0;
        }
        self.forgotten.reset();
        self.look_at = 0;
    }
}

/// The identity that all formats show as this text: `\\DDD` is a byte, a backslash before anything else goes.
fn parse_identity(text: &str) -> heapless::Vec<u8, IDENTITY_BYTES, u8> {
    let (mut identity, mut rest) = (heapless::Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let number = after.first_chunk::<3>().and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        let (byte, left) = match (first, number, after.split_first()) {
            (b'\\', Some(byte), _) => (byte, after.get(3..).unwrap_or_default()),
            (b'\\', None, Some((&escaped, left))) => (escaped, left),
            _ => (first, after),
        };
        if identity.push(byte).is_err() {
            break; // the first bytes count
        }
        rest = left;
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;

    /// One message of an identity: whether its place was another's.
    fn hear(streams: &mut Streams, identity: &str) -> bool {
        let hash = streams.hasher.hash_one(identity);
        let (place, forgot) = match streams.find_last(hash) {
            Some(place) => (place, false),
            None => streams.find_or_insert(identity.as_bytes(), hash),
        };
        streams.get_mut(place).unwrap();
        forgot
    }

    fn names(streams: &Streams) -> Vec<&str> {
        streams.iter().map(|(_, stream)| stream.name()).collect()
    }

    #[test]
    fn a_silent_stream_makes_room_after_its_time_and_not_before() {
        let mut streams = Streams::new(2, &[], 10);
        hear(&mut streams, "a");
        hear(&mut streams, "b");
        streams.tick(6 * SECOND);
        hear(&mut streams, "b");
        streams.tick(3 * SECOND);
        assert!(!hear(&mut streams, "c"));
        assert_eq!((names(&streams), streams.overflow()), (vec!["a", "b", "other"], 1));
        streams.tick(SECOND);
        assert!(hear(&mut streams, "c"));
        assert_eq!((names(&streams), streams.overflow()), (vec!["c", "b", "other"], 1));
        assert!(!hear(&mut streams, "a"), "b was heard of 4 s ago");
        streams.tick(20 * SECOND);
        assert!(hear(&mut streams, "a") && hear(&mut streams, "d"));
        assert_eq!((names(&streams), streams.overflow()), (vec!["d", "a", "other"], 2));
    }

    #[test]
    fn a_reserved_place_waits_for_its_identity() {
        let reserved = ["ns1", "a\\032b", "ns1", "beyond"].map(Text::new);
        let mut streams = Streams::new(2, &reserved, 10);
        assert_eq!(names(&streams), [""; 0]);
        for number in 0..100 {
            streams.tick(SECOND);
            hear(&mut streams, &format!("invented{number}"));
        }
        assert_eq!(names(&streams), ["other"]);
        hear(&mut streams, "a b");
        hear(&mut streams, "ns1");
        assert_eq!(names(&streams), ["ns1", "a\\032b", "other"]);
        streams.tick(100 * SECOND);
        hear(&mut streams, "invented");
        assert_eq!(names(&streams), ["ns1", "a\\032b", "other"]);
    }

    #[test]
    fn after_a_reset_who_is_silent_makes_room() {
        let mut streams = Streams::new(2, &[], 21_600);
        for name in ["a", "b", "c"] {
            hear(&mut streams, name);
        }
        streams.reset();
        hear(&mut streams, "b");
        assert!(hear(&mut streams, "c"));
        assert!(!hear(&mut streams, "d"));
        assert_eq!(names(&streams), ["c", "b", "other"]);
    }

    #[test]
    fn an_identity_that_reads_other_is_told_apart() {
        let mut streams = Streams::new(1, &[], 10);
        hear(&mut streams, "other");
        hear(&mut streams, "more");
        assert_eq!(names(&streams), ["\\111ther", "other"]);
        assert_eq!(parse_identity("\\111ther"), b"other");
        assert_eq!(parse_identity("a\\\\b\\\"\\999\\1"), b"a\\b\"9991");
    }

    /// Places are taken and given up in any order, and each identity is found where it was put.
    #[test]
    fn the_index_finds_everybody_after_many_changes() {
        let mut streams = Streams::new(50, &[], 1);
        for round in 0..200 {
            streams.tick(SECOND);
            for number in 0..20 {
                hear(&mut streams, &format!("{}", (round * 7 + number * 3) % 300));
            }
            for (id, stream) in streams.iter().filter(|(id, _)| !streams.is_other(*id)) {
                assert_eq!(streams.find(&stream.identity), Ok(id.place()));
            }
        }
        assert_eq!(streams.overflow(), 0);
    }
}
