//! `/series`: the traffic by the minute or the hour.
//!
//! ```text
//! {"period": "hour", "step": 60, "end": 1793700000, "queries": [null, 12, ...], "responses": [...], ...}
//! ```
//!
//! Arrays begin with the oldest slot and end with the running one; a slot of which nothing is known is
//! `null`. `end` is when the running slot ends, `null` while the clock of the machine is not set.

use core::fmt::{self, Write};

use crate::decimal::{write_decimal, write_millionths};
use crate::history::series::{COUNTS, SeriesPeriod, SeriesSlot};
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument};

/// The arrays of one period.
pub(crate) struct SeriesArrays<'a> {
    app: App<'a>,
    period: SeriesPeriod,
    /// Arrays written, the opening as one; and slots of the array under way.
    arrays: usize,
    slots: usize,
}

/// Arrays after those of the counts.
const FURTHER: [&str; 3] = ["clients", "latency-p50", "latency-p95"];

impl<'a> SeriesArrays<'a> {
    /// Nothing written yet.
    pub(crate) fn new(app: App<'a>, period: SeriesPeriod) -> Self {
        SeriesArrays { app, period, arrays: 0, slots: 0 }
    }

    fn write_opening(&self, end: Option<u64>, out: &mut BodyChunk<'_>) -> fmt::Result {
        write!(
            out,
            "{{\"period\": \"{}\", \"step\": {}, \"end\": ",
            self.period.label(),
            self.period.step()
        )?;
        match end {
            Some(end) => write_decimal(out, end),
            None => out.write_str("null"),
        }
    }
}

fn write_value(array: usize, slot: &SeriesSlot, out: &mut BodyChunk<'_>) -> fmt::Result {
    if !slot.is_known {
        return out.write_str("null");
    }
    match (slot.counts.get(array), array.saturating_sub(COUNTS.len())) {
        (Some(count), _) => write_decimal(out, u64::from(*count)),
        (None, 0) => write_decimal(out, u64::from(slot.clients)),
        (None, 1) => write_millionths(out, u64::from(slot.p50)),
        (None, _) => write_millionths(out, u64::from(slot.p95)),
    }
}

impl ChunkedDocument for SeriesArrays<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let Some(history) = self.app.history() else { return Ok(()) };
        let history = history.borrow();
        let series = history.series();
        if self.arrays == 0 {
            chunk.whole(|out| self.write_opening(series.end(self.period), out))?;
            self.arrays = 1;
        }
        while let Some(name) = COUNTS.iter().chain(&FURTHER).nth(self.arrays - 1) {
            while self.slots < self.period.slots() {
                let slot = series.slot(self.period, self.slots);
                let (array, is_first) = (self.arrays - 1, self.slots == 0);
                chunk.whole(|out| {
                    if is_first {
                        write!(out, ", \"{name}\": [")?
                    } else {
                        out.write_str(", ")?
                    }
                    write_value(array, &slot, out)
                })?;
                self.slots += 1;
            }
            chunk.whole(|out| out.write_char(']'))?;
            (self.arrays, self.slots) = (self.arrays + 1, 0);
        }
        chunk.whole(|out| out.write_char('}'))
    }
}
