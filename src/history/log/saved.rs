//! Exchanges as they are saved, in the order in which they began, and back.
//!
//! ```text
//! | flags | shape | client | name | time | rcode? | ede? | latency | answer? |
//!    1       s       s        s      v      v       v       1         s
//!
//! s, a string: slot + 1 as v, or 0, length (1), bytes      v: 7 bits a byte, the lowest first
//! flags: status (3) | responded | rcode | ede | time | answer
//! ```
//!
//! A string that came before in the file is the slot of a table that writer and reader keep alike: a string
//! has the place that its hash says, in which the last one stays. Times are differences to the exchange
//! before.

use core::hash::BuildHasher;
use core::net::IpAddr;

use super::pages::pack_address;
use super::record::{self, LatencyClass, Outcome, Status};
use super::shape::{Shape, ShapeKey};
use super::{
    Exchange, Handle, IPV6_MARK, Log, LogRecord, LoggedAnswer, Position, WORD_BITS, get_word, time_of,
};
use crate::wire::name::Name;
use crate::wire::segment::{Input, Output};

/// The table of strings that writer and reader keep alike.
const SLOTS: usize = 1 << 10;

/// The state of a writer, for one file.
#[derive(Debug)]
pub(crate) struct ExchangeWriter {
    /// Hashes of the strings in the slots.
    slots: Box<[u64]>,
    time: i64,
    /// The place up to which exchanges were written.
    pub(crate) position: Position,
}

/// The state of a reader of one file: strings as places in it.
#[derive(Debug)]
pub(crate) struct ExchangeReader {
    slots: Vec<(usize, usize)>,
    time: i64,
}

/// Words looked at in one step.
const STEP_WORDS: u32 = 512;

impl ExchangeWriter {
    /// Bytes of a writer.
    pub(crate) const COST: usize = SLOTS * size_of::<u64>();

    /// A writer that begins at a place.
    pub(crate) fn new(position: Position) -> Self {
        ExchangeWriter { slots: crate::limits::table(SLOTS, 0), time: 0, position }
    }

    /// Begins another file.
    pub(crate) fn restart(&mut self, position: Position) {
        self.slots.fill(0);
        (self.time, self.position) = (0, position);
    }

    fn write_string(&mut self, string: &[u8], out: &mut Output<'_>) {
        let hash = hash(string);
        let slot = hash as usize % SLOTS;
        let Some(held) = self.slots.get_mut(slot) else { return };
        if *held == hash {
            return out.number(slot as u64 + 1);
        }
        *held = hash;
        out.number(0);
        out.string(string);
    }

    fn write(&mut self, record: &LogRecord<'_>, out: &mut Output<'_>) {
        let Outcome { status, rcode, ede, responded } = record.outcome;
        let status = if status == Status::Pending { Status::Unknown } else { status };
        let has_answer = record.answer != LoggedAnswer::None;
        let flags = [responded, rcode.is_some(), ede.is_some(), record.time.is_some(), has_answer];
        out.byte(flags.iter().fold(status as u8, |all, flag| all << 1 | u8::from(*flag)));
        let shape = Shape::of(record).key();
        let mut room = [0; ShapeKey::LONGEST];
        self.write_string(shape.compose(record.identity, &mut room), out);
        let mut room = [0; 16];
        self.write_string(pack_address(record.client, &mut room), out);
        self.write_string(record.name.map_or(&[][..], |name| name.wire_form()), out);
        if let Some(time) = record.time {
            out.signed(time.wrapping_sub(self.time));
            self.time = time;
        }
        [rcode, ede].into_iter().flatten().for_each(|number| out.number(u64::from(number)));
        out.byte(record.latency.0);
        match record.answer {
            LoggedAnswer::None => {}
            LoggedAnswer::Alias(name) => self.write_string(name.wire_form(), out),
            LoggedAnswer::Address(address) => {
                let mut string = [IPV6_MARK; 17];
                let [_, bytes @ ..] = &mut string;
                let length = pack_address(Some(address), bytes).len();
                self.write_string(string.get(..=length).unwrap_or_default(), out);
            }
        }
    }
}

impl ExchangeReader {
    /// A reader of one file.
    pub(crate) fn of_file() -> Self {
        ExchangeReader { slots: vec![(0, 0); SLOTS], time: 0 }
    }

    fn string<'i>(&mut self, input: &mut Input<'i>) -> Option<&'i [u8]> {
        match usize::try_from(input.number()?).ok()?.checked_sub(1) {
            Some(slot) => {
                let (start, end) = *self.slots.get(slot)?;
                input.whole().get(start..end)
            }
            None => {
                let string = input.string()?;
                let end = input.place();
                *self.slots.get_mut(hash(string) as usize % SLOTS)? = (end - string.len(), end);
                Some(string)
            }
        }
    }

    /// Reads an exchange, and has the log remember it. `None` if it is broken.
    pub(crate) fn read(&mut self, input: &mut Input<'_>, log: &mut Log) -> Option<()> {
        let flags = input.byte()?;
        let flag = |bit: u32| flags >> bit & 1 == 1;
        let status = *Status::ALL.get(usize::from(flags >> 5))?;
        let shape = self.string(input)?;
        let client = self.string(input)?;
        let name = self.string(input)?;
        let time = if flag(1) {
            self.time = self.time.wrapping_add(input.signed()?);
            Some(self.time)
        } else {
            None
        };
        let mut number =
            |is_there| if is_there { input.number().map(|it| Some(it as u16)) } else { Some(None) };
        let (rcode, ede) = (number(flag(3))?, number(flag(2))?);
        let latency = LatencyClass(input.byte()?);
        let answer = match if flag(0) { Some(self.string(input)?) } else { None } {
            None => LoggedAnswer::None,
            Some([IPV6_MARK, bytes @ ..]) => LoggedAnswer::Address(address(bytes)?),
            Some(name) => LoggedAnswer::Alias(Name::parse(name).ok()?.0),
        };
        let shape = Shape::parse(shape)?;
        let client = address(client);
        let name = if name.is_empty() { None } else { Some(Name::parse(name).ok()?.0) };
        log.append(&Exchange {
            time: time.and_then(time_of),
            identity: shape.identity,
            identity_hash: log.hasher.hash_one(shape.identity),
            stream: 0,
            client,
            client_hash: log.hasher.hash_one(client),
            name,
            name_hash: name.map_or(0, |name| log.hash_name(name)),
            qtype: shape.qtype,
            message: shape.message,
            family: shape.family,
            protocol: shape.protocol,
            outcome: Outcome { status, rcode, ede, responded: flag(4) },
            latency,
            answer,
        });
        Some(())
    }
}

impl Log {
    /// Writes exchanges from the writer's place on, as many as there is room for. `false` if there are no
    /// more for now: the first that waits for its response ends it, unless `all` are to be written.
    pub(crate) fn write_saved(&self, writer: &mut ExchangeWriter, all: bool, out: &mut Output<'_>) -> bool {
        let (mut page, mut word) = writer.position.parts();
        if page < self.oldest {
            (page, word) = (self.oldest, 0);
        }
        for _ in 0..STEP_WORDS {
            let words = self.order_of(page).and_then(|number| self.pages.get(usize::from(number)));
            if word >= words.map_or(0, |page| page.words) {
                writer.position = Position::at(page, word);
                if page >= self.open.sequence {
                    return false;
                }
                (page, word) = (page + 1, 0);
                continue;
            }
            if !out.has_room() {
                return true;
            }
            let number = self.order_of(page).unwrap_or_default();
            let is_record = get_word(self.store.page(number), self.stride, word)
                .is_some_and(|word| word.shape() != record::EXTENSION);
            let handle = Handle(page << WORD_BITS | u32::from(word));
            if let Some(record) = self.record(handle).filter(|_| is_record) {
                if record.outcome.status == Status::Pending && !all {
                    return false;
                }
                out.byte(crate::wire::segment::EXCHANGE);
                writer.write(&record, out);
            }
            word += 1;
            if is_record {
                writer.position = Position::at(page, word);
            }
        }
        true
    }

    /// The place after the newest exchange.
    pub(crate) fn end(&self) -> Position {
        let page = self.pages.get(usize::from(self.open.page));
        Position::at(self.open.sequence, page.map_or(0, |page| page.words))
    }

    /// Exchanges up to a place are saved.
    pub(crate) fn set_saved(&mut self, position: Position) {
        self.saved = Some(position);
    }

    /// The place up to which exchanges are saved; `None` if none ever are.
    pub(crate) fn saved(&self) -> Option<Position> {
        self.saved
    }

    /// Exchanges that had to go before they were saved.
    pub(crate) fn unsaved(&self) -> u64 {
        self.unsaved
    }

    /// The log holds what was there before the start.
    pub(crate) fn end_loading(&mut self) {
        self.evicted = 0;
        self.over_first = self.over;
        self.saved = Some(self.end());
        self.unsaved = 0;
    }

    /// Whether all exchanges of a page have gone.
    pub(crate) fn has_gone(&self, page: u32) -> bool {
        page < self.oldest
    }

    /// Counts those of the open page.
    pub(super) fn count_unsaved_open(&mut self) {
        if let Some(page) = self.pages.get(usize::from(self.open.page)).copied() {
            self.count_unsaved(self.open.sequence, page.words, page.records);
        }
    }

    /// Counts the exchanges of a page that goes, as far as they are not saved.
    pub(super) fn count_unsaved(&mut self, sequence: u32, words: u16, records: u16) {
        let Some((page, word)) = self.saved.map(Position::parts) else { return };
        if sequence >= page {
            let rest = if sequence == page { words.saturating_sub(word) } else { words };
            self.unsaved += u64::from(records.min(rest));
        }
    }
}

/// FNV-1a, the same on all machines.
fn hash(string: &[u8]) -> u64 {
    string
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}
