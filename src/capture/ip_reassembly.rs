//! Fragments of IP datagrams, reassembled in a table of fixed size.
//!
//! ```text
//! slot  | who, number, since | which units of 8 bytes are there | 16 KiB
//! ```
//!
//! A later fragment may come before the first. An entry whose first fragment is missing is the first to make room
//! for another: the kernel lets the later fragments of everybody pass, for they have no ports. A fragment that
//! overlaps another ends its datagram (RFC 5722); one that is there already is ignored.

use core::net::IpAddr;

use super::Ignored;
use super::ip::{Datagram, Fragment};
use crate::limits::{self, Limits, SNIFFER_DATAGRAM_BYTES};
use crate::time::Time;

/// Bytes that offsets count in.
const UNIT: usize = 8;

/// Words of the map of units.
const WORDS: usize = SNIFFER_DATAGRAM_BYTES / UNIT / 32;

/// Seconds an incomplete datagram is kept (RFC 8200, 4.5 has 60, systems have 30).
const TIMEOUT_SECONDS: u64 = 30;

/// Datagrams of which parts are missing.
#[derive(Debug)]
pub(super) struct IpReassembler {
    slots: Box<[Option<PartialDatagram>]>,
    bytes: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct PartialDatagram {
    key: FragmentKey,
    since: Time,
    /// Units that are there.
    there: [u32; WORDS],
    units: usize,
    /// Bytes of the whole, once the last fragment is there.
    length: Option<usize>,
}

/// What the fragments of a datagram have in common (RFC 791, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FragmentKey {
    source: IpAddr,
    destination: IpAddr,
    /// Only IPv4's fragments all have it.
    protocol: Option<u8>,
    id: u32,
}

/// What became of a fragment.
enum Progress {
    Incomplete,
    Complete(usize),
}

impl IpReassembler {
    /// Bytes of the table.
    pub const fn cost(limits: &Limits) -> usize {
        limits.datagrams * (SNIFFER_DATAGRAM_BYTES + size_of::<Option<PartialDatagram>>())
    }

    pub fn new(limits: &Limits) -> Self {
        IpReassembler {
            slots: limits::table(limits.datagrams, None),
            bytes: limits::table(limits.datagrams * SNIFFER_DATAGRAM_BYTES, 0),
        }
    }

    /// Takes a fragment; gives the datagram when it is the one that was missing. `evicted` is told of others that
    /// had to go.
    pub fn take(
        &mut self,
        datagram: &Datagram<'_>,
        time: Time,
        evicted: impl Fn(Ignored),
    ) -> Result<Option<Datagram<'_>>, Ignored> {
        let Some(fragment) = datagram.fragment else { return Err(Ignored::Malformed) };
        let key = FragmentKey {
            source: datagram.source,
            destination: datagram.destination,
            protocol: datagram.source.is_ipv4().then_some(datagram.protocol),
            id: fragment.id,
        };
        let at = self.place(key, time, evicted).ok_or(Ignored::Fragment)?;
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
                let whole = Datagram { fragment: None, payload, ..*datagram };
                if whole.source.is_ipv6() { whole.step_over_extensions().map(Some) } else { Ok(Some(whole)) }
            }
            Err(reason) => {
                *slot = None;
                Err(reason)
            }
        }
    }

    /// The slot of a datagram: its own, a free one, or that of another that has to go.
    fn place(&mut self, key: FragmentKey, time: Time, evicted: impl Fn(Ignored)) -> Option<usize> {
        let own = |slot: &Option<PartialDatagram>| slot.as_ref().is_some_and(|slot| slot.key == key);
        if let Some(at) = self.slots.iter().position(own) {
            return Some(at);
        }
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|slot| time.seconds.abs_diff(slot.since.seconds) > TIMEOUT_SECONDS) {
                *slot = None;
                evicted(Ignored::Fragment);
            }
        }
        // A free one sorts first, then those without their first fragment, then the oldest.
        let worth = |slot: &Option<PartialDatagram>| slot.as_ref().map(|slot| (slot.has_first(), slot.since));
        let (at, slot) = self.slots.iter_mut().enumerate().min_by_key(|(_, slot)| worth(slot))?;
        if slot.is_some() {
            evicted(Ignored::Fragment);
        }
        *slot = Some(PartialDatagram { key, since: time, there: [0; WORDS], units: 0, length: None });
        Some(at)
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
    fn put(&mut self, fragment: Fragment, payload: &[u8], room: &mut [u8]) -> Result<Progress, Ignored> {
        let Fragment { offset, is_last, .. } = fragment;
        let end = offset + payload.len();
        if payload.is_empty() || (!is_last && !payload.len().is_multiple_of(UNIT)) {
            return Err(Ignored::Malformed);
        }
        let place = room.get_mut(offset..end).ok_or(Ignored::Oversize)?;
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
            // Units beyond the end can be there when the last fragment came after them; then this is never true.
            Some(length) if self.units == length.div_ceil(UNIT) => Ok(Progress::Complete(length)),
            _ => Ok(Progress::Incomplete),
        }
    }
}
