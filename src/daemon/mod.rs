//! Builds everything once, runs it, and takes it down again.
//!
//! The order of the start: signals are blocked before there is a second thread; sockets and files are opened
//! with plain system calls, so that whatever the machine lacks is an error before anything runs; the rights
//! this took are given up, still without a second thread, which would keep them; then the tables are made, the sockets go into the reactor, and one executor on this thread does all the work.
//!
//! The order of the stop: inputs end first, then the outputs have [`DRAIN_SECONDS`] to write what is queued,
//! and what is left is counted as lost. The Unix socket and the pid file are removed.

pub(crate) mod certificates;
pub(crate) mod parts;

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use defmt_or_log::{debug, info, warn};
use smol::future::{or, pending, yield_now, zip};
use smol::{LocalExecutor, Task};

use crate::config::{CommandLine, Config, Reload, refusal};
use crate::history::History;
use crate::input::{BrokenOff, InputContext, InputPlan};
use crate::limits::{DRAIN_SECONDS, Limits};
use crate::message::geoip;
use crate::names::files::NameSource;
use crate::names::sources::{self, NameSources, OwnedFact};
use crate::output::{Outlets, Plan, ReopenedFile, Sink};
use crate::pipeline::Selection;
use crate::process::privileges::KeptFile;
use crate::process::{PidFile, StartError, descriptors, privileges, service};
use crate::reactor::{Timer, block_on};
use crate::sys::files as sys_files;
use crate::sys::signals::{AsyncSignals, Request, Signals};
use crate::sys::{stdio, table_memory};
use crate::time::Time;
use crate::{http, log, names, password};

use certificates::Certificates;
use parts::{FilterSections, Filters, ProcessTables, Sockets};
use service::Watchdog;

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
    let mut opened = Sockets::open(&config, &identity)?;
    let certificates = Certificates::load(&config, &opened.inputs, &opened.outputs)?;
    let pid_file = config.process.pid_file.as_deref().map(PidFile::write).transpose()?;
    privileges::give_up(&config.process, &identity, &kept_files(&config, &opened.outputs))?;
    if let Some(file) = &pid_file {
        file.warn_if_it_stays();
    }
    if let Some(saving) = config.history.saving()
        && let Some(error) = sys_files::cannot_make(&saving.folder.join("history.tmp"))
    {
        return Err(StartError(format!("history.path: {}: {error}", saving.folder.display())));
    }
    opened.inputs.iter().for_each(|input| input.source.warn_of_lost_rights());
    warn_of_unreadable(&config);
    let (rules, filters) = (std::mem::take(&mut opened.status_rules), opened.filters.take());
    let (parts, sinks) = table_memory::while_open(|| {
        let (outlets, sinks) = opened.outputs.drain(..).map(Plan::build).unzip();
        let parts = ProcessTables::build(&config, certificates, &opened.inputs, outlets, rules);
        (&*Box::leak(Box::new(parts)), sinks)
    });
    parts.receiver.collector.set_geoip(opened.geoip.take());
    parts.receiver.collector.outputs().set_networks(opened.networks.take());
    parts.receiver.collector.outputs().show_devices(config.names.enable && config.names.records);
    parts.receiver.collector.set_privacy(opened.privacy.take());
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
        let mut running = Tasks::start(&config, opened, sinks, parts, executor)?;
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

/// Descriptors that this configuration may need at once: connections of inputs and of the web API, and for each output and
/// each listener some of its own.
fn descriptors_needed(config: &Config) -> u64 {
    const OTHERS: u64 = 64;
    let limits = Limits::resolve(&config.limits);
    (limits.connections + limits.http_workers) as u64 + OTHERS
}

/// Names the files that a reload will read again and this user may not read.
fn warn_of_unreadable(config: &Config) {
    let (output, api) = (&config.output, &config.web_api);
    let mut files: Vec<(&str, Option<&Path>)> = vec![("", config.file.as_deref())];
    if api.enable && api.tls().is_on() {
        files.push(("web-api.tls-server-cert: ", api.tls_server_cert.as_deref()));
        files.push(("web-api.tls-server-key: ", api.tls_server_key.as_deref()));
    }
    for path in config.input.enabled().flat_map(|(_, kind)| kind.tls_files()) {
        files.push(("", Some(path)));
    }
    for tls in output.enabled().filter_map(|(_, kind)| kind.tls()) {
        files.push(("", tls.key.as_deref()));
    }
    if config.geoip.enable {
        files.push(("geoip.city-database: ", config.geoip.city_database.as_deref()));
        files.push(("geoip.asn-database: ", config.geoip.asn_database.as_deref()));
    }
    for filter in core::iter::once(&config.filter).chain(output.enabled().map(|(_, kind)| kind.keys().filter))
    {
        files.push(("names-file: ", filter.names_file.as_deref()));
        files.push(("exclude-names-file: ", filter.exclude_names_file.as_deref()));
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

/// The page of the web API, for who starts the program.
fn page(config: &Config, address: SocketAddr) -> String {
    let api = &config.web_api;
    let scheme = if api.tls().is_on() { "https" } else { "http" };
    let login = if api.password.is_off() { String::new() } else { format!(", login {}", api.login.as_str()) };
    format!("Web page: {scheme}://{address}/{login}")
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

/// The tasks of a daemon that runs.
struct Tasks {
    inputs: Vec<Task<Result<(), BrokenOff>>>,
    /// The input after which the daemon stops.
    last: Option<Task<Result<(), BrokenOff>>>,
    outputs: Vec<Task<()>>,
    /// The web API.
    api: Option<Task<()>>,
    others: Vec<Task<()>>,
}

impl Tasks {
    /// Puts everything that is open to work.
    fn start(
        config: &Config,
        opened: Sockets,
        sinks: Vec<Box<dyn Sink>>,
        parts: &'static ProcessTables,
        executor: &'static LocalExecutor<'static>,
    ) -> Result<Self, StartError> {
        let mut running =
            Tasks { inputs: Vec::new(), last: None, outputs: Vec::new(), api: None, others: Vec::new() };
        for (sink, outlet) in sinks.into_iter().zip(parts.stage.outlets.iter()) {
            debug!("Output handler: {}", outlet.name());
            running.outputs.push(executor.spawn(sink.run(parts.stage, outlet)));
        }
        let context = InputContext { executor, receiver: &parts.receiver };
        let mut told = "";
        for InputPlan { name, source, .. } in opened.inputs {
            let Some(counters) = parts.counters(name) else { continue };
            if name != told {
                debug!("Input handler: {}", name.replace('-', " "));
                told = name;
            }
            let is_last = source.is_last();
            let failure = StartError::of(format!("input.{name}"));
            let task = executor.spawn(source.run(context, counters).map_err(failure)?);
            if is_last {
                running.last = Some(task);
            } else {
                running.inputs.push(task);
            }
        }
        if !opened.web_api.is_empty() {
            for (number, listener) in opened.web_api.iter().enumerate() {
                let address = listener.local_addr().map_err(StartError::of("web-api"))?;
                debug!("Webserver: listening on {}", address.to_string());
                if number == 0 {
                    let page = page(config, address);
                    info!("{}", page);
                    if config.trace.file.is_some() && std::io::stderr().is_terminal() {
                        let _ = writeln!(std::io::stderr(), "{page}");
                    }
                }
            }
            running.api = Some(executor.spawn(http::serve(
                executor,
                opened.web_api,
                parts.app(),
                parts.certificates.web_api.as_ref(),
            )));
        }
        running.others.push(executor.spawn(tick(parts)));
        let saver = parts.saver.borrow_mut().take();
        if let (Some(saver), Some(control), Some(history)) =
            (saver, parts.saver_control.as_ref(), parts.receiver.collector.history())
        {
            running.others.push(executor.spawn(saver.run(
                history,
                parts.receiver.collector.health_cell(),
                control,
            )));
        }
        if names::BUILT
            && let Some(history) = parts.receiver.collector.history()
        {
            let sources = NameSources::new(&config.names);
            running.others.push(executor.spawn(learn_names(history, sources, &parts.new_names)));
        }
        Ok(running)
    }

    /// Waits for a reason to stop, and serves reloads in the meantime.
    async fn until_stop(
        &mut self,
        mut config: Config,
        overlay: &CommandLine,
        parts: &ProcessTables,
        signals: &AsyncSignals,
    ) -> Result<(), StartError> {
        let last = self.last.take();
        let ended = async {
            match last {
                Some(task) => task.await.map_err(|BrokenOff| StartError("the input broke off".to_owned())),
                None => pending().await,
            }
        };
        let has_terminal = stdio::has_terminal();
        let asked = async {
            // Who closes the terminal means the program, too.
            while let (Ok(Request::Reload), false) = (signals.next().await, has_terminal) {
                service::reloading();
                reload(&mut config, overlay, parts).await;
                service::ready();
            }
            Ok(())
        };
        or(asked, ended).await
    }

    /// Ends the inputs, lets the outputs write what is queued and the web API answer what it was asked, side by side, and
    /// ends the rest.
    async fn stop(self, parts: &'static ProcessTables) {
        info!("Stopping");
        service::stopping();
        for input in self.inputs {
            input.cancel().await;
        }
        // What was written before is read yet, where a connection paused.
        parts.receiver.gather.finish();
        yield_now().await;
        parts.receiver.connections.close_all();
        parts.stage.outlets.finish();
        parts.api_stop.ask();
        let written = async {
            for output in self.outputs {
                output.await;
            }
        };
        let saved = async {
            if let Some(saver) = &parts.saver_control {
                or(saver.end(), async {
                    Timer::after(Duration::from_millis(SAVE_STOP_MS)).await;
                })
                .await;
            }
        };
        let answered = async {
            if let Some(api) = self.api {
                api.await;
            }
        };
        or(
            async {
                zip(written, zip(answered, saved)).await;
            },
            async {
                Timer::after(Duration::from_secs(DRAIN_SECONDS)).await;
            },
        )
        .await;
        parts.stage.outlets.give_up();
    }
}

/// Milliseconds that saving may take at a stop.
const SAVE_STOP_MS: u64 = 1_000;

/// Once a second: rates and deadlines.
async fn tick(parts: &'static ProcessTables) {
    let mut last = Instant::now();
    let mut watchdog = Watchdog::from_environment();
    // So that the series have their dates from the beginning.
    tick_history(parts);
    loop {
        Timer::after(Duration::from_secs(1)).await;
        let now = Instant::now();
        let milliseconds = u64::try_from(now.duration_since(last).as_millis()).unwrap_or(u64::MAX);
        parts.stage.statistics.borrow_mut().tick(milliseconds);
        tick_history(parts);
        // Who prints a capture to a reader that had enough is not told what was not read.
        if !parts.receiver.collector.is_selective() {
            parts.stage.outlets.tick(now);
        }
        parts.receiver.collector.tick(milliseconds);
        log::tick(now);
        parts.receiver.connections.tick();
        if geoip::was_cut() {
            warn!(
                "geoip.city-database: it was cut short while in use, so places are missing until SIGHUP; replace it by renaming"
            );
        }
        watchdog.tick(now);
        last = now;
    }
}

/// Ends the minutes that are over, and the queries that found no response.
fn tick_history(parts: &ProcessTables) {
    if let Some(history) = parts.receiver.collector.history() {
        let mut statistics = parts.stage.statistics.borrow_mut();
        let unanswered = |place| statistics.count_unanswered(usize::from(place));
        history.borrow_mut().tick(parts::monotonic_ms(), wall_seconds(), unanswered);
    }
}

/// Seconds since 1970; `None` while the clock is older than this program, as on a router that has not heard the time yet.
fn wall_seconds() -> Option<u64> {
    let seconds = Time::now().seconds;
    (seconds >= BUILT_SECONDS).then_some(seconds)
}

/// No clock that is set shows a time before this one: 2026-11-01.
const BUILT_SECONDS: u64 = 1_793_491_200;

/// Looks again and again at what says who is who.
async fn learn_names(
    history: &'static RefCell<History>,
    mut sources: NameSources,
    changed: &'static RefCell<Option<NameSources>>,
) {
    learn(history, sources.statics());
    loop {
        if !history.borrow().has_devices() {
            Timer::after(Duration::from_secs(sources::LOOK_SECONDS)).await;
            continue;
        }
        if let Some(new) = changed.borrow_mut().take() {
            sources = new;
            history.borrow_mut().devices_mut().forget_names(NameSource::Static);
            learn(history, sources.statics());
        }
        let changed = sources.changed();
        if !changed.is_empty() {
            let facts = smol::unblock(move || sources::read(&changed)).await;
            // A few at a time: each may walk the table of devices.
            for facts in facts.chunks(FACTS_AT_ONCE) {
                learn(history, facts);
                yield_now().await;
            }
        }
        if history.borrow().has_devices() {
            sources.learn_neighbours(history.borrow_mut().devices_mut(), now_seconds());
        }
        Timer::after(Duration::from_secs(sources::LOOK_SECONDS)).await;
    }
}

/// Has the devices learn some facts.
fn learn(history: &RefCell<History>, facts: &[OwnedFact]) {
    let mut history = history.borrow_mut();
    if !history.has_devices() {
        return;
    }
    facts.iter().for_each(|fact| history.devices_mut().learn(&fact.as_fact(), now_seconds()));
}

/// Seconds since 1970 as a device keeps them.
fn now_seconds() -> u32 {
    u32::try_from(Time::now().seconds).unwrap_or(u32::MAX)
}

/// Facts learned before other work has its turn.
const FACTS_AT_ONCE: usize = 32;

/// Addresses are hidden in another way from now on: nothing stays that has them in the old one.
fn forget_clients(new: &Config, parts: &ProcessTables) {
    if let Some(history) = parts.receiver.collector.history() {
        history.borrow_mut().set_devices(!new.privacy.hides_clients());
    }
    parts.receiver.collector.forget_clients(&new.health);
    if let Some(saver) = &parts.saver_control {
        saver.erase();
    }
}

/// Takes over what can change while running; an invalid file leaves everything as it is. Files of names are read on
/// another thread, since a million take a while, and until they are read, the filters are as before.
async fn reload(config: &mut Config, overlay: &CommandLine, parts: &ProcessTables) {
    parts.stage.outlets.reopen();
    let Some(path) = config.file.clone() else {
        log::reconfigure(&config.trace);
        return;
    };
    let new = match config.load_again(&path, overlay) {
        Ok(new) => refusal(config, &new).map_or(Ok(new), Err),
        Err(errors) => Err(errors.to_string()),
    };
    let new = match new {
        Ok(new) => new,
        Err(why) => {
            for line in why.lines() {
                warn!("Not reloaded: {}", line);
            }
            log::reconfigure(&config.trace);
            return;
        }
    };
    let privacy = match parts::privacy(&new) {
        Ok(privacy) => Some(privacy),
        Err(failure) if new.privacy == config.privacy => {
            warn!("{}: the key in force stays", failure.to_string());
            None
        }
        Err(failure) => {
            warn!("Not reloaded: {}", failure.to_string());
            log::reconfigure(&config.trace);
            return;
        }
    };
    log::reconfigure(&new.trace);
    let changes = Reload::between(config, &new);
    let sections = FilterSections::of(&new);
    match smol::unblock(move || Filters::load(&sections)).await {
        Ok(filters) => filters.apply(parts.receiver.collector),
        Err(failure) => warn!("{}: the filters in force stay", failure.to_string()),
    }
    parts.receiver.collector.set_health(&new.health);
    if let Some(privacy) = privacy
        && parts.receiver.collector.set_privacy(privacy)
    {
        forget_clients(&new, parts);
    }
    parts.certificates.reload(&new);
    if let Some(history) = parts.receiver.collector.history() {
        history.borrow_mut().set_learns_from_frames(new.names.uses_neighbours());
        if new.names != config.names || new.privacy.hides_clients() != config.privacy.hides_clients() {
            *parts.new_names.borrow_mut() = Some(NameSources::new(&new.names));
        }
        match parts::status_rules(&new) {
            Ok(rules) => history.borrow_mut().set_rules(rules),
            Err(failure) => warn!("{}: the list in force stays", failure.to_string()),
        }
    }
    match parts::geoip(&new) {
        Ok(database) => parts.receiver.collector.set_geoip(database),
        Err(failure) => warn!("{}: the database in force stays", failure.to_string()),
    }
    match parts::networks(&new) {
        Ok(database) => parts.receiver.collector.outputs().set_networks(database),
        Err(failure) => warn!("{}: the database in force stays", failure.to_string()),
    }
    parts.receiver.collector.outputs().show_devices(new.names.enable && new.names.records);
    info!(
        "Reloaded; taken over: {}",
        if changes.taken.is_empty() { "no change".into() } else { changes.taken.join(", ") }
    );
    if !changes.needs_restart.is_empty() {
        warn!("Changed, but in force after a restart only: {}", changes.needs_restart.join(", "));
    }
    // What waits for a restart is named again at each reload until then.
    let started = std::mem::take(&mut config.started);
    *config = Config { started, ..new };
}
