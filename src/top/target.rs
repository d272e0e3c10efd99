//! Which daemon to ask, and who we say we are.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::net::tls::Client;
use crate::values::encoding::{PercentDecoded, base64};
use crate::values::{ClientTls, Host, Secret, Value};

/// The words after `top`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopOptions {
    /// `--url`
    pub(crate) url: Option<String>,
    /// `--api-key-file`
    pub(crate) api_key_file: Option<PathBuf>,
    /// `--get`: what to print instead of a screen.
    pub(crate) get: Option<String>,
}

/// The daemon of this machine, as its configuration has it.
#[derive(Clone, Debug)]
pub struct LocalDaemon {
    /// Where its web API is reached.
    pub address: Option<SocketAddr>,
    /// Whether that speaks TLS.
    pub encrypted: bool,
    /// Who is let in.
    pub credentials: Option<LocalCredentials>,
}

/// The credentials of the web API of this machine, as its configuration has them.
#[derive(Clone, Debug)]
pub enum LocalCredentials {
    /// A key.
    Key(Secret),
    /// Login and password.
    Password(String, Secret),
}

/// Where requests go.
pub(crate) struct DaemonTarget {
    /// As it is shown: without credentials.
    pub(crate) shown: String,
    /// Value of the header `Host`.
    pub(crate) authority: String,
    /// The text before each path; without a slash at its end.
    pub(crate) base: String,
    /// Name or address.
    pub(crate) host: Host,
    /// Port.
    pub(crate) port: u16,
    /// The header that says who we are, if any.
    pub credentials: Option<(&'static str, Secret)>,
    /// Encryption, when the scheme is `https`.
    pub(crate) tls: Option<Client>,
}

/// Where a daemon listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Bytes of a file with a key at most.
const KEY_FILE_MAX: u64 = 1 << 16;

impl DaemonTarget {
    /// The daemon that the options name, else that of this machine's configuration. Credentials come from the
    /// file, else from the URL, else from the environment variables `DNSTAPD_API_KEY` or `DNSTAPD_PASSWORD`
    /// (with `DNSTAPD_LOGIN`); on this machine, else from the configuration, for who may read it, and else
    /// the key that daemons are shipped with is tried.
    ///
    /// # Errors
    ///
    /// The fault of the URL or the file, in words.
    pub(crate) fn new(
        options: &TopOptions,
        environment: impl Fn(&str) -> Option<String>,
        configured: impl FnOnce() -> Option<LocalDaemon>,
    ) -> Result<Self, String> {
        // Read where it matters only: the file may be another user's.
        let (mut configured, mut own) = (Some(configured), None);
        let url = match &options.url {
            Some(url) => url.clone(),
            None => {
                own = configured.take().and_then(|read| read());
                own.as_ref().and_then(LocalDaemon::url).unwrap_or_else(|| DEFAULT_URL.to_owned())
            }
        };
        let url = url.as_str();
        let wrong =
            |why: &str| format!("--url: {why}; allowed: http://[USER:PASSWORD@]HOST[:PORT][/PATH], or https");
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let encrypted = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("another scheme")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(authority).ok_or_else(|| wrong("no port"))?;
        let host = Host::from_text(host).map_err(|_| wrong("no host"))?;
        let path = path.trim_end_matches('/');
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("no path"));
        }
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        let local = options.url.is_none()
            || host.as_str() == "localhost"
            || host.as_str().parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let credentials = match (&options.api_key_file, user) {
            (Some(path), _) => Some((KEY, key_of(path)?)),
            (None, Some(user)) => {
                Some((BASIC, Secret::new(basic(&decoded(user).ok_or_else(|| wrong("no login"))?))))
            }
            (None, None) => {
                let own =
                    || own.or_else(|| configured.and_then(|read| read())).and_then(|own| own.credentials);
                from(&environment, own, local)
            }
        };
        if credentials.as_ref().is_some_and(|(_, secret)| secret.expose().contains(char::is_control)) {
            return Err("the credentials hold a control character".to_owned());
        }
        Ok(DaemonTarget {
            shown: format!("{scheme}://{authority}{base}"),
            authority: authority.to_owned(),
            base,
            tls: encryption(encrypted, &host)?,
            host,
            port: port.unwrap_or(if encrypted { 443 } else { 80 }),
            credentials,
        })
    }
}

impl LocalDaemon {
    /// The URL of its web API.
    fn url(&self) -> Option<String> {
        let scheme = if self.encrypted { "https" } else { "http" };
        self.address.map(|address| format!("{scheme}://{address}"))
    }
}

/// Header of a key.
const KEY: &str = "X-API-Key";
/// Header of login and password.
const BASIC: &str = "Authorization";

/// The credentials of the environment, else what may be tried.
fn from(
    environment: &impl Fn(&str) -> Option<String>,
    configured: impl FnOnce() -> Option<LocalCredentials>,
    local: bool,
) -> Option<(&'static str, Secret)> {
    if let Some(key) = environment("DNSTAPD_API_KEY") {
        return Some((KEY, Secret::new(key)));
    }
    if let Some(password) = environment("DNSTAPD_PASSWORD") {
        let login = environment("DNSTAPD_LOGIN").unwrap_or_else(|| "admin".to_owned());
        return Some((BASIC, Secret::new(basic(&format!("{login}:{password}")))));
    }
    local.then(|| match configured() {
        Some(LocalCredentials::Key(key)) => (KEY, key),
        Some(LocalCredentials::Password(login, password)) => {
            (BASIC, Secret::new(basic(&format!("{login}:{}", password.expose()))))
        }
        None => (KEY, Secret::new(Secret::SHIPPED)),
    })
}

/// The first line of a file.
fn key_of(path: &Path) -> Result<Secret, String> {
    let fault = |why: &dyn core::fmt::Display| format!("--api-key-file: {}: {why}", path.display());
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_MAX).read_to_string(&mut text));
    read.map_err(|error: io::Error| fault(&error))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(fault(&"the first line is empty")),
    }
}

/// Host and port; brackets around an IPv6 address. `None` when the port is none.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let number = port.filter(|port| !port.is_empty()).map(|port| port.parse().ok().filter(|&port| port > 0));
    match number {
        Some(None) => None,
        number => Some((host, number.flatten())),
    }
}

/// The meaning of a percent-encoded text.
fn decoded(text: &str) -> Option<String> {
    let bytes = PercentDecoded::new(text).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok().filter(|text| text.contains(':'))
}

/// The value for Basic authentication (RFC 7617).
fn basic(login_and_password: &str) -> String {
    format!("Basic {}", base64(login_and_password.as_bytes()))
}

/// The needs of `https`: the system's authorities, or those of the file in `SSL_CERT_FILE`.
fn encryption(encrypted: bool, host: &Host) -> Result<Option<Client>, String> {
    if encrypted && !crate::net::tls::BUILT {
        return Err("--url: https needs the cargo feature `tls`, which this build is without".to_owned());
    }
    let (ca, server_name, cert, key) = (&None, &None, &None, &None);
    let tls = ClientTls { support: Some(encrypted), ca, server_name, cert, key };
    Client::load(&tls, host)
        .map_err(|fault| format!("--url: https: {}", fault.text.trim_start_matches("unset, and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, variables: &[(&str, &str)]) -> Result<DaemonTarget, String> {
        let options = TopOptions { url: Some(url.to_owned()), ..TopOptions::default() };
        let configured = || Some(own(None, false));
        let variable = |name: &str| Some(variables.iter().find(|row| row.0 == name)?.1.to_owned());
        DaemonTarget::new(&options, variable, || configured().filter(|_| url.ends_with('1')))
    }

    fn own(address: Option<&str>, encrypted: bool) -> LocalDaemon {
        let credentials = Some(LocalCredentials::Password("me".to_owned(), Secret::new("mine")));
        LocalDaemon { address: address.map(|address| address.parse().unwrap()), encrypted, credentials }
    }

    #[test]
    fn without_a_url_it_is_the_daemon_of_the_configuration() {
        let shown = |own: Option<LocalDaemon>| {
            let target = DaemonTarget::new(&TopOptions::default(), |_| None, || own).unwrap();
            (target.shown, target.credentials.map(|(name, _)| name))
        };
        assert_eq!(
            shown(Some(own(Some("192.168.1.1:81"), false))),
            ("http://192.168.1.1:81".to_owned(), Some(BASIC))
        );
        assert_eq!(shown(Some(own(None, false))), ("http://127.0.0.1:8080".to_owned(), Some(BASIC)));
        assert_eq!(shown(None), ("http://127.0.0.1:8080".to_owned(), Some(KEY)));
    }

    #[test]
    fn urls_name_host_port_and_path() {
        let check = |url: &str, host: &str, port: u16, base: &str| {
            let target = target(url, &[]).unwrap();
            assert_eq!(
                (target.host.as_str(), target.port, target.base.as_str()),
                (host, port, base),
                "{url}"
            );
        };
        check("http://127.0.0.1:8080", "127.0.0.1", 8080, "");
        check("router:8080/", "router", 8080, "");
        check("http://[2001:db8::1]:81/a/b/", "2001:db8::1", 81, "/a/b");
        check("http://[2001:db8::1]", "2001:db8::1", 80, "");
        check("http://user:pa%3ass@router.example", "router.example", 80, "");
        for wrong in [
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:70000",
            "http://a b",
            "http://x@y",
            "http://a/\n",
            "http://a:b",
        ] {
            assert!(target(wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_come_from_somewhere() {
        let said = |url: &str, variables: &[(&str, &str)]| {
            target(url, variables)
                .unwrap()
                .credentials
                .map(|(name, secret)| format!("{name}: {}", secret.expose()))
        };
        assert_eq!(said("http://127.0.0.2", &[]).unwrap(), "X-API-Key: changeme");
        assert_eq!(said("http://127.0.0.1", &[]).unwrap(), "Authorization: Basic bWU6bWluZQ==");
        assert_eq!(said("http://router", &[]), None);
        assert_eq!(
            said("http://admin:changeme@router", &[]).unwrap(),
            "Authorization: Basic YWRtaW46Y2hhbmdlbWU="
        );
        assert_eq!(said("http://router", &[("DNSTAPD_API_KEY", "k")]).unwrap(), "X-API-Key: k");
        assert_eq!(
            said("http://router", &[("DNSTAPD_PASSWORD", "changeme")]).unwrap(),
            "Authorization: Basic YWRtaW46Y2hhbmdlbWU="
        );
        assert!(!target("http://a:b@router", &[]).unwrap().shown.contains("b@"));
    }
}
