//! The command line, laid over the configuration.
//!
//! argh reads options and their values as separate words only. So `--port=7000`, `-p7000` and bundles such
//! as `-vc FILE` are taken apart first; what is left is argh's, messages included.

use crate::config::{Config, Error, Overlay};
use crate::setting::{FilePath, ListenAddress, ListenPort, from_argument};
use argh::FromArgs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A command line that asks the daemon to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args {
    /// `-c`: the configuration file.
    pub config: Option<PathBuf>,
    /// What is laid over it.
    pub overlay: Overlay,
    /// `--check`: say what would run, and end.
    pub check: bool,
}

/// A command line that is answered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// For stdout; exit status 0.
    Help(String),
    /// For stderr; exit status 2.
    Usage(String),
}

impl Args {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// Help and version, which were asked for; usage, when the words make no sense.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, Answer> {
        let words: Result<Vec<String>, OsString> = words.into_iter().map(OsString::into_string).collect();
        let words = words.map_err(|word| usage(&format!("not UTF-8: {}", word.to_string_lossy())))?;
        if words.first().is_some_and(|word| word == "top") {
            return Err(Answer::Usage("dnstapd: `top` is not built yet\n".to_owned()));
        }
        let words = taken_apart(&words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let line = Line::from_args(&[NAME], &words).map_err(|exit| match exit.status {
            Ok(()) => Answer::Help(exit.output),
            Err(()) => usage(exit.output.trim_end()),
        })?;
        if line.version {
            return Err(Answer::Help(format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Ok(Args {
            config: line.config,
            overlay: Overlay {
                listen: line.listen,
                port: line.port,
                unix: line.unix,
                verbose: line.verbose > 0,
            },
            check: line.check,
        })
    }

    /// The configuration this command line asks for. `fallback` is read when there is no `-c` and the
    /// file exists: [`FALLBACK`].
    ///
    /// # Errors
    /// Those of [`Config::load`]; also when `fallback` exists and cannot be read.
    pub fn configuration(&self, fallback: &Path) -> Result<Config, Error> {
        match &self.config {
            Some(path) => Config::load(path, &self.overlay),
            // A file that cannot be looked at counts as there: the defaults are not what its owner wants.
            None if fallback.try_exists().unwrap_or(true) => Config::load(fallback, &self.overlay),
            None => Config::parse_under("", "the built-in defaults", &self.overlay),
        }
    }
}

/// The configuration file that is read when none is named.
pub const FALLBACK: &str = "/etc/dnstapd/dnstap.toml";

/// Collects dnstap messages from DNS servers: prints, counts and forwards them.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct Line {
    /// configuration file (default: /etc/dnstapd/dnstap.toml when it exists)
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<PathBuf>,

    /// address the TCP listener binds (default: 127.0.0.1)
    #[argh(option, short = 'l', arg_name = "addr", from_str_fn(from_argument))]
    listen: Option<ListenAddress>,

    /// port the TCP listener binds (default: 6000)
    #[argh(option, short = 'p', arg_name = "port", from_str_fn(from_argument))]
    port: Option<ListenPort>,

    /// unix socket to listen on
    #[argh(option, short = 'u', arg_name = "path", from_str_fn(from_argument))]
    unix: Option<FilePath>,

    /// log debug lines
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// read and check the configuration, print what would run, and end
    #[argh(switch)]
    check: bool,

    /// print the version, and end
    #[argh(switch)]
    version: bool,
}

/// The program's name.
const NAME: &str = "dnstapd";

/// The first line of the help, for errors.
const USAGE: &str = "Usage: dnstapd [-c FILE] [-l ADDR] [-p PORT] [-u PATH] [-v] [--check] [--version] [-h]";

/// Options that take a value, by their letters.
const WITH_VALUE: &[char] = &['c', 'l', 'p', 'u'];

/// An error of usage.
fn usage(text: &str) -> Answer {
    Answer::Usage(format!("{USAGE}\n{NAME}: {text}\n"))
}

/// Splits `--name=value`, `-nvalue` and bundles of letters into the words argh knows.
fn taken_apart(words: &[String]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parts.push(word.clone());
            parts.extend(words.cloned());
            return parts;
        }
        let wants_value = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => take_long(long, &mut parts),
            (None, Some(letters)) => take_letters(letters, &mut parts),
            (None, None) => {
                parts.push(word.clone());
                false
            }
        };
        if wants_value {
            parts.extend(words.next().cloned());
        }
    }
    parts
}

/// Adds the parts of a long option; whether the next word is its value.
fn take_long(long: &str, parts: &mut Vec<String>) -> bool {
    match long.split_once('=') {
        Some((name, value)) => {
            parts.extend([format!("--{name}"), value.to_owned()]);
            false
        }
        None => {
            parts.push(format!("--{long}"));
            matches!(long, "config" | "listen" | "port" | "unix")
        }
    }
}

/// Adds the parts of a word of letters; whether the next word is the value of the last one.
fn take_letters(letters: &str, parts: &mut Vec<String>) -> bool {
    if letters.is_empty() {
        parts.push("-".to_owned());
    }
    for (at, letter) in letters.char_indices() {
        parts.push(format!("-{letter}"));
        if WITH_VALUE.contains(&letter) {
            let value = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            if value.is_empty() {
                return true;
            }
            parts.push(value.to_owned());
            return false;
        }
    }
    false
}
