//! The keys a SIGHUP takes over from a changed file, and what waits for a restart.

use super::Config;
use crate::values::RawValue;
use std::collections::BTreeMap;

/// The changes between two configurations, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reload {
    /// Taken over at once.
    pub(crate) taken: Vec<String>,
    /// In force after a restart.
    pub(crate) needs_restart: Vec<String>,
}

impl Reload {
    /// The changes from the old configuration to the new one; what waits for a restart is named until there
    /// is one.
    pub(crate) fn between(old: &Config, new: &Config) -> Reload {
        let mut taken = changed_keys(old.written.table(), new.written.table());
        taken.retain(|key| new.takes_over(key));
        let mut needs_restart = changed_keys(old.started.table(), new.written.table());
        needs_restart.retain(|key| !new.takes_over(key));
        Reload { taken, needs_restart }
    }
}

impl Config {
    /// Whether a SIGHUP takes a key over.
    pub(super) fn takes_over(&self, key: &str) -> bool {
        is_one_of(TAKEN_OVER, key) || self.stages().any(|(name, _)| is_in(key, &name))
    }
}

/// The keys and sections a SIGHUP takes over in addition to those of stages. Certificates are read again even
/// when their names stay. `*` stands for any section.
const TAKEN_OVER: &[&str] = &[
    "filter",
    "*.filter",
    "names",
    "statistics.blocked-addresses",
    "statistics.blocked-names",
    "health",
    "trace",
    "input.tcp-socket.access-control-list",
    "*.tls-server-cert",
    "*.tls-server-key",
    "*.tls-client-ca",
    "*.tls-ca",
    "*.tls-client-cert",
    "*.tls-client-key",
];

/// The dotted keys whose values differ, in alphabetical order; an array is one value, unless it is of as many
/// tables as before.
pub(crate) fn changed_keys(
    old: &BTreeMap<String, RawValue>,
    new: &BTreeMap<String, RawValue>,
) -> Vec<String> {
    let mut changed = Vec::new();
    compare("", old, new, &mut changed);
    changed.sort();
    changed
}

/// Keys and sections that keep somebody out or something in, as some stages do. When they vanish from the
/// file, it is probably half written; who means it writes the default out.
const PROTECTIONS: &[&str] = &["filter", "*.filter", "*.access-control-list", "*.tls-client-ca"];

/// Why the file as it is now is not taken over in place of the one in force: it is empty, or a protection has
/// vanished.
pub(crate) fn refusal(in_force: &Config, new: &Config) -> Option<String> {
    let (old, new_table) = (in_force.written.table(), new.written.table());
    if new_table.is_empty() && !old.is_empty() {
        return Some("the file holds no key".to_owned());
    }
    let protects = |key: &String| {
        is_one_of(PROTECTIONS, key)
            || new.stages().any(|(name, section)| section.protects() && is_in(key, &name))
    };
    let gone = vanished("", old, new_table);
    // Written out as it is by default, it keeps nobody out.
    let is_default = |key: &String| {
        key == "input.tcp-socket.access-control-list"
            && in_force.input.tcp_socket.access_control_list == new.input.tcp_socket.access_control_list
    };
    let gone: Vec<String> = gone.into_iter().filter(|key| protects(key) && !is_default(key)).collect();
    (!gone.is_empty()).then(|| {
        format!("{} is in force and no longer in the file; write its default to go back", gone.join(", "))
    })
}

/// The dotted keys that are in the old table alone and said something.
fn vanished(prefix: &str, old: &BTreeMap<String, RawValue>, new: &BTreeMap<String, RawValue>) -> Vec<String> {
    let empty = BTreeMap::new();
    let mut gone = Vec::new();
    for (name, value) in old {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (value, new.get(name)) {
            (RawValue::Table(old), Some(RawValue::Table(new))) => gone.extend(vanished(&key, old, new)),
            (RawValue::Table(old), None) => gone.extend(vanished(&key, old, &empty)),
            (RawValue::List(old), new) if old.iter().any(|value| matches!(value, RawValue::Table(_))) => {
                let new: &[RawValue] = if let Some(RawValue::List(new)) = new { new } else { &[] };
                for (at, old) in old.iter().enumerate() {
                    let RawValue::Table(old) = old else { continue };
                    let new = namesake(new, at, old).unwrap_or(&empty);
                    gone.extend(vanished(&format!("{key}[{at}]"), old, new));
                }
            }
            (RawValue::List(list), None) if list.is_empty() && !key.ends_with("access-control-list") => {}
            (RawValue::Text(text), None) if text == "none" => {}
            (RawValue::Scalar(text), None) if text == "1" && name == "sample-rate" => {}
            (_, None) => gone.push(key),
            _ => {}
        }
    }
    gone
}

/// Whether a list has a key or a section it is in; `*` stands for any section.
fn is_one_of(list: &[&str], key: &str) -> bool {
    list.iter().any(|entry| match entry.strip_prefix('*') {
        Some(ending) => {
            key.match_indices(ending).any(|(at, _)| is_in(key.get(at..).unwrap_or_default(), ending))
        }
        None => is_in(key, entry),
    })
}

/// Whether a key is a section or in it.
fn is_in(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether two lists have the same number of tables, and nothing else.
fn are_tables(old: &[RawValue], new: &[RawValue]) -> bool {
    old.len() == new.len() && old.iter().chain(new).all(|value| matches!(value, RawValue::Table(_)))
}

/// The table of a list that has the name of another one, or else the table at its place.
fn namesake<'v>(
    list: &'v [RawValue],
    at: usize,
    old: &BTreeMap<String, RawValue>,
) -> Option<&'v BTreeMap<String, RawValue>> {
    let table = |value: &'v RawValue| if let RawValue::Table(table) = value { Some(table) } else { None };
    match old.get("name") {
        Some(name) => list.iter().filter_map(table).find(|table| table.get("name") == Some(name)),
        None => list.get(at).and_then(table),
    }
}

/// Adds the keys that differ in one table. A table that is absent is an empty one.
fn compare(
    prefix: &str,
    old: &BTreeMap<String, RawValue>,
    new: &BTreeMap<String, RawValue>,
    changed: &mut Vec<String>,
) {
    let only_new = new.iter().filter(|(name, _)| !old.contains_key(name.as_str()));
    for (name, _) in old.iter().chain(only_new) {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let empty = RawValue::Table(BTreeMap::new());
        match (old.get(name).unwrap_or(&empty), new.get(name).unwrap_or(&empty)) {
            (RawValue::Table(old), RawValue::Table(new)) => compare(&key, old, new, changed),
            (RawValue::List(old), RawValue::List(new)) if are_tables(old, new) => {
                for (at, pair) in old.iter().zip(new).enumerate() {
                    if let (RawValue::Table(old), RawValue::Table(new)) = pair {
                        compare(&format!("{key}[{at}]"), old, new, changed);
                    }
                }
            }
            (old, new) if old != new => changed.push(key),
            _ => {}
        }
    }
}
