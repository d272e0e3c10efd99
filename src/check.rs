//! `--check`: what would run, and what memory it would take.

use core::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{Config, Reload, refusal};
use crate::daemon::certificates::Certificates;
use crate::daemon::stages::LoadedStages;
use crate::daemon::{kept_files, parts};
use crate::history::saver::SaveSettings;
use crate::input::receiver::large_buffer_bytes;
use crate::input::{InputPlan, InputPlanContext};
use crate::limits::{
    LOG_QUEUE_BYTES, Limits, NEW_DOMAINS, PROGRAM_BYTES, RECORD_BYTES, TAIL_BLOCKS, TLS_CONNECTION_BYTES,
};
use crate::message::geoip::NetworkDatabase;
use crate::message::pairing::Pairing;
use crate::output::{Plan, PlanContext};
use crate::pipeline::Collector;
use crate::process::{PidFile, StartError, privileges};
use crate::statistics::Statistics;
use crate::statistics::streams::Streams;
use crate::statistics::tables::{Tables, TrackedTable};
use crate::sys::files::cannot_make;
use crate::sys::privileges::may_listen_on;
use crate::{health, http, log};

/// Opens the files that the configuration names, and prints what would run and the memory map. Binds and
/// connects nothing; shows no secret. Ends with the rights that a start would keep.
///
/// # Errors
///
/// Everything a start of the same user would refuse, a taken port apart, in the order of the file.
pub fn check(config: &Config, out: &mut impl Write) -> Result<(), StartError> {
    let limits = Limits::resolve(&config.limits);
    let mut errors = Errors(Vec::new());
    let identity = errors.keep(privileges::identity(&config.process));
    let trace = parts::shown(config.trace.file.as_deref());
    errors.keep(
        log::start(&config.trace, identity.as_ref()).map_err(StartError::of(format!("trace.file: {trace}"))),
    );
    let context = InputPlanContext { limits: &limits, input: &config.input };
    let mut inputs = Vec::new();
    for (path, kind) in config.input.enabled() {
        let plan = kind.plan(&context).map_err(|error| StartError(format!("input.{path}{error}")));
        inputs.extend(errors.keep(plan));
    }
    let stages = LoadedStages::load(config);
    errors.0.extend(stages.errors().map(ToString::to_string));
    let networks = errors.keep(parts::networks(config)).flatten();
    errors.keep(parts::status_rules(config));
    let filters = errors.keep(parts::LoadedFilters::load(&parts::FilterSections::of(config)));
    let filter_bytes = filters.as_ref().map_or(0, parts::LoadedFilters::cost);
    let context = PlanContext { limits: &limits, identity: identity.as_ref() };
    let mut outputs = Vec::new();
    for (path, kind) in config.output.enabled() {
        let plan = kind.plan(&context).map(|plan| plan.settled(&limits));
        let plan = plan.map_err(|error| StartError(format!("output.{path}{error}")));
        outputs.extend(errors.keep(plan));
    }
    errors.keep(Certificates::load(config, &inputs, &outputs));
    errors.0.extend(without_rights(config));
    for input in &inputs {
        errors.0.extend(input.source.foresee().into_iter().map(|why| format!("input.{}{why}", input.name)));
    }
    if let Some(identity) = &identity {
        let assumed = identity.assume().map_err(StartError::of("process.user, process.group"));
        if errors.keep(assumed).is_some() {
            for file in kept_files(config, &outputs) {
                errors.keep(privileges::warn_if_not_reopenable(&file));
            }
        }
    }
    errors.0.extend(unsaved(config));
    config.locate(&mut errors.0);
    if let Some(error) = StartError::all(errors.0) {
        return Err(error);
    }
    let loaded = Loaded { stages: &stages, networks: networks.as_ref(), filter_bytes };
    print(config, &limits, (&inputs, &outputs), loaded, out).map_err(StartError::of("output"))
}

/// Says which changes against the configuration in force a SIGHUP would take over, and which need a restart.
///
/// The exit status: 0 when a SIGHUP is enough, 3 when it is not. `old` is read by the caller, before
/// [`check`] gives up the rights that its files with secrets may need.
pub fn compare(new: &Config, old: Result<Config, impl Display>, out: &mut impl Write) -> ExitCode {
    let (taken, needs_restart) = match old {
        Ok(old) => {
            let changes = Reload::between(&old, new);
            (changes.taken, changes.needs_restart.into_iter().chain(refusal(&old, new)).collect())
        }
        Err(errors) => (Vec::new(), vec![errors.to_string()]),
    };
    let _ = match (taken.is_empty(), needs_restart.is_empty()) {
        (true, true) => writeln!(out, "no change"),
        (_, true) => writeln!(out, "taken over by SIGHUP: {}", taken.join(", ")),
        (_, false) => writeln!(out, "needs a restart: {}", needs_restart.join(", ")),
    };
    if needs_restart.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NEEDS_RESTART) }
}

/// The exit status of `--check --against` when a SIGHUP is not enough.
const NEEDS_RESTART: u8 = 3;

/// Errors, so far.
struct Errors(Vec<String>);

impl Errors {
    fn keep<T>(&mut self, result: Result<T, StartError>) -> Option<T> {
        result.map_err(|error| self.0.push(error.to_string())).ok()
    }
}

/// Reasons to refuse a start for want of rights or folders beside the inputs, found without binding anything.
fn without_rights(config: &Config) -> Vec<String> {
    let api = &config.web_api;
    let mut errors = Vec::new();
    if api.enable && !may_listen_on(api.local_port.get()) {
        let denied = io::Error::from_raw_os_error(nix::libc::EACCES);
        errors.push(format!("web-api: {}: {denied}", http::address(api)));
    }
    // A folder that is not there is made; then the one it is in has to let that happen.
    let folder = config.history.saving().map(|saving| saving.folder).filter(|folder| !folder.exists());
    for (key, path, obstacle) in [
        ("process.pid-file", config.process.pid_file.as_deref(), PidFile::obstacle as fn(&Path) -> _),
        ("web-api.password-file", config.password_to_make.as_deref(), cannot_make),
        ("history.path", folder.as_deref(), cannot_make),
    ] {
        let Some(path) = path else { continue };
        errors.extend(obstacle(path).map(|why| format!("{key}: {}: {why}", path.display())));
    }
    errors
}

/// Why nothing could be saved in the folder that is there, with the rights that are left.
fn unsaved(config: &Config) -> Option<String> {
    let saving = config.history.saving()?;
    let why = saving.obstacle().filter(|_| saving.folder.exists())?;
    Some(format!("history.path: {}: {why}", saving.folder.display()))
}

/// The parts that were read from files.
struct Loaded<'d> {
    stages: &'d LoadedStages,
    networks: Option<&'d NetworkDatabase>,
    /// Bytes of the lists of names.
    filter_bytes: usize,
}

fn print(
    config: &Config,
    limits: &Limits,
    (inputs, outputs): (&[InputPlan], &[Plan]),
    loaded: Loaded<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    match &config.file {
        Some(file) => writeln!(out, "configuration: {}", file.display())?,
        None => writeln!(out, "configuration: built-in defaults")?,
    }
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for warning in inputs.iter().filter_map(|input| input.source.warning()) {
        writeln!(out, "warning: input.{warning}")?;
    }
    if let Some(path) = &config.password_to_make {
        let path = path.display();
        writeln!(
            out,
            "warning: web-api.password-file: {path} is not there yet; it will be made, with a new password"
        )?;
    }
    for input in inputs {
        writeln!(out, "input: {} {}", input.name, input.words)?;
    }
    for (key, pattern) in config.filter.patterns() {
        let how = if pattern.is_literal() { "plain text, fast" } else { "regular expression, slow" };
        writeln!(out, "filter: {key}, {how}")?;
    }
    for (path, kind) in config.output.enabled() {
        for (key, pattern) in kind.keys().filter.patterns() {
            let how = if pattern.is_literal() { "plain text, fast" } else { "regular expression, slow" };
            writeln!(out, "filter of output.{path}: {key}, {how}")?;
        }
    }
    if let Some(database) = loaded.networks {
        let path = parts::shown(config.geoip.asn_database.as_deref());
        writeln!(out, "geoip: {path}, {}", database.kind())?;
    }
    for line in loaded.stages.words(config) {
        writeln!(out, "{line}")?;
    }
    for output in outputs {
        writeln!(out, "output: {}, {}", output.name, output.words)?;
    }
    if config.web_api.enable {
        let tls = config.web_api.tls().words();
        writeln!(out, "web API: on {}{tls}", http::address(&config.web_api))?;
    }
    match config.history.saving() {
        Some(SaveSettings { folder, interval, budget: 0 }) => {
            let (folder, seconds) = (folder.display(), interval.as_secs());
            writeln!(out, "history: saved in {folder} every {seconds} s, without a limit of bytes a day")?;
        }
        Some(SaveSettings { folder, interval, budget }) => {
            let (folder, seconds) = (folder.display(), interval.as_secs());
            writeln!(out, "history: saved in {folder} every {seconds} s, at most {budget} bytes a day")?;
        }
        None if config.history.enable => writeln!(out, "history: in memory alone")?,
        None => {}
    }
    writeln!(out, "memory, in bytes:")?;
    let mut map = memory_map(config, limits, inputs, outputs, loaded.stages.rewrites());
    if loaded.filter_bytes > 0 {
        map.push(("names of filters".to_owned(), loaded.filter_bytes));
    }
    let mut total = 0;
    for (table, bytes) in map {
        writeln!(out, "{bytes:>12}  {table}")?;
        total += bytes;
    }
    writeln!(out, "{total:>12}  in all; stacks, reactor and configuration take about {PROGRAM_BYTES} more")
}

/// Bytes of what is remembered, and of pairing for it.
fn history_bytes(config: &Config, limits: &Limits) -> usize {
    if !config.history.enable {
        return 0;
    }
    config.history.cost(limits) + Pairing::exchanges_cost(limits.pairing)
}

/// Every table and buffer that is made at start, and its bytes; and what TLS takes when all places use it.
fn memory_map(
    config: &Config,
    limits: &Limits,
    inputs: &[InputPlan],
    outputs: &[Plan],
    rewrites: bool,
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
    map
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

    /// The table at the top of `limits` is what `--check` prints for the built-in defaults.
    #[test]
    fn the_documented_memory_is_the_real_one() {
        let config = Config::parse("", "the built-in defaults").unwrap();
        let limits = Limits::resolve(&config.limits);
        let plans = parts::plans(&config, &limits, None).unwrap();
        let map = memory_map(&config, &limits, &[], &plans, false);
        let total = map.iter().map(|(_, bytes)| bytes).sum();
        let documented = include_str!("limits/mod.rs");
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
            let total: usize =
                memory_map(&config, &limits, &[], &plans, false).iter().map(|(_, bytes)| bytes).sum();
            assert!(total + (256 << 10) <= most, "{profile}: {total} bytes");
        }
    }
}
