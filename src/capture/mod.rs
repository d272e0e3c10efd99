//! From one packet to dnstap messages.
//!
//! ```text
//! Captured             one link-layer frame, with its time
//!   v ip               link and IP headers
//!   |- ip_reassembly   fragments of a datagram
//!   v transport        UDP, TCP
//!   |- tcp_reassembly  segments of a connection
//!   v classify         who asks whom, as seen from this machine
//! a data frame    dnstap, composed; handed to the caller
//! ```
//!
//! Nothing is allocated on the way, and nothing waits. What comes in pieces is kept in tables of fixed size;
//! an entry that has to make room for another, or that is too old, is counted. What is no DNS is counted,
//! too, by reason.
//!
//! Specified in RFC 791, RFC 8200, RFC 768, RFC 9293 and RFC 1035, 4.2. Checksums are not looked at: this
//! machine's own are filled in by the hardware, after the packet was shown to us.

mod classify;
mod flow_table;
mod ip;
mod ip_reassembly;
mod message_start;
mod pcap;
mod tcp_reassembly;
mod transport;

use core::net::IpAddr;

use crate::limits::{self, Limits};
use crate::reasons::reasons;
use crate::sys::interfaces::Subnet;
use crate::time::Time;
use crate::wire::iana::Protocol;
use classify::Classifier;
use ip::IpDatagram;
use ip_reassembly::IpReassembler;
use tcp_reassembly::TcpReassembler;
use transport::Transport;

pub(crate) use classify::RecordedKinds;
pub(crate) use pcap::is_pcap;
pub use pcap::{PcapBlock, PcapReader, Unreadable};

/// VXLAN headers that are stepped over.
const TUNNELS: usize = 2;

/// How a packet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// With an Ethernet header.
    Ethernet,
    /// With an IP header.
    Raw,
    /// With a PPP header.
    Ppp,
    /// With what follows a link header that was taken off; this is the type it gave.
    Cooked(u16),
}

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// How it begins.
    pub link: LinkLayer,
    /// When it was seen, if that is known.
    pub time: Option<Time>,
    /// Milliseconds on a clock that waits run on: the monotonic one, in a replay that of the packets.
    pub clock: u64,
    /// The packet; shorter than it was when it was cut.
    pub bytes: &'a [u8],
}

/// The messages to make of packets.
#[derive(Clone, Debug)]
pub struct DissectorSettings {
    /// Ports that carry DNS, on either side.
    pub(crate) ports: heapless::Vec<u16, { limits::SNIFFER_PORTS }>,
    /// The identity that messages get.
    pub(crate) identity: String,
    /// Which kinds of messages are made.
    pub(crate) records: RecordedKinds,
}

impl Default for DissectorSettings {
    /// Port 53, and every kind of message, as a sniffer for which nothing else is said.
    fn default() -> Self {
        DissectorSettings {
            ports: [53].into_iter().collect(),
            identity: "sniffer".to_owned(),
            records: RecordedKinds::EVERY,
        }
    }
}

/// Who speaks to whom, and by which transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FiveTuple {
    protocol: Protocol,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

impl FiveTuple {
    /// The other direction.
    fn reversed(self) -> Self {
        FiveTuple { source: self.destination, destination: self.source, ..self }
    }
}

/// The way of a packet, and what it has to remember.
#[derive(Debug)]
pub struct Dissector {
    ports: heapless::Vec<u16, { limits::SNIFFER_PORTS }>,
    classifier: Classifier,
    ip_reassembler: IpReassembler,
    tcp_reassembler: TcpReassembler,
}

reasons! {
    /// Why a packet, or a message in it, went no further.
    pub enum Ignored {
        /// Headers that contradict themselves, or end too early.
        Malformed = "malformed";
        /// Neither UDP nor TCP, or not from or to a port of DNS.
        Other = "other";
        /// Neither end is this machine, or a client near it.
        Transit = "transit";
        /// A kind of message that is not to be made.
        Unwanted = "unwanted";
        /// Fewer bytes than a DNS header has.
        Short = "short";
        /// A datagram or message longer than the tables hold.
        Oversize = "oversize";
        /// A datagram that stayed incomplete, or a fragment that overlaps another.
        Fragment = "fragment";
        /// A connection that had to make room for another.
        Connection = "connection";
        /// Part of a connection that was not seen.
        Gap = "gap";
    }
}

impl Dissector {
    /// Bytes of its tables.
    pub(crate) const fn cost(limits: &Limits) -> usize {
        IpReassembler::cost(limits) + TcpReassembler::cost(limits) + classify::FRAME_BYTES
    }

    /// A path with empty tables of the sizes that `limits` gives.
    pub fn new(settings: DissectorSettings, limits: &Limits) -> Self {
        Dissector {
            ports: settings.ports,
            classifier: Classifier::new(&settings.identity, settings.records),
            ip_reassembler: IpReassembler::new(limits),
            tcp_reassembler: TcpReassembler::new(limits),
        }
    }

    /// Which addresses are this machine's, and which are those of its clients, from now on.
    pub fn set_local(&mut self, addresses: &[IpAddr], subnets: &[Subnet]) {
        self.classifier.set_local(addresses, subnets);
    }

    /// Whether every message is told as the server's end of it sees it: where nobody says which addresses are
    /// ours.
    pub(crate) fn assume_server_side(&mut self, is_server_side: bool) {
        self.classifier.assume_server_side(is_server_side);
    }

    /// Takes a packet; hands each message that it completes to `emit`, as the payload of a data frame. What
    /// goes no further is counted in `ignored`, by the reasons of [`Ignored`].
    #[cfg_attr(for_size, optimize(speed))]
    pub fn take(&mut self, captured: Captured<'_>, ignored: &dyn Fn(Ignored), emit: &mut dyn FnMut(&[u8])) {
        self.expire(captured.clock, ignored, emit);
        if let Err(reason) = self.pass(captured, ignored, emit) {
            ignored(reason);
        }
    }

    /// The address and the MAC of the neighbour that sent a packet; `None` if it came from further away, or
    /// not over Ethernet.
    pub(crate) fn neighbour(&self, captured: &Captured<'_>) -> Option<(IpAddr, [u8; 6])> {
        let is_ethernet = captured.link == LinkLayer::Ethernet;
        let sender = if is_ethernet { ip::sender(captured.bytes) } else { None };
        sender.filter(|(address, _)| self.classifier.is_near(*address))
    }

    /// When [`expire`](Self::expire) is to be called at the latest, on the clock of the packets; `None` while
    /// nothing waits.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let deadlines = [self.tcp_reassembler.deadline(), self.ip_reassembler.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Gives up what has waited too long for its missing parts.
    pub(crate) fn expire(&mut self, clock: u64, ignored: &dyn Fn(Ignored), emit: &mut dyn FnMut(&[u8])) {
        self.ip_reassembler.expire(clock, ignored);
        let Dissector { classifier, tcp_reassembler, .. } = self;
        tcp_reassembler.expire(clock, ignored, &mut |tuple, time, payload| {
            classifier.message_or_count(tuple, time, payload, ignored, emit);
        });
    }

    /// The end of a capture: reads of what waits what can be read, counts the rest, and forgets all
    /// connections.
    pub(crate) fn finish(&mut self, clock: u64, ignored: &dyn Fn(Ignored), emit: &mut dyn FnMut(&[u8])) {
        self.ip_reassembler.finish(ignored);
        let Dissector { classifier, tcp_reassembler, .. } = self;
        tcp_reassembler.finish(clock, ignored, &mut |tuple, time, payload| {
            classifier.message_or_count(tuple, time, payload, ignored, emit);
        });
    }

    #[cfg_attr(for_size, optimize(speed))]
    fn pass(
        &mut self,
        captured: Captured<'_>,
        ignored: &dyn Fn(Ignored),
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Ignored> {
        let Dissector { ports, classifier, ip_reassembler, tcp_reassembler } = self;
        let Captured { link, time, clock, bytes } = captured;
        let mut datagram = IpDatagram::parse(link, bytes)?;
        for _ in 0..TUNNELS {
            let Some(inner) = transport::vxlan_payload(&datagram, ports) else { break };
            datagram = IpDatagram::parse(LinkLayer::Ethernet, inner)?;
        }
        if datagram.fragment.is_some() {
            let Some(whole) = ip_reassembler.take(&datagram, clock, ignored)? else { return Ok(()) };
            datagram = whole;
        }
        let segment = Transport::parse(&datagram)?;
        let tuple = segment.five_tuple(&datagram);
        if !ports.contains(&tuple.source.1) && !ports.contains(&tuple.destination.1) {
            return Err(Ignored::Other);
        }
        match segment {
            Transport::Udp { payload, .. } => classifier.message(tuple, time, payload, emit),
            Transport::Tcp(segment) => {
                tcp_reassembler.take(tuple, &segment, (time, clock), ignored, &mut |tuple, time, payload| {
                    classifier.message_or_count(tuple, time, payload, ignored, emit);
                });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
