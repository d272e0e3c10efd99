//! `/log`: the last exchanges, newest first, as JSON, one JSON object a line, or CSV.
//!
//! ```text
//! {"log": [{"timestamp": "2026-11-03T10:02:41.207000+00:00", "identity": "router", ...}, ...], "next": "1a0003"}
//! ```
//!
//! `next` is where the following page begins, for the parameter `before`; `null` if there is none. Between
//! two chunks exchanges may come and go: what was not yet written and is evicted is missing, and nothing is
//! there twice.

use core::fmt::{self, Write};

use super::log_filter::FilterTexts;
use crate::decimal::{write_address, write_decimal, write_millionths};
use crate::history::History;
use crate::history::log::{LogRecord, LoggedAnswer, Position, SearchProgress, time_of};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, EscapingChunk};
use crate::http::error::HttpError;
use crate::http::query::Parameters;
use crate::limits::IDENTITY_BYTES;
use crate::time::{Time, write_timestamp};
use crate::wire::name::{Name, TEXT_MAX};
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// A page of the log.
pub(crate) struct LogPage<'a, 'r> {
    app: App<'a>,
    parameters: Parameters<'r>,
    form: LogForm,
    /// Milliseconds since 1970, for times before now.
    now: i64,
    position: Position,
    /// Records that may still be written; `None` if all may.
    left: Option<u32>,
    step: PageStep,
    is_first: bool,
    has_more: bool,
    /// Where the page ends, and the records that may come before that; of forms whose cursor is in the head.
    ahead: Option<(Position, u32)>,
}

/// A cursor as text.
pub(crate) type CursorText = heapless::String<16>;

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// One object.
    Json,
    /// An object a line.
    Ndjson,
    /// A header line, then a line a record.
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PageStep {
    Opening,
    Records,
    Closing,
}

/// Keys of a record, in their order.
pub(crate) const KEYS: [&str; 14] = [
    "timestamp",
    "identity",
    "qname",
    "rrtype",
    "query-ip",
    "message",
    "family",
    "protocol",
    "rcode",
    "latency",
    "device",
    "status",
    "ede",
    "answer",
];

/// Keys whose values are numbers in JSON.
const NUMBERS: [&str; 2] = ["latency", "ede"];

/// Records looked at before other work has its turn.
const STEP_RECORDS: u32 = 40_000;
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

impl<'a, 'r> LogPage<'a, 'r> {
    /// Nothing written yet.
    ///
    /// # Errors
    ///
    /// A parameter is not understood.
    pub(crate) fn new(app: App<'a>, parameters: Parameters<'r>) -> Result<Self, HttpError> {
        let form = match parameters.find("format").map(|format| format.decode::<8>()) {
            None => LogForm::Json,
            Some(Ok(format)) => match format.as_str() {
                "json" => LogForm::Json,
                "ndjson" => LogForm::Ndjson,
                "csv" => LogForm::Csv,
                _ => return Err(HttpError::Filter("format")),
            },
            Some(Err(_)) => return Err(HttpError::Filter("format")),
        };
        let least = if form == LogForm::Json { 1 } else { 0 };
        let limit = match parameters.find("limit") {
            None => LIMIT,
            Some(limit) => {
                let text = limit.decode::<8>().map_err(|_| HttpError::Filter("limit"))?;
                let limit = text.parse().ok().filter(|limit| (least..=LIMIT_MAX).contains(limit));
                limit.ok_or(HttpError::Filter("limit"))?
            }
        };
        let position = match parameters.find("before") {
            None => Position::NEWEST,
            Some(cursor) => {
                let text = cursor.decode::<64>().map_err(|_| HttpError::Filter("before"))?;
                // What follows is for live readers.
                let text = text.split('-').next().unwrap_or_default();
                let number = u64::from_str_radix(text, 16).ok();
                number.and_then(Position::of_number).ok_or(HttpError::Filter("before"))?
            }
        };
        let now = milliseconds(Time::now());
        // So that what is wrong is an error, not a page that ends early.
        FilterTexts::read(parameters)?.filter(parameters, now)?;
        Ok(LogPage {
            app,
            parameters,
            form,
            now,
            position,
            left: (limit > 0).then_some(limit),
            step: PageStep::Opening,
            is_first: true,
            has_more: true,
            ahead: (limit > 0 && form != LogForm::Json).then_some((position, limit)),
        })
    }

    /// Looks ahead for the end of the page; `false` if it is known.
    pub(crate) fn prepare(&mut self) -> bool {
        let Some((position, left)) = self.ahead.as_mut().filter(|(_, left)| *left > 0) else { return false };
        let Some(history) = self.app.history() else { return false };
        let history = history.borrow();
        let Some(log) = history.log() else { return false };
        let Ok(texts) = FilterTexts::read(self.parameters) else { return false };
        let Ok(filter) = texts.filter(self.parameters, self.now) else { return false };
        let client = |address| texts.wants_client(Some(&history), address);
        let progress = log.search(position, &filter, &client, STEP_RECORDS, &mut |_| {
            *left -= 1;
            *left > 0
        });
        if progress == SearchProgress::Done {
            self.ahead = None;
        }
        self.ahead.is_some_and(|(_, left)| left > 0)
    }

    /// The cursor of the page that follows; `None` if there is none, or it is in the body.
    pub(crate) fn next_cursor(&self) -> Option<CursorText> {
        let (position, _) = self.ahead?;
        let mut cursor = CursorText::new();
        write!(cursor, "{:x}", position.to_number()).ok()?;
        Some(cursor)
    }

    /// The content type.
    pub(crate) fn form(&self) -> LogForm {
        self.form
    }

    fn write_opening(&self, out: &mut BodyChunk<'_>) -> fmt::Result {
        match self.form {
            LogForm::Json => out.write_str("{\"log\": ["),
            LogForm::Ndjson => Ok(()),
            LogForm::Csv => {
                for (number, key) in KEYS.iter().enumerate() {
                    out.write_str(if number > 0 { "," } else { "" })?;
                    out.write_str(key)?;
                }
                out.write_str("\r\n")
            }
        }
    }

    /// Writes as many records as fit. `Ok` when there are no more to be written.
    fn fill_records(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let Some(history) = self.app.history() else { return Ok(()) };
        let history = history.borrow();
        let Some(log) = history.log() else { return Ok(()) };
        let Ok(texts) = FilterTexts::read(self.parameters) else { return Ok(()) };
        let Ok(filter) = texts.filter(self.parameters, self.now) else { return Ok(()) };
        let client = |address| texts.wants_client(Some(&history), address);
        let before = chunk.used();
        let end = self.ahead.map(|(position, _)| position);
        loop {
            if self.left == Some(0) {
                return Ok(());
            }
            let mut resume = self.position;
            let (mut is_full, mut is_over) = (false, false);
            let (form, left, is_first) = (self.form, &mut self.left, &mut self.is_first);
            let progress = log.search(&mut self.position, &filter, &client, STEP_RECORDS, &mut |record| {
                if end.is_some_and(|end| record.position < end) {
                    is_over = true;
                    return false;
                }
                let written = chunk.whole(|out| write_record(out, form, *is_first, &history, record));
                if written.is_err() {
                    is_full = true;
                    return false;
                }
                *is_first = false;
                resume = record.position;
                *left = left.map(|left| left - 1);
                *left != Some(0)
            });
            if is_full {
                self.position = resume;
                return Err(fmt::Error);
            }
            if progress == SearchProgress::Done || is_over {
                self.has_more = false;
                return Ok(());
            }
            if self.left != Some(0) && chunk.used() > before {
                return Err(fmt::Error);
            }
            // Nothing found in this step: blank space keeps the chunk from being empty, which would end the
            // answer.
            if self.left != Some(0) && self.form == LogForm::Json {
                chunk.whole(|out| out.write_char('\n'))?;
                return Err(fmt::Error);
            }
        }
    }

    fn write_closing(&self, out: &mut BodyChunk<'_>) -> fmt::Result {
        if self.form != LogForm::Json {
            return Ok(());
        }
        out.write_str("], \"next\": ")?;
        if self.has_more {
            write!(out, "\"{:x}\"}}", self.position.to_number())
        } else {
            out.write_str("null}")
        }
    }
}

impl ChunkedDocument for LogPage<'_, '_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if self.step == PageStep::Opening {
            chunk.whole(|out| self.write_opening(out))?;
            self.step = PageStep::Records;
        }
        if self.step == PageStep::Records {
            self.fill_records(chunk)?;
            self.step = PageStep::Closing;
        }
        chunk.whole(|out| self.write_closing(out))
    }
}

/// Writes one record with what stands before or after it.
fn write_record(
    out: &mut BodyChunk<'_>,
    form: LogForm,
    is_first: bool,
    history: &History,
    record: &LogRecord<'_>,
) -> fmt::Result {
    match form {
        LogForm::Json => out.write_str(if is_first { "" } else { ", " })?,
        LogForm::Ndjson | LogForm::Csv => {}
    }
    match form {
        LogForm::Json => write_json(out, history, record),
        LogForm::Ndjson => {
            write_json(out, history, record)?;
            out.write_char('\n')
        }
        LogForm::Csv => write_csv(out, history, record),
    }
}

/// Writes a record as an object.
pub(crate) fn write_json(out: &mut BodyChunk<'_>, history: &History, record: &LogRecord<'_>) -> fmt::Result {
    for (number, key) in KEYS.iter().enumerate() {
        out.write_str(if number > 0 { ", \"" } else { "{\"" })?;
        out.write_str(key)?;
        out.write_str("\": ")?;
        let before = out.used();
        if NUMBERS.contains(key) && write_value(out, key, history, record)? {
            continue;
        }
        debug_assert!(out.used() == before);
        out.write_char('"')?;
        if NUMBERS.contains(key) || !write_value(&mut EscapingChunk(&mut *out), key, history, record)? {
            out.write_char('-')?;
        }
        out.write_char('"')?;
    }
    out.write_char('}')
}

fn write_csv(out: &mut BodyChunk<'_>, history: &History, record: &LogRecord<'_>) -> fmt::Result {
    for (number, key) in KEYS.iter().enumerate() {
        out.write_str(if number > 0 { "," } else { "" })?;
        let mut field = heapless::String::<{ TEXT_MAX + 64 }>::new();
        if !write_value(&mut field, key, history, record)? {
            field.write_char('-')?;
        }
        // A field that begins like a formula is one to a spreadsheet, unless an apostrophe is before it.
        let is_formula = field.len() > 1 && field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let is_quoted = field.contains([',', '"', '\r', '\n', ' ']) || is_formula;
        if !is_quoted {
            out.write_str(&field)?;
            continue;
        }
        out.write_str(if is_formula { "\"'" } else { "\"" })?;
        for part in field.split_inclusive('"') {
            out.write_str(part)?;
            out.write_str(if part.ends_with('"') { "\"" } else { "" })?;
        }
        out.write_char('"')?;
    }
    out.write_str("\r\n")
}

/// Writes a value as text; `false` if it is missing, and then nothing was written.
fn write_value<W: Write>(
    out: &mut W,
    key: &str,
    history: &History,
    record: &LogRecord<'_>,
) -> Result<bool, fmt::Error> {
    let mut plain = heapless::String::<64>::new();
    match key {
        "timestamp" => {
            let Some(time) = record.time.and_then(time_of) else { return Ok(false) };
            write_timestamp(&mut plain, time)?;
        }
        "identity" if record.identity.is_empty() => return Ok(false),
        "identity" => {
            let mut room = [0; IDENTITY_BYTES * TEXT_PER_BYTE];
            let length = write_label_text(record.identity, &mut room).unwrap_or(0);
            out.write_str(core::str::from_utf8(room.get(..length).unwrap_or_default()).unwrap_or_default())?;
        }
        "qname" => return write_name(out, record.name),
        "rrtype" => return write_some(out, record.qtype),
        "query-ip" => {
            let Some(address) = record.client else { return Ok(false) };
            write_address(&mut plain, address)?;
        }
        "message" => write!(out, "{}", record.message())?,
        "family" => return write_some(out, record.family),
        "protocol" => return write_some(out, record.protocol),
        "rcode" => return write_some(out, record.outcome.rcode.map(crate::wire::iana::Rcode)),
        "latency" => {
            let Some(microseconds) = record.latency.microseconds() else { return Ok(false) };
            write_millionths(&mut plain, microseconds)?;
        }
        "device" => return write_some(out, history.name(record.client)),
        "status" => out.write_str(record.outcome.status.label())?,
        "ede" => {
            let Some(ede) = record.outcome.ede else { return Ok(false) };
            write_decimal(&mut plain, u64::from(ede))?;
        }
        _ => match record.answer {
            LoggedAnswer::None => return Ok(false),
            LoggedAnswer::Address(address) => write_address(&mut plain, address)?,
            LoggedAnswer::Alias(name) => return write_name(out, Some(name)),
        },
    }
    out.write_str(&plain)?;
    Ok(true)
}

fn write_some(out: &mut impl Write, value: Option<impl fmt::Display>) -> Result<bool, fmt::Error> {
    let Some(value) = value else { return Ok(false) };
    write!(out, "{value}")?;
    Ok(true)
}

pub(super) fn write_name(out: &mut impl Write, name: Option<Name<'_>>) -> Result<bool, fmt::Error> {
    let Some(name) = name else { return Ok(false) };
    let mut room = [0; TEXT_MAX];
    let length = name.write_text(&mut room).ok_or(fmt::Error)?;
    out.write_str(core::str::from_utf8(room.get(..length).unwrap_or_default()).unwrap_or_default())?;
    Ok(true)
}

pub(super) fn milliseconds(time: Time) -> i64 {
    (time.seconds * 1_000) as i64 + i64::from(time.nanoseconds / 1_000_000)
}
