//! The dashboard: one page for browsers at `/`, which asks the other paths for what it shows.
//!
//! ```text
//! index.html  what stands where          \
//! style.css   how it looks                >  build.rs: one document, in gzip
//! script.js   asks, and fills it in      /
//! ```
//!
//! The sources are plain HTML, CSS and JavaScript, written by hand; nothing else is needed to work on them.
//! `build.rs` puts style and script into the document and takes their hashes for the content security policy.
//! The page lies in the program's read-only data, so it costs no memory until somebody asks, and goes out in
//! pieces like every answer. It lies there in gzip alone: who does not take that gets it unpacked, from
//! memory that all such answers share and that is given back with the last of them.
//!
//! # What it promises
//!
//! * **It needs nobody else.** No font, script or picture comes from anywhere but here; the policy says so to
//!   the browser, too.
//! * **It asks for what it shows.** `/counters` every two seconds, the rest less often, nothing while the
//!   page is hidden, one request at a time. What it keeps is five minutes of numbers.
//! * **A name is text.** NameList, identities and countries come from strangers. The script writes them as
//!   text (`textContent`), never as markup; and no script but this one would run.
//! * **It says in words what is wrong**: no connection, a refused password, a restarted daemon, a stream that
//!   is gone.
//!
//! # Credentials
//!
//! The page is behind the same credentials as the rest. The browser asks for them once and sends them with
//! every request of the page, so the script never sees them. When they stop being right the script stops
//! asking, for each answer of 401 would make the browser ask its user again.
//!
//! # Working on it
//!
//! `tests/browser` opens it in Chromium and leaves screenshots in `target/browser`. The page must stay below
//! [`PAGE_MAX`] bytes.

mod inflate;

use core::cell::RefCell;
use std::rc::{Rc, Weak};

use picoserve::request::Headers;

use crate::http::response::{HeaderField, Response};

/// The forms of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Gzip,
    /// The client has it already.
    Unchanged,
}

/// Headers of the page in every form. It may be kept, but the daemon is asked whether it is still the same.
#[rustfmt::skip]
const HEADERS: &[HeaderField] = &[
    ("ETag", TAG),
    ("Vary", "Accept-Encoding"),
    ("Cache-Control", "private, no-cache"),
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

// POLICY, the content security policy; TAG, which names this version of the page; LENGTH, its bytes before
// gzip.
include!(concat!(env!("OUT_DIR"), "/page.rs"));

const GZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));

/// The page in place of the dashboard for who gives up on the browser's question for a password.
pub(in crate::http) const SIGN_IN: &[u8] = b"<!doctype html><html lang=en><meta charset=utf-8>\
    <meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>\
    <title>dnstapd: sign in</title><h1>dnstapd</h1>\
    <p>Login and password are those of <code>web-api.login</code> and <code>web-api.password</code> in the daemon's \
    configuration; <code>dnstapd password</code> shows or changes a password that is kept in a file.</p>\
    <p><a href=''>Try again</a></p></html>\n";

/// Bytes of the page at most, before gzip and after it.
const PAGE_MAX: usize = 64 << 10;
const GZIP_MAX: usize = 22 << 10;
const _: () = assert!(LENGTH <= PAGE_MAX && GZIP.len() <= GZIP_MAX);

/// The page, in the form that suits a request with these headers.
pub(in crate::http) fn respond<'a, 'r>(headers: Headers<'_>) -> Response<'a, 'r> {
    let form = wanted(headers);
    let response = Response::page("text/html; charset=utf-8", HEADERS);
    match form {
        Form::Gzip => response.with_bytes(GZIP).with_header(("Content-Encoding", "gzip")),
        Form::Plain => response.with_unpacked(unpacked()),
        Form::Unchanged => response,
    }
}

/// The page before gzip.
fn unpacked() -> Rc<Vec<u8>> {
    thread_local! {
        static SHARED: RefCell<Weak<Vec<u8>>> = const { RefCell::new(Weak::new()) };
    }
    SHARED.with_borrow_mut(|shared| {
        shared.upgrade().unwrap_or_else(|| {
            let page = Rc::new(inflate::gunzip(GZIP, LENGTH).unwrap_or_default());
            *shared = Rc::downgrade(&page);
            page
        })
    })
}

/// Whether pages are shown where the answer goes.
pub(in crate::http) fn is_browser(headers: Headers<'_>) -> bool {
    let mut accepted = headers.into_iter().filter(|(name, _)| *name == "accept");
    accepted.any(|(_, value)| value.as_str().is_ok_and(|value| value.contains("text/html")))
}

fn wanted(headers: Headers<'_>) -> Form {
    let mut form = Form::Plain;
    for (name, value) in headers {
        let Ok(value) = value.as_str() else { continue };
        if name == "if-none-match" && knows_version(value) {
            form = Form::Unchanged;
        }
        if name == "accept-encoding" && takes_gzip(value) && form == Form::Plain {
            form = Form::Gzip;
        }
    }
    form
}

/// Whether `If-None-Match` names this version (RFC 9110, 13.1.2).
fn knows_version(value: &str) -> bool {
    let tags = value.split(',').map(str::trim);
    tags.into_iter().any(|tag| tag == "*" || tag.trim_start_matches("W/") == TAG.trim_start_matches("W/"))
}

/// Whether `Accept-Encoding` has gzip, and not with a quality of 0 (RFC 9110, 12.5.3).
fn takes_gzip(value: &str) -> bool {
    value.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
        let never = !quality.is_empty() && quality.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        name.trim().eq_ignore_ascii_case("gzip") && !never
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html"));

    #[test]
    fn answers_share_the_unpacked_page() {
        let (one, two) = (unpacked(), unpacked());
        assert_eq!(**one, *PLAIN);
        assert!(Rc::ptr_eq(&one, &two));
        drop((one, two));
        assert_eq!(unpacked().len(), LENGTH);
    }

    #[test]
    fn gzip_is_sent_to_whom_takes_it() {
        for value in ["gzip", "gzip, deflate, br", "br;q=1.0,GZIP ; q=0.8", "identity, gzip;q=0.001"] {
            assert!(takes_gzip(value), "{value}");
        }
        for value in ["", "br", "*", "gzip;q=0", "gzip; q=0.000", "xgzip", "identity"] {
            assert!(!takes_gzip(value), "{value}");
        }
    }

    #[test]
    fn this_version_is_known_in_any_list() {
        for value in [TAG.to_owned(), format!("\"a\",{}", &TAG[2..]), "*".to_owned()] {
            assert!(knows_version(&value), "{value}");
        }
        for value in ["", "\"\"", "W/\"0123456789abcdef\""] {
            assert!(!knows_version(value), "{value}");
        }
    }

    #[test]
    fn the_page_asks_nobody_else() {
        let page = core::str::from_utf8(PLAIN).unwrap();
        let foreign = |text: &str| page.matches(text).count();
        // The namespace of pictures is a name, no address.
        assert_eq!(foreign("http://"), foreign("http://www.w3.org/2000/svg"));
        assert_eq!(foreign("https://") + foreign("src=") + foreign("@import") + foreign("innerHTML"), 0);
        assert!(!page.contains("<style></style>") && !page.contains("<script></script>"));
    }
}
