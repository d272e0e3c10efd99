//! `/counters`: the JSON document.
//!
//! ```text
//! {"stream": null, "counters": {"clients": 1, "domains": 1}}
//! ```
//!
//! Spaces are where the reference has them.

use core::fmt::{self, Write};

use crate::decimal::{write_decimal, write_millionths};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, write_escaped};
use crate::http::query::{NameList, PercentEncoded};
use crate::limits::HTTP_COUNTER_BYTES;
use crate::statistics::streams::StreamId;
use crate::statistics::{CounterValue, StreamScope};

/// Counters of one scope: the default ones, then those the request asks for.
pub(crate) struct CounterList<'a, 'r> {
    app: App<'a>,
    scope: StreamScope,
    more: PercentEncoded<'r>,
    /// Members of the object written, its opening counted as one.
    written: usize,
    /// The default names written.
    defaults: usize,
    /// The other names that come next, and how many came before.
    rest: NameList<'r, HTTP_COUNTER_BYTES>,
    passed: usize,
}

impl<'a, 'r> CounterList<'a, 'r> {
    /// Nothing written yet; the names in `more` were checked.
    pub(crate) fn new(app: App<'a>, scope: StreamScope, more: PercentEncoded<'r>) -> Self {
        CounterList { app, scope, more, written: 0, defaults: 0, rest: more.names(), passed: 0 }
    }

    fn write_opening(&self, out: &mut BodyChunk<'_>) -> fmt::Result {
        out.write_str("{\"stream\": ")?;
        write_scope(&self.app, self.scope, out)?;
        out.write_str(", \"counters\": {")
    }

    fn write_member(&mut self, name: &str, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let value = self.app.statistics.borrow().value(self.scope, name);
        let separator = if self.written > 1 { ", " } else { "" };
        chunk.whole(|out| {
            out.write_str(separator)?;
            write_string(out, name)?;
            out.write_str(": ")?;
            match value {
                CounterValue::Count(count) => write_decimal(out, count),
                CounterValue::Millionths(millionths) => write_millionths(out, millionths),
            }
        })?;
        self.written += 1;
        Ok(())
    }

    /// Whether a name is before those in `rest`: an object must not have two members of one name.
    fn is_repeated(&self, name: &str) -> bool {
        let mut earlier = self.more.names::<HTTP_COUNTER_BYTES>().take(self.passed);
        self.app.settings.default_counters.iter().any(|default| default.as_str() == name)
            || earlier.any(|earlier| earlier.is_ok_and(|earlier| earlier == name))
    }
}

impl ChunkedDocument for CounterList<'_, '_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if self.written == 0 {
            chunk.whole(|out| self.write_opening(out))?;
            self.written = 1;
        }
        let settings = self.app.settings;
        while let Some(name) = settings.default_counters.get(self.defaults) {
            self.write_member(name.as_str(), chunk)?;
            self.defaults += 1;
        }
        let mut rest = self.rest.clone();
        while let Some(Ok(name)) = rest.next() {
            if !self.is_repeated(&name) {
                self.write_member(&name, chunk)?;
            }
            self.rest = rest.clone();
            self.passed += 1;
        }
        chunk.whole(|out| out.write_str("}}"))
    }
}

/// Writes the identity of a stream; null for all together.
pub(crate) fn write_scope(app: &App<'_>, scope: StreamScope, out: &mut impl Write) -> fmt::Result {
    match scope {
        StreamScope::Global => out.write_str("null"),
        StreamScope::Stream(id) => write_identity(app, id, out),
    }
}

fn write_identity(app: &App<'_>, id: StreamId, out: &mut impl Write) -> fmt::Result {
    let statistics = app.statistics.borrow();
    let identity = statistics.streams().find(|&(other, _)| other == id).map_or("", |(_, identity)| identity);
    write_string(out, identity)
}

pub(super) fn write_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    write_escaped(out, text)?;
    out.write_char('"')
}
