//! `/tables`: the JSON document.
//!
//! ```text
//! {"stream": null, "tables": {"tlds": {"hit/query": [["query/com", 8]], ...}, "domains": {...}, ...}}
//! ```
//!
//! With `detail=1` each table has a member of its name and `/detail` beside it: how far each number may be off, and
//! what the table counted beside the rows shown.
//!
//! ```text
//! "hit/ip": [["192.0.2.10", 119]], "hit/ip/detail": {"errors": [["192.0.2.10", 0]], "rest": 31}
//! ```
//!
//! A stream beyond those with tables of their own has `"not-kept": "limits.profile"` after `tables`: the limit that says so.
//!
//! Spaces stand where the reference has them.

use core::fmt::{self, Write};

use super::counters::write_scope;
use crate::decimal::write_decimal;
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, Escaping};
use crate::http::error::HttpError;
use crate::http::query::PercentEncoded;
use crate::limits::HTTP_COUNTER_BYTES;
use crate::statistics::StreamScope;
use crate::statistics::descriptors::{DOMAINS_AT, TABLES, TableDescriptor};
use crate::statistics::ranking::{RowPosition, Table, TableRow, TopRows};
use crate::statistics::tables::TRACKED_MAX;

/// All tables of one scope.
pub struct TableList<'a> {
    app: App<'a>,
    scope: StreamScope,
    /// Rows of a table.
    most: usize,
    detail: bool,
    /// The tables of domains, by number of what is tracked.
    domains: heapless::Vec<u8, TRACKED_MAX>,
    /// The table under way, in order of the answer.
    place: usize,
    step: TableStep,
    /// Rows of it that are written, and their sum.
    rows: usize,
    shown: u64,
    cursor: RowPosition,
}

/// The next item of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TableStep {
    Opening,
    Rows,
    Detail,
    Errors,
    Closing,
}

impl<'a> TableList<'a> {
    /// Nothing written yet: the default tables, and those in `more`.
    ///
    /// # Errors
    ///
    /// `more` is badly encoded or names a table that is not kept.
    pub fn new(
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
        for name in more.names::<HTTP_COUNTER_BYTES>() {
            let name = name.map_err(HttpError::More)?;
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
            cursor,
            place: 0,
            step: TableStep::Opening,
            rows: 0,
            shown: 0,
        })
    }

    /// The table at a place; the flag of tables of domains is among what is tracked.
    fn table(&self, place: usize) -> Option<(&'static str, &'static str, Table)> {
        let domains = self.domains.len();
        let fixed = |place| TABLES.get(place).copied();
        let descriptor = match place.checked_sub(DOMAINS_AT) {
            None => fixed(place),
            Some(number) if number < domains => {
                Some(TableDescriptor::domains(usize::from(*self.domains.get(number)?)))
            }
            Some(_) => {
                let has_countries = self.app.statistics.borrow().tables().has_countries();
                fixed(place - domains).filter(|descriptor| has_countries || !descriptor.is_of_countries())
            }
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

    /// Writes the rows that are left, as `[name, number]`, or their errors.
    fn write_rows(&mut self, table: Table, chunk: &mut BodyChunk<'_>) -> fmt::Result {
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
                chunk.whole(|out| write_row(out, separator, row, value))?;
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

fn write_row(out: &mut BodyChunk<'_>, separator: &str, row: &TableRow<'_>, value: u64) -> fmt::Result {
    out.write_str(separator)?;
    out.write_str("[\"")?;
    write!(Escaping(&mut *out), "{}", row.label)?;
    out.write_str("\", ")?;
    write_decimal(out, value)?;
    out.write_char(']')
}
