//! The parts of a daemon: what it opens, and the tables it fills.

use std::cell::RefCell;
use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use super::certificates::Certificates;
use super::stages::LoadedStages;
use crate::config::Config;
use crate::history::saver::{Saver, SaverControl};
use crate::history::status::StatusRules;
use crate::history::{self, History};
use crate::http;
use crate::input::counters::InputCounters;
use crate::input::receiver::Receiver;
use crate::input::{InputPlan, InputPlanContext};
use crate::limits::Limits;
use crate::message::filter::{self, Filter};
use crate::message::geoip::NetworkDatabase;
use crate::message::name_set::NameSet;
use crate::message::pairing::Pairing;
use crate::message::stages::Stages;
use crate::names::sources::NameSources;
use crate::output::{Outlet, Outlets, Plan, PlanContext, TaskContext};
use crate::pipeline::Collector;
use crate::process::StartError;
use crate::statistics::Statistics;
use crate::sys::files as sys_files;
use crate::sys::privileges::Identity;

/// Sockets and files, open, before anything runs.
pub(crate) struct OpenSockets {
    pub(crate) inputs: Vec<InputPlan>,
    pub(crate) outputs: Vec<Plan>,
    pub(crate) web_api: Vec<TcpListener>,
    /// The database of networks.
    pub(crate) networks: Option<NetworkDatabase>,
    pub(crate) status_rules: StatusRules,
    /// `None` once they are in force.
    pub(crate) stages: Option<LoadedStages>,
    /// `None` once they are in force.
    pub(crate) filters: Option<LoadedFilters>,
}

impl OpenSockets {
    /// Opens what the configuration enables.
    pub(crate) fn open(config: &Config, identity: &Identity) -> Result<Self, StartError> {
        let limits = Limits::resolve(&config.limits);
        let api = &config.web_api;
        let stages = LoadedStages::load(config);
        if let Some(StartError(text)) = stages.errors().next() {
            return Err(StartError(text.clone()));
        }
        let mut sockets = OpenSockets {
            stages: Some(stages),
            networks: networks(config)?,
            status_rules: status_rules(config)?,
            filters: Some(LoadedFilters::load(&FilterSections::of(config))?),
            outputs: plans(config, &limits, Some(identity))?,
            inputs: inputs(config, &limits)?,
            web_api: Vec::new(),
        };
        for input in &mut sockets.inputs {
            let failure = StartError::of(format!("input.{}", input.name));
            input.source.open(identity).map_err(failure)?;
        }
        if let Some(saving) = config.history.saving() {
            sys_files::make_folder(&saving.folder, identity)
                .map_err(StartError::of(format!("history.path: {}", saving.folder.display())))?;
        }
        if api.enable {
            let failure = StartError::of(format!("web-api: {}", http::address(api)));
            sockets.web_api = http::listeners(api).map_err(failure)?;
        }
        Ok(sockets)
    }
}

/// The inputs that are enabled; nothing is bound yet.
pub(crate) fn inputs(config: &Config, limits: &Limits) -> Result<Vec<InputPlan>, StartError> {
    let plans = config.input.plans(&InputPlanContext { limits, input: &config.input });
    plans.map_err(|(path, error)| StartError(format!("input.{path}{error}")))
}

/// The outputs that are enabled, opened as far as they can be; files go to `identity`.
pub(crate) fn plans(
    config: &Config,
    limits: &Limits,
    identity: Option<&Identity>,
) -> Result<Vec<Plan>, StartError> {
    let plans = config.output.plans(&PlanContext { limits, identity });
    plans.map_err(|(path, error)| StartError(format!("output.{path}{error}")))
}

/// The sections of all filters, to be read elsewhere.
pub(crate) struct FilterSections {
    all: filter::Section,
    /// Those of the outputs that have one: path, name, section.
    outputs: Vec<(String, String, filter::Section)>,
}

impl FilterSections {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let own =
            config.output.enabled().filter(|(_, kind)| *kind.keys().filter != filter::Section::default());
        let outputs =
            own.map(|(path, kind)| (path, kind.name().to_owned(), kind.keys().filter.clone())).collect();
        FilterSections { all: config.filter.clone(), outputs }
    }
}

/// The filter that all messages pass, and those of the outputs that have one.
pub(crate) struct LoadedFilters {
    all: Filter,
    /// By the name of the output.
    outputs: Vec<(String, Filter)>,
}

impl LoadedFilters {
    /// Reads the files of names.
    ///
    /// # Errors
    ///
    /// The key whose file cannot be read.
    pub(crate) fn load(sections: &FilterSections) -> Result<Self, StartError> {
        let load = |path: &str, section: &filter::Section| {
            Filter::load(section).map_err(|fault| StartError(format!("{path}.{}: {}", fault.key, fault.text)))
        };
        let own = sections.outputs.iter().map(|(path, name, section)| {
            Ok((name.clone(), load(&format!("output.{path}.filter"), section)?))
        });
        Ok(LoadedFilters {
            all: load("filter", &sections.all)?,
            outputs: own.collect::<Result<_, StartError>>()?,
        })
    }

    /// Bytes of the lists of names.
    pub(crate) fn cost(&self) -> usize {
        self.all.cost() + self.outputs.iter().map(|(_, filter)| filter.cost()).sum::<usize>()
    }

    /// Puts them in force.
    pub(crate) fn apply(mut self, collector: &Collector<'_>) {
        collector.set_filter(self.all);
        collector.outputs().set_filters(|name| {
            let at = self.outputs.iter().position(|(own, _)| own == name)?;
            Some(self.outputs.swap_remove(at).1)
        });
    }
}

/// The marks of a blocked response: the lists of names are read.
pub(crate) fn status_rules(config: &Config) -> Result<StatusRules, StartError> {
    let (addresses, lists) = (&config.statistics.blocked_addresses, &config.statistics.blocked_names);
    let names = if history::BUILT && config.history.enable && !lists.is_empty() {
        let names = NameSet::read(&mut lists.iter().map(|path| sys_files::open_regular(path)));
        Some(names.map_err(StartError::of("statistics.blocked-names"))?)
    } else {
        None
    };
    Ok(StatusRules { addresses: addresses.clone(), names })
}

/// The monotonic clock in milliseconds, since the first call.
pub(crate) fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The database of networks that is enabled, opened.
pub(crate) fn networks(config: &Config) -> Result<Option<NetworkDatabase>, StartError> {
    NetworkDatabase::load(&config.geoip)
        .map_err(|fault| StartError(format!("geoip.{}: {}", fault.key, fault.text)))
}

/// A path for a message.
pub(crate) fn shown(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}

/// The tables, the same for the whole life of the process.
pub(crate) struct ProcessTables {
    /// Outputs and statistics.
    pub(crate) stage: &'static TaskContext,
    pub(crate) receiver: Receiver<'static>,
    pub(crate) certificates: Certificates,
    pub(crate) inputs: Vec<InputCounters>,
    pub(crate) api: http::Settings,
    pub(crate) config: http::ConfigText,
    pub(crate) api_stop: http::Stop,
    /// The task that saves the history, until it runs.
    pub(crate) saver: RefCell<Option<Saver>>,
    pub(crate) saver_control: Option<SaverControl>,
    /// Sources of names to be learned from after a reload.
    pub(crate) new_names: RefCell<Option<NameSources>>,
}

impl ProcessTables {
    /// Makes all tables, with these outputs. They live until the process ends, so they are leaked once.
    pub(crate) fn build(
        config: &Config,
        certificates: Certificates,
        inputs: &[InputPlan],
        outlets: Vec<Outlet>,
        rules: StatusRules,
        memory: Vec<(String, usize)>,
    ) -> Self {
        let limits = Limits::resolve(&config.limits);
        let statistics: &'static _ = {
            let tables = Statistics::with(&limits, &config.statistics, config.geoip.enable);
            Box::leak(Box::new(RefCell::new(tables)))
        };
        let stage: &'static TaskContext =
            Box::leak(Box::new(TaskContext { outlets: Outlets::new(outlets), statistics }));
        let remembers = history::BUILT && config.history.enable;
        let mut saver: Option<Saver> = None;
        let history: Option<&'static RefCell<History>> = remembers.then(|| {
            let mut history = History::new(&config.history, &limits, rules, monotonic_ms());
            history.set_devices(!config.hides_clients());
            history.set_learns_from_frames(config.names.uses_neighbours());
            saver = config.history.saving().map(|settings| Saver::load(settings, &mut history));
            &*Box::leak(Box::new(RefCell::new(history)))
        });
        let collector: &'static Collector<'static> = Box::leak(Box::new(
            Collector::new(
                statistics,
                &stage.outlets,
                Stages::new(
                    if remembers {
                        Pairing::with_exchanges(limits.pairing)
                    } else {
                        Pairing::new(limits.pairing)
                    },
                    Filter::new(&config.filter),
                ),
                config.statistics.hasher(),
            )
            .with_history(history),
        ));
        collector.set_health(&config.health);
        if let Some(saver) = &mut saver {
            saver.load_seen(collector.health_cell());
        }
        ProcessTables {
            stage,
            receiver: Receiver::new(collector, &limits),
            certificates,
            inputs: counters(inputs),
            api: http::Settings::new(
                &config.web_api,
                &config.statistics,
                [limits.http_workers, limits.live_readers],
            ),
            config: http::ConfigText::new(memory),
            api_stop: http::Stop::default(),
            saver_control: saver.as_ref().map(|_| SaverControl::default()),
            saver: RefCell::new(saver),
            new_names: RefCell::new(None),
        }
    }

    /// Everything the web API shows.
    pub(crate) fn app(&'static self) -> http::App<'static> {
        http::App {
            settings: &self.api,
            statistics: self.stage.statistics,
            collector: self.receiver.collector,
            outputs: &self.stage.outlets,
            inputs: &self.inputs,
            saver: self.saver_control.as_ref(),
            config: &self.config,
            stop: &self.api_stop,
        }
    }

    /// The counters of an input that is on.
    pub(crate) fn counters(&self, name: &str) -> Option<&InputCounters> {
        self.inputs.iter().find(|counters| counters.name == name)
    }
}

/// Counters for some inputs; those of one name share them.
fn counters(inputs: &[InputPlan]) -> Vec<InputCounters> {
    let mut all: Vec<InputCounters> = Vec::new();
    for input in inputs {
        if all.iter().all(|counters| counters.name != input.name) {
            all.push(match input.source.reads_packets() {
                true => InputCounters::of_packets(input.name),
                false => InputCounters::new(input.name),
            });
        }
    }
    all
}
