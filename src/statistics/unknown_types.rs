//! Slots of question types: those that IANA has named, then unknown ones in order of appearance, then the rest.

use crate::limits::UNKNOWN_TYPES;
use crate::wire::iana::RrType;

/// Slots of types.
pub(super) const TYPES: usize = RrType::KNOWN.len() + UNKNOWN_TYPES + 1;

/// Numbers of types without a name, in order of appearance, shared by all streams.
#[derive(Debug, Default)]
pub(crate) struct UnknownTypes(heapless::Vec<u16, UNKNOWN_TYPES>);

impl UnknownTypes {
    /// The slot that counts a type; an unknown one is noted, or shares the last slot when there is no room.
    pub(super) fn slot(&mut self, rrtype: RrType) -> usize {
        if let Some(slot) = self.find(rrtype) {
            return slot;
        }
        match self.0.push(rrtype.0) {
            Ok(()) => RrType::KNOWN.len() + self.0.len() - 1,
            Err(_) => TYPES - 1,
        }
    }

    /// All slots of types, each with its type; the last is of all that have none of their own.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, Option<RrType>)> {
        let known = RrType::KNOWN.iter().map(|&(number, _)| number);
        let own = known.chain(self.0.iter().copied()).map(|number| Some(RrType(number)));
        own.enumerate().chain([(TYPES - 1, None)])
    }

    /// The slot of a type that has one of its own.
    pub(super) fn find(&self, rrtype: RrType) -> Option<usize> {
        rrtype.rank().or_else(|| {
            self.0
                .iter()
                .position(|&number| number == rrtype.0)
                .map(|position| RrType::KNOWN.len() + position)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_beyond_the_room_share_a_slot() {
        let mut unknown = UnknownTypes::default();
        let first = unknown.slot(RrType(60_000));
        assert_eq!(unknown.slot(RrType(60_000)), first);
        let slots: Vec<usize> = (0..200).map(|number| unknown.slot(RrType(61_000 + number))).collect();
        assert!(slots.iter().all(|&slot| slot < TYPES));
        assert_eq!(slots.last(), Some(&(TYPES - 1)));
        assert_eq!(unknown.find(RrType(61_199)), None);
    }
}
