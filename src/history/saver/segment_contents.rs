//! The contents of a segment, in their order: minutes, hours, devices, exchanges.

use crate::history::History;
use crate::history::log::ExchangeWriter;
use crate::history::saved::write_slot;
use crate::history::series::SeriesPeriod;
use crate::wire::segment::{ANEW, Output};

pub(super) const PERIODS: [SeriesPeriod; 2] = [SeriesPeriod::Day, SeriesPeriod::Month];

/// How far a segment is.
pub(super) struct SegmentContents {
    /// Slots that ended later are written.
    pub(super) since: [u64; 2],
    /// Ends of the newest ones written.
    pub(super) ends: [u64; 2],
    /// The period that is written, then the devices, then the exchanges.
    pub(super) period: usize,
    pub(super) device: usize,
    pub(super) is_whole: bool,
    pub(super) is_last: bool,
    /// Whether all of the series is still to be announced.
    pub(super) is_anew: bool,
}

impl SegmentContents {
    /// Writes as much as there is room for; `false` if there is no more.
    pub(super) fn fill(
        &mut self,
        history: &mut History,
        writer: &mut ExchangeWriter,
        out: &mut Output<'_>,
    ) -> bool {
        if core::mem::take(&mut self.is_anew) {
            out.byte(ANEW);
        }
        while let Some(period) = PERIODS.get(self.period).copied() {
            let (Some(since), Some(newest)) =
                (self.since.get_mut(self.period), self.ends.get_mut(self.period))
            else {
                return false;
            };
            for (end, slot) in history.series.ended(period, *since) {
                if !out.has_room() {
                    return true;
                }
                write_slot(out, period, end, &slot);
                (*since, *newest) = (end, (*newest).max(end));
            }
            if !out.has_room() {
                return true;
            }
            // The one that runs is written as it is: what was saved last counts.
            let running = history.series.slot(period, period.slots() - 1);
            if let Some(end) = history.series.end(period).filter(|_| running.counts != [0; 5]) {
                write_slot(out, period, end, &running);
            }
            self.period += 1;
        }
        if history.log.is_some()
            && let Some(next) = history.devices.write_saved(self.device, self.is_whole, out)
        {
            self.device = next;
            return true;
        }
        self.device = usize::MAX;
        history.log.as_ref().is_some_and(|log| log.write_saved(writer, self.is_last, out))
    }
}
