//! The Prometheus text format, version 0.0.4: heading of a family, its samples, the next family.
//!
//! ```text
//! # HELP dnstap_queries Queries.
//! # TYPE dnstap_queries counter
//! dnstap_queries 4
//! dnstap_queries{identity="lb1"} 4
//! ```
//!
//! A family without samples has no heading either.
//!
//! Between two pieces of the answer the statistics go on. A stream that appears in the meantime is in the
//! families that come after; none ever disappears. What must agree with each other is read together: the
//! buckets, sum and count of one histogram, and all counters of inputs and outputs, so that each frame is in
//! exactly one of them.

use core::cell::RefCell;
use core::fmt::{self, Write};

use super::metrics::{BUILD, Metric, MetricSource, families};
use crate::build::features;
use crate::decimal::{Ascii, write_decimal, write_padded};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument, write_escaped};
use crate::http::query::PercentEncoded;
use crate::limits::{HTTP_COUNTER_BYTES, HTTP_SNAPSHOT_COUNTERS};
use crate::metric::Samples;
use crate::names::Devices;
use crate::statistics::counter_name::CounterName;
use crate::statistics::counters::LATENCY_BOUNDS;
use crate::statistics::descriptors::{DEVICES, TableDescriptor, tables};
use crate::statistics::ranking::{RowPosition, Table, TopRows};
use crate::statistics::{CounterValue, Statistics, StreamScope};
use crate::time::Time;
use crate::wire::iana::{MessageType, Protocol};
use crate::wire::name::TEXT_MAX;

/// Content type of the answer.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Values of one instant, in the order of their samples.
pub(crate) type Snapshot = heapless::Vec<u64, HTTP_SNAPSHOT_COUNTERS>;

/// All families, and how far they were written.
pub(crate) struct Exposition<'a, 'r> {
    app: App<'a>,
    /// How the names of the families begin that are asked for; empty = all.
    only: PercentEncoded<'r>,
    snapshot: &'a RefCell<Snapshot>,
    /// Families written.
    family: usize,
    /// Whether the heading of this family was written.
    headed: bool,
    /// Samples of this family written.
    sample: usize,
    /// Samples of inputs and outputs written.
    instant: usize,
    /// The histogram under way.
    histogram: Histogram,
}

/// The latencies of one scope at one instant.
#[derive(Clone, Copy, Default)]
struct Histogram {
    /// Responses up to each bound, and beyond the one before.
    classes: [u64; LATENCY_BOUNDS.len()],
    microseconds: u64,
}

/// Samples of one histogram: the buckets, sum and count.
const HISTOGRAM_SAMPLES: usize = LATENCY_BOUNDS.len() + 2;

/// One sample, without the name of its family.
struct MetricSample<'s> {
    /// The ending a histogram adds to the name.
    suffix: &'static str,
    labels: &'s [(&'s str, &'s str)],
    value: CounterValue,
}

impl<'a, 'r> Exposition<'a, 'r> {
    /// Nothing written yet; the names in `only` were checked, and `snapshot` is lent for as long as the
    /// answer takes.
    pub(crate) fn new(app: App<'a>, only: PercentEncoded<'r>, snapshot: &'a RefCell<Snapshot>) -> Self {
        snapshot.borrow_mut().clear();
        let histogram = Histogram::default();
        Exposition { app, only, snapshot, family: 0, headed: false, sample: 0, instant: 0, histogram }
    }

    fn is_asked_for(&self, metric: &Metric) -> bool {
        let mut beginnings = self.only.names::<HTTP_COUNTER_BYTES>().flatten().peekable();
        beginnings.peek().is_none() || beginnings.any(|beginning| metric.name.starts_with(beginning.as_str()))
    }

    fn fill_family(&mut self, metric: &Metric, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if metric.source.is_in_snapshot() && self.snapshot.borrow().is_empty() {
            self.take_snapshot();
        }
        let (app, skip, mut histogram) = (self.app, self.sample, self.histogram);
        let result = visit(&app, &metric.source, skip, &mut histogram, &mut |sample| {
            if !self.headed {
                chunk.whole(|out| write_heading(metric, out))?;
                self.headed = true;
            }
            let value = self.value_of(metric, sample.value);
            chunk.whole(|out| write_sample(metric.name, &sample, value, out))?;
            self.sample += 1;
            self.instant += usize::from(metric.source.is_in_snapshot());
            Ok(())
        });
        self.histogram = histogram;
        result
    }

    /// The value of the sample, or what it was at the instant that counts.
    fn value_of(&self, metric: &Metric, now: CounterValue) -> CounterValue {
        if !metric.source.is_in_snapshot() {
            return now;
        }
        self.snapshot.borrow().get(self.instant).map_or(now, |&count| CounterValue::Count(count))
    }

    /// Reads everything that must be of one instant.
    fn take_snapshot(&self) {
        let mut snapshot = self.snapshot.borrow_mut();
        for metric in families().filter(|metric| metric.source.is_in_snapshot()) {
            // A full list is not a failure: the rest is read one by one.
            let _ =
                visit(&self.app, &metric.source, 0, &mut Histogram::default(), &mut |sample| match sample
                    .value
                {
                    CounterValue::Count(count) => snapshot.push(count).map_err(|_| fmt::Error),
                    CounterValue::Millionths(_) => Err(fmt::Error),
                });
        }
    }
}

impl ChunkedDocument for Exposition<'_, '_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        while let Some(metric) = families().nth(self.family) {
            if self.is_asked_for(&metric) {
                self.fill_family(&metric, chunk)?;
            }
            self.family += 1;
            (self.headed, self.sample) = (false, 0);
        }
        Ok(())
    }
}

/// Hands the samples of a family to `each`, from number `skip` on, until it fails.
fn visit(
    app: &App<'_>,
    source: &MetricSource,
    skip: usize,
    histogram: &mut Histogram,
    each: &mut dyn FnMut(MetricSample<'_>) -> fmt::Result,
) -> fmt::Result {
    // A visitor, not an iterator that is kept: between two chunks no borrow of the statistics may last, and
    // what is iterated over may have grown. So a family is walked from its beginning for each chunk, and
    // `skip` is all that is remembered. With 200 samples of which 60 fit a chunk that is 200 + 140 + 80 +
    // 20 steps, each of which is a few loads. The samples come in the same order each time, as streams
    // are only ever added at the end; so none is left out, and none comes twice.
    let statistics = app.statistics;
    let outputs = || app.outputs.iter();
    let mut count = |labels: &[(&str, &str)], count: u64| {
        each(MetricSample { suffix: "", labels, value: CounterValue::Count(count) })
    };
    match source {
        MetricSource::Traffic(_) | MetricSource::Statistic(_) => {
            let statistics = statistics.borrow();
            scopes(&statistics).skip(skip).try_for_each(|(scope, identity)| {
                let labels = identity.map(|text| ("identity", text));
                let value = match *source {
                    MetricSource::Traffic(row) => {
                        CounterValue::Count(statistics.named_counter(scope, CounterName::Plain(row)))
                    }
                    MetricSource::Statistic(name) => statistics.value(scope, name),
                    _ => CounterValue::Count(0),
                };
                each(MetricSample { suffix: "", labels: labels.as_slice(), value })
            })
        }
        MetricSource::Latency => visit_latency(&statistics.borrow(), skip, histogram, each),
        MetricSource::MessagesByType => {
            let statistics = statistics.borrow();
            let of_stream = |(id, identity)| {
                let counts = statistics.messages_by_type(StreamScope::Stream(id));
                counts.map(move |counted| (identity, counted))
            };
            statistics.streams().flat_map(of_stream).skip(skip).try_for_each(
                |(identity, (message, protocol, number))| {
                    let message = message.and_then(MessageType::mnemonic).unwrap_or("other");
                    let protocol = protocol.and_then(Protocol::mnemonic).unwrap_or("-");
                    count(&[("identity", identity), ("message", message), ("protocol", protocol)], number)
                },
            )
        }
        MetricSource::QueriesByType => {
            let statistics = statistics.borrow();
            { statistics.queries_by_type() }
                .skip(skip)
                .try_for_each(|(rrtype, number)| count(&[("type", &shown(rrtype))], number))
        }
        MetricSource::ResponsesByCode => {
            let statistics = statistics.borrow();
            { statistics.responses_by_code() }
                .skip(skip)
                .try_for_each(|(rcode, number)| count(&[("rcode", &shown(rcode))], number))
        }
        MetricSource::Top => {
            let (statistics, most) = (statistics.borrow(), app.settings.export_top);
            let (mut left, mut each) =
                (skip, |table: &str, name: &str, number| count(&[("table", table), ("name", name)], number));
            visit_top(&statistics, most, &mut left, &mut each)?;
            match app.history().filter(|_| app.settings.shows_devices) {
                Some(history) => visit_top_devices(
                    &statistics,
                    history.borrow_mut().devices_mut(),
                    most,
                    &mut left,
                    &mut each,
                ),
                None => Ok(()),
            }
        }
        MetricSource::Upstream(read) => {
            let health = app.collector.health();
            let servers = health.iter().flat_map(|health| health.upstreams().iter());
            { servers }
                .skip(skip)
                .try_for_each(|server| count(&[("server", &shown(Some(server.address)))], read(server)))
        }
        MetricSource::UpstreamLatency => {
            let health = app.collector.health();
            let servers = health.iter().flat_map(|health| health.upstreams().iter());
            let quantiles = [("0.5", 50), ("0.95", 95), ("0.99", 99)];
            let samples = servers.flat_map(|server| quantiles.map(|quantile| (server, quantile)));
            // A server without a known latency has no samples, as 0 would be a latency.
            let known = samples.filter_map(|(server, (quantile, percent))| {
                Some((server, quantile, server.percentile(percent)?))
            });
            { known }.skip(skip).try_for_each(|(server, quantile, microseconds)| {
                let address = shown(Some(server.address));
                let labels = [("server", address.as_str()), ("quantile", quantile)];
                let value = CounterValue::Millionths(microseconds);
                each(MetricSample { suffix: "", labels: &labels, value })
            })
        }
        MetricSource::Alarms => {
            let health = app.collector.health();
            let totals = health.iter().flat_map(|health| health.alarms().totals());
            { totals }.skip(skip).try_for_each(|(kind, number)| count(&[("kind", kind.as_str())], number))
        }
        MetricSource::LastMessage => {
            let statistics = statistics.borrow();
            statistics.streams().skip(skip).try_for_each(|(id, identity)| {
                let microseconds = statistics.last_message(StreamScope::Stream(id)).map_or(0, microseconds);
                let value = CounterValue::Millionths(microseconds);
                each(MetricSample { suffix: "", labels: &[("identity", identity)], value })
            })
        }
        MetricSource::Input(label, samples) => {
            let rows = app.inputs.iter().flat_map(|input| rows(input.name, samples(input)));
            rows.skip(skip).try_for_each(|(name, reason, number)| {
                let labels = [("input", name), (label, reason)];
                count(labels.get(..if label.is_empty() { 1 } else { 2 }).unwrap_or_default(), number)
            })
        }
        MetricSource::Output(label, samples) => {
            let rows = outputs().flat_map(|output| rows(output.name(), samples(output.counters())));
            rows.skip(skip).try_for_each(|(name, reason, number)| {
                let labels = [("output", name), (label, reason)];
                count(labels.get(..if label.is_empty() { 1 } else { 2 }).unwrap_or_default(), number)
            })
        }
        MetricSource::Reasons(tally) => {
            let rows = rows("", tally(app)).skip(skip);
            { rows }.try_for_each(|(_, reason, number)| count(&[("reason", reason)], number))
        }
        MetricSource::Tables(tables) => {
            tables.iter().skip(skip).try_for_each(|(table, read)| count(&[("table", table)], read(app)))
        }
        MetricSource::One(read) => (skip..1).try_for_each(|_| count(&[], read(app))),
        MetricSource::Maybe(read) => {
            read(app).filter(|_| skip == 0).map_or(Ok(()), |number| count(&[], number))
        }
        MetricSource::Process(read) => {
            let value = if skip == 0 { read() } else { None };
            value.map_or(Ok(()), |value| each(MetricSample { suffix: "", labels: &[], value }))
        }
        MetricSource::Build => {
            let [version, target] = BUILD;
            (skip..1).try_for_each(|_| count(&[version, target, ("features", &features())], 1))
        }
    }
}

/// All streams together, then each, with its identity.
fn scopes(statistics: &Statistics) -> impl Iterator<Item = (StreamScope, Option<&str>)> {
    let streams = statistics.streams().map(|(id, identity)| (StreamScope::Stream(id), Some(identity)));
    core::iter::once((StreamScope::Global, None)).chain(streams)
}

/// The text of an address, type or code; `None` is all that have no counter of their own.
fn shown(value: Option<impl fmt::Display>) -> heapless::String<LABEL_BYTES> {
    let mut text = heapless::String::new();
    // All there are fit.
    let _ = match value {
        Some(value) => write!(text, "{value}"),
        None => text.write_str("other"),
    };
    text
}

/// Bytes of the text of an address, type or code.
const LABEL_BYTES: usize = 48;

/// The first rows of each table: the table, the row, its number.
fn visit_top(
    statistics: &Statistics,
    most: usize,
    left: &mut usize,
    each: &mut dyn FnMut(&str, &str, u64) -> fmt::Result,
) -> fmt::Result {
    let tracked = statistics.tables().tracked();
    let domains = (0..tracked.len()).map(TableDescriptor::domains);
    let fixed = tables().filter(|descriptor| statistics.tables().keeps(descriptor.table));
    for descriptor in domains.chain(fixed) {
        let label = match descriptor.table {
            Table::Domains(number) => tracked.get(number).map_or("", |table| table.flag()),
            _ => descriptor.label,
        };
        let (mut rows, mut position) = (0, RowPosition::default());
        while rows < most {
            let before = position.clone();
            let mut best = TopRows::new(most - rows, &before);
            statistics.rank(StreamScope::Global, descriptor.table, &mut best);
            for row in best.rows() {
                if *left == 0 {
                    let mut name = heapless::String::<TEXT_MAX>::new();
                    let _ = write!(name, "{}", row.label);
                    each(label, &name, row.number)?;
                }
                *left = left.saturating_sub(1);
                position.pass(row);
                rows += 1;
            }
            if best.rows().is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// The same of the devices, where these are tracked: each by its name, else by an address.
fn visit_top_devices(
    statistics: &Statistics,
    devices: &mut Devices,
    most: usize,
    left: &mut usize,
    each: &mut dyn FnMut(&str, &str, u64) -> fmt::Result,
) -> fmt::Result {
    if most == 0 {
        return Ok(());
    }
    devices.clear_sums();
    statistics.each_client(StreamScope::Global, |address, numbers| devices.add_up(address, numbers));
    let mut last = None;
    for _ in 0..most {
        let Some((id, device)) = devices.next_by_sum(last) else { break };
        let [number, _] = device.sums();
        if *left == 0 {
            match device.name() {
                Some(name) => each(DEVICES.flag, name, number.into())?,
                None => each(DEVICES.flag, &shown(devices.any_address(id)), number.into())?,
            }
        }
        *left = left.saturating_sub(1);
        last = Some((number, id));
    }
    Ok(())
}

/// The samples of a row, each with the name of what they are of.
fn rows<'a>(
    name: &'static str,
    samples: &'a dyn Samples,
) -> impl Iterator<Item = (&'static str, &'static str, u64)> + 'a {
    (0..).map_while(|index| samples.sample(index)).map(move |(label, number)| (name, label, number))
}

fn microseconds(time: Time) -> u64 {
    time.seconds * 1_000_000 + u64::from(time.nanoseconds / 1_000)
}

/// The histogram of each scope; `histogram` holds the one that the last chunk ended in.
fn visit_latency(
    statistics: &Statistics,
    skip: usize,
    histogram: &mut Histogram,
    each: &mut dyn FnMut(MetricSample<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut first = skip % HISTOGRAM_SAMPLES;
    for (scope, identity) in scopes(statistics).skip(skip / HISTOGRAM_SAMPLES) {
        if first == 0 {
            let (classes, microseconds) = statistics.latency(scope);
            *histogram = Histogram { classes, microseconds };
        }
        for number in first..HISTOGRAM_SAMPLES {
            histogram.visit(identity, number, each)?;
        }
        first = 0;
    }
    Ok(())
}

impl Histogram {
    /// Hands sample `number` to `each`.
    fn visit(
        &self,
        identity: Option<&str>,
        number: usize,
        each: &mut dyn FnMut(MetricSample<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let upto = |classes: usize| CounterValue::Count(self.classes.iter().take(classes).sum());
        let (suffix, bound, value) = match LATENCY_BOUNDS.get(number) {
            Some(&(_, bound)) => ("_bucket", Some(("le", bound)), upto(number + 1)),
            None if number == LATENCY_BOUNDS.len() => {
                ("_sum", None, CounterValue::Millionths(self.microseconds))
            }
            None => ("_count", None, upto(LATENCY_BOUNDS.len())),
        };
        let identity = identity.map(|text| ("identity", text));
        let labels: heapless::Vec<_, 2> = identity.into_iter().chain(bound).collect();
        each(MetricSample { suffix, labels: &labels, value })
    }
}

fn write_heading(metric: &Metric, out: &mut impl Write) -> fmt::Result {
    for part in ["# HELP ", metric.name, " ", metric.help, "\n# TYPE ", metric.name, " ", metric.kind, "\n"] {
        out.write_str(part)?;
    }
    Ok(())
}

fn write_sample(
    name: &str,
    sample: &MetricSample<'_>,
    value: CounterValue,
    out: &mut impl Ascii,
) -> fmt::Result {
    out.write_str(name)?;
    out.write_str(sample.suffix)?;
    let mut before = "{";
    for (label, text) in sample.labels {
        out.write_str(before)?;
        out.write_str(label)?;
        out.write_str("=\"")?;
        write_escaped(out, text)?;
        out.write_char('"')?;
        before = ",";
    }
    out.write_str(if sample.labels.is_empty() { " " } else { "} " })?;
    match value {
        CounterValue::Count(count) => write_decimal(out, count)?,
        CounterValue::Millionths(microseconds) => {
            write_decimal(out, microseconds / 1_000_000)?;
            out.write_char('.')?;
            write_padded(out, microseconds % 1_000_000, 6)?;
        }
    }
    out.write_char('\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::counters::InputCounters;
    use crate::output::Outlet;
    use crate::section::QueueSettings;
    use crate::values::{Format, WhenFull};

    /// Outputs that are usual at most; where there are more, the last counters are read one by one.
    const OUTPUTS: usize = 8;
    /// Kinds of inputs.
    const INPUTS: usize = 5;

    #[test]
    fn there_is_room_for_the_counters_of_all_inputs_and_outputs() {
        let counters = InputCounters::new("tcp-socket");
        let settings = QueueSettings { bytes: 8192, when_full: WhenFull::Drop, alarms: false };
        let output = Outlet::new("stdout", Format::Text, b"\n", settings);
        let counters: usize = families()
            .map(|metric| match metric.source {
                MetricSource::Input(_, samples) => INPUTS * rows("", samples(&counters)).count(),
                MetricSource::Output(_, samples) => OUTPUTS * rows("", samples(output.counters())).count(),
                _ => 0,
            })
            .sum();
        assert!((HTTP_SNAPSHOT_COUNTERS / 2..=HTTP_SNAPSHOT_COUNTERS).contains(&counters), "{counters}");
    }
}
