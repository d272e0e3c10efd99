//! Workers: each takes one connection after the other from those that wait, and serves it.
//!
//! Each has its buffers from the start. [`super::admission`] decides who is served when more want to be than
//! there are workers.

use core::cell::{Cell, RefCell};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use defmt_or_log::{debug, warn};
use event_listener::{Event as Notice, listener};
use picoserve::{Router, Server};
use smol::LocalExecutor;
use smol::future::or;

use super::App;
use super::admission::{Admission, Phase, Seat, Visitor};
use super::connection::{CONFIG, Clock, HttpConnection, StreamHalves};
use super::documents::metrics_text::Snapshot;
use super::documents::pairs::PairCounts;
use super::guesses::Guesses;
use super::live::{LiveDesk, PLACE_COST};
use super::routes::Service;
use super::send_buffer::SendBuffer;
use super::stream::MaybeTls;
use crate::history;
use crate::limits::{
    HTTP_CHUNK_BYTES, HTTP_HEAD_BYTES, HTTP_LINGER_MS, HTTP_SEND_BYTES, HTTP_SLOW_SECONDS, HTTP_STOP_MS,
    table,
};
use crate::net::accept::Acceptor;
use crate::net::tls::{self, Refused};
use crate::reactor::{Async, Timer};

/// Bytes that so many workers cost, and the places of so many live readers.
pub(crate) const fn cost(workers: usize, live_readers: usize) -> usize {
    let rooms = HTTP_HEAD_BYTES + HTTP_SEND_BYTES + HTTP_CHUNK_BYTES;
    let scratch = size_of::<Snapshot>() + size_of::<PairCounts>();
    workers * (rooms + scratch + FUTURE_BYTES) + live_readers * PLACE_COST
}

/// Bytes of a worker's task at most.
const FUTURE_BYTES: usize = 8 << 10;

/// Asks the workers to stop.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Cell<bool>,
    notice: Notice,
}

impl Stop {
    /// Answers under way are sent, if that takes no longer than [`HTTP_STOP_MS`]; no more connections are
    /// taken.
    pub(crate) fn ask(&self) {
        self.asked.set(true);
        self.notice.notify(usize::MAX);
    }

    /// Waits until it was asked for, and the time for it is over.
    async fn overdue(&self) {
        self.asked().await;
        Timer::after(Duration::from_millis(HTTP_STOP_MS + HTTP_LINGER_MS)).await;
    }

    /// Waits until it is asked for.
    pub(crate) async fn asked(&self) {
        while !self.asked.get() {
            listener!(self.notice => told);
            if !self.asked.get() {
                told.await;
            }
        }
    }
}

/// Serves the API until a stop is asked for, over TLS if there is `tls`. Dropping the future ends all
/// connections at once.
pub async fn serve<'a>(
    executor: &LocalExecutor<'a>,
    listeners: Vec<TcpListener>,
    app: App<'a>,
    tls: Option<&'a tls::Server>,
) {
    let number = app.settings.workers;
    let desk = Rc::new(Desk::new(tls, number, app.settings.live_readers));
    let mut tasks = Vec::new();
    for listener in listeners {
        match Async::new(listener) {
            Ok(socket) => tasks.push(executor.spawn(admit(Rc::clone(&desk), socket, app))),
            Err(error) => return warn!("Webserver: {}", error.to_string()),
        }
    }
    let guard = Rc::clone(&desk);
    tasks.push(executor.spawn(async move { or(guard.admission.guard(), app.stop.asked()).await }));
    let workers =
        Vec::from_iter((0..number).map(|worker| executor.spawn(work(Rc::clone(&desk), worker, app))));
    let places = if history::BUILT { desk.live.places() } else { 0 };
    let attend = |place| {
        let desk = Rc::clone(&desk);
        executor.spawn(async move { desk.live.attend(place, app).await })
    };
    tasks.extend((0..places).map(attend));
    drop(desk);
    for task in tasks {
        task.await;
    }
    for worker in workers {
        worker.await;
    }
}

/// Everything the workers share.
struct Desk<'a> {
    admission: Admission,
    guesses: Guesses,
    live: LiveDesk,
    tls: Option<&'a tls::Server>,
    /// Whether the log says already that a client spoke plain text where TLS is spoken.
    met_plain: Cell<bool>,
}

impl<'a> Desk<'a> {
    fn new(tls: Option<&'a tls::Server>, workers: usize, live_readers: usize) -> Self {
        Desk {
            admission: Admission::new(workers),
            guesses: Guesses::default(),
            live: LiveDesk::new(live_readers),
            tls,
            met_plain: Cell::new(false),
        }
    }

    /// Does the TLS handshake, if TLS is spoken here; `None` when it comes to nothing.
    async fn shake(&self, stream: Async<TcpStream>, seat: &Seat) -> Option<MaybeTls> {
        let Some(tls) = self.tls else { return Some(MaybeTls::plain(stream)) };
        let shaken = async {
            // The first bytes come with the connection; who says nothing has no handshake's time.
            let _ = stream.readable().await;
            seat.enter(Phase::Handshake);
            Some(tls.accept(stream.clone()).await)
        };
        let given_up = async {
            Timer::after(Duration::from_secs(HTTP_SLOW_SECONDS)).await;
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

/// Accepts connections of one listener, as long as there is room for them to wait.
async fn admit(desk: Rc<Desk<'_>>, socket: Async<TcpListener>, app: App<'_>) {
    let acceptor = Acceptor::new("Webserver", socket);
    let accepting = async {
        loop {
            desk.admission.room_to_wait().await;
            let (stream, peer) = acceptor.accept().await;
            desk.admission.room_to_wait().await;
            desk.admission.admit(Visitor { stream, address: peer.ip().to_canonical() });
        }
    };
    or(accepting, app.stop.asked()).await;
}

/// Serves one connection after the other.
async fn work(desk: Rc<Desk<'_>>, worker: usize, app: App<'_>) {
    let Some(seat) = desk.admission.seat(worker) else { return };
    let (mut head, mut room) = (table(HTTP_HEAD_BYTES, 0), table(HTTP_CHUNK_BYTES, 0));
    let send_buffer = RefCell::new(SendBuffer::new());
    let snapshot = Box::new(RefCell::new(Snapshot::new()));
    let pairs = Box::new(RefCell::new(PairCounts::new()));
    let next = async || {
        or(async { Some(desk.admission.next(seat).await) }, async {
            app.stop.asked().await;
            None
        })
        .await
    };
    while let Some(visitor) = next().await {
        let served = async {
            if let Some(stream) = desk.shake(visitor.stream, seat).await {
                let connection = HttpConnection::new(stream, &send_buffer, &desk.admission, seat);
                let scratch = (&*snapshot, &*pairs);
                serve_connection(&connection, app, (&desk, worker), [&mut head, &mut room], scratch).await;
                if let Some(stream) = connection.into_moved() {
                    desk.live.begin(worker, stream);
                }
            }
        };
        // Who has to make room for others, or keeps a stop waiting, is dropped wherever it is.
        or(served, or(seat.evicted(), app.stop.overdue())).await;
        desk.live.give_up(worker);
        desk.admission.leave(seat);
    }
}

async fn serve_connection(
    connection: &HttpConnection<'_>,
    app: App<'_>,
    (desk, worker): (&Desk<'_>, usize),
    [head, room]: [&mut [u8]; 2],
    (snapshot, pairs): (&RefCell<Snapshot>, &RefCell<PairCounts>),
) {
    let (guesses, live) = (&desk.guesses, (&desk.live, worker));
    let room = Cell::new(room);
    let router = Router::from_service(Service { app, connection, guesses, live, snapshot, pairs, room });
    let patience = picoserve::time::Duration::from_millis(HTTP_STOP_MS);
    // However it ended, the next connection is served.
    let _ = Server::custom(&router, Clock, &CONFIG, head)
        .with_graceful_shutdown(app.stop.asked(), patience)
        .serve(StreamHalves(connection))
        .await;
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;

    #[test]
    fn a_worker_costs_no_more_than_is_said() {
        let world = World::new(&Default::default(), 1);
        let bytes = size_of_val(&work(Rc::new(Desk::new(None, 1, 4)), 0, world.app()));
        assert!((FUTURE_BYTES / 2..FUTURE_BYTES).contains(&bytes), "{bytes}");
    }
}
