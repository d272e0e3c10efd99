//! A connection's bytes, over TLS or as they are.
//!
//! picoserve reads and writes through two halves at once, so what they share is borrowed for one poll at a
//! time.

use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use smol::io::{AsyncRead, AsyncWrite};

use super::send_buffer::SendBuffer;
use crate::net::tls::ServerStream;
use crate::reactor::Async;

/// An accepted connection, after its TLS handshake if there is one.
pub(crate) struct MaybeTls {
    socket: Async<TcpStream>,
    tls: Option<RefCell<Box<ServerStream>>>,
}

impl MaybeTls {
    /// Bytes as they are.
    pub(crate) fn plain(stream: Async<TcpStream>) -> Self {
        MaybeTls::new(stream, None)
    }

    /// Bytes over TLS; `stream` is the same socket.
    pub(crate) fn over_tls(stream: Async<TcpStream>, tls: ServerStream) -> Self {
        MaybeTls::new(stream, Some(RefCell::new(Box::new(tls))))
    }

    fn new(socket: Async<TcpStream>, tls: Option<RefCell<Box<ServerStream>>>) -> Self {
        // Answers leave in whole pieces, so waiting for more only costs time. Works without, too.
        let _ = socket.get_ref().set_nodelay(true);
        MaybeTls { socket, tls }
    }

    /// Reads; 0 when the peer sends no more.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(tls) = &self.tls else { return Pin::new(&mut &self.socket).poll_read(context, buffer) };
        Pin::new(&mut **tls.borrow_mut()).poll_read(context, buffer).map(|read| match read {
            // Gone without a word (close_notify), as many do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        })
    }

    /// Writes the two parts, one after the other, as far as there is room.
    pub(super) fn poll_write(&self, context: &mut Context<'_>, parts: [&[u8]; 2]) -> Poll<io::Result<usize>> {
        let parts = parts.map(io::IoSlice::new);
        match &self.tls {
            None => Pin::new(&mut &self.socket).poll_write_vectored(context, &parts),
            Some(tls) => Pin::new(&mut **tls.borrow_mut()).poll_write_vectored(context, &parts),
        }
    }

    /// Hands everything written to the kernel.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => Pin::new(&mut **tls.borrow_mut()).poll_flush(context),
        }
    }

    /// Has the kernel give up a peer that acknowledges nothing for so long (`TCP_USER_TIMEOUT`).
    pub(super) fn give_up_after(&self, patience: Duration) {
        let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        // Works without, too, only later.
        let _ = setsockopt(self.socket.get_ref(), sockopt::TcpUserTimeout, &milliseconds);
    }

    /// Tells the peer that no more will come.
    pub(crate) async fn end(&self) -> io::Result<()> {
        match &self.tls {
            None => self.socket.get_ref().shutdown(Shutdown::Write),
            Some(tls) => poll_fn(|context| Pin::new(&mut **tls.borrow_mut()).poll_close(context)).await,
        }
    }

    /// Reads what still comes, whatever it means.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) async fn discard(&self, buffer: &RefCell<SendBuffer>) -> io::Result<usize> {
        self.socket.read_with(|mut stream| stream.read(buffer.borrow_mut().scratch())).await
    }

    /// Reads what is there already, whatever it means; tells how much.
    pub(crate) fn discard_now(&self, buffer: &RefCell<SendBuffer>) -> usize {
        self.socket.get_ref().read(buffer.borrow_mut().scratch()).unwrap_or(0)
    }
}
