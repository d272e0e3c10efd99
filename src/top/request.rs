//! A client for HTTP/1.1 (RFC 9112), as far as our own web API needs one.
//!
//! One connection serves the requests of one round. What a server sends is bounded: a head of [`HEAD_MAX`], a
//! body of [`BODY_MAX`], and [`PATIENCE_SECONDS`] for each answer. Left out: redirections, compression,
//! trailers.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use smol::future::or;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::target::DaemonTarget;
use crate::net::dial::look_up;
use crate::reactor::{self, Async, Timer};

/// Bytes of an answer's head at most.
const HEAD_MAX: usize = 16 << 10;

/// Bytes of an answer's body at most: `/metrics` of some thousand streams.
const BODY_MAX: usize = 16 << 20;

/// Seconds for a connection, and for each answer.
const PATIENCE_SECONDS: u64 = 5;

/// A connection to a daemon.
pub(crate) struct ApiClient<'t> {
    target: &'t DaemonTarget,
    stream: Box<dyn ByteStream>,
    /// Bytes read and not used yet.
    rest: Vec<u8>,
}

/// Connects to the first address of a host that answers.
async fn connect(host: &str, port: u16) -> io::Result<Async<TcpStream>> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in look_up(host, port).await? {
        result = reactor::connect(address).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The parts of a connection.
trait ByteStream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ByteStream for T {}

impl<'t> ApiClient<'t> {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(crate) async fn open(target: &'t DaemonTarget) -> Result<Self, String> {
        let dialled = async {
            let stream = connect(target.host.as_str(), target.port).await?;
            stream.get_ref().set_nodelay(true)?;
            let stream: Box<dyn ByteStream> = match &target.tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.connect(stream).await?),
            };
            Ok(stream)
        };
        let stream = within_patience(dialled).await.map_err(|error| error.to_string())?;
        Ok(ApiClient { target, stream, rest: Vec::new() })
    }

    /// The body of what is at a path, when the answer is 200.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let found = self.get_if_built(path).await?;
        found.ok_or_else(|| format!("there is no {path}: is this the web API of dnstapd?"))
    }

    /// The same for what not every daemon has: `None` if the answer is 404 or 501.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(crate) async fn get_if_built(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let asked = within_patience(self.ask(path)).await;
        let (status, body) = asked.map_err(|error| error.to_string())?;
        match (status, &self.target.credentials) {
            (200, _) => Ok(Some(body)),
            (404 | 501, _) => Ok(None),
            (401, None) => {
                Err("credentials are needed: --api-key-file, USER:PASSWORD@ in --url, or DNSTAPD_API_KEY"
                    .to_owned())
            }
            (401, Some(_)) => Err("the daemon refuses these credentials (401)".to_owned()),
            (status, _) => Err(format!("the answer is {status}: is this the web API of dnstapd?")),
        }
    }

    /// The same, with the body of an answer that says what is wrong with the question (400).
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(crate) async fn get_or_reason(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let asked = within_patience(self.ask(path)).await;
        match asked.map_err(|error| error.to_string())? {
            (200 | 400, body) => Ok(Some(body)),
            (404 | 501, _) => Ok(None),
            (status, _) => Err(format!("the answer is {status}")),
        }
    }

    /// Status and body, whatever they are.
    ///
    /// # Errors
    ///
    /// Why there is no answer, in words.
    pub(crate) async fn get_anything(&mut self, path: &str) -> Result<(u16, Vec<u8>), String> {
        within_patience(self.ask(path)).await.map_err(|error| error.to_string())
    }

    async fn ask(&mut self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let DaemonTarget { authority, base, credentials, .. } = self.target;
        let mut request = format!("GET {base}{path} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some((name, secret)) = credentials {
            request.push_str(&format!("{name}: {}\r\n", secret.expose()));
        }
        request.push_str("\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let head = self.read_head().await?;
        let body = match head.body {
            BodyFraming::Chunks => self.read_chunks().await?,
            BodyFraming::Bytes(length) => self.read_bytes(length).await?,
            BodyFraming::ToTheEnd => self.read_to_the_end().await?,
        };
        Ok((head.status, body))
    }

    async fn read_head(&mut self) -> io::Result<ResponseHead> {
        loop {
            let end = self.rest.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.rest.drain(..end + 4).collect::<Vec<u8>>();
                return ResponseHead::parse(&head).ok_or_else(|| invalid("no HTTP in the answer"));
            }
            if self.rest.len() > HEAD_MAX {
                return Err(invalid("no HTTP in the answer"));
            }
            self.read_more().await?;
        }
    }

    async fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line().await?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let size = core::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| invalid("a broken chunk"))?;
            if size > BODY_MAX - body.len() {
                return Err(invalid("the answer is too long"));
            }
            body.extend(self.read_bytes(size).await?);
            self.read_line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// A line, without its end.
    async fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.rest.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.rest.len() > HEAD_MAX {
                return Err(invalid("a broken chunk"));
            }
            self.read_more().await?;
        }
    }

    async fn read_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_MAX {
            return Err(invalid("the answer is too long"));
        }
        while self.rest.len() < length {
            self.read_more().await?;
        }
        Ok(self.rest.drain(..length).collect())
    }

    async fn read_to_the_end(&mut self) -> io::Result<Vec<u8>> {
        while self.rest.len() <= BODY_MAX {
            match self.read_more().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(core::mem::take(&mut self.rest));
                }
                Err(error) => return Err(error),
            }
        }
        Err(invalid("the answer is too long"))
    }

    async fn read_more(&mut self) -> io::Result<()> {
        let mut room = [0; 8 << 10];
        let read = self.stream.read(&mut room).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        self.rest.extend_from_slice(room.get(..read).unwrap_or_default());
        Ok(())
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct ResponseHead {
    status: u16,
    body: BodyFraming,
}

/// How the end of the body is known.
#[derive(Debug, PartialEq, Eq)]
enum BodyFraming {
    Bytes(usize),
    Chunks,
    ToTheEnd,
}

impl ResponseHead {
    /// Reads status line and headers; what is sent besides is passed over.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        if !version.starts_with("HTTP/1.") {
            return None;
        }
        let status = rest.get(..3)?.parse().ok()?;
        let mut body = if status == 204 { BodyFraming::Bytes(0) } else { BodyFraming::ToTheEnd };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") && body != BodyFraming::Chunks {
                let bytes: u64 = value.trim().parse().ok()?;
                body = BodyFraming::Bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = BodyFraming::Chunks;
            }
        }
        Some(ResponseHead { status, body })
    }
}

async fn within_patience<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(Duration::from_secs(PATIENCE_SECONDS)).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE_SECONDS} s")))
    };
    or(work, late).await
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// The reading of an answer, cut in two at each place in turn.
    fn answered(answer: &'static [u8]) -> Vec<Result<Vec<u8>, String>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cuts = [0, 1, 9, 17, answer.len() / 2, answer.len() - 1];
        let server = std::thread::spawn(move || {
            for cut in cuts {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1000]).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.write_all(&answer[..cut]).unwrap();
                std::thread::sleep(Duration::from_millis(5));
                let _ = stream.write_all(&answer[cut..]);
            }
        });
        let options = super::super::target::TopOptions { url: Some(url), ..Default::default() };
        let target = DaemonTarget::new(&options, |_| None, || None).unwrap();
        let answers = cuts
            .map(|_| reactor::block_on(async { ApiClient::open(&target).await.unwrap().get("/x").await }));
        server.join().unwrap();
        answers.into()
    }

    #[test]
    fn bodies_have_three_kinds_of_end() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello",
        ] {
            for got in answered(answer) {
                assert_eq!(got.as_deref(), Ok(&b"hello"[..]));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        for (answer, words) in [
            (&b"HTTP/1.1 401 \r\nContent-Length: 0\r\n\r\n"[..], "refuses these credentials"),
            (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "is this the web API"),
            (b"SSH-2.0-dropbear\r\n\r\n\r\n", "no HTTP"),
            (b"HTTP/1.1 200 \r\nContent-Length: 99\r\n\r\nhello", "closed"),
            (b"HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n\r\nhello", "too long"),
            (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nx", "too long"),
            (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "broken chunk"),
        ] {
            for got in answered(answer) {
                assert!(got.as_ref().is_err_and(|why| why.contains(words)), "{words}: {got:?}");
            }
        }
    }
}
