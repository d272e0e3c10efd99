//! The counters of an output.
//!
//! At any instant `received + alarms = filtered + delivered + dropped + queued`, in messages and alarms. That
//! holds by construction: a message that comes in is filtered, queued or dropped, and one that leaves the
//! queue is delivered or dropped.

use core::cell::Cell;

use crate::message::filter::FilterReason;
use crate::metric::{Counter, Samples, counters};
use crate::reasons::{Tally, reasons};

counters! {
    /// The counters of one output.
    pub struct OutletCounters {
        /// Messages that were offered.
        pub(crate) received: Counter;
        /// Alarms that were offered.
        pub(crate) alarms: Counter = counter("dnstapd_output_alarms_total");
        /// Messages that the output's own filter left out.
        pub filtered: FilteredTally = counter("dnstapd_output_filtered_total", "filter");
        /// Records written to the last byte.
        pub delivered: Counter = counter("dnstapd_output_delivered_total");
        /// Records that went nowhere.
        pub dropped: Tally<DropReason> = counter("dnstapd_output_dropped_total", "reason");
        /// Records that wait.
        pub(crate) queued: Counter = gauge("dnstapd_output_queued");
        /// Bytes that wait.
        pub(crate) queue_bytes: Counter = gauge("dnstapd_output_queue_bytes");
        /// Whether the other end is there.
        pub(crate) connected: Counter = gauge("dnstapd_output_connected");
        /// Connections made after the first.
        pub(crate) reconnects: Counter = counter("dnstapd_output_reconnects_total");
    }
}

reasons! {
    /// Why a record is dropped.
    pub enum DropReason {
        /// The queue is full and the output had its turn: the other end is too slow.
        Full = "full", "the other end is too slow";
        /// The queue is full and the other end away: not connected, or a disk that takes nothing.
        Away = "away", "the other end is away";
        /// The other end is gone for good.
        Closed = "closed", "the other end is gone";
        /// The record is longer than any can be.
        Oversize = "oversize", "longer than a record may be";
        /// The other end refused it, or did not take it in time.
        Delivery = "delivery", "not taken by the other end";
        /// The other end does not want it.
        Refused = "refused", "refused by the other end";
        /// The daemon stopped before the other end took it.
        Shutdown = "shutdown", "stopped before they were taken";
    }
}

/// Messages by the key of the filter that left them out: samples once there is a filter, which few outputs
/// have.
#[derive(Debug, Default)]
pub struct FilteredTally {
    /// By key.
    pub tally: Tally<FilterReason>,
    /// Whether there is a filter, or was.
    pub(crate) is_shown: Cell<bool>,
}

impl Samples for FilteredTally {
    fn sample(&self, index: usize) -> Option<(&'static str, u64)> {
        self.tally.sample(index).filter(|_| self.is_shown.get())
    }
}

impl OutletCounters {
    /// Messages left the queue and were taken.
    pub(super) fn settle_delivered(&self, messages: u64) {
        self.delivered.add(messages);
        self.queued.set(self.queued.get().saturating_sub(messages));
    }

    /// Messages left the queue and went nowhere.
    pub(super) fn settle_dropped(&self, messages: u64, reason: DropReason) {
        self.dropped.add(reason, messages);
        self.queued.set(self.queued.get().saturating_sub(messages));
    }
}
