//! What a request is answered with, and how that goes out.
//!
//! A short answer has its length in `Content-Length`. A document goes out in pieces as it is made, chunked for
//! HTTP/1.1; a client of HTTP/1.0, which knows no chunks, reads to the end of the connection.

use core::fmt;

use picoserve::ResponseSent;
use picoserve::io::{Read, Write};
use picoserve::response::chunked::{ChunkWriter, ChunkedResponse, Chunks, ChunksWritten};
use picoserve::response::custom::{CustomBody, CustomResponse};
use picoserve::response::{Connection, Content, IntoResponse, NoContent, ResponseWriter, StatusCode};

use super::adapter::Link;
use super::exposition::{self, Exposition};
use super::listing::{self, CounterList, StreamList};
use super::piece::{Document, Piece};
use super::refusal::{Header, Refusal};

/// An answer.
pub enum Answer<'a, 'r> {
    /// A short text.
    Text(Text),
    /// A document of any length.
    Pieces(Pieces<'a, 'r>),
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
pub enum Pieces<'a, 'r> {
    /// `/metrics`
    Metrics(Exposition<'a>),
    /// `/counters`
    Counters(CounterList<'a, 'r>),
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
    /// Sends the answer.
    ///
    /// # Errors
    ///
    /// Those of the socket; and one to end the connection after a refusal that ends it.
    pub async fn send<R: Read, W: ResponseWriter<Error = R::Error>>(
        self,
        manner: Manner,
        link: &Link<'_>,
        connection: Connection<'_, R>,
        writer: W,
    ) -> Result<ResponseSent, W::Error> {
        match self {
            Answer::Text(text) => {
                let close = text.ends_connection().then_some(("Connection", "close"));
                let body = TextBody { text, head_only: manner.head_only, link };
                (text.status(), text.header(), close, body).write_to(connection, writer).await
            }
            Answer::Done => (StatusCode::NO_CONTENT, NoContent).write_to(connection, writer).await,
            Answer::Pieces(pieces) if manner.head_only => {
                let kind = ("Content-Type", pieces.content_type());
                let framing = manner.chunked.then_some(("Transfer-Encoding", "chunked"));
                (StatusCode::OK, kind, framing, NoContent).write_to(connection, writer).await
            }
            Answer::Pieces(pieces) if manner.chunked => {
                ChunkedResponse::new(PiecesBody { pieces, link }).write_to(connection, writer).await
            }
            Answer::Pieces(pieces) => {
                let kind = pieces.content_type();
                let response = CustomResponse::build(StatusCode::OK).with_header("Content-Type", kind);
                response.with_body(PiecesBody { pieces, link }).write_to(connection, writer).await
            }
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

/// A short text as a body.
struct TextBody<'l> {
    text: Text,
    head_only: bool,
    link: &'l Link<'l>,
}

impl Content for TextBody<'_> {
    fn content_type(&self) -> &'static str {
        match self.text {
            Text::Ok | Text::Down(..) => "text/plain; charset=utf-8",
            Text::Refusal(_) => listing::CONTENT_TYPE,
        }
    }

    fn content_length(&self) -> usize {
        format_args!("{}", self.text).content_length()
    }

    async fn write_content<W: Write>(self, mut writer: W) -> Result<(), W::Error> {
        if !self.head_only {
            writer.write_fmt(format_args!("{}", self.text)).await?;
        }
        if self.text.ends_connection() {
            self.link.end();
        }
        Ok(())
    }
}

// ------------ Pieces --------------------------------------------------------

impl Pieces<'_, '_> {
    fn content_type(&self) -> &'static str {
        match self {
            Pieces::Metrics(_) => exposition::CONTENT_TYPE,
            Pieces::Counters(_) | Pieces::Streams(_) => listing::CONTENT_TYPE,
        }
    }
}

impl Document for Pieces<'_, '_> {
    fn fill(&mut self, piece: &mut Piece<'_>) -> fmt::Result {
        match self {
            Pieces::Metrics(document) => document.fill(piece),
            Pieces::Counters(document) => document.fill(piece),
            Pieces::Streams(document) => document.fill(piece),
        }
    }
}

/// A document as a body. It is written into the transmit buffer directly; the writers given are asked to send
/// that.
struct PiecesBody<'a, 'r, 'l> {
    pieces: Pieces<'a, 'r>,
    link: &'l Link<'l>,
}

impl PiecesBody<'_, '_, '_> {
    /// Makes the next piece; tells whether there is more.
    fn make_piece(&mut self, chunked: bool) -> bool {
        self.link.write_piece(chunked, |piece| {
            let full = self.pieces.fill(piece).is_err();
            debug_assert!(!(full && piece.is_empty()), "a line must fit into a piece");
            full && !piece.is_empty()
        })
    }
}

impl Chunks for PiecesBody<'_, '_, '_> {
    fn content_type(&self) -> &'static str {
        self.pieces.content_type()
    }

    async fn write_chunks<W: Write>(mut self, mut writer: ChunkWriter<W>) -> Result<ChunksWritten, W::Error> {
        while self.make_piece(true) {
            writer.flush().await?;
        }
        writer.finalize().await
    }
}

impl CustomBody for PiecesBody<'_, '_, '_> {
    async fn write_response_body<W: Write>(mut self, mut writer: W) -> Result<(), W::Error> {
        while self.make_piece(false) {
            writer.flush().await?;
        }
        writer.flush().await
    }
}
