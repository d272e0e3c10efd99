//! A stream that encrypts, and says that it took bytes only once the kernel has them.
//!
//! A TLS session keeps what the kernel has no room for yet, and calls it written. Records would count as
//! delivered that a connection may still lose. So here a write is over when it is flushed: until then the
//! writer comes with the same bytes again, which are in the session already.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use smol::io::{AsyncRead, AsyncWrite};

/// A stream around another one that buffers.
#[derive(Debug)]
pub(crate) struct FlushingStream<S> {
    stream: S,
    /// Bytes that the session has taken of what is to be written now.
    taken: usize,
}

impl<S> FlushingStream<S> {
    /// Around a session after its handshake.
    pub(crate) fn new(stream: S) -> Self {
        FlushingStream { stream, taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FlushingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(context, bytes)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FlushingStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            self.taken = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Poll::Ready(Ok(core::mem::take(&mut self.taken)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Waker;

    /// Takes everything at once, and has room for `room` bytes behind.
    struct Session {
        inside: Vec<u8>,
        behind: Vec<u8>,
        room: usize,
    }

    impl AsyncWrite for Session {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.inside.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let now = self.room.min(self.inside.len());
            let moved: Vec<u8> = self.inside.drain(..now).collect();
            self.behind.extend(moved);
            self.room -= now;
            if self.inside.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn bytes_count_once_they_are_out() {
        let mut context = Context::from_waker(Waker::noop());
        let mut sealed = FlushingStream::new(Session { inside: Vec::new(), behind: Vec::new(), room: 3 });
        for _ in 0..2 {
            assert!(Pin::new(&mut sealed).poll_write(&mut context, b"abcdef").is_pending());
        }
        sealed.stream.room = 9;
        let Poll::Ready(Ok(6)) = Pin::new(&mut sealed).poll_write(&mut context, b"abcdef") else {
            panic!("not written")
        };
        assert_eq!(sealed.stream.behind, b"abcdef");
        assert!(matches!(Pin::new(&mut sealed).poll_write(&mut context, b"ghi"), Poll::Ready(Ok(3))));
        assert_eq!(sealed.stream.behind, b"abcdefghi");
    }
}
