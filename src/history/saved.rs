//! Slots of the series as they are saved, and back.
//!
//! ```text
//! | 0 minute, 1 hour | end | queries, responses, nxdomain, servfail, blocked | clients | p50 | p95 |
//!    1                 numbers of 7 bits a byte
//! ```

use super::series::{COUNTS, SeriesPeriod, SeriesSlot};
use crate::wire::segment::{Input, Output, SLOT};

/// Writes a slot that ends, or ended, at `end`.
pub(crate) fn write_slot(out: &mut Output<'_>, period: SeriesPeriod, end: u64, slot: &SeriesSlot) {
    out.byte(SLOT);
    out.byte(u8::from(period == SeriesPeriod::Month));
    out.number(end);
    slot.counts.iter().for_each(|count| out.number(u64::from(*count)));
    [slot.clients, slot.p50, slot.p95].into_iter().for_each(|number| out.number(u64::from(number)));
}

/// Reads a slot, after its kind. `None` if it is broken.
pub(crate) fn read_slot(input: &mut Input<'_>) -> Option<(SeriesPeriod, u64, SeriesSlot)> {
    let period = if input.byte()? == 0 { SeriesPeriod::Day } else { SeriesPeriod::Month };
    let end = input.number()?;
    let mut counts = [0; COUNTS.len()];
    for count in &mut counts {
        *count = input.small()?;
    }
    let (clients, p50, p95) = (input.small()?, input.small()?, input.small()?);
    Some((period, end, SeriesSlot { is_known: true, counts, clients, p50, p95 }))
}
