//! The log of exchanges, as the screen has it: rows, their order, what is asked for, and the way back.
//!
//! ```text
//! log --- Enter ---> the device of a row --- Enter ---> the name of a row there ...
//!      --- n ------> the name of a row                      Escape: back, one at a time
//! ```
//!
//! A filter is words. `key=value` is a parameter of `/log`; an address or prefix is a client; another word is
//! a name, with a `*` before and after it when it has neither a dot nor a `*` itself. Words of one key mean
//! any of them.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::json::JsonValue;
use crate::values::encoding::percent_encoded;

/// An exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogRow {
    /// In UTC, as the daemon writes it; `-` for none, as in all others.
    pub(crate) timestamp: String,
    pub(crate) client: String,
    pub(crate) device: String,
    pub(crate) name: String,
    pub(crate) rrtype: String,
    pub(crate) status: String,
    pub(crate) rcode: String,
    /// In seconds.
    pub(crate) latency: Option<f64>,
    /// The first answer, where answers are kept.
    pub(crate) answer: String,
}

/// The names of a device, or the devices of a name, and how often.
pub(crate) type PairRows = Vec<(String, u64)>;

/// The answer of one round.
#[derive(Clone, Debug)]
pub(crate) struct LogAnswer {
    /// Newest first; else why there are none.
    pub(crate) rows: Result<Vec<LogRow>, String>,
    /// The most frequent ones on the other side of the subject.
    pub(crate) pairs: PairRows,
}

/// The subject of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogSubject {
    /// Everything.
    #[default]
    All,
    /// A device, by name, or by address if it has none.
    Device(String),
    /// A name and those below it.
    Name(String),
}

/// The column by which rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogOrder {
    /// Newest first.
    #[default]
    Time,
    Client,
    Name,
    Type,
    Status,
    /// Slowest first.
    Latency,
}

/// A place that one can go back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogPlace {
    /// The subject.
    pub(crate) subject: LogSubject,
    /// Words typed.
    pub(crate) filter: String,
    /// The row that is chosen.
    pub(crate) row: usize,
}

/// Places that one can go back to at most.
pub(crate) const PLACES: usize = 32;
/// Letters of a filter at most.
pub(crate) const FILTER_LETTERS: usize = 200;

impl LogRow {
    /// How its client is called.
    pub(crate) fn who(&self) -> &str {
        if self.device == "-" || self.device.is_empty() { &self.client } else { &self.device }
    }
}

impl LogOrder {
    /// All of them, in the order of their columns.
    pub(crate) const ALL: [LogOrder; 6] = [
        LogOrder::Time,
        LogOrder::Client,
        LogOrder::Name,
        LogOrder::Type,
        LogOrder::Status,
        LogOrder::Latency,
    ];

    /// The next one, in a ring.
    pub(crate) fn next(self) -> Self {
        let at = LogOrder::ALL.iter().position(|&order| order == self).unwrap_or(0);
        LogOrder::ALL.get(at + 1).copied().unwrap_or_default()
    }

    /// How it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LogOrder::Time => "time",
            LogOrder::Client => "client",
            LogOrder::Name => "name",
            LogOrder::Type => "type",
            LogOrder::Status => "status",
            LogOrder::Latency => "latency",
        }
    }

    /// Sorts rows that are newest first; what is alike stays so.
    pub(crate) fn sort(self, rows: &mut [LogRow]) {
        let compare = |one: &LogRow, other: &LogRow| match self {
            LogOrder::Time => Ordering::Equal,
            LogOrder::Client => one.who().cmp(other.who()),
            LogOrder::Name => one.name.cmp(&other.name),
            LogOrder::Type => one.rrtype.cmp(&other.rrtype),
            LogOrder::Status => one.status.cmp(&other.status),
            LogOrder::Latency => {
                let seconds = |row: &LogRow| row.latency.unwrap_or(-1.0);
                seconds(other).total_cmp(&seconds(one))
            }
        };
        rows.sort_by(compare);
    }
}

impl LogSubject {
    /// The parameter that asks for it.
    pub(crate) fn parameter(&self) -> Option<(&'static str, &str)> {
        match self {
            LogSubject::All => None,
            LogSubject::Device(device) => Some(("client", device)),
            LogSubject::Name(name) => Some(("name", name)),
        }
    }
}

/// The path that asks for the log of a place and a stream.
pub(crate) fn log_path(place: &LogPlace, stream: Option<&str>, rows: usize) -> String {
    let mut terms: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |key: &str, value: &str| match terms.iter_mut().find(|(known, _)| known == key) {
        Some((_, values)) => values.push(value.to_owned()),
        None => terms.push((key.to_owned(), vec![value.to_owned()])),
    };
    for word in place.filter.split_ascii_whitespace() {
        match word.split_once('=') {
            Some((key, value)) => add(key, value),
            None if is_client(word) => add("client", word),
            None if word.contains(['.', '*']) => add("name", word),
            None => add("name", &format!("*{word}*")),
        }
    }
    // What it is about counts, whatever the words say.
    for (key, value) in place.subject.parameter().into_iter().chain(stream.map(|stream| ("stream", stream))) {
        terms.retain(|(known, _)| known != key);
        terms.push((key.to_owned(), vec![value.to_owned()]));
    }
    let mut path = format!("/log?limit={rows}");
    for (key, values) in &terms {
        let values: Vec<String> =
            values.iter().flat_map(|value| value.split(',')).map(percent_encoded).collect();
        path.push_str(&format!("&{}={}", percent_encoded(key), values.join(",")));
    }
    path
}

/// The path that asks for the other side of a subject.
pub(crate) fn pairs_path(subject: &LogSubject, rows: usize) -> Option<String> {
    let (key, value) = subject.parameter()?;
    Some(format!("/pairs?n={rows}&{key}={}", percent_encoded(value)))
}

fn is_client(word: &str) -> bool {
    let address = word.split_once('/').map_or(word, |(address, _)| address);
    address.parse::<IpAddr>().is_ok()
}

/// Reads `/log`.
///
/// # Errors
///
/// In words, as the daemon says them.
pub(crate) fn rows(body: &[u8]) -> Result<Vec<LogRow>, String> {
    let answer = JsonValue::parse(body).ok_or("/log is not understood")?;
    if let Some(why) = answer.get("error").and_then(JsonValue::text) {
        return Err(why.to_owned());
    }
    let log = answer.get("log").ok_or("/log is not understood")?;
    Ok(log.items().iter().map(row).collect())
}

fn row(record: &JsonValue) -> LogRow {
    let text = |key: &str| record.get(key).and_then(JsonValue::text).unwrap_or("-").to_owned();
    LogRow {
        timestamp: text("timestamp"),
        client: text("query-ip"),
        device: text("device"),
        name: text("qname"),
        rrtype: text("rrtype"),
        status: text("status"),
        rcode: text("rcode"),
        latency: record.get("latency").and_then(JsonValue::number),
        answer: text("answer"),
    }
}

/// Reads `/pairs`; nothing if it is not understood.
pub(crate) fn pairs(body: &[u8]) -> PairRows {
    let answer = JsonValue::parse(body);
    let list = answer.as_ref().and_then(|answer| answer.get("names").or_else(|| answer.get("clients")));
    let pair = |row: &JsonValue| match row.items() {
        [name, number, ..] => Some((name.text()?.to_owned(), number.count()?)),
        _ => None,
    };
    list.map_or(&[][..], JsonValue::items).iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parameters() {
        let check = |filter: &str, subject: LogSubject, stream: Option<&str>, expected: &str| {
            let place = LogPlace { filter: filter.to_owned(), subject, row: 0 };
            assert_eq!(log_path(&place, stream, 5), format!("/log?limit=5{expected}"), "{filter}");
        };
        check("", LogSubject::All, None, "");
        check("ads", LogSubject::All, None, "&name=%2Aads%2A");
        check("example.com  Org.", LogSubject::All, None, "&name=example.com,Org.");
        check(
            "10.0.0.0/8 fd00::1 status=blocked,error",
            LogSubject::All,
            None,
            "&client=10.0.0.0%2F8,fd00%3A%3A1&status=blocked,error",
        );
        check(
            "client=tv name=a",
            LogSubject::Device("my tv".to_owned()),
            Some("a&b"),
            "&name=a&client=my%20tv&stream=a%26b",
        );
        check("x=", LogSubject::Name(r"a\032.".to_owned()), None, "&x=&name=a%5C032.");
        assert_eq!(pairs_path(&LogSubject::All, 3), None);
        assert_eq!(
            pairs_path(&LogSubject::Name("a.b.".to_owned()), 3).as_deref(),
            Some("/pairs?n=3&name=a.b.")
        );
    }

    #[test]
    fn records_are_read_and_sorted() {
        let body = br#"{"log": [{"timestamp": "2026-01-01T10:00:00.5+00:00", "qname": "b.", "query-ip": "192.0.2.1", "device": "-", "latency": 0.5, "status": "answered"},
            {"qname": "a.", "query-ip": "192.0.2.9", "device": "tv", "latency": "-", "status": "pending"}, 5], "next": null}"#;
        let mut found = rows(body).unwrap();
        assert_eq!(
            (found.len(), found[0].who(), found[1].who(), found[2].who()),
            (3, "192.0.2.1", "tv", "-")
        );
        assert_eq!((found[0].latency, found[1].latency), (Some(0.5), None));
        let names = |rows: &[LogRow]| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>().concat();
        let mut order = LogOrder::default();
        let mut sorted = Vec::new();
        for _ in LogOrder::ALL {
            order.sort(&mut found);
            sorted.push((order.name(), names(&found)));
            found = rows(body).unwrap();
            order = order.next();
        }
        assert_eq!(order, LogOrder::Time);
        assert_eq!(sorted[2], ("name", "-a.b.".to_owned()));
        assert_eq!(sorted[5], ("latency", "b.a.-".to_owned()));
        assert_eq!(rows(br#"{"error": "no such status"}"#), Err("no such status".to_owned()));
        assert!(rows(b"<html>").is_err() && rows(b"{}").is_err());
    }

    #[test]
    fn pairs_are_read_from_either_side() {
        assert_eq!(
            pairs(br#"{"client": "tv", "names": [["a.", 3], ["b.", 1], []], "rest": 0}"#),
            [("a.".to_owned(), 3), ("b.".to_owned(), 1)]
        );
        assert_eq!(pairs(br#"{"name": "a.", "clients": [["tv", 3]]}"#), [("tv".to_owned(), 3)]);
        assert_eq!(pairs(b"{}"), []);
        assert_eq!(pairs(b"x"), []);
    }
}
