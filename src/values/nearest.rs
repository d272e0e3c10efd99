//! The nearest of some words, for who mistyped one.

/// The word nearest to what was written, if it is near: a third of its letters may differ, `-`, `_` and case
/// apart; or the only one of which it is a part.
pub(crate) fn nearest<'w>(written: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // A key of thousands of letters is nobody's slip.
    if written.len() > 64 {
        return None;
    }
    let plain = |word: &str| -> Vec<u8> {
        word.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
    };
    let written = plain(written);
    // Or one that is longer by whole words: `port` for `local-port`, if it is the only one.
    let (mut longer, mut number) = (None, 0);
    let (distance, word) = words
        .inspect(|word| {
            if plain(word).split(|&byte| byte == b'-').any(|part| part == written) {
                (longer, number) = (Some(*word), number + 1);
            }
        })
        .map(|word| (distance(&written, &plain(word)), word))
        .min_by_key(|(distance, _)| *distance)?;
    let is_near = distance <= (written.len().max(word.len()) / 3).max(1) && distance < written.len();
    if is_near { Some(word) } else { longer.filter(|_| number == 1) }
}

/// Letters to put in, take out, exchange, or swap with their neighbour, to make one word of another.
fn distance(from: &[u8], to: &[u8]) -> usize {
    // Row by row of the table of all beginnings; for swaps the row before the last one, too.
    let mut last: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = at(&row, j) + usize::from(a != b);
            let mut best = change.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&last, j - 1) + 1);
            }
            next.push(best);
        }
        last = std::mem::replace(&mut row, next);
    }
    at(&row, to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let words = ["enable", "local-address", "local-port", "tls-support", "mode"];
        for (written, expected) in [
            ("loacl-port", Some("local-port")),
            ("local_adress", Some("local-address")),
            ("LOCAL-PORT", Some("local-port")),
            ("enabled", Some("enable")),
            ("tls", Some("tls-support")),
            ("port", Some("local-port")),
            ("local", None),
            ("zzz", None),
            ("m", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, words.into_iter()), expected, "{written}");
        }
        assert_eq!(nearest("a", [].into_iter()), None);
    }

    #[test]
    fn distances_are_symmetric() {
        for (from, to, expected) in [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), expected);
            assert_eq!(distance(to.as_bytes(), from.as_bytes()), expected);
        }
    }
}
