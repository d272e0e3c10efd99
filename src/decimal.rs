//! Decimal numbers and addresses, without the machinery of `core::fmt`.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr};

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Writes a number in decimal.
pub fn write_decimal(out: &mut impl Write, number: u64) -> fmt::Result {
    write_padded(out, number, 1)
}

/// Writes a number in decimal with leading zeros up to `width` digits; `width <= 20`.
pub fn write_padded(out: &mut impl Write, mut number: u64, width: usize) -> fmt::Result {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
    }
    let shown = digits.get(DIGITS_MAX - used.max(width).min(DIGITS_MAX)..).unwrap_or_default();
    out.write_str(core::str::from_utf8(shown).unwrap_or_default())
}

/// Writes an address; IPv6 in the form of RFC 5952.
pub fn write_address(out: &mut impl Write, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write_v4(out, address),
        IpAddr::V6(address) => write!(out, "{address}"),
    }
}

fn write_v4(out: &mut impl Write, address: Ipv4Addr) -> fmt::Result {
    let [first, rest @ ..] = address.octets();
    write_decimal(out, u64::from(first))?;
    for octet in rest {
        out.write_char('.')?;
        write_decimal(out, u64::from(octet))?;
    }
    Ok(())
}

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
        check(0, 6, "000000");
        check(7, 2, "07");
        check(1234, 2, "1234");
        check(u64::MAX, 1, "18446744073709551615");
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for address in ["0.0.0.0", "255.1.20.199", "::", "2001:db8::1", "::ffff:192.0.2.1"] {
            let mut out = String::new();
            write_address(&mut out, address.parse().unwrap()).unwrap();
            assert_eq!(out, address);
        }
    }
}
