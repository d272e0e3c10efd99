//! A peer that is reached by a stream: what the outputs over TCP and Unix sockets have in common.
//!
//! A name is resolved again at each attempt, and its addresses are tried in turn. Between attempts are the
//! waits of [`Uplink`]. While a connection stands its reading side is watched, so that a peer that closes is
//! noticed at once, and what it sends is thrown away. A record that a connection broke off goes out again,
//! whole, on the next one.
//!
//! At a stop the queue is sent first, and then the stream is ended as its protocol wants it.

use crate::reasons::Reason;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::rc::Rc;

use defmt_or_log::debug;
use smol::future::yield_now;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::uplink::Uplink;
use super::{Outlet, Outlets, RunningSink, Sink, TaskContext, TaskStep, WriteState};
use crate::limits::TLS_CONNECTION_BYTES;
use crate::net::dial::{Dialled, KeepAlive, PeerAddress, connect_unix, dial};
use crate::net::timeout::in_time;
use crate::net::tls::Client;
use crate::net::tls::flush::FlushingStream;
use crate::values::Seconds;
use crate::wire::framestream::Deframer;
use crate::wire::handshake::{READY, SenderHandshake, SenderStep};

/// The words before and after the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamProtocol {
    /// Nothing.
    Bare,
    /// The handshakes of Frame Streams.
    FrameStreams,
}

/// Any byte stream.
pub(crate) trait OutputStream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> OutputStream for T {}

/// A peer, and how it is spoken to.
#[derive(Debug)]
pub(crate) struct StreamSink {
    /// Where it is.
    pub(crate) peer: PeerAddress,
    /// How a connection to it is encrypted, if it is.
    pub(crate) tls: Option<Rc<Client>>,
    /// Time to the next attempt to connect.
    pub(crate) retry: Seconds,
    /// The words before and after the records.
    pub(crate) protocol: StreamProtocol,
}

impl fmt::Display for StreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.peer, if self.tls.is_some() { ", TLS" } else { "" })
    }
}

impl Sink for StreamSink {
    fn cost(&self) -> usize {
        if self.tls.is_some() { TLS_CONNECTION_BYTES } else { 0 }
    }

    fn tls(&self) -> Option<Rc<Client>> {
        self.tls.clone()
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        Box::pin(run(outlet, &context.outlets, *self))
    }
}

/// A connection to a peer.
pub(super) async fn open(peer: &PeerAddress, tls: Option<&Client>) -> io::Result<Box<dyn OutputStream>> {
    let (host, port) = match peer {
        PeerAddress::Unix(path) => return Ok(Box::new(connect_unix(path)?)),
        PeerAddress::Tcp(host, port) => (host, *port),
    };
    Ok(match dial(host, port, tls, KeepAlive::READER).await? {
        Dialled::Plain(stream) => Box::new(stream),
        Dialled::Tls(stream) => Box::new(FlushingStream::new(*stream)),
    })
}

/// Sends records until the daemon stops, over as many connections as it takes.
async fn run(outlet: &Outlet, outlets: &Outlets, sink: StreamSink) {
    let StreamSink { peer, tls, retry, protocol } = sink;
    let mut uplink = Uplink::new(outlet, outlets, &peer, retry);
    let attempt = async || {
        let mut stream = open(&peer, tls.as_deref()).await?;
        begin(protocol, &mut stream).await.map(|()| stream)
    };
    while let Some(mut stream) = uplink.connect(attempt).await {
        let Err(error) = send(outlet, outlets, &mut stream).await else {
            return end(protocol, &mut stream).await;
        };
        outlet.rewind();
        uplink.broke_off(error).await;
    }
}

/// Sends records until nothing is queued at a stop.
///
/// # Errors
///
/// When the connection ends before that.
async fn send(outlet: &Outlet, outlets: &Outlets, stream: &mut dyn OutputStream) -> io::Result<()> {
    loop {
        let work = poll_fn(|context| {
            if let Poll::Ready(error) = watch(stream, context) {
                return Poll::Ready(Err(error));
            }
            match outlet.poll_step(context) {
                Poll::Ready(TaskStep::Write) => write(outlet, outlets, stream, context),
                Poll::Ready(work) => Poll::Ready(Ok(work)),
                Poll::Pending => flush(stream, context),
            }
        });
        if work.await? == TaskStep::End {
            return Ok(());
        }
        outlets.progressed();
        yield_now().await;
    }
}

/// Writes what the stream takes now.
fn write(
    outlet: &Outlet,
    outlets: &Outlets,
    stream: &mut dyn OutputStream,
    context: &mut Context<'_>,
) -> Poll<io::Result<TaskStep>> {
    let written = outlet.write_with(|pieces| {
        match Pin::new(&mut *stream).poll_write_vectored(context, &pieces.map(IoSlice::new)) {
            Poll::Ready(Ok(0)) => Err(Poll::Ready(io::ErrorKind::WriteZero.into())),
            Poll::Ready(result) => result.map_err(Poll::Ready),
            Poll::Pending => Err(Poll::Pending),
        }
    });
    match written {
        Ok(()) => {
            outlet.set_write_state(WriteState::Ready);
            Poll::Ready(Ok(TaskStep::Write))
        }
        Err(Poll::Ready(error)) => Poll::Ready(Err(error)),
        Err(Poll::Pending) => {
            outlet.set_write_state(WriteState::Blocked);
            outlets.progressed();
            Poll::Pending
        }
    }
}

/// Flushes, and waits on.
fn flush(stream: &mut dyn OutputStream, context: &mut Context<'_>) -> Poll<io::Result<TaskStep>> {
    match Pin::new(stream).poll_flush(context) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        _ => Poll::Pending,
    }
}

/// Reads what the peer says and forgets it; ready when it closes.
fn watch(stream: &mut dyn OutputStream, context: &mut Context<'_>) -> Poll<io::Error> {
    let mut forgotten = [0; 512];
    match Pin::new(stream).poll_read(context, &mut forgotten) {
        Poll::Ready(Ok(0)) => Poll::Ready(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed")),
        Poll::Ready(Ok(_)) => {
            // There may be more, but the records have their turn first.
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Ready(Err(error)) => Poll::Ready(error),
        Poll::Pending => Poll::Pending,
    }
}

/// Says what comes before the records.
async fn begin(protocol: StreamProtocol, stream: &mut (impl OutputStream + ?Sized)) -> io::Result<()> {
    if protocol == StreamProtocol::Bare {
        return Ok(());
    }
    in_time(async {
        let mut sender = SenderHandshake::new();
        stream.write_all(READY).await?;
        while !sender.is_started() {
            if let SenderStep::Start(start) = answer(&mut sender, stream).await? {
                stream.write_all(start).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    })
    .await
}

/// Says what comes after the records; nobody waits for a peer that does not answer.
async fn end(protocol: StreamProtocol, stream: &mut (impl OutputStream + ?Sized)) {
    let said = in_time(async {
        if protocol == StreamProtocol::FrameStreams {
            stream.write_all(crate::wire::handshake::STOP).await?;
            stream.flush().await?;
            // FINISH, or whatever it says last.
            let _ = stream.read(&mut [0; 64]).await?;
        }
        stream.close().await
    });
    if let Err(error) = said.await {
        debug!("Not ended properly: {}", error.to_string());
    }
}

/// Reads one control frame and takes it.
async fn answer(
    sender: &mut SenderHandshake,
    stream: &mut (impl OutputStream + ?Sized),
) -> io::Result<SenderStep> {
    let mut deframer = Deframer::new(0);
    let mut bytes = heapless::Vec::<u8, CONTROL_FRAME_BYTES>::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        let _ = bytes.extend_from_slice(&byte);
        let mut rest = bytes.as_slice();
        let unit = deframer.next(&mut rest).map_err(|violation| strange(violation.label()))?;
        if let Some(unit) = unit {
            return sender.on(unit).map_err(|violation| strange(violation.label()));
        }
        if bytes.is_full() {
            return Err(strange("control_length"));
        }
    }
}

/// The peer speaks another protocol, or not as it should.
fn strange(label: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no Frame Streams reader ({label})"))
}

/// Bytes of the longest control frame: escape, length, and 512 more.
const CONTROL_FRAME_BYTES: usize = 520;
