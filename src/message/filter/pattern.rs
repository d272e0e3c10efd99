//! The regular expressions of the filters.

use super::literals::LiteralSet;
use crate::values::{Invalid, Value, deserialize};
use regex_lite::Regex;
use std::fmt;

/// A regular expression that must match from the start of a text on; the end is free.
///
/// Matching takes time linear in the text. No look-around, no Unicode classes (regex-lite's syntax). A text
/// has no line break in it.
#[derive(Clone)]
pub(crate) struct Pattern {
    /// As it was written.
    source: String,
    matcher: PatternMatcher,
}

/// The way to decide.
#[derive(Clone)]
enum PatternMatcher {
    /// Plain alternatives.
    Literals(LiteralSet),
    /// The engine, with `^(?:source)`.
    Engine(Regex),
}

impl Pattern {
    /// Whether the start of the text matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            PatternMatcher::Literals(plain) => plain.is_match(text),
            PatternMatcher::Engine(anchored) => anchored.is_match(text),
        }
    }

    /// Whether it is plain alternatives, which cost next to nothing.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.matcher, PatternMatcher::Literals(_))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Value for Pattern {
    fn allowed() -> String {
        "a regular expression, matched from the start".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        // Alone first: `a)(?:b` is balanced only inside our own group.
        let alone = Regex::new(text);
        let anchored = alone.and_then(|_| Regex::new(&format!("^(?:{text})")));
        let anchored = anchored.map_err(|error| Invalid::Because(error.to_string()))?;
        let matcher = LiteralSet::of(text).map_or(PatternMatcher::Engine(anchored), PatternMatcher::Literals);
        Ok(Pattern { source: text.to_owned(), matcher })
    }
}

deserialize!(Pattern);

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's own examples, for names and for identities.
    #[test]
    fn patterns_are_anchored_at_the_start_only() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Pattern::from_text(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        };
        for identity in ["dnsdist01", "dnsdist01-bis", "unbound01"] {
            check("dnsdist01|unbound01", identity, true);
        }
        for identity in ["my-dnsdist01", "my-unbound01", "-"] {
            check("dnsdist01|unbound01", identity, false);
        }
        for name in ["a.com.", "www.a.com.", "xcom.org."] {
            check(".*.com", name, true);
        }
        for name in ["comx.org.", "b.COM."] {
            check(".*.com", name, false);
        }
        check("", "anything", true);
        check("^a$", "a", true);
        check("(?i)WWW", "www.a.", true);
    }

    #[test]
    fn broken_patterns_say_why() {
        for (pattern, why) in [
            ("(", "found open group without closing ')'"),
            ("a)(?:b", "found closing ')' without matching '('"),
            ("(?=a)", "look-around is not supported"),
        ] {
            assert_eq!(Pattern::from_text(pattern), Err(Invalid::Because(why.to_owned())), "{pattern}");
        }
    }
}
