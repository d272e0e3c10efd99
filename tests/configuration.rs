//! The configuration seen from outside: its messages, its files, its example, and that nothing breaks it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may")]

use dnstapd::args::Args;
use dnstapd::config::{CommandLine, Config, ConfigErrors, ExitClass, RawConfig};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The example that shows every key.
const EXAMPLE: &str = include_str!("../configs/dnstap.toml");

/// Each case of `errors.txt` is refused with exactly its message.
#[test]
fn every_mistake_has_its_message() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config/errors.txt");
    let golden = fs::read_to_string(path).unwrap();
    let mut cases = golden.split("\n#### ");
    let mut found = cases.next().unwrap().to_owned();
    for case in cases {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("=> ").unwrap();
        let Err(message) = Config::parse(text, "dnstap.toml") else {
            panic!("`{title}` is no mistake (any more)")
        };
        found.push_str(&format!("\n#### {title}\n{text}=> {message}\n"));
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &found).unwrap();
    }
    let differing = found.lines().zip(golden.lines()).find(|(found, golden)| found != golden);
    assert_eq!(differing, None, "found and expected");
    assert_eq!(found.len(), golden.len());
}

// ---- The example ----------------------------------------------------------------------------------------

/// What the example writes out is what holds without it.
#[test]
fn the_example_shows_the_defaults() {
    let bare = |text: &str| {
        let config = Config::parse(text, "configs/dnstap.toml").unwrap();
        Config { written: RawConfig::default(), started: RawConfig::default(), ..config }
    };
    assert_eq!(bare(EXAMPLE), bare(""));
}

/// Every key that is read stands in the example, set or behind `# `.
#[test]
fn the_example_shows_every_key() {
    let set: String =
        EXAMPLE.lines().map(|line| format!("{}\n", uncommented(line).unwrap_or(line))).collect();
    let table: toml::Table = toml::from_str(&set).unwrap();
    let keys = known_keys("");
    assert!(keys.len() > 100, "{keys:?}");
    for key in keys {
        let mut parts = key.split('.');
        let first = table.get(parts.next().unwrap());
        let found = parts.try_fold(first, |value, part| value?.get(part).map(Some)).flatten();
        let named_as_old = EXAMPLE.contains(&format!("`{}`", key.rsplit('.').next().unwrap()));
        assert!(found.is_some() || named_as_old, "{key}");
    }
}

/// Every key of the example has a word on what it does.
#[test]
fn the_example_explains_every_key() {
    for line in EXAMPLE.lines() {
        let line = uncommented(line).unwrap_or(line);
        let explained = line.rsplit_once(" # ").is_some_and(|(_, words)| words.len() > 3);
        let enable = line.starts_with("enable = ");
        assert!(line.is_empty() || line.starts_with(['#', '[']) || enable || explained, "{line}");
    }
}

/// The key of a line whose key stands behind `# `.
fn uncommented(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    let (name, _) = rest.split_once(" = ")?;
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-').then_some(rest)
}

/// All keys below a section, as the error about one that is none lists them.
fn known_keys(section: &str) -> Vec<String> {
    let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let Err(error) = Config::parse(&format!("{header}zzz = 1\n"), "x") else {
        return vec![section.to_owned()];
    };
    let message = error.to_string();
    if !message.contains("unknown key `zzz`") {
        return vec![section.to_owned()];
    }
    let (_, allowed) = message.split_once("; allowed: ").unwrap();
    let names = allowed.split('`').skip(1).step_by(2);
    let below = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    // The filter of an output has the keys of section `filter`.
    let is_filter = |name: &str| name == "filter" && section.starts_with("output.");
    names
        .flat_map(|name| if is_filter(name) { vec![below(name)] } else { known_keys(&below(name)) })
        .collect()
}

/// The other ready-made files are fine too.
#[test]
fn every_file_in_configs_is_accepted() {
    let folder = Folder::new("configs");
    let [key, password] = ["api-key", "password"].map(|name| folder.write(name, "secret\n"));
    let mut names = Vec::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // What is mounted into a container.
            let text = fs::read_to_string(&path).unwrap();
            let text = text.replace("/run/secrets/api-key", key.to_str().unwrap());
            let text = text.replace("/run/secrets/password", password.to_str().unwrap());
            Config::load(&folder.write(&name, text), &CommandLine::default()).unwrap();
            names.push(name);
        }
    }
    names.sort();
    assert_eq!(names, ["container.toml", "demo.toml", "dnstap.toml"]);
}

// ---- Files ----------------------------------------------------------------------------------------------

/// A directory of one test, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("dnstapd-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command line up to its configuration.
fn configuration(words: &[&str], fallback: &Path) -> Result<Config, ConfigErrors> {
    Args::parse(words.iter().map(Into::into)).unwrap().configuration(fallback)
}

#[test]
fn the_named_file_goes_before_the_usual_one() {
    let folder = Folder::new("named");
    let usual = folder.write("usual.toml", "[input.tcp-socket]\nlocal-port = 1001\n");
    let named = folder.write("named.toml", "[input.tcp-socket]\nlocal-port = 1002\n");
    let absent = folder.0.join("absent.toml");
    let port = |words: &[&str], fallback: &Path| {
        let config = configuration(words, fallback).unwrap();
        (config.input.tcp_socket.local_port.get(), config.file)
    };
    assert_eq!(port(&[], &absent), (6000, None));
    assert_eq!(port(&[], &usual), (1001, Some(usual.clone())));
    assert_eq!(port(&["-c", named.to_str().unwrap()], &usual), (1002, Some(named)));
    assert_eq!(port(&["-p1003"], &usual), (1003, Some(usual)));
}

/// The exit status: 2 for the words, 1 for the machine.
#[test]
fn errors_know_whose_fault_they_are() {
    let folder = Folder::new("fault");
    let absent = folder.0.join("absent");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let secret = |name: &str, content: &[u8]| {
        let file = folder.write(name, content);
        folder.write(&format!("{name}.toml"), format!("[web-api]\napi-key-file = '{}'\n", file.display()))
    };
    let exposed = |name: &str, key: &str| {
        let file = folder.write(name, key);
        let text = format!(
            "[web-api]\nlocal-address = '0.0.0.0'\npassword = ''\napi-key-file = '{}'\n",
            file.display()
        );
        folder.write(&format!("{name}.toml"), text)
    };
    let unreadable =
        folder.write("unreadable.toml", format!("[web-api]\napi-key-file = '{}'\n", absent.display()));
    for (file, class, expected) in [
        (
            absent.clone(),
            ExitClass::Machine,
            "absent: cannot read it: No such file or directory (os error 2)",
        ),
        (folder.0.clone(), ExitClass::Machine, ": cannot read it: Is a directory (os error 21)"),
        (
            folder.write("long", vec![b'#'; (1 << 20) + 1]),
            ExitClass::Machine,
            ": cannot read it: longer than 1048576 bytes",
        ),
        (folder.write("latin1", b"# caf\xe9\n"), ExitClass::Words, "latin1:1:6: not UTF-8; allowed: UTF-8"),
        (folder.write("syntax", "\n[trace\n"), ExitClass::Words, "syntax:2:7: unclosed table; allowed: `]`"),
        (
            unreadable,
            ExitClass::Machine,
            &format!(
                ":2:1: web-api.api-key-file: cannot read {}: No such file or directory (os error 2)",
                absent.display()
            ),
        ),
        (secret("empty", b""), ExitClass::Machine, "the first line is empty"),
        (secret("blank", b"\nkey\n"), ExitClass::Machine, "the first line is empty"),
        (secret("binary", b"\xff\n"), ExitClass::Machine, "not UTF-8"),
        (exposed("shipped", "changeme\n"), ExitClass::Words, "web-api.api-key: still \"changeme\""),
    ] {
        let error = configuration(&["-c", &path(&file)], &absent).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(
            (error.class(), error.class().exit_status()),
            (class, if class == ExitClass::Words { 2 } else { 1 })
        );
    }
}

#[test]
fn secrets_come_from_the_first_line_of_their_files() {
    let folder = Folder::new("secrets");
    let key = folder.write("key", "k3y with spaces \r\nsecond line\n");
    let password = folder.write("password", "p4ssword");
    let text = format!(
        "[web-api]\nlocal-address = '::'\napi-key-file = '{}'\npassword = 'changeme'\npassword-file = '{}'\n",
        key.display(),
        password.display()
    );
    let config = Config::load(&folder.write("x.toml", text), &CommandLine::default()).unwrap();
    assert_eq!(config.web_api.api_key.expose(), "k3y with spaces ");
    assert_eq!(config.web_api.password.expose(), "p4ssword");
}

/// An API that is off needs no secrets.
#[test]
fn files_of_an_api_that_is_off_stay_unread() {
    let folder = Folder::new("off");
    let file = folder.write("x.toml", "[web-api]\nenable = false\napi-key-file = '/nonexistent'\n");
    Config::load(&file, &CommandLine::default()).unwrap();
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_read() {
    let text = "\u{feff}[trace]\r\nverbose = true\r\nfile = 5\r\n";
    let error = Config::parse(text, "x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "x:3:8: trace.file: invalid type: integer `5`; allowed: the path of a file"
    );
}

// ---- Anything -------------------------------------------------------------------------------------------

/// Parses a text; each error must be one printable line with its place, in the order of the text.
fn survive(text: &str) {
    let Err(errors) = Config::parse(text, "any.toml") else { return };
    let mut last = (0, 0);
    for message in errors.to_string().split('\n') {
        let mut place = message.strip_prefix("any.toml:").unwrap().splitn(3, ':');
        let mut number = || place.next().unwrap().parse::<usize>().unwrap();
        let (line, column) = (number(), number());
        assert!((1..=text.split('\n').count()).contains(&line), "{message}");
        assert!(column > 0 && (line, column) >= last, "{errors}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
        last = (line, column);
    }
    assert_eq!(errors.class(), ExitClass::Words);
}

/// All mistakes at once, in the order of the file; what follows from another mistake is not one.
#[test]
fn every_mistake_is_named() {
    let text = "[output.syslog]\nenable = true\ntransport = 'udo'\nremote-address = 5\n\
                [trace]\nverbos = true\n[web-api]\nlocal-port = 70000\n\
                [[input.tcp-client]]\nenable = true\nremote-port = 0\nretries = 1\n";
    let errors = Config::parse(text, "x").unwrap_err().to_string();
    let starts: Vec<String> =
        errors.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        starts,
        [
            "x:3:13 output.syslog.transport",
            "x:4:18 output.syslog.remote-address",
            "x:6:1 trace.verbos",
            "x:8:14 web-api.local-port",
            "x:9:1 input.tcp-client.remote-address",
            "x:11:15 input.tcp-client[0].remote-port",
            "x:12:1 input.tcp-client[0].retries",
        ],
        "{errors}"
    );
    assert!(
        errors.contains("(did you mean `udp`?)") && errors.contains("(did you mean `verbose`?)"),
        "{errors}"
    );
    let errors =
        Config::parse("[trace]\nverbose = yes\nfile = /var/log/x\n[output.stdout]\nformat = json\n", "x");
    assert_eq!(
        errors.unwrap_err().to_string(),
        "x:2:11: trace.verbose: `yes` is not a value (did you mean `true`?); allowed: true or false\n\
         x:3:8: trace.file: a text needs quotes; allowed: `file = \"/var/log/x\"`\n\
         x:5:10: output.stdout.format: a text needs quotes; allowed: `format = \"json\"`"
    );
    for (line, expected) in [
        ("[web-api]\nlocal-address = 127.0.0.1", "`local-address = \"127.0.0.1\"`"),
        ("[input.unix-socket]\nmode = 0660", "`mode = \"0660\"`"),
        ("[input.file]\nenable = On # here", "(did you mean `true`?)"),
        ("[web-api]\nlocal-port = 08080", "`local-port = 8080`"),
        ("[web-api]\nlocal-port = 8080 ; a comment", "`local-port = 8080 # comment`"),
        (
            "[input.tcp-socket]\naccess-control-list = [10.0.0.0/8, fe80::1]",
            "`access-control-list = [\"10.0.0.0/8\", \"fe80::1\"]`",
        ),
        ("[web-api]\nport = 8080", "(did you mean `local-port`?)"),
    ] {
        let error = Config::parse(line, "x").unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

/// One change of a text: where, how much goes, what comes.
fn edit(text: &mut Vec<u8>, (at, gone, new): (usize, usize, String)) {
    let at = at % (text.len() + 1);
    let end = (at + gone).min(text.len());
    text.splice(at..end, new.into_bytes());
}

/// What is typed into a configuration, right or wrong.
fn typed() -> impl Strategy<Value = String> {
    let words = [
        "",
        "\n",
        " = ",
        "[",
        "]",
        "[[",
        "]]",
        ".",
        ",",
        "{",
        "}",
        "#",
        "\"",
        "'",
        "\"\"\"",
        "-1",
        "0",
        "0x7f",
        "99999999999999999999",
        "1e400",
        "nan",
        "true",
        "enable = true\n",
        "1979-05-27T07:32:00Z",
        "\\u001b",
        "[input]",
        "[[input.tcp-client]]\n",
        "[output.kafka.rdkafka-config]\n",
        "\"K\"",
        "é",
        "\u{feff}",
        "\0",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        any::<String>(),
        "[a-z.=\\[\\]\" ]{0,12}"
    ]
}

/// It was: the advice to quote the texts of a list had it as its key.
#[test]
fn a_control_character_is_not_repeated() {
    survive("[a]\n]]\u{0}*b = [output.kafka]\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_survived(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn text_like_toml_is_survived(words in prop::collection::vec(typed(), 0..30)) {
        survive(&words.concat());
    }

    #[test]
    fn a_changed_configuration_is_survived(
        edits in prop::collection::vec((any::<usize>(), 0..40usize, typed()), 1..8)
    ) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        edits.into_iter().for_each(|one| edit(&mut text, one));
        survive(&String::from_utf8_lossy(&text));
    }

    /// Values reach the types of every key: one value of the example is exchanged for another.
    #[test]
    fn an_exchanged_value_is_survived(
        line in any::<prop::sample::Index>(),
        value in prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| format!("{text:?}")),
            Just("true".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), Just("1.5".to_owned()),
            Just("[[1]]".to_owned()), Just("{ a.b = [] }".to_owned()), Just("07:32:00".to_owned()),
        ]
    ) {
        let is_key = |line: &&str| uncommented(line).unwrap_or(line).contains(" = ");
        let lines: Vec<&str> = EXAMPLE.lines().filter(is_key).collect();
        let chosen = lines[line.index(lines.len())];
        let (key, _) = uncommented(chosen).unwrap_or(chosen).split_once(" = ").unwrap();
        survive(&EXAMPLE.replacen(chosen, &format!("{key} = {value}"), 1));
    }
}
