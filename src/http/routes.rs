//! From a request to its answer: who may ask, what for, and how.
//!
//! An endpoint is a row of [`ROUTES`]: path, methods, parameters, and the function that answers. Nothing here
//! waits. Authentication comes before routing, so that without credentials nobody learns which paths there
//! are; `/health` and `/ready` are for probes, which have none.

use core::cell::{Cell, RefCell};

use picoserve::ResponseSent;
use picoserve::io::Read;
use picoserve::request::{Headers, Path, Request, RequestParts};
use picoserve::response::{ResponseWriter, StatusCode};
use picoserve::routing::PathRouterService;
use smol::future::{or, yield_now};

use std::time::{Duration, Instant};

use super::App;
use super::auth::Admitted;
use super::connection::HttpConnection;
use super::documents::counters::CounterList;
use super::documents::devices::DeviceList;
use super::documents::health::{AlarmList, UpstreamList};
use super::documents::log::{LogForm, LogPage};
use super::documents::metrics_text::{Exposition, Snapshot};
use super::documents::page;
use super::documents::pairs::{PairCounts, PairList};
use super::documents::series::SeriesArrays;
use super::documents::streams::StreamList;
use super::documents::tables::TableList;
use super::error::HttpError;
use super::guesses::Guesses;
use super::live::{self, LiveDesk};
use super::query::{BadParameter, Parameters, PercentEncoded};
use super::response::{BodyMode, JSON, Response, Words};
use crate::history::{self, series::SeriesPeriod};
use crate::limits::{HTTP_BODY_BYTES, HTTP_COUNTER_BYTES, HTTP_SLOW_SECONDS, IDENTITY_BYTES};
use crate::reactor::Timer;
use crate::statistics::StreamScope;
use crate::wire::text::TEXT_PER_BYTE;

/// An endpoint: a path, and the function that answers there.
struct Route {
    path: &'static str,
    methods: Methods,
    access: Access,
    /// Names of the parameters. Others are passed over, or refused.
    parameters: &'static [&'static str],
    others: Others,
    handler: Handler,
}

/// A function that answers. It does not wait, and borrows the state of the daemon for as long as it runs.
type Handler = for<'a, 'r> fn(&ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError>;

/// A request that may be answered.
pub(crate) struct ApiRequest<'a, 'r> {
    /// The state that the answer is made from.
    pub(crate) app: App<'a>,
    pub(crate) parameters: Parameters<'r>,
    headers: Headers<'r>,
    /// Places of live readers, and the worker that answers.
    live: (&'a LiveDesk, usize),
    head_only: bool,
    /// Room for what `/pairs` counts.
    pairs: &'a RefCell<PairCounts>,
    /// Room for the values of a scrape that must be of one instant.
    snapshot: &'a RefCell<Snapshot>,
}

/// The methods of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Methods {
    Read,
    Delete,
}

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Whoever brings a credential.
    Credentials,
    /// Everybody.
    Open,
}

/// Parameters that a route does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    PassedOver,
    Refused,
}

use Access::{Credentials, Open};
use Methods::{Delete, Read as Get};
use Others::{PassedOver, Refused};

/// All endpoints.
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route { path: "/", methods: Get, access: Credentials, parameters: &[], others: PassedOver, handler: |request| Ok(page::respond(request.headers)) },
    Route { path: "/metrics", methods: Get, access: Credentials, parameters: &["only"], others: PassedOver, handler: metrics },
    Route { path: "/counters", methods: Get, access: Credentials, parameters: &["stream", "more"], others: PassedOver, handler: counters },
    Route { path: "/tables", methods: Get, access: Credentials, parameters: &["stream", "n", "more", "detail"], others: PassedOver, handler: tables },
    Route { path: "/streams", methods: Get, access: Credentials, parameters: &[], others: PassedOver, handler: |request| Ok(Response::document(StreamList::new(request.app))) },
    Route { path: "/config", methods: Get, access: Credentials, parameters: &[], others: Refused, handler: |request| Ok(Response::ready(request.app.config.text())) },
    Route { path: "/upstreams", methods: Get, access: Credentials, parameters: &[], others: Refused, handler: |request| Ok(Response::document(UpstreamList::new(request.app))) },
    Route { path: "/alarms", methods: Get, access: Credentials, parameters: &[], others: Refused, handler: |request| Ok(Response::document(AlarmList::new(request.app))) },
    Route { path: "/log", methods: Get, access: Credentials, parameters: LOG_PARAMETERS, others: Refused, handler: log },
    Route { path: "/live", methods: Get, access: Credentials, parameters: FILTER_PARAMETERS, others: Refused, handler: follow },
    Route { path: "/series", methods: Get, access: Credentials, parameters: &["period"], others: Refused, handler: series },
    Route { path: "/devices", methods: Get, access: Credentials, parameters: &["limit"], others: Refused, handler: devices },
    Route { path: "/pairs", methods: Get, access: Credentials, parameters: &["client", "name", "n", "first-since"], others: Refused, handler: pairs },
    Route { path: "/history", methods: Delete, access: Credentials, parameters: &[], others: Refused, handler: forget },
    Route { path: "/reset", methods: Delete, access: Credentials, parameters: &[], others: PassedOver, handler: reset },
    Route { path: "/health", methods: Get, access: Open, parameters: &[], others: PassedOver, handler: |_| Ok(Response::words(StatusCode::OK, OK)) },
    Route { path: "/ready", methods: Get, access: Open, parameters: &[], others: PassedOver, handler: ready },
];

/// All is well.
const OK: Words = Words("ok", "", "");

// ------------ Handlers ------------------------------------------------------

fn metrics<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    let only = request.parameters.find("only").unwrap_or_default();
    only.check_names::<HTTP_COUNTER_BYTES>().map_err(|_| HttpError::Only)?;
    Ok(Response::document(Exposition::new(request.app, only, request.snapshot)))
}

fn counters<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    let (scope, more) = (request.scope()?, request.parameters.find("more").unwrap_or_default());
    more.check_names::<HTTP_COUNTER_BYTES>().map_err(HttpError::More)?;
    Ok(Response::document(CounterList::new(request.app, scope, more)))
}

fn tables<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    let (scope, more) = (request.scope()?, request.parameters.find("more").unwrap_or_default());
    let detail = switch(request.parameters.find("detail")).ok_or(HttpError::Detail)?;
    Ok(Response::document(TableList::new(request.app, scope, request.rows()?, detail, more)?))
}

/// Parameters of `/log`: those of its filter, and of the page.
const LOG_PARAMETERS: &[&str] = &[
    "client",
    "name",
    "type",
    "rcode",
    "message",
    "stream",
    "status",
    "protocol",
    "min-latency",
    "since",
    "until",
    "limit",
    "before",
    "format",
];

/// Those of the filter alone.
pub(crate) const FILTER_PARAMETERS: &[&str] = LOG_PARAMETERS.split_at(11).0;

fn log<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    if !history::BUILT {
        return Err(HttpError::History);
    }
    let is_kept = request.app.history().is_some_and(|history| history.borrow().log().is_some());
    let page = LogPage::new(request.app, request.parameters)?;
    if !is_kept {
        return Err(HttpError::History);
    }
    let content_type = match page.form() {
        LogForm::Json => JSON,
        LogForm::Ndjson => "application/x-ndjson; charset=utf-8",
        LogForm::Csv => "text/csv; charset=utf-8",
    };
    Ok(Response::document(page).of_type(content_type))
}

fn follow<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    if !history::BUILT {
        return Err(HttpError::History);
    }
    live::check(request.parameters)?;
    let (desk, worker) = request.live;
    let cursor = request.headers.get("last-event-id").and_then(|cursor| cursor.as_str().ok());
    if request.head_only {
        request.app.history().ok_or(HttpError::History)?;
    } else {
        desk.keep(worker, request.app, request.parameters.0, cursor)?;
    }
    Ok(Response::live())
}

fn pairs<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    if !history::BUILT {
        return Err(HttpError::History);
    }
    let list = PairList::new(request.app, request.parameters, request.pairs)?;
    let is_kept = request.app.history().is_some_and(|history| history.borrow().log().is_some());
    if is_kept { Ok(Response::document(list)) } else { Err(HttpError::History) }
}

fn series<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    let period = request.parameters.find("period").unwrap_or_default();
    let period = period.decode::<8>().ok().and_then(|name| SeriesPeriod::parse(&name));
    let period = match request.parameters.find("period") {
        None => SeriesPeriod::Hour,
        Some(_) => period.ok_or(HttpError::Filter("period"))?,
    };
    request.app.history().ok_or(HttpError::History)?;
    Ok(Response::document(SeriesArrays::new(request.app, period)))
}

fn devices<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    let limit = match request.parameters.find("limit").map(|limit| limit.decode::<8>()) {
        None => 100,
        Some(text) => {
            let limit =
                text.ok().and_then(|text| text.parse().ok()).filter(|limit| (1..=1_000).contains(limit));
            limit.ok_or(HttpError::Filter("limit"))?
        }
    };
    request.app.history().ok_or(HttpError::History)?;
    Ok(Response::document(DeviceList::new(request.app, limit)))
}

fn forget<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    request.app.history().ok_or(HttpError::History)?.borrow_mut().clear();
    if let Some(saver) = request.app.saver {
        saver.erase();
    }
    Ok(Response::no_content())
}

fn reset<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    request.app.collector.reset();
    Ok(Response::no_content())
}

fn ready<'a, 'r>(request: &ApiRequest<'a, 'r>) -> Result<Response<'a, 'r>, HttpError> {
    Ok(match request.app.down() {
        None => Response::words(StatusCode::OK, request.app.degraded().unwrap_or(OK)),
        Some(words) => Response::words(StatusCode::SERVICE_UNAVAILABLE, words),
    })
}

impl ApiRequest<'_, '_> {
    /// Rows of a table: the parameter `n`.
    fn rows(&self) -> Result<usize, HttpError> {
        let Some(rows) = self.parameters.find("n") else { return Ok(self.app.settings.max_items) };
        let text = rows.decode::<16>().map_err(|_| HttpError::Rows)?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).ok_or(HttpError::Rows)
    }

    /// The stream that the parameter of that name asks for. A name longer than any is an unknown one.
    fn scope(&self) -> Result<StreamScope, HttpError> {
        let Some(stream) = self.parameters.find("stream") else { return Ok(StreamScope::Global) };
        match stream.decode::<{ IDENTITY_BYTES * TEXT_PER_BYTE }>() {
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

// ------------ Service -------------------------------------------------------

/// The API on one connection.
pub(super) struct Service<'a> {
    pub(super) app: App<'a>,
    pub(super) connection: &'a HttpConnection<'a>,
    pub(super) guesses: &'a Guesses,
    /// Places of live readers, and the worker.
    pub(super) live: (&'a LiveDesk, usize),
    pub(super) snapshot: &'a RefCell<Snapshot>,
    pub(super) pairs: &'a RefCell<PairCounts>,
    /// Room for one chunk of a document; taken while an answer is sent.
    pub(super) room: Cell<&'a mut [u8]>,
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
        self.connection.begin_answer();
        let mode =
            BodyMode { head_only: parts.method() == "HEAD", chunked: parts.http_version() == "HTTP/1.1" };
        let mut response = self.answer(parts).unwrap_or_else(|error| {
            if error.ends_connection() {
                self.connection.close_reading();
            }
            let response = Response::from(error);
            let is_page = path_of(parts.path().encoded()) == "/" && page::is_browser(parts.headers());
            match error {
                HttpError::Credentials | HttpError::Guessing if is_page => response.with_page(page::SIGN_IN),
                _ => response,
            }
        });
        let forgets = parts.method() == "DELETE" && path_of(parts.path().encoded()) == "/history";
        if let Some(saver) = self.app.saver.filter(|_| forgets) {
            // After the answer to a request to forget nothing is left on the disk, unless that stalls.
            or(saver.erased(), async {
                Timer::after(Duration::from_secs(HTTP_SLOW_SECONDS)).await;
            })
            .await;
        }
        while response.prepare() {
            yield_now().await;
        }
        let request = request.body_connection.finalize().await?;
        let room = self.room.take();
        let sent = response.send(mode, self.connection, room, request, writer).await;
        self.room.set(room);
        self.connection.end_answer();
        sent
    }
}

impl<'a> Service<'a> {
    fn answer<'r>(&self, parts: RequestParts<'r>) -> Result<Response<'a, 'r>, HttpError> {
        if self.connection.has_ended() {
            // The body of a refused request looks like another request. Nothing of this will be sent.
            return Ok(Response::no_content());
        }
        if !matches!(parts.http_version(), "HTTP/1.1" | "HTTP/1.0") {
            return Err(HttpError::Version);
        }
        check_body(parts.headers())?;
        let path = path_of(parts.path().encoded());
        let route = ROUTES.iter().find(|route| route.path == path);
        if route.is_none_or(|route| route.access != Open) {
            self.app.settings.hosts.check(parts.headers(), parts.http_version() == "HTTP/1.0")?;
            self.authenticate(parts.headers(), path)?;
        }
        let route = route.ok_or(HttpError::Path)?;
        if !route.methods.contain(parts.method()) {
            return Err(HttpError::Method(route.methods.list()));
        }
        let parameters = Parameters(parts.query().map_or("", |query| query.0));
        if route.others == Refused && !parameters.are_among(route.parameters) {
            return Err(HttpError::Parameter);
        }
        if route.others == Refused
            && let Some(name) = parameters.repeated(route.parameters)
        {
            return Err(HttpError::Repeated(name));
        }
        let request = ApiRequest {
            app: self.app,
            parameters,
            headers: parts.headers(),
            live: self.live,
            head_only: parts.method() == "HEAD",
            pairs: self.pairs,
            snapshot: self.snapshot,
        };
        (route.handler)(&request)
    }
}

impl Service<'_> {
    /// Asks for credentials, and counts wrong ones.
    fn authenticate(&self, headers: Headers<'_>, path: &str) -> Result<(), HttpError> {
        match self.app.settings.credentials.admit(headers, path == "/metrics") {
            Admitted::Yes => {
                self.connection.trust();
                Ok(())
            }
            Admitted::Missing => Err(HttpError::Credentials),
            Admitted::Wrong => {
                let address = self.connection.peer();
                let is_guessing = address.is_some_and(|address| self.guesses.count(address, Instant::now()));
                Err(if is_guessing { HttpError::Guessing } else { HttpError::Credentials })
            }
        }
    }
}

/// Refuses a body that cannot be read past: of unknown length or too long.
///
/// picoserve adds an absurd length to its position in the head without a check; Cargo.toml turns the check of
/// the compiler off there, so the sum wraps around. It is of no use afterwards: the connection ends with this
/// refusal, and nothing more is read from it.
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

/// A content length as one number; one that does not fit is longer than any body.
fn content_length(value: &[u8]) -> Result<usize, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::ContentLength);
    }
    let digit = |byte: &u8| usize::from(byte.saturating_sub(b'0'));
    Ok(value.iter().fold(0, |length: usize, byte| length.saturating_mul(10).saturating_add(digit(byte))))
}

impl Methods {
    fn contain(self, method: &str) -> bool {
        match self {
            Methods::Read => matches!(method, "GET" | "HEAD"),
            Delete => method == "DELETE",
        }
    }

    /// Value of `Allow`.
    fn list(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD",
            Delete => "DELETE",
        }
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
