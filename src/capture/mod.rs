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
use crate::reasons::reasons;
use crate::time::Time;
use crate::wire::iana::Protocol;
use classify::Classifier;
use ip::Datagram;
use ip_reassembly::IpReassembler;
use tcp_reassembly::TcpReassembler;
use transport::Transport;

pub use classify::RecordedKinds;
pub use pcap::{PcapBlock, PcapReader, is_pcap};

/// How a packet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
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
    pub link: LinkLayer,
    /// When it was seen.
    pub time: Time,
    /// The packet; shorter than it was when it was cut.
    pub bytes: &'a [u8],
}

/// What the path is to make of packets.
#[derive(Clone, Debug)]
pub struct DissectorSettings {
    /// Ports that carry DNS, on either side.
    pub ports: heapless::Vec<u16, { limits::SNIFFER_PORTS }>,
    /// The identity that messages get.
    pub identity: String,
    /// Which kinds of messages are made.
    pub records: RecordedKinds,
}

/// Who speaks to whom, and by which transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FiveTuple {
    protocol: Protocol,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
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
        /// Neither end is this machine.
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
    pub const fn cost(limits: &Limits) -> usize {
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

    /// Which addresses are this machine's, from now on.
    pub fn set_local(&mut self, addresses: &[IpAddr]) {
        self.classifier.set_local(addresses);
    }

    /// Takes every message as the server's end of it sees it: for captures of which nobody says where they were made.
    pub fn assume_server_side(&mut self) {
        self.classifier.assume_server_side();
    }

    /// Takes a packet; hands each message that it completes to `emit`, as the payload of a data frame. What goes no
    /// further is counted in `ignored`, by the reasons of [`Ignored`].
    pub fn take(&mut self, captured: Captured<'_>, ignored: &dyn Fn(Ignored), emit: &mut dyn FnMut(&[u8])) {
        if let Err(reason) = self.pass(captured, ignored, emit) {
            ignored(reason);
        }
    }

    fn pass(
        &mut self,
        captured: Captured<'_>,
        ignored: &dyn Fn(Ignored),
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Ignored> {
        let Dissector { ports, classifier, ip_reassembler, tcp_reassembler } = self;
        let mut datagram = Datagram::parse(captured.link, captured.bytes)?;
        if datagram.fragment.is_some() {
            let Some(whole) = ip_reassembler.take(&datagram, captured.time, ignored)? else { return Ok(()) };
            datagram = whole;
        }
        let segment = Transport::parse(&datagram)?;
        let tuple = segment.five_tuple(&datagram);
        if !ports.contains(&tuple.source.1) && !ports.contains(&tuple.destination.1) {
            return Err(Ignored::Other);
        }
        match segment {
            Transport::Udp { payload, .. } => classifier.message(tuple, captured.time, payload, emit),
            Transport::Tcp(segment) => {
                tcp_reassembler.take(tuple, &segment, captured.time, ignored, &mut |payload| {
                    if let Err(reason) = classifier.message(tuple, captured.time, payload, emit) {
                        ignored(reason);
                    }
                });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
