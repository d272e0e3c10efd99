//! Input `tcp-socket`: listens for senders on TCP.

use crate::setting::{Fault, FilePath, ListenAddress, ListenPort, Network, ServerTls};
use serde::Deserialize;

/// Section `input.tcp-socket`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Absent = on when no other input is, or when the command line gives an address or port.
    pub enable: Option<bool>,
    /// Address to listen on.
    pub local_address: ListenAddress,
    /// Port to listen on; 0 = any free one.
    pub local_port: ListenPort,
    /// Peers let in: any entry that contains the address. Empty = nobody.
    pub access_control_list: Vec<Network>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Certificate chain, PEM.
    pub tls_server_cert: Option<FilePath>,
    /// Private key, PEM.
    pub tls_server_key: Option<FilePath>,
    /// Let in only peers with a certificate of one of these, PEM.
    pub tls_client_ca: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: None,
            local_address: ListenAddress::LOCALHOST,
            local_port: ListenPort::new(6000),
            access_control_list: vec![Network::ALL_IPV4, Network::ALL_IPV6],
            tls_support: None,
            tls_server_cert: None,
            tls_server_key: None,
            tls_client_ca: None,
        }
    }
}

impl Section {
    /// Whether it runs, once resolved.
    pub fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }

    /// The TLS keys together.
    pub fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: self.tls_client_ca.as_ref(),
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Those of [`ServerTls::check`].
    pub fn check(&self) -> Result<(), Fault> {
        self.tls().check()
    }
}
