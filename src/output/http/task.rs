//! The task of the output: makes batches, sends them, and counts what became of them.
//!
//! ```text
//! queue --- fill ---> batch --- request ---> server
//!                       ^                      |
//!                       '---- again <----------+---> delivered, refused
//! ```
//!
//! A connection stays open between requests as long as the server lets it. One that closes while nothing is
//! sent is made again at once, to know that the server is there; if that closes unused, too, the next batch
//! makes one.

use core::fmt;
use core::time::Duration;
use std::io;
use std::rc::Rc;

use defmt_or_log::{info, warn};
use smol::future::{or, pending, yield_now};
use smol::io::AsyncWriteExt;

use super::super::plan::{load_tls, read_secret};
use super::super::stream_sink::{OutputStream, open};
use super::super::uplink::Uplink;
use super::super::{DropReason, Outlet, Outlets, RunningSink, Sink, TaskContext, TaskStep, WriteState};
use super::answer::{AnswerBuffer, ServerAnswer};
use super::body::RecordBatch;
use super::{BodyFormat, BulkAnswer, Compression, Section, StatusVerdict, UrlParts};
use crate::limits::{
    PUSH_ANSWER_BYTES, PUSH_EXCHANGE_SECONDS, PUSH_ITEM_BYTES, PUSH_REASON_BYTES, PUSH_RETRY_AFTER_SECONDS,
    PUSH_TURN_MS, TLS_CONNECTION_BYTES,
};
use crate::net::dial::PeerAddress;
use crate::net::tls::Client;
use crate::reactor::Timer;
use crate::values::encoding::base64;
use crate::values::{KeyError, PlanError, Seconds};

/// A server, and how it is spoken to.
pub(crate) struct HttpSink {
    peer: PeerAddress,
    tls: Option<Rc<Client>>,
    /// For the log and `--check`.
    origin: String,
    /// The head of each request, up to what depends on the body.
    head: String,
    format: BodyFormat,
    batch: usize,
    flush: Duration,
    compress: Compression,
    retry: Seconds,
}

impl HttpSink {
    /// The sink of a section: secrets and certificates are read, nothing connects.
    ///
    /// # Errors
    ///
    /// A file that is of no use.
    pub(crate) fn new(section: &Section) -> Result<Self, PlanError> {
        // The rules between the keys asked for it.
        let Some(url) = section.address() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        Ok(HttpSink {
            peer: PeerAddress::Tcp(url.host.clone(), url.port),
            tls: load_tls(&section.tls_of_url(), &url.host)?,
            origin: url.origin(),
            head: head(section, url)?,
            format: section.format,
            batch: section.batch.in_memory(),
            flush: section.flush_interval.duration(),
            compress: section.compress,
            retry: section.retry,
        })
    }
}

impl HttpSink {
    /// Items of a bulk request at most.
    fn items(&self) -> usize {
        if self.format == BodyFormat::Elastic { self.batch / PUSH_ITEM_BYTES + 1 } else { 0 }
    }
}

/// The head of a request, up to what depends on the body.
fn head(section: &Section, url: &UrlParts) -> Result<String, KeyError> {
    let mut head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", url.target, url.authority);
    let mut field = |name: &str, value: &str| {
        if !section.headers.has(name) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    };
    field("User-Agent", concat!("dnstapd/", env!("CARGO_PKG_VERSION")));
    field("Accept", "*/*");
    let kind = if section.format == BodyFormat::Loki { "application/json" } else { "application/x-ndjson" };
    field("Content-Type", kind);
    if let Some(user) = &section.user {
        let password = section.password_file.as_ref().map(|path| read_secret("password-file", path));
        let password = password.transpose()?;
        let both = format!("{}:{}", user.as_str(), password.as_ref().map_or("", |secret| secret.expose()));
        field("Authorization", &format!("Basic {}", base64(both.as_bytes())));
    }
    if let Some(path) = &section.bearer_file {
        field("Authorization", &format!("Bearer {}", read_secret("bearer-file", path)?.expose()));
    }
    for (name, value) in section.headers.iter() {
        head.extend([name, ": ", value, "\r\n"]);
    }
    Ok(head)
}

impl fmt::Display for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Sink for HttpSink {
    fn cost(&self) -> usize {
        let tls = if self.tls.is_some() { TLS_CONNECTION_BYTES } else { 0 };
        RecordBatch::cost(self.batch, self.compress) + PUSH_ANSWER_BYTES + self.items() + tls
    }

    fn tls(&self) -> Option<Rc<Client>> {
        self.tls.clone()
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        let sender = BatchSender {
            outlet,
            outlets: &context.outlets,
            uplink: Uplink::new(outlet, &context.outlets, &self.origin, self.retry),
            batch: RecordBatch::new(self.format, self.batch, self.compress),
            buffer: AnswerBuffer::new(),
            bulk: BulkAnswer::new(self.items()),
            reason: heapless::Vec::new(),
            stream: None,
            is_used: false,
            is_lost: true,
            is_put_off: false,
            sink: *self,
        };
        Box::pin(sender.run())
    }
}

/// The output while it runs.
struct BatchSender {
    sink: HttpSink,
    outlet: &'static Outlet,
    outlets: &'static Outlets,
    uplink: Uplink<'static>,
    batch: RecordBatch,
    buffer: AnswerBuffer,
    bulk: BulkAnswer,
    /// The beginning of an answer that refuses, for the log.
    reason: heapless::Vec<u8, PUSH_REASON_BYTES>,
    stream: Option<Box<dyn OutputStream>>,
    /// Whether a request was answered over this connection.
    is_used: bool,
    /// Whether the last connection failed, or there was none yet.
    is_lost: bool,
    /// Whether the server answered that the batch is to come again.
    is_put_off: bool,
}

/// The fate of a batch after a request.
enum BatchOutcome {
    /// Nothing is left of it.
    Settled,
    /// It goes out again: why, and the time that the server asked for.
    Again(String, Option<Duration>),
}

impl BatchSender {
    async fn run(mut self) {
        let outlet = self.outlet;
        while !outlet.is_over() {
            if self.stream.is_none() && !self.connect().await {
                continue;
            }
            if !self.wait().await {
                continue;
            }
            self.batch.fill(outlet);
            self.outlets.progressed();
            while !self.batch.pack_on() {
                yield_now().await;
            }
            self.deliver().await;
        }
        if let Some(mut stream) = self.stream {
            let _ = stream.close().await;
        }
    }

    /// Makes a connection, or waits for the next attempt.
    async fn connect(&mut self) -> bool {
        let attempt = open(&self.sink.peer, self.sink.tls.as_deref());
        match self.uplink.attempt(attempt).await {
            Ok(stream) => {
                self.stream = Some(stream);
                self.is_used = false;
                self.buffer.clear();
                if core::mem::take(&mut self.is_lost) {
                    self.uplink.connected();
                }
                true
            }
            Err(_) if self.outlet.is_over() => false,
            Err(error) => {
                self.is_lost = true;
                self.pause(WriteState::Away, error.to_string(), None).await;
                false
            }
        }
    }

    /// Waits for a batch; `false` when there is none, but something else to see to.
    async fn wait(&mut self) -> bool {
        let BatchSender { outlet, stream, buffer, is_used, .. } = self;
        let Some(open) = stream else { return false };
        let records = async { Some(outlet.next_step().await) };
        let closed = async {
            buffer.is_over(&mut **open).await;
            None
        };
        match or(records, closed).await {
            Some(TaskStep::Write) => {}
            Some(TaskStep::Reopen | TaskStep::End) => return false,
            None => {
                *stream = None;
                if !core::mem::take(is_used) {
                    // It closes connections that nothing is sent over.
                    return outlet.next_step().await == TaskStep::Write;
                }
                return false;
            }
        }
        or(outlet.filled(self.sink.batch), async {
            Timer::after(self.sink.flush).await;
        })
        .await;
        true
    }

    /// Sends the batch until it is settled.
    async fn deliver(&mut self) {
        while !self.batch.is_empty() {
            if self.stream.is_none() && !self.connect().await {
                continue;
            }
            let (outlet, outlets) = (self.outlet, self.outlets);
            // Who answers at once keeps up; for who does not, nobody waits.
            let patience = async {
                Timer::after(Duration::from_millis(PUSH_TURN_MS)).await;
                if outlet.is_connected() {
                    outlet.set_write_state(WriteState::Blocked);
                    outlets.progressed();
                }
                pending().await
            };
            match or(self.request(), patience).await {
                Ok(answer) => {
                    if answer.closes {
                        self.stream = None;
                    }
                    self.is_used = true;
                    match self.judge(&answer) {
                        BatchOutcome::Settled => {
                            if core::mem::take(&mut self.is_put_off) {
                                info!("Output {}: taken by {} again", self.outlet.name(), self.sink.origin);
                            }
                            self.uplink.succeeded();
                            self.outlet.set_write_state(WriteState::Ready);
                        }
                        BatchOutcome::Again(why, after) => {
                            self.is_put_off = true;
                            // Who asks for time is there; who is broken is not.
                            let state =
                                if answer.status < 500 { WriteState::Blocked } else { WriteState::Away };
                            self.pause(state, why, after).await;
                        }
                    }
                    self.outlets.progressed();
                }
                Err(error) => {
                    self.stream = None;
                    if core::mem::take(&mut self.is_used) && is_closed(&error) {
                        // The server closed it for want of requests, in the moment of this one.
                        continue;
                    }
                    self.is_lost = true;
                    self.pause(WriteState::Away, format!("the request broke off: {error}"), None).await;
                }
            }
        }
    }

    /// Settles the batch, or what of it can be.
    fn judge(&mut self, answer: &ServerAnswer) -> BatchOutcome {
        let BatchSender { batch, outlet, bulk, reason, sink, .. } = self;
        let all = batch.records();
        let refused = match StatusVerdict::of(answer.status) {
            StatusVerdict::Taken if sink.format == BodyFormat::Elastic => batch.settle_items(outlet, bulk),
            StatusVerdict::Taken => {
                batch.settle(outlet, None);
                0
            }
            StatusVerdict::Again => {
                return BatchOutcome::Again(format!("the answer is {}", answer.status), answer.retry_after);
            }
            StatusVerdict::Refused => {
                batch.settle(outlet, Some(DropReason::Refused));
                all
            }
        };
        if refused > 0 {
            let shown = String::from_utf8_lossy(reason).replace(char::is_control, " ");
            warn!(
                "Output {}: {} records were refused, the answer is {}: {}",
                outlet.name(),
                refused,
                answer.status,
                shown
            );
        }
        if !batch.is_empty() {
            let why = format!("the answer is {}, but some items are to be sent again", answer.status);
            return BatchOutcome::Again(why, answer.retry_after);
        }
        BatchOutcome::Settled
    }

    /// Sends the batch once, and reads the answer.
    async fn request(&mut self) -> io::Result<ServerAnswer> {
        let BatchSender { batch, buffer, bulk, reason, sink, stream, .. } = self;
        while !batch.pack_on() {
            yield_now().await;
        }
        let stream = &mut **stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let (body, is_packed) = batch.bytes();
        let encoding = if is_packed { "Content-Encoding: gzip\r\n" } else { "" };
        let head = format!("{}{encoding}Content-Length: {}\r\n\r\n", sink.head, body.len());
        bulk.begin();
        reason.clear();
        let exchange = async {
            let written = async {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body).await?;
                stream.flush().await
            };
            let written = written.await;
            let mut take = |status: u16, bytes: &[u8]| {
                if sink.format == BodyFormat::Elastic && status < 300 {
                    bulk.read(bytes);
                }
                let room = reason.capacity() - reason.len();
                let _ = reason.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            };
            // Who refuses may answer before all is sent, and close.
            let answer = buffer.read(stream, &mut take).await;
            match (written, answer) {
                (Ok(()), answer) => answer,
                (Err(_), Ok(answer)) if answer.status >= 300 => Ok(ServerAnswer { closes: true, ..answer }),
                (Err(error), _) => Err(error),
            }
        };
        let late = async {
            Timer::after(Duration::from_secs(PUSH_EXCHANGE_SECONDS)).await;
            let why = format!("no answer in {PUSH_EXCHANGE_SECONDS} s");
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        };
        or(exchange, late).await
    }

    /// Waits for the next attempt; at a stop there is one at once, and then some more.
    async fn pause(&mut self, state: WriteState, why: String, after: Option<Duration>) {
        let BatchSender { outlet, uplink, .. } = self;
        uplink.note(state);
        let pause = uplink.wait(why, after.map(|time| time.clamp(RETRY_AFTER_LEAST, RETRY_AFTER_MOST)));
        if !outlet.is_stopping() {
            or(outlet.stopping(), pause).await;
        } else {
            or(pause, async {
                Timer::after(Duration::from_millis(STOPPING_PAUSE_MS)).await;
            })
            .await;
        }
    }
}

/// The times that a server may ask for.
const RETRY_AFTER_LEAST: Duration = Duration::from_millis(100);
const RETRY_AFTER_MOST: Duration = Duration::from_secs(PUSH_RETRY_AFTER_SECONDS);

/// Milliseconds between two attempts at a stop.
const STOPPING_PAUSE_MS: u64 = 250;

/// Whether a connection was closed by the other end before it answered anything.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
