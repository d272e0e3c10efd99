//! Input `sniffer`: makes messages of the DNS packets on an interface.

mod capture;
mod interface;

use std::fmt;
use std::io;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};

use super::counters::InputCounters;
use super::plan::{InputContext, InputKind, InputPlan, InputPlanContext, RunningSource, Source};
use crate::capture::{Dissector, DissectorSettings, RecordedKinds};
use crate::limits::{Limits, SNIFFER_ADDRESSES, SNIFFER_BLOCK_BYTES, SNIFFER_NAMES, SNIFFER_PORTS};
use crate::section::section;
use crate::sys::interfaces;
use crate::sys::privileges::{Identity, NET_RAW, has_capability};
use crate::values::{KeyError, ListenAddress, PlanError, Port, Text, Value, required};
use capture::Sniffer;

section! {
    /// Section `input.sniffer`. The names of the switches in the program it replaces are read too.
    pub struct Section {
        ..enable
        /// The interface, or several.
        eth_name: Option<InterfaceNames> = None,
        /// Listen to packets between others, too, such as those of a mirror port.
        promiscuous: bool = false,
        /// Addresses that are ours; empty = those of the interface.
        eth_ip: Vec<ListenAddress> = Vec::new(),
        /// The identity its messages get.
        dnstap_identity: Text = Text::new("sniffer"),
        /// Ports that carry DNS, on either side of a packet.
        dns_port: Vec<Port> = vec![Port::new(53)],
        /// Make CLIENT_QUERY.
        #[serde(alias = "client-query-support")]
        record_client_query: bool = true,
        /// Make CLIENT_RESPONSE.
        #[serde(alias = "client-response-support")]
        record_client_response: bool = true,
        /// Make RESOLVER_QUERY.
        #[serde(alias = "resolver-query-support")]
        record_resolver_query: bool = true,
        /// Make RESOLVER_RESPONSE.
        #[serde(alias = "resolver-response-support")]
        record_resolver_response: bool = true,
        /// Make FORWARDER_QUERY.
        #[serde(alias = "forwarder-query-support")]
        record_forwarder_query: bool = true,
        /// Make FORWARDER_RESPONSE.
        #[serde(alias = "forwarder-response-support")]
        record_forwarder_response: bool = true,
    }
}

/// Names of interfaces: written as one, or as a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InterfaceNames(Vec<Text>);

impl From<Text> for InterfaceNames {
    fn from(name: Text) -> Self {
        InterfaceNames(vec![name])
    }
}

/// The values of [`InterfaceNames`], for messages.
impl Value for InterfaceNames {
    fn allowed() -> String {
        "a name, such as \"br-lan\", or a list of names".to_owned()
    }
}

impl<'de> Deserialize<'de> for InterfaceNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreNames)
    }
}

/// serde's half of [`InterfaceNames`].
struct OneOrMoreNames;

impl<'de> Visitor<'de> for OneOrMoreNames {
    type Value = InterfaceNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&InterfaceNames::allowed())
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<InterfaceNames, E> {
        Text::deserialize(name.into_deserializer()).map(InterfaceNames::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<InterfaceNames, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(names)).map(InterfaceNames)
    }
}

impl Section {
    /// The names of the interfaces.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.eth_name.iter().flat_map(|names| names.0.iter().map(Text::as_str))
    }

    /// The names, for people.
    fn interface(&self) -> String {
        self.interfaces().collect::<Vec<_>>().join(", ")
    }

    /// The packet dissector that makes messages as this section asks for.
    pub(super) fn dissector(&self, limits: &Limits) -> Dissector {
        let settings = DissectorSettings {
            ports: self.dns_port.iter().take(SNIFFER_PORTS).map(|port| port.get()).collect(),
            identity: self.dnstap_identity.as_str().to_owned(),
            records: RecordedKinds {
                client_query: self.record_client_query,
                client_response: self.record_client_response,
                resolver_query: self.record_resolver_query,
                resolver_response: self.record_resolver_response,
                forwarder_query: self.record_forwarder_query,
                forwarder_response: self.record_forwarder_response,
            },
        };
        Dissector::new(settings, limits)
    }
}

/// Name of the input in metrics and log.
pub(crate) const NAME: &str = "sniffer";

impl InputKind for Section {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self) -> Result<(), KeyError> {
        required("eth-name", &self.eth_name)?;
        let names: Vec<_> = self.interfaces().collect();
        if names.is_empty() || names.len() > SNIFFER_NAMES {
            let text = format!("{} names; allowed: 1 to {SNIFFER_NAMES}", names.len());
            return Err(KeyError::new("eth-name", text));
        }
        if names.len() > 1 && names.contains(&"any") {
            return Err(KeyError::new("eth-name", "\"any\" beside others; allowed: \"any\" alone, for all"));
        }
        if self.dns_port.is_empty() {
            return Err(KeyError::new("dns-port", "an empty list; allowed: at least one port, such as [53]"));
        }
        if self.dns_port.len() > SNIFFER_PORTS {
            return Err(KeyError::new("dns-port", format!("too many; allowed: {SNIFFER_PORTS} ports")));
        }
        if self.eth_ip.len() > SNIFFER_ADDRESSES {
            return Err(KeyError::new("eth-ip", format!("too many; allowed: {SNIFFER_ADDRESSES} addresses")));
        }
        Ok(())
    }

    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError> {
        let limits = context.limits;
        Ok(InputPlan {
            name: NAME,
            words: format!("on {}", self.interface()),
            memory: vec![
                ("sniffer's fragments and connections".to_owned(), Dissector::cost(limits)),
                (format!("sniffer's ring of {} blocks", limits.ring), limits.ring * SNIFFER_BLOCK_BYTES),
            ],
            source: Box::new(SnifferSource { section: self.clone(), limits: *limits, sniffer: None }),
        })
    }
}

/// The sniffer, before it runs.
struct SnifferSource {
    section: Section,
    limits: Limits,
    sniffer: Option<Sniffer>,
}

impl Source for SnifferSource {
    fn foresee(&self) -> Vec<String> {
        if has_capability(NET_RAW) {
            return Vec::new();
        }
        vec![format!(": {}: {}", self.section.interface(), io::Error::from_raw_os_error(nix::libc::EPERM))]
    }

    fn warning(&self) -> Option<String> {
        let missing = |name: &&str| *name != "any" && interfaces::number(name).is_none();
        let name = self.section.interfaces().find(missing)?;
        Some(format!("sniffer.eth-name: there is no {name} yet; it will be waited for"))
    }

    fn open(&mut self, _: &Identity) -> io::Result<()> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.section.interface()));
        self.sniffer = Some(Sniffer::open(&self.section, &self.limits).map_err(named)?);
        Ok(())
    }

    fn reads_packets(&self) -> bool {
        true
    }

    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource> {
        let listener = self.sniffer.ok_or(io::ErrorKind::NotConnected)?.into_async()?;
        counters.expect_one_more();
        Ok(Box::pin(capture::run(listener, context.receiver.collector, counters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_have_their_old_names_too() {
        for kind in ["client", "resolver", "forwarder"] {
            for what in ["query", "response"] {
                let [old, new] = [format!("{kind}-{what}-support"), format!("record-{kind}-{what}")]
                    .map(|key| toml::from_str::<Section>(&format!("{key} = false")).unwrap());
                assert_eq!(old, new);
                assert_ne!(old, Section::default());
            }
        }
    }
}
