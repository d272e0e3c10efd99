//! Passwords that nobody can guess: unlike the seeds of hashes, they come from the kernel or not at all.

use std::fs::File;
use std::io::{self, Read};

/// Letters of a password that is made: 80 bits of 5 each.
const PASSWORD_LETTERS: usize = 16;

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Fills a buffer with random bytes.
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}

/// A new password.
///
/// # Errors
///
/// Without `/dev/urandom`.
pub fn new_password() -> io::Result<String> {
    let mut bytes = [0; PASSWORD_LETTERS];
    fill(&mut bytes)?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('-', char::from);
    Ok(bytes.iter().map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_can_be_read_aloud() {
        let [one, other] = [new_password().unwrap(), new_password().unwrap()];
        assert_ne!(one, other);
        assert_eq!(one.len(), PASSWORD_LETTERS);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
    }
}
