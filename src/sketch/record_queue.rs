//! Records that wait to be written: a ring of bytes and a ring of their lengths.
//!
//! ```text
//! bytes  |..........|RRRRR|RRRRRRRR|RR|..........|     head, used
//!                     ^ taken: bytes of the first record already written
//! lengths              5     8        2
//! ```
//!
//! A record stays until its last byte was taken, so a broken connection can start it over ([`rewind`]).
//! Whole records go in and come out; a record that does not fit is refused, never cut.
//!
//! [`rewind`]: RecordQueue::rewind

use crate::copy::copy_short;
use crate::limits::{self, QUEUE_BYTES_PER_RECORD};

/// A bounded queue of records.
///
/// Invariants: `head < bytes.len()`, `used <= bytes.len()`, `taken <=` length of the first record, and the
/// lengths in use sum up to `used`.
#[derive(Debug)]
pub(crate) struct RecordQueue {
    bytes: Box<[u8]>,
    head: usize,
    used: usize,
    lengths: Box<[u32]>,
    first: usize,
    records: usize,
    taken: usize,
}

/// The queue has no room for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl RecordQueue {
    /// Bytes a queue of `capacity` bytes costs.
    pub(crate) fn cost(capacity: usize) -> usize {
        capacity + Self::records_max(capacity) * size_of::<u32>()
    }

    /// An empty queue for `capacity` bytes, and as many records as that holds at 32 bytes each.
    pub(crate) fn new(capacity: usize) -> Self {
        RecordQueue {
            bytes: limits::table(capacity.max(1), 0),
            head: 0,
            used: 0,
            lengths: limits::table(Self::records_max(capacity), 0),
            first: 0,
            records: 0,
            taken: 0,
        }
    }

    fn records_max(capacity: usize) -> usize {
        (capacity / QUEUE_BYTES_PER_RECORD).max(1)
    }

    /// Puts in one record made of `parts`.
    ///
    /// # Errors
    ///
    /// [`Full`] when it does not fit; the queue is as before.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if !self.has_room(length) {
            return Err(Full);
        }
        for part in parts {
            self.append(part);
        }
        let end = wrap(self.first + self.records, self.lengths.len());
        if let Some(slot) = self.lengths.get_mut(end) {
            *slot = u32::try_from(length).unwrap_or(u32::MAX);
        }
        self.records += 1;
        Ok(())
    }

    /// Copies `part` after what is there; the caller made sure that it fits.
    #[cfg_attr(for_size, optimize(speed))]
    fn append(&mut self, part: &[u8]) {
        let start = wrap(self.head + self.used, self.bytes.len());
        self.used += part.len();
        if let Some(room) = self.bytes.get_mut(start..start + part.len()) {
            return copy_short(room, part);
        }
        let (now, later) = part.split_at(part.len().min(self.bytes.len() - start));
        for (at, piece) in [(start, now), (0, later)] {
            if let Some(room) = self.bytes.get_mut(at..at + piece.len()) {
                room.copy_from_slice(piece);
            }
        }
    }

    /// Whether a record of `length` bytes fits.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        length <= self.bytes.len() - self.used && self.records < self.lengths.len()
    }

    /// The bytes to be written next: up to two pieces, as the ring wraps.
    pub(crate) fn pending(&self) -> [&[u8]; 2] {
        let capacity = self.bytes.len();
        let (start, left) = (wrap(self.head + self.taken, capacity), self.used - self.taken);
        let now = left.min(capacity - start);
        [
            self.bytes.get(start..start + now).unwrap_or_default(),
            self.bytes.get(..left - now).unwrap_or_default(),
        ]
    }

    /// The first record: up to two pieces, as the ring wraps.
    pub(crate) fn first(&self) -> Option<[&[u8]; 2]> {
        let length = self.first_length()?;
        let [now, later] = self.pending();
        let (first, rest) = (length.min(now.len()), length.saturating_sub(now.len()));
        Some([now.get(..first).unwrap_or_default(), later.get(..rest).unwrap_or_default()])
    }

    /// Takes out what was written, and tells how many records are thereby complete.
    pub(crate) fn take(&mut self, bytes: usize) -> u64 {
        self.taken = self.used.min(self.taken + bytes);
        let mut complete = 0;
        while let Some(length) = self.first_length().filter(|&length| length <= self.taken) {
            self.drop_first(length);
            self.taken -= length;
            complete += 1;
        }
        complete
    }

    /// Moves whole records to the end of `out`, as many as fit into `room` bytes, and tells how many.
    ///
    /// Must not follow a [`take`](RecordQueue::take) that ended inside a record, unless
    /// [`rewind`](RecordQueue::rewind) came between.
    pub(crate) fn drain_into(&mut self, out: &mut Vec<u8>, room: usize) -> u64 {
        let (mut bytes, mut at) = (0, self.first);
        for _ in 0..self.records {
            let length = self.lengths.get(at).map_or(usize::MAX, |&length| length as usize);
            if length > room - bytes {
                break;
            }
            bytes += length;
            at = wrap(at + 1, self.lengths.len());
        }
        let [now, later] = self.pending();
        let (first, rest) = (bytes.min(now.len()), bytes.saturating_sub(now.len()));
        out.extend_from_slice(now.get(..first).unwrap_or_default());
        out.extend_from_slice(later.get(..rest).unwrap_or_default());
        self.take(bytes)
    }

    /// Starts the first record over, on a new connection.
    pub(crate) fn rewind(&mut self) {
        self.taken = 0;
    }

    /// Throws all records away, and tells how many.
    pub(crate) fn clear(&mut self) -> u64 {
        let records = self.records;
        (self.head, self.used, self.first, self.records, self.taken) = (0, 0, 0, 0, 0);
        records as u64
    }

    /// Bytes there is room for in all.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Records that wait.
    #[cfg(test)]
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.used - self.taken
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of the first record.
    pub(crate) fn first_length(&self) -> Option<usize> {
        let length = self.lengths.get(self.first).filter(|_| self.records > 0)?;
        usize::try_from(*length).ok()
    }

    fn drop_first(&mut self, length: usize) {
        self.head = wrap(self.head + length, self.bytes.len());
        self.used -= length;
        self.first = wrap(self.first + 1, self.lengths.len());
        self.records -= 1;
    }
}

/// A place in a ring of that size, of less than two rounds; a division takes longer than all else here.
#[inline]
fn wrap(place: usize, size: usize) -> usize {
    if place >= size { place - size } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_record_that_does_not_fit_changes_nothing() {
        let mut queue = RecordQueue::new(64);
        queue.push(&[&[1; 30], &[2; 10]]).unwrap();
        assert_eq!(queue.push(&[&[3; 25]]), Err(Full));
        assert_eq!((queue.records(), queue.bytes()), (1, 40));
        queue.push(&[&[4; 24]]).unwrap();
        assert_eq!(queue.push(&[]), Err(Full), "room for two records only");
    }

    #[test]
    fn a_broken_connection_starts_the_record_over() {
        let mut queue = RecordQueue::new(128);
        queue.push(&[b"abc", b"\n"]).unwrap();
        queue.push(&[b"def\n"]).unwrap();
        assert_eq!(queue.take(6), 1);
        assert_eq!(queue.pending()[0], b"f\n");
        queue.rewind();
        assert_eq!(queue.pending()[0], b"def\n");
        assert_eq!(queue.take(4), 1);
        assert!(queue.is_empty());
    }

    #[test]
    fn whole_records_are_moved_around_the_end() {
        let mut queue = RecordQueue::new(128);
        queue.push(&[&[1; 60]]).unwrap();
        queue.push(&[&[2; 50]]).unwrap();
        let mut out = Vec::new();
        assert_eq!((queue.drain_into(&mut out, 59), out.len()), (0, 0), "never a part of one");
        assert_eq!((queue.drain_into(&mut out, 109), out.len()), (1, 60));
        queue.push(&[&[3; 40]]).unwrap();
        assert_eq!((queue.drain_into(&mut out, 1 << 20), out.len()), (2, 150));
        assert_eq!(out, [vec![1; 60], vec![2; 50], vec![3; 40]].concat());
        assert!(queue.is_empty());
    }

    proptest! {
        /// The queue behaves as a list of records does, however it is filled and emptied.
        #[test]
        fn it_is_a_queue(capacity in 1usize..200, steps in proptest::collection::vec((0usize..80, any::<u8>()), 0..200)) {
            let mut queue = RecordQueue::new(capacity);
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            let mut taken = 0;
            for (size, seed) in steps {
                if seed % 2 == 0 {
                    let record = vec![seed; size];
                    let (head, tail) = record.split_at(size / 3);
                    let fits = model.iter().map(Vec::len).sum::<usize>() + size <= capacity
                        && model.len() < RecordQueue::records_max(capacity);
                    prop_assert_eq!(queue.push(&[head, tail]).is_ok(), fits);
                    if fits { model.push_back(record); }
                } else {
                    let [now, later] = queue.pending();
                    let waiting: Vec<u8> = model.iter().flatten().skip(taken).copied().collect();
                    prop_assert_eq!([now, later].concat(), waiting.clone());
                    let bytes = size.min(waiting.len());
                    let mut complete = 0;
                    taken += bytes;
                    while model.front().is_some_and(|record| record.len() <= taken) {
                        taken -= model.pop_front().map_or(0, |record| record.len());
                        complete += 1;
                    }
                    prop_assert_eq!(queue.take(bytes), complete);
                }
                prop_assert_eq!(queue.records(), model.len());
            }
        }
    }
}
