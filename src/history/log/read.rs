//! Reading the log: back from the newest record, past what a filter does not want.
//!
//! A page is looked at as a whole first: its span of time, and which of its shapes and clients the filter
//! wants. Where none is, the page is passed over. In the others a record is mostly judged by three bits: is
//! its shape wanted, its client, its outcome. Only the name has to be looked at; what was found is
//! remembered, since few names make up most of the traffic.
//!
//! A reader takes as many steps as it likes, and other work goes on between them: its [`Position`] is a page
//! and a word, which stay what they are until the page is evicted.

use core::net::IpAddr;

use super::filter::LogFilter;
use super::record::{Code, Extension, LatencyClass, Outcome, Word};
use super::shape::Shape;
use super::store::Reference;
use super::{Handle, IPV6_MARK, Log, LoggedAnswer, RecordPage, WORD_BITS, WORD_BYTES, get_answer, get_word};
use crate::wire::iana::{Family, MessageType, Protocol, RrType};
use crate::wire::name::Name;

/// An exchange as it is in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRecord<'a> {
    /// Where it is.
    pub(crate) position: Position,
    /// Milliseconds since 1970.
    pub(crate) time: Option<i64>,
    /// First bytes of the sender's identity; empty if it sent none.
    pub(crate) identity: &'a [u8],
    /// Place of the stream.
    pub(crate) stream: u16,
    /// The query address.
    pub(crate) client: Option<IpAddr>,
    /// The first question.
    pub(crate) name: Option<Name<'a>>,
    /// Its type.
    pub(crate) qtype: Option<RrType>,
    /// Side and direction of the message that the exchange began with.
    pub(crate) query_message: MessageType,
    /// Address family.
    pub(crate) family: Option<Family>,
    /// Transport.
    pub(crate) protocol: Option<Protocol>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// From query to response.
    pub(crate) latency: LatencyClass,
    /// The first answer.
    pub(crate) answer: LoggedAnswer<'a>,
}

impl LogRecord<'_> {
    /// Side and direction: those of the response if there is one, which is the query's plus 1.
    pub(crate) fn message(&self) -> MessageType {
        message(self.query_message, self.outcome.responded)
    }
}

pub(super) fn message(query: MessageType, responded: bool) -> MessageType {
    if responded && !query.is_response() { MessageType(query.0.wrapping_add(1)) } else { query }
}

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    page: u32,
    word: u16,
}

impl Position {
    /// After the newest record.
    pub(crate) const NEWEST: Position = Position { page: u32::MAX, word: u16::MAX };

    /// The place before a word of a page.
    pub(crate) fn at(page: u32, word: u16) -> Position {
        Position { page, word }
    }

    /// The page and the word.
    pub(crate) fn parts(self) -> (u32, u16) {
        (self.page, self.word)
    }

    /// The position as a number, larger for newer ones.
    pub(crate) fn to_number(self) -> u64 {
        u64::from(self.page) << 16 | u64::from(self.word)
    }

    /// The position of a number.
    pub(crate) fn of_number(number: u64) -> Option<Position> {
        Some(Position { page: u32::try_from(number >> 16).ok()?, word: number as u16 })
    }
}

/// How far a step of a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchProgress {
    /// There are older records.
    More,
    /// All were looked at.
    Done,
}

/// The wishes of a filter for one page: bits by number.
struct PageSelection {
    /// Shapes of exchanges without a response, and with.
    shapes: [u128; 2],
    clients: [u64; 8],
}

/// Names that were looked at: the reference, and in the lowest bit whether the filter wants it.
struct Verdicts([u32; VERDICTS]);

/// Names of which a step of a search remembers whether they are wanted: 8 KiB of the stack.
const VERDICTS: usize = 2048;

/// Cost of a page, of the bytes of a name, and of its text, in records.
const PAGE_COST: u32 = 64;
const BYTES_COST: u32 = 4;
const NAME_COST: u32 = 16;

impl Log {
    /// Looks for records before `position`, newest first, until the budget is used up, the visitor returns
    /// `false`, or there are no older ones. The budget counts records; a thousand take 5 to 50
    /// microseconds of a PC. The position is where to go on.
    ///
    /// `client` says whether an address is wanted.
    pub(crate) fn search(
        &self,
        position: &mut Position,
        filter: &LogFilter<'_>,
        client: &dyn Fn(Option<IpAddr>) -> bool,
        mut budget: u32,
        visit: &mut dyn FnMut(&LogRecord<'_>) -> bool,
    ) -> SearchProgress {
        let mut outcomes = [0u64; 4];
        for (number, bits) in (0..=255u8).zip(0u32..) {
            let wanted = match Code(number) {
                Code::REMOVED => false,
                code => code.outcome().is_none_or(|outcome| filter.wants_outcome(&outcome)),
            };
            if let Some(word) = outcomes.get_mut(usize::from(number / 64)) {
                *word |= u64::from(wanted) << (bits % 64);
            }
        }
        let mut verdicts = Verdicts([0; VERDICTS]);
        if position.page > self.open.sequence {
            *position = Position { page: self.open.sequence, word: u16::MAX };
        }
        while position.page >= self.oldest && budget > 0 {
            let mut search = PageSearch {
                log: self,
                filter,
                outcomes: &outcomes,
                verdicts: &mut verdicts,
                budget: &mut budget,
            };
            if !search.run(position, client, visit) {
                return SearchProgress::More;
            }
            if position.word == 0 {
                match position.page.checked_sub(1).filter(|page| *page >= self.oldest) {
                    Some(page) => *position = Position { page, word: u16::MAX },
                    None => return SearchProgress::Done,
                }
            }
        }
        if position.page < self.oldest { SearchProgress::Done } else { SearchProgress::More }
    }

    /// The record that a handle means; `None` if it has gone.
    pub(super) fn record(&self, handle: Handle) -> Option<LogRecord<'_>> {
        let (number, at) = self.find(handle)?;
        let page = self.pages.get(usize::from(number))?;
        let bytes = self.store.page(number);
        // Times are differences: from the nearer end of the page.
        let mut time = page.end;
        for later in (at + 1..page.words).rev() {
            time -= delta_of(get_word(bytes, self.stride, later)?);
        }
        let view = WordView::read(bytes, self.stride, at)?;
        if view.word.code() == Code::REMOVED {
            return None;
        }
        let sequence = self.sequence_of(handle)?;
        self.assemble(number, page, sequence, at, &view, time)
    }

    /// The outcome of a record.
    pub(super) fn outcome_of(&self, handle: Handle) -> Option<Outcome> {
        let (number, at) = self.find(handle)?;
        WordView::read(self.store.page(number), self.stride, at)?.outcome()
    }

    /// The entries of the two lists of a page, shapes first.
    fn list(&self, number: u16, page: &RecordPage, entry: usize) -> Reference {
        if number != self.open.page {
            return self.list_entry(number, page, entry);
        }
        Reference(match entry.checked_sub(usize::from(page.shapes)) {
            None => self.open.shapes.reference(entry),
            Some(client) => self.open.clients.reference(client),
        })
    }

    fn shape(&self, number: u16, page: &RecordPage, shape: usize) -> Option<Shape<'_>> {
        Shape::parse(self.store.string(self.list(number, page, shape)))
    }

    fn client(&self, number: u16, page: &RecordPage, client: usize) -> Option<IpAddr> {
        address(self.store.string(self.list(number, page, usize::from(page.shapes) + client)))
    }

    fn name(&self, reference: Option<Reference>) -> Option<Name<'_>> {
        Name::parse(self.store.string(reference?)).ok().map(|(name, _)| name)
    }

    /// A record of all its parts.
    fn assemble(
        &self,
        number: u16,
        page: &RecordPage,
        sequence: u32,
        at: u16,
        view: &WordView,
        time: i64,
    ) -> Option<LogRecord<'_>> {
        let shape = self.shape(number, page, usize::from(view.word.shape()))?;
        let bytes = self.store.page(number);
        let answer = match self
            .answer_reference(bytes, at, view.word)
            .map(|reference| self.store.string(reference))
        {
            Some([IPV6_MARK, bytes @ ..]) => address(bytes).map_or(LoggedAnswer::None, LoggedAnswer::Address),
            Some(name) => Name::parse(name).map_or(LoggedAnswer::None, |(name, _)| LoggedAnswer::Alias(name)),
            None if self.stride > WORD_BYTES && view.word.has_address() => {
                LoggedAnswer::Address(IpAddr::from(get_answer(bytes, self.stride, at)))
            }
            None => LoggedAnswer::None,
        };
        Some(LogRecord {
            position: Position { page: sequence, word: view.first },
            time: (!view.is_timeless()).then_some(time),
            identity: shape.identity,
            stream: shape.stream,
            client: self.client(number, page, usize::from(view.word.client())),
            name: self.name(self.name_reference(view.word)),
            qtype: shape.qtype,
            query_message: shape.message,
            family: shape.family,
            protocol: shape.protocol,
            outcome: view.outcome()?,
            latency: view.word.latency(),
            answer,
        })
    }
}

/// A record with what is before it.
struct WordView {
    word: Word,
    detail: Option<(Outcome, bool)>,
    /// Milliseconds since the record before.
    delta: i64,
    /// Where its first word is.
    first: u16,
}

impl WordView {
    #[inline]
    fn read(bytes: &[u8], stride: usize, at: u16) -> Option<WordView> {
        let word = get_word(bytes, stride, at)?;
        let mut view = WordView { word, detail: None, delta: word.delta(), first: at };
        while let Some(before) = view.first.checked_sub(1) {
            match Extension::unpack(get_word(bytes, stride, before)?) {
                None => break,
                Some(Extension::Time(delta)) => view.delta += delta,
                Some(Extension::Detail(outcome, timeless)) => view.detail = Some((outcome, timeless)),
            }
            view.first = before;
        }
        Some(view)
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.word.code() {
            Code::DETAILED => self.detail.map(|(outcome, _)| outcome),
            code => code.outcome(),
        }
    }

    fn is_timeless(&self) -> bool {
        self.detail.is_some_and(|(_, timeless)| timeless)
    }
}

/// Milliseconds that one word stands for.
fn delta_of(word: Word) -> i64 {
    match Extension::unpack(word) {
        None => word.delta(),
        Some(Extension::Time(delta)) => delta,
        Some(Extension::Detail(..)) => 0,
    }
}

/// A search in one page.
struct PageSearch<'s> {
    log: &'s Log,
    filter: &'s LogFilter<'s>,
    outcomes: &'s [u64; 4],
    verdicts: &'s mut Verdicts,
    budget: &'s mut u32,
}

impl PageSearch<'_> {
    /// Looks at the records before the position. `false` if the visitor or the budget ended it.
    fn run(
        &mut self,
        position: &mut Position,
        client: &dyn Fn(Option<IpAddr>) -> bool,
        visit: &mut dyn FnMut(&LogRecord<'_>) -> bool,
    ) -> bool {
        let log = self.log;
        let Some(number) = log.order_of(position.page) else { return true };
        let Some(page) = log.pages.get(usize::from(number)).copied() else { return true };
        let end = position.word.min(page.words);
        *self.budget = self.budget.saturating_sub(PAGE_COST);
        let wanted = self.wanted(number, &page, client);
        position.word = end;
        if wanted.shapes == [0; 2] || wanted.clients == [0; 8] || self.is_outside(&page) {
            position.word = 0;
            return true;
        }
        let bytes = log.store.page(number);
        let (mut at, mut time) = (page.words, page.end);
        while let Some(last) = at.checked_sub(1) {
            let Some(view) = WordView::read(bytes, log.stride, last) else { break };
            at = view.first;
            let record_time = time;
            time -= view.delta;
            if last >= end {
                continue;
            }
            position.word = at;
            *self.budget = self.budget.saturating_sub(1);
            if self.takes(&wanted, &view, record_time) {
                let record = log.assemble(number, &page, position.page, last, &view, record_time);
                if record.is_some_and(|record| !visit(&record)) {
                    return false;
                }
            }
            if *self.budget == 0 {
                return at == 0;
            }
        }
        position.word = 0;
        true
    }

    /// Whether all records of a page are too old or too new. What has no time is wanted by no bound.
    fn is_outside(&self, page: &RecordPage) -> bool {
        self.filter.since.is_some_and(|since| page.most < since)
            || self.filter.until.is_some_and(|until| page.least > until)
    }

    fn wanted(
        &self,
        number: u16,
        page: &RecordPage,
        client: &dyn Fn(Option<IpAddr>) -> bool,
    ) -> PageSelection {
        let log = self.log;
        let mut wanted = PageSelection { shapes: [0; 2], clients: [0; 8] };
        for shape in 0..usize::from(page.shapes) {
            let Some(found) = log.shape(number, page, shape) else { continue };
            let [lone, responded] = self.filter.wants_shape(&found).map(|wants| u128::from(wants) << shape);
            let [lones, all] = &mut wanted.shapes;
            (*lones, *all) = (*lones | lone, *all | responded);
        }
        for number_in_page in 0..usize::from(page.clients) {
            let wants = client(log.client(number, page, number_in_page));
            if let Some(word) = wanted.clients.get_mut(number_in_page / 64) {
                *word |= u64::from(wants) << (number_in_page % 64);
            }
        }
        wanted
    }

    #[inline]
    fn takes(&mut self, wanted: &PageSelection, view: &WordView, time: i64) -> bool {
        let word = view.word;
        let bit = |bits: &[u64], number: usize| {
            bits.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        let [lone, responded] = wanted.shapes;
        if (lone | responded) >> word.shape() & 1 == 0
            || !bit(&wanted.clients, usize::from(word.client()))
            || !bit(self.outcomes, usize::from(word.code().0))
        {
            return false;
        }
        let Some(outcome) = view.outcome() else { return false };
        let shapes = if outcome.responded { responded } else { lone };
        shapes >> word.shape() & 1 == 1
            && (word.code() != Code::DETAILED || self.filter.wants_outcome(&outcome))
            && self.filter.wants_time((!view.is_timeless()).then_some(time))
            && self
                .filter
                .min_latency
                .is_none_or(|least| word.latency().microseconds().is_some_and(|it| it >= least))
            && (self.filter.names.is_empty() || self.takes_name(self.log.name_reference(word)))
    }

    #[inline]
    fn takes_name(&mut self, name: Option<Reference>) -> bool {
        let Some(Reference(reference)) = name else { return false };
        if let Some(known) =
            self.verdicts.0.get(reference as usize % VERDICTS).filter(|known| *known >> 1 == reference)
        {
            return known & 1 == 1;
        }
        let mut wants = self.filter.may_want_name(self.log.store.string(Reference(reference)));
        *self.budget = self.budget.saturating_sub(if wants { NAME_COST } else { BYTES_COST });
        if wants {
            wants = self.filter.wants_name(self.log.name(name));
        }
        if let Some(place) = self.verdicts.0.get_mut(reference as usize % VERDICTS) {
            *place = reference << 1 | u32::from(wants);
        }
        wants
    }
}

/// An address of 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

// Handles hold the words of the largest page.
const _: () = assert!(super::PAGE_BYTES_MAX / WORD_BYTES <= 1 << WORD_BITS);
