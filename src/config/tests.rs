//! Rules between sections, and the example file.

use super::document::ConfigDocument;
use super::*;
use crate::input::file::AtEnd;
use crate::limits::OUTPUTS;
use crate::values::Value;

/// The example that shows every key.
const EXAMPLE: &str = include_str!("../../configs/dnstap.toml");

/// A configuration, whether what it asks for is built or not.
fn understand(text: &str, overlay: &CommandLine) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let config = Config::understand(&mut ConfigDocument::parse(text, "test.toml")?, overlay, &mut errors);
    finish(config, errors)
}

/// The overlay of a command line such as `-l 0.0.0.0 -u /run/x`.
fn overlay(line: &str) -> CommandLine {
    let mut overlay = CommandLine::default();
    let mut words = line.split_whitespace();
    while let Some(option) = words.next() {
        match option {
            "-l" => overlay.listen = ListenAddress::from_text(words.next().unwrap()).ok(),
            "-p" => overlay.port = ListenPort::from_integer(words.next().unwrap().parse().unwrap()).ok(),
            "-u" => overlay.unix = Some(FilePath::new(words.next().unwrap())),
            "-v" => overlay.verbose = true,
            other => panic!("{other}"),
        }
    }
    overlay
}

/// The names of what is enabled.
fn enabled(config: &Config) -> String {
    let Config { input, output, .. } = config;
    let all = [
        ("tcp-socket", input.tcp_socket.enable == Some(true)),
        ("tcp-client", input.tcp_client.iter().any(|client| client.enable)),
        ("unix-socket", input.unix_socket.enable),
        ("sniffer", input.sniffer.enable),
        ("file", input.file.enable),
        (">stdout", output.stdout[0].enable == Some(true)),
        (">file", output.file[0].enable),
        (">tcp-socket", output.tcp_socket[0].enable),
        (">syslog", output.syslog[0].enable),
        (">metrics", output.metrics[0].enable),
        (">dnstap", output.dnstap[0].enable),
        (">kafka", output.kafka[0].enable),
        (">http", output.http[0].enable),
        (">mqtt", output.mqtt[0].enable),
    ];
    all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_build_says_which_feature_it_lacks() {
    for (section, feature, is_built) in [
        ("health", "health", health::BUILT),
        ("history", "history", history::BUILT),
        ("names", "history", names::BUILT),
    ] {
        for (value, is_fine) in [(true, is_built), (false, true)] {
            let settled = Config::parse(&format!("[{section}]\nenable = {value}\n"), "test.toml");
            assert_eq!(settled.is_ok(), is_fine, "{section}");
            let reason = format!("test.toml:2:10: {section}.enable: needs the cargo feature `{feature}`");
            assert!(settled.err().is_none_or(|error| error.to_string().starts_with(&reason)), "{section}");
        }
        // Nobody asks for it who does not say so.
        assert!(Config::parse(&format!("[{section}]\n"), "test.toml").is_ok());
    }
}

#[test]
fn what_is_enabled_when_nobody_says() {
    let check = |line: &str, text: &str, expected: &str| {
        let config = understand(text, &overlay(line)).unwrap();
        assert_eq!(enabled(&config), expected, "{line} {text}");
    };
    let unix = "[input.unix-socket]\nenable = true\npath = '/run/x'\n";
    let file = "[input.file]\nenable = true\npath = 'x'\n";
    check("", "", "tcp-socket >stdout");
    check("", unix, "unix-socket >stdout");
    check("", file, "file >stdout");
    check("", "[input.sniffer]\nenable = true\neth-name = 'lo'", "sniffer >stdout");
    check(
        "",
        "[[input.tcp-client]]\n[[input.tcp-client]]\nenable = true\nremote-address = 'a'\nremote-port = 1",
        "tcp-client >stdout",
    );
    // What is off counts for nothing.
    check(
        "",
        "[[input.tcp-client]]\n[input.file]\n[input.sniffer]\n[input.unix-socket]",
        "tcp-socket >stdout",
    );
    check("-u /run/x", "", "unix-socket >stdout");
    check("-u /run/x", "[input.unix-socket]\nenable = false", "unix-socket >stdout");
    check("-p 7000", "", "tcp-socket >stdout");
    check("-p 7000", unix, "tcp-socket unix-socket >stdout");
    check("-l 0.0.0.0", file, "tcp-socket file >stdout");
    check("-l 0.0.0.0 -u /run/x", "", "tcp-socket unix-socket >stdout");
    check("-v", unix, "unix-socket >stdout");
    // What is written wins.
    check("", &format!("{unix}[input.tcp-socket]\nenable = true"), "tcp-socket unix-socket >stdout");
    check("-u /run/x", "[input.tcp-socket]\nenable = true", "tcp-socket unix-socket >stdout");
    check("-p 7000", &format!("{unix}[input.tcp-socket]\nenable = false"), "unix-socket >stdout");
    check("", "[output.stdout]\nenable = false", "tcp-socket");
    check("", "[output.metrics]\nenable = true", "tcp-socket >metrics");
    check("", "[output.file]\nenable = true\n[output.stdout]\nenable = true", "tcp-socket >stdout >file");
    check("", "[output.file]\nenable = false", "tcp-socket >stdout");
}

#[test]
fn the_command_line_goes_over_the_file() {
    let text = "[trace]\nverbose = true\n[input.tcp-socket]\nlocal-address = '127.0.0.2'\nlocal-port = 7000";
    let listener = |line: &str| {
        let config = understand(text, &overlay(line)).unwrap();
        let section = &config.input.tcp_socket;
        (format!("{}:{}", section.local_address.get(), section.local_port.get()), config.trace.verbose)
    };
    assert_eq!(listener(""), ("127.0.0.2:7000".to_owned(), true));
    assert_eq!(listener("-l 0.0.0.0"), ("0.0.0.0:7000".to_owned(), true));
    // The reference's own defaults are values like any other.
    assert_eq!(listener("-l 0.0.0.0 -p 6000"), ("0.0.0.0:6000".to_owned(), true));
    assert_eq!(listener("-v -p 0"), ("127.0.0.2:0".to_owned(), true));
    let config = understand("[input.unix-socket]\npath = '/a'\nmode = '0600'", &overlay("-u /b")).unwrap();
    assert_eq!(config.input.unix_socket.path, Some(FilePath::new("/b")));
    assert_eq!(config.input.unix_socket.mode.get(), 0o600);
}

#[test]
fn an_option_without_effect_is_a_warning() {
    let text = "[input.tcp-socket]\nenable = false\n[input.file]\nenable = true\npath = 'x'";
    let warnings = |line: &str| understand(text, &overlay(line)).unwrap().warnings.len();
    assert_eq!((warnings(""), warnings("-v"), warnings("-p 1"), warnings("-l ::")), (0, 0, 1, 1));
}

#[test]
fn a_file_alone_ends_the_program() {
    let at_end = |text: &str| {
        let text = format!("[input.file]\nenable = true\npath = 'x'\n{text}");
        understand(&text, &CommandLine::default()).unwrap().input.file.at_end.unwrap()
    };
    assert_eq!(at_end(""), AtEnd::Exit);
    assert_eq!(at_end("loop = true"), AtEnd::Stay);
    assert_eq!(at_end("loop = true\nat-end = 'exit'"), AtEnd::Exit);
    assert_eq!(at_end("at-end = 'stay'"), AtEnd::Stay);
    assert_eq!(at_end("[input.tcp-socket]\nenable = true"), AtEnd::Stay);
    assert_eq!(at_end("[input.unix-socket]\nenable = true\npath = 'y'"), AtEnd::Stay);
    assert_eq!(at_end("[input.unix-socket]\nenable = false"), AtEnd::Exit);
}

#[test]
fn the_syslog_port_follows_the_transport() {
    let port = |text: &str| {
        let text = format!("[output.syslog]\nenable = true\nremote-address = 'a'\n{text}");
        understand(&text, &CommandLine::default()).unwrap().output.syslog[0].port()
    };
    assert_eq!(port(""), 514);
    assert_eq!(port("transport = 'tcp'"), 514);
    assert_eq!(port("transport = 'tls'"), 6514);
    assert_eq!(port("transport = 'tls'\nremote-port = 10514"), 10514);
}

#[test]
fn single_limits_go_over_the_profile() {
    let check = |text: &str, expected: [usize; 6]| {
        let config = understand(&format!("[limits]\n{text}"), &CommandLine::default()).unwrap();
        let limits = limits::Limits::resolve(&config.limits);
        let limits::Limits { streams, connections, pairing, top_names, top_clients, frame, .. } = limits;
        assert_eq!([streams, connections, pairing, top_names, top_clients, frame], expected, "{text}");
    };
    check("", [64, 64, 8192, 256, 512, 135_168]);
    check("profile = 'default'", [64, 64, 8192, 256, 512, 135_168]);
    check("profile = 'tiny'", [8, 16, 2048, 64, 64, 69_632]);
    check("profile = 'small'", [16, 32, 8192, 256, 256, 69_632]);
    check("profile = 'large'", [256, 256, 262_144, 4096, 4096, 135_168]);
    check("profile = 'tiny'\npairing = 16\nframe = '16M'", [8, 16, 16, 64, 64, 16_777_216]);
    check(
        "streams = 1\nconnections = 2\npairing = 1000\ntop-names = 16\ntop-clients = 17\nframe = 512",
        [1, 2, 1000, 16, 17, 512],
    );
}

#[test]
fn an_explicit_no_to_tls_may_leave_the_files_named() {
    let text = "[input.tcp-socket]\ntls-support = false\ntls-server-cert = '/c'\ntls-server-key = '/k'";
    assert!(!understand(text, &CommandLine::default()).unwrap().input.tcp_socket.tls().is_on());
}

/// Rules hold for sections that are on; what is off may be half written.
#[test]
fn sections_that_are_off_are_not_asked() {
    let text = "[web-api]\nenable = false\nlocal-address = '0.0.0.0'\ntls-support = true\n\
                [output.syslog]\nformat = 'yaml'\nframing = 'newline'\n[geoip]\n[input.sniffer]\ndns-port = []";
    Config::parse(text, "test.toml").unwrap();
}

#[test]
fn an_api_for_this_machine_may_keep_its_shipped_secrets() {
    let refused = |address: &str, rest: &str| {
        let text = format!("[web-api]\nlocal-address = '{address}'\n{rest}");
        Config::parse(&text, "test.toml").is_err()
    };
    for address in ["127.0.0.1", "127.1.2.3", "[::1]", "::1", "localhost"] {
        assert!(!refused(address, ""), "{address}");
        assert!(!refused(address, "api-key = ''\npassword = ''"), "{address}");
    }
    for address in ["0.0.0.0", "[::]", "192.0.2.1", "::ffff:0.0.0.0"] {
        assert!(refused(address, ""), "{address}");
        assert!(refused(address, "api-key = 'x'"), "{address}");
        assert!(refused(address, "password = 'x'"), "{address}");
        assert!(refused(address, "api-key = ''\npassword = ''"), "{address}");
        assert!(!refused(address, "api-key = 'x'\npassword = ''"), "{address}");
        assert!(!refused(address, "api-key = ''\npassword = 'x'"), "{address}");
        assert!(!refused(address, "api-key = 'x'\npassword = 'y'"), "{address}");
    }
}

/// The example as somebody would fill it in: every key after `# ` is set, every section is on.
#[test]
fn the_example_can_be_switched_on_as_a_whole() {
    let mut section = "";
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        section = if line.starts_with('[') { line } else { section };
        let key = line.strip_prefix("# ").filter(|rest| {
            let name = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        });
        // Two ways to the same place: one is enough.
        let second_way = (line.starts_with("# path")
            && ["[output.syslog]", "[output.dnstap]"].contains(&section))
            || line.starts_with("# bearer-file")
            || line.starts_with("# template =");
        match key {
            Some(_) if second_way => {}
            Some(key) => text.push_str(key),
            None => text.push_str(&line.replace("enable = false", "enable = true")),
        }
        text.push('\n');
    }
    let config = understand(&text, &CommandLine::default()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(
        enabled(&config),
        "tcp-socket tcp-client unix-socket sniffer file \
         >stdout >file >tcp-socket >syslog >metrics >dnstap >kafka >http >mqtt"
    );
    assert!(config.geoip.enable);
    assert_eq!(config.output.kafka[0].rdkafka_config.value("bootstrap.servers"), Some("10.0.0.3:9092"));
}

#[test]
fn a_kind_of_output_may_be_there_several_times() {
    let section = |number: usize| format!("[[output.file]]\nenable = true\nname = 'f{number}'\n");
    let read = |text: String| understand(&text, &CommandLine::default());
    let config = read((0..OUTPUTS).map(section).collect()).unwrap();
    let names: Vec<_> =
        config.output.enabled().map(|(path, kind)| format!("{path} {}", kind.name())).collect();
    assert_eq!(names.len(), OUTPUTS);
    assert_eq!(names[3], "file[3] f3");
    assert_eq!(config.output.path_of("f3"), "file[3]");
    let error = read((0..=OUTPUTS).map(section).collect()).unwrap_err().to_string();
    assert!(error.contains("output.file[16].enable: too many outputs; allowed: at most 16"), "{error}");
    // What is off needs no name.
    assert!(read("[[output.file]]\n[[output.file]]\n[[output.file]]\nenable = true".to_owned()).is_ok());
}

#[test]
fn changes_are_named_by_key_and_sorted_out() {
    let between = |old: &str, new: &str| {
        let read = |text: &str| understand(text, &CommandLine::default()).unwrap();
        let Reload { taken, needs_restart } = Reload::between(&read(old), &read(new));
        (taken.join(" "), needs_restart.join(" "))
    };
    let check = |old: &str, new: &str, taken: &str, needs_restart: &str| {
        assert_eq!(between(old, new), (taken.to_owned(), needs_restart.to_owned()), "{old} -> {new}");
        assert_eq!(between(new, old), (taken.to_owned(), needs_restart.to_owned()), "{new} -> {old}");
    };
    check("", "", "", "");
    check("", "[filter]\n[output.stdout]", "", "");
    check("", "[filter]\nqname-regex = 'a'", "filter.qname-regex", "");
    check("[trace]\nverbose = true", "[trace]\nverbose = false", "trace.verbose", "");
    check(
        "[input.tcp-socket]\naccess-control-list = []\nlocal-port = 1",
        "[input.tcp-socket]\naccess-control-list = ['::1']\nlocal-port = 2",
        "input.tcp-socket.access-control-list",
        "input.tcp-socket.local-port",
    );
    check(
        "[web-api]\ntls-support = false\ntls-server-cert = '/a'",
        "[web-api]\ntls-support = false\ntls-server-cert = '/b'\napi-key = 'x'",
        "web-api.tls-server-cert",
        "web-api.api-key",
    );
    let two = |a: &str, b: &str| format!("[[output.syslog]]\n{a}\n[[output.syslog]]\nname = 'b'\n{b}");
    check(&two("retry = 1", "retry = 1"), &two("retry = 1", "retry = 2"), "", "output.syslog[1].retry");
    check(&two("", ""), &two("", "tls-ca = '/x'"), "output.syslog[1].tls-ca", "");
    check("[[output.syslog]]", &two("", ""), "", "output.syslog");
    check("[geoip]\ncountry-iso = true", "[limits]\nstreams = 8", "geoip.country-iso", "limits.streams");
    check(
        "[[input.tcp-client]]\nretry = 1",
        "[[input.tcp-client]]\nretry = 1\n[[input.tcp-client]]",
        "",
        "input.tcp-client",
    );
    check("[input.tcp-client]\nretry = 1", "[input.tcp-client]\nretry = 2", "", "input.tcp-client.retry");
}

#[test]
fn secrets_stay_hidden() {
    let text = "[web-api]\napi-key = 'topsecret'\npassword = 'topsecret'\n\
                [output.kafka.rdkafka-config]\nsasl.password = 'topsecret'";
    let config = Config::parse(text, "test.toml").unwrap();
    assert_eq!(config.web_api.api_key.expose(), "topsecret");
    assert!(!format!("{config:?}").contains("topsecret"));
    for text in [
        "[web-api]\napi-key = ['topsecret']",
        "[web-api]\napi-key = { topsecret = 'topsecret' }",
        "[web-api]\npassword = 'topsecret'\nbogus = 1",
        "[output.kafka]\nrdkafka-config = ['topsecret']",
        "[output.kafka]\nrdkafka-config = 'topsecret'",
        "[output.kafka.rdkafka-config]\nsasl.password = ['topsecret']",
    ] {
        let error = Config::parse(text, "test.toml").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("topsecret"), "{error}");
    }
}
