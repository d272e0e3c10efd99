//! The configuration: one file, made of the sections the modules define themselves.
//!
//! It promises that a [`Config`] can run as far as words can tell: every value is possible, every section
//! that is on has the keys it needs, and what is absent has been settled. Precedence is defaults < file
//! < command line. Whatever is wrong is one [`Error`] that names file, line, key and what is allowed, and
//! that knows whether the words or the machine are to blame, which is the exit status.
//!
//! Left out: nothing is opened but the configuration itself and the files with secrets.

mod deserializer;
mod document;
mod error;
mod reload;

pub use error::{Error, ExitClass};
pub use reload::{Reload, TAKEN_OVER, changed_keys};

use crate::message::{filter, geoip};
use crate::sys::files;
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, RawValue, Secret};
use crate::{http, input, limits, log, output, process, statistics};
use document::ConfigDocument;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A whole configuration, settled and checked.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The program's log.
    pub trace: log::Section,
    /// Rights and process number.
    pub process: process::Section,
    /// Capacities.
    pub limits: limits::Section,
    /// The web API.
    pub web_api: http::Section,
    /// Counters and tables.
    pub statistics: statistics::Section,
    /// Which messages are kept.
    pub filter: filter::Section,
    /// Country and city.
    pub geoip: geoip::Section,
    /// Where messages come from.
    pub input: input::Section,
    /// Where messages go.
    pub output: output::Section,
    /// The file it was read from; none when the defaults are used.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// The keys and values of the file, to see later what changed.
    #[serde(skip)]
    pub written: RawConfig,
    /// Everything legal, but probably not meant; for the log.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// The options that the command line lays over the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommandLine {
    /// `-l`: address of the TCP listener.
    pub listen: Option<ListenAddress>,
    /// `-p`: port of the TCP listener.
    pub port: Option<ListenPort>,
    /// `-u`: the Unix socket, switched on.
    pub unix: Option<FilePath>,
    /// `-v`: log debug lines; never lowers what the file says.
    pub verbose: bool,
}

impl Config {
    /// Reads a file and the files with secrets it names.
    ///
    /// # Errors
    /// Unreadable file, or what [`Config::parse`] finds.
    pub fn load(path: &Path, overlay: &CommandLine) -> Result<Config, Error> {
        let name = path.display().to_string();
        let octets = files::read_whole(path, FILE_MAX).map_err(|error| Error::unreadable(&name, &error))?;
        let text = std::str::from_utf8(&octets).map_err(|error| {
            Error::words(
                &name,
                document::position(&octets, error.valid_up_to()),
                "",
                "not UTF-8; allowed: UTF-8",
            )
        })?;
        let document = ConfigDocument::parse(text, &name)?;
        let mut config = Config::settle(&document, overlay)?;
        config.read_secrets(&document)?;
        config.check_exposure(&document)?;
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// Reads a text; `name` stands for the file in errors. Files with secrets stay unread.
    ///
    /// # Errors
    /// The first thing wrong with the words.
    pub fn parse(text: &str, name: &str) -> Result<Config, Error> {
        Config::parse_under(text, name, &CommandLine::default())
    }

    /// The same, with a command line laid over it.
    ///
    /// # Errors
    /// The first thing wrong with the words.
    pub fn parse_under(text: &str, name: &str, overlay: &CommandLine) -> Result<Config, Error> {
        let document = ConfigDocument::parse(text, name)?;
        let config = Config::settle(&document, overlay)?;
        if config.web_api.api_key_file.is_none() && config.web_api.password_file.is_none() {
            config.check_exposure(&document)?;
        }
        Ok(config)
    }

    /// Everything between the parsed text and the files with secrets.
    fn settle(document: &ConfigDocument<'_>, overlay: &CommandLine) -> Result<Config, Error> {
        let config = Config::understand(document, overlay)?;
        match missing_features::first(&config) {
            Some((section, missing)) => Err(document.fault(&section, &missing)),
            None => Ok(config),
        }
    }

    /// The same, whether it is built or not.
    fn understand(document: &ConfigDocument<'_>, overlay: &CommandLine) -> Result<Config, Error> {
        let mut config: Config = document.read()?;
        config.written = RawConfig(document.read()?);
        config.lay_over(overlay);
        config.input.resolve(overlay.listen.is_some() || overlay.port.is_some());
        config.output.resolve();
        if !config.input.any_enabled() {
            return Err(
                document.error("input", "no input is enabled; allowed: at least one with `enable = true`")
            );
        }
        config.check().map_err(|(section, fault)| document.fault(&section, &fault))?;
        let dialled = config.input.tcp_client.iter().filter(|client| client.enable).count();
        if dialled > limits::Limits::resolve(&config.limits).connections {
            let text = format!(
                "too few for {dialled} `input.tcp-client`; allowed: one for each, and more to listen"
            );
            return Err(document.error("limits.connections", &text));
        }
        Ok(config)
    }

    /// Lays the command line over the file.
    fn lay_over(&mut self, overlay: &CommandLine) {
        self.trace.verbose |= overlay.verbose;
        if let Some(path) = &overlay.unix {
            self.input.unix_socket.enable = true;
            self.input.unix_socket.path = Some(path.clone());
        }
        let listener = &mut self.input.tcp_socket;
        listener.local_address = overlay.listen.unwrap_or(listener.local_address);
        listener.local_port = overlay.port.unwrap_or(listener.local_port);
        let asked = overlay.listen.is_some() || overlay.port.is_some();
        if asked && listener.enable == Some(false) {
            self.warnings
                .push("-l and -p do nothing: the file says `input.tcp-socket.enable = false`".to_owned());
        }
    }

    /// Asks every section that is on for the rules between its keys.
    fn check(&self) -> Result<(), (String, KeyError)> {
        let one = |enabled: bool, name: &str, check: &dyn Fn() -> Result<(), KeyError>| {
            if enabled { check().map_err(|fault| (name.to_owned(), fault)) } else { Ok(()) }
        };
        let Config { web_api, geoip, input, output, .. } = self;
        one(true, "statistics", &|| self.statistics.check())?;
        one(web_api.enable, "web-api", &|| web_api.check())?;
        one(geoip.enable, "geoip", &|| geoip.check())?;
        one(input.tcp_socket.is_enabled(), "input.tcp-socket", &|| input.tcp_socket.check())?;
        for (at, client) in input.tcp_client.iter().enumerate() {
            let index = if input.tcp_client.len() > 1 { format!("[{at}]") } else { String::new() };
            one(client.enable, &format!("input.tcp-client{index}"), &|| client.check())?;
        }
        one(input.unix_socket.enable, "input.unix-socket", &|| input.unix_socket.check())?;
        one(input.sniffer.enable, "input.sniffer", &|| input.sniffer.check())?;
        one(input.file.enable, "input.file", &|| input.file.check())?;
        for kind in output.enabled() {
            one(true, &format!("output.{}", kind.name()), &|| kind.check())?;
        }
        Ok(())
    }

    /// Puts the first lines of the files with secrets in place.
    fn read_secrets(&mut self, document: &ConfigDocument<'_>) -> Result<(), Error> {
        let api = &mut self.web_api;
        if !api.enable {
            return Ok(());
        }
        for (key, path, secret) in [
            ("web-api.api-key-file", &api.api_key_file, &mut api.api_key),
            ("web-api.password-file", &api.password_file, &mut api.password),
        ] {
            let Some(path) = path else { continue };
            *secret = read_secret(path).map_err(|error| {
                document
                    .error(key, &format!("cannot read {}: {error}", path.display()))
                    .of(ExitClass::Machine)
            })?;
        }
        Ok(())
    }

    /// Refuses a web API that anybody could use.
    fn check_exposure(&self, document: &ConfigDocument<'_>) -> Result<(), Error> {
        if !self.web_api.enable {
            return Ok(());
        }
        self.web_api.check_exposure().map_err(|fault| document.fault("web-api", &fault))
    }
}

/// The keys and values of the file, secrets included: so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Default)]
pub struct RawConfig(BTreeMap<String, RawValue>);

impl RawConfig {
    /// The table.
    pub fn table(&self) -> &BTreeMap<String, RawValue> {
        &self.0
    }
}

impl fmt::Debug for RawConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawConfig")
    }
}

/// The first line of a file, without its end.
fn read_secret(path: &Path) -> io::Result<Secret> {
    let octets = files::read_whole(path, SECRET_MAX)?;
    let text =
        String::from_utf8(octets).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is empty")),
    }
}

/// The longest configuration file, in octets; a device that never ends is no configuration.
const FILE_MAX: u64 = 1 << 20;

/// The longest file with a secret, in octets.
const SECRET_MAX: u64 = 1 << 16;

/// Keys that the configuration knows and this program does not do: not yet, in which case whoever builds it deletes its
/// row, or not in this build.
mod missing_features {
    use super::Config;
    use crate::message::geoip;
    use crate::net::tls;
    use crate::values::KeyError;

    /// The key to name, what to say, whether a configuration asks for it.
    type Row = (&'static str, &'static str, fn(&Config) -> bool);

    /// The first section that asks for what is not there, and its key.
    pub(super) fn first(config: &Config) -> Option<(String, KeyError)> {
        let row = ROWS.iter().find(|(_, _, asked)| asked(config)).and_then(|(key, why, _)| {
            let (section, key) = key.rsplit_once('.')?;
            Some((section.to_owned(), KeyError::new(key, *why)))
        });
        let mut outputs = config.output.enabled();
        row.or_else(|| {
            outputs.find_map(|kind| Some((format!("output.{}", kind.name()), kind.missing_feature()?)))
        })
    }

    /// For TLS in a build without it.
    const WITHOUT_TLS: &str = "needs the cargo feature `tls`, which this build is without; allowed: `false`";

    /// Sections first, then single keys.
    const ROWS: &[Row] = &[
        (
            "geoip.enable",
            "needs the cargo feature `geoip`, which this build is without; allowed: `enable = false`",
            |c| !geoip::BUILT && c.geoip.enable,
        ),
        ("web-api.tls-support", WITHOUT_TLS, |c| !tls::BUILT && c.web_api.enable && c.web_api.tls().is_on()),
        ("input.tcp-socket.tls-support", WITHOUT_TLS, |c| {
            !tls::BUILT && c.input.tcp_socket.is_enabled() && c.input.tcp_socket.tls().is_on()
        }),
        ("input.tcp-client.tls-support", WITHOUT_TLS, |c| {
            !tls::BUILT && c.input.tcp_client.iter().any(|client| client.enable && client.tls().is_on())
        }),
    ];
}

#[cfg(test)]
mod tests;
