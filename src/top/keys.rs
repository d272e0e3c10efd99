//! From bytes of a terminal to keys.
//!
//! Arrow keys and their like come as an escape sequence, ECMA-48 control sequences or `ESC O` and a letter; a
//! sequence may come in parts. Which sequences there are is the same in every terminal in use, so nobody needs to be
//! asked.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPress {
    /// A character.
    Letter(char),
    /// Return.
    Enter,
    /// Tabulator.
    Tab,
    /// Tabulator with shift.
    BackTab,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first.
    Home,
    /// The last.
    End,
    /// Escape, alone.
    Escape,
    /// Control and C, or D: away from here.
    Interrupt,
}

/// The bytes that are not a whole key yet.
#[derive(Debug, Default)]
pub struct KeyDecoder {
    pending: heapless::Vec<u8, 16>,
}

impl KeyDecoder {
    /// Hands the keys in `bytes` to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(KeyPress)) {
        for &byte in bytes {
            if self.pending.push(byte).is_err() {
                self.pending.clear(); // no sequence we know is that long
            }
            if let Some(key) = self.take() {
                self.pending.clear();
                key.into_iter().for_each(&mut each);
            }
        }
        // Nothing came after it: the key itself.
        if *self.pending == [ESCAPE] {
            self.pending.clear();
            each(KeyPress::Escape);
        }
    }

    /// The pending bytes, when they are whole: a key, or a sequence that stands for none.
    fn take(&self) -> Option<Option<KeyPress>> {
        match *self.pending {
            [ESCAPE] | [ESCAPE, b'[' | b'O'] => None,
            [ESCAPE, b'[', .., last] if !(0x40..=0x7e).contains(&last) => None,
            [ESCAPE, b'[' | b'O', ref middle @ .., last] => Some(sequence(middle, last)),
            [ESCAPE, ..] => Some(None),
            [byte] => Some(single(byte)),
            _ => Some(None),
        }
    }
}

const ESCAPE: u8 = 0x1b;

fn single(byte: u8) -> Option<KeyPress> {
    match byte {
        b'\r' | b'\n' => Some(KeyPress::Enter),
        b'\t' => Some(KeyPress::Tab),
        0x03 | 0x04 => Some(KeyPress::Interrupt),
        0x20..=0x7e => Some(KeyPress::Letter(char::from(byte))),
        _ => None,
    }
}

fn sequence(middle: &[u8], last: u8) -> Option<KeyPress> {
    match (middle, last) {
        (_, b'A') => Some(KeyPress::Up),
        (_, b'B') => Some(KeyPress::Down),
        (_, b'C') => Some(KeyPress::Right),
        (_, b'D') => Some(KeyPress::Left),
        (_, b'H') | (b"1" | b"7", b'~') => Some(KeyPress::Home),
        (_, b'F') | (b"4" | b"8", b'~') => Some(KeyPress::End),
        (_, b'Z') => Some(KeyPress::BackTab),
        (b"5", b'~') => Some(KeyPress::PageUp),
        (b"6", b'~') => Some(KeyPress::PageDown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pieces: &[&[u8]]) -> Vec<KeyPress> {
        let (mut keys, mut found) = (KeyDecoder::default(), Vec::new());
        for piece in pieces {
            keys.feed(piece, |key| found.push(key));
        }
        found
    }

    #[test]
    fn sequences_are_keys_however_they_are_cut() {
        let expected = [
            KeyPress::Letter('q'),
            KeyPress::Up,
            KeyPress::End,
            KeyPress::PageDown,
            KeyPress::BackTab,
            KeyPress::Tab,
            KeyPress::Interrupt,
        ];
        let bytes = b"q\x1b[A\x1bOF\x1b[6~\x1b[Z\t\x03";
        assert_eq!(keys(&[bytes]), expected);
        for cut in (0..bytes.len()).filter(|&cut| cut == 0 || bytes[cut - 1] != ESCAPE) {
            assert_eq!(keys(&[&bytes[..cut], &bytes[cut..]]), expected, "{cut}");
        }
    }

    #[test]
    fn what_stands_for_no_key_is_passed_over() {
        assert_eq!(keys(&[b"\x1b[200~\x1b[1;5Cx\x1b[?1;2c\0\xff"]), [KeyPress::Right, KeyPress::Letter('x')]);
        assert_eq!(keys(&[b"\x1b", b"q"]), [KeyPress::Escape, KeyPress::Letter('q')]);
        assert_eq!(
            keys(&[&[b"\x1b[".as_slice(), &[b'1'; 100], b"~q"].concat()]).last(),
            Some(&KeyPress::Letter('q'))
        );
    }
}
