//! What may stand in a configuration file.

use dnstapd::config::{Config, ExitClass};

/// Checks that any text is a configuration, or errors of one line each that name a place in the text.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, "dnstap.toml") {
        Ok(config) => assert_eq!(config.file, None),
        Err(error) => {
            assert!(matches!(error.class(), ExitClass::Words), "{error}");
            for shown in error.to_string().split('\n') {
                check_error(shown, &text);
            }
        }
    }
}

/// Checks one line.
fn check_error(shown: &str, text: &str) {
    // A quoted key may be shown with its tabs.
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\t'), "{shown:?}");
    let mut place = shown.strip_prefix("dnstap.toml:").expect("the file").split(':');
    let mut number = || place.next().and_then(|number| number.parse::<usize>().ok()).expect("a number");
    let (line, column) = (number(), number());
    let length = text.split('\n').nth(line - 1).expect("a line of the text").chars().count();
    assert!((1..=length + 1).contains(&column), "{shown}");
}
