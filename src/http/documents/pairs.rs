//! `/pairs`: the names that a client asks for most, or the clients that ask for a name.
//!
//! ```text
//! {"client": "tv", "names": [["example.com.", 120], ...], "errors": [["example.com.", 0], ...], "rest": 311}
//! ```
//!
//! Nothing is kept for it: the log of exchanges has the answer. A first walk finds candidates by the
//! space-saving algorithm (Metwally, Agrawal and El Abbadi, 2005) in a table of [`HTTP_PAIRS`] rows; a second
//! one counts them, so that numbers are exact. If there are more different ones than rows, one that is not
//! among the candidates may have been there as often as one in [`HTTP_PAIRS`] of all exchanges: that is the
//! error of each row, and else it is 0. `rest` are exchanges of others.
//!
//! With `first-since` only those are told that were not there before. A walk takes as candidates the last
//! different ones since then, as many as there are rows; who is among the older exchanges is one no more. If
//! rows were too few, the next walk goes on where they were used up, at most [`WALKS`] times. The log has to
//! reach back farther than that moment to tell what is new from what is old.

use core::fmt::{self, Write};
use std::cell::RefCell;

use super::log::{milliseconds, write_name};
use super::log_filter::{FilterTexts, time};
use crate::decimal::write_address;
use crate::history::log::{Log, LogRecord, Position, SearchProgress};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, EscapingChunk};
use crate::http::error::HttpError;
use crate::http::query::Parameters;
use crate::limits::HTTP_PAIRS;
use crate::time::Time;

/// Candidates; made with the worker.
pub(crate) type PairCounts = heapless::Vec<PairCount, HTTP_PAIRS>;

/// A candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairCount {
    /// A hash in the upper 48 bits, and in the lower ones the word of a record that has it.
    hash: u64,
    /// The page of that record.
    page: u32,
    count: u32,
}

/// Names of a client, or clients of a name.
pub(crate) struct PairList<'a, 'r> {
    app: App<'a>,
    parameters: Parameters<'r>,
    side: Side,
    first: Option<FirstSeen>,
    counts: &'a RefCell<PairCounts>,
    step: PairStep,
    /// Where the walk is.
    position: Position,
    /// Exchanges of the subject.
    total: u64,
    /// Whether a candidate had to make room.
    has_lost: bool,
    rows: usize,
    row: usize,
    rest: u64,
}

/// The search for those that are there since a moment alone.
#[derive(Clone, Copy)]
struct FirstSeen {
    /// Milliseconds since 1970.
    since: i64,
    /// Rows that earlier walks left, `known <= HTTP_PAIRS`: they are new, and counted.
    known: usize,
    /// The last exchange before the rows were used up, where the next walk begins.
    resume: Option<Position>,
    walks: u8,
}

/// Walks at most: rows for some hundred names a walk are enough for a day of a busy client.
const WALKS: u8 = 16;

/// The given one of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PairStep {
    Finding,
    Counting,
    Opening,
    Rows,
    Errors,
}

/// Records looked at before other work has its turn.
const STEP_RECORDS: u32 = 8_000;
const HASH: u64 = !0xffff;

impl<'a, 'r> PairList<'a, 'r> {
    /// Nothing counted yet.
    ///
    /// # Errors
    ///
    /// A parameter is not understood.
    pub(crate) fn new(
        app: App<'a>,
        parameters: Parameters<'r>,
        counts: &'a RefCell<PairCounts>,
    ) -> Result<Self, HttpError> {
        let rows = match parameters.find("n") {
            None => 10,
            Some(rows) => {
                let rows = rows.decode::<8>().ok().and_then(|text| text.parse().ok());
                rows.filter(|rows| *rows <= HTTP_PAIRS).ok_or(HttpError::Filter("n"))?
            }
        };
        let side = match (parameters.find("client"), parameters.find("name")) {
            (Some(_), None) => Side::Client,
            (None, Some(_)) => Side::Name,
            _ => return Err(HttpError::OneSide),
        };
        FilterTexts::read(parameters)?;
        let since = time(parameters, "first-since", milliseconds(Time::now()))?;
        counts.borrow_mut().clear();
        Ok(PairList {
            app,
            parameters,
            side,
            first: since.map(|since| FirstSeen { since, known: 0, resume: None, walks: 1 }),
            counts,
            step: PairStep::Finding,
            position: Position::NEWEST,
            total: 0,
            has_lost: false,
            rows,
            row: 0,
            rest: 0,
        })
    }

    /// Walks on through the log; `false` if everything is counted.
    pub(crate) fn prepare(&mut self) -> bool {
        if !matches!(self.step, PairStep::Finding | PairStep::Counting) {
            return false;
        }
        if self.walk() {
            return true;
        }
        let mut counts = self.counts.borrow_mut();
        if let Some(first) = &mut self.first
            && let Some(position) = first.resume.take()
            && first.walks < WALKS
            && !counts.is_full()
        {
            (first.known, first.walks) = (counts.len(), first.walks + 1);
            self.position = position;
            return true;
        }
        self.position = Position::NEWEST;
        if self.step == PairStep::Finding && self.has_lost {
            counts.iter_mut().for_each(|row| row.count = 0);
            self.total = 0;
            self.step = PairStep::Counting;
            return true;
        }
        counts.sort_unstable_by_key(|row| core::cmp::Reverse((row.count, row.hash)));
        counts.truncate(self.rows);
        let told: u64 = counts.iter().map(|row| u64::from(row.count)).sum();
        self.rest = self.total.saturating_sub(told);
        self.step = PairStep::Opening;
        false
    }

    /// Looks at some records; `false` if there are no more.
    fn walk(&mut self) -> bool {
        let Some(history) = self.app.history() else { return false };
        let history = history.borrow();
        let Some(log) = history.log() else { return false };
        let Ok(texts) = FilterTexts::read(self.parameters) else { return false };
        let Ok(filter) =
            texts.filter(Parameters(if self.side == Side::Name { self.parameters.0 } else { "" }), 0)
        else {
            return false;
        };
        let client = |address| texts.wants_client(Some(&history), address);
        let mut counts = self.counts.borrow_mut();
        let (side, is_finding, oldest) = (self.side, self.step == PairStep::Finding, log.pairs_since());
        let (first, mut last) = (&mut self.first, self.position);
        let (total, has_lost) = (&mut self.total, &mut self.has_lost);
        let mut has_ended = false;
        let progress = log.search(&mut self.position, &filter, &client, STEP_RECORDS, &mut |record| {
            if record.position < oldest && first.is_none() {
                has_ended = true;
                return false;
            }
            let Some(hash) = hash(log, side, record) else { return true };
            let newer = core::mem::replace(&mut last, record.position);
            if let Some(first) = first {
                let is_old = record.time.is_none_or(|time| time < first.since);
                match counts.iter().position(|row| row.hash & HASH == hash) {
                    Some(row) if is_old && row >= first.known => {
                        let old = counts.swap_remove(row);
                        *total = total.saturating_sub(u64::from(old.count));
                        return true;
                    }
                    Some(row) if row < first.known => return true,
                    None if counts.is_full() && !is_old => {
                        first.resume.get_or_insert(newer);
                        return true;
                    }
                    None if is_old => return true,
                    _ => {}
                }
            }
            *total += 1;
            *has_lost |= count(&mut counts, hash, record.position, is_finding);
            true
        });
        progress == SearchProgress::More && !has_ended
    }

    /// Writes the rows that fit, with their counts or with their errors.
    fn fill_rows(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let Some(history) = self.app.history() else { return Ok(()) };
        let history = history.borrow();
        let Some(log) = history.log() else { return Ok(()) };
        let counts = self.counts.borrow();
        let error = if self.has_lost { self.total / HTTP_PAIRS as u64 } else { 0 };
        while let Some(row) = counts.get(self.row) {
            // Evicted since, it has no name any more.
            let record = log.record_at(Position::at(row.page, (row.hash & !HASH) as u16));
            let is_it = |record: &LogRecord<'_>| hash(log, self.side, record) == Some(row.hash & HASH);
            if let Some(record) = record.filter(is_it) {
                let number = if self.step == PairStep::Rows { u64::from(row.count) } else { error };
                let is_first = self.row == 0;
                chunk.whole(|out| {
                    out.write_str(if is_first { "[\"" } else { ", [\"" })?;
                    match (self.side, record.client) {
                        (Side::Client, _) => {
                            write_name(&mut EscapingChunk(&mut *out), record.name).map(drop)?
                        }
                        (Side::Name, Some(address)) => write_address(out, address)?,
                        (Side::Name, None) => {}
                    }
                    write!(out, "\", {number}]")
                })?;
            }
            self.row += 1;
        }
        Ok(())
    }
}

/// The hash of what is counted: the name, or the client.
fn hash(log: &Log, side: Side, record: &LogRecord<'_>) -> Option<u64> {
    let hash = match side {
        Side::Client => log.hash_name(record.name?),
        Side::Name => log.hash_client(record.client?),
    };
    Some(hash & HASH)
}

/// Counts one. `true` if a candidate had to make room for it, or would have had to.
fn count(counts: &mut PairCounts, hash: u64, position: Position, is_finding: bool) -> bool {
    if let Some(row) = counts.iter_mut().find(|row| row.hash & HASH == hash) {
        row.count += 1;
        return false;
    }
    if !is_finding {
        return false;
    }
    let (page, word) = position.parts();
    let new = PairCount { hash: hash | u64::from(word), page, count: 1 };
    if counts.push(new).is_ok() {
        return false;
    }
    if let Some(least) = counts.iter_mut().min_by_key(|row| row.count) {
        *least = PairCount { count: least.count + 1, ..new };
    }
    true
}

impl ChunkedDocument for PairList<'_, '_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let (given, listed) = match self.side {
            Side::Client => ("client", "names"),
            Side::Name => ("name", "clients"),
        };
        if self.step == PairStep::Opening {
            let subject = self.parameters.find(given).unwrap_or_default();
            chunk.whole(|out| {
                write!(out, "{{\"{given}\": \"")?;
                let subject = subject.decode::<{ super::log_filter::VALUE_BYTES }>().unwrap_or_default();
                EscapingChunk(&mut *out).write_str(&subject)?;
                write!(out, "\", \"{listed}\": [")
            })?;
            self.step = PairStep::Rows;
        }
        if self.step == PairStep::Rows {
            self.fill_rows(chunk)?;
            chunk.whole(|out| out.write_str("], \"errors\": ["))?;
            (self.step, self.row) = (PairStep::Errors, 0);
        }
        self.fill_rows(chunk)?;
        chunk.whole(|out| write!(out, "], \"rest\": {}}}", self.rest))
    }
}
