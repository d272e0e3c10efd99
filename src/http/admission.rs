//! Who is served when more want to be than there are workers.
//!
//! ```text
//! kernel's backlog ---> waiting room of 8 ---> 8 workers, each with a seat
//!                        |                       ^
//!                        +--- guard: ends the connection that deserves its seat least
//! ```
//!
//! While a worker is free, nothing here matters: a connection is idle as long as `limits` says. As soon as
//! somebody waits and all seats are taken, patience shrinks to a fraction, so that seats go round:
//!
//! * An answer is the last one of its connection, and a connection between two requests ends at once.
//! * A peer that brought no right credential has [`HTTP_PRESSED_MS`] for its request and for taking its
//!   answer. One that did, [`HTTP_TRUSTED_MS`], from the last byte it took on.
//! * An address with more than half of the seats loses one as soon as another address waits.
//! * Of those who wait, who has said something goes first, then whose address has the fewest seats, then who
//!   came first.
//!
//! So 16 connections that say a byte a second hold the seats for a tenth of a second each, and a scrape after
//! them waits for two tenths. An address cannot be known before its connection is accepted; hence the waiting
//! room.

use core::cell::{Cell, RefCell};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use event_listener::{Event as Notice, listener};
use smol::future::or;

use crate::limits::{HTTP_HANDSHAKE_MS, HTTP_PRESSED_MS, HTTP_TRUSTED_MS, HTTP_WAITING};
use crate::reactor::{Async, Timer};

/// The seats, and those who wait for one.
pub(super) struct Admission {
    seats: Box<[Seat]>,
    waiting: RefCell<heapless::Vec<Visitor, HTTP_WAITING>>,
    /// Somebody came to wait, or a place to wait is free.
    waiting_changed: Notice,
    /// Seats or waiting changed: the guard looks again.
    any_changed: Notice,
}

/// A connection that was accepted.
pub(super) struct Visitor {
    pub(super) stream: Async<TcpStream>,
    pub(super) address: IpAddr,
}

/// The seat of a worker.
pub(super) struct Seat {
    /// Who sits there; `None` if the worker is free.
    address: Cell<Option<IpAddr>>,
    phase: Cell<Phase>,
    /// Since when the peer is waited for.
    since: Cell<Instant>,
    /// A right credential was brought.
    is_trusted: Cell<bool>,
    is_evicted: Cell<bool>,
    evicted: Notice,
}

/// The state of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing came yet.
    Silent,
    /// TLS is being agreed on.
    Handshake,
    /// A request is read.
    Reading,
    /// An answer is sent.
    Answering,
    /// Between two requests.
    Idle,
    /// After the last answer.
    Closing,
}

impl Phase {
    /// How long a peer may keep its seat under pressure.
    fn patience(self, is_trusted: bool) -> Duration {
        Duration::from_millis(match self {
            Phase::Handshake => HTTP_HANDSHAKE_MS,
            Phase::Reading | Phase::Answering if is_trusted => HTTP_TRUSTED_MS,
            Phase::Silent | Phase::Reading | Phase::Answering => HTTP_PRESSED_MS,
            Phase::Idle | Phase::Closing => 0,
        })
    }
}

impl Admission {
    /// That many seats, all of them free.
    pub(super) fn new(seats: usize) -> Self {
        let free = |_| Seat {
            address: Cell::new(None),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            is_trusted: Cell::new(false),
            is_evicted: Cell::new(false),
            evicted: Notice::new(),
        };
        Admission {
            seats: (0..seats).map(free).collect(),
            waiting: RefCell::default(),
            waiting_changed: Notice::new(),
            any_changed: Notice::new(),
        }
    }

    /// The seat of a worker.
    pub(super) fn seat(&self, worker: usize) -> Option<&Seat> {
        self.seats.get(worker)
    }

    /// Whether somebody waits, and no seat is free.
    pub(super) fn is_pressed(&self) -> bool {
        let free = self.seats.iter().filter(|seat| seat.address.get().is_none()).count();
        self.waiting.borrow().len() > free
    }

    /// Waits until somebody more may wait.
    pub(super) async fn room_to_wait(&self) {
        while self.waiting.borrow().is_full() {
            listener!(self.waiting_changed => changed);
            if self.waiting.borrow().is_full() {
                changed.await;
            }
        }
    }

    /// Lets somebody wait.
    pub(super) fn admit(&self, visitor: Visitor) {
        // Cannot fail: there was room, and nobody else was let in since, as all is one thread.
        let _ = self.waiting.borrow_mut().push(visitor);
        self.waiting_changed.notify(usize::MAX);
        self.any_changed.notify(usize::MAX);
    }

    /// Waits for the next one to be served, and gives him the seat.
    pub(super) async fn next(&self, seat: &Seat) -> Visitor {
        loop {
            listener!(self.waiting_changed => changed);
            if let Some(visitor) = self.take() {
                seat.take(visitor.address);
                self.waiting_changed.notify(usize::MAX);
                self.any_changed.notify(usize::MAX);
                return visitor;
            }
            changed.await;
        }
    }

    /// The seat is free again.
    pub(super) fn leave(&self, seat: &Seat) {
        seat.address.set(None);
        self.any_changed.notify(usize::MAX);
    }

    /// Takes out the one who is served next.
    fn take(&self) -> Option<Visitor> {
        let mut waiting = self.waiting.borrow_mut();
        let key = |visitor: &Visitor| {
            let has_spoken = visitor.stream.get_ref().peek(&mut [0]).is_ok();
            (!has_spoken, self.seats_of(visitor.address))
        };
        let place = (0..waiting.len()).min_by_key(|&place| waiting.get(place).map(key))?;
        Some(waiting.remove(place))
    }

    /// Seats of an address.
    fn seats_of(&self, address: IpAddr) -> usize {
        self.seats.iter().filter(|seat| seat.address.get() == Some(address)).count()
    }

    /// Ends connections while others wait; for ever.
    pub(super) async fn guard(&self) {
        loop {
            listener!(self.any_changed => changed);
            match self.relieve(Instant::now()) {
                None => changed.await,
                Some(wait) => {
                    or(changed, async {
                        Timer::after(wait).await;
                    })
                    .await;
                }
            }
        }
    }

    /// Ends a connection for each that waits, if their time is up; tells after what time to look again, if
    /// ever.
    fn relieve(&self, now: Instant) -> Option<Duration> {
        let wanted = self.waiting.borrow().len();
        let coming = self.seats.iter().filter(|seat| seat.is_coming_free()).count();
        for _ in coming..wanted {
            let seat = self.worst(now)?;
            let end = seat.end_of_patience();
            if end > now && !self.is_greedy(seat) {
                return Some(end - now);
            }
            seat.evict();
        }
        None
    }

    /// The seat that goes first: of an address that has too many, else whose time is up, without credentials
    /// before with, the longest first.
    fn worst(&self, now: Instant) -> Option<&Seat> {
        let taken = self.seats.iter().filter(|seat| !seat.is_coming_free());
        taken.min_by_key(|seat| {
            let end = seat.end_of_patience();
            (!self.is_greedy(seat), end > now, seat.is_trusted.get(), end)
        })
    }

    /// Whether the address of a seat has more than half of them while another address waits.
    fn is_greedy(&self, seat: &Seat) -> bool {
        let Some(address) = seat.address.get() else { return false };
        let evicted = self
            .seats
            .iter()
            .filter(|seat| seat.address.get() == Some(address) && seat.is_evicted.get())
            .count();
        self.seats_of(address) - evicted > self.seats.len() / 2
            && self.waiting.borrow().iter().any(|visitor| visitor.address != address)
    }
}

impl Seat {
    fn take(&self, address: IpAddr) {
        self.address.set(Some(address));
        self.is_evicted.set(false);
        self.is_trusted.set(false);
        self.enter(Phase::Silent);
    }

    /// Another phase begins.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.progress();
    }

    /// A request begins, if one is not read already.
    pub(super) fn begin_request(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Reading);
        }
    }

    /// The peer did what it was waited for.
    pub(super) fn progress(&self) {
        self.since.set(Instant::now());
    }

    /// A right credential was brought.
    pub(super) fn trust(&self) {
        self.is_trusted.set(true);
    }

    /// The address of the peer.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.address.get()
    }

    fn end_of_patience(&self) -> Instant {
        self.since.get() + self.phase.get().patience(self.is_trusted.get())
    }

    fn is_coming_free(&self) -> bool {
        self.address.get().is_none() || self.is_evicted.get()
    }

    fn evict(&self) {
        self.is_evicted.set(true);
        self.evicted.notify(usize::MAX);
    }

    /// Waits until the peer has to go.
    pub(super) async fn evicted(&self) {
        while !self.is_evicted.get() {
            listener!(self.evicted => told);
            if !self.is_evicted.get() {
                told.await;
            }
        }
    }
}
