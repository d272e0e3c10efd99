//! Buffers for long frames that did not come in one piece: few, lent, and taken back from who is slow.
//!
//! A frame that is longer than what a connection keeps of its own, and that a read left unfinished, needs a
//! buffer of the longest frame until its last byte comes. There are [`TAIL_BLOCKS`] of them for all
//! connections. Peers that send a byte now and then could keep all of them, and every stream with long frames
//! would stand still. So:
//!
//! * A brisk connection, which read 16 KiB within the last second or two, may take any buffer that is free.
//!   Any other leaves the last one to brisk connections, and the last but one to origins that hold none.
//! * While somebody waits, a peer that brings less than 16 KiB a second, over a second, loses its connection.
//!
//! ```text
//! free:      4          3          2                  1              0
//! may take:  everybody  everybody  origins with none  brisk ones     nobody: slow holders go
//! ```

use core::cell::RefCell;
use core::task::{Context, Waker};
use core::time::Duration;
use std::time::Instant;

use event_listener::Event as Notice;

use super::connections::{BRISK_BYTES, ConnectionLease, Origin};
use crate::limits::{self, TAIL_BLOCKS};

/// All buffers.
pub(crate) struct LargeBuffers {
    slots: [BufferSlot; TAIL_BLOCKS],
    /// Told when one is free again, and when the receive buffer is.
    pub(super) freed: Notice,
}

/// A buffer, and who has it.
struct BufferSlot {
    bytes: RefCell<Box<[u8]>>,
    holder: RefCell<Option<BufferHolder>>,
}

/// A connection with a buffer.
struct BufferHolder {
    origin: Option<Origin>,
    /// Since when its bytes are counted, and how many came.
    since: Instant,
    received: u64,
    is_slow: bool,
    waker: Option<Waker>,
}

/// Time over which a holder is judged.
const JUDGED_OVER: Duration = Duration::from_secs(1);

/// Time between two looks at the holders while somebody waits.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

impl LargeBuffers {
    /// All free, each for `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let slot =
            |_| BufferSlot { bytes: RefCell::new(limits::table(bytes, 0)), holder: RefCell::new(None) };
        LargeBuffers { slots: core::array::from_fn(slot), freed: Notice::new() }
    }

    /// Whether a connection may take one now.
    pub(crate) fn may_take(&self, lease: &ConnectionLease) -> bool {
        let free = self.slots.iter().filter(|slot| slot.holder.borrow().is_none()).count();
        match free {
            0 => false,
            1 => lease.is_brisk(),
            2 => lease.is_brisk() || !self.holds_one(lease.origin()),
            _ => true,
        }
    }

    fn holds_one(&self, origin: Option<Origin>) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.holder.borrow().as_ref().is_some_and(|holder| holder.origin == origin))
    }

    /// Takes a free one, with the beginning of a frame in it; `None` if there is none.
    pub(crate) fn take(&self, lease: &ConnectionLease, beginning: &[u8]) -> Option<LargeBuffer<'_>> {
        let slot = self.slots.iter().find(|slot| slot.holder.borrow().is_none())?;
        slot.bytes.borrow_mut().get_mut(..beginning.len())?.copy_from_slice(beginning);
        let (origin, since) = (lease.origin(), Instant::now());
        *slot.holder.borrow_mut() =
            Some(BufferHolder { origin, since, received: 0, is_slow: false, waker: None });
        Some(LargeBuffer { slot, freed: &self.freed, used: beginning.len() })
    }

    /// Looks for holders that are slow, and wakes them; to be called while somebody waits.
    pub(crate) fn judge(&self, now: Instant) {
        for slot in &self.slots {
            if let Some(holder) = &mut *slot.holder.borrow_mut() {
                holder.judge(now);
            }
        }
    }
}

impl BufferHolder {
    fn judge(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < JUDGED_OVER {
            return;
        }
        // As 16 KiB a second, over the whole time: 2 s want 32 KiB.
        let enough = u64::from(BRISK_BYTES) * u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / 1_000;
        if self.received < enough {
            self.is_slow = true;
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        } else {
            (self.since, self.received) = (now, 0);
        }
    }
}

/// A buffer with the beginning of a long frame; free again when dropped.
pub(crate) struct LargeBuffer<'a> {
    slot: &'a BufferSlot,
    freed: &'a Notice,
    /// Bytes of the frame read so far.
    used: usize,
}

impl LargeBuffer<'_> {
    /// Bytes of the frame read so far.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Whether its connection is to be closed, because others wait.
    pub(crate) fn is_slow(&self) -> bool {
        self.slot.holder.borrow().as_ref().is_some_and(|holder| holder.is_slow)
    }

    /// Hands the frame, as far as it was read, to `see`.
    pub(crate) fn with<T>(&self, see: impl FnOnce(&[u8]) -> T) -> T {
        see(self.slot.bytes.borrow().get(..self.used).unwrap_or_default())
    }

    /// Reads on by `read`, up to `wanted` bytes in all; that tells how many bytes it read, if it could.
    pub(crate) fn fill<T>(&mut self, wanted: usize, read: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        let mut bytes = self.slot.bytes.borrow_mut();
        let end = wanted.min(bytes.len());
        let (number, result) = read(bytes.get_mut(self.used..end).unwrap_or_default());
        self.used += number;
        if let Some(holder) = &mut *self.slot.holder.borrow_mut() {
            holder.received += number as u64;
        }
        result
    }

    /// Wakes this task when its connection is to be closed.
    pub(crate) fn wake_when_slow(&self, context: &Context<'_>) {
        if let Some(holder) = &mut *self.slot.holder.borrow_mut()
            && !holder.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()))
        {
            holder.waker = Some(context.waker().clone());
        }
    }
}

impl Drop for LargeBuffer<'_> {
    fn drop(&mut self) {
        *self.slot.holder.borrow_mut() = None;
        self.freed.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::ConnectionTable;
    use super::*;

    fn leases(origins: &[u32]) -> Vec<ConnectionLease> {
        let table: &'static ConnectionTable = Box::leak(Box::default());
        let group = table.group(origins.len(), origins.len());
        origins.iter().map(|&origin| group.take(Origin::Process(origin)).unwrap()).collect()
    }

    /// Four connections of one process, two of others, the last of them brisk.
    #[test]
    fn one_origin_does_not_take_all() {
        let buffers = LargeBuffers::new(2048);
        let leases = leases(&[1, 1, 1, 2, 3]);
        leases[4].note_read(BRISK_BYTES as usize);
        let take =
            |at: usize| buffers.may_take(&leases[at]).then(|| buffers.take(&leases[at], b"frame").unwrap());
        let mut held = vec![take(0).unwrap(), take(1).unwrap()];
        assert!(take(2).is_none(), "the last but one is for others");
        held.push(take(3).unwrap());
        assert!(take(3).is_none(), "the last one is for brisk ones");
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        leases[3].note_socket(&ours, false);
        std::io::Write::write_all(&mut theirs, &[0; BRISK_BYTES as usize]).unwrap();
        assert!(take(3).is_some(), "or for who waits with as much");
        held.push(take(4).unwrap());
        assert!(take(4).is_none());
        held.pop();
        assert!(take(4).is_some());
    }

    #[test]
    fn who_is_slow_while_others_wait_is_found() {
        let buffers = LargeBuffers::new(64 << 10);
        let leases = leases(&[1, 2]);
        let [mut slow, mut fast] = [0, 1].map(|at: usize| buffers.take(&leases[at], b"f").unwrap());
        let start = Instant::now();
        let read = |buffer: &mut LargeBuffer<'_>, bytes: usize| buffer.fill(usize::MAX, |_| (bytes, ()));
        read(&mut slow, 2_000);
        read(&mut fast, 17_000);
        buffers.judge(start + JUDGED_OVER / 2);
        assert!(!slow.is_slow() && !fast.is_slow());
        buffers.judge(start + JUDGED_OVER + LOOK_EVERY / 100);
        assert!(slow.is_slow() && !fast.is_slow());
        // The next second counts for itself.
        buffers.judge(start + 3 * JUDGED_OVER);
        assert!(fast.is_slow());
        assert_eq!(fast.len(), 17_001);
    }

    #[test]
    fn a_frame_is_put_together() {
        let buffers = LargeBuffers::new(2048);
        let mut buffer = buffers.take(&leases(&[1])[0], b"long ").unwrap();
        buffer.fill(8, |room| {
            assert_eq!(room.len(), 3);
            room.copy_from_slice(b"fra");
            (3, ())
        });
        buffer.with(|bytes| assert_eq!(bytes, b"long fra"));
    }
}
