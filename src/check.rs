//! `--check`: what would run, and what memory it would take.

use core::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{Config, Reload, refusal};
use crate::daemon::certificates::Certificates;
use crate::daemon::memory::{self, MadeAtStart};
use crate::daemon::stages::LoadedStages;
use crate::daemon::{kept_files, parts};
use crate::history::saver::SaveSettings;
use crate::input::{InputPlan, InputPlanContext};
use crate::limits::{Limits, PROGRAM_BYTES};
use crate::message::geoip::NetworkDatabase;
use crate::output::{Plan, PlanContext};
use crate::process::{PidFile, StartError, privileges};
use crate::sys::files::cannot_make;
use crate::sys::privileges::may_listen_on;
use crate::{http, log};

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
    let mut total = 0;
    let at_start = MadeAtStart { rewrites: loaded.stages.rewrites(), filter_bytes: loaded.filter_bytes };
    for (table, bytes) in memory::map(config, limits, inputs, outputs, at_start) {
        writeln!(out, "{bytes:>12}  {table}")?;
        total += bytes;
    }
    writeln!(out, "{total:>12}  in all; stacks, reactor and configuration take about {PROGRAM_BYTES} more")
}
