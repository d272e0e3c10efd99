//! Text as it was before it was escaped.

use std::hash::Hasher;

use dnstapd::wire::name::{NAME_MAX, Name, TEXT_MAX};
use dnstapd::wire::text::{TEXT_PER_BYTE, write_label_text};

/// Checks that the text of any bytes can be printed anywhere, and says which bytes it came from.
pub fn check(raw: &[u8]) {
    let mut out = vec![0; raw.len() * TEXT_PER_BYTE];
    let length = write_label_text(raw, &mut out).expect("room enough");
    let text = std::str::from_utf8(&out[..length]).expect("UTF-8");
    assert!(!text.chars().any(|letter| letter.is_whitespace() || letter.is_control()), "{text:?}");
    assert_eq!(bytes(unescape(text.as_bytes())), raw);
    if length > 0 {
        assert_eq!(write_label_text(raw, &mut out[..length - 1]), None);
    }
}

/// Checks the invariants of a name, and that its text says which labels it came from.
pub fn check_name(name: &Name<'_>) {
    let bytes = name.wire_form();
    assert!((1..=NAME_MAX).contains(&bytes.len()));
    let labels: Vec<_> = name.labels().map(<[u8]>::to_vec).collect();
    let joined: Vec<u8> =
        labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
    assert_eq!([&joined[..], &[0]].concat(), bytes);

    let mut out = [0; TEXT_MAX];
    let length = name.write_text(&mut out).expect("room enough");
    let text = &out[..length];
    assert!(text.iter().all(|byte| (0x21..=0x7e).contains(byte)));
    assert_eq!(text.last(), Some(&b'.'));
    if !name.is_root() {
        assert_eq!(unescape_labels(text), labels);
    }

    assert_eq!(name.write_text(&mut out[..length - 1]), None);

    let hash = |bytes: &[u8]| {
        let mut hasher = std::hash::DefaultHasher::new();
        Name::parse(bytes).expect("in another case, too").0.hash_folded(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(bytes), hash(&bytes.to_ascii_uppercase()));
    assert_eq!(name.last_label(), labels.last().map_or(&[][..], Vec::as_slice));
}

/// The labels of a name's text.
fn unescape_labels(text: &[u8]) -> Vec<Vec<u8>> {
    let mut labels = vec![Vec::new()];
    for token in unescape(text) {
        match token {
            Token::Plain(b'.') => labels.push(Vec::new()),
            Token::Plain(byte) | Token::Escaped(byte) => labels.last_mut().expect("one").push(byte),
        }
    }
    assert_eq!(labels.pop(), Some(Vec::new()), "the final dot");
    labels
}

/// A byte of a text: one that stands for itself, or what an escape stands for.
#[derive(Clone, Copy)]
enum Token {
    Plain(u8),
    Escaped(u8),
}

/// The bytes a text stands for.
fn unescape(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return tokens,
            [b'\\', digits @ ..] if digits[0].is_ascii_digit() => {
                let decimal = std::str::from_utf8(&digits[..3]).expect("digits");
                tokens.push(Token::Escaped(decimal.parse().expect("at most 255")));
                &digits[3..]
            }
            [b'\\', byte, after @ ..] => {
                tokens.push(Token::Escaped(*byte));
                after
            }
            [byte, after @ ..] => {
                assert_ne!(*byte, b'"', "a bare quote");
                tokens.push(Token::Plain(*byte));
                after
            }
        }
    }
}

/// The bytes of some tokens.
fn bytes(tokens: Vec<Token>) -> Vec<u8> {
    tokens.into_iter().map(|(Token::Plain(byte) | Token::Escaped(byte))| byte).collect()
}
