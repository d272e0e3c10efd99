//! Bytes with something wrong with them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// One thing done to some bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Repeat(Index, Index),
}

/// Bytes of a strategy, mutated up to four times: sometimes not at all.
pub(crate) fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (bytes, vec(mutation(), 0..5)).prop_map(|(mut bytes, mutations)| {
        for mutation in mutations {
            if !bytes.is_empty() {
                mutation.apply(&mut bytes);
            }
        }
        bytes
    })
}

/// Bytes of the values that matter to parsers, and others.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), proptest::sample::select(vec![0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff])]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        2 => any::<Index>().prop_map(Mutation::Cut),
        1 => (any::<Index>(), vec(byte(), 1..12)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        1 => any::<Index>().prop_map(Mutation::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Mutation::Set(at, byte) => bytes[at.index(length)] = byte,
            Mutation::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Mutation::Cut(at) => bytes.truncate(at.index(length)),
            Mutation::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more);
            }
            Mutation::Remove(at) => {
                bytes.remove(at.index(length));
            }
            Mutation::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(piece);
            }
        }
    }
}
