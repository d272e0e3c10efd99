//! `scripts/yaml2toml`: configurations of dnstap_receiver become configurations of ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use dnstapd::config::{Config, RawConfig};
use std::io::Write;
use std::process::{Command, Stdio};

/// Every key of the program it replaces, at its default.
const DEFAULTS: &str = include_str!("data/config/reference-defaults.yaml");

/// Every key away from its default, in many spellings; and what becomes of it.
const EVERYTHING: (&str, &str, &str) = (
    include_str!("data/config/everything.yaml"),
    include_str!("data/config/everything.toml"),
    include_str!("data/config/everything.notes"),
);

/// Pipelines of DNS-collector that arrive whole, and what becomes of them.
const PIPELINES: (&str, &str, &str) = (
    include_str!("data/config/pipelines.yaml"),
    include_str!("data/config/pipelines.toml"),
    include_str!("data/config/pipelines.notes"),
);

/// Pipelines of which much is left out.
const LOST_PIPELINES: (&str, &str, &str) = (
    include_str!("data/config/pipelines-lost.yaml"),
    include_str!("data/config/pipelines-lost.toml"),
    include_str!("data/config/pipelines-lost.notes"),
);

/// What the script answers to a file: its exit status, stdout and stderr.
fn convert(yaml: &str) -> (i32, String, String) {
    let mut child = Command::new("python3")
        .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/yaml2toml")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    child.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A conversion that must succeed.
fn converted(yaml: &str) -> (String, String) {
    match convert(yaml) {
        (0, toml, notes) => (toml, notes),
        (status, _, errors) => panic!("status {status}: {errors}\n{yaml}"),
    }
}

/// A configuration without what it was written as.
fn parsed(toml: &str) -> Config {
    let config = Config::parse(toml, "converted.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
    Config { written: RawConfig::default(), started: RawConfig::default(), ..config }
}

/// The defaults of the old program differ from ours in these keys and in no other.
#[test]
fn the_complete_defaults_keep_their_meaning() {
    let changed = DEFAULTS.replace("changeme", "changed");
    let expected = "
        [web-api]
        local-address = '0.0.0.0'
        api-key = 'changed'
        password = 'changed'
        [input.tcp-socket]
        local-address = '0.0.0.0'
        access-control-list = [ '0.0.0.0/0' ]
        tls-support = false
        [output.stdout]
        enable = true
        [output.syslog]
        header = 'none'
        [output.dnstap]
        dnstap-identity = 'dnstap-receiver'
    ";
    let (toml, notes) = converted(&changed);
    assert_eq!(parsed(&toml), parsed(expected));
    let lost: Vec<&str> = notes.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(lost.len(), 3, "{notes}");
}

/// Nothing is said about a key only because it was forgotten: without the three outputs we do not have,
/// every key of the old program that has a value arrives.
#[test]
fn no_key_of_the_defaults_is_lost() {
    let (toml, _) = converted(DEFAULTS);
    let table: toml::Table = toml::from_str(&toml).unwrap();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut arrived = 0;
    for line in DEFAULTS.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        path.retain(|(at, _)| *at < indent);
        path.push((indent, key));
        let names: Vec<&str> = path.iter().map(|(_, name)| *name).collect();
        let full = names.join(".");
        let without = ["output.rabbitmq", "output.pgsql", "output.elasticsearch"];
        let unset = matches!(value.trim(), "" | "null" | "~");
        if unset || without.iter().any(|gone| full.starts_with(gone)) || full == "input.tcp-socket.enable" {
            continue;
        }
        let renamed = match full.strip_suffix("-support") {
            Some(name) if full.starts_with("input.sniffer.") => name.replace("sniffer.", "sniffer.record-"),
            _ => full.clone(),
        };
        let (first, rest) = renamed.split_once('.').unwrap();
        let found =
            rest.split('.').try_fold(table.get(first), |value, name| value?.get(name).map(Some)).flatten();
        assert!(found.is_some(), "{full} is not in\n{toml}");
        arrived += 1;
    }
    assert_eq!(arrived, 55);
}

/// As they stand, the defaults are exactly what we refuse: an open API with the shipped password.
#[test]
fn the_shipped_password_is_warned_about_and_refused() {
    let (toml, notes) = converted(DEFAULTS);
    assert!(notes.contains("web-api.local-address: dnstapd refuses to start with this"), "{notes}");
    let error = Config::parse(&toml, "x").unwrap_err();
    assert_eq!(error.key(), "web-api.api-key");
}

#[test]
fn everything_at_once_becomes_this() {
    let (yaml, toml, notes) = EVERYTHING;
    let found = converted(yaml);
    if std::env::var_os("BLESS").is_some() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config/everything");
        std::fs::write(format!("{data}.toml"), &found.0).unwrap();
        std::fs::write(format!("{data}.notes"), &found.1).unwrap();
    }
    assert_eq!(found, (toml.to_owned(), notes.to_owned()));
    // What we can already run is checked last: any other error would come before this one.
    if let Err(error) = Config::parse(toml, "x") {
        let text = error.to_string();
        assert!(text.contains("not built yet") || text.contains("cargo feature"), "{text}");
    }
}

/// What the file leaves out was the old program's default, which is not always ours.
#[test]
fn what_is_left_out_is_spelled_out() {
    let check = |yaml: &str, expected: &[&str], absent: &[&str]| {
        let (toml, _) = converted(yaml);
        for line in expected {
            assert!(toml.lines().any(|found| found == *line), "{line} is not in\n{toml}");
        }
        for line in absent {
            assert!(!toml.lines().any(|found| found.starts_with(line)), "{line} is in\n{toml}");
        }
    };
    // Nothing at all: the listener and stdout, the API only for this machine.
    check(
        "",
        &["[input.tcp-socket]", "local-address = \"0.0.0.0\"", "[output.stdout]", "enable = true"],
        &["api-key"],
    );
    check("---\n# nothing\n", &["local-address = \"0.0.0.0\""], &[]);
    check("web-api:\n  api-key: x\n  password: y\n", &["# the old default; dnstapd's own is 127.0.0.1"], &[]);
    check("web-api:\n  enable: false\n", &["enable = false"], &["# was open"]);
    // stdout stays on beside another output.
    check("output:\n  metrics:\n    enable: true\n", &["[output.stdout]", "[output.metrics]"], &[]);
    check("output:\n  dnstap:\n    enable: false\n", &["[output.dnstap]"], &["dnstap-identity"]);
    // One input ran; the listener is no fallback then.
    check("input:\n  unix-socket:\n    enable: true\n    path: /x\n", &["path = \"/x\""], &["local-address"]);
    check("geoip:\n  enable: true\n", &["[geoip]", "enable = false"], &["enable = true\n[geoip]"]);
    check(
        "input:\n  sniffer:\n    client-query-support: no\n",
        &["record-client-query = false"],
        &["client-query-"],
    );
    check("filter:\noutput:\n", &["[output.stdout]"], &["[filter]"]);
}

/// What the reader does not know is refused by line, never guessed.
#[test]
fn what_is_not_understood_is_refused_by_line() {
    for (yaml, expected) in [
        ("a: &b c\n", "line 1: `&b c`: an anchor, which is not read; write the value out"),
        ("a: *b\n", "line 1: `*b`: an alias, which is not read; write the value out"),
        ("a:\n  b: !!str c\n", "line 2: `!!str c`: a tag, which is not read; write the value out"),
        ("a: |\n  b\n", "line 1: `|`: a block of text, which is not read; write the value out"),
        ("a: {b: c}\n", "line 1: `{b: c}`: a mapping in braces, which is not read; write the value out"),
        ("a: b: c\n", "line 1: `b: c`: a second `: ` on the line; quote the value"),
        ("a: 'b\n", "line 1: 'b: a quote that does not end with the value"),
        ("a: \"\\q\"\n", "line 1: `\\q` is no escape"),
        ("a: \"\\ud800\"\n", "line 1: `\\ud800` is no escape"),
        ("a: 1\na: 2\n", "line 2: `a` is given twice"),
        ("a: 1\n  b: 2\n", "line 2: indented more than the lines before it"),
        ("  a: 1\nb: 2\n", "line 2: indented less than the lines before it"),
        ("a:\tb\n", "line 1: a tab outside quotes"),
        ("a: 1\n---\nb: 2\n", "line 2: `---`: only one plain document is read"),
        ("- a\n", "line 1: not a mapping of sections"),
        ("words\n", "line 1: `words` is no `key: value`"),
        ("a: [ b\nc: d\n", "line 1: a list without its `]`"),
        ("a: [ [b] ]\n", "line 1: `[ [b] ]`: only a plain list of values is read"),
        ("a: [ b,, c ]\n", "line 1: `[ b,, c ]`: an empty place in the list"),
        ("a:\n  - b: c\n", "line 2: a list of mappings or lists"),
        ("<<: a\n", "line 1: `<<:` is no key"),
        ("trace:\n  verbose: maybe\n", "line 2: trace.verbose: `maybe` is neither true nor false"),
        ("trace:\n  verbose: \"true\"\n", "line 2: trace.verbose: `true` is neither true nor false"),
        ("trace:\n  file: [ a ]\n", "line 2: trace.file: a list or mapping where one value belongs"),
        ("trace: true\n", "line 1: trace: a value where a section belongs"),
        ("web-api:\n  local-port: http\n", "line 2: web-api.local-port: `http` is no number"),
        (
            "output:\n  file:\n    file-max-size: 10K\n",
            "line 3: output.file.file-max-size: `10K` is no size such as 10M",
        ),
        ("input:\n  sniffer:\n    eth-ip: 10.0.0.1\n", "line 3: input.sniffer.eth-ip: not a list"),
        (
            "output:\n  kafka:\n    rdkafka-config: x\n",
            "line 3: output.kafka.rdkafka-config: a value where a table belongs",
        ),
    ] {
        let (status, toml, errors) = convert(yaml);
        assert_eq!(
            (status, toml.as_str(), errors.trim_end()),
            (1, "", &*format!("yaml2toml: stdin: {expected}")),
            "{yaml}"
        );
    }
}

/// Writes golden files anew where that is asked for.
fn bless(name: &str, toml: &str, notes: &str) {
    if std::env::var_os("BLESS").is_some() {
        let data = format!("{}/tests/data/config/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(format!("{data}.toml"), toml).unwrap();
        std::fs::write(format!("{data}.notes"), notes).unwrap();
    }
}

/// Whether the program itself takes a file.
fn is_accepted(toml: &str) {
    let folder = tempfile();
    let file = folder.join("dnstap.toml");
    std::fs::write(&file, toml).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_dnstapd"))
        .args(["--check", "-c"])
        .arg(&file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(checked.status.success(), "{}\n{toml}", String::from_utf8_lossy(&checked.stderr));
}

/// A folder of our own.
fn tempfile() -> std::path::PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("dnstapd-yaml2toml-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn pipelines_become_this() {
    for (name, status, (yaml, toml, notes)) in
        [("pipelines", 0, PIPELINES), ("pipelines-lost", 3, LOST_PIPELINES)]
    {
        let found = convert(yaml);
        bless(name, &found.1, &found.2);
        assert_eq!(found, (status, toml.to_owned(), notes.to_owned()));
        parsed(toml);
        // What only root may look at is left to root.
        is_accepted(&toml.replace("[input.sniffer]\nenable = true", "[input.sniffer]\nenable = false"));
    }
}

/// Every worker by itself, with nothing but its name: the defaults are the old ones, and the result is a
/// configuration.
#[test]
fn every_worker_becomes_something() {
    let file = |collector: &str, logger: &str| {
        format!(
            "pipelines:\n- name: in\n  {collector}\n  routing-policy:\n    forward: [ out ]\n- name: out\n  {logger}\n"
        )
    };
    for (collector, expected) in [
        ("dnstap: {}", "[input.tcp-socket]\nenable = true\nlocal-address = \"0.0.0.0\"\n"),
        ("dnstap-relay: {}", "[input.tcp-socket]\nenable = true\nlocal-address = \"0.0.0.0\"\n"),
        (
            "dnstap:\n    sock-path: /tmp/x.sock",
            "[input.unix-socket]\nenable = true\npath = \"/tmp/x.sock\"\n",
        ),
        ("afpacket-sniffer: {}", "[input.sniffer]\nenable = true\neth-name = \"any\"\ndns-port = [53]\n"),
        (
            "xdp-sniffer:\n    device: eth0",
            "[input.sniffer]\nenable = true\neth-name = \"eth0\"\ndns-port = [53]\n",
        ),
        (
            "file-ingestor:\n    watch-dir: /srv",
            "[input.file]\nenable = true\npath = \"/srv\"\nat-end = \"stay\"\n",
        ),
    ] {
        let (status, toml, notes) = convert(&file(collector, "stdout: {}"));
        assert!(status == 0 || collector.starts_with("file"), "{notes}");
        assert!(toml.contains(expected), "{toml}");
        parsed(&toml);
    }
    for (logger, kind) in [
        ("stdout", "stdout"),
        ("logfile", "file"),
        ("dnstapclient", "dnstap"),
        ("tcpclient", "tcp-socket"),
        ("syslog", "syslog"),
        ("kafkaproducer", "kafka"),
        ("elasticsearch", "http"),
        ("lokiclient", "http"),
        ("clickhouse", "http"),
        ("mqtt", "mqtt"),
    ] {
        let (status, toml, notes) = convert(&file("dnstap: {}", &format!("{logger}: {{}}")));
        assert_eq!(status, if logger == "clickhouse" { 3 } else { 0 }, "{notes}");
        assert!(toml.contains(&format!("[[output.{kind}]]\nenable = true\nname = \"out\"\n")), "{toml}");
        assert!(logger == "stdout" || toml.contains("[[output.stdout]]\nenable = false\n"), "{toml}");
        if let Err(error) = Config::parse(&toml, "x") {
            assert!(error.to_string().contains("cargo feature"), "{error}\n{toml}");
        }
    }
    for logger in
        ["fluentd", "influxdb", "statsd", "nsq", "opentelemetry", "scalyrclient", "redispub", "falco"]
    {
        let (status, _, notes) = convert(&file("dnstap: {}", &format!("{logger}: {{}}")));
        assert_eq!(
            (status, notes.as_str()),
            (3, &*format!("yaml2toml: line 6: out: dnstapd has no logger {logger}; left out\n"))
        );
    }
}

#[test]
fn pipelines_that_make_no_sense_are_refused() {
    let tap = "pipelines:\n- name: tap\n  dnstap: {}\n";
    for (yaml, expected) in [
        ("pipelines: x\n".to_owned(), "line 1: pipelines: not a list of workers"),
        ("pipelines: []\n".to_owned(), "line 1: pipelines: not a list of workers"),
        ("pipelines:\n- dnstap: {}\n".to_owned(), "line 2: an item of pipelines without a name"),
        ("pipelines:\n- tap\n".to_owned(), "line 2: an item of pipelines without a name"),
        ("pipelines:\n- name: a\n".to_owned(), "line 2: a: not one worker but none"),
        (
            "pipelines:\n- name: a\n  dnstap: {}\n  stdout: {}\n".to_owned(),
            "line 2: a: not one worker but dnstap, stdout",
        ),
        (format!("{tap}- name: tap\n  stdout: {{}}\n"), "line 4: `tap` is there twice"),
        (
            "pipelines:\n- name: a\n  stdout: {}\n".to_owned(),
            "line 1: no collector that dnstapd has: nothing to convert",
        ),
        (format!("{tap}  routing-policy:\n    forward: [ x ]\n"), "line 2: tap: no worker is called `x`"),
        (format!("{tap}  routing-policy:\n    forward: x\n"), "line 5: tap: forward is not a list"),
        (
            format!("{tap}  transforms:\n    filtering:\n      downsample: often\n"),
            "line 6: `often` is no number",
        ),
        ("pipelines:\n- name: tap\n  dnstap: 6000\n".to_owned(), "line 3: a value where keys belong"),
    ] {
        let (status, toml, errors) = convert(&yaml);
        assert_eq!(
            (status, toml.as_str(), errors.trim_end()),
            (1, "", &*format!("yaml2toml: stdin: {expected}")),
            "{yaml}"
        );
    }
    // Two ways round are no endless way.
    let round = "pipelines:\n- name: a\n  dnstap: {}\n  routing-policy:\n    forward: [ b ]\n- name: b\n  dnsmessage: {}\n  \
                 routing-policy:\n    forward: [ b, a, c ]\n- name: c\n  stdout: {}\n";
    assert_eq!(convert(round).0, 0);
}
