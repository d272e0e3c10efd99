//! The keys a SIGHUP takes over from a changed file, and what waits for a restart.

use super::Config;
use crate::values::RawValue;
use std::collections::BTreeMap;

/// The changes between two configurations, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reload {
    /// Taken over at once.
    pub taken: Vec<String>,
    /// In force after a restart.
    pub needs_restart: Vec<String>,
}

impl Reload {
    /// The changes from the old configuration to the new one.
    pub fn between(old: &Config, new: &Config) -> Reload {
        let changed = changed_keys(old.written.table(), new.written.table());
        let (taken, needs_restart) = changed.into_iter().partition(|key| is_taken_over(key));
        Reload { taken, needs_restart }
    }
}

/// The keys and sections a SIGHUP takes over. Certificates are read again even when their names stay.
/// `*` stands for any section.
pub const TAKEN_OVER: &[&str] = &[
    "filter",
    "geoip",
    "trace",
    "input.tcp-socket.access-control-list",
    "*.tls-server-cert",
    "*.tls-server-key",
    "*.tls-client-ca",
    "*.tls-ca",
    "*.tls-client-cert",
    "*.tls-client-key",
];

/// The dotted keys whose values differ, in alphabetical order; an array is one value.
pub fn changed_keys(old: &BTreeMap<String, RawValue>, new: &BTreeMap<String, RawValue>) -> Vec<String> {
    let mut changed = Vec::new();
    compare("", old, new, &mut changed);
    changed.sort();
    changed
}

/// Whether a SIGHUP takes a key over.
fn is_taken_over(key: &str) -> bool {
    TAKEN_OVER.iter().any(|taken| match taken.strip_prefix('*') {
        Some(ending) => key.ends_with(ending),
        None => key.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
    })
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
            (old, new) if old != new => changed.push(key),
            _ => {}
        }
    }
}
