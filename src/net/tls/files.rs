//! Certificates and keys from PEM files (RFC 7468), and words for what is wrong with them.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::limits::PEM_BYTES;
use crate::sys::files;
use crate::values::KeyError;

/// A file and the key of the configuration that names it.
#[derive(Clone, Copy)]
pub(crate) struct NamedFile<'a> {
    /// As it is written in the section.
    pub(crate) key: &'static str,
    /// Its path.
    pub(crate) path: &'a Path,
}

impl NamedFile<'_> {
    /// The mistake in it.
    fn fault(self, what: impl Display) -> KeyError {
        KeyError::new(self.key, format!("{}: {what}", self.path.display()))
    }

    /// The whole file.
    fn read(self) -> Result<Vec<u8>, KeyError> {
        files::read_whole(self.path, PEM_BYTES).map_err(|error| self.fault(error))
    }
}

/// The cryptography in use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Our own certificate chain with its key.
///
/// # Errors
///
/// A file cannot be read, has no certificate or key in it, or they do not belong together.
pub(crate) fn identity(
    provider: &CryptoProvider,
    chain: NamedFile<'_>,
    key: NamedFile<'_>,
) -> Result<Arc<SingleCertAndKey>, KeyError> {
    let certificates = certificates(chain)?;
    let signing = provider.key_provider.load_private_key(private_key(key)?);
    let signing = signing.map_err(|error| key.fault(format_args!("the key cannot be used: {error}")))?;
    let certified = CertifiedKey::new(certificates, signing);
    match certified.keys_match() {
        // Unknown: this kind of key does not show its public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(SingleCertAndKey::from(certified)))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(key.fault(format_args!("the key does not match the certificate in {}", chain.path.display())))
        }
        Err(error) => Err(chain.fault(format_args!("the first certificate cannot be used: {error}"))),
    }
}

/// The authorities of a file.
///
/// # Errors
///
/// The file cannot be read, or has no certificate in it, or one that is none.
pub(crate) fn authorities(file: NamedFile<'_>) -> Result<RootCertStore, KeyError> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in certificates(file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            file.fault(format_args!("certificate {} of it cannot be used: {error}", at + 1))
        })?;
    }
    Ok(roots)
}

/// The authorities that the system trusts. A certificate of an odd kind among them is passed over.
///
/// # Errors
///
/// There is no such list, or nothing in it; `key` is to be set then.
pub(crate) fn system_authorities(key: &'static str) -> Result<RootCertStore, KeyError> {
    let path = std::env::var_os("SSL_CERT_FILE").map_or_else(|| PathBuf::from(SYSTEM_LIST), PathBuf::from);
    let list = NamedFile { key, path: &path };
    let hint = |fault: KeyError| {
        KeyError::new(key, format!("unset, and the system's list is of no use: {}", fault.text))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(list).map_err(hint)?);
    if roots.is_empty() { Err(hint(list.fault(NO_CERTIFICATE))) } else { Ok(roots) }
}

/// Where Debian, OpenWrt (package `ca-bundle`), Alpine and others keep it; `SSL_CERT_FILE` overrides.
const SYSTEM_LIST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The complaint about a file without any.
const NO_CERTIFICATE: &str = "no certificate in it";

fn certificates(file: NamedFile<'_>) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let bytes = file.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(file.fault(NO_CERTIFICATE)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(file.fault(format_args!("no PEM: {error}"))),
    }
}

/// The first private key: PKCS#8, PKCS#1 or SEC1.
fn private_key(file: NamedFile<'_>) -> Result<PrivateKeyDer<'static>, KeyError> {
    let bytes = file.read()?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&bytes) => {
            file.fault("its private key is encrypted; allowed: one without a passphrase")
        }
        pem::Error::NoItemsFound => file.fault("no private key in it"),
        error => file.fault(format_args!("no PEM: {error}")),
    })
}

/// Whether it holds a key with a passphrase (RFC 7468, 11).
fn is_encrypted(bytes: &[u8]) -> bool {
    const LABEL: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    bytes.windows(LABEL.len()).any(|window| window == LABEL)
}
