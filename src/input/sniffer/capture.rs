//! From the packet socket to the packet dissector.
//!
//! ```text
//! packets there? -> packet dissector -> collector, up to PACKETS_A_TURN
//!       |              no room in an output that is owed a turn: it gets its turn
//!       none: wait for packets, for word of changes, or, while the interface is away, for a while
//! ```
//!
//! Nobody who sends can be made to wait, so nothing waits longer than a turn, whatever `when-full` says: an
//! output that keeps up loses nothing, one that does not counts its drops, and what the kernel's memory did
//! not hold in the meantime the kernel counts.
//!
//! An interface that goes down or away is waited for: the socket stays, and is bound again once there is one
//! of that name. That takes no right, so it works after they were given up.

use std::io;
use std::time::{Duration, Instant};

use defmt_or_log::{debug, info, warn};
use smol::future::{or, pending, yield_now};

use super::interface::{CaptureTarget, InterfaceState};
use super::{NAME, Section};
use crate::capture::{Captured, Dissector, LinkLayer};
use crate::input::BrokenOff;
use crate::input::counters::{Connected, InputCounters};
use crate::limits::Limits;
use crate::net::reconnect::Backoff;
use crate::output::WaitPolicy;
use crate::pipeline::Collector;
use crate::reactor::Timer;
use crate::sys::packet::capture_filter::{ETHERNET_KINDS, RAW_KINDS};
use crate::sys::packet::{AsyncPacketSocket, Packet, PacketSocket};
use crate::sys::route_socket::{AsyncRouteSocket, RouteSocket};
use crate::values::Seconds;

/// A packet socket, listening.
pub(crate) struct Sniffer {
    socket: PacketSocket,
    changes: RouteSocket,
    target: CaptureTarget,
    dissector: Dissector,
}

impl Sniffer {
    /// Opens what a section names.
    ///
    /// # Errors
    ///
    /// Without CAP_NET_RAW; with an interface of a kind that is not read. One that is not there yet is waited
    /// for.
    pub(crate) fn open(section: &Section, limits: &Limits) -> io::Result<Self> {
        let target = CaptureTarget::new(section)?;
        let socket = PacketSocket::open(&target.program(), limits.ring).map_err(explain)?;
        let changes = RouteSocket::open()?;
        let bound = match target.state() {
            InterfaceState::Up(number) => socket.listen(number).map(|()| number.is_some())?,
            // It may come later, as a bridge does while a router boots.
            InterfaceState::Down | InterfaceState::Gone => false,
        };
        let kind = socket.kind()?;
        if bound && link(kind).is_none() {
            let text = format!(
                "an interface of kind {kind}; allowed: Ethernet, loopback, tun, ppp, WireGuard and what is like them"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(Sniffer { socket, changes, target, dissector: section.dissector(limits) })
    }

    /// Puts it to work.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub(crate) fn into_async(self) -> io::Result<SnifferListener> {
        let Sniffer { socket, changes, target, dissector } = self;
        if !socket.has_ring() {
            info!("Input {}: the kernel shares no memory for packets; they are read in batches", NAME);
        }
        let (socket, changes) = (socket.into_async()?, changes.into_async()?);
        Ok(SnifferListener {
            socket,
            changes,
            target,
            dissector,
            opened: Instant::now(),
            server_side_logged: false,
        })
    }
}

/// The meaning of a refused socket.
fn explain(error: io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "not permitted; reading packets takes the capability CAP_NET_RAW, which root has".to_owned()
        }
        _ => format!("the kernel gives no packet socket: {error}"),
    };
    io::Error::new(error.kind(), text)
}

/// How packets of a kind of interface begin; none for a kind that is not read.
fn link(kind: u16) -> Option<LinkLayer> {
    if ETHERNET_KINDS.contains(&kind) {
        return Some(LinkLayer::Ethernet);
    }
    RAW_KINDS.contains(&kind).then_some(LinkLayer::Raw)
}

/// A packet socket in the reactor.
pub(crate) struct SnifferListener {
    socket: AsyncPacketSocket,
    changes: AsyncRouteSocket,
    target: CaptureTarget,
    dissector: Dissector,
    /// When the clock was 0 that the dissector's waits run on.
    opened: Instant,
    /// Whether the log knows that messages are told as their server sees them.
    server_side_logged: bool,
}

/// Packets taken before others get a turn.
const PACKETS_A_TURN: u32 = 256;

/// How a turn ended.
enum CaptureTurn {
    /// There may be more.
    Busy,
    /// An output has no room, and has not had its turn.
    Full,
    /// Nothing is there.
    Idle,
}

/// Seconds to the first look for an interface that is away, beside those that word of a change asks for.
const LOOK_AGAIN: Seconds = Seconds::new(1);

/// Whether the interface is there.
enum InterfacePresence<'i> {
    /// Not looked at yet.
    Unknown,
    /// It is, and counts as a connection as long as this lives.
    Up { _connected: Connected<'i> },
    /// It is down or gone, and the log has said so.
    Away,
}

/// Takes packets, for ever.
pub(crate) async fn run(
    mut listener: SnifferListener,
    collector: &Collector<'_>,
    counters: &InputCounters,
) -> Result<(), BrokenOff> {
    let mut backoff = Backoff::new(LOOK_AGAIN);
    let mut attached = InterfacePresence::Unknown;
    listener.follow(counters, &mut attached);
    loop {
        let turn = listener.turn(collector, counters);
        counters.kernel_drops.add(u64::from(listener.socket.drops()));
        if listener.changes.take() {
            listener.follow(counters, &mut attached);
        }
        match turn {
            CaptureTurn::Busy => yield_now().await,
            CaptureTurn::Full => {
                collector.outputs().room(WaitPolicy::OneTurn).await;
                yield_now().await;
            }
            CaptureTurn::Idle => {
                let again = if matches!(attached, InterfacePresence::Up { .. }) {
                    backoff.reset();
                    None
                } else {
                    Some(backoff.wait())
                };
                let look_again = async {
                    match again {
                        Some(wait) => Timer::after(wait).await,
                        None => pending().await,
                    }
                    Ok(())
                };
                let deadline = listener.dissector.deadline();
                let give_up = async {
                    match deadline {
                        Some(clock) => Timer::at(listener.opened + Duration::from_millis(clock)).await,
                        None => pending().await,
                    }
                    Ok(())
                };
                let word = or(listener.changes.readable(), or(look_again, give_up));
                if let Err(error) = or(listener.socket.readable(), word).await {
                    warn!("Input {}: {}", NAME, error.to_string());
                    return Err(BrokenOff);
                }
                if listener.socket.take_error().is_some() || again.is_some() {
                    listener.follow(counters, &mut attached);
                }
            }
        }
    }
}

impl SnifferListener {
    /// Hands packets to the dissector, and its messages to the collector.
    fn turn(&mut self, collector: &Collector<'_>, counters: &InputCounters) -> CaptureTurn {
        let clock = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ignored = |reason| counters.ignore(reason);
        // We made the frames, so none is rejected.
        let mut emit = |frame: &[u8]| counters.count(collector.ingest(frame));
        self.dissector.expire(clock, &ignored, &mut emit);
        let history = collector.history().filter(|history| history.borrow().learns_from_frames());
        for _ in 0..PACKETS_A_TURN {
            if !collector.outputs().has_room(WaitPolicy::OneTurn) {
                return CaptureTurn::Full;
            }
            // An error is told again by `take_error`, or by the interface's state.
            let Ok(Some(Packet { kind, time, bytes })) = self.socket.next_packet() else {
                return CaptureTurn::Idle;
            };
            counters.bytes.add(bytes.len() as u64);
            let Some(link) = link(kind) else { continue };
            let captured = Captured { link, time: Some(time), clock, bytes };
            self.dissector.take(captured, &ignored, &mut emit);
            if let Some(history) = history
                && let Some((address, mac)) = self.dissector.neighbour(&captured)
            {
                let now = u32::try_from(time.seconds).unwrap_or(u32::MAX);
                history.borrow_mut().devices_mut().see_frame(address, mac, now);
            }
        }
        CaptureTurn::Busy
    }

    /// Looks at the machine's interfaces again: follows addresses, binds to what came back.
    fn follow<'i>(&mut self, counters: &'i InputCounters, attached: &mut InterfacePresence<'i>) {
        self.dissector.set_local(&self.target.local(), &self.target.subnets());
        match self.target.look_for_members() {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = self.socket.filter(&self.target.program()) {
                    warn!("Input {}: {}", NAME, error.to_string());
                }
            }
            Err(error) => debug!("Input {}: {}", NAME, error.to_string()),
        }
        let state = self.target.state();
        let is_server_side = matches!(state, InterfaceState::Up(_)) && self.target.is_unnumbered();
        self.dissector.assume_server_side(is_server_side);
        if is_server_side && !core::mem::replace(&mut self.server_side_logged, true) {
            warn!(
                "Input {}: {} has no address: messages are told as their server sees them, unless `eth-ip` says which \
                 addresses are ours",
                NAME,
                self.target.name()
            );
        }
        // Bound to what it is bound to already, nothing happens; what went away and came back is another.
        let bound = match state {
            InterfaceState::Up(number) => self.socket.listen(number).is_ok(),
            InterfaceState::Down | InterfaceState::Gone => false,
        };
        match (bound, &attached) {
            (true, InterfacePresence::Up { .. }) | (false, InterfacePresence::Away) => {}
            (true, _) => {
                for number in self.target.numbers().into_iter().filter(|_| self.target.is_promiscuous()) {
                    if let Err(error) = self.socket.make_promiscuous(number) {
                        warn!("Input {}: not promiscuous: {}", NAME, error.to_string());
                    }
                }
                info!("Input {}: listening on {}", NAME, self.target.name());
                *attached = InterfacePresence::Up { _connected: counters.connect() };
            }
            (false, _) => {
                let why = match (state, &attached) {
                    (InterfaceState::Down, _) => "down",
                    (_, InterfacePresence::Up { .. }) => "gone",
                    _ => "not there",
                };
                warn!("Input {}: {} is {}; waiting for it", NAME, self.target.name(), why);
                *attached = InterfacePresence::Away;
            }
        }
    }
}
