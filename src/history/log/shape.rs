//! The shape of records: the fields in which few of them differ, written once as a string of the store.
//!
//! ```text
//! | flags, 1 | stream, 2 | type, 4 | message, 4 | family, 4 | protocol, 4 | identity ... |
//! ```
//!
//! A flag says whether the field is there; an identity that was not sent is empty.

use core::hash::{BuildHasher, Hasher};

use super::{Exchange, LogRecord};
use crate::limits::IDENTITY_BYTES;
use crate::sys::random::SeededState;
use crate::wire::iana::{Family, MessageType, Protocol, RrType};

/// The fields that make shapes differ, but for the identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShapeKey {
    numbers: [u32; 4],
    flags: u8,
    stream: u16,
}

impl ShapeKey {
    /// Bytes before the identity.
    pub(super) const BYTES: usize = 19;
    /// Bytes of the longest string.
    pub(super) const LONGEST: usize = Self::BYTES + IDENTITY_BYTES;

    #[inline]
    pub(super) fn of(exchange: &Exchange<'_>) -> Self {
        let Exchange { qtype, family, protocol, .. } = exchange;
        let flags = [qtype.is_some(), family.is_some(), protocol.is_some()];
        let numbers = [
            u32::from(qtype.unwrap_or_default().0),
            exchange.message.0,
            family.unwrap_or_default().0,
            protocol.unwrap_or_default().0,
        ];
        let flags = flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag));
        ShapeKey { numbers, flags, stream: exchange.stream }
    }

    /// A seeded hash of it and of an identity, which is given by its own.
    #[inline]
    pub(super) fn hash(&self, identity: u64, state: &SeededState) -> u64 {
        let [qtype, message, family, protocol] = self.numbers.map(u128::from);
        let few = identity ^ (u64::from(self.flags) << 16 | u64::from(self.stream));
        let mut hasher = state.build_hasher();
        hasher.write_u128(qtype << 96 | message << 64 | family << 32 | protocol);
        hasher.write_u64(few);
        hasher.finish()
    }

    /// The shape as a string of the store: flags, stream, numbers, identity.
    pub(super) fn compose<'r>(&self, identity: &[u8], room: &'r mut [u8; Self::LONGEST]) -> &'r [u8] {
        let [low, high] = self.stream.to_le_bytes();
        let (head, place) = room.split_at_mut(Self::BYTES);
        if let Some(([flags, stream_low, stream_high], numbers)) = head.split_first_chunk_mut() {
            (*flags, *stream_low, *stream_high) = (self.flags, low, high);
            for (place, number) in numbers.as_chunks_mut().0.iter_mut().zip(self.numbers) {
                *place = number.to_le_bytes();
            }
        }
        let length = identity.len().min(place.len());
        if let (Some(place), Some(identity)) = (place.get_mut(..length), identity.get(..length)) {
            place.copy_from_slice(identity);
        }
        room.get(..Self::BYTES + length).unwrap_or_default()
    }
}

/// The fields that records of a page share.
pub(super) struct Shape<'a> {
    pub(super) stream: u16,
    pub(super) identity: &'a [u8],
    pub(super) qtype: Option<RrType>,
    pub(super) message: MessageType,
    pub(super) family: Option<Family>,
    pub(super) protocol: Option<Protocol>,
}

impl<'a> Shape<'a> {
    /// The shape of a record, of no stream.
    pub(super) fn of(record: &LogRecord<'a>) -> Self {
        Shape {
            stream: 0,
            identity: record.identity,
            qtype: record.qtype,
            message: record.query_message,
            family: record.family,
            protocol: record.protocol,
        }
    }

    /// The key that [`ShapeKey::compose`] writes, for a segment.
    pub(super) fn key(&self) -> ShapeKey {
        let flags = [self.qtype.is_some(), self.family.is_some(), self.protocol.is_some()];
        ShapeKey {
            numbers: [
                u32::from(self.qtype.unwrap_or_default().0),
                self.message.0,
                self.family.unwrap_or_default().0,
                self.protocol.unwrap_or_default().0,
            ],
            flags: flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag)),
            stream: self.stream,
        }
    }

    /// Reads what [`ShapeKey::compose`] wrote.
    pub(super) fn parse(string: &'a [u8]) -> Option<Shape<'a>> {
        let (head, identity) = string.split_first_chunk::<{ ShapeKey::BYTES }>()?;
        let [flags, low, high, numbers @ ..] = head;
        let mut numbers = numbers.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number));
        let flag = |bit: u32| flags >> bit & 1 == 1;
        let (qtype, message, family, protocol) =
            (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
        Some(Shape {
            stream: u16::from_le_bytes([*low, *high]),
            identity,
            qtype: flag(2).then_some(RrType(qtype as u16)),
            message: MessageType(message),
            family: flag(1).then_some(Family(family)),
            protocol: flag(0).then_some(Protocol(protocol)),
        })
    }
}
