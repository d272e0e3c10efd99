//! Keeps absurd content lengths from picoserve, which adds them up unchecked.
//!
//! A `Content-Length` near the largest number overflows there: harmless while overflow checks are off for
//! picoserve, as this crate's profiles have it, and the end of the program where a build turns them on. So of
//! each content length no more than [`DIGITS_MAX`] digits pass; those beyond become [`EXCESS`], and the length no
//! number at all. Whoever sends one is refused either way: see `routes`.

use core::cell::Cell;

/// Where in a head the bytes are that pass.
#[derive(Default)]
pub struct LengthGuard(Cell<Place>);

/// A place in a head.
#[derive(Clone, Copy)]
enum Place {
    /// In the name of a header, so many bytes of which are those of [`NAME`].
    Name(usize),
    /// In the value of `Content-Length`, after so many digits.
    Value(usize),
    /// Anywhere else.
    Other,
}

impl Default for Place {
    fn default() -> Self {
        Place::Name(0)
    }
}

/// The header to be watched, in lower case.
const NAME: &[u8] = b"content-length";

/// What the digits beyond become.
pub const EXCESS: char = 'x';

/// Digits of a length that pass; bodies are limited to fewer, and this many cannot overflow in 32 bits.
const DIGITS_MAX: usize = 8;

impl LengthGuard {
    /// Lets bytes pass, in whatever portions they come.
    pub fn pass(&self, bytes: &mut [u8]) {
        let mut place = self.0.get();
        for byte in bytes {
            place = match (place, *byte) {
                // picoserve takes these out, and passes over space around a name.
                (place, 0) => place,
                (_, b'\n') => Place::Name(0),
                (Place::Name(length @ 0), space) if space.is_ascii_whitespace() => Place::Name(length),
                (Place::Name(length), space) if length == NAME.len() && space.is_ascii_whitespace() => place,
                (Place::Name(length), b':') if length == NAME.len() => Place::Value(0),
                (Place::Name(length), byte) if NAME.get(length) == Some(&byte.to_ascii_lowercase()) => {
                    Place::Name(length + 1)
                }
                (Place::Value(digits), b'0'..=b'9') if digits < DIGITS_MAX => Place::Value(digits + 1),
                (Place::Value(_), b'0'..=b'9') => {
                    *byte = EXCESS as u8;
                    place
                }
                (Place::Value(_), _) => place,
                (Place::Name(_) | Place::Other, _) => Place::Other,
            };
        }
        self.0.set(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a head, in one portion and split at any byte.
    fn check(head: &str, expected: &str) {
        for split in 0..=head.len() {
            let (guard, mut bytes) = (LengthGuard::default(), head.as_bytes().to_vec());
            let (first, rest) = bytes.split_at_mut(split);
            guard.pass(first);
            guard.pass(rest);
            assert_eq!(bytes.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        }
    }

    #[test]
    fn long_content_lengths_lose_their_digits() {
        check(
            "A: 1\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "A: 1\r\nContent-Length: 18446744xxxxxxxxxxxx\r\n\r\n",
        );
        check("\ncontent-LENGTH:123456789\n", "\ncontent-LENGTH:12345678x\n");
        check("\n \tContent-Length \t:\t000000001", "\n \tContent-Length \t:\t00000000x");
        check("\nCon\0tent-Length: 12345\x0067890", "\nCon\0tent-Length: 12345\x00678xx");
        check(
            "\nContent-Length: 12345678 9\nContent-Length: 1234567890",
            "\nContent-Length: 12345678 x\nContent-Length: 12345678xx",
        );
    }

    #[test]
    fn everything_else_passes() {
        for head in [
            "GET /counters?from=1234567890123 HTTP/1.1\r\nContent-Length: 65536\r\nX-API-Key: 1234567890123\r\n\r\n",
            "\nX-Content-Length: 1234567890\nContent-Lengths: 1234567890\nContent-Lengt: 1234567890\n",
            "\nA: Content-Length: 1234567890\nContent-Length 1234567890\n",
        ] {
            check(head, head);
        }
    }
}
