//! Alarms as records, for the outputs that want them.
//!
//! ```text
//! timestamp - ALARM kind subject count first last
//! {"timestamp":"...","message":"ALARM","kind":"tunnel","subject":"example.com.","count":4100,"first":"...","last":"..."}
//! ```
//!
//! YAML has the keys of JSON. Formats that people read in columns get the text, all others the JSON object.

use core::fmt::{self, Write};

use super::Record;
use super::escape::{Escape, Escaped};
use super::json::JsonStyle;
use crate::decimal::{Ascii, write_decimal};
use crate::health::alarms::Alarm;
use crate::limits::RECORD_BYTES;
use crate::time::Time;
use crate::values::Format;

/// Writes an alarm into `record`, which is cleared first.
///
/// # Errors
///
/// When the record is too small.
pub(crate) fn encode(format: Format, alarm: &Alarm<'_>, record: &mut Record) -> fmt::Result {
    record.used = 0;
    record.longest = record.bytes.len().min(RECORD_BYTES);
    match format {
        Format::Text | Format::Csv => text(alarm, if format == Format::Csv { b"," } else { b" " }, record),
        Format::Yaml => members(alarm, JsonStyle::Yaml, "timestamp", record),
        Format::Ecs => members(alarm, JsonStyle::Json, "@timestamp", record),
        _ => members(alarm, JsonStyle::Json, "timestamp", record),
    }
}

/// The time of an alarm is that of its last finding.
pub(crate) fn time(alarm: &Alarm<'_>) -> Time {
    Time { seconds: alarm.last, nanoseconds: 0 }
}

fn text(alarm: &Alarm<'_>, between: &[u8; 1], out: &mut Record) -> fmt::Result {
    out.write_timestamp(time(alarm))?;
    for word in ["-", MESSAGE] {
        out.write_ascii(between)?;
        out.write_str(word)?;
    }
    out.write_ascii(between)?;
    write!(out, "{}", alarm.kind)?;
    out.write_ascii(between)?;
    let start = out.used;
    write!(out, "{}", alarm.subject)?;
    if between == b"," {
        out.quote_csv_from(start)?;
    }
    out.write_ascii(between)?;
    write_decimal(out, alarm.count)?;
    for seconds in [alarm.first, alarm.last] {
        out.write_ascii(between)?;
        out.write_timestamp(Time { seconds, nanoseconds: 0 })?;
    }
    Ok(())
}

fn members(alarm: &Alarm<'_>, style: JsonStyle, time_key: &str, out: &mut Record) -> fmt::Result {
    let key = |out: &mut Record, name: &str| {
        let [before, after] = match style {
            JsonStyle::Json if out.used == 0 => ["{\"", "\":"],
            JsonStyle::Json => [",\"", "\":"],
            JsonStyle::Yaml if out.used == 0 => ["---\n", ": "],
            JsonStyle::Yaml => ["\n", ": "],
        };
        [before, name, after].iter().try_for_each(|text| out.write_str(text))
    };
    let moment = |out: &mut Record, seconds: u64| {
        out.write_ascii(b"\"")?;
        out.write_timestamp(Time { seconds, nanoseconds: 0 })?;
        out.write_ascii(b"\"")
    };
    key(out, time_key)?;
    moment(out, alarm.last)?;
    key(out, "message")?;
    write!(out, "\"{MESSAGE}\"")?;
    key(out, "kind")?;
    write!(out, "\"{}\"", alarm.kind)?;
    key(out, "subject")?;
    out.write_ascii(b"\"")?;
    write!(Escaped { record: out, escape: Escape::Json }, "{}", alarm.subject)?;
    out.write_ascii(b"\"")?;
    key(out, "count")?;
    write_decimal(out, alarm.count)?;
    key(out, "first")?;
    moment(out, alarm.first)?;
    key(out, "last")?;
    moment(out, alarm.last)?;
    if style == JsonStyle::Json { out.write_ascii(b"}") } else { Ok(()) }
}

/// The message type of an alarm.
const MESSAGE: &str = "ALARM";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::alarms::{AlarmKind, Alarms, Finding};

    #[test]
    fn an_alarm_in_each_format() {
        let mut alarms = Alarms::default();
        let wire = b"\x04a\"b\\\x07example\x03com\0";
        alarms.raise(Finding::name(AlarmKind::Tunnel, wire, 4_100, 1_700_000_000), 3_600);
        alarms.raise(Finding::name(AlarmKind::Tunnel, wire, 4_000, 1_700_000_060), 3_600);
        let alarm = alarms.iter().next().unwrap();
        let mut record = Record::default();
        for (format, expected) in [
            (
                Format::Text,
                r#"2023-11-14T22:14:20.000000+00:00 - ALARM tunnel a\"b\\.example.com. 4100 2023-11-14T22:13:20.000000+00:00 2023-11-14T22:14:20.000000+00:00"#,
            ),
            (
                Format::Json,
                r#"{"timestamp":"2023-11-14T22:14:20.000000+00:00","message":"ALARM","kind":"tunnel","subject":"a\\\"b\\\\.example.com.","count":4100,"first":"2023-11-14T22:13:20.000000+00:00","last":"2023-11-14T22:14:20.000000+00:00"}"#,
            ),
            (
                Format::Yaml,
                "---\ntimestamp: \"2023-11-14T22:14:20.000000+00:00\"\nmessage: \"ALARM\"\nkind: \"tunnel\"\nsubject: \"a\\\\\\\"b\\\\\\\\.example.com.\"\ncount: 4100\nfirst: \"2023-11-14T22:13:20.000000+00:00\"\nlast: \"2023-11-14T22:14:20.000000+00:00\"",
            ),
        ] {
            encode(format, &alarm, &mut record).unwrap();
            assert_eq!(str::from_utf8(record.as_slice()).unwrap(), expected);
        }
    }
}
