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
//! A record has eight bytes (`record`), and refers to strings that are kept once (`store`); with answers it
//! has four more. [`Log::append`] writes into the open page; when that is full, it is closed and another one
//! opened, for which the oldest may have to go. [`Log::complete`] changes a record where it is: a response
//! ends the exchange that its query began. Readers walk back from the newest record (`read`), a few thousand
//! records at a time.
//!
//! Everything is made by [`Log::new`], and nothing is allocated later. What has to go is counted.
//!
//! | what | bytes |
//! |---|---|
//! | a record, and with answers | 8, 12 |
//! | a name or address, once | 3 and its own, rounded up to 4 or more |
//! | a client or a shape, once a page | 4 |

mod completion;
mod filter;
mod page_list;
mod pages;
mod pairs;
mod read;
mod record;
mod saved;
mod shape;
mod store;

pub(crate) use filter::{FILTER_VALUES, LogFilter, MessageTerm};
pub(crate) use read::{LogRecord, Position, SearchProgress};
pub(crate) use record::{LatencyClass, Outcome, Status};
pub(crate) use saved::{ExchangeReader, ExchangeWriter};

use core::net::IpAddr;

use crate::limits;
use crate::message::pairing::ExchangeHandle;
use crate::time::Time;
use crate::wire::iana::{Family, MessageType, Protocol, RrType};
use crate::wire::name::Name;
use page_list::PageList;
use record::{CLIENTS_MAX, Code, Extension, SHAPES_MAX, Word};
use store::{NoPage, REFERENCE_BITS, Store};

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
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
    /// Those of them that were before everything was forgotten.
    over_first: u64,
    /// A number that tells this run of the program from others.
    run: u16,
    /// The place up to which exchanges are saved; `None` if none ever are.
    saved: Option<Position>,
    /// Exchanges that had to go before they were saved.
    unsaved: u64,
    /// Exchanges before this are not counted as pairs any more.
    pairs_since: Position,
    records: u64,
    evicted: u64,
    hasher: crate::sys::random::SeededState,
}

/// An addition to the log: a query, or a response whose query is not in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// Time of the query, else that of the response.
    pub(crate) time: Option<Time>,
    /// First bytes of the sender's identity; empty if it sent none.
    pub(crate) identity: &'a [u8],
    /// A seeded hash of it.
    pub(crate) identity_hash: u64,
    /// Place of the stream, which has a clock of its own.
    pub(crate) stream: u16,
    /// The query address.
    pub(crate) client: Option<IpAddr>,
    /// A seeded hash of it.
    pub(crate) client_hash: u64,
    /// The first question.
    pub(crate) name: Option<Name<'a>>,
    /// A seeded hash of the name in lower case.
    pub(crate) name_hash: u64,
    /// Type of the first question.
    pub(crate) qtype: Option<RrType>,
    /// Side and direction.
    pub(crate) message: MessageType,
    /// Address family.
    pub(crate) family: Option<Family>,
    /// Transport.
    pub(crate) protocol: Option<Protocol>,
    /// How it stands.
    pub(crate) outcome: Outcome,
    /// From query to response.
    pub(crate) latency: LatencyClass,
    /// The first answer; kept if the log was made to keep answers.
    pub(crate) answer: LoggedAnswer<'a>,
}

/// The first address or alias in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum LoggedAnswer<'a> {
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
pub(crate) struct Handle(u32);

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
pub(crate) const LOG_BYTES_MIN: usize = 32 << 10;

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
    clients: PageList,
    shapes: PageList,
}

/// Whether an answer is an IPv4 address, and that, or else a reference, which is 0 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedAnswer(bool, [u8; 4]);

const NO_ANSWER: PackedAnswer = PackedAnswer(false, [0; 4]);
/// The byte before an IPv6 address among the strings, where no name has it: the length of a label is at most
/// 63.
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
    pub(crate) fn new(bytes: usize, answers: bool, streams: usize) -> Self {
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
                clients: PageList::new(plan.clients),
                shapes: PageList::new(plan.shapes),
            },
            clocks: limits::table(streams.max(1), StreamClock::default()),
            done: limits::table(plan.done, Handle::default()),
            over: 0,
            over_first: 0,
            saved: None,
            unsaved: 0,
            pairs_since: Position::default(),
            run: crate::sys::random::number() as u16,
            records: 0,
            evicted: 0,
            hasher: crate::sys::random::seeded_state(),
        };
        log.clear();
        log
    }

    /// Bytes that a log of that many bytes takes: these, and clocks.
    pub(crate) const fn cost(bytes: usize, streams: usize) -> usize {
        let bytes = if bytes < LOG_BYTES_MIN { LOG_BYTES_MIN } else { bytes };
        bytes + streams * size_of::<StreamClock>()
    }

    /// Forgets all exchanges. Handles of before are no longer found.
    pub(crate) fn clear(&mut self) {
        let next = self.open.sequence.wrapping_add(1);
        self.store.clear();
        self.records = 0;
        self.over_first = self.over;
        self.open.sequence = next;
        self.oldest = next;
        if let Ok(page) = self.store.take_page() {
            self.begin_page(page, 0);
        }
    }

    /// Exchanges in the log.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Exchanges that had to go.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Notes the time of a message of a stream, which came at `now` in milliseconds of the monotonic clock.
    #[inline]
    pub(crate) fn note_time(&mut self, stream: u16, time: Option<Time>, now: u64) {
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
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn append(&mut self, exchange: &Exchange<'_>) -> Handle {
        loop {
            match self.try_append(exchange) {
                Ok(handle) => return handle,
                Err(NoPage) => self.evict(),
            }
        }
    }

    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn try_append(&mut self, exchange: &Exchange<'_>) -> Result<Handle, NoPage> {
        if !self.has_room() {
            self.open_page()?;
        }
        // In this order, and again from the start after a failure: until the record is written, no other page
        // may open, or strings that were stored for it would bear the wrong stamp and stay forever.
        let stamp = self.open.sequence as u16;
        let name = match exchange.name {
            Some(name) => self.store.intern(exchange.name_hash, name.wire_form(), stamp)?.0,
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
            && shapes < self.open.shapes.capacity()
            && clients < self.open.clients.capacity()
    }

    /// Writes a record into the open page.
    #[cfg_attr(for_size, optimize(speed))]
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

    /// Whether first answers are kept.
    #[inline]
    pub(crate) fn keeps_answers(&self) -> bool {
        self.stride > WORD_BYTES
    }

    /// Lets go what is older, page by page; `time` is in milliseconds since 1970.
    pub(crate) fn drop_before(&mut self, time: i64) {
        while self.oldest != self.open.sequence {
            let page = self.order_of(self.oldest).and_then(|number| self.pages.get(usize::from(number)));
            if page.is_none_or(|page| page.most >= time) {
                return;
            }
            self.evict();
        }
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
        let lists = PageList::cost(clients) + PageList::cost(shapes);
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
pub(crate) fn time_of(milliseconds: i64) -> Option<Time> {
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

#[cfg(test)]
mod tests;
