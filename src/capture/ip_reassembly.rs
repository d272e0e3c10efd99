//! Fragments of IP datagrams, reassembled in a table of fixed size.
//!
//! ```text
//! slot  | who, number, since | which units of 8 bytes are there | 16 KiB
//! ```
//!
//! A later fragment may come before the first. An entry whose first fragment is missing is the first to make
//! room for another: the kernel lets the later fragments of everybody pass, for they have no ports. A
//! fragment that overlaps another ends its datagram (RFC 5722); one that is there already is ignored.

use core::net::IpAddr;

use super::Ignored;
use super::ip::{IpDatagram, IpFragment};
use crate::limits::{self, Limits, SNIFFER_DATAGRAM_BYTES};

/// Bytes that offsets count in.
const UNIT: usize = 8;

/// Words of the map of units.
const WORDS: usize = SNIFFER_DATAGRAM_BYTES / UNIT / 32;

/// Milliseconds an incomplete datagram is kept (RFC 8200, 4.5 has 60 s, systems have 30 s).
const TIMEOUT_MS: u64 = 30_000;

/// Datagrams of which parts are missing.
#[derive(Debug)]
pub(super) struct IpReassembler {
    slots: Box<[Option<PartialDatagram>]>,
    /// When the next of them has waited long enough, or earlier; `u64::MAX` when none is there.
    deadline: u64,
    bytes: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct PartialDatagram {
    key: FragmentKey,
    /// When its first fragment came.
    since: u64,
    /// Units that are there.
    there: [u32; WORDS],
    units: usize,
    /// Bytes of the whole, once the last fragment is there.
    length: Option<usize>,
}

/// The fields that the fragments of a datagram have in common (RFC 791, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FragmentKey {
    source: IpAddr,
    destination: IpAddr,
    /// Only IPv4's fragments all have it.
    protocol: Option<u8>,
    id: u32,
}

/// The outcome for a fragment.
enum Progress {
    Incomplete,
    Complete(usize),
}

impl IpReassembler {
    /// Bytes of the table.
    pub(crate) const fn cost(limits: &Limits) -> usize {
        limits.datagrams * (SNIFFER_DATAGRAM_BYTES + size_of::<Option<PartialDatagram>>())
    }

    pub(crate) fn new(limits: &Limits) -> Self {
        IpReassembler {
            slots: limits::table(limits.datagrams, None),
            deadline: u64::MAX,
            bytes: limits::table(limits.datagrams * SNIFFER_DATAGRAM_BYTES, 0),
        }
    }

    /// Takes a fragment; gives the datagram when it is the one that was missing. `count` counts
    /// others that made room for it.
    pub(crate) fn take(
        &mut self,
        datagram: &IpDatagram<'_>,
        clock: u64,
        count: &dyn Fn(Ignored),
    ) -> Result<Option<IpDatagram<'_>>, Ignored> {
        let Some(fragment) = datagram.fragment else { return Err(Ignored::Malformed) };
        let key = FragmentKey {
            source: datagram.source,
            destination: datagram.destination,
            protocol: datagram.source.is_ipv4().then_some(datagram.protocol),
            id: fragment.id,
        };
        let at = self.place(key, clock, count).ok_or(Ignored::Fragment)?;
        let (Some(slot), Some(room)) =
            (self.slots.get_mut(at), self.bytes.chunks_exact_mut(SNIFFER_DATAGRAM_BYTES).nth(at))
        else {
            return Err(Ignored::Fragment);
        };
        let step = match slot {
            Some(slot) => slot.put(fragment, datagram.payload, room),
            None => Err(Ignored::Fragment),
        };
        match step {
            Ok(Progress::Incomplete) => Ok(None),
            Ok(Progress::Complete(length)) => {
                *slot = None;
                let payload = room.get(..length).unwrap_or_default();
                let whole = IpDatagram { fragment: None, payload, ..*datagram };
                if whole.source.is_ipv6() { whole.step_over_extensions().map(Some) } else { Ok(Some(whole)) }
            }
            Err(reason) => {
                *slot = None;
                Err(reason)
            }
        }
    }

    /// The slot of a datagram: its own, a free one, or that of another that has to go.
    fn place(&mut self, key: FragmentKey, clock: u64, count: &dyn Fn(Ignored)) -> Option<usize> {
        let own = |slot: &Option<PartialDatagram>| slot.as_ref().is_some_and(|slot| slot.key == key);
        if let Some(at) = self.slots.iter().position(own) {
            return Some(at);
        }
        // A free one sorts first, then those without their first fragment, then the oldest.
        let worth = |slot: &Option<PartialDatagram>| slot.as_ref().map(|slot| (slot.has_first(), slot.since));
        let (at, slot) = self.slots.iter_mut().enumerate().min_by_key(|(_, slot)| worth(slot))?;
        if slot.is_some() {
            count(Ignored::Fragment);
        }
        *slot = Some(PartialDatagram { key, since: clock, there: [0; WORDS], units: 0, length: None });
        self.deadline = self.deadline.min(clock.saturating_add(TIMEOUT_MS));
        Some(at)
    }

    /// When [`expire`](Self::expire) is to be called at the latest.
    pub(crate) fn deadline(&self) -> Option<u64> {
        Some(self.deadline).filter(|deadline| *deadline < u64::MAX)
    }

    /// Gives up what has waited long enough.
    pub(crate) fn expire(&mut self, clock: u64, count: &dyn Fn(Ignored)) {
        if clock < self.deadline {
            return;
        }
        self.deadline = u64::MAX;
        for slot in &mut self.slots {
            let Some(deadline) = slot.as_ref().map(|slot| slot.since.saturating_add(TIMEOUT_MS)) else {
                continue;
            };
            if deadline <= clock {
                *slot = None;
                count(Ignored::Fragment);
            } else {
                self.deadline = self.deadline.min(deadline);
            }
        }
    }

    /// The end of a capture: counts what is incomplete, and forgets it.
    pub(crate) fn finish(&mut self, count: &dyn Fn(Ignored)) {
        self.slots.iter_mut().filter_map(Option::take).for_each(|_| count(Ignored::Fragment));
        self.deadline = u64::MAX;
    }
}

impl PartialDatagram {
    fn has_first(&self) -> bool {
        self.is_there(0)
    }

    fn is_there(&self, unit: usize) -> bool {
        self.there.get(unit / 32).is_some_and(|word| word & 1 << (unit % 32) != 0)
    }

    /// Puts a fragment into its place.
    fn put(&mut self, fragment: IpFragment, payload: &[u8], room: &mut [u8]) -> Result<Progress, Ignored> {
        let IpFragment { offset, is_last, .. } = fragment;
        let end = offset + payload.len();
        if payload.is_empty() || (!is_last && !payload.len().is_multiple_of(UNIT)) {
            return Err(Ignored::Malformed);
        }
        let place = room.get_mut(offset..end).ok_or(Ignored::Oversize)?;
        // Offsets count units of 8 bytes, so all but the last fragment are whole units, and a bit for each
        // says what is there. A fragment that is there already is a copy, as a network makes them, and
        // changes nothing: `0..16`, then `0..16` again. One that overlaps in part, as `8..24` would now, is
        // how two readers are made to see two messages; RFC 5722 forbids it.
        let units = offset / UNIT..end.div_ceil(UNIT);
        let known = units.clone().filter(|&unit| self.is_there(unit)).count();
        if known == units.len() {
            return Ok(Progress::Incomplete);
        }
        let beyond = self.length.is_some_and(|length| end > length || is_last);
        if known > 0 || beyond {
            return Err(Ignored::Fragment);
        }
        place.copy_from_slice(payload);
        for unit in units.clone() {
            if let Some(word) = self.there.get_mut(unit / 32) {
                *word |= 1 << (unit % 32);
            }
        }
        self.units += units.len();
        if is_last {
            self.length = Some(end);
        }
        match self.length {
            // Units beyond the end can be there when the last fragment came after them; then this is never
            // true.
            Some(length) if self.units == length.div_ceil(UNIT) => Ok(Progress::Complete(length)),
            _ => Ok(Progress::Incomplete),
        }
    }
}
