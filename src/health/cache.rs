//! Whether a resolver answers from its cache: a response to a client for which nobody was asked.
//!
//! The last queries to other servers are remembered by stream, name and type, each in the one place its hash
//! gives it. A response to a client whose query came before the last such query was fetched; any other came
//! from the cache. Two queries that meet in a place within the time of one answer make a hit of what was
//! fetched; with 512 places and ten questions open at once that is 1 in 50 of the fetched ones.
//!
//! Nothing is said of a response whose query has no known time, nor of a stream that was never seen to ask
//! anybody: whether it has a cache nobody knows.

use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::time::Time;

/// Places for queries.
const SLOTS: usize = 512;
/// Streams that are told apart; of those beyond nothing is said.
const STREAMS: usize = 512;

/// Queries to others.
#[derive(Debug)]
pub(crate) struct AskedOthers {
    /// A fingerprint that tells the question from others with the same place.
    tags: [u16; SLOTS],
    /// When it was asked last, as [`moment`] has it.
    asked: [u32; SLOTS],
    /// A bit for each stream that asks.
    streams: [u32; STREAMS / 32],
}

impl Default for AskedOthers {
    fn default() -> Self {
        AskedOthers { tags: [0; SLOTS], asked: [0; SLOTS], streams: [0; STREAMS / 32] }
    }
}

impl AskedOthers {
    /// A query went to another server.
    pub(crate) fn note(&mut self, event: &Event<'_>, hashes: &MessageHashes<'_>, stream: usize) {
        let Some(time) = event.time else { return };
        if let Some(word) = self.streams.get_mut(stream / 32) {
            *word |= 1 << (stream % 32);
        }
        let (slot, tag) = place(event, hashes, stream);
        if let (Some(held), Some(asked)) = (self.tags.get_mut(slot), self.asked.get_mut(slot)) {
            (*held, *asked) = (tag, moment(time));
        }
    }

    /// Whether a response to a client came from the cache; `None` if that is not known.
    pub(crate) fn judge(&self, event: &Event<'_>, hashes: &MessageHashes<'_>, stream: usize) -> Option<bool> {
        let asks = self.streams.get(stream / 32).is_some_and(|word| word >> (stream % 32) & 1 == 1);
        let (true, Some(end), Some(latency)) = (asks, event.time, event.latency) else { return None };
        let waited = (latency.nanoseconds() / UNIT_NANOSECONDS) as u32;
        let (slot, tag) = place(event, hashes, stream);
        if self.tags.get(slot) != Some(&tag) {
            return Some(true);
        }
        // Times are cut to units: one more on either side.
        let before = moment(end).wrapping_add(1).wrapping_sub(*self.asked.get(slot)?);
        Some(before > waited.saturating_add(2))
    }
}

/// The place of a question, and what tells it from others there.
fn place(event: &Event<'_>, hashes: &MessageHashes<'_>, stream: usize) -> (usize, u16) {
    let qtype = event.dns.question.as_ref().and_then(|question| question.qtype).map_or(0, |qtype| qtype.0);
    let key = (hashes.folded ^ u64::from(qtype) << 16 ^ stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((key >> 55) as usize % SLOTS, (key >> 16) as u16 | 1)
}

/// A time in units that go round after 19 hours.
fn moment(time: Time) -> u32 {
    let units = 1_000_000_000 / UNIT_NANOSECONDS;
    (time.seconds.wrapping_mul(units)).wrapping_add(u64::from(time.nanoseconds) / UNIT_NANOSECONDS) as u32
}

/// Nanoseconds of a unit.
const UNIT_NANOSECONDS: u64 = 16_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::hashes::MessageHasher;
    use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
    use crate::time::Latency;
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;

    #[test]
    fn asked_between_query_and_response_is_fetched() {
        let hasher = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS));
        let payload = |name: &[u8]| [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat();
        let mut asked = AskedOthers::default();
        let mut say = |query: bool, name: &[u8], milliseconds: u64, stream: usize| {
            let payload = payload(name);
            let message_type = if query { MessageType(7) } else { MessageType(6) };
            let message = match query {
                true => Message { message_type, query_message: Some(&payload), ..Message::default() },
                false => Message { message_type, response_message: Some(&payload), ..Message::default() },
            };
            let mut event = Event::from_dnstap(&Dnstap { message, ..Dnstap::default() });
            let time = |milliseconds: u64| Time {
                seconds: 1_700_000_000 + milliseconds / 1_000,
                nanoseconds: (milliseconds % 1_000) as u32 * 1_000_000,
            };
            event.time = Some(time(milliseconds));
            event.latency = Latency::between(time(milliseconds - 50), time(milliseconds));
            let hashes = hasher.hash(&event);
            if query {
                asked.note(&event, &hashes, stream);
                return None;
            }
            asked.judge(&event, &hashes, stream)
        };
        let (a, b) = (b"\x01a\x03com\0", b"\x01b\x03com\0");
        assert_eq!(say(false, a, 100, 1), None, "it may have no cache at all");
        say(true, a, 170, 1);
        assert_eq!(say(false, a, 200, 1), Some(false));
        assert_eq!(say(false, b, 201, 1), Some(true), "another name");
        assert_eq!(say(false, a, 201, 2), None, "another stream");
        assert_eq!(say(false, a, 300, 1), Some(true), "asked before the query came");
        say(true, b, 400, 1);
        assert_eq!(say(false, b, 400, 1), Some(false), "at the same time");
    }
}
