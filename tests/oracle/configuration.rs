//! What may stand in a configuration file.

use dnstapd::config::{Config, ExitClass};

/// Checks that any text is a configuration, or an error in one line that names a place in the text.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, "dnstap.toml") {
        Ok(config) => assert_eq!(config.file, None),
        Err(error) => {
            let shown = error.to_string();
            // A quoted key may be shown with its tabs.
            assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\t'), "{shown:?}");
            assert!(matches!(error.class(), ExitClass::Words), "{shown}");
            let mut place = shown.strip_prefix("dnstap.toml:").expect("the file").split(':');
            let mut number =
                || place.next().and_then(|number| number.parse::<usize>().ok()).expect("a number");
            let (line, column) = (number(), number());
            let length = text.split('\n').nth(line - 1).expect("a line of the text").chars().count();
            assert!((1..=length + 1).contains(&column), "{shown}");
        }
    }
}
