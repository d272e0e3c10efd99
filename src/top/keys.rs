//! From bytes of a terminal to keys.
//!
//! Arrow keys and their like come as an escape sequence, ECMA-48 control sequences or `ESC O` and a letter; a
//! sequence may come in parts. Which sequences there are is the same in every terminal in use, so nobody
//! needs to be asked.

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
    /// The wheel of the mouse, away from the user.
    WheelUp,
    /// The wheel of the mouse, to the user.
    WheelDown,
    /// Backspace.
    Backspace,
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
            // The mouse in its old form: button and place, a byte each.
            [ESCAPE, b'[', b'M', ref rest @ ..] if rest.len() < 3 => None,
            [ESCAPE, b'[', b'M', button, ..] => Some(wheel(u32::from(button.wrapping_sub(0x20)))),
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
        0x08 | 0x7f => Some(KeyPress::Backspace),
        0x03 | 0x04 => Some(KeyPress::Interrupt),
        0x20..=0x7e => Some(KeyPress::Letter(char::from(byte))),
        _ => None,
    }
}

/// The button of a mouse: only the wheel does something.
fn wheel(button: u32) -> Option<KeyPress> {
    match button {
        64 => Some(KeyPress::WheelUp),
        65 => Some(KeyPress::WheelDown),
        _ => None,
    }
}

fn sequence(middle: &[u8], last: u8) -> Option<KeyPress> {
    match (middle, last) {
        // The mouse: `<`, button, column and row; `M` is pressed, `m` is released.
        ([b'<', mouse @ ..], b'M') => {
            let button = core::str::from_utf8(mouse).ok()?.split(';').next()?;
            wheel(button.parse().ok()?)
        }
        ([b'<', ..], _) => None,
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
    fn the_wheel_is_two_keys() {
        for bytes in [&b"\x1b[<64;12;120M\x1b[<65;200;120Mx\x7f"[..], b"\x1b[M`!!\x1b[Ma\xf0!x\x08"] {
            let expected =
                [KeyPress::WheelUp, KeyPress::WheelDown, KeyPress::Letter('x'), KeyPress::Backspace];
            assert_eq!(keys(&[bytes]), expected);
            assert_eq!(keys(&[&bytes[..2], &bytes[2..]]), expected);
        }
    }

    #[test]
    fn what_stands_for_no_key_is_passed_over() {
        assert_eq!(keys(&[b"\x1b[200~\x1b[1;5Cx\x1b[?1;2c\0\xff"]), [KeyPress::Right, KeyPress::Letter('x')]);
        assert_eq!(keys(&[b"\x1b", b"q"]), [KeyPress::Escape, KeyPress::Letter('q')]);
        // Buttons, movements, and what is no number.
        assert_eq!(
            keys(&[b"\x1b[<0;1;1M\x1b[<0;1;1m\x1b[<35;9;9M\x1b[<;1MA\x1b[M ab"]),
            [KeyPress::Letter('A')]
        );
        assert_eq!(
            keys(&[&[b"\x1b[".as_slice(), &[b'1'; 100], b"~q"].concat()]).last(),
            Some(&KeyPress::Letter('q'))
        );
    }
}
