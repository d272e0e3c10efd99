//! The log of exchanges: the last ones that fit its memory, a query and its response in one.
//!
//! ```text
//!   oldest                                            open
//!   page 7        page 8        page 9        page 10
//!   | records     | records     | records     | records ->            <- lists |
//!
//!   at its end, a closed page has its two lists: | shapes | clients |
//! ```
//!
//! A record has eight bytes (`record`), and refers to strings that are kept once (`store`); with answers it has four
//! more. [`Log::append`] writes into the open page; when that is full, it is closed and another one opened, for which the
//! oldest may have to go. [`Log::complete`] changes a record where it is: a response ends the exchange that its query
//! began. Readers walk back from the newest record (`read`), a few thousand records at a time.
//!
//! Everything is made by [`Log::new`], and nothing is allocated later. What has to go is counted.
//!
//! | what | bytes |
//! |---|---|
//! | a record, and with answers | 8, 12 |
//! | a name or address, once | 3 and its own, rounded up to 4 or more |
//! | a client or a shape, once a page | 4 |

mod read;
mod record;
mod store;

pub use read::{FILTER_VALUES, LogFilter, LogRecord, MessageTerm, Position, SearchProgress};
pub use record::{LatencyClass, Outcome, Status};

use core::hash::BuildHasher;
use core::net::IpAddr;

use crate::limits;
use crate::message::pairing::ExchangeHandle;
use crate::time::{Latency, Time};
use crate::wire::iana::{Family, MessageType, Protocol, RrType};
use crate::wire::name::Name;
use record::{CLIENTS_MAX, Code, Extension, SHAPES_MAX, Word};
use store::{NoPage, REFERENCE_BITS, Reference, Store};

/// The log.
#[derive(Debug)]
pub struct Log {
    store: Store,
    page_bytes: usize,
    /// Bytes of a record.
    stride: usize,
    /// The facts about pages that hold records, by number of the page.
    pages: Box<[RecordPage]>,
    /// Numbers of the pages that hold records: that of the `n`th one ever is at `n` modulo the length.
    order: Box<[u16]>,
    /// The oldest page of records; `oldest <= open.sequence`.
    oldest: u32,
    open: OpenPage,
    clocks: Box<[StreamClock]>,
    /// Exchanges that are over, in that order: the last ones of `over`.
    done: Box<[Handle]>,
    /// Exchanges ever that are over.
    over: u64,
    records: u64,
    evicted: u64,
    hasher: crate::sys::random::SeededState,
}

/// An addition to the log: a query, or a response whose query is not in the log.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Time of the query, else that of the response.
    pub time: Option<Time>,
    /// First bytes of the sender's identity; empty if it sent none.
    pub identity: &'a [u8],
    /// Place of the stream, which has a clock of its own.
    pub stream: u16,
    /// The query address.
    pub client: Option<IpAddr>,
    /// A seeded hash of it.
    pub client_hash: u64,
    /// The first question.
    pub name: Option<Name<'a>>,
    /// A seeded hash of the name in lower case.
    pub name_hash: u64,
    /// Type of the first question.
    pub qtype: Option<RrType>,
    /// Side and direction.
    pub message: MessageType,
    /// Address family.
    pub family: Option<Family>,
    /// Transport.
    pub protocol: Option<Protocol>,
    /// How it stands.
    pub outcome: Outcome,
    /// From query to response.
    pub latency: LatencyClass,
    /// The first answer; kept if the log was made to keep answers.
    pub answer: LoggedAnswer<'a>,
}

/// The first address or alias in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LoggedAnswer<'a> {
    /// Neither.
    #[default]
    None,
    /// An address.
    Address(IpAddr),
    /// An alias.
    Alias(Name<'a>),
}

/// A record of the log, as long as it is there: the page in the upper bits, the word in it in the lower ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Handle(u32);

impl From<ExchangeHandle> for Handle {
    fn from(handle: ExchangeHandle) -> Self {
        Handle(handle.0)
    }
}

impl From<Handle> for ExchangeHandle {
    fn from(handle: Handle) -> Self {
        ExchangeHandle(handle.0)
    }
}

const WORD_BITS: u32 = 10;
/// Pages are at most this large, so that [`WORD_BITS`] suffice.
const PAGE_BYTES_MAX: usize = 8 << WORD_BITS;
const PAGE_BYTES_MIN: usize = 1 << 10;
/// Bytes of a record and of the answer after it.
const WORD_BYTES: usize = 8;
const ANSWER_BYTES: usize = 4;
const LIST_ENTRY_BYTES: usize = 4;
/// Words that one exchange takes at most: two extensions and the record.
const WORDS_PER_EXCHANGE: usize = 3;
/// A query older than this has no response: the time that pairing waits.
const PATIENCE_MS: i64 = 60_000;
/// The least memory of a log.
pub const LOG_BYTES_MIN: usize = 32 << 10;

/// A page of records.
#[derive(Clone, Copy, Debug, Default)]
struct RecordPage {
    /// Milliseconds since 1970 before the first record and of the last one.
    start: i64,
    end: i64,
    /// The least and the most that any of its records has.
    least: i64,
    most: i64,
    words: u16,
    clients: u16,
    /// Records that were not removed.
    records: u16,
    /// Records that wait for a response.
    pending: u16,
    shapes: u8,
}

/// The page that records are appended to: its lists are here as long as it is open.
#[derive(Debug)]
struct OpenPage {
    page: u16,
    sequence: u32,
    clients: Box<[u32]>,
    /// Numbers of clients by hash: the upper bits are the hash's, the lower ten the number plus 1; 0 is free.
    client_slots: Box<[u64]>,
    shapes: Box<[(ShapeKey, u32)]>,
    /// The identity of the last record, and a hash of it.
    identity: heapless::Vec<u8, { limits::IDENTITY_BYTES }, u8>,
    identity_hash: u64,
    /// The shape of the last record: the next one likely has it.
    last_shape: usize,
}

/// The fields that make shapes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct ShapeKey {
    numbers: [u32; 4],
    flags: u8,
    stream: u16,
    identity: u64,
}

/// Whether an answer is an IPv4 address, and that, or else a reference, which is 0 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedAnswer(bool, [u8; 4]);

const NO_ANSWER: PackedAnswer = PackedAnswer(false, [0; 4]);
/// The byte before an IPv6 address among the strings, where no name has it: the length of a label is at most 63.
const IPV6_MARK: u8 = 0xff;

/// How far the messages of a stream have come.
#[derive(Clone, Copy, Debug, Default)]
struct StreamClock {
    /// Time of the last message, in milliseconds since 1970.
    message: i64,
    /// When it came, by the monotonic clock.
    arrival: u64,
}

impl Log {
    /// A log in that many bytes, with answers or not, for messages of that many streams.
    pub fn new(bytes: usize, answers: bool, streams: usize) -> Self {
        let plan = LogPlan::of(bytes);
        let mut log = Log {
            store: Store::new(plan.pages, plan.page_bytes, REFERENCE_BITS - u32::from(answers)),
            page_bytes: plan.page_bytes,
            stride: if answers { WORD_BYTES + ANSWER_BYTES } else { WORD_BYTES },
            pages: limits::table(plan.pages, RecordPage::default()),
            order: limits::table(plan.pages.next_power_of_two(), 0),
            oldest: 0,
            open: OpenPage {
                page: 0,
                sequence: 0,
                clients: limits::table(plan.clients, 0),
                client_slots: limits::table(plan.clients * 2, 0),
                shapes: limits::table(plan.shapes, Default::default()),
                identity: heapless::Vec::new(),
                identity_hash: 0,
                last_shape: 0,
            },
            clocks: limits::table(streams.max(1), StreamClock::default()),
            done: limits::table(plan.done, Handle::default()),
            over: 0,
            records: 0,
            evicted: 0,
            hasher: crate::sys::random::seeded_state(),
        };
        log.clear();
        log
    }

    /// Bytes that a log of that many bytes takes: these, and clocks.
    pub const fn cost(bytes: usize, streams: usize) -> usize {
        let bytes = if bytes < LOG_BYTES_MIN { LOG_BYTES_MIN } else { bytes };
        bytes + streams * size_of::<StreamClock>()
    }

    /// Forgets all exchanges. Handles of before are no longer found.
    pub fn clear(&mut self) {
        let next = self.open.sequence.wrapping_add(1);
        self.store.clear();
        self.records = 0;
        self.open.sequence = next;
        self.oldest = next;
        if let Ok(page) = self.store.take_page() {
            self.begin_page(page, 0);
        }
    }

    /// Exchanges in the log.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Exchanges that had to go.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Notes the time of a message of a stream, which came at `now` in milliseconds of the monotonic clock.
    #[inline]
    pub fn note_time(&mut self, stream: u16, time: Option<Time>, now: u64) {
        let last = self.clocks.len() - 1;
        let Some(clock) = self.clocks.get_mut(usize::from(stream).min(last)) else { return };
        if let Some(time) = time.map(milliseconds) {
            // A step back of more than the order of messages explains is a clock that was set.
            if time >= clock.message || clock.message - time > PATIENCE_MS {
                *clock = StreamClock { message: time, arrival: now };
            }
        }
    }

    /// Adds an exchange.
    #[inline]
    pub fn append(&mut self, exchange: &Exchange<'_>) -> Handle {
        loop {
            match self.try_append(exchange) {
                Ok(handle) => return handle,
                Err(NoPage) => self.evict(),
            }
        }
    }

    #[inline]
    fn try_append(&mut self, exchange: &Exchange<'_>) -> Result<Handle, NoPage> {
        if !self.has_room() {
            self.open_page()?;
        }
        // In this order, and again from the start after a failure: until the record is written, no other page may open, or
        // strings that were stored for it would bear the wrong stamp and stay forever.
        let stamp = self.open.sequence as u16;
        let name = match exchange.name {
            Some(name) => self.store.intern(exchange.name_hash, name.octets(), stamp)?.0,
            None => 0,
        };
        let client = self.client_number(exchange.client, exchange.client_hash, stamp)?;
        let shape = self.shape_number(exchange, stamp)?;
        let answer =
            if self.stride > WORD_BYTES { self.pack_answer(&exchange.answer, stamp)? } else { NO_ANSWER };
        Ok(self.write(exchange, shape, client, name, answer))
    }

    /// Whether the open page takes one more exchange, whatever it is.
    #[inline]
    fn has_room(&self) -> bool {
        let Some(page) = self.pages.get(usize::from(self.open.page)) else { return true };
        let (shapes, clients) = (usize::from(page.shapes), usize::from(page.clients));
        let records = (usize::from(page.words) + WORDS_PER_EXCHANGE) * self.stride;
        records + (shapes + clients + 2) * LIST_ENTRY_BYTES <= self.page_bytes
            && shapes < self.open.shapes.len()
            && clients < self.open.clients.len()
    }

    /// Writes a record into the open page.
    #[inline]
    fn write(
        &mut self,
        exchange: &Exchange<'_>,
        shape: u8,
        client: u16,
        name: u32,
        answer: PackedAnswer,
    ) -> Handle {
        let code = Code::of(&exchange.outcome);
        let Some(page) = self.pages.get_mut(usize::from(self.open.page)) else { return Handle::default() };
        let time = exchange.time.map_or(page.end, milliseconds);
        if page.records == 0 && page.words == 0 {
            (page.start, page.end, page.least, page.most) = (time, time, time, time);
        }
        let mut delta = time - page.end;
        page.end = time;
        page.least = page.least.min(time);
        page.most = page.most.max(time);
        let first = page.words;
        let is_pending = exchange.outcome.status == Status::Pending;
        page.records += 1;
        page.pending += u16::from(is_pending);
        let bytes = self.store.page_mut(self.open.page);
        if !Word::holds(delta) {
            put_word(bytes, self.stride, page.words, Extension::Time(delta).pack());
            (delta, page.words) = (0, page.words + 1);
        }
        if code == Code::DETAILED || exchange.time.is_none() {
            let detail = Extension::Detail(exchange.outcome, exchange.time.is_none());
            put_word(bytes, self.stride, page.words, detail.pack());
            page.words += 1;
        }
        let word = Word::new(shape, client, name, delta).with(code, exchange.latency);
        let word = if self.stride > WORD_BYTES { word.with_address(answer.0) } else { word };
        put_word(bytes, self.stride, page.words, word);
        if self.stride > WORD_BYTES {
            let start = usize::from(page.words) * self.stride + WORD_BYTES;
            if let Some(place) = bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
                *place = answer.1;
            }
        }
        debug_assert!(page.words - first < WORDS_PER_EXCHANGE as u16);
        let handle = Handle(self.open.sequence << WORD_BITS | u32::from(page.words));
        page.words += 1;
        self.records += 1;
        if !is_pending {
            self.push_done(handle);
        }
        handle
    }

    /// Ends the exchange of a query. `None` if it is not pending any more: it was too old, or had to go.
    #[inline]
    pub fn complete(
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
    pub fn is_pending(&self, handle: Handle) -> bool {
        self.outcome_of(handle).is_some_and(|outcome| outcome.status == Status::Pending)
    }

    /// Whether first answers are kept.
    #[inline]
    pub fn keeps_answers(&self) -> bool {
        self.stride > WORD_BYTES
    }

    /// Lets go what is older, page by page; `time` is in milliseconds since 1970.
    pub fn drop_before(&mut self, time: i64) {
        while self.oldest != self.open.sequence {
            let page = self.order_of(self.oldest).and_then(|number| self.pages.get(usize::from(number)));
            if page.is_none_or(|page| page.most >= time) {
                return;
            }
            self.evict();
        }
    }

    /// Gives up the exchange of a query that pairing forgot.
    pub fn forget(&mut self, handle: Handle) {
        self.end_without_response(handle, Status::Unknown);
    }

    /// Gives a pending record an outcome without a response.
    fn end_without_response(&mut self, handle: Handle, status: Status) {
        if let Some(outcome) = self.outcome_of(handle).filter(|outcome| outcome.status == Status::Pending) {
            let outcome = Outcome { status, ..outcome };
            self.finish(handle, &outcome, LatencyClass::NONE, &LoggedAnswer::None);
        }
    }

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
        let detail =
            at.checked_sub(1).and_then(|at| get_word(bytes, self.stride, at)).and_then(Extension::unpack);
        let detail = detail.filter(|extension| matches!(extension, Extension::Detail(..)));
        let is_pending = match (word.code(), detail) {
            (Code::DETAILED, Some(Extension::Detail(outcome, _))) => outcome.status == Status::Pending,
            (code, _) => code.outcome().is_some_and(|outcome| outcome.status == Status::Pending),
        };
        if !is_pending {
            return None;
        }
        let code = Code::of(outcome);
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

    /// Packs the answer of a record that is in the log already. What it takes the room from is older than the record, or else
    /// the answer is left out.
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
        let name = copy(record.name.map_or(&[][..], |name| name.octets()), &mut name);
        let exchange = Exchange {
            time: record.time.and_then(time_of),
            identity,
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
        let (number, at) = self.find(handle)?;
        let word = get_word(self.store.page(number), self.stride, at)?;
        let removed = word.with(Code::REMOVED, LatencyClass::NONE);
        put_word(self.store.page_mut(number), self.stride, at, removed);
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            page.pending = page.pending.saturating_sub(1);
            page.records = page.records.saturating_sub(1);
        }
        self.records -= 1;
        Some(self.append(&exchange))
    }

    /// Ends the queries that have waited for 60 s of their stream's time; `now` is that of the monotonic clock in
    /// milliseconds. Hands over the place of the stream of each.
    pub fn expire(&mut self, now: u64, mut unanswered: impl FnMut(u16)) {
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
    pub fn over(&self) -> u64 {
        self.over
    }

    /// The `number`th exchange that was over; `None` if it was too long ago.
    pub fn over_at(&self, number: u64) -> Option<LogRecord<'_>> {
        let age = self.over.checked_sub(number)?;
        let length = self.done.len() as u64;
        if age == 0 || age > length {
            return None;
        }
        self.record(self.done.get((number % length) as usize).copied()?)
    }

    /// Exchanges that are kept in the order in which they were over.
    pub fn over_capacity(&self) -> u64 {
        self.done.len() as u64
    }

    #[inline]
    fn push_done(&mut self, handle: Handle) {
        let place = self.over as usize & (self.done.len() - 1);
        if let Some(done) = self.done.get_mut(place) {
            *done = handle;
        }
        self.over += 1;
    }

    /// The page and the word that a handle means, if they are there.
    #[inline]
    fn find(&self, handle: Handle) -> Option<(u16, u16)> {
        let sequence = self.sequence_of(handle)?;
        let number = self.order_of(sequence)?;
        let at = handle.0 as u16 & ((1 << WORD_BITS) - 1);
        (at < self.pages.get(usize::from(number))?.words).then_some((number, at))
    }

    /// The number of the page that a handle means, of which it has the lower bits.
    #[inline]
    fn sequence_of(&self, handle: Handle) -> Option<u32> {
        let age = self.open.sequence.wrapping_sub(handle.0 >> WORD_BITS) & (u32::MAX >> WORD_BITS);
        (age <= self.open.sequence.wrapping_sub(self.oldest)).then(|| self.open.sequence.wrapping_sub(age))
    }

    #[inline]
    fn stamp_of(&self, handle: Handle) -> u16 {
        self.sequence_of(handle).unwrap_or(self.open.sequence) as u16
    }

    #[inline]
    fn order_of(&self, sequence: u32) -> Option<u16> {
        self.order.get(sequence as usize & (self.order.len() - 1)).copied()
    }

    /// An answer as it is after a record. A name never begins with the byte that an IPv6 address has before it.
    fn pack_answer(&mut self, answer: &LoggedAnswer<'_>, stamp: u16) -> Result<PackedAnswer, NoPage> {
        Ok(match answer {
            LoggedAnswer::None => NO_ANSWER,
            LoggedAnswer::Address(IpAddr::V4(address)) => PackedAnswer(true, address.octets()),
            LoggedAnswer::Address(IpAddr::V6(address)) => {
                let mut string = [IPV6_MARK; 17];
                let [_, bytes @ ..] = &mut string;
                *bytes = address.octets();
                PackedAnswer(false, self.pack_string(&string, stamp)?)
            }
            LoggedAnswer::Alias(name) => PackedAnswer(false, self.pack_string(name.octets(), stamp)?),
        })
    }

    fn pack_string(&mut self, string: &[u8], stamp: u16) -> Result<[u8; 4], NoPage> {
        let hash = self.hasher.hash_one(string);
        Ok(self.store.intern(hash, string, stamp)?.0.to_le_bytes())
    }
}

// Pages and their lists.
impl Log {
    /// Closes the open page and opens another one.
    #[inline(never)]
    fn open_page(&mut self) -> Result<(), NoPage> {
        let next = self.store.take_page()?;
        let end = self.close_page();
        self.open.sequence = self.open.sequence.wrapping_add(1);
        self.begin_page(next, end);
        Ok(())
    }

    /// Writes the lists of the open page to its end; returns the time of its last record.
    fn close_page(&mut self) -> i64 {
        let Some(page) = self.pages.get(usize::from(self.open.page)) else { return 0 };
        let shapes = self.open.shapes.iter().take(usize::from(page.shapes)).map(|(_, reference)| reference);
        let clients = self.open.clients.iter().take(usize::from(page.clients));
        let bytes = self.store.page_mut(self.open.page);
        let start =
            self.page_bytes - (usize::from(page.shapes) + usize::from(page.clients)) * LIST_ENTRY_BYTES;
        let lists = bytes.get_mut(start..).unwrap_or_default();
        for (place, reference) in lists.as_chunks_mut().0.iter_mut().zip(shapes.chain(clients)) {
            *place = reference.to_le_bytes();
        }
        page.end
    }

    /// Begins to write to a page that is free.
    fn begin_page(&mut self, number: u16, time: i64) {
        self.open.page = number;
        self.open.client_slots.fill(0);
        self.open.last_shape = 0;
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            *page = RecordPage { start: time, end: time, least: time, most: time, ..RecordPage::default() };
        }
        let place = self.open.sequence as usize & (self.order.len() - 1);
        if let Some(order) = self.order.get_mut(place) {
            *order = number;
        }
    }

    /// Lets the oldest page go, with the strings that nobody else refers to.
    #[inline(never)]
    fn evict(&mut self) {
        if self.oldest == self.open.sequence {
            // Its strings take all other pages.
            self.evicted += self.records;
            self.clear();
            return;
        }
        let sequence = self.oldest;
        self.oldest = self.oldest.wrapping_add(1);
        let Some(number) = self.order_of(sequence) else { return };
        let Some(page) = self.pages.get(usize::from(number)).copied() else { return };
        self.records -= u64::from(page.records);
        self.evicted += u64::from(page.records);
        let stamp = sequence as u16;
        for at in 0..page.words {
            let bytes = self.store.page(number);
            let Some(word) = get_word(bytes, self.stride, at) else { break };
            if word.shape() == record::EXTENSION {
                continue;
            }
            let answer = self.answer_reference(bytes, at, word);
            let name = self.name_reference(word);
            for reference in [name, answer].into_iter().flatten() {
                self.store.release(reference, stamp);
            }
        }
        for entry in 0..usize::from(page.shapes) + usize::from(page.clients) {
            let reference = self.list_entry(number, &page, entry);
            self.store.release(reference, stamp);
        }
        self.store.give_page(number);
        self.store.drain_sparse_pages();
    }

    /// The name of a record.
    #[inline]
    fn name_reference(&self, word: Word) -> Option<Reference> {
        let bits = REFERENCE_BITS - u32::from(self.stride > WORD_BYTES);
        Some(word.name() & ((1 << bits) - 1)).filter(|reference| *reference != 0).map(Reference)
    }

    /// The answer of a record, if that is among the strings.
    #[inline]
    fn answer_reference(&self, page: &[u8], at: u16, word: Word) -> Option<Reference> {
        if self.stride == WORD_BYTES || word.has_address() {
            return None;
        }
        Some(u32::from_le_bytes(get_answer(page, self.stride, at)))
            .filter(|reference| *reference != 0)
            .map(Reference)
    }

    /// An entry of the lists of a closed page.
    fn list_entry(&self, number: u16, page: &RecordPage, entry: usize) -> Reference {
        let entries = usize::from(page.shapes) + usize::from(page.clients);
        let start = self.page_bytes - (entries - entry.min(entries)) * LIST_ENTRY_BYTES;
        let bytes = self.store.page(number).get(start..).and_then(|rest| rest.first_chunk());
        Reference(bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    /// The number of a client in the open page.
    #[inline]
    fn client_number(&mut self, client: Option<IpAddr>, hash: u64, stamp: u16) -> Result<u16, NoPage> {
        const NUMBER: u64 = (1 << 10) - 1;
        let hash = if client.is_some() { hash } else { 0 };
        let mask = self.open.client_slots.len() - 1;
        let mut place = hash as usize & mask;
        // Half of the slots are free at least.
        loop {
            match self.open.client_slots.get(place).copied().unwrap_or(0) {
                0 => break,
                held if (held ^ hash) & !NUMBER == 0 => return Ok((held & NUMBER) as u16 - 1),
                _ => place = (place + 1) & mask,
            }
        }
        let mut room = [0; 16];
        let bytes = pack_address(client, &mut room);
        let reference = self.store.intern(hash, bytes, stamp)?;
        let page = self.pages.get_mut(usize::from(self.open.page)).ok_or(NoPage)?;
        let number = page.clients;
        page.clients += 1;
        if let Some(client) = self.open.clients.get_mut(usize::from(number)) {
            *client = reference.0;
        }
        if let Some(slot) = self.open.client_slots.get_mut(place) {
            *slot = hash & !NUMBER | u64::from(number + 1);
        }
        Ok(number)
    }

    /// The number of the shape of an exchange in the open page.
    #[inline]
    fn shape_number(&mut self, exchange: &Exchange<'_>, stamp: u16) -> Result<u8, NoPage> {
        if self.open.identity != exchange.identity {
            self.open.identity_hash = self.hasher.hash_one(exchange.identity);
            self.open.identity = heapless::Vec::from_slice(exchange.identity).unwrap_or_default();
        }
        let key = ShapeKey::of(exchange, self.open.identity_hash);
        let used = self.pages.get(usize::from(self.open.page)).map_or(0, |page| usize::from(page.shapes));
        let known = self.open.shapes.get(..used).unwrap_or_default();
        if known.get(self.open.last_shape).is_some_and(|(held, _)| *held == key) {
            return Ok(self.open.last_shape as u8);
        }
        let number = match known.iter().position(|(held, _)| *held == key) {
            Some(number) => number,
            None => {
                self.add_shape(key, stamp)?;
                used
            }
        };
        self.open.last_shape = number;
        Ok(number as u8)
    }

    #[cold]
    fn add_shape(&mut self, key: ShapeKey, stamp: u16) -> Result<(), NoPage> {
        let mut room = [0; ShapeKey::BYTES + limits::IDENTITY_BYTES];
        let string = key.compose(&self.open.identity, &mut room);
        let reference = self.store.intern(self.hasher.hash_one(string), string, stamp)?;
        let page = self.pages.get_mut(usize::from(self.open.page)).ok_or(NoPage)?;
        if let Some(shape) = self.open.shapes.get_mut(usize::from(page.shapes)) {
            *shape = (key, reference.0);
            page.shapes += 1;
        }
        Ok(())
    }
}

impl ShapeKey {
    /// Bytes before the identity.
    const BYTES: usize = 19;

    #[inline]
    fn of(exchange: &Exchange<'_>, identity: u64) -> Self {
        let Exchange { qtype, family, protocol, .. } = exchange;
        let flags = [qtype.is_some(), family.is_some(), protocol.is_some()];
        let numbers = [
            u32::from(qtype.unwrap_or_default().0),
            exchange.message.0,
            family.unwrap_or_default().0,
            protocol.unwrap_or_default().0,
        ];
        let flags = flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag));
        ShapeKey { numbers, flags, stream: exchange.stream, identity }
    }

    /// The shape as a string of the store: flags, stream, numbers, identity.
    fn compose<'r>(&self, identity: &[u8], room: &'r mut [u8]) -> &'r [u8] {
        let [low, high] = self.stream.to_le_bytes();
        let numbers = self.numbers.iter().flat_map(|number| number.to_le_bytes());
        let bytes = [self.flags, low, high].into_iter().chain(numbers).chain(identity.iter().copied());
        let length = room.iter_mut().zip(bytes).map(|(place, byte)| *place = byte).count();
        room.get(..length).unwrap_or_default()
    }
}

/// How the memory of a log is divided.
struct LogPlan {
    pages: usize,
    page_bytes: usize,
    clients: usize,
    shapes: usize,
    done: usize,
}

impl LogPlan {
    fn of(bytes: usize) -> LogPlan {
        let bytes = bytes.max(LOG_BYTES_MIN);
        let page_bytes = (bytes / 128).next_power_of_two().clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX);
        let clients = (page_bytes / 16).min(CLIENTS_MAX);
        let shapes = (page_bytes / 32).min(SHAPES_MAX);
        let done = (bytes / 512).next_power_of_two();
        let lists =
            clients * (size_of::<u32>() + 2 * size_of::<u64>()) + shapes * size_of::<(ShapeKey, u32)>();
        let left = bytes - lists - done * size_of::<Handle>() - size_of::<Log>() - Store::index_cost(bytes);
        // `order` is rounded up to a power of two.
        let page_cost = page_bytes + Store::PAGE_COST + size_of::<RecordPage>() + 2 * size_of::<u16>();
        LogPlan { pages: left / page_cost, page_bytes, clients, shapes, done }
    }
}

/// Milliseconds since 1970.
#[inline]
fn milliseconds(time: Time) -> i64 {
    (time.seconds * 1_000) as i64 + i64::from(time.nanoseconds / 1_000_000) // until the year 9999
}

/// The time of some milliseconds since 1970.
pub fn time_of(milliseconds: i64) -> Option<Time> {
    let milliseconds = u64::try_from(milliseconds).ok()?;
    Time::new(milliseconds / 1_000, (milliseconds % 1_000) as u32 * 1_000_000)
}

#[inline]
fn get_word(page: &[u8], stride: usize, at: u16) -> Option<Word> {
    let bytes = page.get(usize::from(at) * stride..)?.first_chunk()?;
    Some(Word(u64::from_le_bytes(*bytes)))
}

#[inline]
fn put_word(page: &mut [u8], stride: usize, at: u16, word: Word) {
    if let Some(place) = page.get_mut(usize::from(at) * stride..).and_then(|rest| rest.first_chunk_mut()) {
        *place = word.0.to_le_bytes();
    }
}

fn get_answer(page: &[u8], stride: usize, at: u16) -> [u8; 4] {
    let start = usize::from(at) * stride + WORD_BYTES;
    page.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// An address as a string of the store: 4 or 16 bytes, or a single 0 for none.
#[inline]
fn pack_address(address: Option<IpAddr>, room: &mut [u8; 16]) -> &[u8] {
    let length = match address {
        None => 1,
        Some(IpAddr::V4(v4)) => {
            let [a, b, c, d, ..] = room;
            [*a, *b, *c, *d] = v4.octets();
            4
        }
        Some(IpAddr::V6(v6)) => {
            *room = v6.octets();
            16
        }
    };
    room.get(..length).unwrap_or_default()
}

/// The bytes copied into the room, as many as fit.
fn copy<'r>(bytes: &[u8], room: &'r mut [u8]) -> &'r [u8] {
    let length = room.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count();
    room.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests;
