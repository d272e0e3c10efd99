//! The metrics of `/metrics`: one table of name, help, type and where the values come from.
//!
//! The names of the traffic's counters are those that dashboards of `dnstap_receiver` ask for, `svr` for SRV
//! included. A family that counts by stream begins with a sample without labels, for all streams together.
//! The order is that of the answer.

use std::time::Duration;

use crate::build;
use crate::health::upstreams::Upstream;
use crate::http::App;
use crate::input::counters::InputCounters;
use crate::metric::{MetricRow, Samples};
use crate::output::OutletCounters;
use crate::statistics::CounterValue;
use crate::statistics::counters::{self, CounterRow};
use crate::sys::proc;
use MetricSource::{Build, Input, LastMessage, Latency, One, Output, Process, Reasons, Statistic, Tables};

/// One family of samples.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    /// Name, without what a histogram adds.
    pub(crate) name: &'static str,
    /// Its help, for people.
    pub(crate) help: &'static str,
    /// Type, in the format's word.
    pub(crate) kind: &'static str,
    /// Where the values come from.
    pub(crate) source: MetricSource,
}

/// Where the values of a family come from.
#[derive(Clone, Copy)]
pub(crate) enum MetricSource {
    /// A row of the traffic's counters, by its place: for all streams, then for each.
    Traffic(usize),
    /// A published counter of the statistics: for all streams, then for each.
    Statistic(&'static str),
    /// The latencies of responses: for all streams, then for each.
    Latency,
    /// The messages of each stream by type and protocol.
    MessagesByType,
    /// The queries of all streams by type.
    QueriesByType,
    /// The responses of all streams by code.
    ResponsesByCode,
    /// The first rows of all tables.
    Top,
    /// The time of the last message of each stream.
    LastMessage,
    /// The samples of each input, told apart by a label of that name.
    Input(&'static str, fn(&InputCounters) -> &dyn Samples),
    /// The samples of each output, told apart by a label of that name.
    Output(&'static str, fn(&OutletCounters) -> &dyn Samples),
    /// Counters by reason.
    Reasons(for<'a> fn(&App<'a>) -> &'a dyn Samples),
    /// A counter of each upstream server.
    Upstream(fn(&Upstream) -> u64),
    /// The percentiles of each upstream server.
    UpstreamLatency,
    /// The alarms of each kind.
    Alarms,
    /// One counter for each table.
    Tables(&'static [TableCounter]),
    /// One counter.
    One(fn(&App<'_>) -> u64),
    /// One counter that not every daemon has.
    Maybe(fn(&App<'_>) -> Option<u64>),
    /// One value that the kernel may not tell.
    Process(fn() -> Option<CounterValue>),
    /// The build, in the labels.
    Build,
}

/// The name of a table, and the counter that belongs to it.
pub(crate) type TableCounter = (&'static str, fn(&App<'_>) -> u64);

impl MetricSource {
    /// Whether the values must be of one instant, so that sums agree: those of inputs and outputs.
    pub(crate) fn is_in_snapshot(&self) -> bool {
        matches!(self, Input(..) | Output(..))
    }
}

/// So much time, in seconds.
fn seconds(duration: Duration) -> CounterValue {
    CounterValue::Millionths(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

const fn counter(name: &'static str, help: &'static str, source: MetricSource) -> Metric {
    Metric { name, help, kind: "counter", source }
}

const fn gauge(name: &'static str, help: &'static str, source: MetricSource) -> Metric {
    Metric { name, help, kind: "gauge", source }
}

/// All families, in the order of the answer: the traffic, the inputs, the outputs and the rest.
pub(crate) fn families() -> impl Iterator<Item = Metric> {
    let inputs = InputCounters::METRICS.iter().map(Metric::of_inputs);
    let outputs = OutletCounters::METRICS.iter().map(Metric::of_outputs);
    let traffic = counters::COUNTERS.iter().enumerate().map(Metric::of_traffic);
    traffic.chain(TRAFFIC.iter().copied()).chain(inputs).chain(outputs).chain(DAEMON.iter().copied())
}

impl Metric {
    /// The family that a row of the traffic's counters makes.
    fn of_traffic((place, row): (usize, &CounterRow)) -> Metric {
        counter(row.metric, row.help, MetricSource::Traffic(place))
    }

    /// The family that a row of the inputs' counters makes.
    fn of_inputs(row: &MetricRow<InputCounters>) -> Metric {
        let &MetricRow { name, help, kind, label, samples } = row;
        Metric { name, help, kind, source: Input(label, samples) }
    }

    /// The family that a row of the outputs' counters makes.
    fn of_outputs(row: &MetricRow<OutletCounters>) -> Metric {
        let &MetricRow { name, help, kind, label, samples } = row;
        Metric { name, help, kind, source: Output(label, samples) }
    }
}

/// The families before those of the inputs; those of the traffic's own counters are rows of [`counters::COUNTERS`].
#[rustfmt::skip]
static TRAFFIC: &[Metric] = &[
    gauge("dnstap_pps", "Messages a second.", Statistic("pps")),
    gauge("dnstap_qps", "Queries a second.", Statistic("qps")),
    gauge("dnstap_rps", "Responses a second.", Statistic("rps")),
    gauge("dnstap_pps_1m", "Messages a second, average over a minute.", Statistic("pps-1m")),
    gauge("dnstap_qps_1m", "Queries a second, average over a minute.", Statistic("qps-1m")),
    gauge("dnstap_rps_1m", "Responses a second, average over a minute.", Statistic("rps-1m")),
    gauge("dnstap_pps_5m", "Messages a second, average over five minutes.", Statistic("pps-5m")),
    gauge("dnstap_qps_5m", "Queries a second, average over five minutes.", Statistic("qps-5m")),
    gauge("dnstap_rps_5m", "Responses a second, average over five minutes.", Statistic("rps-5m")),
    gauge("dnstap_domains", "Different names seen.", Statistic("domains")),
    gauge("dnstap_clients", "Different client addresses seen.", Statistic("clients")),
    counter("dnstap_queries_udp", "Queries over UDP.", Statistic("query/udp")),
    counter("dnstap_queries_tcp", "Queries over TCP.", Statistic("query/tcp")),
    counter("dnstap_queries_inet", "Queries over IPv4.", Statistic("query/inet")),
    counter("dnstap_queries_inet6", "Queries over IPv6.", Statistic("query/inet6")),
    counter("dnstap_queries_a", "Queries for A.", Statistic("query/a")),
    counter("dnstap_queries_aaaa", "Queries for AAAA.", Statistic("query/aaaa")),
    counter("dnstap_queries_svr", "Queries for SRV, under the name that older dashboards know.", Statistic("query/srv")),
    counter("dnstap_queries_srv", "Queries for SRV.", Statistic("query/srv")),
    counter("dnstap_response_udp", "Responses over UDP.", Statistic("response/udp")),
    counter("dnstap_response_tcp", "Responses over TCP.", Statistic("response/tcp")),
    counter("dnstap_response_inet", "Responses over IPv4.", Statistic("response/inet")),
    counter("dnstap_response_inet6", "Responses over IPv6.", Statistic("response/inet6")),
    counter("dnstap_responses_noerror", "Responses with NOERROR.", Statistic("response/noerror")),
    counter("dnstap_responses_nxdomain", "Responses with NXDOMAIN.", Statistic("response/nxdomain")),
    counter("dnstap_responses_servfail", "Responses with SERVFAIL.", Statistic("response/servfail")),
    counter("dnstap_responses_refused", "Responses with REFUSED.", Statistic("response/refused")),
    counter("dnstap_latency0_1", "Responses within 1 ms.", Statistic("response/latency0_1")),
    counter("dnstap_latency1_10", "Responses after more than 1 ms, within 10 ms.", Statistic("response/latency1_10")),
    counter("dnstap_latency10_50", "Responses after more than 10 ms, within 50 ms.", Statistic("response/latency10_50")),
    counter("dnstap_latency50_100", "Responses after more than 50 ms, within 100 ms.", Statistic("response/latency50_100")),
    counter("dnstap_latency100_1000", "Responses after more than 100 ms, within 1 s.", Statistic("response/latency100_1000")),
    counter("dnstap_latency_slow", "Responses after more than 1 s.", Statistic("response/latency_slow")),
    Metric {
        name: "dnstap_latency_seconds",
        help: "Time from a query to its response.",
        kind: "histogram",
        source: Latency,
    },
    counter("dnstapd_messages_total", "Messages of each stream by type and protocol; \"-\" = it had none.", MetricSource::MessagesByType),
    counter("dnstapd_queries_by_type_total", "Queries of all streams by type.", MetricSource::QueriesByType),
    counter("dnstapd_responses_by_code_total", "Responses of all streams by code.", MetricSource::ResponsesByCode),
    gauge("dnstapd_top", "The first rows of each table, as many as statistics.export-top says.", MetricSource::Top),
    gauge("dnstap_last_message_timestamp_seconds", "Time of the last message, by the sender's clock; 0 = it had none.", LastMessage),

    gauge("dnstapd_build_info", "What was built.", Build),
];

/// The families after those of the inputs.
#[rustfmt::skip]
static DAEMON: &[Metric] = &[
    counter("dnstapd_malformed_total", "Messages whose DNS payload could not be read to its end.", Reasons(|app| app.collector.malformed())),
    counter("dnstapd_evicted_total", "Entries that a full table had no room for.", Tables(&[
        ("streams", |app| app.statistics.borrow().stream_overflow()),
        ("pairing", |app| app.collector.pairing_evicted()),
        ("domains", |app| app.statistics.borrow().tables().evicted_domains()),
        ("clients", |app| app.statistics.borrow().tables().evicted_clients()),
        ("history", |app| app.history().map_or(0, |history| history.borrow().evicted())),
        ("devices", |app| app.history().map_or(0, |history| history.borrow().devices().evicted())),
    ])),
    counter("dnstapd_history_unsaved_total", "Exchanges that had to go before they were saved: the write budget was short.", One(|app| app.history().map_or(0, |history| history.borrow().unsaved()))),
    counter("dnstap_upstream_queries_total", "Queries to each upstream server.", MetricSource::Upstream(|server| server.queries)),
    counter("dnstap_upstream_responses_total", "Responses of each upstream server.", MetricSource::Upstream(|server| server.responses)),
    counter("dnstap_upstream_timeouts_total", "Queries that an upstream server did not answer within 60 s.", MetricSource::Upstream(|server| server.timeouts.into())),
    counter("dnstap_upstream_servfail_total", "Responses with SERVFAIL of each upstream server.", MetricSource::Upstream(|server| server.servfail.into())),
    counter("dnstap_upstream_refused_total", "Responses with REFUSED of each upstream server.", MetricSource::Upstream(|server| server.refused.into())),
    Metric {
        name: "dnstap_upstream_latency_seconds",
        help: "Time within which that part of an upstream server's responses came lately.",
        kind: "summary",
        source: MetricSource::UpstreamLatency,
    },
    counter("dnstapd_alarms_total", "Alarms of each kind.", MetricSource::Alarms),
    gauge("dnstapd_sample_rate", "One message in this many is kept.", One(|app| app.collector.sample_rate())),
    gauge("dnstapd_geoip_build_timestamp_seconds", "When the database of cities in force was made.", MetricSource::Maybe(|app| app.collector.geoip_built())),
    counter("dnstapd_log_dropped_total", "Lines the log had no room for.", One(|_| crate::log::dropped())),
    counter("dnstapd_sniffer_kernel_drops_total", "Packets the kernel dropped before the sniffer read them.", One(|app| app.inputs.iter().map(|counters| counters.kernel_drops.get()).sum())),
    gauge("process_resident_memory_bytes", "Memory in use.", Process(|| proc::resident_bytes().map(CounterValue::Count))),
    counter("process_cpu_seconds_total", "Processor time used.", Process(|| proc::cpu_time().map(seconds))),
    gauge("process_open_fds", "Descriptors that are open.", Process(|| proc::open_descriptors().map(CounterValue::Count))),
    gauge("process_start_time_seconds", "When the process began.", Process(|| proc::started().map(seconds))),
];

/// The labels of `dnstapd_build_info`, the features apart.
pub(crate) const BUILD: [(&str, &str); 2] = [("version", build::VERSION), ("target", build::TARGET)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_metric() {
        let readme = include_str!("../../../docs/metrics.md");
        for metric in families() {
            let (plain, labelled) = (format!("`{}`", metric.name), format!("`{}{{", metric.name));
            assert!(readme.contains(&plain) || readme.contains(&labelled), "{}", metric.name);
        }
    }

    #[test]
    fn names_are_there_once_and_say_what_they_count() {
        for (place, metric) in families().enumerate() {
            assert!(families().take(place).all(|other| other.name != metric.name), "{}", metric.name);
            assert!(!metric.help.contains(['\n', '\\']), "{}", metric.name);
            if metric.kind == "counter" && !metric.name.starts_with("dnstap_") {
                assert!(metric.name.ends_with("_total"), "{}", metric.name);
            }
        }
    }
}
