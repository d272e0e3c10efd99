//! Output `mqtt`: tells a broker of MQTT 5 or 3.1.1 how we are, what we count, and on demand of each message.
//!
//! | topic | content |
//! |---|---|
//! | `TOPIC/status` | `online` or `offline`, retained; `offline` is also our will |
//! | `TOPIC/state` | counters, one JSON object, every `interval` |
//! | `TOPIC/record` | a JSON record each, with `records = true` |
//! | `homeassistant/sensor/CLIENTID_KEY/config` | a discovery for Home Assistant, retained |
//!
//! Without records each state stands for the messages that came since the one before, as a line of
//! `output.metrics` does. Delivered is what the kernel took, with `qos = 1` what the broker acknowledged.
//!
//! A build without the cargo feature `push` knows the section and refuses it when it is enabled.

#[cfg(feature = "push")]
mod discovery;
#[cfg(feature = "push")]
mod packet;
#[cfg(feature = "push")]
mod task;
mod topic;
#[cfg(feature = "push")]
mod window;

use topic::{ClientId, Topic};

#[cfg(feature = "push")]
use super::RecordKind;
use super::{OutputKind, Plan, PlanContext};
#[cfg(feature = "push")]
use crate::net::dial::PeerAddress;
use crate::section::section;
use crate::values::{
    Bounded, ClientTls, FilePath, Format, KeyError, PlanError, Seconds, Text, all, choice, required,
};

section! {
    /// Section `output.mqtt`. The port when it is unset: 1883, with TLS 8883.
    pub struct Section {
        ..enable
        ..remote(retry = 5)
        /// The version of the protocol.
        version: Version = Version::V5,
        /// Our name; unset = `dnstapd-` and that of the machine.
        client_id: Option<ClientId> = None,
        /// Who we are, with a password.
        user: Option<Text> = None,
        /// The file with the password.
        password_file: Option<FilePath> = None,
        /// The topic below which all is published.
        topic: Topic = Topic::new("dnstapd"),
        /// The quality of service: 0 = sent once, 1 = until the broker has acknowledged it.
        qos: Bounded<0, 1> = Bounded::new(0),
        /// Time from state to state.
        interval: Seconds = Seconds::new(60),
        /// Tell Home Assistant of the sensors.
        discovery: bool = true,
        /// The topic below which Home Assistant listens.
        discovery_prefix: Topic = Topic::new("homeassistant"),
        /// Publish each record, too.
        records: bool = false,
        ..client_tls
        ..record_output
    }
}

choice! {
    /// A version of the protocol.
    Version {
        /// OASIS, 2019.
        V5 = "5",
        /// OASIS, 2014.
        V311 = "3.1.1",
    }
}

impl Section {
    /// The broker's port.
    pub(crate) fn port(&self) -> u16 {
        match self.remote_port {
            Some(port) => port.get(),
            None if self.tls_keys().is_on() => 8883,
            None => 1883,
        }
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "mqtt"
    }

    fn check(&self) -> Result<(), KeyError> {
        let user = if self.password_file.is_some() { required("user", &self.user) } else { Ok(()) };
        let alarms = match self.alarms && !self.records {
            true => Err(KeyError::new("alarms", "come as records; allowed with `records = false`: `false`")),
            false => Ok(()),
        };
        all([required("remote-address", &self.remote_address), user, alarms, self.tls_keys().check()])
    }

    fn format(&self) -> Option<Format> {
        Some(Format::Json)
    }

    fn tls(&self) -> Option<ClientTls<'_>> {
        Some(self.tls_keys())
    }

    fn missing_feature(&self) -> Option<KeyError> {
        if !cfg!(feature = "push") {
            return Some(super::without_push());
        }
        super::plan::without_tls(&self.tls_keys())
    }

    #[cfg(feature = "push")]
    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        // The rules between the keys asked for it.
        let Some(host) = &self.remote_address else {
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
        };
        let peer = PeerAddress::Tcp(host.clone(), self.port());
        let tls = if self.tls_keys().is_on() { ", TLS" } else { "" };
        let what = if self.records { "records and state" } else { "state" };
        Ok(Plan::new(
            self,
            format!("{peer}{tls}, MQTT {}, {what} below {}", self.version, self.topic.as_str()),
            match self.records {
                true => {
                    RecordKind::Plain { encoding: self.record_encoding(Format::Json), terminator: [].into() }
                }
                false => RecordKind::SelfMade,
            },
            Box::new(task::MqttSink::new(self, peer, super::plan::load_tls(&self.tls_keys(), host)?)?),
        ))
    }

    #[cfg(not(feature = "push"))]
    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
}
