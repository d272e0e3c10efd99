//! The configuration: one file, made of the sections the modules define themselves.
//!
//! It promises that a [`Config`] can run as far as words can tell: every value is possible, every section
//! that is on has the keys it needs, and what is absent has been settled. Precedence is defaults < file <
//! command line. Each thing that is wrong is a [`ConfigError`] that names file, line, key and what is
//! allowed, and that knows whether the words or the machine are to blame, which is the exit status.
//!
//! Left out: nothing is opened but the configuration itself and the files with secrets.

mod deserializer;
mod document;
mod error;
mod in_force;
mod reload;

pub(crate) use error::ConfigError;
pub use error::ConfigErrors;
pub use error::ExitClass;
pub(crate) use reload::{Reload, refusal};

use crate::format::encoding;
use crate::message::stages::StageSection;
use crate::message::{self, configured_stages, filter};
use crate::sys::files;
use crate::sys::new_password::new_password;
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, RawValue, Secret, Text};
use crate::{health, history, http, input, limits, log, names, output, process, statistics};
use document::ConfigDocument;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Makes the configuration of the stages that have a section in it, and all other sections.
macro_rules! config {
    (
        $(#[$first_doc:meta])* $first:ident: $first_stage:ident,
        $($(#[$doc:meta])* $name:ident: $stage:ident,)*
    ) => {
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
            /// Upstream servers and detectors.
            pub health: health::Section,
            /// The memory of exchanges.
            pub history: history::Section,
            /// Names of devices.
            pub names: names::Section,
            // In the order in which errors list them.
            $($(#[$doc])* pub $name: message::$name::Section,)*
            /// Which messages are kept.
            pub filter: filter::Section,
            $(#[$first_doc])* pub $first: message::$first::Section,
            /// Where messages come from.
            pub input: input::Section,
            /// Where messages go.
            pub output: output::Section,
            /// The file it was read from; `None` if the defaults are used.
            #[serde(skip)]
            pub file: Option<PathBuf>,
            /// The keys and values of the file, to see later what changed.
            #[serde(skip)]
            pub written: RawConfig,
            /// Those of the file that the program was started with.
            #[serde(skip)]
            pub started: RawConfig,
            /// Everything legal, but probably not meant; for the log.
            #[serde(skip)]
            pub warnings: Vec<String>,
            /// The password file that is not there yet, and to be made with `web-api.password` at the start.
            #[serde(skip)]
            pub password_to_make: Option<PathBuf>,
        }

        impl Config {
            /// The sections of stages, each with its name.
            pub(crate) fn stages(&self) -> impl Iterator<Item = (String, &dyn StageSection)> {
                let sections: [(&str, &dyn StageSection); _] =
                    [(stringify!($first), &self.$first), $((stringify!($name), &self.$name),)*];
                sections.into_iter().map(|(name, section)| (name.replace('_', "-"), section))
            }
        }
    };
}

configured_stages!(config);

/// The options that the command line lays over the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommandLine {
    /// `-l`: address of the TCP listener.
    pub(crate) listen: Option<ListenAddress>,
    /// `-p`: port of the TCP listener.
    pub(crate) port: Option<ListenPort>,
    /// `-u`: the Unix socket, switched on.
    pub(crate) unix: Option<FilePath>,
    /// `-i`: the sniffer, switched on for an interface.
    pub(crate) interface: Option<Text>,
    /// `-r`: a capture to replay.
    pub(crate) replay: Option<FilePath>,
    /// `-v`: log debug lines; never lowers what the file says.
    pub(crate) verbose: bool,
}

impl Config {
    /// Reads a file and the files with secrets it names.
    ///
    /// # Errors
    /// Unreadable file, or what [`Config::parse`] finds.
    pub fn load(path: &Path, overlay: &CommandLine) -> Result<Config, ConfigErrors> {
        Config::load_with(path, overlay, Config::read_secrets)
    }

    /// Reads the file again, with the secrets that are in force: files with secrets are read once, and need
    /// not be readable for whom the process has become.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub(crate) fn load_again(&self, path: &Path, overlay: &CommandLine) -> Result<Config, ConfigErrors> {
        Config::load_with(path, overlay, |new, _, _| {
            for (is_filed, secret, old) in [
                (new.web_api.api_key_file.is_some(), &mut new.web_api.api_key, &self.web_api.api_key),
                (new.web_api.password_file.is_some(), &mut new.web_api.password, &self.web_api.password),
            ] {
                if is_filed {
                    *secret = old.clone();
                }
            }
        })
    }

    fn load_with(
        path: &Path,
        overlay: &CommandLine,
        find_secrets: impl FnOnce(&mut Config, &ConfigDocument<'_>, &mut Vec<ConfigError>),
    ) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let bytes =
            files::read_whole(path, FILE_MAX).map_err(|error| ConfigError::unreadable(&name, &error))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let place = document::position(&bytes, error.valid_up_to());
            ConfigError::words(&name, place, "", "not UTF-8; allowed: UTF-8")
        })?;
        let mut document = ConfigDocument::parse(text, &name)?;
        let mut errors = Vec::new();
        let config = Config::settle(&mut document, overlay, &mut errors).map(|mut config| {
            let secrets_before = errors.len();
            find_secrets(&mut config, &document, &mut errors);
            if errors.len() == secrets_before {
                errors.extend(config.check_exposure(&document).err());
            }
            config.file = Some(path.to_owned());
            config
        });
        finish(config, errors)
    }

    /// Reads a text; `name` stands for the file in errors. Files with secrets stay unread.
    ///
    /// # Errors
    /// Everything wrong with the words.
    pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
        Config::parse_under(text, name, &CommandLine::default())
    }

    /// Reads a text with a command line laid over it.
    ///
    /// # Errors
    /// Everything wrong with the words.
    pub(crate) fn parse_under(text: &str, name: &str, overlay: &CommandLine) -> Result<Config, ConfigErrors> {
        let mut document = ConfigDocument::parse(text, name)?;
        let mut errors = Vec::new();
        let config = Config::settle(&mut document, overlay, &mut errors);
        if let Some(config) = &config
            && config.web_api.api_key_file.is_none()
            && config.web_api.password_file.is_none()
        {
            errors.extend(config.check_exposure(&document).err());
        }
        finish(config, errors)
    }

    /// Whether the section of any stage hides who asked.
    pub(crate) fn hides_clients(&self) -> bool {
        self.stages().any(|(_, section)| section.hides_clients())
    }

    /// Everything between the parsed text and the files with secrets.
    fn settle(
        document: &mut ConfigDocument<'_>,
        overlay: &CommandLine,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Config> {
        let config = Config::understand(document, overlay, errors)?;
        for (section, missing) in missing_features::of(&config) {
            // One thing at a time of a section that could not run anyway.
            if !errors.iter().any(|error| error.is_in(&section)) {
                errors.push(document.fault(&section, &missing));
            }
        }
        Some(config)
    }

    /// A configuration, whether what it asks for is built or not.
    fn understand(
        document: &mut ConfigDocument<'_>,
        overlay: &CommandLine,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Config> {
        let mut config: Config = document.read(errors)?;
        if errors.is_empty() {
            config.written = RawConfig(document.read(errors)?);
            config.started = config.written.clone();
        }
        config.lay_over(overlay);
        config.input.resolve(overlay.listen.is_some() || overlay.port.is_some());
        config.output.resolve();
        // A key that was refused is missing now, which is nothing to speak of.
        let known = errors.len();
        let mut add = |error: ConfigError| {
            let is_known = errors.iter().take(known).any(|known| known.is_about(error.key()));
            if !is_known {
                errors.push(error);
            }
        };
        if config.input.enabled().next().is_none() {
            add(document.error("input", "no input is enabled; allowed: at least one with `enable = true`"));
        }
        for (section, fault) in config.check() {
            add(document.fault(&section, &fault));
            fault.more.iter().for_each(|fault| add(document.fault(&section, fault)));
        }
        Some(config)
    }

    /// Lays the command line over the file.
    fn lay_over(&mut self, overlay: &CommandLine) {
        self.trace.verbose |= overlay.verbose;
        if let Some(path) = &overlay.unix {
            self.input.unix_socket.enable = true;
            self.input.unix_socket.path = Some(path.clone());
        }
        if let Some(interface) = &overlay.interface {
            self.input.sniffer.enable = true;
            self.input.sniffer.eth_name = Some(interface.clone().into());
        }
        if let Some(path) = &overlay.replay {
            self.input.file.enable = true;
            self.input.file.path = Some(path.clone());
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

    /// Asks every section that is on for the rules between its keys; what is wrong, with the section.
    fn check(&self) -> Vec<(String, KeyError)> {
        let mut wrong = Vec::new();
        let mut one = |enabled: bool, name: &str, check: &dyn Fn() -> Result<(), KeyError>| {
            if enabled && let Err(fault) = check() {
                wrong.push((name.to_owned(), fault));
            }
        };
        let Config { web_api, input, output, .. } = self;
        one(true, "statistics", &|| self.statistics.check());
        one(true, "statistics", &|| {
            self.statistics.check_streams(limits::Limits::resolve(&self.limits).streams)
        });
        one(web_api.enable, "web-api", &|| web_api.check());
        one(self.names.enable, "names", &|| self.names.check());
        for (name, section) in self.stages() {
            one(true, &name, &|| section.check());
        }
        for (path, kind) in input.enabled() {
            one(true, &format!("input.{path}"), &|| kind.check());
        }
        for (path, kind) in output.enabled() {
            one(true, &format!("output.{path}"), &|| kind.check());
            let keys = kind.keys();
            one(true, &format!("output.{path}"), &|| {
                encoding::check(kind.format(), keys.fields, keys.template)
            });
        }
        wrong.extend(output.check().into_iter().map(|(path, fault)| (format!("output.{path}"), fault)));
        wrong
    }

    /// Puts the first lines of the files with secrets in place. A password file that is not there gets a new
    /// password, which is written at the start.
    fn read_secrets(&mut self, document: &ConfigDocument<'_>, errors: &mut Vec<ConfigError>) {
        let api = &mut self.web_api;
        if !api.enable {
            return;
        }
        for (key, path, secret) in [
            ("web-api.api-key-file", &api.api_key_file, &mut api.api_key),
            ("web-api.password-file", &api.password_file, &mut api.password),
            ("web-api.scrape-key-file", &api.scrape_key_file, &mut api.scrape_key),
        ] {
            let Some(path) = path else { continue };
            match read_secret(path) {
                Ok(read) => *secret = read,
                Err(error) if error.kind() == io::ErrorKind::NotFound && key.ends_with("password-file") => {
                    *secret = Secret::new(new_password());
                    self.password_to_make = Some(path.to_path_buf());
                }
                Err(error) => {
                    let text = format!("cannot read {}: {error}", path.display());
                    errors.push(document.error(key, &text).of(ExitClass::Machine));
                }
            }
        }
    }

    /// Refuses a web API that anybody could use.
    fn check_exposure(&self, document: &ConfigDocument<'_>) -> Result<(), ConfigError> {
        if !self.web_api.enable {
            return Ok(());
        }
        self.web_api.check_exposure().map_err(|fault| document.fault("web-api", &fault))
    }

    /// Puts texts that begin with a dotted key and `: ` in the order in which the keys are in the file, with
    /// file, line and column before those that are there.
    pub(crate) fn locate(&self, texts: &mut [String]) {
        let Some(path) = &self.file else { return };
        let Some(text) =
            files::read_whole(path, FILE_MAX).ok().and_then(|bytes| String::from_utf8(bytes).ok())
        else {
            return;
        };
        let name = path.display().to_string();
        let Ok(document) = ConfigDocument::parse(&text, &name) else { return };
        let start = |text: &String| document.start_of(text.split(": ").next().unwrap_or_default());
        texts.sort_by_key(start);
        for text in texts {
            if let Some(start) = start(text) {
                let (line, column) = document.position(start);
                *text = format!("{name}:{line}:{column}: {text}");
            }
        }
    }
}

/// A configuration in which nothing is wrong.
fn finish(config: Option<Config>, errors: Vec<ConfigError>) -> Result<Config, ConfigErrors> {
    match (config, ConfigErrors::of(errors)) {
        (Some(config), None) => Ok(config),
        (_, Some(errors)) => Err(errors),
        // Not to be: who has no configuration has an error.
        (None, None) => Err(ConfigError::unreadable("", &io::ErrorKind::InvalidData.into()).into()),
    }
}

/// The keys and values of the file, secrets included: so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Default)]
pub struct RawConfig(BTreeMap<String, RawValue>);

impl RawConfig {
    /// The table.
    pub(crate) fn table(&self) -> &BTreeMap<String, RawValue> {
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
    let bytes = files::read_whole(path, SECRET_MAX)?;
    let text =
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is empty")),
    }
}

/// The longest configuration file, in bytes; a device that never ends is not a configuration.
const FILE_MAX: u64 = 1 << 20;

/// The longest file with a secret, in bytes.
const SECRET_MAX: u64 = 1 << 16;

/// Keys that the configuration knows and this program does not do: not yet, in which case whoever builds it
/// deletes its row, or not in this build.
mod missing_features {
    use super::Config;
    use crate::format::encoding;
    use crate::net::tls;
    use crate::values::KeyError;
    use crate::{health, history, names};

    /// The key to name, what to say, whether a configuration asks for it.
    type Row = (&'static str, &'static str, fn(&Config) -> bool);

    /// The sections that ask for what is not there, and their keys.
    pub(super) fn of(config: &Config) -> impl Iterator<Item = (String, KeyError)> {
        let rows = ROWS.iter().filter(|(_, _, asked)| asked(config)).filter_map(|(key, why, _)| {
            let (section, key) = key.rsplit_once('.')?;
            Some((section.to_owned(), KeyError::new(key, *why)))
        });
        let stages = config.stages().filter_map(|(name, section)| Some((name, section.missing_feature()?)));
        let inputs = config
            .input
            .enabled()
            .filter_map(|(path, kind)| Some((format!("input.{path}"), kind.missing_feature()?)));
        let outputs = config.output.enabled().filter_map(|(path, kind)| {
            let keys = kind.keys();
            let missing = kind
                .missing_feature()
                .or_else(|| encoding::missing_feature(kind.format(), keys.fields, keys.template));
            Some((format!("output.{path}"), missing?))
        });
        rows.chain(stages).chain(inputs).chain(outputs)
    }

    /// For TLS in a build without it.
    const WITHOUT_TLS: &str = "needs the cargo feature `tls`, which this build is without; allowed: `false`";

    /// For what is remembered, in a build without it.
    const WITHOUT_HISTORY: &str =
        "needs the cargo feature `history`, which this build is without; allowed: `enable = false`";

    /// Sections first, then single keys.
    const ROWS: &[Row] = &[
        (
            "health.enable",
            "needs the cargo feature `health`, which this build is without; allowed: `enable = false`",
            |c| !health::BUILT && c.health.enable,
        ),
        ("history.enable", WITHOUT_HISTORY, |c| !history::BUILT && c.history.enable),
        ("names.enable", WITHOUT_HISTORY, |c| !names::BUILT && c.names.enable),
        ("web-api.tls-support", WITHOUT_TLS, |c| !tls::BUILT && c.web_api.enable && c.web_api.tls().is_on()),
    ];
}

#[cfg(test)]
mod tests;
