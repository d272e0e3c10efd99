//! Workers: each takes one connection after the other from the listener they share, and serves it.
//!
//! So there are never more connections than workers; what comes beyond waits in the kernel's backlog. Each has
//! its buffers from the start.

use core::cell::{Cell, RefCell};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use defmt_or_log::{debug, warn};
use event_listener::{Event as Notice, listener};
use picoserve::{Router, Server};
use smol::LocalExecutor;
use smol::future::or;

use super::App;
use super::connection::{CONFIG, Clock, Halves, HttpConnection};
use super::documents::metrics_text::Snapshot;
use super::routes::Service;
use super::send_buffer::SendBuffer;
use super::stream::MaybeTls;
use crate::limits::{
    HTTP_CHUNK_BYTES, HTTP_HEAD_BYTES, HTTP_SEND_BYTES, HTTP_SLOW_SECONDS, HTTP_STOP_MS, HTTP_WORKERS, table,
};
use crate::net::tls::{self, Refused};

/// Bytes that all workers cost.
pub const COST: usize = HTTP_WORKERS
    * (HTTP_HEAD_BYTES + HTTP_SEND_BYTES + HTTP_CHUNK_BYTES + size_of::<Snapshot>() + FUTURE_BYTES);

/// Bytes of a worker's task at most.
const FUTURE_BYTES: usize = 8 << 10;

/// Asks the workers to stop.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Cell<bool>,
    notice: Notice,
}

impl Stop {
    /// Answers under way are sent, if that takes no longer than [`HTTP_STOP_MS`]; no more connections are taken.
    pub fn ask(&self) {
        self.asked.set(true);
        self.notice.notify(usize::MAX);
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        while !self.asked.get() {
            listener!(self.notice => told);
            if !self.asked.get() {
                told.await;
            }
        }
    }
}

/// Serves the API until a stop is asked for, over TLS if there is `tls`. Dropping the future ends all connections at
/// once.
pub async fn serve<'a>(
    executor: &LocalExecutor<'a>,
    listener: TcpListener,
    app: App<'a>,
    tls: Option<&'a tls::Server>,
) {
    let listener = match Async::new(listener) {
        Ok(socket) => Rc::new(SharedListener::new(socket, tls)),
        Err(error) => return warn!("Webserver: {}", error.to_string()),
    };
    let workers = [(); HTTP_WORKERS].map(|()| executor.spawn(work(Rc::clone(&listener), app)));
    drop(listener);
    for worker in workers {
        worker.await;
    }
}

/// The listener, for all workers.
struct SharedListener<'a> {
    socket: Async<TcpListener>,
    tls: Option<&'a tls::Server>,
    /// Whether the log says already that connections cannot be accepted.
    complained: Cell<bool>,
    /// Whether the log says already that a client spoke plain text where TLS is spoken.
    met_plain: Cell<bool>,
}

impl<'a> SharedListener<'a> {
    fn new(socket: Async<TcpListener>, tls: Option<&'a tls::Server>) -> Self {
        SharedListener { socket, tls, complained: Cell::new(false), met_plain: Cell::new(false) }
    }

    /// Waits for a connection. After a failure the next attempt is made a second later: mostly there is no
    /// descriptor left, and connections that end give some back.
    async fn accept(&self) -> Async<TcpStream> {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    self.complained.set(false);
                    return stream;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !self.complained.replace(true) {
                        warn!("Webserver: connections cannot be accepted: {}", error.to_string());
                    }
                    Timer::after(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Does the TLS handshake, if this listener speaks TLS; none when it comes to nothing.
    async fn shake(&self, stream: Async<TcpStream>, app: App<'_>) -> Option<MaybeTls> {
        let stream = async_net::TcpStream::from(stream);
        let Some(tls) = self.tls else { return Some(MaybeTls::plain(stream)) };
        let shaken = async { Some(tls.accept(stream.clone()).await) };
        let ended = or(app.stop.asked(), async {
            Timer::after(Duration::from_secs(HTTP_SLOW_SECONDS)).await;
        });
        let given_up = async {
            ended.await;
            None
        };
        match Box::pin(or(shaken, given_up)).await? {
            Ok(tls) => return Some(MaybeTls::over_tls(stream, tls)),
            Err(Refused::Closed) => {}
            Err(Refused::Plain) if self.met_plain.replace(true) => {}
            Err(Refused::Plain) => warn!("Webserver: a client speaks plain HTTP, and this port speaks TLS"),
            Err(Refused::Handshake(error)) => debug!("Webserver: no TLS: {}", error.to_string()),
        }
        None
    }
}

/// Serves one connection after the other.
async fn work(listener: Rc<SharedListener<'_>>, app: App<'_>) {
    let (mut head, mut room) = (table(HTTP_HEAD_BYTES, 0), table(HTTP_CHUNK_BYTES, 0));
    let send_buffer = RefCell::new(SendBuffer::new());
    let snapshot = Box::new(RefCell::new(Snapshot::new()));
    let accepted = async || {
        or(async { Some(listener.accept().await) }, async {
            app.stop.asked().await;
            None
        })
        .await
    };
    while let Some(stream) = accepted().await {
        if let Some(wire) = listener.shake(stream, app).await {
            serve_connection(wire, app, [&mut head, &mut room], &send_buffer, &snapshot).await;
        }
    }
}

async fn serve_connection(
    stream: MaybeTls,
    app: App<'_>,
    [head, room]: [&mut [u8]; 2],
    send_buffer: &RefCell<SendBuffer>,
    snapshot: &RefCell<Snapshot>,
) {
    let connection = HttpConnection::new(stream, send_buffer);
    let router =
        Router::from_service(Service { app, connection: &connection, snapshot, room: Cell::new(room) });
    let patience = picoserve::time::Duration::from_millis(HTTP_STOP_MS);
    // However it ended, the next connection is served.
    let _ = Server::custom(&router, Clock, &CONFIG, head)
        .with_graceful_shutdown(app.stop.asked(), patience)
        .serve(Halves(&connection))
        .await;
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;

    #[test]
    fn a_worker_costs_no_more_than_is_said() {
        let world = World::new(&Default::default(), 1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Rc::new(SharedListener::new(Async::new(listener).unwrap(), None));
        let bytes = size_of_val(&work(listener, world.app()));
        assert!((FUTURE_BYTES / 2..FUTURE_BYTES).contains(&bytes), "{bytes}");
    }
}
