//! `--check`: what would run, and what memory it would take.

use std::io::{self, Write};

use crate::capture::Dissector;
use crate::config::Config;
use crate::daemon::certificates::Certificates;
use crate::daemon::parts;
use crate::input::receiver::large_buffer_bytes;
use crate::input::{file, tcp_client, tcp_server};
use crate::limits::{
    HTTP_WORKERS, Limits, PLACE_SLOT_BYTES, PLACES, PROGRAM_BYTES, RECORD_BYTES, SNIFFER_BLOCK_BYTES,
    TAIL_BLOCKS, TLS_CONNECTION_BYTES,
};
use crate::message::geoip::LocationDatabase;
use crate::message::pairing::Pairing;
use crate::output::Plan;
use crate::pipeline::Collector;
use crate::process::StartError;
use crate::statistics::Statistics;
use crate::statistics::streams::Streams;
use crate::statistics::tables::{Tables, TrackedTable};
use crate::values::ServerTls;
use crate::{http, log};

/// Opens the files that the configuration names, and prints what would run and the memory map. Binds and
/// connects nothing; shows no secret.
///
/// # Errors
///
/// A file that cannot be opened.
pub fn check(config: &Config, out: &mut impl Write) -> Result<(), StartError> {
    let limits = Limits::resolve(&config.limits);
    log::start(&config.trace, None).map_err(StartError::of("trace.file"))?;
    let capture = parts::capture(config, &limits)?;
    Certificates::load(config)?;
    let geoip = parts::geoip(config)?;
    let outputs = parts::plans(config, &limits, None)?;
    print(config, &limits, (capture.as_ref(), geoip.as_ref()), &outputs, out)
        .map_err(StartError::of("output"))
}

fn print(
    config: &Config,
    limits: &Limits,
    (capture, geoip): (Option<&file::Replay>, Option<&LocationDatabase>),
    outputs: &[Plan],
    out: &mut impl Write,
) -> io::Result<()> {
    let input = &config.input;
    match &config.file {
        Some(file) => writeln!(out, "configuration: {}", file.display())?,
        None => writeln!(out, "configuration: built-in defaults")?,
    }
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if input.tcp_socket.is_enabled() {
        let (address, tls) = (tcp_server::address(&input.tcp_socket), protection(&input.tcp_socket.tls()));
        writeln!(out, "input: tcp-socket on {address}{tls}")?;
    }
    for client in input.tcp_client.iter() {
        if let Some(remote) = tcp_client::Remote::new(client, None) {
            writeln!(
                out,
                "input: tcp-client to {remote}{}",
                if client.tls().is_on() { ", TLS" } else { "" }
            )?;
        }
    }
    if input.unix_socket.enable {
        writeln!(out, "input: unix-socket at {}", parts::shown(input.unix_socket.path.as_deref()))?;
    }
    if input.sniffer.enable {
        writeln!(out, "input: sniffer on {}", input.sniffer.interface())?;
    }
    if input.file.enable {
        writeln!(out, "input: file {}", parts::shown(input.file.path.as_deref()))?;
    }
    for (key, pattern) in config.filter.patterns() {
        let how = if pattern.is_literal() { "plain text, fast" } else { "regular expression, slow" };
        writeln!(out, "filter: {key}, {how}")?;
    }
    if let Some(database) = geoip {
        let path = parts::shown(config.geoip.city_database.as_deref());
        writeln!(out, "geoip: {path}, {}", database.kind())?;
    }
    for output in outputs {
        writeln!(out, "output: {}, {}", output.name, output.words)?;
    }
    if config.web_api.enable {
        let tls = protection(&config.web_api.tls());
        writeln!(out, "web API: on {}{tls}", http::address(&config.web_api))?;
    }
    writeln!(out, "memory, in octets:")?;
    let mut total = 0;
    for (table, octets) in memory_map(config, limits, capture, outputs) {
        writeln!(out, "{octets:>12}  {table}")?;
        total += octets;
    }
    writeln!(out, "{total:>12}  in all; stacks, reactor and configuration take about {PROGRAM_BYTES} more")
}

/// How a listener is protected, behind its address.
fn protection(tls: &ServerTls<'_>) -> &'static str {
    match (tls.is_on(), tls.client_ca) {
        (false, _) => "",
        (true, None) => ", TLS",
        (true, Some(_)) => ", TLS with client certificates",
    }
}

/// Every table and buffer that is made at start, and its octets; and what TLS takes when all places use it.
fn memory_map(
    config: &Config,
    limits: &Limits,
    capture: Option<&file::Replay>,
    outputs: &[Plan],
) -> Vec<(String, usize)> {
    let mut map = vec![
        (
            format!("statistics of {} streams and the others", limits.streams),
            (limits.streams + 1) * Streams::STREAM_BYTES,
        ),
        ("different clients and names, for each and all".to_owned(), Statistics::distinct_cost(limits)),
        tables(config, limits),
        (format!("pairing of {} queries", limits.pairing), Pairing::cost(limits.pairing)),
        ("receive buffer".to_owned(), limits.receive),
        (format!("{TAIL_BLOCKS} blocks for long frames"), TAIL_BLOCKS * large_buffer_bytes(limits.frame)),
        ("message on its way".to_owned(), size_of::<Collector<'_>>() + RECORD_BYTES),
    ];
    if config.input.tcp_socket.is_enabled() && config.input.tcp_socket.tls().is_on() {
        let what = format!("TLS of {} connections, at most", limits.connections);
        map.push((what, limits.connections * TLS_CONNECTION_BYTES));
    }
    if config.geoip.enable {
        map.push((format!("places of the last {PLACES} addresses"), PLACES * PLACE_SLOT_BYTES));
    }
    for output in outputs {
        map.push((format!("queue and buffers of output {}", output.name), output.cost()));
    }
    if config.input.sniffer.enable {
        map.push(("sniffer's fragments and connections".to_owned(), Dissector::cost(limits)));
        map.push((format!("sniffer's ring of {} blocks", limits.ring), limits.ring * SNIFFER_BLOCK_BYTES));
    }
    if let Some(capture) = capture {
        map.push(("buffers of input file".to_owned(), capture.cost(limits)));
    }
    if config.web_api.enable {
        map.push(("web API".to_owned(), http::COST));
        if config.web_api.tls().is_on() {
            let what = format!("TLS of {HTTP_WORKERS} connections of the web API, at most");
            map.push((what, HTTP_WORKERS * TLS_CONNECTION_BYTES));
        }
    }
    map
}

/// The tables of names, clients and the rest.
fn tables(config: &Config, limits: &Limits) -> (String, usize) {
    let tracked = TrackedTable::of(&config.statistics).map_or(0, |tracked| tracked.len());
    let (octets, sets) = Tables::cost(limits, tracked, config.geoip.enable);
    (format!("tables of {} streams and the others", sets - 1), octets)
}

#[cfg(test)]
#[cfg(target_pointer_width = "64")]
mod tests {
    use super::*;

    /// The table at the top of `limits.rs` is what `--check` prints for the built-in defaults.
    #[test]
    fn the_documented_memory_is_the_real_one() {
        let config = Config::parse("", "the built-in defaults").unwrap();
        let limits = Limits::resolve(&config.limits);
        let plans = parts::plans(&config, &limits, None).unwrap();
        let map = memory_map(&config, &limits, None, &plans);
        let total = map.iter().map(|(_, octets)| octets).sum();
        let documented = include_str!("limits.rs");
        for (table, octets) in map.iter().chain([&("in all".to_owned(), total)]) {
            let row = format!("//! | {table} | {octets} |");
            assert!(documented.contains(&row), "limits.rs lacks: {row}");
        }
    }

    /// The sizes that the profiles promise, with the built-in defaults otherwise.
    #[test]
    fn profiles_keep_their_sizes() {
        for (profile, most) in
            [("tiny", 1 << 20), ("small", 2 << 20), ("default", 4 << 20), ("large", 64 << 20)]
        {
            let config = Config::parse(&format!("[limits]\nprofile = \"{profile}\""), "a profile").unwrap();
            let limits = Limits::resolve(&config.limits);
            let plans = parts::plans(&config, &limits, None).unwrap();
            let total: usize =
                memory_map(&config, &limits, None, &plans).iter().map(|(_, octets)| octets).sum();
            assert!(total <= most, "{profile}: {total} octets");
        }
    }
}
