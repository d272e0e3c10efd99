//! The answers of the daemon, as values.
//!
//! Of the Prometheus text only samples are read, a line each. What is not understood is passed over: a newer
//! daemon may say more than we know.

use std::collections::BTreeMap;

use super::json::{JsonValue, decimal};
use super::log::LogAnswer;

/// Rows of a table.
pub(crate) type TableRows = Vec<(String, u64)>;

/// Everything known after a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiAnswers {
    /// `/counters`
    pub(crate) counters: BTreeMap<String, f64>,
    /// `/tables`, by name and flag.
    pub(crate) tables: BTreeMap<String, BTreeMap<String, TableRows>>,
    /// The limit for which the stream that was asked for has no tables of its own.
    pub(crate) not_kept: Option<String>,
    /// `/streams`
    pub(crate) streams: Vec<String>,
    /// `/metrics`, when it was asked for.
    pub(crate) metrics: Option<Metrics>,
    /// `/log`, when it was asked for.
    pub(crate) log: Option<LogAnswer>,
}

impl ApiAnswers {
    /// A counter; 0 when the daemon does not have it.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.number(name) as u64
    }

    /// The same of one with decimals.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.counters.get(name).copied().unwrap_or(0.0)
    }

    /// The rows of a table; `None` if the daemon does not have it.
    pub(crate) fn rows(&self, table: &str, flag: &str) -> &[(String, u64)] {
        self.tables.get(table).and_then(|flags| flags.get(flag)).map_or(&[], Vec::as_slice)
    }
}

/// Reads `/counters`.
///
/// # Errors
///
/// In words.
pub fn counters(body: &[u8]) -> Result<BTreeMap<String, f64>, String> {
    let answer = member(body, "/counters", "counters")?;
    Ok(answer.entries().filter_map(|(name, value)| Some((name.clone(), value.number()?))).collect())
}

/// Reads `/tables`.
///
/// # Errors
///
/// In words.
pub fn tables(body: &[u8]) -> Result<BTreeMap<String, BTreeMap<String, TableRows>>, String> {
    let rows = |value: &JsonValue| value.items().iter().filter_map(row).collect();
    let flags =
        |value: &JsonValue| value.entries().map(|(flag, value)| (flag.clone(), rows(value))).collect();
    let answer = member(body, "/tables", "tables")?;
    Ok(answer.entries().map(|(name, value)| (name.clone(), flags(value))).collect())
}

/// The limit that `/tables` names when it has no tables of a stream.
pub(crate) fn not_kept(body: &[u8]) -> Option<String> {
    JsonValue::parse(body)?.get("not-kept")?.text().map(str::to_owned)
}

/// Reads `/streams`.
///
/// # Errors
///
/// In words.
pub fn streams(body: &[u8]) -> Result<Vec<String>, String> {
    let answer = member(body, "/streams", "streams")?;
    Ok(answer.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect())
}

/// The member of an answer that matters.
fn member(body: &[u8], path: &str, name: &str) -> Result<JsonValue, String> {
    let found = JsonValue::parse(body).and_then(|answer| answer.get(name).cloned());
    found.ok_or_else(|| format!("{path} is not understood"))
}

/// `["name", 1]`
fn row(value: &JsonValue) -> Option<(String, u64)> {
    match value.items() {
        [name, number, ..] => Some((name.text()?.to_owned(), number.count()?)),
        _ => None,
    }
}

// ------------ Metrics --------------------------------------------------------

/// The samples of `/metrics` that are shown.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Version of the daemon.
    pub(crate) version: String,
    /// Samples without labels.
    pub single: BTreeMap<String, f64>,
    /// Samples of each stream, by identity.
    pub(crate) streams: SampleGroup,
    /// Samples of each input; those by reason added up.
    pub(crate) inputs: SampleGroup,
    /// Samples of each output; those by reason added up.
    pub(crate) outputs: SampleGroup,
}

/// Things that have samples, in the order in which they appear.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleGroup(pub(crate) Vec<(String, BTreeMap<String, f64>)>);

impl SampleGroup {
    fn add(&mut self, thing: String, name: &str, value: f64) {
        let place = self.0.iter().position(|(known, _)| *known == thing);
        let place = place.unwrap_or_else(|| {
            self.0.push((thing, BTreeMap::new()));
            self.0.len() - 1
        });
        if let Some((_, samples)) = self.0.get_mut(place) {
            *samples.entry(name.to_owned()).or_default() += value;
        }
    }

    /// A sample of one of them.
    pub(crate) fn value(&self, thing: &str, name: &str) -> f64 {
        let found = self.0.iter().find(|(known, _)| known == thing);
        found.and_then(|(_, samples)| samples.get(name)).copied().unwrap_or(0.0)
    }
}

impl Metrics {
    /// Reads the text format, version 0.0.4.
    pub fn parse(body: &[u8]) -> Self {
        let mut metrics = Metrics::default();
        for line in body.split(|&byte| byte == b'\n') {
            if let Some(sample) = core::str::from_utf8(line).ok().and_then(ParsedSample::parse) {
                metrics.take(sample);
            }
        }
        metrics
    }

    fn take(&mut self, sample: ParsedSample<'_>) {
        let ParsedSample { name, labels, value } = sample;
        let label =
            |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        if let Some(version) = label("version") {
            self.version = version;
        } else if label("le").is_some() {
            // Buckets: the classes are in `/counters`.
        } else if let Some(identity) = label("identity") {
            self.streams.add(identity, name, value);
        } else if let Some(input) = label("input") {
            self.inputs.add(input, name, value);
        } else if let Some(output) = label("output") {
            self.outputs.add(output, name, value);
        } else if labels.is_empty() {
            self.single.insert(name.to_owned(), value);
        }
    }
}

/// One line.
struct ParsedSample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> ParsedSample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at_checked(end)?;
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.split_once("=\"")?;
                let (value, behind) = unquoted(quoted)?;
                labels.push((label, value));
                rest = behind.strip_prefix(',').unwrap_or(behind);
            }
            rest = rest.strip_prefix('}')?;
        }
        let value = decimal(rest.trim())?;
        Some(ParsedSample { name, labels, value })
    }
}

/// A label's value up to its quote, and what is after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                letter => letter,
            }),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_are_read() {
        let body =
            br#"{"stream": null, "counters": {"clients": 3, "qps": 18446744073709551615, "qps-1m": 0.25}}"#;
        let found = ApiAnswers { counters: counters(body).unwrap(), ..ApiAnswers::default() };
        assert_eq!((found.counter("qps"), found.counter("clients"), found.counter("rps")), (u64::MAX, 3, 0));
        assert_eq!((found.counter("qps-1m"), found.number("qps-1m")), (0, 0.25));
        let body = br#"{"stream": "a", "tables": {"domains": {"noerror/query": [["a\\032.", 2], ["b.", 1]]}, "tlds": {}}}"#;
        let found = ApiAnswers { tables: tables(body).unwrap(), ..ApiAnswers::default() };
        assert_eq!(not_kept(body), None);
        assert_eq!(not_kept(br#"{"tables": {}, "not-kept": "limits.x"}"#).as_deref(), Some("limits.x"));
        assert_eq!(found.rows("domains", "noerror/query"), [(r"a\032.".to_owned(), 2), ("b.".to_owned(), 1)]);
        assert_eq!(found.rows("tlds", "hit/query"), []);
        assert_eq!(streams(r#"{"streams": ["ü", "a\"b"]}"#.as_bytes()).unwrap(), ["ü", "a\"b"]);
        assert!(counters(b"<html>").is_err() && streams(b"{}").is_err() && tables(b"").is_err());
    }

    #[test]
    fn samples_are_read() {
        let metrics = Metrics::parse(
            br#"# HELP dnstap_qps x
dnstap_qps 5
dnstap_qps{identity="a\\b\"c"} 4
dnstap_latency_seconds_bucket{identity="x",le="0.1"} 9
dnstapd_output_dropped_total{output="file",reason="full"} 2
dnstapd_output_dropped_total{output="file",reason="closed"} 3
dnstapd_build_info{version="0.1.0",target="x"} 1
process_cpu_seconds_total 0.25
"#,
        );
        assert_eq!((metrics.single["dnstap_qps"], metrics.single["process_cpu_seconds_total"]), (5.0, 0.25));
        assert_eq!(metrics.streams.value("a\\b\"c", "dnstap_qps"), 4.0);
        assert_eq!(metrics.outputs.value("file", "dnstapd_output_dropped_total"), 5.0);
        assert_eq!((metrics.streams.0.len(), metrics.version.as_str()), (1, "0.1.0"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn anything_is_read_to_its_end(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[a{}=\",\\\\ 1\n]{0,80}") {
            Metrics::parse(&body);
            Metrics::parse(text.as_bytes());
            let _ = (counters(&body), tables(&body), streams(&body));
        }
    }
}
