//! How exchanges end: by a response, by the time that is up, or because pairing forgot them.
//!
//! A record is ended where it is: its code and latency change, and its detail if it has one. Only an outcome
//! that needs a detail for which the record has no room is written once more at the end, and the record of
//! before is marked as removed.
//!
//! Exchanges are remembered in the order in which they were over, for those who follow the log.

use core::hash::BuildHasher;

use super::read::LogRecord;
use super::record::{self, Code, Extension, LatencyClass, Outcome, Status};
use super::store::{self, NoPage};
use super::{
    Exchange, Handle, Log, LoggedAnswer, NO_ANSWER, PATIENCE_MS, PackedAnswer, WORD_BITS, WORD_BYTES,
    get_word, put_word, time_of,
};
use crate::limits;
use crate::time::Latency;
use crate::wire::name::Name;

impl Log {
    /// Ends the exchange of a query. `None` if it is not pending any more: it was too old, or had to go.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn complete(
        &mut self,
        handle: Handle,
        outcome: &Outcome,
        latency: Option<Latency>,
        answer: &LoggedAnswer<'_>,
    ) -> Option<Handle> {
        self.finish(handle, outcome, LatencyClass::of(latency), answer)
    }

    /// Whether an exchange still waits for its response.
    #[inline]
    pub(crate) fn is_pending(&self, handle: Handle) -> bool {
        self.outcome_of(handle).is_some_and(|outcome| outcome.status == Status::Pending)
    }

    /// Gives up the exchange of a query that pairing forgot.
    pub(crate) fn forget(&mut self, handle: Handle) {
        self.end_without_response(handle, Status::Unknown);
    }

    /// Gives a pending record an outcome without a response.
    fn end_without_response(&mut self, handle: Handle, status: Status) {
        if let Some(outcome) = self.outcome_of(handle).filter(|outcome| outcome.status == Status::Pending) {
            let outcome = Outcome { status, ..outcome };
            self.finish(handle, &outcome, LatencyClass::NONE, &LoggedAnswer::None);
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn finish(
        &mut self,
        handle: Handle,
        outcome: &Outcome,
        latency: LatencyClass,
        answer: &LoggedAnswer<'_>,
    ) -> Option<Handle> {
        let (number, at) = self.find(handle)?;
        let bytes = self.store.page(number);
        let mut word = get_word(bytes, self.stride, at)?;
        let code = Code::of(outcome);
        let detail = if word.code() == Code::DETAILED || code == Code::DETAILED {
            at.checked_sub(1).and_then(|at| get_word(bytes, self.stride, at)).and_then(Extension::unpack)
        } else {
            None
        };
        let detail = detail.filter(|extension| matches!(extension, Extension::Detail(..)));
        let is_pending = match (word.code(), detail) {
            (Code::DETAILED, Some(Extension::Detail(outcome, _))) => outcome.status == Status::Pending,
            (code, _) => code.outcome().is_some_and(|outcome| outcome.status == Status::Pending),
        };
        if !is_pending {
            return None;
        }
        if code == Code::DETAILED && detail.is_none() {
            return self.replace(handle, outcome, latency, answer);
        }
        if self.stride > WORD_BYTES && *answer != LoggedAnswer::None {
            let packed = self.make_room_for_answer(handle, answer);
            let start = usize::from(at) * self.stride + WORD_BYTES;
            let page = self.store.page_mut(number);
            if let Some(place) = page.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
                *place = packed.1;
            }
            word = word.with_address(packed.0);
        }
        let stride = self.stride;
        let bytes = self.store.page_mut(number);
        if let (Code::DETAILED, Some(Extension::Detail(_, timeless))) = (code, detail) {
            put_word(bytes, stride, at - 1, Extension::Detail(*outcome, timeless).pack());
        }
        put_word(bytes, stride, at, word.with(code, latency));
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            page.pending = page.pending.saturating_sub(1);
        }
        self.push_done(handle);
        Some(handle)
    }

    /// Packs the answer of a record that is in the log already. What it takes the room from is older than the
    /// record, or else the answer is left out.
    fn make_room_for_answer(&mut self, handle: Handle, answer: &LoggedAnswer<'_>) -> PackedAnswer {
        loop {
            match self.pack_answer(answer, self.stamp_of(handle)) {
                Ok(packed) => return packed,
                Err(NoPage) if self.sequence_of(handle).is_none_or(|sequence| sequence == self.oldest) => {
                    return NO_ANSWER;
                }
                Err(NoPage) => self.evict(),
            }
        }
    }

    /// Appends a record once more with another outcome, for which it has no room where it is.
    #[cfg_attr(for_size, optimize(speed))]
    #[cold]
    fn replace(
        &mut self,
        handle: Handle,
        outcome: &Outcome,
        latency: LatencyClass,
        answer: &LoggedAnswer<'_>,
    ) -> Option<Handle> {
        let record = self.record(handle)?;
        let mut identity = [0; limits::IDENTITY_BYTES];
        let mut name = [0; store::STRING_MAX];
        let identity = copy(record.identity, &mut identity);
        let name = copy(record.name.map_or(&[][..], |name| name.wire_form()), &mut name);
        let exchange = Exchange {
            time: record.time.and_then(time_of),
            identity,
            identity_hash: self.hasher.hash_one(identity),
            stream: record.stream,
            client: record.client,
            client_hash: self.hasher.hash_one(record.client),
            name: Name::parse(name).ok().map(|(name, _)| name),
            name_hash: self.hasher.hash_one(name),
            qtype: record.qtype,
            message: record.query_message,
            family: record.family,
            protocol: record.protocol,
            outcome: *outcome,
            latency,
            answer: *answer,
        };
        self.remove(handle)?;
        Some(self.append(&exchange))
    }

    /// Takes out a query whose response becomes a record of its own, as it tells of another kind; whether it
    /// was pending still.
    #[cold]
    pub(crate) fn supersede(&mut self, handle: Handle) -> bool {
        self.is_pending(handle) && self.remove(handle).is_some()
    }

    /// Marks a pending record as removed.
    fn remove(&mut self, handle: Handle) -> Option<()> {
        let (number, at) = self.find(handle)?;
        let word = get_word(self.store.page(number), self.stride, at)?;
        let removed = word.with(Code::REMOVED, LatencyClass::NONE);
        put_word(self.store.page_mut(number), self.stride, at, removed);
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            page.pending = page.pending.saturating_sub(1);
            page.records = page.records.saturating_sub(1);
        }
        self.records -= 1;
        Some(())
    }

    /// Ends the queries that have waited for 60 s of their stream's time; `now` is that of the monotonic
    /// clock in milliseconds. Hands over the place of the stream of each.
    pub(crate) fn expire(&mut self, now: u64, mut unanswered: impl FnMut(u16)) {
        let mut sequence = self.oldest;
        loop {
            let page = self.order_of(sequence).and_then(|number| self.pages.get(usize::from(number)));
            if page.is_some_and(|page| page.pending > 0) {
                let words = page.map_or(0, |page| page.words);
                for at in 0..words {
                    if !self.may_be_pending(sequence, at) {
                        continue;
                    }
                    let handle = Handle(sequence << WORD_BITS | u32::from(at));
                    let Some(stream) = self.expired_stream(handle, now) else { continue };
                    self.end_without_response(handle, Status::Unanswered);
                    unanswered(stream);
                }
            }
            if sequence == self.open.sequence {
                return;
            }
            sequence = sequence.wrapping_add(1);
        }
    }

    /// Whether a word is a record whose code does not say that it is over: nearly all do.
    #[inline]
    fn may_be_pending(&self, sequence: u32, at: u16) -> bool {
        let number = self.order_of(sequence).unwrap_or_default();
        let word = get_word(self.store.page(number), self.stride, at);
        word.filter(|word| word.shape() != record::EXTENSION).is_some_and(|word| {
            let outcome = word.code().outcome();
            word.code() == Code::DETAILED || outcome.is_some_and(|outcome| outcome.status == Status::Pending)
        })
    }

    /// The stream of a query that waits in vain.
    fn expired_stream(&self, handle: Handle, now: u64) -> Option<u16> {
        self.outcome_of(handle).filter(|outcome| outcome.status == Status::Pending)?;
        let record = self.record(handle)?;
        let clock = self.clocks.get(usize::from(record.stream).min(self.clocks.len() - 1))?;
        let stream_now = clock.message + now.saturating_sub(clock.arrival) as i64;
        (record.time.unwrap_or(clock.message) + PATIENCE_MS <= stream_now).then_some(record.stream)
    }

    /// Exchanges that were over before now, ever.
    pub(crate) fn over(&self) -> u64 {
        self.over
    }

    /// The `number`th exchange that was over; `None` if it was too long ago.
    pub(crate) fn over_at(&self, number: u64) -> Option<LogRecord<'_>> {
        let age = self.over.checked_sub(number)?;
        let length = self.done.len() as u64;
        if age == 0 || age > length {
            return None;
        }
        self.record(self.done.get((number % length) as usize).copied()?)
    }

    /// The number of the oldest exchange that is kept in the order in which they were over.
    pub(crate) fn over_oldest(&self) -> u64 {
        self.over.saturating_sub(self.done.len() as u64).max(self.over_first)
    }

    /// Exchanges that were over before everything was forgotten.
    pub(crate) fn over_first(&self) -> u64 {
        self.over_first
    }

    /// A number that tells this run of the program from others.
    pub(crate) fn run(&self) -> u16 {
        self.run
    }

    #[inline]
    pub(super) fn push_done(&mut self, handle: Handle) {
        let place = self.over as usize & (self.done.len() - 1);
        if let Some(done) = self.done.get_mut(place) {
            *done = handle;
        }
        self.over += 1;
    }
}

/// The bytes copied into the room, as many as fit.
pub(super) fn copy<'r>(bytes: &[u8], room: &'r mut [u8]) -> &'r [u8] {
    let length = room.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count();
    room.get(..length).unwrap_or_default()
}
