//! `/upstreams` and `/alarms`: the JSON documents.
//!
//! ```text
//! {"upstreams": [{"server": "192.0.2.53", "port": 53, "stream": "lb1", "queries": 8, ..., "latency-p99": 0.048}]}
//! {"alarms": [{"kind": "tunnel", "subject": "example.com.", "count": 4098, "first": "2020-09-16T18:51:53...", ...}]}
//! ```

use core::fmt::{self, Write};

use super::counters::write_string;
use crate::decimal::{write_decimal, write_millionths};
use crate::health::alarms::Alarm;
use crate::health::upstreams::Upstream;
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, EscapingChunk};
use crate::statistics::Statistics;
use crate::time::{Time, write_timestamp};

/// The servers that are asked.
pub(crate) struct UpstreamList<'a> {
    app: App<'a>,
    /// Opening and servers written.
    written: usize,
}

/// The last alarms, newest first.
pub(crate) struct AlarmList<'a> {
    app: App<'a>,
    /// Opening and alarms written.
    written: usize,
}

impl<'a> UpstreamList<'a> {
    /// Nothing written yet.
    pub(crate) fn new(app: App<'a>) -> Self {
        UpstreamList { app, written: 0 }
    }
}

impl<'a> AlarmList<'a> {
    /// Nothing written yet.
    pub(crate) fn new(app: App<'a>) -> Self {
        AlarmList { app, written: 0 }
    }
}

impl ChunkedDocument for UpstreamList<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let health = self.app.collector.health();
        let servers = health.iter().flat_map(|health| health.upstreams().iter());
        let statistics = self.app.statistics.borrow();
        let write = |server: &Upstream, out: &mut BodyChunk<'_>| write_upstream(server, &statistics, out);
        write_list("upstreams", servers, write, &mut self.written, chunk)
    }
}

impl ChunkedDocument for AlarmList<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let health = self.app.collector.health();
        let alarms = health.iter().flat_map(|health| health.alarms().iter());
        write_list("alarms", alarms, write_alarm, &mut self.written, chunk)
    }
}

/// Writes an object with one list, from where it was left.
fn write_list<T>(
    name: &str,
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut BodyChunk<'_>) -> fmt::Result,
    written: &mut usize,
    chunk: &mut BodyChunk<'_>,
) -> fmt::Result {
    if *written == 0 {
        chunk.whole(|out| write!(out, "{{\"{name}\": ["))?;
        *written = 1;
    }
    for item in items.skip(*written - 1) {
        let separator = if *written > 1 { ", " } else { "" };
        chunk.whole(|out| {
            out.write_str(separator)?;
            write(item, out)
        })?;
        *written += 1;
    }
    chunk.whole(|out| out.write_str("]}"))
}

fn write_upstream(server: &Upstream, statistics: &Statistics, out: &mut BodyChunk<'_>) -> fmt::Result {
    write!(out, "{{\"server\": \"{}\", \"port\": {}, \"stream\": ", server.address, server.port)?;
    write_string(out, statistics.stream_name(server.stream.into()))?;
    for (key, number) in [
        ("queries", server.queries),
        ("responses", server.responses),
        ("timeouts", server.timeouts.into()),
        ("servfail", server.servfail.into()),
        ("refused", server.refused.into()),
    ] {
        write!(out, ", \"{key}\": ")?;
        write_decimal(out, number)?;
    }
    for (key, percent) in [("latency-p50", 50), ("latency-p95", 95), ("latency-p99", 99)] {
        write!(out, ", \"{key}\": ")?;
        match server.percentile(percent) {
            Some(microseconds) => write_millionths(out, microseconds)?,
            None => out.write_str("null")?,
        }
    }
    out.write_char('}')
}

fn write_alarm(alarm: Alarm<'_>, out: &mut BodyChunk<'_>) -> fmt::Result {
    write!(out, "{{\"kind\": \"{}\", \"subject\": \"", alarm.kind)?;
    write!(EscapingChunk(&mut *out), "{}", alarm.subject)?;
    write!(out, "\", \"count\": {}", alarm.count)?;
    for (key, seconds) in [("first", alarm.first), ("last", alarm.last)] {
        write!(out, ", \"{key}\": \"")?;
        write_timestamp(out, Time { seconds, nanoseconds: 0 })?;
        out.write_char('"')?;
    }
    out.write_str(", \"text\": \"")?;
    write!(EscapingChunk(&mut *out), "{alarm}")?;
    out.write_str("\"}")
}
