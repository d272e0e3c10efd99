//! The command line, laid over the configuration.
//!
//! argh reads options and their values as separate words only. So `--port=7000`, `-p7000` and bundles such
//! as `-vc FILE` are taken apart first; what is left is argh's, messages included.

use crate::config::{CommandLine, Config, Error};
use crate::top;
use crate::values::{FilePath, ListenAddress, ListenPort, from_argument};
use argh::FromArgs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A command line that asks the daemon to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args {
    /// `-c`: the configuration file.
    pub config: Option<PathBuf>,
    /// The options that are laid over it.
    pub overlay: CommandLine,
    /// `--check`: say what would run, and end.
    pub check: bool,
    /// `top`: show a running daemon instead of being one.
    pub top: Option<top::TopOptions>,
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
        if let Some((_, words)) = words.split_first().filter(|(first, _)| *first == "top") {
            return Ok(Args { top: Some(TopLine::parse(words)?), ..Args::default() });
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
            overlay: CommandLine {
                listen: line.listen,
                port: line.port,
                unix: line.unix,
                verbose: line.verbose > 0,
            },
            check: line.check,
            top: None,
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

/// Shows the counters and tables of a running daemon in the terminal, live; without a terminal prints them once.
///
/// Credentials: --api-key-file, or USER:PASSWORD@ in --url, or the environment: DNSTAPD_API_KEY, or
/// DNSTAPD_PASSWORD and DNSTAPD_LOGIN.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct TopLine {
    /// web API of the daemon (default: http://127.0.0.1:8080)
    #[argh(option)]
    url: Option<String>,

    /// file whose first line is the daemon's API key
    #[argh(option, arg_name = "file")]
    api_key_file: Option<PathBuf>,
}

impl TopLine {
    fn parse(words: &[String]) -> Result<top::TopOptions, Answer> {
        let words: Vec<&str> = words
            .iter()
            .flat_map(|word| match word.split_once('=').filter(|_| word.starts_with("--")) {
                Some((name, value)) => vec![name, value],
                None => vec![word.as_str()],
            })
            .collect();
        let line = TopLine::from_args(&[NAME, "top"], &words).map_err(|exit| match exit.status {
            Ok(()) => Answer::Help(exit.output),
            Err(()) => Answer::Usage(format!("{TOP_USAGE}\n{NAME}: {}\n", exit.output.trim_end())),
        })?;
        Ok(top::TopOptions { url: line.url, api_key_file: line.api_key_file })
    }
}

/// The first line of the help of `top`, for errors.
const TOP_USAGE: &str = "Usage: dnstapd top [--url URL] [--api-key-file FILE]";

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a command line written with spaces.
    fn parse(line: &str) -> Result<Args, Answer> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    /// The meaning of a command line, in the order config, listen, port, unix, verbose, check.
    fn said(line: &str) -> String {
        let Args { config, overlay, check, top: None } = parse(line).unwrap() else { panic!("{line}") };
        let mut words = Vec::new();
        words.extend(config.map(|path| format!("c={}", path.display())));
        words.extend(overlay.listen.map(|address| format!("l={}", address.get())));
        words.extend(overlay.port.map(|port| format!("p={}", port.get())));
        words.extend(overlay.unix.map(|path| format!("u={}", path.display())));
        words.extend(overlay.verbose.then(|| "v".to_owned()));
        words.extend(check.then(|| "check".to_owned()));
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
                "--version",
                "-h, --help",
            ] {
                assert!(text.contains(option), "{option} in {text}");
            }
        }
        let version = format!("dnstapd {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(parse("--version"), Err(Answer::Help(version)));
    }

    #[test]
    fn the_live_screen_has_words_of_its_own() {
        let top = |line: &str| parse(line).map(|args| args.top.unwrap());
        let options = |url: Option<&str>, file: Option<&str>| {
            Ok(top::TopOptions { url: url.map(str::to_owned), api_key_file: file.map(PathBuf::from) })
        };
        assert_eq!(top("top"), options(None, None));
        assert_eq!(top("top --url http://a:1 --api-key-file k"), options(Some("http://a:1"), Some("k")));
        assert_eq!(top("top --url=http://a:1/?x=y"), options(Some("http://a:1/?x=y"), None));
        assert!(matches!(top("top --help"), Err(Answer::Help(text)) if text.contains("--api-key-file")));
        assert!(
            matches!(top("top -c x"), Err(Answer::Usage(text)) if text.contains("Unrecognized argument: -c"))
        );
    }

    #[test]
    fn words_that_are_no_text() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(vec![b'-', b'c', 0xff]);
        assert!(matches!(Args::parse([word]), Err(Answer::Usage(text)) if text.contains("not UTF-8")));
    }
}
