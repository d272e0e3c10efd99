//! What a request is answered with, and how that goes out.
//!
//! picoserve writes the head, we write the body after it. A short answer has its length in `Content-Length`. A
//! document goes out in pieces as it is made, chunked for HTTP/1.1; a client of HTTP/1.0, which knows no chunks,
//! reads to the end of the connection.

use core::fmt;

use core::fmt::Write as _;
use std::io;

use picoserve::ResponseSent;
use picoserve::io::Read;
use picoserve::response::{IntoResponse, ResponseWriter, StatusCode};

use super::body_chunk::{BodyChunk, ChunkedDocument};
use super::connection::HttpConnection;
use super::documents::counters::{self, CounterList};
use super::documents::metrics_text::{self, Exposition};
use super::documents::page::{self, Dashboard};
use super::documents::streams::StreamList;
use super::documents::tables::TableList;
use super::error::{HeaderField, HttpError};
use crate::limits::HTTP_LIST_BYTES;

/// An answer.
#[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
pub enum Response<'a, 'r> {
    /// A short text.
    ShortText(ShortText),
    /// A document of any length.
    Document(Document<'a, 'r>),
    /// The page for browsers.
    Page(Dashboard),
    /// Nothing to say: 204.
    NoContent,
}

/// A short text.
#[derive(Clone, Copy)]
pub enum ShortText {
    /// All is well.
    Ok,
    /// What is down: input or output, and its name.
    Down(&'static str, &'static str),
    /// What is wrong with the request, as JSON.
    Error(HttpError),
}

/// The documents.
#[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
pub enum Document<'a, 'r> {
    /// `/metrics`
    Metrics(Exposition<'a, 'r>),
    /// `/counters`
    Counters(CounterList<'a, 'r>),
    /// `/tables`
    Tables(TableList<'a>),
    /// `/streams`
    Streams(StreamList<'a>),
}

/// How the client wants it.
#[derive(Clone, Copy)]
pub struct BodyMode {
    /// The head of the answer only.
    pub head_only: bool,
    /// The client knows chunks.
    pub chunked: bool,
}

impl Response<'_, '_> {
    /// Sends the answer. When that fails the connection ends.
    ///
    /// # Errors
    ///
    /// Those of the socket while the head is written.
    pub async fn send<R: Read, W: ResponseWriter<Error = R::Error>>(
        self,
        mode: BodyMode,
        connection: &HttpConnection<'_>,
        body_connection: picoserve::response::Connection<'_, R>,
        writer: W,
    ) -> Result<ResponseSent, W::Error> {
        let sent = self.head(mode).write_to(body_connection, writer).await?;
        let last = matches!(self, Response::ShortText(text) if text.ends_connection());
        let body =
            if mode.head_only { connection.drain().await } else { self.send_body(mode, connection).await };
        if body.is_err() || last {
            connection.end();
        }
        Ok(sent)
    }

    /// Status and headers.
    fn head(&self, mode: BodyMode) -> impl IntoResponse + use<> {
        let (status, kind, length, beside, last) = match self {
            Response::ShortText(text) => {
                let (length, last) = (text.length(), text.ends_connection());
                (text.status(), Some(text.content_type()), Some(length), text.header(), last)
            }
            Response::Document(pieces) => (StatusCode::OK, Some(pieces.content_type()), None, None, false),
            Response::Page(page) => {
                (page.status(), page.content_type(), page.length(), page.encoding(), false)
            }
            Response::NoContent => (StatusCode::NO_CONTENT, None, None, None, false),
        };
        let chunked = mode.chunked && matches!(self, Response::Document(_));
        let text = |(name, value)| (name, HeaderValue::ShortText(value));
        let headers = [
            kind.map(|kind| text(("Content-Type", kind))),
            length.map(|length| ("Content-Length", HeaderValue::Number(length))),
            chunked.then_some(text(("Transfer-Encoding", "chunked"))),
            beside.map(text),
            last.then_some(text(("Connection", "close"))),
        ];
        (
            status,
            headers,
            matches!(self, Response::Page(_)).then_some(page::HEADERS),
            picoserve::response::NoContent,
        )
    }

    /// Sends what comes after the head.
    async fn send_body(self, mode: BodyMode, connection: &HttpConnection<'_>) -> io::Result<()> {
        match self {
            Response::ShortText(text) => {
                // Cannot fail: a text is short, and no head fills the buffer.
                let _ = connection.write_chunk(false, |chunk| write!(chunk, "{text}"));
            }
            Response::Document(mut pieces) => {
                while connection.write_chunk(mode.chunked, |chunk| pieces.fill(chunk)).is_err() {
                    if connection.is_drained() {
                        // No line is that long: see the adapter. If it were, this would go on for ever.
                        return Err(io::ErrorKind::OutOfMemory.into());
                    }
                    connection.drain().await?;
                }
                if mode.chunked {
                    connection.write_last_chunk().await?;
                }
            }
            Response::Page(mut page) => {
                while connection.write_chunk(false, |chunk| page.fill(chunk)).is_err() {
                    connection.drain().await?;
                }
            }
            Response::NoContent => {}
        }
        connection.drain().await
    }
}

/// HeaderValue of a header.
enum HeaderValue {
    ShortText(&'static str),
    Number(usize),
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderValue::ShortText(text) => f.write_str(text),
            HeaderValue::Number(number) => write!(f, "{number}"),
        }
    }
}

// ------------ ShortText ----------------------------------------------------------

impl ShortText {
    fn status(self) -> StatusCode {
        match self {
            ShortText::Ok => StatusCode::OK,
            ShortText::Down(..) => StatusCode::SERVICE_UNAVAILABLE,
            ShortText::Error(error) => error.status(),
        }
    }

    fn header(self) -> Option<HeaderField> {
        if let ShortText::Error(error) = self { error.header() } else { None }
    }

    fn content_type(self) -> &'static str {
        match self {
            ShortText::Ok | ShortText::Down(..) => "text/plain; charset=utf-8",
            ShortText::Error(_) => counters::CONTENT_TYPE,
        }
    }

    /// Bytes of the text.
    fn length(self) -> usize {
        let mut room = [0; TEXT_BYTES];
        let mut chunk = BodyChunk::new(&mut room);
        let _ = write!(chunk, "{self}");
        chunk.used()
    }

    fn ends_connection(self) -> bool {
        matches!(self, ShortText::Error(error) if error.ends_connection())
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShortText::Ok => f.write_str("ok"),
            ShortText::Down(family, name) => write!(f, "{family} {name} is down"),
            ShortText::Error(error) => write!(f, "{{\"error\": \"{error}\"}}"),
        }
    }
}

/// Bytes of the longest text.
const TEXT_BYTES: usize = HTTP_LIST_BYTES + 128;

// ------------ Document --------------------------------------------------------

impl Document<'_, '_> {
    fn content_type(&self) -> &'static str {
        match self {
            Document::Metrics(_) => metrics_text::CONTENT_TYPE,
            Document::Tables(_) | Document::Counters(_) | Document::Streams(_) => counters::CONTENT_TYPE,
        }
    }
}

impl ChunkedDocument for Document<'_, '_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        match self {
            Document::Metrics(document) => document.fill(chunk),
            Document::Counters(document) => document.fill(chunk),
            Document::Tables(document) => document.fill(chunk),
            Document::Streams(document) => document.fill(chunk),
        }
    }
}
