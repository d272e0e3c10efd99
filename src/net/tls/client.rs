//! The side that connects.

use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::files::{self, NamedFile};
use crate::reactor::Async;
use crate::values::{ClientTls, Host, KeyError};

/// A connection after its handshake.
pub(crate) type ClientStream = futures_rustls::client::TlsStream<Async<TcpStream>>;

/// The socket below a stream.
pub(crate) fn socket(stream: &ClientStream) -> &TcpStream {
    stream.get_ref().0.get_ref()
}

/// Whom to trust, under which name, and our own certificate if there is one.
#[derive(Debug)]
pub struct Client {
    name: ServerName<'static>,
    configuration: RefCell<Arc<ClientConfig>>,
}

impl Client {
    /// Reads the files of a section that connects to `host`; `None` if it leaves TLS off.
    ///
    /// # Errors
    ///
    /// The file, and its fault.
    pub fn load(tls: &ClientTls<'_>, host: &Host) -> Result<Option<Self>, KeyError> {
        if !tls.is_on() {
            return Ok(None);
        }
        let name = tls.server_name.as_ref().map_or(host.without_zone(), |name| name.as_str());
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            KeyError::new(
                "tls-server-name",
                format!("`{name}` cannot be in a certificate; allowed: a host name or an IP address"),
            )
        })?;
        Ok(Some(Client { name, configuration: RefCell::new(configuration(tls)?) }))
    }

    /// Reads the files again, for the connections to come.
    ///
    /// # Errors
    ///
    /// The file, and its fault; the former files stay in force.
    pub(crate) fn reload(&self, tls: &ClientTls<'_>) -> Result<(), KeyError> {
        let new = configuration(tls)?;
        *self.configuration.borrow_mut() = new;
        Ok(())
    }

    /// Does the handshake.
    ///
    /// # Errors
    ///
    /// The peer closed, is not trusted, or does not trust us. With TLS 1.3 it judges our certificate only
    /// after the handshake is over for us: then the first read fails.
    pub async fn connect(&self, stream: Async<TcpStream>) -> io::Result<ClientStream> {
        let connector = TlsConnector::from(Arc::clone(&self.configuration.borrow()));
        connector.connect(self.name.clone(), stream).await
    }
}

fn configuration(tls: &ClientTls<'_>) -> Result<Arc<ClientConfig>, KeyError> {
    let provider = files::provider();
    let roots = match tls.ca {
        Some(path) => files::authorities(NamedFile { key: "tls-ca", path })?,
        None => files::system_authorities("tls-ca")?,
    };
    let identity = match (tls.cert, tls.key) {
        (Some(chain), Some(key)) => Some(files::identity(
            &provider,
            NamedFile { key: "tls-client-cert", path: chain },
            NamedFile { key: "tls-client-key", path: key },
        )?),
        _ => None,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| KeyError::new("tls-support", error.to_string()))?
        .with_root_certificates(roots);
    let mut configuration = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    // Connections are few and long: remembering sessions would only cost memory.
    configuration.resumption = Resumption::disabled();
    Ok(Arc::new(configuration))
}
