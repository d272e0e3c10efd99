//! Queries to upstream servers that wait for their response, to count those that get none.
//!
//! Rows of four, as with the pairing of all messages, whose keys these are. What must make room in a full row is
//! unknown from then on, and no timeout.

use crate::limits::{self, HEALTH_OUTSTANDING};

const WAYS: usize = 4;
const ROWS: usize = HEALTH_OUTSTANDING / WAYS;

/// Seconds for which a query waits.
const WAIT_SECONDS: u64 = 60;

/// Queries that wait.
#[derive(Debug)]
pub(crate) struct Outstanding {
    rows: Box<[[WaitingFor; WAYS]]>,
}

/// One query.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingFor {
    /// 0 is free.
    key: u64,
    /// When it was sent: seconds since 1970, in 32 bits that may wrap.
    sent: u32,
    /// The server, and which one it was that had this place.
    place: u8,
    generation: u8,
}

impl Outstanding {
    /// Bytes of the table.
    pub(crate) const COST: usize = HEALTH_OUTSTANDING * size_of::<WaitingFor>();

    /// No query waits.
    pub(crate) fn new() -> Self {
        Outstanding { rows: limits::table(ROWS, Default::default()) }
    }

    /// A query was sent at that time to the server at that place.
    #[inline]
    pub(crate) fn put(&mut self, key: u64, seconds: u64, place: u8, generation: u8) {
        let Some(row) = self.rows.get_mut((key >> 32) as usize % ROWS) else { return };
        // The same query again, else a free entry, else the oldest.
        let now = seconds as u32;
        let rank = |entry: &WaitingFor| match entry.key {
            held if held == key => u32::MAX,
            0 => u32::MAX - 1,
            _ => now.wrapping_sub(entry.sent).min(u32::MAX - 2),
        };
        if let Some(entry) = row.iter_mut().max_by_key(|entry| rank(entry)) {
            *entry = WaitingFor { key, sent: now, place, generation };
        }
    }

    /// A response came.
    #[inline]
    pub(crate) fn take(&mut self, key: u64) {
        let Some(row) = self.rows.get_mut((key >> 32) as usize % ROWS) else { return };
        if let Some(entry) = row.iter_mut().find(|entry| entry.key == key) {
            *entry = WaitingFor::default();
        }
    }

    /// Gives up what has waited for too long, and what was sent far ahead of now; `lost` learns of the former.
    pub(crate) fn expire(&mut self, now: u64, mut lost: impl FnMut(u8, u8)) {
        for entry in self.rows.iter_mut().flatten().filter(|entry| entry.key != 0) {
            let waited = (now as u32).wrapping_sub(entry.sent).cast_signed();
            if i64::from(waited) > WAIT_SECONDS as i64 {
                lost(entry.place, entry.generation);
                *entry = WaitingFor::default();
            } else if i64::from(waited) < -(WAIT_SECONDS as i64) {
                *entry = WaitingFor::default();
            }
        }
    }

    /// No query waits any longer.
    pub(crate) fn reset(&mut self) {
        self.rows.fill(Default::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_in_time_is_lost_once() {
        let mut outstanding = Outstanding::new();
        let lost = |outstanding: &mut Outstanding, now| {
            let mut lost = Vec::new();
            outstanding.expire(now, |place, generation| lost.push((place, generation)));
            lost
        };
        for key in 1..=3 {
            outstanding.put(key << 40, 1_000 + key, key as u8, 9);
        }
        outstanding.take(2 << 40);
        assert_eq!(lost(&mut outstanding, 1_061), []);
        assert_eq!(lost(&mut outstanding, 1_062), [(1, 9)]);
        outstanding.put(3 << 40, 1_050, 3, 9);
        assert_eq!(lost(&mut outstanding, 1_110), [], "asked again");
        assert_eq!(lost(&mut outstanding, 2_000), [(3, 9)]);
        outstanding.put(4 << 40, 9_000, 4, 9);
        assert_eq!(lost(&mut outstanding, 1_000), [], "a clock that was set back");
        assert_eq!(lost(&mut outstanding, 20_000), []);
    }
}
