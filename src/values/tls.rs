//! The TLS keys, which many sections have under the same names.
//!
//! A section lists the keys itself, so that the list of what is allowed stays its own, and lends them
//! together as one of these views. Files are opened elsewhere.

use super::{FilePath, Host, KeyError, Text, Value, all, required};

/// The TLS keys of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerTls<'a> {
    /// `tls-support`, when it was written.
    pub(crate) support: Option<bool>,
    /// `tls-server-cert`: a certificate chain, PEM.
    pub(crate) cert: &'a Option<FilePath>,
    /// `tls-server-key`: its private key, PEM.
    pub(crate) key: &'a Option<FilePath>,
    /// `tls-client-ca`: clients must show a certificate of one of these.
    pub(crate) client_ca: Option<&'a FilePath>,
}

impl ServerTls<'_> {
    /// Whether connections are encrypted.
    pub(crate) fn is_on(&self) -> bool {
        self.support == Some(true)
    }

    /// How a listener is protected, in words that follow its address.
    pub(crate) fn words(&self) -> &'static str {
        match (self.is_on(), self.client_ca) {
            (false, _) => "",
            (true, None) => ", TLS",
            (true, Some(_)) => ", TLS with client certificates",
        }
    }

    /// The rules between the keys.
    ///
    /// # Errors
    /// TLS without certificate or key; files given, but nothing said about TLS, which would leave
    /// the port open in plain text.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if self.is_on() {
            return all([required("tls-server-cert", self.cert), required("tls-server-key", self.key)]);
        }
        not_silent(
            self.support,
            &[
                ("tls-server-cert", self.cert.is_some()),
                ("tls-server-key", self.key.is_some()),
                ("tls-client-ca", self.client_ca.is_some()),
            ],
        )
    }
}

/// The TLS keys of a connection we open.
#[derive(Debug, Clone, Copy)]
pub struct ClientTls<'a> {
    /// `tls-support`, when it was written.
    pub(crate) support: Option<bool>,
    /// `tls-ca`: whose certificates the server may show.
    pub(crate) ca: &'a Option<FilePath>,
    /// `tls-server-name`: the name in the server's certificate, when it is not `remote-address`.
    pub(crate) server_name: &'a Option<Text>,
    /// `tls-client-cert`: our own certificate chain, PEM.
    pub(crate) cert: &'a Option<FilePath>,
    /// `tls-client-key`: its private key, PEM.
    pub(crate) key: &'a Option<FilePath>,
}

impl ClientTls<'_> {
    /// Whether the connection is encrypted.
    pub(crate) fn is_on(&self) -> bool {
        self.support == Some(true)
    }

    /// The rules between the keys.
    ///
    /// # Errors
    /// A server name that is none; a certificate without key or the reverse; TLS keys given, but nothing said
    /// about TLS.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if self.is_on() {
            let name = self.server_name.as_ref();
            if name.is_some_and(|name| Host::from_text(name.as_str()).is_err()) {
                let text = format!("nothing that a certificate can have; allowed: {}", Host::allowed());
                return Err(KeyError::new("tls-server-name", text));
            }
            return match (self.cert, self.key) {
                (Some(_), None) => required("tls-client-key", self.key),
                (None, Some(_)) => required("tls-client-cert", self.cert),
                _ => Ok(()),
            };
        }
        not_silent(
            self.support,
            &[
                ("tls-ca", self.ca.is_some()),
                ("tls-server-name", self.server_name.is_some()),
                ("tls-client-cert", self.cert.is_some()),
                ("tls-client-key", self.key.is_some()),
            ],
        )
    }
}

/// Refuses the first key given while `support` was not written at all; an explicit `false` is an answer.
fn not_silent(support: Option<bool>, keys: &[(&'static str, bool)]) -> Result<(), KeyError> {
    match keys.iter().find(|(_, given)| *given) {
        Some((key, _)) if support.is_none() => Err(KeyError::new(
            key,
            "given while `tls-support` is not; allowed: together with `tls-support = true` (or `false`, to leave TLS off)",
        )),
        _ => Ok(()),
    }
}
