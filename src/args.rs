//! The command line, laid over the configuration.
//!
//! argh reads options and their values as separate words only. So `--port=7000`, `-p7000` and bundles such
//! as `-vc FILE` are taken apart first; what is left is argh's, messages included.

use crate::config::{CommandLine, Config, ConfigErrors};
use crate::values::{FilePath, Format, ListenAddress, ListenPort, Text, from_argument};
use crate::{build, completions, password, top};
use argh::FromArgs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    Password(password::Action),
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
        let line = Line::from_args(&[NAME], &words).map_err(|exit| match exit.status {
            Ok(()) => Answer::Help(exit.output),
            Err(()) => usage(exit.output.trim_end()),
        })?;
        if line.version {
            return Err(Answer::Help(version(line.verbose > 0)));
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
/// Other programs in this one: `dnstapd top` shows a running daemon in the terminal, `dnstapd cat` prints a capture,
/// `dnstapd password` shows the password of the web API, `dnstapd completions bash` (or zsh, fish) prints completions for
/// a shell, and `dnstapd help PROGRAM` their options.
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
    fn parse(words: &[String]) -> Result<Args, Answer> {
        let words = taken_apart(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let line =
            PasswordLine::from_args(&[NAME, "password"], &words).map_err(|exit| match exit.status {
                Ok(()) => Answer::Help(exit.output),
                Err(()) => Answer::Usage(format!("{PASSWORD_USAGE}\n{NAME}: {}\n", exit.output.trim_end())),
            })?;
        let action = match (line.new, line.set) {
            (true, true) => {
                return Err(Answer::Usage(format!("{PASSWORD_USAGE}\n{NAME}: --new or --set, not both\n")));
            }
            (true, false) => password::Action::Make,
            (false, true) => password::Action::Take,
            (false, false) => password::Action::Show,
        };
        Ok(Args { config: line.config, command: Command::Password(action), ..Args::default() })
    }
}

/// The first line of the help of `password`, for errors.
const PASSWORD_USAGE: &str = "Usage: dnstapd password [-c FILE] [--new | --set]";

/// The help of a program, as `help` asks for it.
fn help(words: &[String]) -> Answer {
    let help = |exit: argh::EarlyExit| Answer::Help(exit.output);
    match words.first().map(String::as_str) {
        None => Line::from_args(&[NAME], &["--help"]).err().map(help),
        Some("top") => TopLine::from_args(&[NAME, "top"], &["--help"]).err().map(help),
        Some("password") => PasswordLine::from_args(&[NAME, "password"], &["--help"]).err().map(help),
        Some("cat") => CatLine::from_args(&[NAME, "cat"], &["--help"]).err().map(help),
        Some("completions") => Some(Answer::Help(format!("{COMPLETIONS_USAGE}\n"))),
        Some(_) => None,
    }
    .unwrap_or_else(|| usage("help is there for: top, cat, password, completions"))
}

/// The completions of a shell.
fn completions_for(words: &[String]) -> Answer {
    match words {
        [word] if word == "-h" || word == "--help" => Some(Answer::Help(format!("{COMPLETIONS_USAGE}\n"))),
        [shell] => completions::of(shell).map(|text| Answer::Help(text.to_owned())),
        _ => None,
    }
    .unwrap_or_else(|| Answer::Usage(format!("{COMPLETIONS_USAGE}\n")))
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

/// Shows the counters and tables of a running daemon in the terminal, live; without a terminal prints them once.
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
    fn parse(words: &[String]) -> Result<Args, Answer> {
        let words = split_long(words);
        let line = TopLine::from_args(&[NAME, "top"], &words).map_err(|exit| match exit.status {
            Ok(()) => Answer::Help(exit.output),
            Err(()) => Answer::Usage(format!("{TOP_USAGE}\n{NAME}: {}\n", exit.output.trim_end())),
        })?;
        let options = top::TopOptions { url: line.url, api_key_file: line.api_key_file, get: line.get };
        Ok(Args { config: line.config, command: Command::Top(options), ..Args::default() })
    }
}

/// Prints a capture (Frame Streams, pcap, pcapng), a folder of such, or standard input: on a terminal aligned and in colours
/// (unless NO_COLOR is set), else as the outputs do.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct CatLine {
    /// how a message is printed: text (default), json, yaml, csv, ecs, zeek
    #[argh(option, arg_name = "format", default = "Format::Text", from_str_fn(from_argument))]
    format: Format,

    /// print only what matches; a parameter of /log, such as name=example.com or status=blocked,error; may be repeated
    #[argh(option, arg_name = "key=value")]
    filter: Vec<String>,

    /// capture (default: standard input)
    #[argh(positional, from_str_fn(from_argument))]
    file: Option<FilePath>,
}

impl CatLine {
    fn parse(words: &[String]) -> Result<CatOptions, Answer> {
        let mut words = split_long(words);
        // A lone dash is no option, and is meant anyway.
        if words.last() == Some(&"-") {
            words.pop();
        }
        let refuse = |why: &str| Answer::Usage(format!("{CAT_USAGE}\n{NAME}: {why}\n"));
        let line = CatLine::from_args(&[NAME, "cat"], &words).map_err(|exit| match exit.status {
            Ok(()) => Answer::Help(exit.output),
            Err(()) => refuse(exit.output.trim_end()),
        })?;
        let file = line.file.map_or_else(|| from_argument("-"), Ok).map_err(|why| refuse(&why))?;
        Ok(CatOptions { format: line.format, filters: line.filter, file })
    }
}

/// Splits `--name=value` into the words argh knows.
fn split_long(words: &[String]) -> Vec<&str> {
    words
        .iter()
        .flat_map(|word| match word.split_once('=').filter(|_| word.starts_with("--")) {
            Some((name, value)) => [Some(name), Some(value)],
            None => [Some(word.as_str()), None],
        })
        .flatten()
        .collect()
}

/// The first line of the help of `cat`, for errors.
const CAT_USAGE: &str = "Usage: dnstapd cat [--format FORMAT] [--filter KEY=VALUE]... [FILE]";

/// The first line of the help of `top`, for errors.
const TOP_USAGE: &str = "Usage: dnstapd top [-c FILE] [--url URL] [--api-key-file FILE] [--get PATH]";

/// The program's name.
const NAME: &str = "dnstapd";

/// The first line of the help, for errors.
const USAGE: &str = "Usage: dnstapd [-c FILE] [-l ADDR] [-p PORT] [-u PATH] [-i IFNAME] [-r FILE] [-v] [--check [--against OLD]] [-V] [-h]";

/// Options that take a value, by their letters.
const WITH_VALUE: &[char] = &['c', 'l', 'p', 'u', 'i', 'r'];

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
            matches!(long, "config" | "listen" | "port" | "unix" | "interface" | "read" | "against")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a command line written with spaces.
    fn parse(line: &str) -> Result<Args, Answer> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    /// The meaning of a command line, in the order config, listen, port, unix, verbose, check.
    fn said(line: &str) -> String {
        let Args { config, overlay, command } = parse(line).unwrap();
        let mut words = Vec::new();
        words.extend(config.map(|path| format!("c={}", path.display())));
        words.extend(overlay.listen.map(|address| format!("l={}", address.get())));
        words.extend(overlay.port.map(|port| format!("p={}", port.get())));
        words.extend(overlay.unix.map(|path| format!("u={}", path.display())));
        words.extend(overlay.verbose.then(|| "v".to_owned()));
        words.extend(overlay.interface.map(|name| format!("i={}", name.as_str())));
        words.extend(overlay.replay.map(|path| format!("r={}", path.display())));
        match command {
            Command::Run => {}
            Command::Check { against: None } => words.push("check".to_owned()),
            Command::Check { against: Some(old) } => words.push(format!("check={}", old.display())),
            other => panic!("{other:?}"),
        }
        words.join(" ")
    }

    #[test]
    fn every_spelling_of_an_option() {
        for (line, expected) in [
            ("", ""),
            ("-c a.toml", "c=a.toml"),
            ("-ca.toml", "c=a.toml"),
            ("--config a.toml", "c=a.toml"),
            ("--config=a=b.toml", "c=a=b.toml"),
            ("-l ::1", "l=::1"),
            ("-l[::1]", "l=::1"),
            ("--listen=0.0.0.0", "l=0.0.0.0"),
            ("-p 7000", "p=7000"),
            ("-p7000", "p=7000"),
            ("--port=7000", "p=7000"),
            ("--port 0", "p=0"),
            ("-u /run/x.sock", "u=/run/x.sock"),
            ("--unix=/run/x.sock", "u=/run/x.sock"),
            ("-v", "v"),
            ("-vv", "v"),
            ("-v --verbose", "v"),
            ("--check", "check"),
            ("--check --against old", "check=old"),
            ("--against=old --check", "check=old"),
            ("-i br-lan", "i=br-lan"),
            ("-ibr-lan -r x.pcap", "i=br-lan r=x.pcap"),
            ("--interface=any --read=-", "i=any r=-"),
            ("-vc a.toml", "c=a.toml v"),
            ("-vca.toml", "c=a.toml v"),
            ("-vp7000 -l127.0.0.2", "l=127.0.0.2 p=7000 v"),
            // The word after an option is its value, whatever it looks like.
            ("-u --check", "u=--check"),
            ("--config --port=1", "c=--port=1"),
            ("-c a -l :: -p 1 -u b -v --check", "c=a l=:: p=1 u=b v check"),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }

    #[test]
    fn nonsense_gets_usage_and_the_reason() {
        for (line, reason) in [
            ("-x", "Unrecognized argument: -x"),
            ("-vx", "Unrecognized argument: -x"),
            ("--prot 1", "Unrecognized argument: --prot"),
            ("run", "Unrecognized argument: run"),
            ("--verbose=1", "Unrecognized argument: 1"),
            ("-p", "No value provided for option '-p'."),
            (
                "-p x",
                "Error parsing option '-p' with value 'x': impossible; allowed: a port, 0 to 65535 (0 = any free one)",
            ),
            (
                "--port=65536",
                "Error parsing option '--port' with value '65536': impossible; allowed: a port, 0 to 65535 (0 = any free one)",
            ),
            (
                "-l lan",
                "Error parsing option '-l' with value 'lan': impossible; allowed: an IP address, such as \"127.0.0.1\", \"0.0.0.0\" or \"[::]\"",
            ),
            (
                "--unix=",
                "Error parsing option '--unix' with value '': impossible; allowed: the path of a file",
            ),
            ("-p1 -p2", "Error parsing option '-p' with value '2': duplicate values provided"),
        ] {
            let Err(Answer::Usage(text)) = parse(line) else { panic!("{line}") };
            let (first, rest) = text.split_once('\n').unwrap();
            assert!(first.starts_with("Usage: dnstapd "), "{line}: {text}");
            assert!(rest.starts_with(&format!("dnstapd: {reason}")), "{line}: {text}");
        }
    }

    #[test]
    fn help_and_version_are_answers() {
        for line in ["-h", "--help", "-v -h", "-vh"] {
            let Err(Answer::Help(text)) = parse(line) else { panic!("{line}") };
            for option in [
                "-c, --config",
                "-l, --listen",
                "-p, --port",
                "-u, --unix",
                "-v, --verbose",
                "--check",
                "-V, --version",
                "-h, --help",
                "-i, --interface",
                "-r, --read",
                "--against",
                "dnstapd top",
            ] {
                assert!(text.contains(option), "{option} in {text}");
            }
        }
        let version = format!("dnstapd {}\n", env!("CARGO_PKG_VERSION"));
        for line in ["--version", "-V"] {
            assert_eq!(parse(line), Err(Answer::Help(version.clone())));
        }
        for line in ["--version -v", "-vV", "-V --verbose"] {
            let Err(Answer::Help(text)) = parse(line) else { panic!("{line}") };
            assert!(text.starts_with(&version), "{text}");
            assert!(
                text.contains("\ntarget: ") && text.contains("\nfeatures: ") && text.contains("\ncommit: "),
                "{text}"
            );
        }
    }

    #[test]
    fn the_live_screen_has_words_of_its_own() {
        let top = |line: &str| {
            parse(line).map(|args| match args.command {
                Command::Top(options) => options,
                other => panic!("{other:?}"),
            })
        };
        let options = |url: Option<&str>, file: Option<&str>| {
            let (url, api_key_file) = (url.map(str::to_owned), file.map(PathBuf::from));
            Ok(top::TopOptions { url, api_key_file, get: None })
        };
        assert_eq!(top("top"), options(None, None));
        assert_eq!(top("top --url http://a:1 --api-key-file k"), options(Some("http://a:1"), Some("k")));
        assert_eq!(top("top --url=http://a:1/?x=y"), options(Some("http://a:1/?x=y"), None));
        assert!(matches!(top("top --help"), Err(Answer::Help(text)) if text.contains("--api-key-file")));
        assert!(
            matches!(top("top -p 1"), Err(Answer::Usage(text)) if text.contains("Unrecognized argument: -p"))
        );
        let asks = parse("top -c x --get=/log?a=b").unwrap();
        let get = Some("/log?a=b".to_owned());
        assert_eq!(asks.config, Some(PathBuf::from("x")));
        assert_eq!(asks.command, Command::Top(top::TopOptions { get, ..top::TopOptions::default() }));
    }

    #[test]
    fn the_password_has_words_of_its_own() {
        let action = |line: &str| parse(line).map(|args| (args.config, args.command));
        let expected =
            |config: Option<&str>, action| Ok((config.map(PathBuf::from), Command::Password(action)));
        assert_eq!(action("password"), expected(None, password::Action::Show));
        assert_eq!(action("password --new -c x"), expected(Some("x"), password::Action::Make));
        assert_eq!(action("password -cx --set"), expected(Some("x"), password::Action::Take));
        assert!(matches!(action("password --new --set"), Err(Answer::Usage(_))));
        assert!(matches!(action("help password"), Err(Answer::Help(text)) if text.contains("--set")));
        assert!(matches!(action("help"), Err(Answer::Help(text)) if text.contains("--check")));
        assert!(matches!(action("help me"), Err(Answer::Usage(_))));
        assert!(matches!(action("--against x"), Err(Answer::Usage(_))));
    }

    #[test]
    fn words_that_are_no_text() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(vec![b'-', b'c', 0xff]);
        assert!(matches!(Args::parse([word]), Err(Answer::Usage(text)) if text.contains("not UTF-8")));
    }
}
