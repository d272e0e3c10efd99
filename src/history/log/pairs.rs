//! The base of counts of pairs of client and name: the records since the last reset, and hashes.

use core::hash::BuildHasher;
use core::net::IpAddr;

use super::completion::copy;
use super::store::STRING_MAX;
use super::{Handle, Log, LogRecord, Position, WORD_BITS, WORDS_PER_EXCHANGE, get_word, record};
use crate::wire::name::Name;

impl Log {
    /// Counts pairs from now on.
    pub(crate) fn reset_pairs(&mut self) {
        self.pairs_since = self.end();
    }

    /// The place from which on pairs are counted.
    pub(crate) fn pairs_since(&self) -> Position {
        self.pairs_since
    }

    /// The record after a place; `None` if it has gone.
    pub(crate) fn record_at(&self, position: Position) -> Option<LogRecord<'_>> {
        let (page, word) = position.parts();
        let number = self.order_of(page)?;
        let is_record = |at: &u16| {
            let word = get_word(self.store.page(number), self.stride, *at);
            word.is_some_and(|word| word.shape() != record::EXTENSION)
        };
        let at = (word..word.saturating_add(WORDS_PER_EXCHANGE as u16)).find(is_record)?;
        self.record(Handle(page << WORD_BITS | u32::from(at)))
    }

    /// A seeded hash of a name, upper and lower case alike.
    pub(crate) fn hash_name(&self, name: Name<'_>) -> u64 {
        let mut room = [0; STRING_MAX];
        let length = copy(name.wire_form(), &mut room).len();
        let bytes = room.get_mut(..length).unwrap_or_default();
        bytes.make_ascii_lowercase();
        self.hasher.hash_one(&*bytes)
    }

    /// A seeded hash of an address.
    pub(crate) fn hash_client(&self, client: IpAddr) -> u64 {
        self.hasher.hash_one(client)
    }
}
