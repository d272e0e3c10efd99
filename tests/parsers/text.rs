//! Bytes in presentation form.

use crate::oracle;
use dnstapd::wire::name::Name;
use proptest::collection::vec;
use proptest::prelude::*;

/// Labels of any bytes, some of them plain, which together fit a name.
pub(crate) fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let label = prop_oneof![
        4 => "[a-zA-Z0-9_-]{1,12}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 1..=63),
        1 => vec(proptest::sample::select(b".\\\" \0~!\x7f\x80".to_vec()), 1..6),
    ];
    vec(label, 0..8).prop_map(|mut labels: Vec<Vec<u8>>| {
        while labels.iter().map(|label| label.len() + 1).sum::<usize>() > 254 {
            labels.pop();
        }
        labels
    })
}

/// The wire form of labels, without the root.
pub(crate) fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect()
}

proptest! {
    #![proptest_config(crate::cases(1536))]

    #[test]
    fn any_bytes_have_a_text(raw in vec(any::<u8>(), 0..200)) {
        oracle::text::check(&raw);
    }

    #[test]
    fn any_unicode_has_a_text(raw in "\\PC{0,40}") {
        oracle::text::check(raw.as_bytes());
    }

    #[test]
    fn names_are_what_was_written(labels in labels(), behind in vec(any::<u8>(), 0..4)) {
        let bytes = [&wire(&labels)[..], &[0]].concat();
        let message = [&bytes[..], &behind].concat();
        let (name, rest) = Name::parse(&message).unwrap();
        prop_assert_eq!(rest, &behind[..]);
        prop_assert_eq!(name.wire_form(), &bytes[..]);
        oracle::text::check_name(&name);
    }
}
