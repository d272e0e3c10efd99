//! The parts of a daemon: what it opens, and the tables it fills.

use std::cell::RefCell;
use std::net::TcpListener;
use std::path::Path;

use super::certificates::Certificates;
use crate::config::Config;
use crate::http;
use crate::input::counters::InputCounters;
use crate::input::receiver::Receiver;
use crate::input::tcp_server::AccessList;
use crate::input::{file, sniffer, tcp_client, tcp_server, unix_socket};
use crate::limits::Limits;
use crate::message::filter::Filter;
use crate::message::geoip::LocationDatabase;
use crate::message::pairing::Pairing;
use crate::message::stages::Stages;
use crate::output::{Outlet, Outlets, OutputCertificates, Plan, PlanContext, TaskContext};
use crate::pipeline::Collector;
use crate::process::StartError;
use crate::statistics::Statistics;
use crate::sys::privileges::Identity;

/// Sockets and files, open, before anything runs.
pub struct Sockets {
    pub outputs: Vec<Plan>,
    pub tcp_socket: Option<TcpListener>,
    pub unix_socket: Option<unix_socket::Socket>,
    pub sniffer: Option<sniffer::Sniffer>,
    pub capture: Option<file::Replay>,
    pub web_api: Option<TcpListener>,
    pub geoip: Option<LocationDatabase>,
}

impl Sockets {
    /// Opens what the configuration enables.
    pub fn open(config: &Config, identity: &Identity) -> Result<Self, StartError> {
        let limits = Limits::resolve(&config.limits);
        let (input, api) = (&config.input, &config.web_api);
        let tcp_address = || format!("input.tcp-socket: {}", tcp_server::address(&input.tcp_socket));
        let unix_path = || format!("input.unix-socket: {}", shown(input.unix_socket.path.as_deref()));
        Ok(Sockets {
            geoip: geoip(config)?,
            outputs: plans(config, &limits, Some(identity))?,
            tcp_socket: on(input.tcp_socket.is_enabled(), || {
                tcp_server::bind(&input.tcp_socket).map_err(StartError::of(tcp_address()))
            })?,
            unix_socket: on(input.unix_socket.enable, || {
                unix_socket::bind(&input.unix_socket, identity).map_err(StartError::of(unix_path()))
            })?,
            sniffer: on(input.sniffer.enable, || {
                let failure = StartError::of(format!("input.sniffer: {}", input.sniffer.interface()));
                sniffer::Sniffer::open(&input.sniffer, &limits).map_err(failure)
            })?,
            capture: capture(config, &limits)?,
            web_api: on(api.enable, || {
                http::bind(api).map_err(StartError::of(format!("web-api: {}", http::address(api))))
            })?,
        })
    }
}

/// The outputs that are enabled, opened as far as they can be; files go to `identity`.
pub fn plans(config: &Config, limits: &Limits, identity: Option<&Identity>) -> Result<Vec<Plan>, StartError> {
    let plans = config.output.plans(&PlanContext { limits, identity });
    plans.map_err(|(name, error)| StartError(format!("output.{name}{error}")))
}

/// The capture that is enabled, opened.
pub fn capture(config: &Config, limits: &Limits) -> Result<Option<file::Replay>, StartError> {
    let (file, sniffer) = (&config.input.file, &config.input.sniffer);
    let failure = StartError::of(format!("input.file: {}", shown(file.path.as_deref())));
    on(file.enable, || file::Replay::open(file, sniffer, limits).map_err(failure))
}

/// The database that is enabled, opened.
pub fn geoip(config: &Config) -> Result<Option<LocationDatabase>, StartError> {
    LocationDatabase::load(&config.geoip)
        .map_err(|fault| StartError(format!("geoip.{}: {}", fault.key, fault.text)))
}

/// Opens a part that is enabled.
fn on<T>(enabled: bool, open: impl FnOnce() -> Result<T, StartError>) -> Result<Option<T>, StartError> {
    if enabled { open().map(Some) } else { Ok(None) }
}

/// A path for a message.
pub fn shown(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}

/// The tables, the same for the whole life of the process.
pub struct ProcessTables {
    /// Outputs and statistics.
    pub stage: &'static TaskContext,
    pub shared: Receiver<'static>,
    pub access_list: AccessList,
    pub certificates: Certificates,
    pub output_certificates: OutputCertificates,
    pub inputs: Vec<InputCounters>,
    pub api: http::Settings,
    pub api_stop: http::Stop,
}

impl ProcessTables {
    /// Makes all tables, with these outputs. They live until the process ends, so they are leaked once.
    pub fn build(
        config: &Config,
        certificates: (Certificates, OutputCertificates),
        outlets: Vec<Outlet>,
    ) -> Self {
        let (certificates, output_certificates) = certificates;
        let limits = Limits::resolve(&config.limits);
        let statistics: &'static _ = {
            let tables = Statistics::with(&limits, &config.statistics, config.geoip.enable);
            Box::leak(Box::new(RefCell::new(tables)))
        };
        let stage: &'static TaskContext =
            Box::leak(Box::new(TaskContext { outlets: Outlets::new(outlets), statistics }));
        let collector: &'static Collector<'static> = Box::leak(Box::new(Collector::new(
            statistics,
            &stage.outlets,
            Stages {
                pairing: Pairing::new(limits.pairing),
                filter: Filter::new(&config.filter),
                geoip: None,
            },
            config.statistics.hasher(),
        )));
        ProcessTables {
            stage,
            shared: Receiver::new(collector, &limits),
            access_list: AccessList::new(&config.input.tcp_socket),
            certificates,
            output_certificates,
            inputs: [
                (tcp_server::NAME, config.input.tcp_socket.is_enabled()),
                (tcp_client::NAME, config.input.tcp_client.iter().any(|client| client.enable)),
                (unix_socket::NAME, config.input.unix_socket.enable),
                (sniffer::NAME, config.input.sniffer.enable),
                (file::NAME, config.input.file.enable),
            ]
            .into_iter()
            .filter(|&(_, enabled)| enabled)
            .map(|(name, _)| {
                if name == sniffer::NAME || name == file::NAME {
                    InputCounters::of_packets(name)
                } else {
                    InputCounters::new(name)
                }
            })
            .collect(),
            api: http::Settings::new(&config.web_api, &config.statistics),
            api_stop: http::Stop::default(),
        }
    }

    /// Everything the web API shows.
    pub fn app(&'static self) -> http::App<'static> {
        http::App {
            settings: &self.api,
            statistics: self.stage.statistics,
            collector: self.shared.collector,
            outputs: &self.stage.outlets,
            inputs: &self.inputs,
            stop: &self.api_stop,
        }
    }

    /// The counters of an input that is on.
    pub fn counters(&self, name: &str) -> Option<&InputCounters> {
        self.inputs.iter().find(|counters| counters.name == name)
    }
}
