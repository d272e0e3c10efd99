//! The certificates of all sections: read at start, and read again at a reload.

use std::rc::Rc;

use defmt_or_log::warn;

use crate::config::Config;
use crate::input::{InputPlan, Reloadable};
use crate::net::tls::Server;
use crate::output::{OutputCertificates, Plan};
use crate::process::StartError;
use crate::values::KeyError;

/// Everything that is read again: certificates, and the access list of an input.
pub(crate) struct Certificates {
    pub(crate) web_api: Option<Server>,
    inputs: Vec<(&'static str, Rc<dyn Reloadable>)>,
    outputs: OutputCertificates,
}

impl Certificates {
    /// Those of the web API, read, and of the inputs and outputs, which read theirs.
    ///
    /// # Errors
    ///
    /// The fault of the first file that is of no use.
    pub(crate) fn load(config: &Config, inputs: &[InputPlan], outputs: &[Plan]) -> Result<Self, StartError> {
        let api = &config.web_api;
        let web_api = if api.enable { Server::load(&api.tls()) } else { Ok(None) };
        let inputs = inputs.iter().filter_map(|plan| Some((plan.name, plan.source.reloadable()?)));
        Ok(Certificates {
            web_api: web_api.map_err(|fault| failure("web-api", &fault))?,
            inputs: inputs.collect(),
            outputs: OutputCertificates::of(outputs),
        })
    }

    /// Reads all files again. What is of no use is named in the log, and what was in force stays so.
    pub(crate) fn reload(&self, config: &Config) {
        let tls = config.web_api.tls();
        if let Some(server) = self.web_api.as_ref().filter(|_| tls.is_on()) {
            complain("web-api", server.reload(&tls));
        }
        for (name, input) in &self.inputs {
            complain(&format!("input.{name}"), input.reload(&config.input));
        }
        self.outputs.reload(&config.output, |name, error| complain(&format!("output.{name}"), Err(error)));
    }
}

fn complain(section: &str, reloaded: Result<(), KeyError>) {
    if let Err(fault) = reloaded {
        warn!("{}: the certificates in force stay", failure(section, &fault).to_string());
    }
}

fn failure(section: &str, fault: &KeyError) -> StartError {
    StartError(format!("{section}.{}: {}", fault.key, fault.text))
}
