//! The hashes of a message's address and name: made once, used by every table it passes.

use core::cell::RefCell;
use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;

use super::event::Event;
use super::kinds::MessageKinds;
use crate::limits::IDENTITY_BYTES;
use crate::sys::random::{SeededState, seeded_state};
use crate::wire::iana::MessageType;
use crate::wire::name::Name;

/// Hashes of the parts of a message; `None` for what it lacks.
#[derive(Clone, Copy, Debug)]
pub struct MessageHashes<'a> {
    /// Of the sender's identity.
    pub identity: u64,
    /// Of the query address.
    pub address: Option<u64>,
    /// Of the name in lower case; 0 without a name.
    pub folded: u64,
    /// Of the exchange that the message belongs to, once it was paired; `None` without query address, port
    /// or DNS id.
    pub exchange: Option<u64>,
    /// Whether the message is of a kind whose query address is a client.
    pub is_of_client: bool,
    /// Of the query address where it is a client; `None` for the unspecified one.
    pub client: Option<u64>,
    /// The query address as it was sent, for lists of addresses; nothing that stays may have it.
    pub sent_address: Option<IpAddr>,
    /// The name as it was sent, where another one is in its place now, for filters; nothing that stays may
    /// have it.
    pub sent_name: Option<Name<'a>>,
    /// Of the name, in lower case if so configured.
    pub domain: Option<u64>,
    /// The name as it was sent; the root without one.
    pub name: Name<'a>,
}

/// Makes hashes with a seed of its own, so that nobody outside can choose names that meet in a table.
#[derive(Debug)]
pub struct MessageHasher {
    state: SeededState,
    /// Whether names are counted without regard to case.
    lowercase: bool,
    clients_of: MessageKinds,
    last: RefCell<LastIdentity>,
}

/// The identity of the last message, and its hash: the next message likely has it.
#[derive(Debug, Default)]
struct LastIdentity {
    identity: heapless::Vec<u8, IDENTITY_BYTES, u8>,
    hash: u64,
}

impl MessageHasher {
    /// A hasher that counts names in lower case or as they come, and as clients the query addresses of some
    /// kinds.
    pub(crate) fn new(lowercase: bool, clients_of: MessageKinds) -> Self {
        let state = seeded_state();
        let last = LastIdentity { hash: state.hash_one([0u8; 0].as_slice()), ..LastIdentity::default() };
        MessageHasher { state, lowercase, clients_of, last: RefCell::new(last) }
    }

    /// The hashes of a message.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn hash<'e>(&self, event: &Event<'e>) -> MessageHashes<'e> {
        let name = event.dns.question.as_ref().map(|question| question.name);
        let folded = name.map(|name| {
            let mut hasher = self.state.build_hasher();
            name.hash_folded(&mut hasher);
            hasher.finish()
        });
        let own = || name.map(|name| self.state.hash_one(name.wire_form()));
        let address = event.query.address.map(|address| self.hash_address(address));
        let is_of_client = self.is_of_client(event.message_type);
        let is_client = is_of_client && event.query.address.is_some_and(|address| !address.is_unspecified());
        MessageHashes {
            identity: self.hash_identity(event.identity),
            address,
            folded: folded.unwrap_or(0),
            exchange: None,
            is_of_client,
            client: address.filter(|_| is_client),
            sent_address: event.query.address,
            sent_name: None,
            domain: if self.lowercase { folded } else { own() },
            name: name.unwrap_or(Name::ROOT),
        }
    }

    /// The hashes of the query address, which is another one now.
    pub(crate) fn hash_address_again(&self, event: &Event<'_>, hashes: &mut MessageHashes<'_>) {
        hashes.address = event.query.address.map(|address| self.hash_address(address));
        hashes.client = hashes.address.filter(|_| hashes.client.is_some());
    }

    /// The hashes of the name, which is another one now.
    #[cold]
    pub(crate) fn hash_name_again<'e>(&self, event: &Event<'e>, hashes: &mut MessageHashes<'e>) {
        let again = self.hash(event);
        (hashes.folded, hashes.domain, hashes.name) = (again.folded, again.domain, again.name);
    }

    #[inline]
    fn hash_identity(&self, identity: &[u8]) -> u64 {
        let mut last = self.last.borrow_mut();
        if last.identity != identity {
            last.identity = heapless::Vec::from_slice(identity).unwrap_or_default();
            last.hash = self.state.hash_one(identity);
        }
        last.hash
    }

    /// The hash of an address.
    #[inline]
    pub(crate) fn hash_address(&self, address: IpAddr) -> u64 {
        let mut hasher = self.state.build_hasher();
        match address {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits()),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
        }
        hasher.finish()
    }

    /// Whether the query address of such a message is a client.
    #[inline]
    pub(crate) fn is_of_client(&self, message: MessageType) -> bool {
        self.clients_of.contain(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
    use crate::wire::dnstap::{Dnstap, Message};

    fn hashes(hasher: &MessageHasher, message_type: MessageType, address: &[u8]) -> MessageHashes<'static> {
        let message = Message { message_type, query_address: Some(address), ..Message::default() };
        let found = hasher.hash(&Event::from_dnstap(&Dnstap { message, ..Dnstap::default() }));
        MessageHashes { name: Name::ROOT, sent_name: None, ..found }
    }

    /// The router asks its upstream for others: it is not a client of its own.
    #[test]
    fn the_router_is_no_client() {
        let hasher = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS));
        for message in MessageType::ALL {
            let found = hashes(&hasher, message, &[192, 0, 2, 1]);
            let is_upstream = matches!(message.0, 3 | 4 | 7 | 8);
            assert_eq!(
                (found.is_of_client, found.client.is_some()),
                (!is_upstream, !is_upstream),
                "{message}"
            );
            assert!(found.address.is_some() && found.domain.is_none());
        }
        assert_eq!(hashes(&hasher, MessageType::CLIENT_QUERY, &[0; 4]).client, None, "unspecified");
        assert_eq!(hashes(&hasher, MessageType(99), &[192, 0, 2, 1]).client, None, "of no known kind");
    }
}
