//! Input `sniffer`: makes messages of the DNS packets on an interface.

use crate::setting::{Fault, ListenAddress, Port, Text, required};
use serde::Deserialize;

/// Section `input.sniffer`. The names of the switches in the program it replaces are read too.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// The interface.
    pub eth_name: Option<Text>,
    /// Addresses that are ours; empty = those of the interface.
    pub eth_ip: Vec<ListenAddress>,
    /// The identity its messages get.
    pub dnstap_identity: Text,
    /// Ports that carry DNS, on either side of a packet.
    pub dns_port: Vec<Port>,
    /// Make CLIENT_QUERY.
    #[serde(alias = "client-query-support")]
    pub record_client_query: bool,
    /// Make CLIENT_RESPONSE.
    #[serde(alias = "client-response-support")]
    pub record_client_response: bool,
    /// Make RESOLVER_QUERY.
    #[serde(alias = "resolver-query-support")]
    pub record_resolver_query: bool,
    /// Make RESOLVER_RESPONSE.
    #[serde(alias = "resolver-response-support")]
    pub record_resolver_response: bool,
    /// Make FORWARDER_QUERY.
    #[serde(alias = "forwarder-query-support")]
    pub record_forwarder_query: bool,
    /// Make FORWARDER_RESPONSE.
    #[serde(alias = "forwarder-response-support")]
    pub record_forwarder_response: bool,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            eth_name: None,
            eth_ip: Vec::new(),
            dnstap_identity: Text::new("sniffer"),
            dns_port: vec![Port::new(53)],
            record_client_query: true,
            record_client_response: true,
            record_resolver_query: true,
            record_resolver_response: true,
            record_forwarder_query: true,
            record_forwarder_response: true,
        }
    }
}

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No interface, no port.
    pub fn check(&self) -> Result<(), Fault> {
        required("eth-name", &self.eth_name)?;
        if self.dns_port.is_empty() {
            return Err(Fault::new("dns-port", "an empty list; allowed: at least one port, such as [53]"));
        }
        Ok(())
    }
}
