//! Decimal numbers and addresses, without the machinery of `core::fmt`.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr};

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
}

impl Ascii for String {}
impl<const N: usize> Ascii for heapless::String<N> {}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Writes a number in decimal.
///
/// # Errors
///
/// When there is no room.
#[inline]
pub(crate) fn write_decimal(out: &mut impl Ascii, number: u64) -> fmt::Result {
    write_padded(out, number, 1)
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
    let (mut fraction, mut width) = (number % 1_000_000, 6);
    if fraction == 0 {
        return Ok(());
    }
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    out.write_char('.')?;
    write_padded(out, fraction, width)
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
        IpAddr::V6(address) => write!(out, "{address}"),
    }
}

/// Four bytes at a time, of which the next number overwrites those that are too many: `1.00` and `10.0` become `1.10.`.
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
    out.write_ascii(text.get(..used - 1).unwrap_or_default())
}

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
    fn addresses_read_as_the_standard_library_writes_them() {
        let some = (0..=255u8).map(|byte| Ipv4Addr::new(byte, 255 - byte, byte / 3, 7).to_string());
        let others =
            ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1"].map(String::from);
        for address in some.chain(others) {
            let mut out = String::new();
            write_address(&mut out, address.parse().unwrap()).unwrap();
            assert_eq!(out, address);
        }
    }
}
