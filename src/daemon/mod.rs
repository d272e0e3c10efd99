//! Builds everything once, runs it, and takes it down again.
//!
//! The order of the start: signals are blocked before there is a second thread; sockets and files are opened
//! with plain system calls, so that whatever the machine lacks is an error before anything runs; the rights
//! this took are given up, still without a second thread, which would keep them; then the tables are made,
//! the sockets go into the reactor, and one executor on this thread does all the work.
//!
//! The order of the stop: inputs end first, then the outputs have
//! [`DRAIN_SECONDS`](crate::limits::DRAIN_SECONDS) to write what is queued, and what is left is counted as
//! lost. The Unix socket and the pid file are removed.

pub(crate) mod certificates;
mod clock;
mod learning;
pub(crate) mod memory;
pub(crate) mod parts;
mod reload;
pub(crate) mod stages;
mod tasks;

use std::path::Path;

use defmt_or_log::{debug, info, warn};
use smol::LocalExecutor;
use smol::future::or;

use crate::config::{CommandLine, Config};
use crate::limits::Limits;
use crate::output::{Outlets, Plan, ReopenedFile};
use crate::pipeline::Selection;
use crate::process::privileges::KeptFile;
use crate::process::{PidFile, StartError, descriptors, privileges, service};
use crate::reactor::block_on;
use crate::sys::files as sys_files;
use crate::sys::signals::{AsyncSignals, Signals};
use crate::sys::table_memory;
use crate::{log, password};

use certificates::Certificates;
use memory::MadeAtStart;
use parts::{OpenSockets, ProcessTables};
use stages::LoadedStages;
use tasks::DaemonTasks;

/// Runs until a signal asks to stop, or until the capture is replayed that was the only input.
///
/// # Errors
///
/// The missing part of the machine: a port, a file, a permission.
pub fn run(config: Config, overlay: CommandLine) -> Result<(), StartError> {
    run_with(config, overlay, None)
}

/// Runs until a capture is replayed and printed, or nobody reads on: what is not selected is not printed.
///
/// # Errors
///
/// Those of [`run`].
pub(crate) fn print(config: Config, selection: &'static dyn Selection) -> Result<(), StartError> {
    run_with(config, CommandLine::default(), Some(selection))
}

fn run_with(
    config: Config,
    overlay: CommandLine,
    selection: Option<&'static dyn Selection>,
) -> Result<(), StartError> {
    let signals = Signals::block().map_err(StartError::of("signals"))?;
    let identity = privileges::identity(&config.process)?;
    log::start(&config.trace, Some(&identity))
        .map_err(StartError::of(format!("trace.file: {}", parts::shown(config.trace.file.as_deref()))))?;
    if selection.is_some() {
        log::only_warnings();
    }
    debug!("Start dnstapd...");
    if config.file.is_some() {
        debug!("External config file loaded");
    }
    for warning in &config.warnings {
        warn!("{}", warning);
    }
    if let Some(path) = &config.password_to_make {
        password::write(path, config.web_api.password.expose())
            .map_err(StartError::of(format!("web-api.password-file: {}", path.display())))?;
        info!("web-api.password-file: {}: made, with a new password", path.display().to_string());
    }
    descriptors::provide(descriptors_needed(&config));
    let mut opened = OpenSockets::open(&config, &identity)?;
    let certificates = Certificates::load(&config, &opened.inputs, &opened.outputs)?;
    let pid_file = config.process.pid_file.as_deref().map(PidFile::write).transpose()?;
    privileges::give_up(&config.process, &identity, &kept_files(&config, &opened.outputs))?;
    if let Some(file) = &pid_file {
        file.warn_if_it_stays();
    }
    if let Some(saving) = config.history.saving()
        && let Some(error) = saving.obstacle()
    {
        return Err(StartError(format!("history.path: {}: {error}", saving.folder.display())));
    }
    opened.inputs.iter().for_each(|input| input.source.warn_of_lost_rights());
    warn_of_unreadable(&config);
    let (rules, filters) = (std::mem::take(&mut opened.status_rules), opened.filters.take());
    let at_start = MadeAtStart {
        rewrites: opened.stages.as_ref().is_some_and(LoadedStages::rewrites),
        filter_bytes: filters.as_ref().map_or(0, parts::LoadedFilters::cost),
    };
    let limits = Limits::resolve(&config.limits);
    let memory = memory::map(&config, &limits, &opened.inputs, &opened.outputs, at_start);
    let (parts, sinks) = table_memory::while_open(|| {
        let (outlets, sinks) = opened.outputs.drain(..).map(Plan::build).unzip();
        let parts = ProcessTables::build(&config, certificates, &opened.inputs, outlets, rules, memory);
        parts.config.set(config.file.as_deref(), &config.in_force(&overlay));
        (&*Box::leak(Box::new(parts)), sinks)
    });
    parts.receiver.collector.outputs().set_networks(opened.networks.take());
    parts.receiver.collector.outputs().show_devices(config.names.enable && config.names.records);
    if let Some(stages) = opened.stages.take() {
        stages.apply(parts.receiver.collector);
    }
    if let Some(selection) = selection {
        parts.receiver.collector.select(selection);
    }
    if let Some(filters) = filters {
        filters.apply(parts.receiver.collector);
    }
    let executor: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
    // On the heap: who runs it moves it several times, and each place would stay on the stack.
    let result = block_on(executor.run(Box::pin(async {
        let signals = signals.into_async().map_err(StartError::of("signals"))?;
        executor.spawn(log::run()).detach();
        let mut running = DaemonTasks::start(&config, opened, sinks, parts, executor)?;
        service::ready();
        let stopped = running.until_stop(config, &overlay, parts, &signals);
        let result = match selection {
            Some(_) => printed(stopped, &parts.stage.outlets, &signals).await,
            None => stopped.await,
        };
        running.stop(parts).await;
        log::finish().await;
        result
    })));
    drop(pid_file);
    result
}

/// Waits for the end of a capture, and for whoever reads what is printed of it, or for a signal.
async fn printed(
    stopped: impl Future<Output = Result<(), StartError>>,
    outlets: &Outlets,
    signals: &AsyncSignals,
) -> Result<(), StartError> {
    let unread = async {
        outlets.closed().await;
        Ok(())
    };
    let result = or(stopped, unread).await;
    let asked = async {
        let _ = signals.next().await;
    };
    or(outlets.drained(), asked).await;
    result
}

/// Descriptors that this configuration may need at once: connections of inputs and of the web API, and for
/// each output and each listener some of its own.
fn descriptors_needed(config: &Config) -> u64 {
    const OTHERS: u64 = 64;
    let limits = Limits::resolve(&config.limits);
    (limits.connections + limits.http_workers) as u64 + OTHERS
}

/// Names the files that a reload will read again and this user may not read.
fn warn_of_unreadable(config: &Config) {
    let (output, api) = (&config.output, &config.web_api);
    let mut files: Vec<(String, Option<&Path>)> = vec![(String::new(), config.file.as_deref())];
    if api.enable && api.tls().is_on() {
        files.push(("web-api.tls-server-cert: ".to_owned(), api.tls_server_cert.as_deref()));
        files.push(("web-api.tls-server-key: ".to_owned(), api.tls_server_key.as_deref()));
    }
    for path in config.input.enabled().flat_map(|(_, kind)| kind.tls_files()) {
        files.push((String::new(), Some(path)));
    }
    for tls in output.enabled().filter_map(|(_, kind)| kind.tls()) {
        files.push((String::new(), tls.key.as_deref()));
    }
    for (name, section) in config.stages() {
        files.extend(section.files().into_iter().map(|(key, path)| (format!("{name}.{key}: "), Some(path))));
    }
    for filter in core::iter::once(&config.filter).chain(output.enabled().map(|(_, kind)| kind.keys().filter))
    {
        files.push(("names-file: ".to_owned(), filter.names_file.as_deref()));
        files.push(("exclude-names-file: ".to_owned(), filter.exclude_names_file.as_deref()));
    }
    for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path?))) {
        if !sys_files::may_read(path) {
            warn!(
                "{}{}: this user may not read it, so a reload cannot; what is in force will stay until a restart",
                key,
                path.display().to_string()
            );
        }
    }
}

/// The files that are opened again at a reload, and at rotation.
pub(crate) fn kept_files(config: &Config, outputs: &[Plan]) -> Vec<KeptFile> {
    let trace = config.trace.file.as_deref().map(|path| KeptFile {
        key: "trace.file".to_owned(),
        path: path.to_owned(),
        // Where it cannot be renamed it grows on: no reason not to start.
        rotates: false,
    });
    let outputs = outputs.iter().filter_map(|plan| {
        let ReopenedFile { path, rotates } = plan.sink.file()?;
        Some(KeptFile { key: format!("output.{}.file", config.output.path_of(&plan.name)), path, rotates })
    });
    trace.into_iter().chain(outputs).collect()
}
