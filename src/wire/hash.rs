//! Names as keys: hashed without regard to case, and their last labels as one number.
//!
//! DNS compares names without regard to the case of ASCII letters (RFC 1035, 2.3.3; RFC 4343), and clients
//! mix the case on purpose. Every message's name is hashed, so the folding works on eight bytes at a time, in
//! wire form, without a copy. Length bytes go through the same folding as the rest and come out as they are:
//! at most 63, they are below `A`.

use super::name::Name;
use core::hash::Hasher;

impl Name<'_> {
    /// Gives the name in wire form to a hasher, with its letters in lower case.
    #[inline]
    pub fn hash_folded(&self, hasher: &mut impl Hasher) {
        let mut write = |bytes: [u8; 16]| {
            let both = u128::from_le_bytes(bytes);
            hasher.write_u128(
                u128::from(fold_case((both >> 64) as u64)) << 64 | u128::from(fold_case(both as u64)),
            );
        };
        // Chunks of 16 from the front, and the last 16 once more: the chunks overlap, so some bytes are
        // hashed twice, which is quicker than a loop over a rest of unknown length. `03 com 00` is below 8
        // and is filled up with zeroes; 8 to 15 bytes are their first 8 and their last 8. Names that repeat
        // one label can be alike in all chunks, so the length goes in at the end.
        let (chunks, rest) = self.wire_form().as_chunks();
        match (
            chunks,
            self.wire_form().last_chunk(),
            self.wire_form().first_chunk(),
            self.wire_form().last_chunk(),
        ) {
            ([first, more @ ..], Some(last), _, _) => {
                write(*first);
                more.iter().for_each(|chunk| write(*chunk));
                write(*last);
            }
            (_, _, Some(first), Some(last)) => {
                let both =
                    u128::from(u64::from_le_bytes(*last)) << 64 | u128::from(u64::from_le_bytes(*first));
                write(both.to_le_bytes());
            }
            _ => {
                let mut chunk = [0; 16];
                chunk.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
                write(chunk);
            }
        }
        hasher.write_usize(self.wire_form().len());
    }

    /// The [`label_end`] of the last label.
    #[inline]
    pub(crate) fn last_label_end(&self) -> u64 {
        let labels = self.wire_form().split_last().map_or(&[][..], |(_, labels)| labels);
        label_end_after(labels, self.last_label().len())
    }
}

/// Bytes in a [`label_end`].
pub(crate) const END_BYTES: usize = 8;

/// The last eight bytes of a label as a number, the last one highest; of a shorter label all of it.
pub(crate) const fn label_end(label: &[u8]) -> u64 {
    let (mut end, mut rest, mut bytes) = (0, label, 0);
    while let Some((&byte, before)) = rest.split_last()
        && bytes < END_BYTES
    {
        end = end << 8 | byte as u64;
        (rest, bytes) = (before, bytes + 1);
    }
    end
}

/// The [`label_end`] of a label of that length, at the end of some bytes.
#[inline]
pub(crate) fn label_end_after(bytes: &[u8], length: usize) -> u64 {
    match bytes.last_chunk() {
        // What is before a short label is shifted out, which is quicker than a copy of variable length.
        Some(end) if length > 0 => u64::from_le_bytes(*end) >> (8 * (END_BYTES - length.min(END_BYTES))),
        _ => label_end(bytes.get(bytes.len().saturating_sub(length)..).unwrap_or_default()),
    }
}

/// Eight bytes with their letters in lower case.
///
/// All eight are compared at once, in the seven lower bits of each, so that no carry reaches the neighbour:
/// adding `0x80 - 'A'` sets the top bit of what is at least `A`, adding `0x7f - 'Z'` that of what is beyond
/// `Z`. Where the one is set, the other is not and the byte is ASCII, the top bit shifted by two is 0x20, the
/// bit of lower case. `G` (0x47): 0x47 + 0x3f = 0x86, 0x47 + 0x25 = 0x6c, so 0x80 >> 2 is added: 0x67, `g`.
#[inline]
pub(crate) const fn fold_case(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let rest = bytes & (0x7f * EACH);
    let from_a = rest + (0x80 - b'A' as u64) * EACH;
    let beyond_z = rest + (0x7f - b'Z' as u64) * EACH;
    bytes | (from_a & !beyond_z & !bytes & (0x80 * EACH)) >> 2
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
