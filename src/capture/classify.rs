//! Who asks whom, as seen from this machine, and the dnstap message that says so.
//!
//! | message | query | response |
//! |---|---|---|
//! | CLIENT | to this machine | from it |
//! | RESOLVER | from this machine, RD clear | to it, RD clear |
//! | FORWARDER | from this machine, RD set | to it, RD set |
//!
//! Clients of others are clients, too: a query from a subnet of the interface to anywhere, and the response
//! to it, are CLIENT messages with that server. So a router sees those that it redirects to itself (both ways
//! bear the address of the server that was asked), and those that do not ask it.
//!
//! A response has the flag RD of its query (RFC 1035, 4.1.1), so both are of one kind and meet, referrals
//! included. Where both ends are this machine, it is its own client.

use core::net::IpAddr;

use super::{FiveTuple, Ignored};
use crate::limits::{self, IDENTITY_BYTES, SNIFFER_ADDRESSES};
use crate::sys::interfaces::Subnet;
use crate::time::Time;
use crate::wire::compose::PacketMessage;
use crate::wire::dnstap;
use crate::wire::iana::MessageType;

/// Which kinds of messages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the message of its name")]
pub(crate) struct RecordedKinds {
    pub(crate) client_query: bool,
    pub(crate) client_response: bool,
    pub(crate) resolver_query: bool,
    pub(crate) resolver_response: bool,
    pub(crate) forwarder_query: bool,
    pub(crate) forwarder_response: bool,
}

impl RecordedKinds {
    /// All of them.
    pub(crate) const EVERY: Self = RecordedKinds {
        client_query: true,
        client_response: true,
        resolver_query: true,
        resolver_response: true,
        forwarder_query: true,
        forwarder_response: true,
    };

    fn wants(self, kind: MessageType) -> bool {
        match kind {
            MessageType::CLIENT_QUERY => self.client_query,
            MessageType::CLIENT_RESPONSE => self.client_response,
            MessageType::RESOLVER_QUERY => self.resolver_query,
            MessageType::RESOLVER_RESPONSE => self.resolver_response,
            MessageType::FORWARDER_QUERY => self.forwarder_query,
            _ => self.forwarder_response,
        }
    }
}

/// Bytes of the longest data frame: a DNS message, the identity, and less than 100 beside them.
pub(super) const FRAME_BYTES: usize = (64 << 10) + IDENTITY_BYTES + 256;

/// The addresses of this machine, and room for a message.
#[derive(Debug)]
pub(super) struct Classifier {
    identity: heapless::Vec<u8, IDENTITY_BYTES>,
    records: RecordedKinds,
    local: heapless::Vec<IpAddr, SNIFFER_ADDRESSES>,
    /// The networks of the interface; on loopback and in captures none.
    subnets: heapless::Vec<Subnet, SNIFFER_ADDRESSES>,
    /// Whether every message is told as its server sees it, because nobody says which addresses are ours.
    is_server_side: bool,
    frame: Box<[u8]>,
}

impl Classifier {
    pub(crate) fn new(identity: &str, records: RecordedKinds) -> Self {
        Classifier {
            // What is beyond does not count anywhere.
            identity: identity.bytes().take(IDENTITY_BYTES).collect(),
            records,
            local: heapless::Vec::new(),
            subnets: heapless::Vec::new(),
            is_server_side: false,
            frame: limits::table(FRAME_BYTES, 0),
        }
    }

    pub(crate) fn set_local(&mut self, addresses: &[IpAddr], subnets: &[Subnet]) {
        self.local = addresses.iter().copied().take(SNIFFER_ADDRESSES).collect();
        self.subnets = subnets.iter().copied().take(SNIFFER_ADDRESSES).collect();
    }

    pub(crate) fn assume_server_side(&mut self, is_server_side: bool) {
        self.is_server_side = is_server_side;
    }

    /// Whether an address is this machine's. All of 127.0.0.0/8 is, though only one is on the interface.
    fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains(&address) || address.is_loopback()
    }

    /// Whether an address, which is not this machine's, is near: in a subnet of the interface.
    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.contains(address))
    }

    /// Hands on a DNS payload as a data frame.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn message(
        &mut self,
        tuple: FiveTuple,
        time: Option<Time>,
        payload: &[u8],
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Ignored> {
        let kind = self.kind(tuple, payload)?;
        if !self.records.wants(kind) {
            return Err(Ignored::Unwanted);
        }
        let is_query = !kind.is_response();
        let (query, response) =
            if is_query { (tuple.source, tuple.destination) } else { (tuple.destination, tuple.source) };
        let message = PacketMessage {
            identity: &self.identity,
            message_type: kind,
            protocol: tuple.protocol,
            query,
            response,
            time: time.map_or(dnstap::SentTime::default(), |time| {
                dnstap::SentTime::new(time.seconds, time.nanoseconds)
            }),
            payload,
        };
        let length = message.compose(&mut self.frame).ok_or(Ignored::Oversize)?;
        emit(self.frame.get(..length).unwrap_or_default());
        Ok(())
    }

    /// Hands on a DNS payload, or counts why not.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn message_or_count(
        &mut self,
        tuple: FiveTuple,
        time: Option<Time>,
        payload: &[u8],
        count: &dyn Fn(Ignored),
        emit: &mut dyn FnMut(&[u8]),
    ) {
        if let Err(reason) = self.message(tuple, time, payload, emit) {
            count(reason);
        }
    }

    /// The kind of a message, by its flags and its two ends.
    #[cfg_attr(for_size, optimize(speed))]
    fn kind(&self, tuple: FiveTuple, payload: &[u8]) -> Result<MessageType, Ignored> {
        const HEADER_BYTES: usize = 12;
        let Some(&[_, _, flags, ..]) = payload.first_chunk::<HEADER_BYTES>() else {
            return Err(Ignored::Short);
        };
        let (is_response, recursion_desired) = (flags & 0x80 != 0, flags & 0x01 != 0);
        let [from_here, to_here] =
            [tuple.source, tuple.destination].map(|(address, _)| self.is_local(address));
        match (is_response, recursion_desired) {
            (false, _) if to_here || self.is_server_side => Ok(MessageType::CLIENT_QUERY),
            (true, _) if from_here || self.is_server_side => Ok(MessageType::CLIENT_RESPONSE),
            (false, false) if from_here => Ok(MessageType::RESOLVER_QUERY),
            (false, true) if from_here => Ok(MessageType::FORWARDER_QUERY),
            (true, false) if to_here => Ok(MessageType::RESOLVER_RESPONSE),
            (true, true) if to_here => Ok(MessageType::FORWARDER_RESPONSE),
            (false, _) if self.is_near(tuple.source.0) => Ok(MessageType::CLIENT_QUERY),
            (true, _) if self.is_near(tuple.destination.0) => Ok(MessageType::CLIENT_RESPONSE),
            _ => Err(Ignored::Transit),
        }
    }
}
