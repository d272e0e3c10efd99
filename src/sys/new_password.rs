//! Passwords that are made.

use super::random;

/// Letters of a password: 80 bits of 5 each.
const LETTERS: usize = 16;

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A new password.
pub(crate) fn new_password() -> String {
    // Eight letters of the 64 bits of each number, from five bits of each byte.
    let numbers: [_; LETTERS / 8] = std::array::from_fn(|_| random::number().to_ne_bytes());
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('-', char::from);
    numbers.into_iter().flatten().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_can_be_read_aloud() {
        let [one, other] = [new_password(), new_password()];
        assert_ne!(one, other);
        assert_eq!(one.len(), LETTERS);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
    }
}
