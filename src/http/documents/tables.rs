//! `/tables`: the JSON document.
//!
//! ```text
//! {"stream": null, "tables": {"tlds": {"hit/query": [["query/com", 8]], ...}, "domains": {...}, ...}}
//! ```
//!
//! With `detail=1` each table has a member of its name and `/detail` beside it: how far each number may be
//! off, and what the table counted beside the rows shown.
//!
//! ```text
//! "hit/ip": [["192.0.2.10", 119]], "hit/ip/detail": {"errors": [["192.0.2.10", 0]], "rest": 31}
//! ```
//!
//! and the names of the devices that have one: `"hit/ip/names": [["192.0.2.10", "tv"]]`.
//!
//! With `more=hit/device`, or where that is tracked, `clients` has the devices by messages, each by its name
//! or an address.
//!
//! A stream beyond those with tables of their own has `"not-kept": "limits.profile"` after `tables`: the
//! limit that says so.
//!
//! Spaces stand where the reference has them.

use core::fmt::{self, Write};

use super::counters::write_scope;
use crate::decimal::{write_address, write_decimal};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, EscapingChunk};
use crate::http::error::HttpError;
use crate::http::query::PercentEncoded;
use crate::limits::HTTP_COUNTER_BYTES;
use crate::names::DeviceId;
use crate::statistics::StreamScope;
use crate::statistics::descriptors::{DEVICES, DEVICES_AT, DOMAINS_AT, TableDescriptor, tables};
use crate::statistics::ranking::{RowPosition, Table, TableRow, TopRows};
use crate::statistics::tables::TRACKED_MAX;

/// All tables of one scope.
pub(crate) struct TableList<'a> {
    app: App<'a>,
    scope: StreamScope,
    /// Rows of a table.
    most: usize,
    detail: bool,
    /// The tables of domains, by number of what is tracked.
    domains: heapless::Vec<u8, TRACKED_MAX>,
    /// Whether there is the table of devices.
    devices: bool,
    /// The table under way, in order of the answer.
    place: usize,
    step: TableStep,
    /// Rows of it that are written, and their sum.
    rows: usize,
    shown: u64,
    cursor: RowPosition,
    /// The device that was written last, and its number.
    device: Option<(u32, DeviceId)>,
    /// Names written.
    named: usize,
}

/// The next item of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TableStep {
    Opening,
    Rows,
    Detail,
    Errors,
    Closing,
    /// The names of devices, after the table of addresses.
    NamesOpening,
    Names,
}

impl<'a> TableList<'a> {
    /// Nothing written yet: the default tables, and those in `more`.
    ///
    /// # Errors
    ///
    /// `more` is badly encoded or names a table that is not kept.
    pub(crate) fn new(
        app: App<'a>,
        scope: StreamScope,
        most: usize,
        detail: bool,
        more: PercentEncoded<'_>,
    ) -> Result<Self, HttpError> {
        more.check_names::<HTTP_COUNTER_BYTES>().map_err(HttpError::More)?;
        let statistics = app.statistics.borrow();
        let tracked = statistics.tables().tracked();
        let mut domains = heapless::Vec::new();
        let defaults = (0..tracked.len()).take(app.settings.default_tables);
        for number in defaults {
            let _ = domains.push(number as u8); // fewer than TRACKED_MAX
        }
        let mut devices = app.settings.shows_devices && app.history().is_some();
        for name in more.names::<HTTP_COUNTER_BYTES>() {
            let name = name.map_err(HttpError::More)?;
            if &*name == DEVICES.flag && app.history().is_some() {
                devices = true;
                continue;
            }
            let number = tracked.iter().position(|table| table.is_meant(&name));
            let number = number.ok_or(HttpError::Untracked(app.settings.tracked))? as u8;
            if !domains.contains(&number) {
                let _ = domains.push(number);
            }
        }
        let cursor = RowPosition::default();
        Ok(TableList {
            app,
            scope,
            most,
            detail,
            domains,
            devices,
            cursor,
            device: None,
            named: 0,
            place: 0,
            step: TableStep::Opening,
            rows: 0,
            shown: 0,
        })
    }

    /// The table at a place; the flag of tables of domains is among what is tracked.
    fn table(&self, place: usize) -> Option<(&'static str, &'static str, Table)> {
        let domains = self.domains.len();
        let statistics = self.app.statistics.borrow();
        let kept = |place: usize| tables().filter(|each| statistics.tables().keeps(each.table)).nth(place);
        let fixed = |place: usize| match place.checked_sub(DEVICES_AT) {
            Some(0) if self.devices => Some(DEVICES),
            Some(_) if self.devices => kept(place - 1),
            _ => kept(place),
        };
        let descriptor = match place.checked_sub(DOMAINS_AT) {
            None => fixed(place),
            Some(number) if number < domains => {
                Some(TableDescriptor::domains(usize::from(*self.domains.get(number)?)))
            }
            Some(_) => fixed(place - domains),
        }?;
        Some((descriptor.group, descriptor.flag, descriptor.table))
    }

    /// Writes the name of a table.
    fn write_flag(&self, out: &mut impl Write, flag: &str, table: Table) -> fmt::Result {
        let Table::Domains(number) = table else { return out.write_str(flag) };
        let statistics = self.app.statistics.borrow();
        out.write_str(statistics.tables().tracked().get(number).map_or("", |tracked| tracked.flag()))
    }

    /// Writes what is before the rows of a table.
    fn write_opening(&self, group: &str, flag: &str, table: Table, out: &mut BodyChunk<'_>) -> fmt::Result {
        let before = self.place.checked_sub(1).and_then(|place| self.table(place)).map(|(group, ..)| group);
        match before {
            None => {
                out.write_str("{\"stream\": ")?;
                write_scope(&self.app, self.scope, out)?;
                out.write_str(", \"tables\": {")?;
                self.write_group(group, out)?;
            }
            Some(before) if before == group => out.write_str(", ")?,
            Some(_) => {
                out.write_str("}, ")?;
                self.write_group(group, out)?;
            }
        }
        out.write_char('"')?;
        self.write_flag(out, flag, table)?;
        out.write_str("\": [")
    }

    /// Writes the name of a group, and of those before it that are empty.
    fn write_group(&self, group: &str, out: &mut BodyChunk<'_>) -> fmt::Result {
        if group == "clients" && self.domains.is_empty() {
            out.write_str("\"domains\": {}, ")?;
        }
        write!(out, "\"{group}\": {{")
    }

    /// Writes the devices that are left, or their errors.
    fn write_devices(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let Some(history) = self.app.history() else { return Ok(()) };
        let mut history = history.borrow_mut();
        let devices = history.devices_mut();
        devices.clear_sums();
        let statistics = self.app.statistics.borrow();
        statistics.each_client(self.scope, |address, numbers| devices.add_up(address, numbers));
        while self.rows < self.most
            && let Some((id, device)) = devices.next_by_sum(self.device)
        {
            let [number, error] = device.sums();
            let value = u64::from(if self.step == TableStep::Rows { number } else { error });
            chunk.whole(|out| {
                out.write_str(if self.rows > 0 { ", [\"" } else { "[\"" })?;
                match (device.name(), devices.any_address(id)) {
                    (Some(name), _) => write_escaped_name(out, name)?,
                    (None, Some(address)) => write_address(out, address)?,
                    (None, None) => out.write_char('-')?,
                }
                out.write_str("\", ")?;
                write_decimal(out, value)?;
                out.write_char(']')
            })?;
            self.device = Some((number, id));
            self.rows += 1;
            self.shown = self.shown.saturating_add(if self.step == TableStep::Rows { value } else { 0 });
        }
        Ok(())
    }

    /// Writes the name of the device of a row, if it has one; whether it has.
    fn write_device_name(&self, row: &TableRow<'_>, chunk: &mut BodyChunk<'_>) -> Result<bool, fmt::Error> {
        let Some(history) = self.app.history() else { return Ok(false) };
        let history = history.borrow();
        let Some(name) = history.name(row.label.address()) else { return Ok(false) };
        chunk.whole(|out| {
            out.write_str(if self.named > 0 { ", [\"" } else { "[\"" })?;
            write!(out, "{}", row.label)?;
            out.write_str("\", \"")?;
            write_escaped_name(out, name)?;
            out.write_str("\"]")
        })?;
        Ok(true)
    }

    /// Writes the rows that are left, as `[name, number]`, or their errors, or the names of their devices.
    fn write_rows(&mut self, table: Table, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if matches!(table, Table::Devices) {
            return self.write_devices(chunk);
        }
        let statistics = self.app.statistics.borrow();
        while self.rows < self.most {
            let cursor = self.cursor.clone();
            let mut best = TopRows::new(self.most - self.rows, &cursor);
            statistics.rank(self.scope, table, &mut best);
            if best.rows().is_empty() {
                break;
            }
            for row in best.rows() {
                let value = if self.step == TableStep::Rows { row.number } else { row.error };
                let separator = if self.rows > 0 { ", " } else { "" };
                if self.step == TableStep::Names {
                    self.named += usize::from(self.write_device_name(row, chunk)?);
                } else {
                    chunk.whole(|out| write_row(out, separator, row, value))?;
                }
                self.cursor.pass(row);
                self.rows += 1;
                self.shown = self.shown.saturating_add(if self.step == TableStep::Rows { value } else { 0 });
            }
        }
        Ok(())
    }

    /// Goes on to another step, from the first row again.
    fn go_on(&mut self, step: TableStep) {
        self.step = step;
        self.rows = 0;
        self.named = 0;
        self.device = None;
        self.cursor = RowPosition::default();
    }

    /// Writes one table, from where it was left.
    fn write_table(
        &mut self,
        chunk: &mut BodyChunk<'_>,
        group: &str,
        flag: &str,
        table: Table,
    ) -> fmt::Result {
        loop {
            match self.step {
                TableStep::Opening => {
                    chunk.whole(|out| self.write_opening(group, flag, table, out))?;
                    self.shown = 0;
                    self.go_on(TableStep::Rows);
                }
                TableStep::Rows => {
                    self.write_rows(table, chunk)?;
                    chunk.whole(|out| out.write_char(']'))?;
                    self.go_on(if self.detail { TableStep::Detail } else { TableStep::Opening });
                    if !self.detail {
                        return Ok(());
                    }
                }
                TableStep::Detail => {
                    chunk.whole(|out| {
                        out.write_str(", \"")?;
                        self.write_flag(out, flag, table)?;
                        out.write_str("/detail\": {\"errors\": [")
                    })?;
                    self.go_on(TableStep::Errors);
                }
                TableStep::Errors => {
                    self.write_rows(table, chunk)?;
                    self.step = TableStep::Closing;
                }
                TableStep::Closing => {
                    let total = self.app.statistics.borrow().total(self.scope, table);
                    chunk.whole(|out| {
                        out.write_str("], \"rest\": ")?;
                        write_decimal(out, total.saturating_sub(self.shown))?;
                        out.write_char('}')
                    })?;
                    if matches!(table, Table::ClientHits) {
                        self.go_on(TableStep::NamesOpening);
                        continue;
                    }
                    self.go_on(TableStep::Opening);
                    return Ok(());
                }
                TableStep::NamesOpening => {
                    chunk.whole(|out| {
                        out.write_str(", \"")?;
                        self.write_flag(out, flag, table)?;
                        out.write_str("/names\": [")
                    })?;
                    self.go_on(TableStep::Names);
                }
                TableStep::Names => {
                    self.write_rows(table, chunk)?;
                    chunk.whole(|out| out.write_char(']'))?;
                    self.go_on(TableStep::Opening);
                    return Ok(());
                }
            }
        }
    }
}

impl ChunkedDocument for TableList<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        while let Some((group, flag, table)) = self.table(self.place) {
            self.write_table(chunk, group, flag, table)?;
            self.place += 1;
        }
        let is_kept = self.app.statistics.borrow().lacks_tables(self.scope).is_none();
        chunk.whole(|out| out.write_str(if is_kept { "}}}" } else { NOT_KEPT }))
    }
}

/// The end of the answer for a stream without tables of domains, clients and countries of its own.
const NOT_KEPT: &str = "}}, \"not-kept\": \"limits.profile\"}";

fn write_escaped_name(out: &mut BodyChunk<'_>, name: &str) -> fmt::Result {
    write!(EscapingChunk(&mut *out), "{name}")
}

fn write_row(out: &mut BodyChunk<'_>, separator: &str, row: &TableRow<'_>, value: u64) -> fmt::Result {
    out.write_str(separator)?;
    out.write_str("[\"")?;
    write!(EscapingChunk(&mut *out), "{}", row.label)?;
    out.write_str("\", ")?;
    write_decimal(out, value)?;
    out.write_char(']')
}
