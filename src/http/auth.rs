//! Who may ask.
//!
//! Two credentials are known: the key in `X-API-Key`, and login and password in `Authorization: Basic` (RFC
//! 7617). A request must bring one, and every one it brings must be right. Without a key or a password
//! configured that method is off, and bringing it is wrong; with both off nothing is asked for, which the
//! configuration allows on loopback only.
//!
//! Comparing takes the same time wherever the first wrong byte is. Only the length of a secret can be learnt
//! from it.

use picoserve::request::Headers;
use subtle::ConstantTimeEq as _;

use super::Section;
use crate::values::encoding::base64;

/// The credentials a request must bring.
pub(crate) struct Credentials {
    /// Value of `X-API-Key`; empty = off.
    key: Box<[u8]>,
    /// Login, colon and password in base64; empty = off.
    basic: Box<[u8]>,
    /// Value of `X-API-Key` that opens `/metrics` alone; empty = off.
    scrape_key: Box<[u8]>,
}

/// The worth of the credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// All are right, or none is asked for.
    Yes,
    /// There is none, or the key is for another path.
    Missing,
    /// One is wrong.
    Wrong,
}

/// Asks for Basic authentication (RFC 7235, 4.1).
pub(crate) const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Basic realm=\"dnstapd\"");

impl Credentials {
    /// Those of the configuration.
    pub(crate) fn new(section: &Section) -> Self {
        let basic = match &section.password {
            password if password.is_off() => String::new(),
            password => base64(format!("{}:{}", section.login.as_str(), password.expose()).as_bytes()),
        };
        Credentials {
            key: section.api_key.expose().as_bytes().into(),
            basic: basic.into_bytes().into(),
            scrape_key: section.scrape_key.expose().as_bytes().into(),
        }
    }

    /// Whether a request with these headers may ask; `is_scrape` if it asks for `/metrics`.
    pub(super) fn admit(&self, headers: Headers<'_>, is_scrape: bool) -> Admitted {
        if self.key.is_empty() && self.basic.is_empty() {
            return Admitted::Yes;
        }
        let mut admitted = Admitted::Missing;
        for (name, value) in headers {
            let (is_right, is_scrape_key) = if name == "x-api-key" {
                (is_same(&self.key, value.as_raw()), is_same(&self.scrape_key, value.as_raw()))
            } else if name == "authorization" {
                (basic(value.as_raw()).is_some_and(|given| is_same(&self.basic, given)), false)
            } else {
                continue;
            };
            if !is_right && !is_scrape_key {
                return Admitted::Wrong;
            }
            if is_right || is_scrape {
                admitted = Admitted::Yes;
            }
        }
        admitted
    }
}

/// The text after `Basic`, in any case, and spaces.
fn basic(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(5)?;
    let given = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"basic") && given.len() < rest.len()).then_some(given)
}

/// Whether the secret was given; an empty secret cannot be.
fn is_same(secret: &[u8], given: &[u8]) -> bool {
    !secret.is_empty() & bool::from(secret.ct_eq(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        assert!(is_same(b"secret", b"secret"));
        for wrong in ["", "s", "secre", "secret1", "secretsecret", "Secret", "secreT"] {
            assert!(!is_same(b"secret", wrong.as_bytes()), "{wrong}");
        }
        assert!(!is_same(b"", b""));
        assert!(!is_same(b"", b"a"));
    }

    #[test]
    fn basic_is_read_in_any_case_and_nothing_else() {
        assert_eq!(basic(b"Basic QQ=="), Some(&b"QQ=="[..]));
        assert_eq!(basic(b"bAsIc   QQ=="), Some(&b"QQ=="[..]));
        assert_eq!(basic(b"Basic "), Some(&b""[..]));
        for other in ["", "Basic", "BasicQQ==", "Bearer QQ==", "\u{ff}\u{ff}", "Basi"] {
            assert_eq!(basic(other.as_bytes()), None, "{other}");
        }
    }
}
