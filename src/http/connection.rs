//! What picoserve needs from the runtime: a timer, and the two halves of a socket.
//!
//! ```text
//!                      +-------------------- HttpConnection, one for each connection ----------------------+
//! peer --- bytes ---> | ReadHalf: counts, hears nothing more after what a request may send         | ---> picoserve
//! peer <-- bytes ---- | WriteHalf: send_buffer buffer of the worker, filled by picoserve and by answers | <--- picoserve
//!                      +---------------------------------------------------------------------------+
//! ```
//!
//! * After every read and every write the other tasks get a turn: the executor has no fairness of its own.
//! * A peer that takes an answer slowly is waited for [`HTTP_SLOW_SECONDS`] in all, not for each write: the
//!   time spent waiting is added up from one read to the next.
//! * A request may send [`HTTP_HEAD_BYTES`] of head and [`HTTP_BODY_BYTES`] of body, which is read past. What is
//!   longer is not heard, and the connection ends with the answer.
//! * A connection that ends with an answer to a peer that still sends is closed in two steps, so that the answer
//!   is not lost to the reset which closing with unread bytes would send: no more from us, then up to
//!   [`HTTP_LINGER_MS`] of reading.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;
use std::time::{Duration, Instant};

use async_io::Timer;
use picoserve::io::{BaseWrite, ErrorKind, ErrorType, Read, Socket, Write};
use picoserve::mem::{BorrowedBuffer, BorrowedCursor};
use picoserve::{KeepAlive, Timeouts};
use smol::future::{or, yield_now};

use super::body_chunk::BodyChunk;
use super::content_length::LengthGuard;
use super::send_buffer::SendBuffer;
use super::stream::MaybeTls;
use crate::limits::{
    HTTP_BODY_BYTES, HTTP_HEAD_BYTES, HTTP_IDLE_SECONDS, HTTP_LINGER_MS, HTTP_SLOW_SECONDS, HTTP_TX_BYTES,
};

/// Marks our executor among the runtimes picoserve knows.
pub struct Runtime;

/// The timer of the reactor.
pub struct Clock;

impl picoserve::Timer<Runtime> for Clock {
    async fn delay(&self, duration: picoserve::time::Duration) {
        Timer::after(Duration::from_millis(duration.as_millis())).await;
    }
}

// ------------ HttpConnection ----------------------------------------------------------

/// The connection that a worker serves now.
pub struct HttpConnection<'w> {
    stream: MaybeTls,
    send_buffer: &'w RefCell<SendBuffer>,
    guard: LengthGuard,
    /// Bytes read since the last answer.
    bytes_read: Cell<usize>,
    /// Nothing is read any more.
    read_closed: Cell<bool>,
    /// Something was sent since the last read.
    answered: Cell<bool>,
    /// Nothing is sent any more.
    ended: Cell<bool>,
    /// Time spent waiting for the peer to take the answer.
    write_wait: Cell<Duration>,
}

impl<'w> HttpConnection<'w> {
    /// A connection just accepted; what a broken one left in the buffer is thrown away.
    pub fn new(stream: MaybeTls, send_buffer: &'w RefCell<SendBuffer>) -> Self {
        send_buffer.borrow_mut().clear();
        HttpConnection {
            stream,
            send_buffer,
            guard: LengthGuard::default(),
            bytes_read: Cell::new(0),
            read_closed: Cell::new(false),
            answered: Cell::new(false),
            ended: Cell::new(false),
            write_wait: Cell::new(Duration::ZERO),
        }
    }

    /// Reads nothing any more: the body of this request is refused.
    pub fn close_reading(&self) {
        self.read_closed.set(true);
    }

    /// Ends the connection: nothing more is read, nor sent.
    pub fn end(&self) {
        self.close_reading();
        self.ended.set(true);
    }

    /// Whether the connection ends.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Lets `fill` write into the free part of the send_buffer buffer; in the chunked form of RFC 9112, 7.1, when
    /// `chunked`.
    pub fn write_chunk<T>(&self, chunked: bool, fill: impl FnOnce(&mut BodyChunk<'_>) -> T) -> T {
        let mut send_buffer = self.send_buffer.borrow_mut();
        if chunked { send_buffer.append_chunk(fill) } else { send_buffer.append_plain(fill) }
    }

    /// Whether nothing is left to be sent.
    pub fn is_drained(&self) -> bool {
        self.send_buffer.borrow().pending().is_empty()
    }

    /// Writes the chunk that ends an answer.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub async fn write_last_chunk(&self) -> io::Result<()> {
        const LAST: &[u8] = b"0\r\n\r\n";
        if self.send_buffer.borrow_mut().free().len() < LAST.len() {
            self.drain().await?;
        }
        self.send_buffer.borrow_mut().append(LAST);
        Ok(())
    }

    /// Reads what the peer sends.
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes_read.get() > HTTP_HEAD_BYTES + HTTP_BODY_BYTES {
            self.close_reading();
        }
        if buffer.is_empty() || self.read_closed.get() {
            return Ok(0);
        }
        let length = poll_fn(|context| self.stream.poll_read(context, buffer)).await?;
        self.guard.pass(buffer.get_mut(..length).unwrap_or_default());
        self.bytes_read.set(self.bytes_read.get() + length);
        self.answered.set(false);
        self.write_wait.set(Duration::ZERO);
        yield_now().await;
        Ok(length)
    }

    /// Sends everything in the buffer.
    ///
    /// # Errors
    ///
    /// Those of the socket; the peer took its time; or the connection ended.
    pub async fn drain(&self) -> io::Result<()> {
        if self.ended.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.in_time(poll_fn(|context| self.poll_send(context))).await?;
        yield_now().await;
        Ok(())
    }

    /// Sends until the kernel has it all.
    fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut send_buffer = self.send_buffer.borrow_mut();
        while !send_buffer.pending().is_empty() {
            let length = ready!(self.stream.poll_write(context, send_buffer.pending()))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            send_buffer.consume(length);
            self.answered.set(true);
            self.bytes_read.set(0);
        }
        self.stream.poll_flush(context)
    }

    /// Waits for the kernel to take bytes, as long as the peer's share of time lasts.
    async fn in_time(&self, sent: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let since = Instant::now();
        let left = Duration::from_secs(HTTP_SLOW_SECONDS).saturating_sub(self.write_wait.get());
        let result = or(sent, async {
            Timer::after(left).await;
            self.answered.set(false);
            Err(io::ErrorKind::TimedOut.into())
        })
        .await;
        self.write_wait.set(self.write_wait.get() + since.elapsed());
        result
    }

    /// Sends what is left, and closes the connection so that it arrives; `more` says that the peer was not heard
    /// to the end.
    async fn close(&self, more: bool) {
        let _ = self.drain().await;
        let more = more || self.has_ended() || self.stream.discard_now(self.send_buffer) > 0;
        if !self.answered.get() {
            return;
        }
        let closed = async {
            if self.stream.end().await.is_ok() && more {
                self.discard().await;
            }
        };
        or(closed, async {
            Timer::after(Duration::from_millis(HTTP_LINGER_MS)).await;
        })
        .await;
    }

    /// Reads to the end of what the peer sends, at most as much as a request may be.
    async fn discard(&self) {
        for _ in 0..HTTP_BODY_BYTES / HTTP_TX_BYTES {
            match self.stream.discard(self.send_buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => yield_now().await,
            }
        }
    }
}

// ------------ SocketError ---------------------------------------------------------

/// An error of the socket in the form picoserve asks for.
#[derive(Debug)]
pub struct SocketError(io::Error);

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for SocketError {}

impl picoserve::io::Error for SocketError {
    fn kind(&self) -> ErrorKind {
        match self.0.kind() {
            io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        }
    }
}

// ------------ Halves --------------------------------------------------------

/// The half that hears.
pub struct ReadHalf<'a>(&'a HttpConnection<'a>);

impl ErrorType for ReadHalf<'_> {
    type Error = SocketError;
}

impl Read for ReadHalf<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.0.read(buffer).await.map_err(SocketError)
    }
}

/// The half that speaks.
pub struct WriteHalf<'a>(&'a HttpConnection<'a>);

impl ErrorType for WriteHalf<'_> {
    type Error = SocketError;
}

impl BaseWrite for WriteHalf<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.make_room().await?;
        Ok(self.0.send_buffer.borrow_mut().append(bytes))
    }

    /// Does nothing: a head waits for the body, and both leave together.
    async fn flush(&mut self) -> Result<(), SocketError> {
        Ok(())
    }
}

impl Write for WriteHalf<'_> {
    async fn write_with<F: FnOnce(BorrowedCursor<'_>) -> R, R>(
        &mut self,
        write: F,
    ) -> Result<R, SocketError> {
        self.make_room().await?;
        let mut send_buffer = self.0.send_buffer.borrow_mut();
        let mut buffer = BorrowedBuffer::new(send_buffer.free());
        let result = write(buffer.unfilled());
        let length = buffer.len();
        send_buffer.fill(length);
        Ok(result)
    }
}

impl WriteHalf<'_> {
    /// Sends what is in the buffer when it is full.
    async fn make_room(&self) -> Result<(), SocketError> {
        if self.0.send_buffer.borrow_mut().free().is_empty() {
            self.0.drain().await.map_err(SocketError)?;
        }
        Ok(())
    }
}

/// Halves halves.
pub struct Halves<'w>(pub &'w HttpConnection<'w>);

impl Socket<Runtime> for Halves<'_> {
    type Error = SocketError;
    type ReadHalf<'a>
        = ReadHalf<'a>
    where
        Self: 'a;
    type WriteHalf<'a>
        = WriteHalf<'a>
    where
        Self: 'a;

    fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self.0), WriteHalf(self.0))
    }

    async fn abort<T: picoserve::Timer<Runtime>>(
        self,
        _: &Timeouts,
        _: &T,
    ) -> Result<(), picoserve::Error<SocketError>> {
        self.0.close(true).await;
        Ok(())
    }

    async fn shutdown<T: picoserve::Timer<Runtime>>(
        self,
        _: &Timeouts,
        _: &T,
    ) -> Result<(), picoserve::Error<SocketError>> {
        self.0.close(false).await;
        Ok(())
    }
}

/// Keep-alive, and how long a peer may take.
pub const CONFIG: picoserve::Config = picoserve::Config {
    timeouts: Timeouts {
        start_read_request: picoserve::time::Duration::from_secs(HTTP_IDLE_SECONDS),
        persistent_start_read_request: picoserve::time::Duration::from_secs(HTTP_IDLE_SECONDS),
        read_request: picoserve::time::Duration::from_secs(HTTP_SLOW_SECONDS),
        write: picoserve::time::Duration::from_secs(HTTP_SLOW_SECONDS),
    },
    connection: KeepAlive::KeepAlive,
};
