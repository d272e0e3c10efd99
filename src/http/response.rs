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
use picoserve::response::{Connection, IntoResponse, NoContent, ResponseWriter, StatusCode};

use super::body_chunk::{Document, Piece};
use super::connection::Link;
use super::documents::listing::{self, CounterList, StreamList};
use super::documents::metrics_text::{self, Exposition};
use super::documents::page::{self, Dashboard};
use super::documents::tables::TableList;
use super::refusal::{Header, Refusal};
use crate::limits::HTTP_LIST_BYTES;

/// An answer.
#[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
pub enum Answer<'a, 'r> {
    /// A short text.
    Text(Text),
    /// A document of any length.
    Pieces(Pieces<'a, 'r>),
    /// The page for browsers.
    Page(Dashboard),
    /// Nothing to say: 204.
    Done,
}

/// A short text.
#[derive(Clone, Copy)]
pub enum Text {
    /// All is well.
    Ok,
    /// What is down: input or output, and its name.
    Down(&'static str, &'static str),
    /// What is wrong with the request, as JSON.
    Refusal(Refusal),
}

/// The documents.
#[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
pub enum Pieces<'a, 'r> {
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
pub struct Manner {
    /// The head of the answer only.
    pub head_only: bool,
    /// The client knows chunks.
    pub chunked: bool,
}

impl Answer<'_, '_> {
    /// Sends the answer. When that fails the connection ends.
    ///
    /// # Errors
    ///
    /// Those of the socket while the head is written.
    pub async fn send<R: Read, W: ResponseWriter<Error = R::Error>>(
        self,
        manner: Manner,
        link: &Link<'_>,
        connection: Connection<'_, R>,
        writer: W,
    ) -> Result<ResponseSent, W::Error> {
        let sent = self.head(manner).write_to(connection, writer).await?;
        let last = matches!(self, Answer::Text(text) if text.ends_connection());
        let body = if manner.head_only { link.drain().await } else { self.send_body(manner, link).await };
        if body.is_err() || last {
            link.end();
        }
        Ok(sent)
    }

    /// Status and headers.
    fn head(&self, manner: Manner) -> impl IntoResponse + use<> {
        let (status, kind, length, beside, last) = match self {
            Answer::Text(text) => {
                let (length, last) = (text.length(), text.ends_connection());
                (text.status(), Some(text.content_type()), Some(length), text.header(), last)
            }
            Answer::Pieces(pieces) => (StatusCode::OK, Some(pieces.content_type()), None, None, false),
            Answer::Page(page) => (page.status(), page.content_type(), page.length(), page.encoding(), false),
            Answer::Done => (StatusCode::NO_CONTENT, None, None, None, false),
        };
        let chunked = manner.chunked && matches!(self, Answer::Pieces(_));
        let text = |(name, value)| (name, Value::Text(value));
        let headers = [
            kind.map(|kind| text(("Content-Type", kind))),
            length.map(|length| ("Content-Length", Value::Number(length))),
            chunked.then_some(text(("Transfer-Encoding", "chunked"))),
            beside.map(text),
            last.then_some(text(("Connection", "close"))),
        ];
        (status, headers, matches!(self, Answer::Page(_)).then_some(page::HEADERS), NoContent)
    }

    /// Sends what comes after the head.
    async fn send_body(self, manner: Manner, link: &Link<'_>) -> io::Result<()> {
        match self {
            Answer::Text(text) => {
                // Cannot fail: a text is short, and no head fills the buffer.
                let _ = link.write_piece(false, |piece| write!(piece, "{text}"));
            }
            Answer::Pieces(mut pieces) => {
                while link.write_piece(manner.chunked, |piece| pieces.fill(piece)).is_err() {
                    if link.is_drained() {
                        // No line is that long: see the adapter. If it were, this would go on for ever.
                        return Err(io::ErrorKind::OutOfMemory.into());
                    }
                    link.drain().await?;
                }
                if manner.chunked {
                    link.write_last_chunk().await?;
                }
            }
            Answer::Page(mut page) => {
                while link.write_piece(false, |piece| page.fill(piece)).is_err() {
                    link.drain().await?;
                }
            }
            Answer::Done => {}
        }
        link.drain().await
    }
}

/// Value of a header.
enum Value {
    Text(&'static str),
    Number(usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
        }
    }
}

// ------------ Text ----------------------------------------------------------

impl Text {
    fn status(self) -> StatusCode {
        match self {
            Text::Ok => StatusCode::OK,
            Text::Down(..) => StatusCode::SERVICE_UNAVAILABLE,
            Text::Refusal(refusal) => refusal.status(),
        }
    }

    fn header(self) -> Option<Header> {
        if let Text::Refusal(refusal) = self { refusal.header() } else { None }
    }

    fn content_type(self) -> &'static str {
        match self {
            Text::Ok | Text::Down(..) => "text/plain; charset=utf-8",
            Text::Refusal(_) => listing::CONTENT_TYPE,
        }
    }

    /// Octets of the text.
    fn length(self) -> usize {
        let mut room = [0; TEXT_BYTES];
        let mut piece = Piece::new(&mut room);
        let _ = write!(piece, "{self}");
        piece.used()
    }

    fn ends_connection(self) -> bool {
        matches!(self, Text::Refusal(refusal) if refusal.ends_connection())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Ok => f.write_str("ok"),
            Text::Down(family, name) => write!(f, "{family} {name} is down"),
            Text::Refusal(refusal) => write!(f, "{{\"error\": \"{refusal}\"}}"),
        }
    }
}

/// Octets of the longest text.
const TEXT_BYTES: usize = HTTP_LIST_BYTES + 128;

// ------------ Pieces --------------------------------------------------------

impl Pieces<'_, '_> {
    fn content_type(&self) -> &'static str {
        match self {
            Pieces::Metrics(_) => metrics_text::CONTENT_TYPE,
            Pieces::Tables(_) | Pieces::Counters(_) | Pieces::Streams(_) => listing::CONTENT_TYPE,
        }
    }
}

impl Document for Pieces<'_, '_> {
    fn fill(&mut self, piece: &mut Piece<'_>) -> fmt::Result {
        match self {
            Pieces::Metrics(document) => document.fill(piece),
            Pieces::Counters(document) => document.fill(piece),
            Pieces::Tables(document) => document.fill(piece),
            Pieces::Streams(document) => document.fill(piece),
        }
    }
}
