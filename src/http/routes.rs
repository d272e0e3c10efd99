//! From a request to its answer: who may ask, what for, and how.
//!
//! Nothing here waits. Authentication comes before routing, so that without credentials nobody learns which
//! paths there are; `/health` and `/ready` are for probes, which have none.

use core::cell::RefCell;

use picoserve::ResponseSent;
use picoserve::io::Read;
use picoserve::request::{Headers, Path, Request, RequestParts};
use picoserve::response::ResponseWriter;
use picoserve::routing::PathRouterService;

use super::App;
use super::connection::HttpConnection;
use super::content_length::EXCESS;
use super::documents::counters::CounterList;
use super::documents::metrics_text::{Exposition, Snapshot};
use super::documents::page;
use super::documents::streams::StreamList;
use super::documents::tables::TableList;
use super::error::HttpError;
use super::query::{BadParameter, Parameters, PercentEncoded};
use super::response::{BodyMode, Document, Response, ShortText};
use crate::limits::{HTTP_BODY_BYTES, HTTP_COUNTER_BYTES, IDENTITY_BYTES};
use crate::statistics::StreamScope;
use crate::wire::text::TEXT_PER_OCTET;

/// A path and what may be done with it.
struct Route {
    path: &'static str,
    methods: Methods,
    /// Answered without credentials.
    open: bool,
    page: Page,
}

/// The methods of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Methods {
    Read,
    Delete,
}

/// What stands at a path.
#[derive(Clone, Copy)]
enum Page {
    Dashboard,
    Metrics,
    Counters,
    Tables,
    Streams,
    Reset,
    Health,
    Ready,
}

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route { path: "/", methods: Methods::Read, open: false, page: Page::Dashboard },
    Route { path: "/metrics", methods: Methods::Read, open: false, page: Page::Metrics },
    Route { path: "/counters", methods: Methods::Read, open: false, page: Page::Counters },
    Route { path: "/tables", methods: Methods::Read, open: false, page: Page::Tables },
    Route { path: "/streams", methods: Methods::Read, open: false, page: Page::Streams },
    Route { path: "/reset", methods: Methods::Delete, open: false, page: Page::Reset },
    Route { path: "/health", methods: Methods::Read, open: true, page: Page::Health },
    Route { path: "/ready", methods: Methods::Read, open: true, page: Page::Ready },
];

impl Methods {
    fn contain(self, method: &str) -> bool {
        match self {
            Methods::Read => matches!(method, "GET" | "HEAD"),
            Methods::Delete => method == "DELETE",
        }
    }

    /// Value of `Allow`.
    fn list(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD",
            Methods::Delete => "DELETE",
        }
    }
}

/// The API on one connection.
pub struct Service<'a> {
    /// What the answers are made from.
    pub app: App<'a>,
    /// Where they go.
    pub connection: &'a HttpConnection<'a>,
    /// Room for the values of a scrape that must be of one instant.
    pub snapshot: &'a RefCell<Snapshot>,
}

impl PathRouterService for Service<'_> {
    async fn call_path_router_service<R: Read, W: ResponseWriter<Error = R::Error>>(
        &self,
        &(): &(),
        (): (),
        _: Path<'_>,
        request: Request<'_, R>,
        writer: W,
    ) -> Result<ResponseSent, W::Error> {
        let parts = request.parts;
        let mode =
            BodyMode { head_only: parts.method() == "HEAD", chunked: parts.http_version() == "HTTP/1.1" };
        let answer = self.answer(parts).unwrap_or_else(|error| {
            if error.ends_connection() {
                self.connection.close_reading();
            }
            Response::ShortText(ShortText::Error(error))
        });
        let connection = request.body_connection.finalize().await?;
        answer.send(mode, self.connection, connection, writer).await
    }
}

/// Refuses a body that cannot be read past: of unknown length or too long.
fn check_body(headers: Headers<'_>) -> Result<(), HttpError> {
    let mut length = None;
    for (name, value) in headers {
        if name == "transfer-encoding" {
            return Err(HttpError::TransferEncoding);
        }
        if name != "content-length" {
            continue;
        }
        let given = content_length(value.as_raw())?;
        if length.is_some_and(|length| length != given) {
            return Err(HttpError::ContentLength);
        }
        if given > HTTP_BODY_BYTES {
            return Err(HttpError::LongBody);
        }
        length = Some(given);
    }
    Ok(())
}

/// A content length as one number.
fn content_length(value: &[u8]) -> Result<usize, HttpError> {
    let text = core::str::from_utf8(value).map_err(|_| HttpError::ContentLength)?;
    if text.ends_with(EXCESS) {
        return Err(HttpError::LongBody);
    }
    // `parse` would take a sign, too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(HttpError::ContentLength)
}

impl<'a> Service<'a> {
    fn answer<'r>(&self, parts: RequestParts<'r>) -> Result<Response<'a, 'r>, HttpError> {
        if self.connection.has_ended() {
            // What looks like another request is the body that was refused. Nothing of this will be sent.
            return Ok(Response::NoContent);
        }
        check_body(parts.headers())?;
        let path = path_of(parts.path().encoded());
        let route = ROUTES.iter().find(|route| route.path == path);
        let open = route.is_some_and(|route| route.open);
        if !open && !self.app.settings.credentials.admit(parts.headers()) {
            return Err(HttpError::Credentials);
        }
        let route = route.ok_or(HttpError::Path)?;
        if !route.methods.contain(parts.method()) {
            return Err(HttpError::Method(route.methods.list()));
        }
        let query = Parameters(parts.query().map_or("", |query| query.0));
        self.page(route.page, query, parts.headers())
    }

    fn page<'r>(
        &self,
        page: Page,
        query: Parameters<'r>,
        headers: Headers<'_>,
    ) -> Result<Response<'a, 'r>, HttpError> {
        let app = self.app;
        Ok(match page {
            Page::Dashboard => Response::Page(page::Dashboard::wanted(headers)),
            Page::Metrics => {
                let only = query.find("only").unwrap_or_default();
                only.check_names::<HTTP_COUNTER_BYTES>().map_err(|_| HttpError::Only)?;
                Response::Document(Document::Metrics(Exposition::new(app, only, self.snapshot)))
            }
            Page::Counters => {
                let (scope, more) = (self.scope(query)?, query.find("more").unwrap_or_default());
                more.check_names::<HTTP_COUNTER_BYTES>().map_err(HttpError::More)?;
                Response::Document(Document::Counters(CounterList::new(app, scope, more)))
            }
            Page::Tables => {
                let (scope, more) = (self.scope(query)?, query.find("more").unwrap_or_default());
                let detail = switch(query.find("detail")).ok_or(HttpError::Detail)?;
                let rows = self.rows(query)?;
                Response::Document(Document::Tables(TableList::new(app, scope, rows, detail, more)?))
            }
            Page::Streams => Response::Document(Document::Streams(StreamList::new(app))),
            Page::Reset => {
                app.statistics.borrow_mut().reset();
                Response::NoContent
            }
            Page::Health => Response::ShortText(ShortText::Ok),
            Page::Ready => Response::ShortText(
                app.down().map_or(ShortText::Ok, |(family, name)| ShortText::Down(family, name)),
            ),
        })
    }

    /// Rows of a table: what the parameter `n` asks for.
    fn rows(&self, query: Parameters<'_>) -> Result<usize, HttpError> {
        let Some(rows) = query.find("n") else { return Ok(self.app.settings.max_items) };
        let text = rows.decode::<16>().map_err(|_| HttpError::Rows)?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).ok_or(HttpError::Rows)
    }

    /// What the parameter `stream` asks for. A name longer than any is an unknown one.
    fn scope(&self, query: Parameters<'_>) -> Result<StreamScope, HttpError> {
        let Some(stream) = query.find("stream") else { return Ok(StreamScope::Global) };
        match stream.decode::<{ IDENTITY_BYTES * TEXT_PER_OCTET }>() {
            Ok(name) => {
                self.app.statistics.borrow().find(&name).map(StreamScope::Stream).ok_or(HttpError::Stream)
            }
            Err(BadParameter::Encoding) => Err(HttpError::StreamEncoding),
            Err(BadParameter::TooLong | BadParameter::TooMany) => Err(HttpError::Stream),
        }
    }
}

/// A parameter that is 0 or 1; absent is 0.
fn switch(given: Option<PercentEncoded<'_>>) -> Option<bool> {
    let Some(given) = given else { return Some(false) };
    match given.decode::<1>().ok()?.as_str() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// The path of a request's target, which may have host and port before it (RFC 9112, 3.2.2).
fn path_of(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else { return target };
    rest.split_once('/').map_or("/", |(authority, _)| rest.get(authority.len()..).unwrap_or("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_path_and_its_methods() {
        let readme = include_str!("../../docs/api.md");
        for route in ROUTES {
            let path = format!("`{}`", route.path);
            let row = |line: &&str| {
                line.starts_with(&format!("| {} |", route.methods.list())) && line.contains(&path)
            };
            assert_eq!(readme.lines().filter(row).count(), 1, "{}", route.path);
        }
    }

    /// Answers are held against it by tests/blackbox/test_descriptions.py.
    #[test]
    fn the_description_of_the_api_has_every_path_and_its_methods() {
        let text = include_str!("../../configs/openapi.json");
        let (_, paths) = text.split_once("\n  \"paths\": {\n").unwrap();
        let (paths, _) = paths.split_once("\n  },\n").unwrap();
        let members = |indent: &str| -> Vec<&str> {
            let names = paths.lines().filter_map(|line| line.strip_prefix(indent)?.strip_prefix('"'));
            names.map(|name| name.split_once('"').unwrap().0).collect()
        };
        assert_eq!(members("    "), ROUTES.iter().map(|route| route.path).collect::<Vec<_>>());
        let methods = ROUTES.iter().flat_map(|route| route.methods.list().split(", ").map(str::to_lowercase));
        assert_eq!(members("      "), methods.collect::<Vec<_>>());
        assert!(text.contains(concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"")));
    }

    #[test]
    fn the_path_may_follow_a_host() {
        let check = |target, expected| assert_eq!(path_of(target), expected);
        check("/metrics", "/metrics");
        check("http://router:8080/metrics", "/metrics");
        check("http://router", "/");
        check("//router/metrics", "//router/metrics");
        check("*", "*");
    }
}
