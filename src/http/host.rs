//! The header `Host`: whether a request was meant for this daemon.
//!
//! A page of a stranger's name server may resolve its own name to our address, loopback included, and then
//! ask with the browser's credentials ("DNS rebinding"). Such a request bears the stranger's name in `Host`.
//! So that name must be one that no stranger can have: an address, a name without a dot, one below a domain
//! that is never delegated, the machine's own, or one of `web-api.hosts`.

use std::net::IpAddr;

use picoserve::request::Headers;

use super::error::HttpError;
use crate::values::Text;

/// Domains that are never delegated in the public tree.
const PRIVATE: [&str; 5] = ["lan", "local", "internal", "home.arpa", "localdomain"];

/// Names that the daemon answers to.
pub(super) struct HostNames {
    /// The machine's own; empty if it has none.
    own: String,
    /// Those of the configuration.
    configured: Vec<Text>,
}

impl HostNames {
    /// Those of the configuration, and the machine's own.
    pub(super) fn new(configured: &[Text]) -> Self {
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        HostNames { own: own.trim().to_owned(), configured: configured.to_vec() }
    }

    /// Checks the header of a request.
    ///
    /// # Errors
    ///
    /// There is none (HTTP/1.0 may lack it), there are two, or it names somebody else.
    pub(super) fn check(&self, headers: Headers<'_>, is_old: bool) -> Result<(), HttpError> {
        let mut hosts =
            headers.into_iter().filter(|(name, _)| *name == "host").map(|(_, value)| value.as_raw());
        let Some(host) = hosts.next() else { return if is_old { Ok(()) } else { Err(HttpError::NoHost) } };
        if hosts.next().is_some() {
            return Err(HttpError::NoHost);
        }
        let host = core::str::from_utf8(host).unwrap_or_default();
        if self.contain(name_of(host)) { Ok(()) } else { Err(HttpError::ForeignHost) }
    }

    fn contain(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        let is_below = |domain: &str| {
            let (host, end) =
                name.split_at_checked(name.len().saturating_sub(domain.len())).unwrap_or_default();
            let host = host.strip_suffix('.').unwrap_or_default();
            end.eq_ignore_ascii_case(domain) && !host.is_empty() && !host.starts_with('.')
        };
        let is = |known: &str| {
            !known.is_empty() && name.eq_ignore_ascii_case(known.strip_suffix('.').unwrap_or(known))
        };
        host.parse::<IpAddr>().is_ok()
            || (!name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
            || PRIVATE.iter().any(|domain| is_below(domain))
            || is(&self.own)
            || self.configured.iter().any(|known| is(known.as_str()))
    }
}

/// The name or address in `name:port`, `[address]:port`; empty if it is neither.
fn name_of(host: &str) -> &str {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        return if rest.is_empty() || is_port(rest) { address } else { "" };
    }
    match host.split_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) => "",
        None => host,
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_stranger_can_have_are_ours() {
        let names =
            HostNames { own: "gw.example.org".to_owned(), configured: vec![Text::new("dns.example.net")] };
        for host in [
            "127.0.0.1",
            "192.0.2.1:8080",
            "[::1]",
            "[2001:db8::1]:80",
            "localhost",
            "LOCALHOST:8080",
            "router",
            "router.",
            "router.lan",
            "a.b.home.arpa:8080",
            "nas.local.",
            "x.Internal",
            "gw.localdomain",
            "gw.example.org",
            "GW.example.org.:80",
            "dns.example.net",
        ] {
            assert!(names.contain(name_of(host)), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "lan.",
            ".lan",
            "evil.lan.example",
            "notlan.xlan.com",
            "a.xlan",
            "127.0.0.1.evil.com",
            "[::1",
            "[::1]x",
            "router:80:80",
            "router:x",
            "b.dns.example.net",
            "example.org",
            "a b",
            "home.arpa.evil.com",
        ] {
            // A single label is a name without a dot.
            let expected = host == "lan.";
            assert_eq!(names.contain(name_of(host)), expected, "{host}");
        }
    }
}
