//! The counters of an input.
//!
//! Every frame ends in exactly one of three counters: rejected (not a dnstap message), filtered, or received,
//! so `frames = rejected + filtered + received` at any instant.

use core::cell::Cell;
use std::time::{Duration, Instant};

use crate::capture::Ignored;
use crate::message::filter::FilterReason;
use crate::metric::{Counter, counters};
use crate::pipeline::Ingested;
use crate::reasons::{Tally, reasons};
use crate::wire::dnstap::Reject;
use crate::wire::foreign::Foreign;
use crate::wire::framestream::Violation;

counters! {
    /// The counters of one input.
    pub struct InputCounters {
        /// Name in metrics and log: its section's.
        pub(crate) name: &'static str;
        /// Data frames that came to an end: rejected, filtered or received.
        pub(crate) frames: Counter = counter("dnstapd_frames_total");
        /// Bytes read.
        pub(crate) bytes: Counter = counter("dnstapd_input_bytes_total");
        /// Messages that passed the filters.
        pub received: Counter = counter("dnstapd_received_total");
        /// Messages that a filter left out.
        pub(crate) filtered: Tally<FilterReason> = counter("dnstapd_filtered_total", "filter");
        /// Frames that are not a dnstap message.
        pub rejected: Tally<Rejection> = counter("dnstapd_rejected_total", "reason");
        /// Connections that are open.
        pub(crate) connections: Counter = gauge("dnstapd_connections");
        /// Connections since start.
        pub(crate) connections_total: Counter = counter("dnstapd_connections_total");
        /// Connections that were closed on purpose.
        pub(crate) refused: Tally<RefuseReason> = counter("dnstapd_connections_refused_total", "reason");
        /// Connections that are meant to be open at any time.
        expected: Counter;
        /// When a connection was turned away for want of room.
        refused_at: Cell<Option<Instant>>;
        /// Packets that the kernel dropped before we read them.
        pub(crate) kernel_drops: Counter;
        /// Packets, or parts of them, that no message was made of.
        pub ignored: Option<Tally<Ignored>> = counter("dnstapd_packets_ignored_total", "reason");
    }
}

reasons! {
    /// Why a frame, or what should have been one, is not a message.
    pub enum Rejection {
        /// The dnstap message in it is malformed.
        Message(reject: Reject);
        /// The stream breaks a rule of Frame Streams.
        Framing(violation: Violation);
        /// The stream is of another protocol.
        Foreign(foreign: Foreign);
        /// It is longer than the limit.
        Oversize = "oversize", "longer than the limit";
        /// It came in plain text to a port that speaks TLS.
        Plaintext = "plaintext", "plain text, and this port speaks TLS";
    }
}

reasons! {
    /// Why a connection is closed by us.
    pub enum RefuseReason {
        /// The peer is not on the access list.
        AccessList = "access_list";
        /// There are as many connections as the limit allows.
        Limit = "limit";
        /// Its address has as many connections as one may have.
        AddressLimit = "address_limit";
        /// It was silent for the longest time, and its address held more places than one that came.
        Evicted = "evicted";
        /// It held a buffer for long frames and brought too little, while others waited for one.
        Slow = "slow";
        /// A handshake or a frame stayed unfinished for too long.
        Timeout = "timeout";
        /// No agreement on TLS: version, certificate, or the handshake itself.
        Tls = "tls";
    }
}

impl InputCounters {
    /// Counters of the input `name`, all 0.
    pub fn new(name: &'static str) -> Self {
        InputCounters { name, ..InputCounters::default() }
    }

    /// Counters of an input that makes messages of packets.
    pub fn of_packets(name: &'static str) -> Self {
        InputCounters { ignored: Some(Tally::default()), ..InputCounters::new(name) }
    }

    /// Counts a frame by what became of it.
    #[inline]
    pub fn count(&self, ingested: Ingested) {
        self.frames.count();
        match ingested {
            Ingested::Received => self.received.count(),
            Ingested::Filtered(reason) => self.filtered.count(reason),
            Ingested::Rejected(reject) => self.rejected.count(reject),
        }
    }

    /// Counts what cannot be a message: a frame too long, or bytes that break the framing. Each counts as one
    /// frame, rejected.
    pub(crate) fn reject(&self, rejection: impl Into<Rejection>) {
        self.frames.count();
        self.rejected.count(rejection);
    }

    /// Counts a packet, or a part of one, that no message is made of.
    pub fn ignore(&self, reason: Ignored) {
        if let Some(ignored) = &self.ignored {
            ignored.count(reason);
        }
    }

    /// Counts a connection that is closed by us.
    pub(crate) fn refuse(&self, reason: RefuseReason) {
        self.refused.count(reason);
        if reason.is_want_of_room() {
            self.refused_at.set(Some(Instant::now()));
        }
    }

    /// Whether a connection was turned away for want of room within the last minute.
    pub(crate) fn is_refusing(&self) -> bool {
        self.refused_at.get().is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// Counts a connection as long as the value returned lives.
    pub(crate) fn connect(&self) -> Connected<'_> {
        self.connections.count();
        self.connections_total.count();
        Connected(self)
    }

    /// Says that one more connection is meant to be open at any time: an input that connects to others is
    /// down while there are fewer.
    pub(crate) fn expect_one_more(&self) {
        self.expected.count();
    }

    /// Whether a connection is missing that is meant to be there.
    pub(crate) fn is_down(&self) -> bool {
        self.connections.get() < self.expected.get()
    }
}

impl RefuseReason {
    /// Whether the connection would have been let in at another time.
    fn is_want_of_room(self) -> bool {
        matches!(self, RefuseReason::Limit | RefuseReason::AddressLimit | RefuseReason::Evicted)
    }
}

/// How long an input counts as one that turns connections away.
const REMEMBERED: Duration = Duration::from_secs(60);

/// An open connection, for the counter.
#[derive(Debug)]
pub(crate) struct Connected<'a>(&'a InputCounters);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections.uncount();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasons::Reason;

    #[test]
    fn no_two_reasons_have_one_label() {
        let mut labels: Vec<_> = Rejection::all().map(Rejection::label).collect();
        labels.sort();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
    }

    #[test]
    fn every_frame_ends_in_one_counter() {
        let counters = InputCounters::new("test");
        counters.count(Ingested::Received);
        counters.count(Ingested::Filtered(FilterReason::Sample));
        counters.count(Ingested::Rejected(Reject::Group));
        counters.reject(Rejection::Oversize);
        let InputCounters { frames, received, filtered, rejected, .. } = &counters;
        assert_eq!((frames.get(), received.get(), filtered.total(), rejected.total()), (4, 1, 1, 2));
    }

    #[test]
    fn an_input_is_down_while_a_connection_is_missing() {
        let counters = InputCounters::new("test");
        assert!(!counters.is_down());
        counters.expect_one_more();
        assert!(counters.is_down());
        let connected = counters.connect();
        assert!(!counters.is_down());
        drop(connected);
        assert!(counters.is_down());
        assert_eq!(counters.connections_total.get(), 1);
    }
}
