//! The runtime that picoserve needs: a timer, and the two halves of a socket.
//!
//! ```text
//!                     +----------- HttpConnection, one for each connection -------------+
//! peer --- bytes ---> | ReadHalf: counts, and stops after the bytes a request may have   | ---> picoserve
//! peer <-- bytes ---- | WriteHalf: small writes wait in the send buffer for a large one  | <--- picoserve
//!                     +------------------------------------------------------------------+
//! ```
//!
//! * After every read and every write the other tasks get a turn: the executor has no fairness of its own.
//! * A peer that takes an answer slowly is waited for [`HTTP_SLOW_SECONDS`] in all, not for each write: the
//!   time spent waiting is added up from one read to the next.
//! * A request may send [`HTTP_HEAD_BYTES`] of head and [`HTTP_BODY_BYTES`] of body, which is read past.
//!   Beyond that, and from a NUL byte on, nothing is read, and the connection ends with the answer.
//! * A connection that ends with an answer to a peer that still sends is closed in two steps, so that the
//!   answer is not lost to the reset which closing with unread bytes would send: no more from us, then up to
//!   [`HTTP_LINGER_MS`] of reading.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use picoserve::io::{BaseWrite, ErrorKind, ErrorType, Read, Socket, Write};
use picoserve::mem::{BorrowedBuffer, BorrowedCursor};
use picoserve::{KeepAlive, Timeouts};
use smol::future::{or, yield_now};

use super::admission::{Admission, Phase, Seat};
use super::send_buffer::SendBuffer;
use super::stream::MaybeTls;
use crate::limits::{
    HTTP_BODY_BYTES, HTTP_HEAD_BYTES, HTTP_IDLE_SECONDS, HTTP_LINGER_MS, HTTP_SEND_BYTES, HTTP_SLOW_SECONDS,
};
use crate::reactor::Timer;

/// Marks our executor among the runtimes picoserve knows.
pub(crate) struct Runtime;

/// The timer of the reactor.
pub(crate) struct Clock;

impl picoserve::Timer<Runtime> for Clock {
    async fn delay(&self, duration: picoserve::time::Duration) {
        Timer::after(Duration::from_millis(duration.as_millis())).await;
    }
}

// ------------ HttpConnection ----------------------------------------------------------

/// The connection that a worker serves now.
pub(crate) struct HttpConnection<'w> {
    stream: MaybeTls,
    send_buffer: &'w RefCell<SendBuffer>,
    admission: &'w Admission,
    seat: &'w Seat,
    /// Bytes read since the last answer.
    bytes_read: Cell<usize>,
    /// Nothing is read any more.
    read_closed: Cell<bool>,
    /// Something was sent since the last read.
    answered: Cell<bool>,
    /// Nothing is sent any more.
    ended: Cell<bool>,
    /// The connection goes on at another place.
    moves_on: Cell<bool>,
    /// Time spent waiting for the peer to take the answer.
    write_wait: Cell<Duration>,
}

impl<'w> HttpConnection<'w> {
    /// A connection just accepted; what a broken one left in the buffer is thrown away.
    pub(crate) fn new(
        stream: MaybeTls,
        send_buffer: &'w RefCell<SendBuffer>,
        admission: &'w Admission,
        seat: &'w Seat,
    ) -> Self {
        send_buffer.borrow_mut().clear();
        seat.enter(Phase::Reading);
        HttpConnection {
            stream,
            send_buffer,
            admission,
            seat,
            bytes_read: Cell::new(0),
            read_closed: Cell::new(false),
            answered: Cell::new(false),
            ended: Cell::new(false),
            moves_on: Cell::new(false),
            write_wait: Cell::new(Duration::ZERO),
        }
    }

    /// Reads nothing any more: the body of this request is refused.
    pub(crate) fn close_reading(&self) {
        self.read_closed.set(true);
    }

    /// Ends the connection: nothing more is read, nor sent.
    pub(crate) fn end(&self) {
        self.close_reading();
        self.ended.set(true);
    }

    /// The connection goes on at another place: it is not closed when this one is done with it.
    pub(super) fn move_on(&self) {
        self.moves_on.set(true);
    }

    /// The bytes for another place, if the connection goes on there.
    pub(super) fn into_moved(self) -> Option<MaybeTls> {
        self.moves_on.get().then_some(self.stream)
    }

    /// Whether the connection ends.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Whether the connection is to end with the next answer.
    pub(super) fn is_to_end(&self) -> bool {
        self.admission.is_pressed()
    }

    /// The address of the peer.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.seat.peer()
    }

    /// The peer brought right credentials.
    pub(super) fn trust(&self) {
        self.seat.trust();
    }

    /// A request was read, and its answer begins.
    pub(super) fn begin_answer(&self) {
        self.seat.enter(Phase::Answering);
    }

    /// An answer was sent.
    pub(super) fn end_answer(&self) {
        self.seat.enter(Phase::Idle);
    }

    /// Reads what the peer sends.
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes_read.get() > HTTP_HEAD_BYTES + HTTP_BODY_BYTES {
            self.close_reading();
        }
        if buffer.is_empty() || self.read_closed.get() {
            return Ok(0);
        }
        let mut length = poll_fn(|context| self.stream.poll_read(context, buffer)).await?;
        // picoserve takes NUL bytes out of headers, which makes another value of them than a proxy in between
        // saw. A request has no use for one, so reading ends there: picoserve finds the head cut off and
        // answers 400.
        if let Some(nul) = buffer.iter().take(length).position(|&byte| byte == 0) {
            self.close_reading();
            // One that begins a request passes, since no head at all would be answered with silence.
            length = if self.bytes_read.get() == 0 { nul.max(1) } else { nul };
        }
        self.bytes_read.set(self.bytes_read.get() + length);
        self.answered.set(false);
        self.write_wait.set(Duration::ZERO);
        self.seat.begin_request();
        yield_now().await;
        Ok(length)
    }

    /// Sends everything in the buffer.
    ///
    /// # Errors
    ///
    /// Those of the socket; the peer took its time; or the connection ended.
    pub(super) async fn drain(&self) -> io::Result<()> {
        self.send_with(&[]).await.map(|_| ())
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`HttpConnection::drain`].
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let length = self.write(bytes).await?;
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes a part of `bytes`, and tells how long it was. Few bytes wait in the buffer, for what comes
    /// after them.
    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.send_buffer.borrow_mut().append(bytes) {
            return Ok(bytes.len());
        }
        self.send_with(bytes).await
    }

    /// Sends everything in the buffer, and a part of `bytes` right after it.
    async fn send_with(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut sent = 0;
        self.in_time(poll_fn(|context| self.poll_send(context, bytes, &mut sent))).await?;
        yield_now().await;
        Ok(sent)
    }

    /// Sends until the kernel has the buffer, and at least one of `bytes`, if there are any.
    fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        let mut send_buffer = self.send_buffer.borrow_mut();
        while !send_buffer.pending().is_empty() || (*sent == 0 && !bytes.is_empty()) {
            let waiting = send_buffer.pending().len();
            let length = ready!(self.stream.poll_write(context, [send_buffer.pending(), bytes]))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            send_buffer.consume(length.min(waiting));
            *sent = length.saturating_sub(waiting);
            self.answered.set(true);
            self.bytes_read.set(0);
            self.seat.progress();
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

    /// Sends what is left, and closes the connection so that it arrives; `more` says that the peer was not
    /// heard to the end.
    async fn close(&self, more: bool) {
        if self.moves_on.get() {
            return;
        }
        let _ = self.drain().await;
        self.seat.enter(Phase::Closing);
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
        for _ in 0..HTTP_BODY_BYTES / HTTP_SEND_BYTES {
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
pub(crate) struct SocketError(io::Error);

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
pub(crate) struct ReadHalf<'a>(&'a HttpConnection<'a>);

impl ErrorType for ReadHalf<'_> {
    type Error = SocketError;
}

impl Read for ReadHalf<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.0.read(buffer).await.map_err(SocketError)
    }
}

/// The half that speaks.
pub(crate) struct WriteHalf<'a>(&'a HttpConnection<'a>);

impl ErrorType for WriteHalf<'_> {
    type Error = SocketError;
}

impl BaseWrite for WriteHalf<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.0.write(bytes).await.map_err(SocketError)
    }

    /// Does nothing: a head waits for the body, and both leave together. The end of an answer is sent by
    /// whoever asked picoserve to write it.
    async fn flush(&mut self) -> Result<(), SocketError> {
        Ok(())
    }
}

impl Write for WriteHalf<'_> {
    async fn write_with<F: FnOnce(BorrowedCursor<'_>) -> R, R>(
        &mut self,
        write: F,
    ) -> Result<R, SocketError> {
        if self.0.send_buffer.borrow_mut().free().is_empty() {
            self.0.drain().await.map_err(SocketError)?;
        }
        let mut send_buffer = self.0.send_buffer.borrow_mut();
        let mut buffer = BorrowedBuffer::new(send_buffer.free());
        let result = write(buffer.unfilled());
        let length = buffer.len();
        send_buffer.fill(length);
        Ok(result)
    }
}

/// Both halves.
pub(crate) struct StreamHalves<'w>(pub(crate) &'w HttpConnection<'w>);

impl Socket<Runtime> for StreamHalves<'_> {
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
pub(crate) const CONFIG: picoserve::Config = picoserve::Config {
    timeouts: Timeouts {
        start_read_request: picoserve::time::Duration::from_secs(HTTP_IDLE_SECONDS),
        persistent_start_read_request: picoserve::time::Duration::from_secs(HTTP_IDLE_SECONDS),
        read_request: picoserve::time::Duration::from_secs(HTTP_SLOW_SECONDS),
        write: picoserve::time::Duration::from_secs(HTTP_SLOW_SECONDS),
    },
    connection: KeepAlive::KeepAlive,
};
