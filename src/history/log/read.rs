//! Reading the log: back from the newest record, past what a filter does not want.
//!
//! A page is looked at as a whole first: its span of time, and which of its shapes and clients the filter wants. Where none
//! is, the page is passed over. In the others a record is mostly judged by three bits: is its shape wanted, its client, its
//! outcome. Only the name has to be looked at; what was found is remembered, since few names make up most of the traffic.
//!
//! A reader takes as many steps as it likes, and other work goes on between them: its [`Position`] is a page and a word, which
//! stay what they are until the page is evicted.

use core::net::IpAddr;

use super::record::{Code, Extension, LatencyClass, Outcome, Status, Word};
use super::store::Reference;
use super::{
    Handle, IPV6_MARK, Log, LoggedAnswer, RecordPage, ShapeKey, WORD_BITS, WORD_BYTES, get_answer, get_word,
};
use crate::limits::IDENTITY_BYTES;
use crate::wire::iana::{Family, MessageType, Protocol, Rcode, RrType};
use crate::wire::name::{Name, TEXT_MAX};
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// An exchange as it is in the log.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// Where it is.
    pub position: Position,
    /// Milliseconds since 1970.
    pub time: Option<i64>,
    /// First bytes of the sender's identity; empty if it sent none.
    pub identity: &'a [u8],
    /// Place of the stream.
    pub stream: u16,
    /// The query address.
    pub client: Option<IpAddr>,
    /// The first question.
    pub name: Option<Name<'a>>,
    /// Its type.
    pub qtype: Option<RrType>,
    /// Side and direction of the message that the exchange began with.
    pub query_message: MessageType,
    /// Address family.
    pub family: Option<Family>,
    /// Transport.
    pub protocol: Option<Protocol>,
    /// How it ended.
    pub outcome: Outcome,
    /// From query to response.
    pub latency: LatencyClass,
    /// The first answer.
    pub answer: LoggedAnswer<'a>,
}

impl LogRecord<'_> {
    /// Side and direction: those of the response if there is one, which is the query's plus 1.
    pub fn message(&self) -> MessageType {
        message(self.query_message, self.outcome.responded)
    }
}

fn message(query: MessageType, responded: bool) -> MessageType {
    if responded && !query.is_response() { MessageType(query.0.wrapping_add(1)) } else { query }
}

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    page: u32,
    word: u16,
}

impl Position {
    /// After the newest record.
    pub const NEWEST: Position = Position { page: u32::MAX, word: u16::MAX };

    /// The position as a number, larger for newer ones.
    pub fn to_number(self) -> u64 {
        u64::from(self.page) << 16 | u64::from(self.word)
    }

    /// The position of a number.
    pub fn of_number(number: u64) -> Option<Position> {
        Some(Position { page: u32::try_from(number >> 16).ok()?, word: number as u16 })
    }
}

/// How far a step of a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchProgress {
    /// There are older records.
    More,
    /// All were looked at.
    Done,
}

/// The most values of one kind in a filter.
pub const FILTER_VALUES: usize = 16;

/// The conditions of a search. Empty lists want everything; of a list, any value will do.
#[derive(Clone, Debug, Default)]
pub struct LogFilter<'f> {
    /// Names as text, in lower case and without final dot; `*` is any run of characters.
    pub names: heapless::Vec<&'f [u8], FILTER_VALUES>,
    /// Types of questions.
    pub types: heapless::Vec<RrType, FILTER_VALUES>,
    /// Rcodes.
    pub rcodes: heapless::Vec<Rcode, FILTER_VALUES>,
    /// Sides, or sides and directions.
    pub messages: heapless::Vec<MessageTerm, FILTER_VALUES>,
    /// Identities as people read them.
    pub identities: heapless::Vec<&'f [u8], FILTER_VALUES>,
    /// Statuses.
    pub statuses: heapless::Vec<Status, FILTER_VALUES>,
    /// Transports.
    pub protocols: heapless::Vec<Protocol, FILTER_VALUES>,
    /// The least latency in microseconds.
    pub min_latency: Option<u64>,
    /// Milliseconds since 1970: not before.
    pub since: Option<i64>,
    /// Milliseconds since 1970: not after.
    pub until: Option<i64>,
}

/// A side, such as CLIENT, or a side and direction, such as CLIENT_RESPONSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTerm {
    /// Both directions of a side.
    Kind(u32),
    /// One.
    Message(MessageType),
}

impl MessageTerm {
    /// Reads `CLIENT` or `CLIENT_RESPONSE`, in any case.
    pub fn parse(text: &str) -> Option<MessageTerm> {
        let side = |message: &&MessageType| {
            let name = message.mnemonic().and_then(|name| name.strip_suffix("_QUERY"));
            name.is_some_and(|name| name.eq_ignore_ascii_case(text))
        };
        let side = MessageType::ALL.iter().find(side).map(|message| MessageTerm::Kind(message.kind()));
        side.or_else(|| MessageType::from_mnemonic(text).map(MessageTerm::Message))
    }

    fn wants(self, message: MessageType) -> bool {
        match self {
            MessageTerm::Kind(kind) => message.kind() == kind,
            MessageTerm::Message(wanted) => message == wanted,
        }
    }
}

/// Whether a list wants a value.
fn wants<T: PartialEq, const N: usize>(list: &heapless::Vec<T, N>, value: Option<T>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.contains(&value))
}

impl LogFilter<'_> {
    fn wants_outcome(&self, outcome: &Outcome) -> bool {
        wants(&self.statuses, Some(outcome.status)) && wants(&self.rcodes, outcome.rcode.map(Rcode))
    }

    /// Whether it wants a shape, once for exchanges without a response and once for those with.
    fn wants_shape(&self, shape: &Shape<'_>) -> [bool; 2] {
        let common = wants(&self.types, shape.qtype)
            && wants(&self.protocols, shape.protocol)
            && (self.identities.is_empty() || self.wants_identity(shape.identity));
        [false, true].map(|responded| {
            let message = message(shape.message, responded);
            common && (self.messages.is_empty() || self.messages.iter().any(|term| term.wants(message)))
        })
    }

    fn wants_identity(&self, identity: &[u8]) -> bool {
        let mut room = [0; IDENTITY_BYTES * TEXT_PER_BYTE];
        let identity = if identity.is_empty() { b"-" } else { identity };
        let text = write_label_text(identity, &mut room).and_then(|length| room.get(..length));
        text.is_some_and(|text| self.identities.contains(&text))
    }

    fn wants_name(&self, name: Option<Name<'_>>) -> bool {
        let Some(name) = name else { return self.names.is_empty() };
        let mut room = [0; TEXT_MAX];
        let text = name.write_text(&mut room).and_then(|length| room.get_mut(..length)).unwrap_or_default();
        text.make_ascii_lowercase();
        let text = text.strip_suffix(b".").unwrap_or(text);
        self.names.is_empty() || self.names.iter().any(|pattern| is_at_or_below(pattern, text))
    }

    fn wants_time(&self, time: Option<i64>) -> bool {
        let bound = |bound: Option<i64>, fits: fn(i64, i64) -> bool| {
            bound.is_none_or(|bound| time.is_some_and(|time| fits(time, bound)))
        };
        bound(self.since, |time, since| time >= since) && bound(self.until, |time, until| time <= until)
    }

    /// Whether it wants a record, by all but the client. Searches come to the same result by shorter ways.
    pub fn wants(&self, record: &LogRecord<'_>) -> bool {
        let shape = Shape {
            stream: record.stream,
            identity: record.identity,
            qtype: record.qtype,
            message: record.query_message,
            family: record.family,
            protocol: record.protocol,
        };
        let [lone, responded] = self.wants_shape(&shape);
        (if record.outcome.responded { responded } else { lone })
            && self.wants_outcome(&record.outcome)
            && self
                .min_latency
                .is_none_or(|least| record.latency.microseconds().is_some_and(|it| it >= least))
            && self.wants_time(record.time)
            && self.wants_name(record.name)
    }
}

/// Whether a name is the one of a pattern or below it. All are below the root, whose text is empty here.
fn is_at_or_below(pattern: &[u8], text: &[u8]) -> bool {
    let Some(last) = pattern.last() else { return true };
    // Most names end in another way, which is seen at once.
    if *last != b'*' && text.last() != Some(last) {
        return false;
    }
    if !pattern.contains(&b'*') {
        return text.strip_suffix(pattern).is_some_and(|before| before.is_empty() || ends_in_dot(before));
    }
    let dots =
        text.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| text.split_at(at + 1));
    let below = dots.filter(|(before, _)| ends_in_dot(before)).map(|(_, name)| name);
    core::iter::once(text).chain(below).any(|text| matches(pattern, text))
}

/// Whether a text ends with a dot between labels: one that no backslash escapes.
fn ends_in_dot(text: &[u8]) -> bool {
    let Some(rest) = text.strip_suffix(b".") else { return false };
    rest.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

/// Whether a text is what a pattern says, where `*` stands for any run of bytes.
///
/// Only the last star needs to be gone back to: what an earlier one could take, a later one can take as well.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((byte, after))) if wanted == byte => (pattern, text) = (rest, after),
            (None, None) => return true,
            _ => match star {
                Some((rest, [_, after @ ..])) => {
                    star = Some((rest, after));
                    (pattern, text) = (rest, after);
                }
                _ => return false,
            },
        }
    }
}

/// The fields that records of a page share.
struct Shape<'a> {
    stream: u16,
    identity: &'a [u8],
    qtype: Option<RrType>,
    message: MessageType,
    family: Option<Family>,
    protocol: Option<Protocol>,
}

impl<'a> Shape<'a> {
    /// Reads what [`ShapeKey::compose`] wrote.
    fn parse(string: &'a [u8]) -> Option<Shape<'a>> {
        let (head, identity) = string.split_first_chunk::<{ ShapeKey::BYTES }>()?;
        let [flags, low, high, numbers @ ..] = head;
        let mut numbers = numbers.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number));
        let flag = |bit: u32| flags >> bit & 1 == 1;
        let (qtype, message, family, protocol) =
            (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
        Some(Shape {
            stream: u16::from_le_bytes([*low, *high]),
            identity,
            qtype: flag(2).then_some(RrType(qtype as u16)),
            message: MessageType(message),
            family: flag(1).then_some(Family(family)),
            protocol: flag(0).then_some(Protocol(protocol)),
        })
    }
}

/// The wishes of a filter for one page: bits by number.
struct Wanted {
    /// Shapes of exchanges without a response, and with.
    shapes: [u128; 2],
    clients: [u64; 8],
}

/// Names that were looked at: the reference, and in the lowest bit whether the filter wants it.
struct Verdicts([u32; 512]);

/// Cost of a page, and of a name that is looked at, in records.
const PAGE_COST: u32 = 64;
const NAME_COST: u32 = 16;

impl Log {
    /// Looks for records before `position`, newest first, until the budget is used up, the visitor returns `false`, or there are no
    /// older ones. The budget counts records; a thousand take 5 to 50 microseconds of a PC. The position is where to go on.
    ///
    /// `client` says whether an address is wanted.
    pub fn search(
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
        let mut verdicts = Verdicts([0; 512]);
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
            None => self.open.shapes.get(entry).map_or(0, |(_, reference)| *reference),
            Some(client) => self.open.clients.get(client).copied().unwrap_or(0),
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

    fn wanted(&self, number: u16, page: &RecordPage, client: &dyn Fn(Option<IpAddr>) -> bool) -> Wanted {
        let log = self.log;
        let mut wanted = Wanted { shapes: [0; 2], clients: [0; 8] };
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
    fn takes(&mut self, wanted: &Wanted, view: &WordView, time: i64) -> bool {
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
            self.verdicts.0.get(reference as usize % 512).filter(|known| *known >> 1 == reference)
        {
            return known & 1 == 1;
        }
        *self.budget = self.budget.saturating_sub(NAME_COST);
        let wants = self.filter.wants_name(self.log.name(name));
        if let Some(place) = self.verdicts.0.get_mut(reference as usize % 512) {
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
