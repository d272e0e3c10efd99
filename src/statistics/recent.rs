//! Names and clients that were counted lately.
//!
//! Most messages bring a name and a client that one of the last messages of the stream brought, too: a query
//! and its response, a page's A and AAAA. To count a thing as different a second time changes nothing, and
//! its top-level domain stays what it is, so for them both looks are left out. What is not here any more is
//! merely looked for again.
//!
//! An entry is overwritten by the next one that falls on it. Whatever forgets distinct counts must forget
//! this, too.

use crate::limits::{RECENT_KEYS, table};

/// Keys that were counted lately; all of them are told apart by 64 bits of a seeded hash.
#[derive(Debug)]
pub(super) struct Recent {
    names: Box<[RecentName]>,
    clients: Box<[u64]>,
}

/// A name of a stream; `key == 0` is free.
#[derive(Clone, Copy, Debug, Default)]
struct RecentName {
    key: u64,
    /// Number of its top-level domain.
    tld: usize,
}

impl Recent {
    /// Bytes that it takes.
    pub(super) const COST: usize = RECENT_KEYS * (size_of::<RecentName>() + size_of::<u64>());

    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Recent { names: table(RECENT_KEYS, RecentName::default()), clients: table(RECENT_KEYS, 0) }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.names.fill(RecentName::default());
        self.clients.fill(0);
    }

    /// The top-level domain of a name of the stream at that place, if it was counted lately.
    #[inline]
    pub(super) fn tld_of(&self, hash: u64, place: usize) -> Option<usize> {
        let key = key(hash, place);
        self.names.get(slot(key)).filter(|name| name.key == key).map(|name| name.tld)
    }

    /// Remembers a name that is about to be counted.
    #[inline]
    pub(super) fn remember(&mut self, hash: u64, place: usize, tld: usize) {
        let key = key(hash, place);
        if let Some(name) = self.names.get_mut(slot(key)) {
            *name = RecentName { key, tld };
        }
    }

    /// Whether a client of the stream at that place was counted lately; now it was.
    #[inline]
    pub(super) fn holds_client(&mut self, hash: u64, place: usize) -> bool {
        let key = key(hash, place);
        self.clients.get_mut(slot(key)).is_some_and(|client| core::mem::replace(client, key) == key)
    }
}

/// A thing of one stream, never 0.
#[inline]
fn key(hash: u64, place: usize) -> u64 {
    hash.wrapping_add((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
}

#[inline]
fn slot(key: u64) -> usize {
    (key >> 32) as usize % RECENT_KEYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_known_in_its_stream_until_it_is_forgotten() {
        let mut recent = Recent::new();
        assert_eq!((recent.tld_of(7, 0), recent.holds_client(7, 0)), (None, false));
        recent.remember(7, 0, 12);
        assert_eq!((recent.tld_of(7, 0), recent.holds_client(7, 0)), (Some(12), true));
        assert_eq!((recent.tld_of(7, 1), recent.holds_client(7, 1)), (None, false), "another stream");
        recent.remember(7, 1, 5);
        recent.clear();
        assert_eq!((recent.tld_of(7, 0), recent.holds_client(7, 0)), (None, false));
        assert_eq!(recent.tld_of(0, 0), None, "a free entry");
    }
}
