//! A table of flows of fixed size: found by their five-tuple, forgotten by their age.
//!
//! ```text
//! buckets   | 7 | - | 2 | ...            the first entry whose hash falls there
//! entries   | flow, next of its bucket, older, newer | ...
//! by age    oldest -> ... -> newest      one list through all entries
//! ```
//!
//! A segment costs one hash and a step or two along a bucket, whatever the size of the table; so does the
//! choice of the flow that makes room for another, which is always the oldest. Entries that were never used
//! are the oldest at first. The hash has a random seed, so nobody outside can choose connections that fall
//! into one bucket.

use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;

use super::FiveTuple;
use crate::limits;

/// No entry.
const NONE: u32 = u32::MAX;

/// Flows by their five-tuples.
#[derive(Debug)]
pub(super) struct FlowTable<T> {
    hasher: foldhash::quality::RandomState,
    /// The first entry of each chain; their number is a power of two.
    buckets: Box<[u32]>,
    entries: Box<[FlowEntry<T>]>,
    oldest: u32,
    newest: u32,
}

/// A place for a flow.
#[derive(Clone, Debug)]
struct FlowEntry<T> {
    flow: Option<(FiveTuple, T)>,
    /// Where it is chained; of no meaning without a flow.
    bucket: u32,
    next: u32,
    older: u32,
    newer: u32,
}

impl<T: Clone> FlowTable<T> {
    /// Bytes of a table for that many flows.
    pub(crate) const fn cost(flows: usize) -> usize {
        flows * size_of::<FlowEntry<T>>() + flows.next_power_of_two() * size_of::<u32>()
    }

    /// An empty table for that many flows, at least one.
    pub(crate) fn new(flows: usize) -> Self {
        let last = flows.saturating_sub(1) as u32;
        let empty = FlowEntry { flow: None, bucket: 0, next: NONE, older: NONE, newer: NONE };
        let mut entries = limits::table(flows, empty);
        for (at, entry) in (0u32..).zip(&mut entries) {
            entry.older = at.checked_sub(1).unwrap_or(NONE);
            entry.newer = if at < last { at + 1 } else { NONE };
        }
        FlowTable {
            hasher: foldhash::quality::RandomState::default(),
            buckets: limits::table(flows.next_power_of_two(), NONE),
            entries,
            oldest: 0,
            newest: last,
        }
    }

    /// Where a flow is, if it is known.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn find(&self, tuple: &FiveTuple) -> Option<u32> {
        let mut at = *self.buckets.get(self.bucket(tuple) as usize)?;
        while let Some(entry) = self.entry(at) {
            if entry.flow.as_ref().is_some_and(|(known, _)| known == tuple) {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// The place that the next new flow will take, with the flow that will be forgotten for it.
    pub(crate) fn oldest(&self) -> (u32, Option<&T>) {
        (self.oldest, self.get(self.oldest))
    }

    /// Puts a flow into the oldest place, which becomes the newest, and gives that place.
    pub(crate) fn insert(&mut self, tuple: FiveTuple, flow: T) -> u32 {
        let at = self.oldest;
        self.unchain(at);
        let bucket = self.bucket(&tuple);
        let first = self.buckets.get_mut(bucket as usize).map_or(NONE, |first| core::mem::replace(first, at));
        if let Some(entry) = self.entry_mut(at) {
            (entry.flow, entry.bucket, entry.next) = (Some((tuple, flow)), bucket, first);
        }
        self.make_newest(at);
        at
    }

    /// Forgets all flows.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill(NONE);
        for entry in &mut self.entries {
            (entry.flow, entry.next) = (None, NONE);
        }
    }

    /// The flow at a place.
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.entry(at)?.flow.as_ref().map(|(_, flow)| flow)
    }

    /// The flow at a place, to change it.
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.entry_mut(at)?.flow.as_mut().map(|(_, flow)| flow)
    }

    /// Who speaks to whom in the flow at a place.
    pub(crate) fn tuple(&self, at: u32) -> Option<FiveTuple> {
        self.entry(at)?.flow.as_ref().map(|(tuple, _)| *tuple)
    }

    /// Makes a flow the last to be forgotten.
    pub(crate) fn make_newest(&mut self, at: u32) {
        if self.newest == at {
            return;
        }
        self.unlink(at);
        let last = core::mem::replace(&mut self.newest, at);
        if let Some(entry) = self.entry_mut(last) {
            entry.newer = at;
        }
        if let Some(entry) = self.entry_mut(at) {
            (entry.older, entry.newer) = (last, NONE);
        }
        if self.oldest == NONE {
            self.oldest = at;
        }
    }

    /// Makes a flow the first to be forgotten.
    pub(crate) fn make_oldest(&mut self, at: u32) {
        if self.oldest == at {
            return;
        }
        self.unlink(at);
        let first = core::mem::replace(&mut self.oldest, at);
        if let Some(entry) = self.entry_mut(first) {
            entry.older = at;
        }
        if let Some(entry) = self.entry_mut(at) {
            (entry.older, entry.newer) = (NONE, first);
        }
        if self.newest == NONE {
            self.newest = at;
        }
    }

    /// Takes an entry out of the list by age.
    fn unlink(&mut self, at: u32) {
        let Some((older, newer)) = self.entry(at).map(|entry| (entry.older, entry.newer)) else { return };
        match self.entry_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.entry_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }

    /// Takes an entry out of the chain of its bucket.
    fn unchain(&mut self, at: u32) {
        let Some(entry) = self.entry(at).filter(|entry| entry.flow.is_some()) else { return };
        let (bucket, next) = (entry.bucket, entry.next);
        let Some(first) = self.buckets.get_mut(bucket as usize) else { return };
        if *first == at {
            *first = next;
            return;
        }
        let mut before = *first;
        while let Some(entry) = self.entry_mut(before) {
            if entry.next == at {
                entry.next = next;
                return;
            }
            before = entry.next;
        }
    }

    fn entry(&self, at: u32) -> Option<&FlowEntry<T>> {
        self.entries.get(at as usize)
    }

    fn entry_mut(&mut self, at: u32) -> Option<&mut FlowEntry<T>> {
        self.entries.get_mut(at as usize)
    }

    fn bucket(&self, tuple: &FiveTuple) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        for (address, _) in [tuple.source, tuple.destination] {
            match address {
                IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
            }
        }
        hasher.write_u32(u32::from(tuple.source.1) << 16 | u32::from(tuple.destination.1));
        hasher.finish() as u32 & (self.buckets.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::iana::Protocol;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn tuple(port: u16) -> FiveTuple {
        let address = IpAddr::from([192, 0, 2, 1]);
        FiveTuple { protocol: Protocol::TCP, source: (address, port), destination: (address, 53) }
    }

    proptest! {
        /// Whatever is done, the table finds what a list that is kept by age has.
        #[test]
        fn a_table_is_a_list_by_age(
            flows in 1usize..9,
            steps in proptest::collection::vec((0u16..12, 0u8..3), 0..200),
        ) {
            let mut table = FlowTable::new(flows);
            let mut list: VecDeque<u16> = VecDeque::new();
            let mut stale = flows;
            for (port, step) in steps {
                match (table.find(&tuple(port)), step) {
                    (None, _) => {
                        prop_assert!(!list.contains(&port));
                        let (_, forgotten) = table.oldest();
                        prop_assert_eq!(forgotten.copied(), if stale == 0 { list.pop_front() } else { None });
                        stale = stale.saturating_sub(1);
                        let at = table.insert(tuple(port), port);
                        prop_assert_eq!(table.tuple(at), Some(tuple(port)));
                        list.push_back(port);
                    }
                    (Some(at), 0) => {
                        prop_assert_eq!(table.get(at), Some(&port));
                        table.make_newest(at);
                        list.retain(|known| *known != port);
                        list.push_back(port);
                    }
                    (Some(at), 1) if stale == 0 => {
                        table.make_oldest(at);
                        list.retain(|known| *known != port);
                        list.push_front(port);
                    }
                    (Some(_), _) => {}
                }
                for port in 0..12 {
                    prop_assert_eq!(table.find(&tuple(port)).is_some(), list.contains(&port));
                }
            }
            table.clear();
            prop_assert!((0..12).all(|port| table.find(&tuple(port)).is_none()));
        }
    }
}
