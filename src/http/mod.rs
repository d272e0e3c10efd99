//! The web API and the dashboard.

use crate::collector::{Collector, Intake};
use crate::output::Outputs;
use crate::setting::{Fault, FilePath, ListenAddress, ListenPort, Secret, ServerTls, Text};
use crate::statistics::Statistics;
use serde::Deserialize;

/// Section `web-api`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Address to listen on.
    pub local_address: ListenAddress,
    /// Port to listen on; 0 = any free one.
    pub local_port: ListenPort,
    /// What `X-API-Key` must be; empty = this method is off.
    pub api_key: Secret,
    /// File with the key, instead of `api-key`: its first line.
    pub api_key_file: Option<FilePath>,
    /// The user of Basic authentication.
    pub login: Text,
    /// Its password; empty = this method is off.
    pub password: Secret,
    /// File with the password, instead of `password`: its first line.
    pub password_file: Option<FilePath>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Certificate chain, PEM.
    pub tls_server_cert: Option<FilePath>,
    /// Private key, PEM.
    pub tls_server_key: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: true,
            local_address: ListenAddress::LOCALHOST,
            local_port: ListenPort::new(8080),
            api_key: Secret::new(Secret::SHIPPED),
            api_key_file: None,
            login: Text::new("admin"),
            password: Secret::new(Secret::SHIPPED),
            password_file: None,
            tls_support: None,
            tls_server_cert: None,
            tls_server_key: None,
        }
    }
}

impl Section {
    /// The TLS keys together.
    pub fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: None,
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Those of [`ServerTls::check`].
    pub fn check(&self) -> Result<(), Fault> {
        self.tls().check()
    }

    /// Refuses an API that anybody on the network could use; asked once the secret files are read.
    ///
    /// # Errors
    /// The address is not this machine's own, and a credential is as shipped or there is none at all.
    pub fn check_exposure(&self) -> Result<(), Fault> {
        if self.local_address.is_loopback() {
            return Ok(());
        }
        let open = "while the API listens beyond this machine; allowed:";
        for (key, secret) in [("api-key", &self.api_key), ("password", &self.password)] {
            if secret.is_shipped() {
                let text =
                    format!("still \"{}\" {open} another one, or \"\" to turn it off", Secret::SHIPPED);
                return Err(Fault::new(key, text));
            }
        }
        if self.api_key.is_off() && self.password.is_off() {
            return Err(Fault::new(
                "api-key",
                format!("off, as is `password`, {open} at least one of them set"),
            ));
        }
        Ok(())
    }
}

// stand-in
/// x
#[derive(Clone, Copy)]
pub struct App<'a> {
    /// x
    pub settings: &'a Settings,
    /// x
    pub statistics: &'a std::cell::RefCell<Statistics>,
    /// x
    pub collector: &'a Collector<'a>,
    /// x
    pub outputs: &'a Outputs,
    /// x
    pub intakes: &'a [Intake],
}
/// x
pub struct Settings;
impl Settings {
    /// x
    pub fn new(_: &Section, _: &crate::statistics::Section) -> Self {
        Settings
    }
}
/// x
pub const COST: usize = 0;
/// x
pub fn address(section: &Section) -> std::net::SocketAddr {
    std::net::SocketAddr::new(section.local_address.get(), section.local_port.get())
}
/// x
pub fn bind(section: &Section) -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address(section))
}
/// x
pub async fn serve(_: &'static smol::LocalExecutor<'static>, _: std::net::TcpListener, _: App<'static>) {
    smol::future::pending().await
}
