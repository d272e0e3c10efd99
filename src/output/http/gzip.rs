//! Compression as gzip (RFC 1952) with fixed codes (RFC 1951, 3.2.6): made for records, which repeat
//! themselves.
//!
//! The window is the input itself, which is in memory anyway. The one table is that of the last place of each
//! group of four bytes, so it takes [`PUSH_GZIP_BYTES`] where a common deflate takes 300 KiB. Records shrink
//! to a quarter or less; codes made to measure would save another tenth, for ten times the code.
//!
//! Left out: input longer than [`INPUT_MAX`], chains of places, lazy matching.

use crate::limits::{self, PUSH_GZIP_BYTES};

/// The longest input, in bytes.
pub(crate) const INPUT_MAX: usize = u32::MAX as usize / 2;

/// Bytes compressed at once, before other work has its turn.
pub(crate) const STEP_BYTES: usize = 8 << 10;

/// A compressor: its table, and where it is in the input.
#[derive(Debug)]
pub(crate) struct Gzip {
    /// The place after the last occurrence of a group, by its hash; 0 = none.
    places: Box<[u32]>,
    at: usize,
    crc: u32,
    /// Bits that are no whole byte yet, the first in the lowest place.
    bits: u64,
    count: u32,
}

/// Entries of the table.
const PLACES: usize = PUSH_GZIP_BYTES / size_of::<u32>();
const _: () = assert!(PLACES.is_power_of_two());

impl Gzip {
    /// A compressor with its table.
    pub(crate) fn new() -> Self {
        Gzip { places: limits::table(PLACES, 0), at: 0, crc: 0, bits: 0, count: 0 }
    }

    /// Begins an input: writes the header.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.places.fill(0);
        (self.at, self.crc, self.bits, self.count) = (0, u32::MAX, 0, 0);
        // Deflate, no name, no time, any system.
        out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        // The one block: the last, with fixed codes.
        self.put(0b011, 3, out);
    }

    /// Compresses the next [`STEP_BYTES`] of the input, the same at each step; `true` at its end.
    pub(crate) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        let start = self.at;
        let end = input.len().min(start + STEP_BYTES);
        while self.at < end {
            let here = input.get(self.at..).unwrap_or_default();
            match self.find(input, here) {
                Some((length, distance)) => {
                    self.put_match(length, distance, out);
                    self.at += length;
                }
                None => {
                    self.put_literal(here.first().copied().unwrap_or_default(), out);
                    self.at += 1;
                }
            }
        }
        self.crc = crc(self.crc, input.get(start..self.at).unwrap_or_default());
        if self.at < input.len() {
            return false;
        }
        // The end of the block, then whole bytes.
        self.put(0, 7, out);
        self.put(0, 7, out);
        out.extend_from_slice(&(!self.crc).to_le_bytes());
        out.extend_from_slice(&(input.len() as u32).to_le_bytes());
        true
    }

    /// The repetition that begins here, and how far back it is; notes the place.
    fn find(&mut self, input: &[u8], here: &[u8]) -> Option<(usize, usize)> {
        let group = u32::from_le_bytes(*here.first_chunk()?);
        let hash = group.wrapping_mul(0x9e37_79b1) >> (u32::BITS - PLACES.trailing_zeros());
        let place = self.places.get_mut(hash as usize)?;
        let last = core::mem::replace(place, self.at as u32 + 1) as usize;
        let distance = (self.at + 1).checked_sub(last).filter(|&far| last > 0 && far <= DISTANCE_MAX)?;
        let there = input.get(last - 1..)?;
        let length = here.iter().zip(there).take(LENGTH_MAX).take_while(|(one, other)| one == other).count();
        (length >= 4).then_some((length, distance))
    }

    /// RFC 1951, 3.2.6: 0 to 143 have eight bits, 144 to 255 nine.
    fn put_literal(&mut self, byte: u8, out: &mut Vec<u8>) {
        match u32::from(byte) {
            byte @ 0..144 => self.put_code(0x30 + byte, 8, out),
            byte => self.put_code(0x190 + byte - 144, 9, out),
        }
    }

    /// RFC 1951, 3.2.5: a code for the length, a code for the distance, each with the bits that it leaves
    /// open.
    fn put_match(&mut self, length: usize, distance: usize, out: &mut Vec<u8>) {
        // Groups of codes: eight of one length each, then four for each further bit; the longest has a code
        // of its own.
        let (symbol, extra, rest) = match length as u32 {
            258 => (285, 0, 0),
            length => {
                let (code, extra, rest) = grouped(length - 3, 4);
                (257 + code, extra, rest)
            }
        };
        if symbol < 280 {
            self.put_code(symbol - 256, 7, out);
        } else {
            self.put_code(0xc0 + symbol - 280, 8, out);
        }
        self.put(rest, extra, out);
        let (code, extra, rest) = grouped(distance as u32 - 1, 2);
        self.put_code(code, 5, out);
        self.put(rest, extra, out);
    }

    /// A code goes out from its highest bit on.
    fn put_code(&mut self, code: u32, count: u32, out: &mut Vec<u8>) {
        self.put(code.reverse_bits() >> (u32::BITS - count), count, out);
    }

    fn put(&mut self, bits: u32, count: u32, out: &mut Vec<u8>) {
        self.bits |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            out.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
    }
}

/// The code of a number where `per_bit` codes share a width: code, further bits, their value.
fn grouped(number: u32, per_bit: u32) -> (u32, u32, u32) {
    let bits = per_bit.trailing_zeros();
    let extra = (u32::BITS - number.leading_zeros()).saturating_sub(bits + 1);
    (extra * per_bit + (number >> extra), extra, number & ((1 << extra) - 1))
}

/// RFC 1951, 3: how long and how far back a repetition may be.
const LENGTH_MAX: usize = 258;
const DISTANCE_MAX: usize = 32 << 10;

/// The check sum of RFC 1952, 8, gone on with, four bits at a time.
fn crc(sum: u32, bytes: &[u8]) -> u32 {
    let turn = |sum: u32| (sum >> 4) ^ CRC.get(sum as usize & 15).copied().unwrap_or_default();
    bytes.iter().fold(sum, |sum, &byte| turn(turn(sum ^ u32::from(byte))))
}

#[allow(clippy::indexing_slicing, reason = "while it is built")]
const CRC: [u32; 16] = {
    let mut table = [0; 16];
    let mut number = 0;
    while number < 16 {
        let (mut sum, mut bit) = (number as u32, 0);
        while bit < 4 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[number] = sum;
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(gzip: &mut Gzip, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        gzip.begin(&mut out);
        while !gzip.step(input, &mut out) {}
        out
    }

    fn round_trip(gzip: &mut Gzip, input: &[u8]) -> usize {
        let packed = compressed(gzip, input);
        let (head, rest) = packed.split_at(10);
        assert_eq!(head, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        let (body, end) = rest.split_at(rest.len() - 8);
        assert_eq!(inflated(body), input);
        assert_eq!(end[..4], (!crc(u32::MAX, input)).to_le_bytes());
        assert_eq!(end[4..], (input.len() as u32).to_le_bytes());
        packed.len()
    }

    /// RFC 1951 read as it stands there, for one block with fixed codes.
    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut bit = || {
            at += 1;
            u32::from(bytes[(at - 1) / 8] >> ((at - 1) % 8) & 1)
        };
        let mut out = Vec::new();
        assert_eq!([bit(), bit(), bit()], [1, 1, 0], "the last block, fixed codes");
        loop {
            let mut code = (0..7).fold(0, |code, _| code << 1 | bit());
            let symbol = if code < 0x18 {
                256 + code
            } else {
                code = code << 1 | bit();
                match code {
                    0x30..0xc0 => code - 0x30,
                    0xc0..0xc8 => 280 + code - 0xc0,
                    _ => 144 + (code << 1 | bit()) - 0x190,
                }
            };
            match symbol {
                0..256 => out.push(symbol as u8),
                256 => return out,
                symbol => {
                    let (base, extra) = LENGTHS[symbol as usize - 257];
                    let length = base + (0..extra).fold(0, |rest, place| rest | bit() << place);
                    let (base, extra) = DISTANCES[(0..5).fold(0, |code, _| code << 1 | bit()) as usize];
                    let distance = base + (0..extra).fold(0, |rest, place| rest | bit() << place);
                    for _ in 0..length {
                        out.push(out[out.len() - distance as usize]);
                    }
                }
            }
        }
    }

    /// The tables of RFC 1951, 3.2.5.
    const LENGTHS: [(u32, u32); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    const DISTANCES: [(u32, u32); 30] = [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 1),
        (7, 1),
        (9, 2),
        (13, 2),
        (17, 3),
        (25, 3),
        (33, 4),
        (49, 4),
        (65, 5),
        (97, 5),
        (129, 6),
        (193, 6),
        (257, 7),
        (385, 7),
        (513, 8),
        (769, 8),
        (1025, 9),
        (1537, 9),
        (2049, 10),
        (3073, 10),
        (4097, 11),
        (6145, 11),
        (8193, 12),
        (12289, 12),
        (16385, 13),
        (24577, 13),
    ];

    /// The check sum of RFC 1952's example.
    #[test]
    fn the_check_sum_is_the_known_one() {
        assert_eq!(!crc(u32::MAX, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn records_shrink() {
        let record = |n: u32| {
            format!(
                "{{\"identity\":\"lb1\",\"qname\":\"n{n}.example.\",\"rrtype\":\"A\",\"query-ip\":\"192.0.2.{}\",\
                 \"message\":\"CLIENT_QUERY\",\"family\":\"INET\",\"protocol\":\"UDP\",\"query-port\":{},\
                 \"timestamp\":\"2020-09-16T18:51:53.{:06}+00:00\",\"rcode\":\"NOERROR\",\"id\":{},\"flags\":\"RD\"}}\n",
                n % 7,
                n * 31 % 60_000,
                n * 977 % 1_000_000,
                n * 7 % 65_536
            )
        };
        let input: String = (0..300).map(record).collect();
        let length = round_trip(&mut Gzip::new(), input.as_bytes());
        assert!(length * 4 < input.len(), "{length} of {}", input.len());
    }

    #[test]
    fn edges_of_lengths_and_distances() {
        let mut gzip = Gzip::new();
        for length in (0..40).chain([257, 258, 259, 260, 261, 262, 263, 516, 8191, 8192, 8193]) {
            round_trip(&mut gzip, &vec![b'x'; length]);
        }
        for far in [1, 2, 3, 4, 5, 8, 9, 255, 256, 257, 32_764, 32_768, 32_769, 40_000] {
            let mut input = b"\xffunlike anything else\xfe".to_vec();
            let noise = (0..far).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
            input.extend(noise);
            input.extend_from_slice(b"\xffunlike anything else\xfe");
            round_trip(&mut gzip, &input);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_input_comes_back(input in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..10_000)) {
            round_trip(&mut Gzip::new(), &input);
        }
    }
}
