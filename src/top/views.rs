//! From what is known to lines.
//!
//! A view takes the columns and rows it gets and makes the best of them: two panels beside each other where
//! there is room, one below the other where there is not, the most important first, for the rest is cut off.

use std::time::{SystemTime, UNIX_EPOCH};

use super::answers::{ApiAnswers, SampleGroup};
use super::log_view;
use super::numbers::{bytes, count, latency as latency_text, rate, share, span};
use super::state::{ScreenState, View};
use super::text::{StyledLine, TerminalStyle, TextStyle, beside};
use super::widgets::{PanelSize, absent, proportions, ranking, table};
use crate::statistics::descriptors::{TableDescriptor, tables};

/// Columns below which only the most important is named.
const NARROW: usize = 60;

/// The whole screen.
pub(crate) fn draw(
    state: &ScreenState,
    shown: &str,
    (width, height): (usize, usize),
    look: TerminalStyle,
) -> Vec<StyledLine> {
    let mut lines = vec![header(state, shown, width), tabs(state, width)];
    if let Some((why, since)) = &state.trouble {
        let text = format!(" No answer for {}: {why}", span(since.elapsed().as_secs()));
        lines.push(StyledLine::new().with(TextStyle::Bad, &text));
    }
    if state.help {
        lines.extend(help());
    } else if state.answers.is_none() && state.trouble.is_none() {
        lines.push(StyledLine::new().with(TextStyle::Dim, " Asking ..."));
    } else if let Some(answers) = &state.answers {
        lines.push(match &answers.not_kept {
            Some(limit) => StyledLine::new().with(
                TextStyle::Dim,
                &format!(" No names, clients and countries are kept for this stream: {limit}"),
            ),
            None => StyledLine::new(),
        });
        let room = PanelSize { width, height: height.saturating_sub(lines.len()), look };
        lines.extend(view(state, state.view, room));
    }
    lines.truncate(height);
    lines
}

/// One view.
pub(crate) fn view(state: &ScreenState, view: View, room: PanelSize) -> Vec<StyledLine> {
    let Some(answers) = &state.answers else { return Vec::new() };
    match view {
        View::Overview => overview(state, answers, room),
        View::Domains => domains(state, answers, room),
        View::Clients | View::Tlds | View::Countries => group(state, answers, view.group(), room),
        View::Types => types(state, answers, room),
        View::Streams => streams(state, room),
        View::Outputs => outputs(state, room),
        View::Log => log_view::log(state, room),
    }
}

// ------------ Frame -----------------------------------------------------------

fn header(state: &ScreenState, shown: &str, width: usize) -> StyledLine {
    let metrics = state.metrics.as_ref().map(|(metrics, _)| metrics);
    let version = metrics.map_or("", |metrics| &metrics.version);
    let mut line = StyledLine::new().with(TextStyle::Inverse, &format!(" dnstapd {version}  "));
    if width >= NARROW {
        line.push(TextStyle::Inverse, &format!("{shown}  "));
    }
    let which = match (&state.stream, state.streams().len()) {
        (Some(stream), _) => format!("stream {stream}"),
        (None, 1) => "1 stream".to_owned(),
        (None, streams) => format!("all {streams} streams"),
    };
    line.push(TextStyle::Inverse, &which);
    let sampled =
        metrics.and_then(|metrics| metrics.single.get("dnstapd_sample_rate")).copied().unwrap_or(1.0);
    if sampled > 1.0 {
        line.push(TextStyle::Inverse, &format!("  sampled 1 in {sampled}"));
    }
    let pace =
        if state.paused { "paused".to_owned() } else { format!("every {} s", state.interval.as_secs()) };
    let right = [format!("{pace}  ? help  q quit "), format!("{pace} ")];
    if let Some(right) = right.iter().find(|right| line.width() + right.len() + 2 <= width) {
        line.pad_as(TextStyle::Inverse, width - right.len());
        line.push(TextStyle::Inverse, right);
    }
    line.pad_as(TextStyle::Inverse, width);
    line
}

fn tabs(state: &ScreenState, width: usize) -> StyledLine {
    let views =
        View::ALL.iter().enumerate().filter(|(_, view)| **view != View::Countries || state.has_countries());
    let dropping = dropped_a_second(state);
    let warning = if dropping > 0.0 { format!("  outputs drop {} ", rate(dropping)) } else { String::new() };
    let long: usize = views.clone().map(|(_, view)| view.name().len() + 4).sum::<usize>() + warning.len();
    let mut line = StyledLine::new();
    for (number, &view) in views {
        let name = if long <= width || view == state.view { view.name() } else { "" };
        let text = format!(" {} {name} ", number + 1);
        let style = if view == state.view { TextStyle::Inverse } else { TextStyle::Plain };
        line.push(style, if name.is_empty() { text.trim_end() } else { &text });
    }
    line.push(TextStyle::Bad, &warning);
    line
}

fn help() -> Vec<StyledLine> {
    let rows = [
        ("1 - 9, o d c t s l", "show a view; also Tab and the arrows left and right"),
        ("< >", "the stream before, the next one"),
        ("a", "all streams"),
        ("Up Down PgUp PgDn", "go through the rows, as the wheel does; Enter chooses a stream"),
        ("/", "filter the log: words of a name, an address, KEY=VALUE; Enter"),
        ("Enter, n; Escape", "in the log: the device of a row, its name; back"),
        ("s", "in the log: sort by the next column"),
        ("f", "the other table, where there is room for one only"),
        ("Space", "pause"),
        ("+ -", "more often, less often"),
        ("q", "quit"),
    ];
    let mut lines = vec![StyledLine::new(), StyledLine::new().with(TextStyle::Bold, " Keys")];
    lines.extend(rows.map(|(keys, what)| {
        let mut line = StyledLine::new().with(TextStyle::Plain, "  ").with(TextStyle::Bold, keys);
        line.pad(22);
        line.with(TextStyle::Plain, what)
    }));
    lines
}

// ------------ Views -----------------------------------------------------------

fn overview(state: &ScreenState, answers: &ApiAnswers, room: PanelSize) -> Vec<StyledLine> {
    let PanelSize { width, height, look } = room;
    let counter = |name| answers.counter(name);
    let speeds =
        [("Queries", "qps"), ("Responses", "rps")].into_iter().enumerate().map(|(number, (title, name))| {
            let mut line = StyledLine::new().with(TextStyle::Plain, " ").with(TextStyle::Bold, title);
            line.push_right(TextStyle::Bold, &rate(counter(name) as f64), 22);
            line.pad(24);
            let room = width.saturating_sub(25);
            let values = state.history.iter().skip(state.history.len().saturating_sub(room));
            line.push_plot(
                values.map(move |&(queries, responses)| if number == 0 { queries } else { responses }),
                look,
            );
            line
        });
    let mut lines: Vec<StyledLine> = speeds.collect();
    let mut totals = StyledLine::new();
    for (title, value) in [
        ("Clients", count(counter("clients"))),
        ("Domains", count(counter("domains"))),
        ("Queries", format!("{} ({})", count(counter("query")), bytes(counter("query/bytes")))),
        ("Responses", format!("{} ({})", count(counter("response")), bytes(counter("response/bytes")))),
        ("Queries a second: Average of 1 min", rate(answers.number("qps-1m"))),
        ("of 5 min", rate(answers.number("qps-5m"))),
    ] {
        if totals.width() + title.len() + value.len() + 3 > width && totals.width() > 0 {
            lines.push(core::mem::take(&mut totals));
        }
        totals.push(TextStyle::Dim, &format!(" {title} "));
        totals.push(TextStyle::Plain, &format!("{value} "));
    }
    lines.push(totals);
    lines.push(StyledLine::new());
    let rest = height.saturating_sub(lines.len());
    let answers_of =
        |room| proportions("Answers", &plain_names(answers.rows("rcodes", "hit/response")), room);
    let latency_of = |room| proportions(&percentiles(answers), &latency(answers), room);
    let transport_of = |room| proportions("Queries over", &transport(answers), room);
    let domains_of = |room| match first_flag(answers) {
        Some((flag, rows)) => ranking(&format!("Domains, {flag}"), rows, count, room),
        None => Vec::new(),
    };
    let clients_of = |room| ranking("Clients", answers.rows("clients", "hit/ip"), count, room);
    if room.is_wide() {
        let upper = room.half().rows(rest.saturating_sub(6).clamp(4, 8).min(rest));
        lines.extend(beside(answers_of(upper), latency_of(upper), room.half().width + 2));
        let lower = room.half().rows(rest.saturating_sub(upper.height + 1));
        if lower.height > 1 {
            lines.push(StyledLine::new());
            let right = if lower.height > 12 {
                let mut right = clients_of(lower.rows(lower.height - 6));
                right.push(StyledLine::new());
                right.extend(transport_of(lower.rows(5)));
                right
            } else {
                clients_of(lower)
            };
            lines.extend(beside(domains_of(lower), right, room.half().width + 2));
        }
    } else {
        for (panel, rows) in [(answers_of(room.rows(5)), 5), (latency_of(room.rows(7)), 7)] {
            lines.extend(panel.into_iter().take(rows));
            lines.push(StyledLine::new());
        }
        lines.extend(domains_of(room.rows(height.saturating_sub(lines.len() + 1))));
    }
    lines
}

fn domains(state: &ScreenState, answers: &ApiAnswers, room: PanelSize) -> Vec<StyledLine> {
    let Some(flags) = answers.tables.get("domains").filter(|flags| !flags.is_empty()) else {
        return absent("No tables of domains");
    };
    pages(flags.len(), state.flag, room, |at, room| {
        let (flag, rows) = flags.iter().nth(at).map_or(("", &[][..]), |(flag, rows)| (flag, rows));
        ranking(&format!("Domains, {flag}"), skipped(state, rows), count, room)
    })
}

/// Some of that many panels: two beside each other where there is room, else one; `page` says which.
fn pages(
    panels: usize,
    page: usize,
    room: PanelSize,
    panel: impl Fn(usize, PanelSize) -> Vec<StyledLine>,
) -> Vec<StyledLine> {
    let at = |number: usize| number % panels.max(1);
    if room.is_wide() && panels > 1 {
        let [one, other] = [at(page * 2), at(page * 2 + 1)].map(|number| panel(number, room.half()));
        return beside(one, other, room.half().width + 2);
    }
    panel(at(page), room)
}

/// The tables of a group, as the list of the statistics has them.
fn group(state: &ScreenState, answers: &ApiAnswers, group: &str, room: PanelSize) -> Vec<StyledLine> {
    let tables: Vec<_> = tables().filter(|table| table.group == group).collect();
    pages(tables.len(), state.flag, room, |at, room| {
        let Some(table) = tables.get(at) else { return Vec::new() };
        let rows = plain_names(answers.rows(table.group, table.flag));
        ranking(table.title, skipped(state, &rows), if table.is_of_bytes() { bytes } else { count }, room)
    })
}

/// Types of queries and rcodes of responses; after those, by `f`, all other tables that no view has.
fn types(state: &ScreenState, answers: &ApiAnswers, room: PanelSize) -> Vec<StyledLine> {
    let is_first = |table: &TableDescriptor| {
        matches!((table.group, table.flag), ("rrtypes", "hit/query") | ("rcodes", "hit/response"))
    };
    let is_elsewhere =
        |group: &str| View::ALL.into_iter().any(|view| view != View::Types && view.group() == group);
    let mut tables: Vec<_> = tables().filter(|table| !is_elsewhere(table.group)).collect();
    tables.sort_by_key(|table| (!is_first(table), is_first(table) && table.group != "rrtypes"));
    let panel = |at: usize, room: PanelSize| {
        let Some(table) = tables.get(at % tables.len().max(1)) else { return Vec::new() };
        proportions(table.title, skipped(state, &plain_names(answers.rows(table.group, table.flag))), room)
    };
    let first = state.flag * 2;
    if room.is_wide() {
        return beside(panel(first, room.half()), panel(first + 1, room.half()), room.half().width + 2);
    }
    let mut lines = panel(first, room.rows(room.height / 2));
    lines.push(StyledLine::new());
    lines.extend(panel(first + 1, room.rows(room.height.saturating_sub(lines.len()))));
    lines
}

fn streams(state: &ScreenState, room: PanelSize) -> Vec<StyledLine> {
    let Some((metrics, _)) = &state.metrics else { return absent("Asking ...") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let values = |name: &str, all: bool| {
        let value = |metric| {
            if all {
                metrics.single.get(metric).copied().unwrap_or(0.0)
            } else {
                metrics.streams.value(name, metric)
            }
        };
        let whole = |metric| count(value(metric) as u64);
        let last = if all { 0.0 } else { value("dnstap_last_message_timestamp_seconds") };
        [
            rate(value("dnstap_qps")),
            rate(value("dnstap_rps")),
            whole("dnstap_queries"),
            whole("dnstap_clients"),
            whole("dnstap_domains"),
            share(value("dnstap_responses_nxdomain") as u64, value("dnstap_responses") as u64),
            share(value("dnstap_responses_servfail") as u64, value("dnstap_responses") as u64),
            if last > 0.0 { format!("{} ago", span((now - last).max(0.0) as u64)) } else { String::new() },
        ]
    };
    let names = core::iter::once("all").chain(state.streams().iter().map(String::as_str));
    let rows = names.enumerate().map(|(at, name)| (name.to_owned(), values(name, at == 0).to_vec()));
    let titles = ["queries", "responses", "in all", "clients", "domains", "NXDOMAIN", "SERVFAIL", "last"];
    let mut lines = table("Stream", &titles, rows.collect(), Some(state.row), room);
    lines.push(StyledLine::new());
    lines.push(StyledLine::new().with(TextStyle::Dim, " Up and Down, then Enter: show one stream"));
    lines
}

fn outputs(state: &ScreenState, room: PanelSize) -> Vec<StyledLine> {
    let Some((metrics, _)) = &state.metrics else { return absent("Asking ...") };
    let number = |group: &SampleGroup, thing: &str, name: &str| count(group.value(thing, name) as u64);
    let inputs = metrics.inputs.0.iter().map(|(name, _)| {
        let value = |metric| number(&metrics.inputs, name, metric);
        let speed = speed(state, |metrics| metrics.inputs.value(name, "dnstapd_frames_total"));
        let values = vec![
            rate(speed),
            value("dnstapd_received_total"),
            value("dnstapd_filtered_total"),
            value("dnstapd_rejected_total"),
            value("dnstapd_connections"),
        ];
        (name.clone(), values)
    });
    let outputs = metrics.outputs.0.iter().map(|(name, _)| {
        let value = |metric| number(&metrics.outputs, name, metric);
        let is_up = metrics.outputs.value(name, "dnstapd_output_connected") > 0.0;
        let speed = speed(state, |metrics| metrics.outputs.value(name, "dnstapd_output_delivered_total"));
        let values = vec![
            if is_up { "up" } else { "DOWN" }.to_owned(),
            rate(speed),
            value("dnstapd_output_delivered_total"),
            value("dnstapd_output_dropped_total"),
            value("dnstapd_output_queued"),
            bytes(metrics.outputs.value(name, "dnstapd_output_queue_bytes") as u64),
            value("dnstapd_output_reconnects_total"),
        ];
        (name.clone(), values)
    });
    let mut lines = table(
        "Input",
        &["frames", "received", "filtered", "rejected", "peers"],
        inputs.collect(),
        None,
        room,
    );
    lines.push(StyledLine::new());
    let titles = ["state", "delivered", "in all", "dropped", "queued", "bytes", "again"];
    lines.extend(table("Output", &titles, outputs.collect(), None, room));
    lines.push(StyledLine::new());
    let single = |name: &str| metrics.single.get(name).copied().unwrap_or(0.0);
    let memory = bytes(single("process_resident_memory_bytes") as u64);
    let processor = format!("{:.0} s", single("process_cpu_seconds_total"));
    lines.push(
        StyledLine::new()
            .with(TextStyle::Dim, " Memory ")
            .with(TextStyle::Plain, &memory)
            .with(TextStyle::Dim, "  Processor ")
            .with(TextStyle::Plain, &processor),
    );
    lines
}

// ------------ Parts -----------------------------------------------------------

/// The rows from the one on that was scrolled to.
fn skipped<'r>(state: &ScreenState, rows: &'r [(String, u64)]) -> &'r [(String, u64)] {
    rows.get(state.row..).unwrap_or_default()
}

/// Rows whose names are counters, `query/a`, by what they count: `A`. Top-level domains and countries stay as
/// they are.
fn plain_names(rows: &[(String, u64)]) -> Vec<(String, u64)> {
    let plain = |name: &str| match name.split_once('/') {
        Some(("query" | "response", rest)) => rest.to_owned(),
        _ => name.to_owned(),
    };
    rows.iter().map(|(name, number)| (plain(name), *number)).collect()
}

/// The first table of domains that has rows, else the first.
fn first_flag(answers: &ApiAnswers) -> Option<(&str, &[(String, u64)])> {
    let flags = answers.tables.get("domains")?;
    let filled = flags.iter().find(|(_, rows)| !rows.is_empty());
    filled.or(flags.iter().next()).map(|(flag, rows)| (flag.as_str(), rows.as_slice()))
}

/// Counters of latency, and what they are called.
pub(crate) const LATENCY: [(&str, &str); 6] = [
    ("response/latency0_1", "up to 1 ms"),
    ("response/latency1_10", "1 - 10 ms"),
    ("response/latency10_50", "10 - 50 ms"),
    ("response/latency50_100", "50 - 100 ms"),
    ("response/latency100_1000", "0.1 - 1 s"),
    ("response/latency_slow", "over 1 s"),
];

/// Percentiles of the latency, and how many in a hundred are within each.
pub(crate) const PERCENTILES: [(&str, u32); 3] =
    [("latency-p50", 50), ("latency-p95", 95), ("latency-p99", 99)];

/// Counters of transport, and what they are called.
pub(crate) const TRANSPORT: [(&str, &str); 7] = [
    ("query/udp", "UDP"),
    ("query/tcp", "TCP"),
    ("query/dot", "TLS"),
    ("query/doh", "HTTPS"),
    ("query/doq", "QUIC"),
    ("query/inet", "IPv4"),
    ("query/inet6", "IPv6"),
];

fn latency(answers: &ApiAnswers) -> Vec<(String, u64)> {
    LATENCY.map(|(counter, title)| (title.to_owned(), answers.counter(counter))).to_vec()
}

/// Within which time most responses stay, as a title.
fn percentiles(answers: &ApiAnswers) -> String {
    let mut title = "Latency".to_owned();
    for (counter, part) in PERCENTILES {
        let seconds = answers.number(counter);
        if seconds > 0.0 {
            title.push_str(&format!("  {part}% {}", latency_text(seconds)));
        }
    }
    title
}

/// The transports in use, the most used first.
fn transport(answers: &ApiAnswers) -> Vec<(String, u64)> {
    let protocols =
        TRANSPORT.iter().take(5).map(|&(counter, title)| (title.to_owned(), answers.counter(counter)));
    let mut rows: Vec<_> = protocols.filter(|&(_, number)| number > 0).collect();
    rows.sort_by_key(|&(_, number)| core::cmp::Reverse(number));
    rows
}

/// The growth of a sample, a second.
fn speed(state: &ScreenState, value: impl Fn(&super::answers::Metrics) -> f64) -> f64 {
    let (Some((now, at)), Some((before, then))) = (&state.metrics, &state.metrics_before) else { return 0.0 };
    let seconds = at.duration_since(*then).as_secs_f64();
    if seconds > 0.0 { ((value(now) - value(before)) / seconds).max(0.0) } else { 0.0 }
}

/// Records that outputs lose, a second.
fn dropped_a_second(state: &ScreenState) -> f64 {
    speed(state, |metrics| {
        let names = metrics.outputs.0.iter().map(|(name, _)| name);
        names.map(|name| metrics.outputs.value(name, "dnstapd_output_dropped_total")).sum()
    })
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
