use super::*;

/// Reads a command line written with spaces.
fn parse(line: &str) -> Result<Args, ImmediateAnswer> {
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
        ("--unix=", "Error parsing option '--unix' with value '': impossible; allowed: the path of a file"),
        ("-p1 -p2", "Error parsing option '-p' with value '2': duplicate values provided"),
    ] {
        let Err(ImmediateAnswer::Usage(text)) = parse(line) else { panic!("{line}") };
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.starts_with("Usage: dnstapd "), "{line}: {text}");
        assert!(rest.starts_with(&format!("dnstapd: {reason}")), "{line}: {text}");
    }
}

#[test]
fn help_and_version_are_answers() {
    for line in ["-h", "--help", "-v -h", "-vh"] {
        let Err(ImmediateAnswer::Help(text)) = parse(line) else { panic!("{line}") };
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
        assert_eq!(parse(line), Err(ImmediateAnswer::Help(version.clone())));
    }
    for line in ["--version -v", "-vV", "-V --verbose"] {
        let Err(ImmediateAnswer::Help(text)) = parse(line) else { panic!("{line}") };
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
    assert!(matches!(top("top --help"), Err(ImmediateAnswer::Help(text)) if text.contains("--api-key-file")));
    assert!(
        matches!(top("top -p 1"), Err(ImmediateAnswer::Usage(text)) if text.contains("Unrecognized argument: -p"))
    );
    let asks = parse("top -c x --get=/log?a=b").unwrap();
    let get = Some("/log?a=b".to_owned());
    assert_eq!(asks.config, Some(PathBuf::from("x")));
    assert_eq!(asks.command, Command::Top(top::TopOptions { get, ..top::TopOptions::default() }));
}

#[test]
fn the_password_has_words_of_its_own() {
    let action = |line: &str| parse(line).map(|args| (args.config, args.command));
    let expected = |config: Option<&str>, action| Ok((config.map(PathBuf::from), Command::Password(action)));
    assert_eq!(action("password"), expected(None, password::PasswordAction::Show));
    assert_eq!(action("password --new -c x"), expected(Some("x"), password::PasswordAction::Make));
    assert_eq!(action("password -cx --set"), expected(Some("x"), password::PasswordAction::Take));
    assert!(matches!(action("password --new --set"), Err(ImmediateAnswer::Usage(_))));
    assert!(matches!(action("help password"), Err(ImmediateAnswer::Help(text)) if text.contains("--set")));
    assert!(matches!(action("help"), Err(ImmediateAnswer::Help(text)) if text.contains("--check")));
    assert!(matches!(action("help me"), Err(ImmediateAnswer::Usage(_))));
    assert!(matches!(action("--against x"), Err(ImmediateAnswer::Usage(_))));
}

#[test]
fn words_that_are_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let word = OsString::from_vec(vec![b'-', b'c', 0xff]);
    assert!(matches!(Args::parse([word]), Err(ImmediateAnswer::Usage(text)) if text.contains("not UTF-8")));
}
