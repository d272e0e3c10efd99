//! Segments: what the history saves, as bytes.
//!
//! ```text
//! "dnstapdH" | version, 2 | block | block | ... | 0, 4
//!
//! block: length, 4 | entries | CRC-32 of them, 4        all numbers little-endian
//! entry: kind, 1   | slot of the series (history::saved), device (names::saved), exchange (history::log::saved),
//!                    or, in a file of their own, domains and clients that were seen (health::seen)
//! ```
//!
//! A segment without its end, with a block whose check fails, or of another version is none: nothing of it is
//! taken.

/// The beginning of each segment.
pub(crate) const MAGIC: [u8; 10] = *b"dnstapdH\x01\0";
/// The end.
pub(crate) const END: [u8; 4] = [0; 4];
/// Kinds of entries.
pub(crate) const SLOT: u8 = 1;
pub(crate) const DEVICE: u8 = 2;
pub(crate) const EXCHANGE: u8 = 3;
/// Slots of the series before this are none: they follow once more, with the dates of another clock. It has
/// no content.
pub(crate) const ANEW: u8 = 4;
/// How keys that were seen are hashed, a part of their fingerprints, and a domain that was first seen lately.
pub(crate) const SEED: u8 = 5;
pub(crate) const SEEN: u8 = 6;
pub(crate) const FIRST_SEEN: u8 = 7;
/// Bytes of the longest entry: an exchange with two names, or a device with its addresses.
const ENTRY_BYTES: usize = 1 << 10;

/// Entries of a block.
#[derive(Debug)]
pub(crate) struct Output<'b> {
    bytes: &'b mut Vec<u8>,
    /// `bytes` has no more than this.
    most: usize,
}

impl<'b> Output<'b> {
    /// Begins a block of at most that many bytes.
    pub(crate) fn begin(bytes: &'b mut Vec<u8>, most: usize) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&END);
        let most = most.min(bytes.capacity());
        Output { bytes, most }
    }

    /// Whether there is room for one more entry and the check.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() + ENTRY_BYTES + 4 <= self.most
    }

    /// Ends the block; `false` if there is nothing in it.
    pub(crate) fn end(self) -> bool {
        let Some((head, entries)) = self.bytes.split_first_chunk_mut::<4>() else { return false };
        if entries.is_empty() {
            return false;
        }
        *head = (entries.len() as u32).to_le_bytes(); // at most `limits::HISTORY_SAVE_BYTES`
        let check = crc(entries);
        self.bytes.extend_from_slice(&check.to_le_bytes());
        true
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    pub(crate) fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// The sign is in the lowest bit.
    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    /// At most 255 bytes.
    pub(crate) fn string(&mut self, string: &[u8]) {
        let string = string.get(..255).unwrap_or(string);
        self.byte(string.len() as u8);
        self.bytes.extend_from_slice(string);
    }
}

/// A segment that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'i> {
    whole: &'i [u8],
    at: usize,
}

impl<'i> Input<'i> {
    /// All of a segment.
    pub(crate) fn whole(&self) -> &'i [u8] {
        self.whole
    }

    /// Where the next byte is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Passes over the rest of the block.
    pub(crate) fn skip_all(&mut self) {
        self.at = self.whole.len();
    }

    fn bytes(&mut self, length: usize) -> Option<&'i [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.whole.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.first_chunk().copied()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn string(&mut self) -> Option<&'i [u8]> {
        let length = self.byte()?;
        self.bytes(usize::from(length))
    }
}

/// Whether bytes are a whole segment: every block is there and as it was written.
#[cfg(test)]
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    blocks(bytes).is_some()
}

/// Hands over each entry, with its kind read. `None` if one is broken.
pub(crate) fn entries<'i>(
    bytes: &'i [u8],
    mut take: impl FnMut(u8, &mut Input<'i>) -> Option<()>,
) -> Option<()> {
    let mut at = MAGIC.len();
    for _ in 0..blocks(bytes)? {
        let length = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
        let end = at + 4 + length;
        let mut input = Input { whole: bytes.get(..end)?, at: at + 4 };
        while input.at < end {
            let kind = input.byte()?;
            take(kind, &mut input)?;
        }
        at = end + 4;
    }
    Some(())
}

/// The number of blocks; `None` if it is not a whole segment.
fn blocks(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.strip_prefix(&MAGIC)?;
    for number in 0.. {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            return after.is_empty().then_some(number);
        }
        let (entries, after) = after.split_at_checked(length)?;
        let (check, after) = after.split_first_chunk::<4>()?;
        if crc(entries) != u32::from_le_bytes(*check) {
            return None;
        }
        rest = after;
    }
    None
}

/// CRC-32 as of Ethernet and gzip (RFC 1952, 8), four bits at a time.
fn crc(bytes: &[u8]) -> u32 {
    const fn remainder(mut value: u32) -> u32 {
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        value
    }
    !bytes.iter().fold(!0, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        let crc = crc >> 4 ^ remainder(crc & 0xf);
        crc >> 4 ^ remainder(crc & 0xf)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_a_cut_or_bent_segment_is_none() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        let mut block = Vec::with_capacity(4096);
        let mut out = Output::begin(&mut block, 4096);
        out.byte(SLOT);
        out.number(u64::MAX);
        out.string(b"name");
        out.byte(9);
        out.signed(-5);
        out.signed(i64::MAX);
        assert!(out.has_room() && out.end());
        let segment = [&MAGIC[..], &block, &block, &END].concat();
        let mut seen = 0;
        let read = entries(&segment, |kind, input| {
            match kind {
                SLOT => assert_eq!((input.number()?, input.string()?), (u64::MAX, &b"name"[..])),
                _ => assert_eq!((input.signed()?, input.signed()?), (-5, i64::MAX)),
            }
            seen += 1;
            Some(())
        });
        assert_eq!((read, seen), (Some(()), 4));
        for cut in 0..segment.len() {
            assert!(!is_whole(&segment[..cut]), "{cut}");
        }
        for at in 0..segment.len() {
            let mut bent = segment.clone();
            bent[at] ^= 0x10;
            assert!(!is_whole(&bent), "{at}");
        }
        assert!(!is_whole(&[&segment[..], b"x"].concat()));
        assert!(!Output::begin(&mut block, 4096).end());
    }
}
