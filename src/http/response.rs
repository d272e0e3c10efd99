//! An answer to a request, and how it goes out.
//!
//! picoserve writes head and body: a body of known length as its `Content`, a document in the chunks of its
//! `ChunkWriter`. Left to us is [`UntilClose`], which picoserve does not have: a document for a client of
//! HTTP/1.0, who knows no chunks and reads to the end of the connection. (Its `CustomBody` ends the answer as
//! soon as the client sends no more, as such clients do once they have asked.)

use core::fmt::{self, Write as _};

use std::rc::Rc;

use picoserve::ResponseSent;
use picoserve::io::{Read, Write};
use picoserve::response::chunked::{ChunkWriter, ChunkedResponse, Chunks, ChunksWritten};
use picoserve::response::{self, Content, IntoResponse, NoContent, ResponseWriter, StatusCode};

use super::body_chunk::{BodyChunk, ChunkedDocument};
use super::connection::HttpConnection;
use super::documents::Document;
use super::error::HttpError;

/// An answer: status, headers, body.
pub(crate) struct Response<'a, 'r> {
    status: StatusCode,
    content_type: &'static str,
    /// Headers that all answers of a kind have.
    fixed: &'static [(&'static str, &'static str)],
    /// Headers of this answer alone.
    own: heapless::Vec<HeaderField, 2>,
    body: Body<'a, 'r>,
    /// The connection ends with this answer.
    is_last: bool,
}

/// The body of an answer.
#[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
enum Body<'a, 'r> {
    /// No body, as with 204 and 304.
    Empty,
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    /// Bytes that were made before, and that several answers share.
    Unpacked(Rc<Vec<u8>>),
    /// A few words: "ok".
    Words(Words),
    /// An error, as JSON.
    Error(HttpError),
    /// A document of any length.
    Document(Document<'a, 'r>),
    /// Events, which somebody else sends on this connection.
    Live,
}

/// A short text that depends on the state of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

/// A header of an answer.
pub(crate) type HeaderField = (&'static str, &'static str);

/// How the client wants the answer.
#[derive(Clone, Copy)]
pub(crate) struct BodyMode {
    /// The head of the answer only.
    pub(crate) head_only: bool,
    /// The client knows chunks.
    pub(crate) chunked: bool,
}

/// Content type of every JSON answer.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// Content type of short texts.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Headers of every answer but the page, which has some more: nothing of it is guessed, kept or shown
/// elsewhere.
const FIXED: &[HeaderField] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

impl<'a, 'r> Response<'a, 'r> {
    fn new(status: StatusCode, content_type: &'static str, body: Body<'a, 'r>) -> Self {
        Response { status, content_type, fixed: FIXED, own: heapless::Vec::new(), body, is_last: false }
    }

    /// A document of any length, chunk by chunk.
    pub(crate) fn document(document: impl Into<Document<'a, 'r>>) -> Self {
        let document = document.into();
        Response::new(StatusCode::OK, document.content_type(), Body::Document(document))
    }

    /// JSON that lies ready.
    pub(crate) fn ready(json: Rc<Vec<u8>>) -> Self {
        Response::new(StatusCode::OK, JSON, Body::Unpacked(json))
    }

    /// The answer with another content type than that of its kind.
    pub(crate) fn of_type(self, content_type: &'static str) -> Self {
        Response { content_type, ..self }
    }

    /// The head of events to come, after which the connection moves on.
    pub(crate) fn live() -> Self {
        let response = Response::new(StatusCode::OK, "text/event-stream", Body::Live);
        Response { is_last: true, ..response }
    }

    /// Goes on with what has to be known before the answer is sent; `false` if nothing is left to be done.
    pub(super) fn prepare(&mut self) -> bool {
        match &mut self.body {
            Body::Document(document) => document.prepare(),
            _ => false,
        }
    }

    /// Success, and nothing to say about it: 204.
    pub(crate) fn no_content() -> Self {
        Response::new(StatusCode::NO_CONTENT, "", Body::Empty)
    }

    /// A short text.
    pub(crate) fn words(status: StatusCode, words: Words) -> Self {
        Response::new(status, PLAIN, Body::Words(words))
    }

    /// A page that the client has already, until it gets bytes. Headers take the place of those that other
    /// answers have.
    pub(crate) fn page(content_type: &'static str, fixed: &'static [HeaderField]) -> Self {
        Response { fixed, ..Response::new(StatusCode::NOT_MODIFIED, content_type, Body::Empty) }
    }

    /// The page with bytes that are part of the program.
    pub(crate) fn with_bytes(self, bytes: &'static [u8]) -> Self {
        Response { status: StatusCode::OK, body: Body::Static(bytes), ..self }
    }

    /// The page with such bytes unpacked.
    pub(crate) fn with_unpacked(self, bytes: Rc<Vec<u8>>) -> Self {
        Response { status: StatusCode::OK, body: Body::Unpacked(bytes), ..self }
    }

    /// The answer with a page as its body, for a browser that was asked for a password in vain.
    pub(super) fn with_page(mut self, page: &'static [u8]) -> Self {
        (self.content_type, self.body) = ("text/html; charset=utf-8", Body::Static(page));
        self
    }

    /// The answer with a header of its own; two at most.
    pub(crate) fn with_header(mut self, header: HeaderField) -> Self {
        let _ = self.own.push(header);
        self
    }

    /// Sends the answer. When that fails the connection ends. `room` is for one chunk of a document.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(super) async fn send<R: Read, W: ResponseWriter<Error = R::Error>>(
        &mut self,
        mode: BodyMode,
        connection: &HttpConnection<'_>,
        room: &mut [u8],
        request: response::Connection<'_, R>,
        writer: W,
    ) -> Result<ResponseSent, W::Error> {
        // The answer stays where it is: picoserve moves what it is given through five futures, each of which
        // has room for it then, and a document is large.
        let Response { status, content_type, fixed, own, body, is_last } = self;
        let (status, content_type, fixed) = (*status, *content_type, *fixed);
        let close = (*is_last || connection.is_to_end()).then_some(("Connection", "close"));
        let own = own.as_slice();
        let is_live = matches!(body, Body::Live) && !mode.head_only;
        let next = match body {
            Body::Document(document) => document.next_cursor(),
            _ => None,
        };
        let next = next.as_ref().map(|cursor| ("X-Next", cursor.as_str()));
        let sent = match body {
            Body::Document(document) if mode.chunked && !mode.head_only => {
                let cutter = ChunkCutter { document, room, connection, is_done: false };
                let body = InChunks(cutter, content_type);
                let response = ChunkedResponse::new(body).into_response();
                response
                    .with_headers(fixed)
                    .with_headers(own)
                    .with_headers(next)
                    .with_headers(close)
                    .write_to(request, writer)
                    .await
            }
            Body::Empty | Body::Document(_) | Body::Live => {
                let is_document = matches!(body, Body::Document(_));
                let kind = (!matches!(body, Body::Empty)).then_some(("Content-Type", content_type));
                let chunked = (is_document && mode.chunked).then_some(("Transfer-Encoding", "chunked"));
                let several: heapless::Vec<_, 4> =
                    [kind, chunked, next, close].into_iter().flatten().collect();
                let head = (status, fixed, own, several.as_slice(), NoContent);
                let sent = head.write_to(request, writer).await;
                if let (Body::Document(document), false) = (body, mode.head_only) {
                    UntilClose(ChunkCutter { document, room, connection, is_done: false }).send().await;
                }
                sent
            }
            Body::Static(_) | Body::Unpacked(_) | Body::Words(_) | Body::Error(_) => {
                let bytes = match body {
                    Body::Static(bytes) => *bytes,
                    Body::Unpacked(bytes) => bytes.as_slice(),
                    Body::Words(words) => written(room, words),
                    Body::Error(error) => written(room, error),
                    Body::Empty | Body::Document(_) | Body::Live => &[],
                };
                let content = WholeBody { bytes, content_type, head_only: mode.head_only };
                (status, fixed, own, close, content).write_to(request, writer).await
            }
        }?;
        let is_sent = connection.drain().await.is_ok();
        if is_live && is_sent {
            connection.move_on();
        }
        if !is_sent || close.is_some() {
            connection.end();
        }
        Ok(sent)
    }
}

impl From<HttpError> for Response<'_, '_> {
    fn from(error: HttpError) -> Self {
        let mut response = Response::new(error.status(), JSON, Body::Error(error));
        response.is_last = error.ends_connection();
        response.own.extend(error.header());
        response
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [self.0, self.1, self.2].into_iter().try_for_each(|words| f.write_str(words))
    }
}

/// A short text, written into `room`, which has room for all there are.
fn written<'c>(room: &'c mut [u8], text: &dyn fmt::Display) -> &'c [u8] {
    let mut chunk = BodyChunk::new(room);
    let _ = write!(chunk, "{text}");
    let used = chunk.used();
    room.get(..used).unwrap_or_default()
}

// ------------ Whole ---------------------------------------------------------

/// A body of known length.
struct WholeBody<'c> {
    bytes: &'c [u8],
    content_type: &'static str,
    head_only: bool,
}

impl Content for WholeBody<'_> {
    fn content_type(&self) -> &'static str {
        self.content_type
    }

    fn content_length(&self) -> usize {
        self.bytes.len()
    }

    async fn write_content<W: Write>(self, mut writer: W) -> Result<(), W::Error> {
        if self.head_only { Ok(()) } else { writer.write_all(self.bytes).await }
    }
}

// ------------ InChunks ------------------------------------------------------

/// A document in the chunks of RFC 9112, 7.1, and its content type.
struct InChunks<'c, 'a, 'r>(ChunkCutter<'c, 'a, 'r>, &'static str);

impl Chunks for InChunks<'_, '_, '_> {
    fn content_type(&self) -> &'static str {
        self.1
    }

    async fn write_chunks<W: Write>(mut self, mut writer: ChunkWriter<W>) -> Result<ChunksWritten, W::Error> {
        while let Some(chunk) = self.0.next() {
            writer.write_chunk(chunk).await?;
        }
        writer.finalize().await
    }
}

// ------------ UntilClose ----------------------------------------------------

/// A document for a client who knows no chunks: it ends where the connection does.
struct UntilClose<'c, 'a, 'r>(ChunkCutter<'c, 'a, 'r>);

impl UntilClose<'_, '_, '_> {
    async fn send(mut self) {
        let connection = self.0.connection;
        while let Some(chunk) = self.0.next() {
            if connection.write_all(chunk).await.is_err() {
                return connection.end();
            }
        }
    }
}

// ------------ Cutter --------------------------------------------------------

/// Cuts a document into chunks of the room there is.
struct ChunkCutter<'c, 'a, 'r> {
    document: &'c mut Document<'a, 'r>,
    room: &'c mut [u8],
    connection: &'c HttpConnection<'c>,
    /// The document was written to its end. It may not be asked again then: it would repeat its last
    /// bracket.
    is_done: bool,
}

impl ChunkCutter<'_, '_, '_> {
    /// The next chunk; `None` at the end.
    fn next(&mut self) -> Option<&[u8]> {
        if self.is_done {
            return None;
        }
        let mut chunk = BodyChunk::new(self.room);
        self.is_done = self.document.fill(&mut chunk).is_ok();
        let used = chunk.used();
        if used == 0 && !self.is_done {
            // A line longer than a chunk, which no document has: without an end this would go on for ever.
            self.connection.end();
        }
        self.room.get(..used).filter(|chunk| !chunk.is_empty())
    }
}
