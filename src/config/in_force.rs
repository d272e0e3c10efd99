//! The keys in force, for people: those that the file and the command line set, without secrets. All others
//! are as by default.

use super::{CommandLine, Config};
use crate::values::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Dotted keys with their values as TOML; `None` is a secret.
type ShownKeys = Vec<(String, Option<String>)>;

impl Config {
    /// The keys in force that somebody set, in alphabetical order. What waits for a restart is as it was at
    /// the start.
    pub(crate) fn in_force(&self, overlay: &CommandLine) -> ShownKeys {
        let mut keys = ShownKeys::new();
        flatten("", self.started.table(), &|key| !self.takes_over(key), &mut keys);
        flatten("", self.written.table(), &|key| self.takes_over(key), &mut keys);
        let path = |path: &crate::values::FilePath| quoted(&path.display().to_string());
        for (key, value) in [
            (
                "input.tcp-socket.local-address",
                overlay.listen.map(|address| quoted(&address.get().to_string())),
            ),
            ("input.tcp-socket.local-port", overlay.port.map(|port| port.get().to_string())),
            ("input.unix-socket.path", overlay.unix.as_ref().map(path)),
            ("input.sniffer.eth-name", overlay.interface.as_ref().map(|name| quoted(name.as_str()))),
            ("input.file.path", overlay.replay.as_ref().map(path)),
            ("trace.verbose", overlay.verbose.then(|| "true".to_owned())),
        ] {
            if value.is_none() {
                continue;
            }
            match keys.iter_mut().find(|(known, _)| known == key) {
                Some(known) => known.1 = value,
                None => keys.push((key.to_owned(), value)),
            }
        }
        keys.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        keys
    }
}

/// Adds the keys of a table that are wanted; those of the tables of a list have their number.
fn flatten(
    prefix: &str,
    table: &BTreeMap<String, RawValue>,
    wants: &dyn Fn(&str) -> bool,
    keys: &mut ShownKeys,
) {
    for (name, value) in table {
        let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let name = if is_bare { name.clone() } else { quoted(name) };
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            RawValue::Table(table) => flatten(&key, table, wants, keys),
            RawValue::List(list) if list.iter().any(|value| matches!(value, RawValue::Table(_))) => {
                for (at, value) in list.iter().enumerate() {
                    if let RawValue::Table(table) = value {
                        flatten(&format!("{key}[{at}]"), table, wants, keys);
                    }
                }
            }
            value if wants(&key) => {
                let shown = (!is_secret(&key)).then(|| toml(value));
                keys.push((key, shown));
            }
            _ => {}
        }
    }
}

/// Whether the value of a key is nobody's business. Of librdkafka's keys those are told that speak of no
/// password, key or token.
fn is_secret(key: &str) -> bool {
    if let Some((_, own)) = key.split_once(".rdkafka-config.") {
        let own = own.to_ascii_lowercase();
        return KAFKA_SECRETS.iter().any(|word| own.contains(word));
    }
    let is_headers = |part: &str| part == "headers";
    SECRETS.iter().any(|secret| key.ends_with(secret)) || key.split('.').any(is_headers)
}

const SECRETS: &[&str] = &[".api-key", ".password", ".scrape-key"];
const KAFKA_SECRETS: &[&str] = &["pass", "secret", "key", "pem", "oauth", "jaas", "sasl", "token"];

/// A value as TOML has it.
fn toml(value: &RawValue) -> String {
    match value {
        RawValue::Text(text) => quoted(&without_secrets(text)),
        RawValue::Scalar(text) => text.clone(),
        RawValue::List(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        RawValue::Table(_) => "{}".to_owned(),
    }
}

/// A URL without login and password, and without what is behind its host: who knows that of a webhook may use it.
fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let behind = if behind.len() <= 1 { behind } else { "/..." };
    format!("{scheme}://{host}{behind}")
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, overlay: &CommandLine) -> Vec<String> {
        let config = Config::parse_under(text, "a test", overlay).unwrap();
        let line = |(key, value): (String, Option<String>)| match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("{key} is secret"),
        };
        config.in_force(overlay).into_iter().map(line).collect()
    }

    #[test]
    fn what_is_set_is_told_and_no_secret_is() {
        let text = r#"
            [web-api]
            api-key = "topsecret"
            password = "topsecret"
            scrape-key = "topsecret"
            password-file = "/etc/dnstapd/password"
            [names.static]
            "192.0.2.1" = "a \"tv\""
            [statistics]
            track = ["hit/query", "hit/reply"]
            [[output.tcp-socket]]
            enable = true
            remote-address = "192.0.2.5"
            remote-port = 7000
            [[output.tcp-socket]]
            enable = false
            name = "other"
        "#;
        let text = text.replace("hit/reply", "length/query");
        let shown = shown(&text, &CommandLine { verbose: true, ..CommandLine::default() });
        assert!(!shown.concat().contains("topsecret"), "{shown:?}");
        for line in [
            "web-api.api-key is secret",
            "web-api.password is secret",
            "web-api.scrape-key is secret",
            "web-api.password-file = \"/etc/dnstapd/password\"",
            "names.static.\"192.0.2.1\" = \"a \\\"tv\\\"\"",
            "output.tcp-socket[0].remote-port = 7000",
            "output.tcp-socket[1].name = \"other\"",
            "trace.verbose = true",
        ] {
            assert!(shown.iter().any(|shown| shown == line), "{line} is not among {shown:#?}");
        }
    }

    #[test]
    fn secrets_of_outputs_stay_so() {
        for key in [
            "output.kafka.rdkafka-config.\"sasl.password\"",
            "output.kafka[1].rdkafka-config.\"ssl.key.pem\"",
            "output.http.headers",
            "output.http[0].headers.Authorization",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in
            ["output.kafka.rdkafka-config.\"bootstrap.servers\"", "output.kafka.key", "output.http.url"]
        {
            assert!(!is_secret(key), "{key}");
        }
        for (url, shown) in [
            ("https://me:topsecret@a.example:1/topsecret@c", "https://a.example:1/..."),
            ("https://a.example?query=topsecret@b", "https://a.example/..."),
            ("http://a.example:8123/", "http://a.example:8123/"),
            ("no URL/at all", "no URL/at all"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn what_waits_for_a_restart_is_not_in_force() {
        let read = |text: &str| Config::parse(text, "a test").unwrap();
        let old = read("[trace]\nverbose = false\n[web-api]\nlocal-port = 8080");
        let new = read("[trace]\nverbose = true\n[web-api]\nlocal-port = 8081");
        let keys = Config { started: old.started, ..new }.in_force(&CommandLine::default());
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert_eq!(keys, [pair("trace.verbose", "true"), pair("web-api.local-port", "8080")]);
    }
}
