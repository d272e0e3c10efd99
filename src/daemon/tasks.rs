//! The tasks of a daemon that runs: started, awaited, and ended in order.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use defmt_or_log::{debug, info};
use smol::future::{or, pending, yield_now, zip};
use smol::{LocalExecutor, Task};

use super::clock::tick;
use super::learning::learn_names;
use super::parts::{OpenSockets, ProcessTables};
use super::reload::reload;
use crate::config::{CommandLine, Config};
use crate::input::{BrokenOff, InputContext, InputPlan};
use crate::limits::DRAIN_SECONDS;
use crate::names::sources::NameSources;
use crate::output::Sink;
use crate::process::{StartError, service};
use crate::reactor::Timer;
use crate::sys::signals::{AsyncSignals, Request};
use crate::sys::stdio;
use crate::{http, names};

/// The tasks of a daemon that runs.
pub(super) struct DaemonTasks {
    inputs: Vec<Task<Result<(), BrokenOff>>>,
    /// The input after which the daemon stops.
    last: Option<Task<Result<(), BrokenOff>>>,
    outputs: Vec<Task<()>>,
    /// The web API.
    api: Option<Task<()>>,
    others: Vec<Task<()>>,
}

impl DaemonTasks {
    /// Puts everything that is open to work.
    pub(super) fn start(
        config: &Config,
        opened: OpenSockets,
        sinks: Vec<Box<dyn Sink>>,
        parts: &'static ProcessTables,
        executor: &'static LocalExecutor<'static>,
    ) -> Result<Self, StartError> {
        let mut running = DaemonTasks {
            inputs: Vec::new(),
            last: None,
            outputs: Vec::new(),
            api: None,
            others: Vec::new(),
        };
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
    pub(super) async fn until_stop(
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

    /// Ends the inputs, lets the outputs write what is queued and the web API answer what it was asked, side
    /// by side, and ends the rest.
    pub(super) async fn stop(self, parts: &'static ProcessTables) {
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

/// The page of the web API, for who starts the program.
fn page(config: &Config, address: SocketAddr) -> String {
    let api = &config.web_api;
    let scheme = if api.tls().is_on() { "https" } else { "http" };
    let login = if api.password.is_off() { String::new() } else { format!(", login {}", api.login.as_str()) };
    format!("Web page: {scheme}://{address}/{login}")
}
