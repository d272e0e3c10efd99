//! Bytes of strangers as printable text.
//!
//! An identity, a country or a city may be any bytes. This is the one text of them, used in every
//! format, table, label, parameter and filter: printable ASCII and the letters of valid UTF-8 stay as they
//! are, the backslash and the double quote get a backslash, and every other byte, the space included,
//! becomes a backslash and its three decimal digits as in RFC 1035, 5.1. So the text has no space, no
//! control character and no bare quote, is valid UTF-8, and says exactly which bytes it came from.
//!
//! Domain names keep stricter rules, in [`name`](super::name).

use super::cursor::Composer;

/// How many bytes the text of one byte takes at most.
pub const TEXT_PER_BYTE: usize = 4;

/// Writes the text of `raw` to the front of `out` and returns its length. `None` when `out` is too short;
/// [`TEXT_PER_BYTE`] times the length of `raw` is always enough.
pub fn write_label_text(raw: &[u8], out: &mut [u8]) -> Option<usize> {
    if is_plain_text(raw) {
        out.get_mut(..raw.len())?.copy_from_slice(raw);
        return Some(raw.len());
    }
    let mut composer = Composer::new(out);
    for chunk in raw.utf8_chunks() {
        for letter in chunk.valid().chars() {
            put_char(&mut composer, letter)?;
        }
        for byte in chunk.invalid() {
            composer.put(&escape(*byte))?;
        }
    }
    Some(composer.written())
}

/// Whether all bytes are their own text. All are looked at, without a branch each: eight or more at a time.
#[inline]
pub(crate) fn is_plain_text(raw: &[u8]) -> bool {
    raw.iter().fold(true, |plain, byte| plain & is_plain(*byte))
}

/// Whether a byte is its own text: printable ASCII but for the backslash and the double quote.
#[inline]
pub(crate) const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'\\' && byte != b'"'
}

/// The backslash and three digits that stand for a byte.
#[inline]
pub(crate) const fn escape(byte: u8) -> [u8; 4] {
    [b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]
}

/// Writes one character of valid UTF-8.
fn put_char(composer: &mut Composer<'_>, letter: char) -> Option<()> {
    let mut buffer = [0; 4];
    let bytes = letter.encode_utf8(&mut buffer).as_bytes();
    match letter {
        '\\' => composer.put(br"\\"),
        '"' => composer.put(br#"\""#),
        '\x21'..='\x7e' => composer.put(bytes),
        _ if letter.is_alphabetic() => composer.put(bytes),
        _ => bytes.iter().try_for_each(|byte| composer.put(&escape(*byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &[u8]) -> String {
        let mut out = vec![0; raw.len() * TEXT_PER_BYTE];
        let length = write_label_text(raw, &mut out).unwrap();
        for short in 0..length {
            assert_eq!(write_label_text(raw, &mut out[..short]), None);
        }
        write_label_text(raw, &mut out).unwrap();
        out.truncate(length);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_printable_stays() {
        assert_eq!(text(b""), "");
        assert_eq!(text(b"lb2.example-1_(x);'~!"), "lb2.example-1_(x);'~!");
        assert_eq!(text("Zürich".as_bytes()), "Zürich");
        assert_eq!(text("Москва東京".as_bytes()), "Москва東京");
    }

    #[test]
    fn the_rest_is_escaped() {
        assert_eq!(text(b"San Juan"), r"San\032Juan");
        assert_eq!(text(br#"a\b"c"#), r#"a\\b\"c"#);
        assert_eq!(text(b"\0\n\x7f\xff"), r"\000\010\127\255");
        // Valid UTF-8, but no letter: U+00A0, U+2028, U+200E, U+1F600.
        assert_eq!(text("\u{a0}".as_bytes()), r"\194\160");
        assert_eq!(text("\u{2028}".as_bytes()), r"\226\128\168");
        assert_eq!(text("\u{200e}".as_bytes()), r"\226\128\142");
        assert_eq!(text("\u{1f600}".as_bytes()), r"\240\159\152\128");
        // A letter cut in two, and one with a stray byte after it.
        assert_eq!(text(b"\xc3"), r"\195");
        assert_eq!(text(b"\xc3\xbc\xbc"), r"ü\188");
    }

    #[test]
    fn every_byte_has_a_text_of_its_own() {
        let mut all: Vec<_> = (0..=255).map(|byte| text(&[byte])).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 256);
        assert!(all.iter().all(|text| text.bytes().all(|byte| (0x21..0x7f).contains(&byte))));
    }
}
