//! The counters that are published, and how Home Assistant is told of them.
//!
//! `TOPIC/state` is one JSON object of counters, named as in `/counters`. Each is a sensor: its discovery is
//! retained at `homeassistant/sensor/CLIENTID_KEY/config`, where KEY is the name with `_` for what a topic
//! cannot have. <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>

use core::fmt::{self, Write};

use crate::decimal::{write_decimal, write_millionths};
use crate::limits::MQTT_STATE_BYTES;
use crate::statistics::{CounterValue, Statistics, StreamScope};

/// A counter that is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sensor {
    /// Its name in `/counters` and in the state.
    pub(crate) counter: &'static str,
    /// Its name in topics.
    pub(crate) key: &'static str,
    /// Its name for people.
    name: &'static str,
    kind: SensorKind,
    icon: &'static str,
}

/// How a value moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SensorKind {
    /// It grows, until a reset.
    Total,
    /// It goes up and down.
    Now,
    /// The same, as a rate.
    Rate,
    /// The same, as a time.
    Seconds,
}

const fn sensor(
    counter: &'static str,
    key: &'static str,
    name: &'static str,
    kind: SensorKind,
    icon: &'static str,
) -> Sensor {
    Sensor { counter, key, name, kind, icon }
}

/// All of them.
pub(crate) const SENSORS: [Sensor; 11] = [
    sensor("query", "query", "DNS queries", SensorKind::Total, "dns"),
    sensor("response", "response", "DNS responses", SensorKind::Total, "dns-outline"),
    sensor("qps", "qps", "DNS queries per second", SensorKind::Rate, "speedometer"),
    sensor("clients", "clients", "DNS clients", SensorKind::Now, "devices"),
    sensor("domains", "domains", "DNS names", SensorKind::Now, "web"),
    sensor("response/noerror", "response_noerror", "DNS answers", SensorKind::Total, "check-network-outline"),
    sensor(
        "response/nxdomain",
        "response_nxdomain",
        "Unknown names",
        SensorKind::Total,
        "help-network-outline",
    ),
    sensor(
        "response/servfail",
        "response_servfail",
        "Failed look-ups",
        SensorKind::Total,
        "alert-circle-outline",
    ),
    sensor("response/blocked", "response_blocked", "Blocked names", SensorKind::Total, "shield-check"),
    sensor("query/unanswered", "query_unanswered", "Unanswered queries", SensorKind::Total, "timer-sand"),
    sensor("latency-p95", "latency_p95", "DNS latency", SensorKind::Seconds, "timer-outline"),
];

/// The names that a discovery is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SensorNames<'a> {
    /// Ours.
    pub(crate) client_id: &'a str,
    /// The topic below which all is.
    pub(crate) topic: &'a str,
}

/// A text of bounded length.
pub(crate) type JsonText = heapless::String<MQTT_STATE_BYTES>;

/// Writes the state.
pub(crate) fn write_state(statistics: &Statistics, out: &mut JsonText) -> fmt::Result {
    for (number, sensor) in SENSORS.iter().enumerate() {
        out.write_str(if number == 0 { "{\"" } else { ",\"" })?;
        out.write_str(sensor.counter)?;
        out.write_str("\":")?;
        match statistics.value(StreamScope::Global, sensor.counter) {
            CounterValue::Count(count) => write_decimal(out, count)?,
            CounterValue::Millionths(millionths) => write_millionths(out, millionths)?,
        }
    }
    out.write_char('}')
}

impl Sensor {
    /// Writes the topic of the discovery, without prefix.
    pub(crate) fn write_topic(&self, names: SensorNames<'_>, out: &mut JsonText) -> fmt::Result {
        write!(out, "/sensor/{}_{}/config", names.client_id, self.key)
    }

    /// Writes the discovery.
    pub(crate) fn write(
        &self,
        SensorNames { client_id, topic }: SensorNames<'_>,
        out: &mut JsonText,
    ) -> fmt::Result {
        let (class, more) = match self.kind {
            SensorKind::Total => ("total_increasing", ""),
            SensorKind::Now => ("measurement", ""),
            SensorKind::Rate => ("measurement", "\"unit_of_measurement\":\"1/s\","),
            SensorKind::Seconds => {
                ("measurement", "\"unit_of_measurement\":\"s\",\"device_class\":\"duration\",")
            }
        };
        write!(
            out,
            "{{\"name\":\"{}\",\"unique_id\":\"{client_id}_{}\",\"state_topic\":\"",
            self.name, self.key
        )?;
        write_escaped(topic, out)?;
        write!(
            out,
            "/state\",\"value_template\":\"{{{{ value_json['{}'] }}}}\",\"state_class\":\"{class}\",{more}\
             \"icon\":\"mdi:{}\",\"availability_topic\":\"",
            self.counter, self.icon
        )?;
        write_escaped(topic, out)?;
        write!(
            out,
            "/status\",\"payload_available\":\"online\",\"payload_not_available\":\"offline\",\
             \"device\":{{\"identifiers\":[\"{client_id}\"],\"name\":\"{client_id}\",\"manufacturer\":\"dnstapd\",\
             \"model\":\"dnstap collector\",\"sw_version\":\"{VERSION}\"}},\
             \"origin\":{{\"name\":\"dnstapd\",\"sw_version\":\"{VERSION}\"}}}}"
        )
    }
}

/// A topic has no control characters; these two are what is left.
fn write_escaped(text: &str, out: &mut JsonText) -> fmt::Result {
    text.chars().try_for_each(|letter| {
        if matches!(letter, '"' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(letter)
    })
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::super::topic::NAME_MAX;
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn the_longest_texts_have_room() {
        let long = "\"".repeat(NAME_MAX);
        for sensor in SENSORS {
            let (mut text, mut topic) = (JsonText::new(), JsonText::new());
            let names = SensorNames { client_id: &"c".repeat(NAME_MAX), topic: &long };
            sensor.write(names, &mut text).unwrap();
            sensor.write_topic(names, &mut topic).unwrap();
            assert!(text.len() + topic.len() + 2 * NAME_MAX < MQTT_STATE_BYTES, "{}", text.len());
        }
        let limits = Limits::resolve(&crate::limits::Section::default());
        let mut state = JsonText::new();
        write_state(&Statistics::new(&limits), &mut state).unwrap();
        assert!(state.len() + SENSORS.len() * 20 < MQTT_STATE_BYTES, "{state}");
        assert!(state.starts_with("{\"query\":0,") && state.ends_with('}'), "{state}");
    }

    #[test]
    fn keys_are_names_that_a_topic_can_have() {
        for sensor in SENSORS {
            let key = sensor.counter.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
            assert_eq!(sensor.key, key);
        }
    }
}
