//! Queries to upstream servers that wait for their response, to count those that get none.
//!
//! Rows of four, as with the pairing of all messages. What must make room in a full row is
//! unknown from then on, and no timeout.

use crate::limits::{self, HEALTH_OUTSTANDING};

const WAYS: usize = 4;
const ROWS: usize = HEALTH_OUTSTANDING / WAYS;

/// Seconds for which a query waits.
const WAIT_SECONDS: i64 = 60;

/// Seconds, of which 16 bits tell the half from the future.
const LONG_SECONDS: u64 = 30_000;

/// Queries that wait.
#[derive(Debug)]
pub(crate) struct Outstanding {
    rows: Box<[[WaitingFor; WAYS]]>,
    /// When the last query was sent.
    newest: u64,
}

/// One query.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingFor {
    /// Half of its key, the row says more; 0 is free.
    key: u32,
    /// When it was sent: seconds since 1970, in 16 bits that wrap.
    sent: u16,
    /// The server, and which one it was that had this place.
    place: u8,
    generation: u8,
}

impl Outstanding {
    /// Bytes of the table.
    pub(crate) const COST: usize = HEALTH_OUTSTANDING * size_of::<WaitingFor>();

    /// No query waits.
    pub(crate) fn new() -> Self {
        Outstanding { rows: limits::table(ROWS, Default::default()), newest: 0 }
    }

    /// A query was sent at that time to the server at that place.
    #[inline]
    pub(crate) fn put(&mut self, key: u64, seconds: u64, place: u8, generation: u8) {
        let Some(row) = self.rows.get_mut((key >> 32) as usize % ROWS) else { return };
        // The same query again, else a free entry, else the oldest.
        self.newest = seconds;
        let (now, key) = (seconds as u16, half(key));
        let rank = |entry: &WaitingFor| match entry.key {
            held if held == key => u32::MAX,
            0 => u32::MAX - 1,
            _ => now.wrapping_sub(entry.sent).into(),
        };
        if let Some(entry) = row.iter_mut().max_by_key(|entry| rank(entry)) {
            *entry = WaitingFor { key, sent: now, place, generation };
        }
    }

    /// A response came.
    #[inline]
    pub(crate) fn take(&mut self, key: u64) {
        let Some(row) = self.rows.get_mut((key >> 32) as usize % ROWS) else { return };
        if let Some(entry) = row.iter_mut().find(|entry| entry.key == half(key)) {
            *entry = WaitingFor::default();
        }
    }

    /// Whether so much time lies between the last query and this one that what waits has to be given up
    /// first.
    #[inline]
    pub(crate) fn is_far(&self, seconds: u64) -> bool {
        seconds.abs_diff(self.newest) > LONG_SECONDS
    }

    /// Gives up what has waited for too long, and what was sent far ahead of now; `lost` learns of the
    /// former.
    pub(crate) fn expire(&mut self, now: u64, mut lost: impl FnMut(u8, u8)) {
        // Over longer times than 16 bits tell apart.
        let is_long = now.saturating_sub(self.newest) > LONG_SECONDS;
        let is_set_back = self.newest.saturating_sub(now) > LONG_SECONDS;
        for entry in self.rows.iter_mut().flatten().filter(|entry| entry.key != 0) {
            let waited = i64::from((now as u16).wrapping_sub(entry.sent).cast_signed());
            let is_lost = is_long || waited > WAIT_SECONDS;
            if is_lost && !is_set_back {
                lost(entry.place, entry.generation);
            }
            if is_lost || is_set_back || waited < -WAIT_SECONDS {
                *entry = WaitingFor::default();
            }
        }
    }

    /// No query waits any longer.
    pub(crate) fn reset(&mut self) {
        self.rows.fill(Default::default());
    }
}

/// The half of a key that is kept.
fn half(key: u64) -> u32 {
    (key as u32).max(1)
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
            outstanding.put(key << 40 | key, 1_000 + key, key as u8, 9);
        }
        outstanding.take(2 << 40 | 2);
        assert_eq!(lost(&mut outstanding, 1_061), []);
        assert_eq!(lost(&mut outstanding, 1_062), [(1, 9)]);
        outstanding.put(3 << 40 | 3, 1_050, 3, 9);
        assert_eq!(lost(&mut outstanding, 1_110), [], "asked again");
        assert_eq!(lost(&mut outstanding, 2_000), [(3, 9)]);
        outstanding.put(4 << 40 | 4, 9_000, 4, 9);
        assert_eq!(lost(&mut outstanding, 1_000), [], "a clock that was set back");
        assert_eq!(lost(&mut outstanding, 20_000), []);
        outstanding.put(5 << 40 | 5, 20_000, 5, 9);
        assert_eq!(lost(&mut outstanding, 20_000 + 65_536), [(5, 9)], "a long silence");
        outstanding.put(6 << 40 | 6, 1_700_000_000, 6, 9);
        assert_eq!(lost(&mut outstanding, 1_700_000_000), [], "the first of its day");
        assert!(outstanding.is_far(1_700_065_536) && !outstanding.is_far(1_700_000_100));
        assert_eq!(lost(&mut outstanding, 1_700_065_536), [(6, 9)]);
        outstanding.put(6 << 40 | 6, 100_000, 6, 9);
        assert_eq!(lost(&mut outstanding, 100_000), []);
        assert_eq!(lost(&mut outstanding, 100_000 - 65_000), [], "set back far");
    }
}
