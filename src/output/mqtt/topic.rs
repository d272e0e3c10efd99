//! Names: of topics (MQTT 5, 4.7) and of the client.

#![cfg_attr(not(feature = "push"), allow(dead_code, reason = "nothing is pushed"))]

use std::fs;

use crate::values::{Invalid, Value, deserialize};

/// A topic below which we publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic(String);

impl Topic {
    /// A topic of ours.
    pub(crate) fn new(text: &'static str) -> Self {
        Topic(text.to_owned())
    }

    /// The topic.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Topic {
    fn allowed() -> String {
        format!("a topic of at most {NAME_MAX} bytes, without `+`, `#` and a slash at its end")
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let is_wild = text.chars().any(|letter| letter.is_control() || matches!(letter, '+' | '#'));
        if text.is_empty() || text.len() > NAME_MAX || is_wild || text.ends_with('/') {
            return Err(Invalid::Value);
        }
        Ok(Topic(text.to_owned()))
    }
}

/// The name of a client, which is a part of topics and of names of sensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientId(String);

impl ClientId {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `dnstapd-` and the name of this machine, so that two do not push each other out of a broker.
    pub(crate) fn of_machine() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(|&letter| is_plain(letter)).take(48).collect();
        ClientId(if host.is_empty() { "dnstapd".to_owned() } else { format!("dnstapd-{host}") })
    }
}

impl Value for ClientId {
    fn allowed() -> String {
        format!("up to {NAME_MAX} letters, digits, `_` and `-`")
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > NAME_MAX || !text.chars().all(is_plain) {
            return Err(Invalid::Value);
        }
        Ok(ClientId(text.to_owned()))
    }
}

/// Home Assistant takes these alone in the topic of a discovery.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

deserialize!(Topic, ClientId);

/// Bytes of a topic and of a name at most.
pub(crate) const NAME_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_no_wild_cards() {
        for topic in ["dnstapd", "home/dns", "a b", "/x"] {
            assert_eq!(Topic::from_text(topic).unwrap().as_str(), topic);
        }
        for topic in ["", "a/+", "#", "a/", "a\0", &"a".repeat(129)] {
            assert!(Topic::from_text(topic).is_err(), "{topic}");
        }
        for name in ["", "a.b", "a/b", "ü"] {
            assert!(ClientId::from_text(name).is_err(), "{name}");
        }
        assert!(ClientId::from_text(ClientId::of_machine().as_str()).is_ok());
    }
}
