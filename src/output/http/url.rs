//! The address of a server: `https://host:port/path?query`, as far as a client needs it.
//!
//! The fault of one is kept until the rules of the section are asked for: an error of the parser would show
//! the whole text, and a path or a query may hold a token.

use crate::values::encoding::percent_encoded_but;
use crate::values::{Host, Invalid, Value, deserialize};

/// An address, or what is wrong with the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Url(pub(crate) Result<UrlParts, &'static str>);

/// The parts of an address.
#[derive(Clone, PartialEq)]
pub(crate) struct UrlParts {
    /// Whether it is `https`.
    pub(crate) is_tls: bool,
    /// The server.
    pub(crate) host: Host,
    /// Its port.
    pub(crate) port: u16,
    /// The header `Host`: the server, and the port unless it is the scheme's own.
    pub(crate) authority: String,
    /// Path and query, in percent encoding.
    pub(crate) target: String,
}

impl core::fmt::Debug for UrlParts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.origin())
    }
}

impl UrlParts {
    /// The address without path and query, which may hold secrets.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(NO_SCHEME)?;
        let is_tls = scheme.eq_ignore_ascii_case("https");
        if !is_tls && !scheme.eq_ignore_ascii_case("http") {
            return Err(NO_SCHEME);
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("it holds a user or a password; allowed: those in `user` and `password-file`");
        }
        if !authority.starts_with('[') && authority.matches(':').count() > 1 {
            return Err("an IPv6 address stands in brackets; allowed: such as `http://[::1]:80/`");
        }
        let port_at =
            authority.rfind(':').filter(|&at| !authority.get(at..).is_some_and(|p| p.contains(']')));
        let (host, port) = match port_at.and_then(|at| authority.split_at_checked(at)) {
            Some((host, port)) => (host, port.get(1..).and_then(|port| port.parse().ok()).ok_or(NO_PORT)?),
            None => (authority, if is_tls { 443 } else { 80 }),
        };
        if port == 0 {
            return Err(NO_PORT);
        }
        let bracketed = host.starts_with('[');
        let host = Host::from_text(host).map_err(|_| NO_HOST)?;
        let shown = if bracketed { format!("[{}]", host.without_zone()) } else { host.as_str().to_owned() };
        let authority = if port_at.is_some() { format!("{shown}:{port}") } else { shown };
        Ok(UrlParts { is_tls, host, port, authority, target: encoded(target) })
    }
}

impl Value for Url {
    fn allowed() -> String {
        "an address such as \"http://192.0.2.1:8123/\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(Url(UrlParts::parse(text)))
    }
}

deserialize!(Url);

const NO_SCHEME: &str = "not the address of a server; allowed: one that begins with `http://` or `https://`";
const NO_HOST: &str = "without a server; allowed: an IP address or a host name after `//`";
const NO_PORT: &str = "the port is none; allowed: 1 to 65535";

/// Path and query with a slash at the front, and whatever a request's line cannot hold in percent encoding,
/// so that `?query=INSERT INTO t FORMAT JSONEachRow` may be written as it is.
fn encoded(target: &str) -> String {
    let slash = if target.starts_with('/') { "" } else { "/" };
    let is_kept = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    format!("{slash}{}", percent_encoded_but(target, is_kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match UrlParts::parse(text) {
            Ok(UrlParts { is_tls, host, port, authority, target }) => {
                format!("{is_tls} {} {port} {authority} {target}", host.as_str())
            }
            Err(why) => why.split(';').next().unwrap().to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn addresses_of_servers() {
        check("http://a", "false a 80 a /");
        check("HTTPS://a.example:8443/x?y=z#w", "true a.example 8443 a.example:8443 /x?y=z");
        check("http://[::1]:9200/_bulk", "false ::1 9200 [::1]:9200 /_bulk");
        check("http://[::1]?q", "false ::1 80 [::1] /?q");
        check(
            "http://db:8123/?query=INSERT INTO t FORMAT JSONEachRow",
            "false db 8123 db:8123 /?query=INSERT%20INTO%20t%20FORMAT%20JSONEachRow",
        );
        check("http://a/%20+\n\"é", "false a 80 a /%20+%0A%22%C3%A9");
    }

    #[test]
    fn texts_that_are_no_address() {
        for text in ["", "a", "a:80", "ftp://a/", "//a"] {
            check(text, "not the address of a server");
        }
        for text in ["http://", "http:///x", "http://a b/", "http://10.0.0/"] {
            check(text, "without a server");
        }
        for text in ["http://a:/", "http://a:0/", "http://a:70000", "http://a:b"] {
            check(text, "the port is none");
        }
        check("http://::1/", "an IPv6 address stands in brackets");
        check("http://u:topsecret@a/", "it holds a user or a password");
    }

    #[test]
    fn nothing_of_path_and_query_is_shown() {
        let url = Url::from_text("https://a:1/token?password=topsecret").unwrap();
        assert_eq!(format!("{url:?}"), "Url(Ok(https://a:1))");
    }
}
