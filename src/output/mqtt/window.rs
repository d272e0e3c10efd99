//! The messages that are on their way to the broker: some records of the queue as packets, one after the
//! other.
//!
//! ```text
//! bytes   | PUBLISH 1 | PUBLISH 2 | PUBLISH 3 |
//!                ^ written
//! ```
//!
//! With quality of service 0 a record is settled when its last byte was taken, with 1 when it was
//! acknowledged. After a connection has broken those that are not settled go out again, whole.

use super::Version;
use super::packet::{PUBLISH_BYTES, PublishPacket};
use super::topic::NAME_MAX;
use crate::limits::{MQTT_BATCH_BYTES, MQTT_WINDOW, RECORD_BYTES};
use crate::output::{DropReason, Outlet};

/// The messages that are on their way.
#[derive(Debug)]
pub(crate) struct MessageWindow {
    bytes: Vec<u8>,
    written: usize,
    messages: heapless::Vec<OnItsWay, MQTT_WINDOW>,
    /// Whether the broker acknowledges messages.
    is_acknowledged: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct OnItsWay {
    id: u16,
    /// Where it ends in the bytes.
    end: usize,
    /// Bytes that it had in the queue.
    queued: usize,
    is_settled: bool,
}

/// How messages are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowSettings<'a> {
    /// The version spoken.
    pub(crate) version: Version,
    /// The topic, in two parts.
    pub(crate) topic: (&'a str, &'a str),
    /// Messages at once.
    pub(crate) most: usize,
    /// Bytes of the longest packet that the broker takes.
    pub(crate) packet_maximum: usize,
}

/// Bytes of the buffer.
pub(crate) const COST: usize = MQTT_BATCH_BYTES + RECORD_BYTES + NAME_MAX + 8 + PUBLISH_BYTES;

impl MessageWindow {
    /// Nothing is on its way.
    pub(crate) fn new(qos: u32) -> Self {
        MessageWindow {
            bytes: Vec::with_capacity(COST),
            written: 0,
            messages: heapless::Vec::new(),
            is_acknowledged: qos > 0,
        }
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes records out of the queue, as many as there are and fit.
    pub(crate) fn fill(&mut self, outlet: &Outlet, manner: WindowSettings<'_>) {
        self.bytes.clear();
        self.written = 0;
        while self.messages.len() < manner.most.min(MQTT_WINDOW) && self.bytes.len() < MQTT_BATCH_BYTES {
            match outlet.send_first_with(|pieces| self.add(pieces, manner)) {
                None => return,
                Some(Ok(())) => {}
                Some(Err(())) => outlet.drop_first(DropReason::Oversize),
            }
        }
    }

    fn add(&mut self, pieces: [&[u8]; 2], manner: WindowSettings<'_>) -> Result<(), ()> {
        let queued = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let length = PublishPacket::length(manner.topic.0.len() + manner.topic.1.len(), queued);
        if length > manner.packet_maximum || self.bytes.len() + length > COST {
            return Err(());
        }
        let id = self.messages.len() as u16 + 1;
        let publish =
            PublishPacket { topic: manner.topic, retain: false, id: self.is_acknowledged.then_some(id) };
        publish.compose(manner.version, &pieces, &mut self.bytes);
        let end = self.bytes.len();
        self.messages.push(OnItsWay { id, end, queued, is_settled: false }).map_err(drop)
    }

    /// The bytes to be written.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Notes that the stream took some.
    pub(crate) fn written(&mut self, bytes: usize, outlet: &Outlet) {
        self.written += bytes;
        if !self.is_acknowledged {
            let written = self.written;
            self.settle(outlet, |message| message.end <= written, None);
        }
    }

    /// Notes that the broker has a message, or does not want it.
    pub(crate) fn acknowledged(&mut self, id: u16, refused: bool, outlet: &Outlet) {
        let reason = refused.then_some(DropReason::Refused);
        self.settle(outlet, |message| message.id == id, reason);
    }

    fn settle(&mut self, outlet: &Outlet, is_meant: impl Fn(&OnItsWay) -> bool, reason: Option<DropReason>) {
        for message in self.messages.iter_mut().filter(|message| !message.is_settled && is_meant(message)) {
            message.is_settled = true;
            match reason {
                None => outlet.settle_delivered(1, message.queued),
                Some(reason) => outlet.settle_lost(1, message.queued, reason),
            }
        }
        if self.messages.iter().all(|message| message.is_settled) {
            self.messages.clear();
        }
    }

    /// Begins again, over another connection, with those that are not settled.
    pub(crate) fn restart(&mut self) {
        let (mut start, mut to) = (0, 0);
        for message in &mut self.messages {
            let end = message.end;
            if !message.is_settled {
                self.bytes.copy_within(start..end, to);
                to += end - start;
                message.end = to;
            }
            start = end;
        }
        self.messages.retain(|message| !message.is_settled);
        self.bytes.truncate(to);
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::RecordKind;
    use crate::section::QueueSettings;
    use crate::values::{Format, WhenFull};

    fn outlet(records: &[&str]) -> Outlet {
        let settings = QueueSettings { bytes: 64 << 10, when_full: WhenFull::Drop, alarms: false };
        let kind = RecordKind::Plain { encoding: Format::Json.into(), terminator: [].into() };
        let outlet = Outlet::of_kind("test", kind, settings);
        records.iter().for_each(|record| outlet.offer(Ok(&[record.as_bytes()])));
        outlet
    }

    const MANNER: WindowSettings<'_> =
        WindowSettings { version: Version::V311, topic: ("t", "/record"), most: 3, packet_maximum: 100 };

    fn account(outlet: &Outlet) -> (u64, u64, u64) {
        (outlet.counters().delivered.get(), outlet.counters().dropped.total(), outlet.queued())
    }

    #[test]
    fn what_was_written_is_delivered_and_the_rest_goes_out_again() {
        let outlet = outlet(&["one", "two", "three", "four"]);
        let mut window = MessageWindow::new(0);
        window.fill(&outlet, MANNER);
        let packet = 4 + "t/record".len();
        window.written(packet + 3 + 1, &outlet);
        assert_eq!(account(&outlet), (1, 0, 3));
        window.restart();
        assert_eq!(window.rest().len(), 2 * packet + "twothree".len());
        assert!(window.rest().ends_with(b"three"));
        window.written(window.rest().len(), &outlet);
        assert!(window.is_empty());
        assert_eq!(account(&outlet), (3, 0, 1));
    }

    #[test]
    fn what_was_acknowledged_is_delivered() {
        let outlet = outlet(&["one", "two", &"x".repeat(100), "three"]);
        let mut window = MessageWindow::new(1);
        window.fill(&outlet, MANNER);
        assert_eq!(account(&outlet), (0, 1, 3), "one is longer than the broker takes");
        window.written(window.rest().len(), &outlet);
        window.acknowledged(2, false, &outlet);
        window.acknowledged(2, false, &outlet);
        window.acknowledged(9, false, &outlet);
        assert_eq!(account(&outlet), (1, 1, 2));
        window.restart();
        assert!(window.rest().windows(3).all(|bytes| bytes != b"two"));
        window.acknowledged(1, true, &outlet);
        window.acknowledged(3, false, &outlet);
        assert!(window.is_empty());
        assert_eq!(account(&outlet), (2, 2, 0));
        assert_eq!(outlet.counters().dropped.of(DropReason::Refused), 1);
        assert_eq!(outlet.counters().queue_bytes.get(), 0);
    }
}
