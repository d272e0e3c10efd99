//! The certificates of all sections: read at start, and read again at a reload.

use defmt_or_log::warn;

use crate::config::Config;
use crate::input::tcp_client;
use crate::net::tls::{Client, Server};
use crate::output::OutputCertificates;
use crate::process::StartError;
use crate::values::KeyError;

/// The certificates that each section that uses TLS shows and trusts.
pub struct Certificates {
    pub tcp_socket: Option<Server>,
    pub web_api: Option<Server>,
    /// One for each section `input.tcp-client`, in their order.
    pub tcp_client: Vec<Option<Client>>,
}

impl Certificates {
    /// Reads the files of the sections that are on.
    ///
    /// # Errors
    ///
    /// What is wrong with the first file that is of no use.
    pub fn load(config: &Config) -> Result<Self, StartError> {
        let (input, api) = (&config.input, &config.web_api);
        let server = |enabled: bool, section, tls| {
            if enabled { Server::load(&tls).map_err(|fault| failure(section, &fault)) } else { Ok(None) }
        };
        Ok(Certificates {
            tcp_socket: server(input.tcp_socket.is_enabled(), "input.tcp-socket", input.tcp_socket.tls())?,
            web_api: server(api.enable, "web-api", api.tls())?,
            tcp_client: input.tcp_client.iter().map(load_client).collect::<Result<_, _>>()?,
        })
    }

    /// Reads all files again. What is of no use is named in the log, and what was in force stays so.
    pub fn reload(&self, outputs: &OutputCertificates, config: &Config) {
        let (input, api) = (&config.input, &config.web_api);
        let servers = [
            ("input.tcp-socket", &self.tcp_socket, input.tcp_socket.tls()),
            ("web-api", &self.web_api, api.tls()),
        ];
        for (section, server, tls) in servers {
            if let Some(server) = server.as_ref().filter(|_| tls.is_on()) {
                complain(section, server.reload(&tls));
            }
        }
        for (client, section) in self.tcp_client.iter().zip(input.tcp_client.iter()) {
            if let Some(client) = client.as_ref().filter(|_| section.tls().is_on()) {
                complain("input.tcp-client", client.reload(&section.tls()));
            }
        }
        outputs.reload(&config.output, |name, error| complain(&format!("output.{name}"), Err(error)));
    }
}

fn load_client(section: &tcp_client::Section) -> Result<Option<Client>, StartError> {
    let Some(host) = section.remote_address.as_ref().filter(|_| section.enable) else { return Ok(None) };
    Client::load(&section.tls(), host).map_err(|fault| failure("input.tcp-client", &fault))
}

fn complain(section: &str, reloaded: Result<(), KeyError>) {
    if let Err(fault) = reloaded {
        warn!("{}: the certificates in force stay", failure(section, &fault).to_string());
    }
}

fn failure(section: &str, fault: &KeyError) -> StartError {
    StartError(format!("{section}.{}: {}", fault.key, fault.text))
}
