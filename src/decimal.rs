//! Decimal numbers and addresses, without the machinery of `core::fmt`.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Something to write text to that can take ASCII without asking whether it is valid UTF-8.
pub(crate) trait Ascii: Write {
    /// Writes bytes that are all ASCII.
    ///
    /// # Errors
    ///
    /// When there is no room.
    fn write_ascii(&mut self, bytes: &[u8]) -> fmt::Result {
        self.write_str(core::str::from_utf8(bytes).map_err(|_| fmt::Error)?)
    }

    /// Writes the first `length` bytes of some, which are all ASCII. Who has room may copy all of them, which
    /// is quicker than a copy of variable length.
    ///
    /// # Errors
    ///
    /// When there is no room.
    fn write_front<const N: usize>(&mut self, bytes: &[u8; N], length: usize) -> fmt::Result {
        self.write_ascii(bytes.get(..length).unwrap_or_default())
    }
}

impl Ascii for String {}
impl<const N: usize> Ascii for heapless::String<N> {}
impl<const N: usize> Ascii for heapless::Vec<u8, N> {
    fn write_ascii(&mut self, bytes: &[u8]) -> fmt::Result {
        self.extend_from_slice(bytes).map_err(|_| fmt::Error)
    }
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Writes a number in decimal.
///
/// # Errors
///
/// When there is no room.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(crate) fn write_decimal(out: &mut impl Ascii, number: u64) -> fmt::Result {
    if number > EIGHT_MAX {
        return write_padded(out, number, 1);
    }
    let digits = eight_digits(number as u32);
    // The zeros before the number, of which the last may be the number.
    let zeros = ((digits ^ ZEROS).trailing_zeros() / 8).min(7);
    write_front(out, digits >> (8 * zeros), 8 - zeros as usize)
}

/// The most that [`eight_digits`] takes.
const EIGHT_MAX: u64 = 99_999_999;

/// `00000000` as a number, the first digit lowest.
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// Eight digits as a number, the first one lowest. `number <= EIGHT_MAX`.
///
/// All are divided at once: by 10,000, then both halves by 100 (times 10,486, divided by 2^20), then all four
/// quarters by 10 (times 103, divided by 2^10). 12345678 is 1234 and 5678, then 12, 34, 56 and 78.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let halves = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let quarters = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((quarters * 103) >> 10) & 0x0f_000f_000f_000f;
    (tens | (quarters - 10 * tens) << 8) + ZEROS
}

/// Writes the lowest bytes of a number.
#[inline]
fn write_front(out: &mut impl Ascii, bytes: u64, length: usize) -> fmt::Result {
    out.write_front(&bytes.to_le_bytes(), length)
}

/// Writes a number in decimal with leading zeros up to `width` digits; `1 <= width <= 20`.
///
/// # Errors
///
/// When there is no room.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(crate) fn write_padded(out: &mut impl Ascii, mut number: u64, width: usize) -> fmt::Result {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut used = 0;
    // Two digits a division, from the end: 1234 is 34, then 12.
    for place in digits.as_chunks_mut().0.iter_mut().rev() {
        *place = pair(number);
        used += 2;
        if number < 100 {
            used -= usize::from(number < 10);
            break;
        }
        number /= 100;
    }
    out.write_ascii(digits.get(DIGITS_MAX - used.max(width).min(DIGITS_MAX)..).unwrap_or_default())
}

/// Writes a number of millionths with up to six decimals, without trailing zeros.
///
/// # Errors
///
/// When there is no room.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn write_millionths(out: &mut impl Ascii, number: u64) -> fmt::Result {
    write_decimal(out, number / 1_000_000)?;
    let fraction = (number % 1_000_000) as u32;
    if fraction == 0 {
        return Ok(());
    }
    // `00048000`: the point takes the place of the second zero, and the zeros at the end go.
    let digits = eight_digits(fraction);
    let zeros = (digits ^ ZEROS).leading_zeros() / 8;
    write_front(out, point_before(digits >> 8), 7 - zeros as usize)
}

/// Writes a number of thousandths with three decimals.
///
/// # Errors
///
/// When there is no room.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn write_thousandths(out: &mut impl Ascii, number: u64) -> fmt::Result {
    write_decimal(out, number / 1_000)?;
    write_front(out, point_before(eight_digits((number % 1_000) as u32) >> 32), 4)
}

/// A point instead of the first digit.
#[inline]
fn point_before(digits: u64) -> u64 {
    digits & !0xff | u64::from(b'.')
}

/// The last two digits of a number.
#[inline]
pub(crate) fn pair(number: u64) -> [u8; 2] {
    PAIRS.get((number % 100) as usize).copied().unwrap_or(*b"00")
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    let mut rest = pairs.as_mut_slice();
    while let Some((pair, after)) = rest.split_first_mut() {
        *pair = [b'0' + number / 10, b'0' + number % 10];
        (number, rest) = (number + 1, after);
    }
    pairs
};

/// Writes an address; IPv6 in the form of RFC 5952.
///
/// # Errors
///
/// When there is no room.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn write_address(out: &mut impl Ascii, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write_v4(out, address),
        IpAddr::V6(address) => write_v6(out, address),
    }
}

/// Four bytes at a time, of which the next number overwrites those that are too many: `1.00` and `10.0`
/// become `1.10.`.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
fn write_v4(out: &mut impl Ascii, address: Ipv4Addr) -> fmt::Result {
    let mut text = [0; 16]; // 255.255.255.255 and a dot
    let mut used = 0;
    for number in address.octets() {
        let entry = NUMBERS.get(usize::from(number)).copied().unwrap_or_default();
        *text.get_mut(used..).and_then(<[u8]>::first_chunk_mut).ok_or(fmt::Error)? = entry;
        used += 2 + usize::from(number >= 10) + usize::from(number >= 100);
    }
    out.write_front(&text, used - 1)
}

/// Groups of up to four digits, each with a colon behind it, of which the next overwrites what is too much;
/// two colons for the first of the longest runs of zeros (RFC 5952, 4.2). What is mapped from IPv4 ends like
/// IPv4 (RFC 5952, 5).
#[cfg_attr(for_size, optimize(speed))]
fn write_v6(out: &mut impl Ascii, address: Ipv6Addr) -> fmt::Result {
    if let Some(mapped) = address.to_ipv4_mapped() {
        out.write_ascii(b"::ffff:")?;
        return write_v4(out, mapped);
    }
    let groups = address.segments();
    let run = longest_run(groups);
    let mut text = [0; 48]; // eight groups with their colons, and what the last one writes too much
    let mut used = 0;
    for (at, group) in (0..).zip(groups) {
        if run.contains(&at) {
            if at == run.start {
                // The colon before it is there already, but at the very front.
                let colons = if at == 0 { 2 } else { 1 };
                text.get_mut(used..used + colons).ok_or(fmt::Error)?.fill(b':');
                used += colons;
            }
            continue;
        }
        let [[a, b], [c, d]] =
            group.to_be_bytes().map(|byte| HEX_PAIRS.get(usize::from(byte)).copied().unwrap_or_default());
        let digits = u32::from_le_bytes([a, b, c, d]);
        let zeros = ((digits ^ 0x3030_3030).trailing_zeros() / 8).min(3);
        let bytes = (u64::from(digits) | u64::from(b':') << 32) >> (8 * zeros);
        *text.get_mut(used..).and_then(<[u8]>::first_chunk_mut).ok_or(fmt::Error)? = bytes.to_le_bytes();
        used += 5 - zeros as usize;
    }
    out.write_front(&text, if run.end == 8 { used } else { used - 1 })
}

/// The first of the longest runs of two and more groups that are zero.
#[inline]
fn longest_run(groups: [u16; 8]) -> core::ops::Range<u32> {
    // Bit n: a run of `length` zeros begins at group n.
    let mut runs = (0..).zip(groups).fold(0u32, |runs, (at, group)| runs | u32::from(group == 0) << at);
    let mut length = 1;
    while runs & runs >> 1 != 0 {
        runs &= runs >> 1;
        length += 1;
    }
    if length == 1 { 0..0 } else { runs.trailing_zeros()..runs.trailing_zeros() + length }
}

/// `00` to `ff`.
static HEX_PAIRS: [[u8; 2]; 256] = {
    const fn digit(number: u8) -> u8 {
        number + if number < 10 { b'0' } else { b'a' - 10 }
    }
    let mut pairs = [[0; 2]; 256];
    let mut number = 0u8;
    let mut rest = pairs.as_mut_slice();
    while let Some((pair, after)) = rest.split_first_mut() {
        *pair = [digit(number >> 4), digit(number & 0x0f)];
        (number, rest) = (number.wrapping_add(1), after);
    }
    pairs
};

/// The numbers of an IPv4 address, each with its dot, filled up to four bytes.
const NUMBERS: [[u8; 4]; 256] = {
    let mut numbers = [[0; 4]; 256];
    let mut number = 0;
    let mut rest = numbers.as_mut_slice();
    while let Some((text, after)) = rest.split_first_mut() {
        let [hundreds, tens, ones] =
            [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        *text = match number {
            0..10 => [ones, b'.', 0, 0],
            10..100 => [tens, ones, b'.', 0],
            _ => [hundreds, tens, ones, b'.'],
        };
        (number, rest) = (number + 1, after);
    }
    numbers
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_to_their_width() {
        let check = |number, width, expected: &str| {
            let mut out = String::new();
            write_padded(&mut out, number, width).unwrap();
            assert_eq!(out, expected);
        };
        check(0, 1, "0");
        check(9, 1, "9");
        check(10, 1, "10");
        check(99, 3, "099");
        check(100, 1, "100");
        check(12_345, 1, "12345");
        check(999_999, 4, "999999");
        check(0, 6, "000000");
        check(7, 2, "07");
        check(1234, 2, "1234");
        check(u64::MAX, 1, "18446744073709551615");
    }

    #[test]
    fn numbers_are_as_the_standard_library_writes_them() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        for number in (0..200_000).chain(powers.flat_map(|power| [power - 1, power, power + 7])) {
            let (mut whole, mut parts, mut three) = (String::new(), String::new(), String::new());
            write_decimal(&mut whole, number).unwrap();
            write_millionths(&mut parts, number).unwrap();
            write_thousandths(&mut three, number).unwrap();
            assert_eq!(whole, number.to_string());
            let expected = format!("{}.{:06}", number / 1_000_000, number % 1_000_000);
            assert_eq!(parts, expected.trim_end_matches('0').trim_end_matches('.'));
            assert_eq!(three, format!("{}.{:03}", number / 1_000, number % 1_000));
        }
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        let some = (0..=255u8).map(|byte| Ipv4Addr::new(byte, 255 - byte, byte / 3, 7).to_string());
        let others =
            ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1"].map(String::from);
        // Each choice of groups that are zero, and of their digits.
        let six = (0..1u32 << 12).map(|choice| {
            let group =
                |at: u32| if choice >> at & 1 == 0 { 0 } else { 0xf0a9_u16 >> ((choice >> 8) % 16) | 1 };
            Ipv6Addr::from([0, 1, 2, 3, 4, 5, 6, 7].map(group)).to_string()
        });
        for address in some.chain(others).chain(six) {
            let mut out = String::new();
            write_address(&mut out, address.parse().unwrap()).unwrap();
            assert_eq!(out, address);
        }
    }
}
