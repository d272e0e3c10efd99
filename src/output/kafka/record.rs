//! A record and the key that goes with it, as they are in the queue.
//!
//! ```text
//! | length of the key, 2 bytes; NO_KEY for none | key | value |
//! ```
//!
//! Kafka puts records of one key into one partition, and keeps them in order there. The key is the text that
//! the record itself shows, so a consumer can compare them. What a message lacks makes no key: it would send
//! all such messages to one partition.

use super::super::{DropReason, Outlet};
use super::RecordKey;
use crate::decimal::write_address;
use crate::format::Encoding;
use crate::limits::IDENTITY_BYTES;
use crate::message::event::Event;
use crate::wire::name::TEXT_MAX;
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// How records and keys are made.
#[derive(Debug, Clone)]
pub(crate) struct KeyedRecords {
    /// How the value is encoded.
    pub(crate) encoding: Encoding,
    /// The source of the key.
    pub(crate) key: RecordKey,
}

impl KeyedRecords {
    /// Bytes of the longest record in any encoding.
    #[cfg(feature = "kafka-plain")]
    pub(crate) const LONGEST: usize = LENGTH_BYTES + KEY_BYTES + crate::limits::LONG_RECORD_BYTES;

    /// Bytes of the longest record.
    pub(crate) fn longest(&self) -> usize {
        LENGTH_BYTES + KEY_BYTES + self.encoding.longest
    }

    /// Puts an encoded event and its key into the output's queue.
    pub(crate) fn offer(&self, outlet: &Outlet, event: &Event<'_>, record: &[u8]) {
        let mut room = [0; KEY_BYTES];
        let key = match self.write_key(event, &mut room) {
            Some(0) => return outlet.offer(Ok(&[&NO_KEY.to_be_bytes(), record])),
            Some(length) => room.get(..length),
            None => None,
        };
        match key.and_then(|key| Some((u16::try_from(key.len()).ok()?, key))) {
            Some((length, key)) => outlet.offer(Ok(&[&length.to_be_bytes(), key, record])),
            None => outlet.offer(Err(DropReason::Oversize)),
        }
    }

    /// Writes the key of an event to the front of `out` and returns its length: 0 when it has none.
    fn write_key(&self, event: &Event<'_>, out: &mut [u8]) -> Option<usize> {
        match self.key {
            RecordKey::None => Some(0),
            RecordKey::Identity => write_label_text(event.identity, out),
            RecordKey::QueryIp => event.query.address.map_or(Some(0), |address| {
                let mut text = heapless::String::<ADDRESS_BYTES>::new();
                write_address(&mut text, address).ok()?;
                out.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
                Some(text.len())
            }),
            RecordKey::Qname => {
                event.dns.question.as_ref().map_or(Some(0), |question| question.name.write_text(out))
            }
        }
    }
}

/// Key and value of what stood in the queue.
#[cfg(any(feature = "kafka-plain", test))]
pub(crate) fn split(record: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = record.split_first_chunk::<LENGTH_BYTES>()?;
    match u16::from_be_bytes(*length) {
        NO_KEY => Some((None, rest)),
        length => rest.split_at_checked(usize::from(length)).map(|(key, value)| (Some(key), value)),
    }
}

/// Bytes of the length before a key.
const LENGTH_BYTES: usize = 2;

/// The length of a key that is not there.
const NO_KEY: u16 = u16::MAX;

/// Bytes of the longest key: the text of a name or of an identity.
const KEY_BYTES: usize = TEXT_MAX;
const _: () = assert!(KEY_BYTES >= TEXT_PER_BYTE * IDENTITY_BYTES && KEY_BYTES < NO_KEY as usize);

/// Bytes of the longest text of an address.
const ADDRESS_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::super::super::RecordKind;
    use super::*;
    use crate::limits::QUEUE_MIN;
    use crate::section::QueueSettings;
    use crate::values::{Format, WhenFull};
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;
    use proptest::prelude::*;

    /// The content of the queue after an event with these fields was offered.
    fn queued(key: RecordKey, identity: Option<&[u8]>, address: Option<&[u8]>, query: &[u8]) -> Vec<u8> {
        let keyed = KeyedRecords { encoding: Format::Text.into(), key };
        let settings = QueueSettings { bytes: QUEUE_MIN as usize, when_full: WhenFull::Drop, alarms: false };
        let outlet = Outlet::of_kind("test", RecordKind::Keyed(keyed.clone()), settings);
        let message = Message {
            message_type: MessageType::CLIENT_QUERY,
            query_address: address,
            query_message: Some(query),
            ..Message::default()
        };
        let dnstap = Dnstap { identity, message, ..Dnstap::default() };
        keyed.offer(&outlet, &Event::from_dnstap(&dnstap), b"value");
        let mut bytes = Vec::new();
        outlet.take_batch(&mut bytes, usize::MAX);
        bytes
    }

    fn check(key: RecordKey, expected: Option<&str>) {
        let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x02Ns\x07example\0\0\x01\0\x01";
        let bytes = queued(key, Some(b"lb 2"), Some(&[192, 0, 2, 1]), query);
        assert_eq!(split(&bytes), Some((expected.map(str::as_bytes), &b"value"[..])));
        let bytes = queued(key, None, None, b"");
        assert_eq!(split(&bytes), Some((None, &b"value"[..])), "what is missing is no key");
    }

    #[test]
    fn the_key_is_the_text_of_the_record() {
        check(RecordKey::None, None);
        check(RecordKey::Identity, Some(r"lb\0322"));
        check(RecordKey::QueryIp, Some("192.0.2.1"));
        check(RecordKey::Qname, Some("Ns.example."));
    }

    proptest! {
        #[test]
        fn any_identity_is_a_key(identity in proptest::collection::vec(any::<u8>(), 1..=IDENTITY_BYTES)) {
            let bytes = queued(RecordKey::Identity, Some(&identity), None, b"");
            let (key, value) = split(&bytes).unwrap();
            prop_assert!(key.is_some_and(|key| key.len() >= identity.len()));
            prop_assert_eq!(value, b"value");
        }

        #[test]
        fn no_bytes_break_the_split(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((key, value)) = split(&bytes) {
                prop_assert_eq!(2 + key.map_or(0, <[u8]>::len) + value.len(), bytes.len());
            }
        }
    }
}
