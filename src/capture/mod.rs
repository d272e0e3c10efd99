//! From one packet to dnstap messages.
//!
//! ```text
//! Captured        one link-layer frame, with its time
//!   v network     link and IP headers
//!   |- fragments  pieces of a datagram, put together
//!   v transport   UDP, TCP
//!   |- streams    segments of a connection, put together
//!   v direction   who asks whom, as seen from this machine
//! a data frame    dnstap, composed; handed to the caller
//! ```
//!
//! Nothing is allocated on the way, and nothing waits. What comes in pieces is kept in tables of fixed size; an
//! entry that has to make room for another, or that is too old, is counted. What is no DNS is counted, too, by
//! reason.
//!
//! Specified in RFC 791, RFC 8200, RFC 768, RFC 9293 and RFC 1035, 4.2. Checksums are not looked at: this machine's
//! own are filled in by the hardware, after the packet was shown to us.

mod classify;
mod ip;
mod ip_reassembly;
mod pcap;
mod tcp_reassembly;
mod transport;

use core::net::IpAddr;

use crate::limits::{self, Limits};
use crate::tally::Tally;
use crate::time::Time;
use classify::Direction;
use ip::Datagram;
use ip_reassembly::Fragments;
use tcp_reassembly::Streams;
use transport::Segment;

pub use classify::Records;
pub use pcap::{Container, Next, is_container};

/// How a packet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// With an Ethernet header.
    Ethernet,
    /// With an IP header.
    Raw,
    /// With what follows a link header that was taken off; this is the type it gave.
    Cooked(u16),
}

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// How it begins.
    pub link: Link,
    /// When it was seen.
    pub time: Time,
    /// The packet; shorter than it was when it was cut.
    pub octets: &'a [u8],
}

/// What the path is to make of packets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ports that carry DNS, on either side.
    pub ports: heapless::Vec<u16, { limits::SNIFFER_PORTS }>,
    /// The identity that messages get.
    pub identity: String,
    /// Which kinds of messages are made.
    pub records: Records,
}

/// Two ends of a conversation, and how they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

/// The way of a packet, and what it has to remember.
#[derive(Debug)]
pub struct Path {
    ports: heapless::Vec<u16, { limits::SNIFFER_PORTS }>,
    direction: Direction,
    fragments: Fragments,
    streams: Streams,
}

/// Why a packet, or a message in it, went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Headers that contradict themselves, or end too early.
    Malformed,
    /// Neither UDP nor TCP, or not from or to a port of DNS.
    Other,
    /// Neither end is this machine.
    Transit,
    /// A kind of message that is not to be made.
    Unwanted,
    /// Fewer octets than a DNS header has.
    Short,
    /// A datagram or message longer than the tables hold.
    Oversize,
    /// A datagram that stayed incomplete, or a fragment that overlaps another.
    Fragment,
    /// A connection that had to make room for another.
    Connection,
    /// Part of a connection that was not seen.
    Gap,
}

impl Ignored {
    /// All reasons.
    pub const ALL: [Ignored; 9] = [
        Ignored::Malformed,
        Ignored::Other,
        Ignored::Transit,
        Ignored::Unwanted,
        Ignored::Short,
        Ignored::Oversize,
        Ignored::Fragment,
        Ignored::Connection,
        Ignored::Gap,
    ];

    /// Label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Ignored::Malformed => "malformed",
            Ignored::Other => "other",
            Ignored::Transit => "transit",
            Ignored::Unwanted => "unwanted",
            Ignored::Short => "short",
            Ignored::Oversize => "oversize",
            Ignored::Fragment => "fragment",
            Ignored::Connection => "connection",
            Ignored::Gap => "gap",
        }
    }
}

impl Path {
    /// Octets of its tables.
    pub const fn cost(limits: &Limits) -> usize {
        Fragments::cost(limits) + Streams::cost(limits) + classify::FRAME_BYTES
    }

    /// A path with empty tables of the sizes that `limits` gives.
    pub fn new(settings: Settings, limits: &Limits) -> Self {
        Path {
            ports: settings.ports,
            direction: Direction::new(&settings.identity, settings.records),
            fragments: Fragments::new(limits),
            streams: Streams::new(limits),
        }
    }

    /// Which addresses are this machine's, from now on.
    pub fn set_local(&mut self, addresses: &[IpAddr]) {
        self.direction.set_local(addresses);
    }

    /// Takes every message as the server's end of it sees it: for captures of which nobody says where they were made.
    pub fn take_server_side(&mut self) {
        self.direction.take_server_side();
    }

    /// Takes a packet; hands each message that it completes to `emit`, as the payload of a data frame. What goes no
    /// further is counted in `ignored`, by the reasons of [`Ignored`].
    pub fn take(&mut self, captured: Captured<'_>, ignored: &Tally, emit: &mut dyn FnMut(&[u8])) {
        if let Err(reason) = self.pass(captured, ignored, emit) {
            ignored.count(reason.label());
        }
    }

    fn pass(
        &mut self,
        captured: Captured<'_>,
        ignored: &Tally,
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Ignored> {
        let Path { ports, direction, fragments, streams } = self;
        let count = |reason: Ignored| ignored.count(reason.label());
        let mut datagram = Datagram::parse(captured.link, captured.octets)?;
        if datagram.fragment.is_some() {
            let Some(whole) = fragments.take(&datagram, captured.time, count)? else { return Ok(()) };
            datagram = whole;
        }
        let segment = Segment::parse(&datagram)?;
        let ends = segment.ends(&datagram);
        if !ports.contains(&ends.source.1) && !ports.contains(&ends.destination.1) {
            return Err(Ignored::Other);
        }
        match segment {
            Segment::Udp { payload, .. } => direction.message(ends, false, captured.time, payload, emit),
            Segment::Tcp(segment) => {
                streams.take(ends, &segment, captured.time, &count, &mut |payload| {
                    if let Err(reason) = direction.message(ends, true, captured.time, payload, emit) {
                        count(reason);
                    }
                });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
