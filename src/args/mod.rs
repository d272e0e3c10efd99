//! The command line, laid over the configuration.
//!
//! argh reads options and their values as separate words only, so the words are taken apart first (`words`);
//! what is left is argh's, messages included.

mod words;

use crate::config::{CommandLine, Config, ConfigErrors};
use crate::values::{FilePath, Format, ListenAddress, ListenPort, Text, from_argument};
use crate::{build, completions, password, top};
use argh::FromArgs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use words::{split_long, taken_apart};

/// A command line that asks for something to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args {
    /// `-c`: the configuration file.
    pub(crate) config: Option<PathBuf>,
    /// The options that are laid over it.
    pub overlay: CommandLine,
    /// The program to run.
    pub command: Command,
}

/// The programs that are in this one.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Command {
    /// The daemon.
    #[default]
    Run,
    /// `--check`: say what would run, and end.
    Check {
        /// `--against`: the configuration in force, to see whether the new one needs a restart.
        against: Option<PathBuf>,
    },
    /// `top`: show a running daemon instead of being one.
    Top(top::TopOptions),
    /// `password`: show the password of the web API, or make another one.
    Password(password::PasswordAction),
    /// `cat`: print a capture.
    Cat(CatOptions),
}

/// The options of `cat`.
#[derive(Debug, Clone, PartialEq)]
pub struct CatOptions {
    /// How a message is printed.
    pub(crate) format: Format,
    /// Conditions, as `KEY=VALUE`.
    pub(crate) filters: Vec<String>,
    /// The capture; `-` is standard input.
    pub(crate) file: FilePath,
}

/// A command line that is answered at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImmediateAnswer {
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
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, ImmediateAnswer> {
        let words: Result<Vec<String>, OsString> = words.into_iter().map(OsString::into_string).collect();
        let words = words.map_err(|word| usage(&format!("not UTF-8: {}", word.to_string_lossy())))?;
        match words.split_first() {
            Some((first, words)) if first == "top" => return TopLine::parse(words),
            Some((first, words)) if first == "cat" => {
                return Ok(Args { command: Command::Cat(CatLine::parse(words)?), ..Args::default() });
            }
            Some((first, words)) if first == "completions" => return Err(completions_for(words)),
            Some((first, words)) if first == "password" => return PasswordLine::parse(words),
            Some((first, words)) if first == "help" => return Err(help(words)),
            _ => {}
        }
        let words = taken_apart(&words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let line = DaemonLine::from_args(&[NAME], &words).map_err(|exit| match exit.status {
            Ok(()) => ImmediateAnswer::Help(exit.output),
            Err(()) => usage(exit.output.trim_end()),
        })?;
        if line.version {
            return Err(ImmediateAnswer::Help(version(line.verbose > 0)));
        }
        if line.against.is_some() && !line.check {
            return Err(usage("--against goes with --check"));
        }
        Ok(Args {
            config: line.config,
            overlay: CommandLine {
                listen: line.listen,
                port: line.port,
                unix: line.unix,
                interface: line.interface,
                replay: line.replay,
                verbose: line.verbose > 0,
            },
            command: if line.check { Command::Check { against: line.against } } else { Command::Run },
        })
    }

    /// The configuration this command line asks for. `fallback` is read when there is no `-c` and the
    /// file exists: [`FALLBACK`].
    ///
    /// # Errors
    /// Those of [`Config::load`]; also when `fallback` exists and cannot be read.
    pub fn configuration(&self, fallback: &Path) -> Result<Config, ConfigErrors> {
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
///
/// Other programs in this one: `dnstapd top` shows a running daemon in the terminal, `dnstapd cat` prints a
/// capture, `dnstapd password` shows the password of the web API, `dnstapd completions bash` (or zsh, fish)
/// prints completions for a shell, and `dnstapd help PROGRAM` their options.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct DaemonLine {
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

    /// interface to make messages of the DNS packets on; "any" for all
    #[argh(option, short = 'i', long = "interface", arg_name = "ifname", from_str_fn(from_argument))]
    interface: Option<Text>,

    /// capture to replay: Frame Streams, pcap or pcapng
    #[argh(option, short = 'r', long = "read", arg_name = "file", from_str_fn(from_argument))]
    replay: Option<FilePath>,

    /// log debug lines
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// read and check the configuration, print what would run, and end
    #[argh(switch)]
    check: bool,

    /// with --check: the configuration in force; exit status 3 when the new one needs a restart
    #[argh(option, arg_name = "file")]
    against: Option<PathBuf>,

    /// print the version, and end; with -v also target, features and commit
    #[argh(switch, short = 'V')]
    version: bool,
}

/// Shows the password of the web API, which is in the file that `web-api.password-file` names.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct PasswordLine {
    /// configuration file (default: /etc/dnstapd/dnstap.toml when it exists)
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<PathBuf>,

    /// make a new password, and show it
    #[argh(switch)]
    new: bool,

    /// take the password that standard input brings, one line
    #[argh(switch)]
    set: bool,
}

impl PasswordLine {
    fn parse(words: &[String]) -> Result<Args, ImmediateAnswer> {
        let words = taken_apart(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let line =
            PasswordLine::from_args(&[NAME, "password"], &words).map_err(|exit| match exit.status {
                Ok(()) => ImmediateAnswer::Help(exit.output),
                Err(()) => {
                    ImmediateAnswer::Usage(format!("{PASSWORD_USAGE}\n{NAME}: {}\n", exit.output.trim_end()))
                }
            })?;
        let action = match (line.new, line.set) {
            (true, true) => {
                return Err(ImmediateAnswer::Usage(format!(
                    "{PASSWORD_USAGE}\n{NAME}: --new or --set, not both\n"
                )));
            }
            (true, false) => password::PasswordAction::Make,
            (false, true) => password::PasswordAction::Take,
            (false, false) => password::PasswordAction::Show,
        };
        Ok(Args { config: line.config, command: Command::Password(action), ..Args::default() })
    }
}

/// The first line of the help of `password`, for errors.
const PASSWORD_USAGE: &str = "Usage: dnstapd password [-c FILE] [--new | --set]";

/// The help of a program, as `help` asks for it.
fn help(words: &[String]) -> ImmediateAnswer {
    let help = |exit: argh::EarlyExit| ImmediateAnswer::Help(exit.output);
    match words.first().map(String::as_str) {
        None => DaemonLine::from_args(&[NAME], &["--help"]).err().map(help),
        Some("top") => TopLine::from_args(&[NAME, "top"], &["--help"]).err().map(help),
        Some("password") => PasswordLine::from_args(&[NAME, "password"], &["--help"]).err().map(help),
        Some("cat") => CatLine::from_args(&[NAME, "cat"], &["--help"]).err().map(help),
        Some("completions") => Some(ImmediateAnswer::Help(format!("{COMPLETIONS_USAGE}\n"))),
        Some(_) => None,
    }
    .unwrap_or_else(|| usage("help is there for: top, cat, password, completions"))
}

/// The completions of a shell.
fn completions_for(words: &[String]) -> ImmediateAnswer {
    match words {
        [word] if word == "-h" || word == "--help" => {
            Some(ImmediateAnswer::Help(format!("{COMPLETIONS_USAGE}\n")))
        }
        [shell] => completions::of(shell).map(|text| ImmediateAnswer::Help(text.to_owned())),
        _ => None,
    }
    .unwrap_or_else(|| ImmediateAnswer::Usage(format!("{COMPLETIONS_USAGE}\n")))
}

/// The help of `completions`.
const COMPLETIONS_USAGE: &str = "Usage: dnstapd completions bash|zsh|fish";

/// The version, and what was built when all of it is asked for.
fn version(in_full: bool) -> String {
    let mut text = format!("{NAME} {}\n", build::VERSION);
    if in_full {
        text.push_str(&format!(
            "target: {}\nfeatures: {}\ncommit: {}\n",
            build::TARGET,
            build::features(),
            build::COMMIT
        ));
    }
    text
}

/// Shows the counters and tables of a running daemon in the terminal, live; without a terminal prints them
/// once.
///
/// Credentials: --api-key-file, or USER:PASSWORD@ in --url, or the environment: DNSTAPD_API_KEY, or
/// DNSTAPD_PASSWORD and DNSTAPD_LOGIN; on this machine those of the configuration.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct TopLine {
    /// configuration file of this machine's daemon (default: /etc/dnstapd/dnstap.toml when it exists)
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<PathBuf>,

    /// web API of the daemon (default: that of the configuration, http://127.0.0.1:8080)
    #[argh(option)]
    url: Option<String>,

    /// file whose first line is the daemon's API key
    #[argh(option, arg_name = "file")]
    api_key_file: Option<PathBuf>,

    /// print what the web API has at this path, such as /log?limit=5, and end
    #[argh(option, arg_name = "path")]
    get: Option<String>,
}

impl TopLine {
    fn parse(words: &[String]) -> Result<Args, ImmediateAnswer> {
        let words = split_long(words);
        let line = TopLine::from_args(&[NAME, "top"], &words).map_err(|exit| match exit.status {
            Ok(()) => ImmediateAnswer::Help(exit.output),
            Err(()) => ImmediateAnswer::Usage(format!("{TOP_USAGE}\n{NAME}: {}\n", exit.output.trim_end())),
        })?;
        let options = top::TopOptions { url: line.url, api_key_file: line.api_key_file, get: line.get };
        Ok(Args { config: line.config, command: Command::Top(options), ..Args::default() })
    }
}

/// Prints a capture (Frame Streams, pcap, pcapng), a folder of such, or standard input: on a terminal aligned
/// and in colours (unless NO_COLOR is set), else as the outputs do.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct CatLine {
    /// how a message is printed: text (default), json, yaml, csv, ecs, zeek
    #[argh(option, arg_name = "format", default = "Format::Text", from_str_fn(from_argument))]
    format: Format,

    /// print only what matches; a parameter of /log, such as name=example.com or status=blocked,error; may
    /// be repeated
    #[argh(option, arg_name = "key=value")]
    filter: Vec<String>,

    /// capture (default: standard input)
    #[argh(positional, from_str_fn(from_argument))]
    file: Option<FilePath>,
}

impl CatLine {
    fn parse(words: &[String]) -> Result<CatOptions, ImmediateAnswer> {
        let mut words = split_long(words);
        // A lone dash is no option, and is meant anyway.
        if words.last() == Some(&"-") {
            words.pop();
        }
        let refuse = |why: &str| ImmediateAnswer::Usage(format!("{CAT_USAGE}\n{NAME}: {why}\n"));
        let line = CatLine::from_args(&[NAME, "cat"], &words).map_err(|exit| match exit.status {
            Ok(()) => ImmediateAnswer::Help(exit.output),
            Err(()) => refuse(exit.output.trim_end()),
        })?;
        let file = line.file.map_or_else(|| from_argument("-"), Ok).map_err(|why| refuse(&why))?;
        Ok(CatOptions { format: line.format, filters: line.filter, file })
    }
}

/// The first line of the help of `cat`, for errors.
const CAT_USAGE: &str = "Usage: dnstapd cat [--format FORMAT] [--filter KEY=VALUE]... [FILE]";

/// The first line of the help of `top`, for errors.
const TOP_USAGE: &str = "Usage: dnstapd top [-c FILE] [--url URL] [--api-key-file FILE] [--get PATH]";

/// The program's name.
const NAME: &str = "dnstapd";

/// The first line of the help, for errors.
const USAGE: &str = "Usage: dnstapd [-c FILE] [-l ADDR] [-p PORT] [-u PATH] [-i IFNAME] [-r FILE] [-v] [--check [--against OLD]] [-V] [-h]";

/// An error of usage.
fn usage(text: &str) -> ImmediateAnswer {
    ImmediateAnswer::Usage(format!("{USAGE}\n{NAME}: {text}\n"))
}

#[cfg(test)]
mod tests;
