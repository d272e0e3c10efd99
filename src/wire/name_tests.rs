//! Names of real and of hostile messages.

use super::*;

fn name(wire: &[u8]) -> Name<'_> {
    let (name, rest) = Name::parse(wire).unwrap();
    assert!(rest.is_empty());
    name
}

fn text(wire: &[u8]) -> String {
    let name = name(wire);
    let text = name.to_string();
    let mut out = [0; TEXT_MAX];
    assert_eq!(name.write_text(&mut out), Some(text.len()));
    assert_eq!(&out[..text.len()], text.as_bytes());
    for short in 0..text.len() {
        assert_eq!(name.write_text(&mut out[..short]), None, "{text} in {short}");
    }
    text
}

#[test]
fn plain_names() {
    assert_eq!(text(b"\0"), ".");
    assert_eq!(text(b"\x03com\0"), "com.");
    assert_eq!(text(b"\x03nS2\x06goOgle\x03com\0"), "nS2.goOgle.com.");
    assert_eq!(text(b"\x01_\x01~\x01!\x01-\0"), "_.~.!.-.");
    // Labels as long as the code of a dot, a backslash, a quote.
    assert_eq!(text(&[&[b'.'][..], &[b'x'; 46], &[0]].concat()), format!("{}.", "x".repeat(46)));
    assert_eq!(text(&[&[b'"'][..], &[b'y'; 34], &[0]].concat()), format!("{}.", "y".repeat(34)));
}

#[test]
fn odd_bytes_are_escaped() {
    assert_eq!(text(b"\x03a.b\x01c\0"), r"a\.b.c.");
    assert_eq!(text(b"\x01.\0"), r"\..");
    assert_eq!(text(b"\x02\\\"\0"), r#"\\\"."#);
    assert_eq!(text(b"\x05\0 \n\x7f\xff\0"), r"\000\032\010\127\255.");
    assert_eq!(text("\x02ü\0".as_bytes()), r"\195\188.");
}

#[test]
fn the_longest_name_and_the_longest_text() {
    let label = |length: u8, byte: u8| [&[length][..], &vec![byte; usize::from(length)]].concat();
    let filled =
        |byte, last| [label(63, byte), label(63, byte), label(63, byte), label(last, byte), vec![0]].concat();
    let longest = filled(0, 61);
    assert_eq!(longest.len(), NAME_MAX);
    assert_eq!(text(&longest).len(), TEXT_MAX);
    assert_eq!(text(&filled(b'a', 61)).len(), NAME_MAX - 1);
    assert_eq!(Name::parse(&filled(b'a', 62)), Err(NameError::TooLong));
    let short_labels = [b"\x01a".repeat(127), vec![0]].concat();
    assert_eq!(text(&short_labels), "a.".repeat(127));
    assert_eq!(Name::parse(&[b"\x01a".repeat(128), vec![0]].concat()), Err(NameError::TooLong));
}

#[test]
fn pointers_are_refused() {
    let check = |message: &[u8]| assert_eq!(Name::parse(message), Err(NameError::Pointer));
    check(b"\xc0\x00");
    check(b"\x01a\xc0\x00");
    check(b"\xff");
}

#[test]
fn other_label_types_are_refused() {
    assert_eq!(Name::parse(b"\x40"), Err(NameError::LabelType));
    assert_eq!(Name::parse(b"\x01a\x80\x00"), Err(NameError::LabelType));
    assert_eq!(Name::parse(b"\xbf"), Err(NameError::LabelType));
}

#[test]
fn every_prefix_is_truncated() {
    let message = b"\x03www\x07example\x03com\0more";
    for cut in 0..message.len() - 4 {
        assert_eq!(Name::parse(&message[..cut]), Err(NameError::Truncated), "{cut}");
    }
    let (name, rest) = Name::parse(message).unwrap();
    assert_eq!((name.to_string().as_str(), rest), ("www.example.com.", &b"more"[..]));
}

#[test]
fn the_last_label_is_the_last() {
    assert_eq!(name(b"\x03www\x07example\x03CoM\0").last_label(), b"CoM");
    assert_eq!(name(b"\x02de\0").last_label(), b"de");
    assert_eq!(name(b"\x05\x03com\x00\0").last_label(), b"\x03com\x00");
    assert_eq!(Name::ROOT.last_label(), b"");
}

#[test]
fn eight_bytes_are_looked_at_as_each_alone() {
    for byte in 0..=255u8 {
        for at in 0..8 {
            let mut word = *b"a-9Z_~!a";
            word[at] = byte;
            let expected = u64::from(!is_plain_in_label(byte)) << (8 * at + 7);
            assert_eq!(special_bytes(u64::from_le_bytes(word)), expected, "{byte} at {at}");
        }
    }
}

#[test]
fn a_name_reads_the_same_with_much_room_and_with_just_enough() {
    for length in 1..=63u8 {
        for special in [b'a', b'.', b'"', 0] {
            let mut label = vec![b'x'; usize::from(length)];
            label[usize::from(length / 2)] = special;
            let wire = [&[length][..], &label, b"\x07example\0"].concat();
            let name = name(&wire);
            let mut much = [0; TEXT_MAX];
            let written = name.write_text(&mut much).unwrap();
            let mut enough = vec![0; written];
            assert_eq!(name.write_text(&mut enough), Some(written));
            assert_eq!(much[..written], enough[..]);
            assert_eq!(much[..written].contains(&b'\\'), special != b'a');
        }
    }
}

#[test]
fn labels_from_left_to_right() {
    let name = name(b"\x03www\x01.\x03com\0");
    assert_eq!(name.labels().collect::<Vec<_>>(), [&b"www"[..], b".", b"com"]);
    assert_eq!(Name::ROOT.labels().count(), 0);
    assert_eq!(Name::ROOT, self::name(b"\0"));
}

#[test]
fn skipping_is_reading() {
    for wire in [&b"\0"[..], b"\x03com\0", b"\x01a\xc0\x00", b"\xc0\x0c"] {
        for cut in 0..wire.len() {
            assert_eq!(skip(&mut Cursor::new(&wire[..cut])), None);
        }
        let longer = [wire, b"rest"].concat();
        let mut cursor = Cursor::new(&longer);
        assert_eq!(skip(&mut cursor), Some(()));
        assert_eq!(cursor.rest(), b"rest");
    }
    assert_eq!(skip(&mut Cursor::new(b"\x41a\0")), None);
}
