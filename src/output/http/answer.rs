//! The answer of a server (RFC 9112): its status, when to come again, and its body, piece by piece.
//!
//! Bounded: a head of [`PUSH_ANSWER_BYTES`], read into one buffer; the body passes through the same. Left
//! out: trailers are passed over, codings of the body other than chunks are not asked for.

use core::time::Duration;
use std::io;

use smol::io::AsyncReadExt;

use super::super::stream_sink::OutputStream;
use crate::limits::{PUSH_ANSWER_BYTES, PUSH_ANSWER_FIELDS};
use crate::time::{Time, parse_time};

/// An answer, but for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerAnswer {
    /// 200 to 999.
    pub(crate) status: u16,
    /// The time that the server wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the connection is of no further use.
    pub(crate) closes: bool,
    /// The end of its body.
    pub(crate) body: AnswerFraming,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerFraming {
    /// After so many bytes.
    Bytes(u64),
    /// After the last chunk.
    Chunks,
    /// With the connection.
    ToTheEnd,
}

/// The buffer for answers, with the bytes that were read and not used yet.
#[derive(Debug, Default)]
pub(crate) struct AnswerBuffer(Vec<u8>);

impl AnswerBuffer {
    /// An empty one.
    pub(crate) fn new() -> Self {
        AnswerBuffer(Vec::with_capacity(PUSH_ANSWER_BYTES))
    }

    /// Forgets what came over a connection.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a connection that nothing is awaited of has closed, or said something.
    pub(crate) async fn is_over(&mut self, stream: &mut dyn OutputStream) -> io::Error {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => invalid("an answer that nobody asked for"),
            Err(error) => error,
        }
    }

    /// Reads an answer, and gives its body to `take`.
    ///
    /// # Errors
    ///
    /// The connection ends too early; what comes is no HTTP.
    pub(crate) async fn read(
        &mut self,
        stream: &mut dyn OutputStream,
        take: &mut dyn FnMut(u16, &[u8]),
    ) -> io::Result<ServerAnswer> {
        let answer = loop {
            match ServerAnswer::parse(&self.0)? {
                // Continue and its like: the answer is still to come.
                Some((answer, used)) if answer.status < 200 => drop(self.0.drain(..used)),
                Some((answer, used)) => {
                    self.0.drain(..used);
                    break answer;
                }
                None => self.more(stream).await?,
            }
        };
        let mut take = |bytes: &[u8]| take(answer.status, bytes);
        match answer.body {
            AnswerFraming::Bytes(bytes) => self.read_bytes(stream, bytes, &mut take).await?,
            AnswerFraming::Chunks => self.read_chunks(stream, &mut take).await?,
            AnswerFraming::ToTheEnd => while self.read_some(stream, u64::MAX, &mut take).await? > 0 {},
        }
        Ok(answer)
    }

    async fn read_bytes(
        &mut self,
        stream: &mut dyn OutputStream,
        mut bytes: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        while bytes > 0 {
            match self.read_some(stream, bytes, take).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes -= read,
            }
        }
        Ok(())
    }

    /// RFC 9112, 7.1.
    async fn read_chunks(
        &mut self,
        stream: &mut dyn OutputStream,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        loop {
            let line = self.read_line(stream).await?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let size = core::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
            match size.ok_or_else(|| invalid("a broken chunk"))? {
                0 => break,
                size => self.read_bytes(stream, size, take).await?,
            }
            if !self.read_line(stream).await?.is_empty() {
                return Err(invalid("a broken chunk"));
            }
        }
        while !self.read_line(stream).await?.is_empty() {}
        Ok(())
    }

    /// A line, without its end.
    async fn read_line(&mut self, stream: &mut dyn OutputStream) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.0.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.0.drain(..=end).collect();
                return Ok(line.trim_ascii_end().to_vec());
            }
            self.more(stream).await?;
        }
    }

    /// Gives up to `most` bytes to `take`; 0 at the end of the connection.
    async fn read_some(
        &mut self,
        stream: &mut dyn OutputStream,
        most: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<u64> {
        if self.0.is_empty() {
            match self.more(stream).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                more => more?,
            }
        }
        let bytes = self.0.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        take(self.0.get(..bytes).unwrap_or_default());
        self.0.drain(..bytes);
        Ok(bytes as u64)
    }

    async fn more(&mut self, stream: &mut dyn OutputStream) -> io::Result<()> {
        let mut room = [0; 512];
        if self.0.len() + room.len() > PUSH_ANSWER_BYTES {
            return Err(invalid("the head of the answer is too long"));
        }
        let read = stream.read(&mut room).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed before its answer was over"));
        }
        self.0.extend_from_slice(room.get(..read).unwrap_or_default());
        Ok(())
    }
}

impl ServerAnswer {
    /// The head at the front of some bytes, and its length; `None` while it is not whole.
    fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let mut fields = [httparse::EMPTY_HEADER; PUSH_ANSWER_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let parsed =
            head.parse(bytes).map_err(|error| invalid(&format!("no HTTP in the answer: {error}")))?;
        let httparse::Status::Complete(used) = parsed else { return Ok(None) };
        let status = head.code.unwrap_or_default();
        let field = |name: &str| {
            let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.and_then(|field| core::str::from_utf8(field.value).ok()).map(str::trim)
        };
        let has = |name, word: &str| {
            field(name).is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        };
        let is_old = head.version == Some(0);
        let body = if status < 200 || matches!(status, 204 | 304) {
            AnswerFraming::Bytes(0)
        } else if has("transfer-encoding", "chunked") {
            AnswerFraming::Chunks
        } else {
            match field("content-length") {
                Some(length) => AnswerFraming::Bytes(length.parse().map_err(|_| invalid("a broken length"))?),
                None => AnswerFraming::ToTheEnd,
            }
        };
        let stays = !has("connection", "close") && (!is_old || has("connection", "keep-alive"));
        let answer = ServerAnswer {
            status,
            retry_after: field("retry-after").and_then(|text| wait(text, Time::now().seconds)),
            closes: !stays || body == AnswerFraming::ToTheEnd,
            body,
        };
        Ok(Some((answer, used)))
    }
}

/// RFC 9110, 10.2.3: seconds, or a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn wait(text: &str, now: u64) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let mut words = text.split(' ').skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let at = parse_time(&format!("{year}-{month:02}-{day}T{time}+00:00"))? / 1000;
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::Pin;
    use core::task::{Context, Poll};
    use smol::io::{AsyncRead, AsyncWrite};

    /// A connection that brings some bytes, cut in two, and then closes.
    struct Wire(Vec<Vec<u8>>);

    impl AsyncRead for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            while self.0.first().is_some_and(Vec::is_empty) {
                self.0.remove(0);
            }
            let Some(piece) = self.0.first_mut() else { return Poll::Ready(Ok(0)) };
            let bytes = piece.len().min(room.len());
            room[..bytes].copy_from_slice(&piece[..bytes]);
            piece.drain(..bytes);
            Poll::Ready(Ok(bytes))
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn read(answer: &[u8], cut: usize) -> io::Result<(u16, bool, String)> {
        let (first, rest) = answer.split_at(cut);
        let mut wire = Wire(vec![first.to_vec(), rest.to_vec()]);
        let mut body = Vec::new();
        let mut take = |_: u16, bytes: &[u8]| body.extend_from_slice(bytes);
        let mut buffer = AnswerBuffer::new();
        let answer = crate::reactor::block_on(buffer.read(&mut wire, &mut take))?;
        Ok((answer.status, answer.closes, String::from_utf8(body).unwrap()))
    }

    #[test]
    fn answers_are_read_at_every_cut() {
        for (answer, status, closes) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], 200, false),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 \r\nconnection: Close\r\ncontent-length: 5\r\n\r\nhello", 500, true),
            (b"HTTP/1.1 429 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nx: y\r\n\r\n", 429, false),
            (b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello", 200, true),
        ] {
            for cut in 0..answer.len() {
                assert_eq!(read(answer, cut).unwrap(), (status, closes, "hello".to_owned()));
            }
        }
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\n", 3).unwrap(), (204, false, String::new()));
    }

    #[test]
    fn broken_answers_are_errors() {
        let long = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'y'; 20_000], b"\r\n\r\n"].concat();
        for answer in [
            &b""[..],
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello",
            &long,
        ] {
            assert!(read(answer, 0).is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        assert_eq!(wait("120", 0), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_780), Some(Duration::ZERO));
        for text in ["", "-1", "soon", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(wait(text, 0), None, "{text}");
        }
    }
}
