//! The side that is connected to.

use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::Refused;
use super::files::{self, NamedFile};
use crate::reactor::Async;
use crate::values::{KeyError, ServerTls};

/// A connection after its handshake.
pub(crate) type ServerStream = futures_rustls::server::TlsStream<Async<TcpStream>>;

/// A certificate, its key, and whom to let in.
pub struct Server(RefCell<Arc<ServerConfig>>);

impl Server {
    /// Reads the files of a section; `None` if it leaves TLS off.
    ///
    /// # Errors
    ///
    /// The file, and its fault.
    pub fn load(tls: &ServerTls<'_>) -> Result<Option<Self>, KeyError> {
        tls.is_on().then(|| Ok(Server(RefCell::new(configuration(tls)?)))).transpose()
    }

    /// Reads the files again, for the connections to come.
    ///
    /// # Errors
    ///
    /// The file, and its fault; the former files stay in force.
    pub(crate) fn reload(&self, tls: &ServerTls<'_>) -> Result<(), KeyError> {
        let new = configuration(tls)?;
        *self.0.borrow_mut() = new;
        Ok(())
    }

    /// Does the handshake. Plain bytes are told apart before it, by the first of them.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; the peer has been told why, if it speaks TLS at all.
    pub async fn accept(&self, stream: Async<TcpStream>) -> Result<ServerStream, Refused> {
        let mut first = [0];
        match stream.read_with(|stream| stream.peek(&mut first)).await {
            Ok(1..) if first == [HANDSHAKE] => {}
            Ok(1..) => return Err(Refused::Plain),
            Ok(0) | Err(_) => return Err(Refused::Closed),
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0.borrow()));
        acceptor.accept(stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Refused::Handshake(error),
            _ => Refused::Closed,
        })
    }
}

/// ContentType of the record that every TLS connection begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;

fn configuration(tls: &ServerTls<'_>) -> Result<Arc<ServerConfig>, KeyError> {
    let provider = files::provider();
    let (Some(chain), Some(key)) = (tls.cert, tls.key) else {
        return Err(KeyError::new("tls-support", "needs a certificate and its key"));
    };
    let identity = files::identity(
        &provider,
        NamedFile { key: "tls-server-cert", path: chain },
        NamedFile { key: "tls-server-key", path: key },
    )?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| KeyError::new("tls-support", error.to_string()))?;
    let builder = match tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = files::authorities(NamedFile { key: "tls-client-ca", path })?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|error| KeyError::new("tls-client-ca", error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut configuration = builder.with_cert_resolver(identity);
    // Neither tickets nor sessions: see the module.
    configuration.send_tls13_tickets = 0;
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(configuration))
}
