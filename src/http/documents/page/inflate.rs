//! Unpacks what DEFLATE packed (RFC 1951): the page, for a client that takes no gzip.
//!
//! The program holds the page once, in gzip. Browsers take it as it is; a `curl` without `--compressed` does
//! not, and is rare: so this is small rather than fast. Codes are read bit by bit, as in Mark Adler's
//! `puff.c`: the cost is that of the packed bits, some million instructions for the whole page.
//!
//! It unpacks what `build.rs` made; still, whatever the bytes are, it ends, and makes no more than it was
//! told to.

/// The bytes of a gzip file (RFC 1952) without name or comment; `None` unless they unpack to that many.
pub(super) fn gunzip(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    const HEAD: usize = 10;
    let mut out = Vec::with_capacity(length);
    let mut bits = BitReader { bytes: packed.get(HEAD..)?, at: 0 };
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out, length)?,
            1 => {
                let mut lengths = [8; LITERALS];
                lengths.get_mut(144..256)?.fill(9);
                lengths.get_mut(256..280)?.fill(7);
                compressed(
                    &mut bits,
                    &HuffmanCode::new(&lengths)?,
                    &HuffmanCode::new(&[5; 30])?,
                    &mut out,
                    length,
                )?;
            }
            2 => {
                let (literals, distances) = codes(&mut bits)?;
                compressed(&mut bits, &literals, &distances, &mut out, length)?;
            }
            _ => return None,
        }
        if is_last {
            return (out.len() == length).then_some(out);
        }
    }
}

/// A block that is not packed (RFC 1951, 3.2.4).
fn stored(bits: &mut BitReader<'_>, out: &mut Vec<u8>, most: usize) -> Option<()> {
    bits.at = bits.at.next_multiple_of(8);
    let count = bits.take(16)?;
    bits.take(16)?;
    for _ in 0..count {
        push(out, bits.take(8)? as u8, most)?;
    }
    Some(())
}

/// The two codes of a block, packed by a third (RFC 1951, 3.2.7).
fn codes(bits: &mut BitReader<'_>) -> Option<(HuffmanCode, HuffmanCode)> {
    const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5)? as usize + 257;
    let all = literals + bits.take(5)? as usize + 1;
    let mut lengths = [0; ORDER.len()];
    for place in ORDER.iter().take(bits.take(4)? as usize + 4) {
        *lengths.get_mut(usize::from(*place))? = bits.take(3)? as u8;
    }
    let code = HuffmanCode::new(&lengths)?;
    let mut lengths = [0; SYMBOLS];
    let mut at = 0;
    while at < all {
        let symbol = code.next(bits)?;
        let (length, times) = match symbol {
            16 => (*lengths.get(at.checked_sub(1)?)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        let end = at + times as usize;
        lengths.get_mut(at..end)?.fill(length);
        at = end;
    }
    let (literals, distances) = lengths.get(..all)?.split_at_checked(literals)?;
    Some((HuffmanCode::new(literals)?, HuffmanCode::new(distances)?))
}

/// The symbols of a block: bytes, and lengths with distances, which repeat what went out before (RFC 1951,
/// 3.2.5).
fn compressed(
    bits: &mut BitReader<'_>,
    literals: &HuffmanCode,
    distances: &HuffmanCode,
    out: &mut Vec<u8>,
    most: usize,
) -> Option<()> {
    loop {
        let length = match literals.next(bits)? {
            byte @ 0..256 => {
                push(out, byte as u8, most)?;
                continue;
            }
            256 => return Some(()),
            symbol @ 257..265 => symbol - 254,
            285 => 258,
            symbol @ 265..285 => {
                let extra = (symbol - 261) / 4;
                ((4 + (symbol - 261) % 4) << extra) + 3 + bits.take(extra)?
            }
            _ => return None,
        };
        let distance = match distances.next(bits)? {
            symbol @ 0..4 => symbol + 1,
            symbol @ 4..30 => {
                let extra = symbol / 2 - 1;
                ((2 + symbol % 2) << extra) + 1 + bits.take(extra)?
            }
            _ => return None,
        };
        // One at a time: what is copied may overlap what it is copied to.
        for _ in 0..length {
            let byte = *out.get(out.len().checked_sub(distance as usize)?)?;
            push(out, byte, most)?;
        }
    }
}

/// Writes a byte, unless there are enough.
fn push(out: &mut Vec<u8>, byte: u8, most: usize) -> Option<()> {
    (out.len() < most).then(|| out.push(byte))
}

/// Bits, the lowest of a byte first.
struct BitReader<'p> {
    bytes: &'p [u8],
    /// The number of the next bit.
    at: usize,
}

impl BitReader<'_> {
    /// A number of so many bits.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for place in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            number |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(number)
    }
}

/// A Huffman code: how many symbols have codes of each length, and the symbols in the order of their codes.
struct HuffmanCode {
    counts: [u16; 16],
    symbols: [u16; SYMBOLS],
}

/// Symbols of bytes and lengths.
const LITERALS: usize = 288;
/// Those, and those of distances.
const SYMBOLS: usize = LITERALS + 32;

impl HuffmanCode {
    /// The code whose symbols have codes of these lengths (RFC 1951, 3.2.2); 0 is no code.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut code = HuffmanCode { counts: [0; 16], symbols: [0; SYMBOLS] };
        let used = || lengths.iter().enumerate().filter(|(_, length)| **length > 0);
        for (_, length) in used() {
            *code.counts.get_mut(usize::from(*length))? += 1;
        }
        let mut places = [0; 16];
        let mut sum = 0;
        for (place, count) in places.iter_mut().zip(&code.counts) {
            *place = sum;
            sum += usize::from(*count);
        }
        for (symbol, length) in used() {
            let place = places.get_mut(usize::from(*length))?;
            *code.symbols.get_mut(*place)? = symbol as u16;
            *place += 1;
        }
        Some(code)
    }

    /// The next symbol. Codes of one length follow each other, and those of the next length follow them.
    fn next(&self, bits: &mut BitReader<'_>) -> Option<u32> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            let count = u32::from(*count);
            code |= bits.take(1)?;
            if code < first + count {
                let symbol = index + code.checked_sub(first)?;
                return self.symbols.get(symbol as usize).map(|symbol| u32::from(*symbol));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "aaaaaaaaaa" and a line's end, by `gzip -n`: the fixed code.
    const FIXED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x84\x01\x2e\0\x42\xe5\x26\x8f\x0b\0\0\0";

    /// "ab" by `gzip -0`: not packed.
    const STORED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x02\0\xfd\xffab\x6d\x48\x83\x9e\x02\0\0\0";

    #[test]
    fn each_kind_of_block_is_unpacked() {
        assert_eq!(gunzip(FIXED, 11).unwrap(), b"aaaaaaaaaa\n");
        assert_eq!(gunzip(STORED, 2).unwrap(), b"ab");
        assert_eq!(gunzip(super::super::GZIP, super::super::LENGTH).unwrap(), super::super::tests::PLAIN);
    }

    #[test]
    fn what_is_broken_ends() {
        let packed = super::super::GZIP;
        assert_eq!((gunzip(FIXED, 10), gunzip(FIXED, 12)), (None, None));
        for length in [0, 10, 11, 100, packed.len() / 2, packed.len() - 9] {
            assert_eq!(gunzip(&packed[..length], super::super::LENGTH), None, "{length}");
        }
        for at in (10..packed.len()).step_by(97) {
            let mut broken = packed.to_vec();
            broken[at] ^= 0x55;
            assert!(
                gunzip(&broken, super::super::LENGTH).is_none_or(|out| out.len() == super::super::LENGTH)
            );
        }
    }
}
