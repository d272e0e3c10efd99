//! The memory map: every table and buffer that is made at start, for `--check` and for the web API.

use crate::config::Config;
use crate::input::InputPlan;
use crate::input::receiver::large_buffer_bytes;
use crate::limits::{LOG_QUEUE_BYTES, Limits, NEW_DOMAINS, RECORD_BYTES, TAIL_BLOCKS, TLS_CONNECTION_BYTES};
use crate::message::pairing::Pairing;
use crate::output::Plan;
use crate::pipeline::Collector;
use crate::statistics::Statistics;
use crate::statistics::streams::Streams;
use crate::statistics::tables::{Tables, TrackedTable};
use crate::{health, http};

/// The part of the map that only what was loaded can tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MadeAtStart {
    /// Whether messages are composed again.
    pub(crate) rewrites: bool,
    /// Bytes of the lists of names.
    pub(crate) filter_bytes: usize,
}

/// Every table and buffer that is made at start, and its bytes; and what TLS takes when all places use it.
pub(crate) fn map(
    config: &Config,
    limits: &Limits,
    inputs: &[InputPlan],
    outputs: &[Plan],
    MadeAtStart { rewrites, filter_bytes }: MadeAtStart,
) -> Vec<(String, usize)> {
    let [health_bytes, domains] = health::cost(&config.health);
    let mut map = vec![
        (
            format!("statistics of {} streams and the others", limits.streams),
            (limits.streams + 1) * Streams::STREAM_BYTES,
        ),
        ("different clients and names, for each and all".to_owned(), Statistics::distinct_cost(limits)),
        tables(config, limits),
        (format!("pairing of {} queries", limits.pairing), Pairing::cost(limits.pairing)),
        ("history".to_owned(), history_bytes(config, limits)),
        ("receive buffer".to_owned(), limits.receive),
        (format!("{TAIL_BLOCKS} blocks for long frames"), TAIL_BLOCKS * large_buffer_bytes(limits.frame)),
        ("health: upstream servers, detectors, alarms".to_owned(), health_bytes),
        ("message on its way".to_owned(), size_of::<Collector<'_>>() + RECORD_BYTES),
        // A file has a batch of the same size, which it writes while the queue takes more.
        ("lines of the log".to_owned(), LOG_QUEUE_BYTES * (1 + usize::from(config.trace.file.is_some()))),
    ];
    map.extend(inputs.iter().flat_map(|input| input.memory.iter().cloned()));
    if domains > 0 {
        map.push((format!("health: the last {NEW_DOMAINS} domains"), domains));
    }
    map.extend(config.stages().filter_map(|(_, section)| section.memory()));
    if rewrites {
        let bytes = outputs.iter().map(|output| output.kind.rewriting_cost()).sum();
        map.push(("frames that are composed again, to hide clients".to_owned(), bytes));
    }
    for output in outputs {
        map.push((format!("queue and buffers of output {}", output.name), output.cost()));
    }
    if config.web_api.enable {
        map.push(("web API".to_owned(), http::cost(limits.http_workers, limits.live_readers)));
        if config.web_api.tls().is_on() {
            let workers = limits.http_workers;
            let what = format!("TLS of {workers} connections of the web API, at most");
            map.push((what, workers * TLS_CONNECTION_BYTES));
        }
    }
    if filter_bytes > 0 {
        map.push(("names of filters".to_owned(), filter_bytes));
    }
    map
}

/// Bytes of what is remembered, and of pairing for it.
fn history_bytes(config: &Config, limits: &Limits) -> usize {
    if !config.history.enable {
        return 0;
    }
    config.history.cost(limits) + Pairing::exchanges_cost(limits.pairing)
}

/// The tables of names, clients and the rest.
fn tables(config: &Config, limits: &Limits) -> (String, usize) {
    let tracked = TrackedTable::of(&config.statistics).map_or(0, |tracked| tracked.len());
    let (bytes, sets) = Tables::cost(limits, tracked, config.geoip.enable);
    (format!("tables of {} streams and the others", sets - 1), bytes)
}

#[cfg(test)]
#[cfg(target_pointer_width = "64")]
mod tests {
    use super::*;
    use crate::daemon::parts;

    /// The table at the top of `limits` is what `--check` prints for the built-in defaults.
    #[test]
    fn the_documented_memory_is_the_real_one() {
        let config = Config::parse("", "the built-in defaults").unwrap();
        let limits = Limits::resolve(&config.limits);
        let plans = parts::plans(&config, &limits, None).unwrap();
        let map = map(&config, &limits, &[], &plans, MadeAtStart::default());
        let total = map.iter().map(|(_, bytes)| bytes).sum();
        let documented = include_str!("../limits/mod.rs");
        for (table, bytes) in map.iter().chain([&("in all".to_owned(), total)]) {
            let row = format!("//! | {table} | {bytes} |");
            assert!(documented.contains(&row), "limits lacks: {row}");
        }
    }

    /// The sizes that the profiles promise, with the built-in defaults otherwise: 1.35, 2 and 4.5 MiB with
    /// what is no table.
    #[test]
    fn profiles_keep_their_sizes() {
        for (profile, most) in
            [("tiny", 1_382 << 10), ("small", 2 << 20), ("default", 4_608 << 10), ("large", 64 << 20)]
        {
            let config = Config::parse(&format!("[limits]\nprofile = \"{profile}\""), "a profile").unwrap();
            let limits = Limits::resolve(&config.limits);
            let plans = parts::plans(&config, &limits, None).unwrap();
            let total: usize = map(&config, &limits, &[], &plans, MadeAtStart::default())
                .iter()
                .map(|(_, bytes)| bytes)
                .sum();
            assert!(total + (256 << 10) <= most, "{profile}: {total} bytes");
        }
    }
}
