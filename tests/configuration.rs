//! The configuration seen from outside: its messages, its example file, what SIGHUP sees.

use dnstapd::config::Config;

/// Each case of `errors.txt` is refused with exactly its message.
#[test]
fn every_mistake_has_its_message() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config/errors.txt");
    let golden = std::fs::read_to_string(path).unwrap();
    let mut cases = golden.split("\n#### ");
    let mut found = cases.next().unwrap().to_owned();
    for case in cases {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("=> ").unwrap();
        let message = match Config::parse(text, "dnstap.toml") {
            Err(error) => error.to_string(),
            Ok(_) => "fine".to_owned(),
        };
        found.push_str(&format!("\n#### {title}\n{text}=> {message}\n"));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let differing = found.lines().zip(golden.lines()).find(|(found, golden)| found != golden);
    assert_eq!(differing, None, "found and expected");
    assert_eq!(found.len(), golden.len());
}
