//! The regular expressions that need no engine: alternatives of plain text, at the start, at the end, or
//! anywhere.
//!
//! ```text
//! source --- expand ---> token sequences, one for each alternative --- LiteralRule ---> exact | prefix | suffix | loose
//! ```
//!
//! Patterns that people write to pick names are nearly always of this kind: `(www\.)?example\.com\.$`,
//! `.*\.arpa\.$`, `ads\.|track\.`, `(^|.*\.)doubleclick\.net\.$`, `lb1|lb2`. The engine takes microseconds
//! for some of them, a look into a sorted list some ten nanoseconds, for a thousand alternatives, too.
//!
//! Understood: plain characters, escaped punctuation, `.`, alternatives, groups and `?` after them, `^` in
//! front, `$` behind, `.*` and `.+` at either end, and `(?i)` before everything. Whatever else there is, or
//! too many alternatives, is left to the engine: [`LiteralSet::of`] answers `None`. Promised for texts
//! without line breaks, which is what all texts of ours are: the verdict is the engine's.

use std::cmp::Ordering;

/// Alternatives at most, once groups are written out; and characters of them all.
const RULES_MAX: usize = 4096;
const TOKENS_MAX: usize = 1 << 16;

/// Alternatives at most that are looked for one after the other.
const LOOSE_MAX: usize = 32;

/// Groups within groups at most.
const DEPTH_MAX: usize = 16;

/// Alternatives of plain text, matched from the start of a text on.
#[derive(Clone, Debug)]
pub(crate) struct LiteralSet {
    /// Whether the case of ASCII letters is ignored; all texts here are in lower case then.
    fold: bool,
    /// Whether every text matches.
    all: bool,
    /// Whole texts, in order.
    exact: Vec<Box<[u8]>>,
    /// Beginnings of texts, in order, none the beginning of another.
    prefixes: Vec<Box<[u8]>>,
    /// Ends of texts, written backwards; the same.
    suffixes: Vec<Box<[u8]>>,
    /// The others.
    loose: Vec<LiteralRule>,
}

impl LiteralSet {
    /// The alternatives of an expression that the engine takes; `None` when it is not of this kind.
    pub(crate) fn of(source: &str) -> Option<Self> {
        let (fold, source) = match source.strip_prefix("(?i)") {
            Some(rest) => (true, rest),
            None => (false, source),
        };
        let mut parser = LiteralParser { rest: source, depth: 0 };
        let sequences = parser.alternatives()?;
        if !parser.rest.is_empty() {
            return None;
        }
        let mut plain = LiteralSet {
            fold,
            all: false,
            exact: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            loose: Vec::new(),
        };
        for sequence in &sequences {
            plain.add(LiteralRule::of(sequence, fold)?);
        }
        plain.exact.sort();
        plain.exact.dedup();
        for list in [&mut plain.prefixes, &mut plain.suffixes] {
            list.sort();
            list.dedup_by(|longer, shorter| longer.starts_with(shorter));
        }
        (plain.loose.len() <= LOOSE_MAX).then_some(plain)
    }

    fn add(&mut self, rule: LiteralRule) {
        let text = rule.text();
        match (text, rule.floats, rule.ends) {
            (Some(text), false, false) if text.is_empty() => self.all = true,
            (Some(text), false, true) => self.exact.push(text.into_bytes().into()),
            (Some(text), false, false) => self.prefixes.push(text.into_bytes().into()),
            (Some(text), true, true) => self.suffixes.push(text.bytes().rev().collect()),
            _ => self.loose.push(rule),
        }
    }

    /// Whether one of the alternatives matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let fold = |byte: u8| if self.fold { byte.to_ascii_lowercase() } else { byte };
        let forwards = text.bytes().map(fold);
        let backwards = text.bytes().rev().map(fold);
        self.all
            || floor(&self.exact, forwards.clone()).is_some_and(|rule| rule.len() == text.len())
            || floor(&self.prefixes, forwards).is_some()
            || floor(&self.suffixes, backwards).is_some()
            || self.loose.iter().any(|rule| rule.is_match(text, self.fold))
    }
}

/// The last text of an ordered list that is not after `bytes`, when `bytes` begin with it.
///
/// Every text between a beginning of `bytes` and `bytes` begins with it, too: so where none in the list is
/// the beginning of another, this finds the one that `bytes` begin with, if any does.
fn floor(list: &[Box<[u8]>], bytes: impl Iterator<Item = u8> + Clone) -> Option<&[u8]> {
    let behind = list.partition_point(|text| text.iter().copied().cmp(bytes.clone()) != Ordering::Greater);
    let candidate = list.get(behind.checked_sub(1)?)?;
    let mut bytes = bytes;
    candidate.iter().all(|&byte| bytes.next() == Some(byte)).then_some(candidate)
}

// ---- One alternative -----------------------------------------------------------------------------------

/// One alternative: characters in a row.
#[derive(Clone, Debug)]
struct LiteralRule {
    /// Whether anything may come before.
    floats: bool,
    /// The characters; `None` is any one.
    letters: Vec<Option<char>>,
    /// Whether nothing may come behind.
    ends: bool,
}

impl LiteralRule {
    /// The rule of a sequence; `None` when it is not of this kind.
    fn of(sequence: &[LiteralToken], fold: bool) -> Option<Self> {
        let mut tokens = sequence;
        while let [LiteralToken::Start, rest @ ..] = tokens {
            tokens = rest;
        }
        let mut ends = false;
        while let [rest @ .., LiteralToken::End] = tokens {
            (tokens, ends) = (rest, true);
        }
        while let [rest @ .., LiteralToken::Any] = tokens {
            (tokens, ends) = (rest, false);
        }
        let lead =
            tokens.iter().take_while(|token| matches!(token, LiteralToken::Any | LiteralToken::One)).count();
        let floats = tokens.iter().take(lead).any(|&token| token == LiteralToken::Any);
        let mut letters = Vec::with_capacity(tokens.len());
        for (at, &token) in tokens.iter().enumerate() {
            match token {
                LiteralToken::Letter(letter) if fold => letters.push(Some(letter.to_ascii_lowercase())),
                LiteralToken::Letter(letter) => letters.push(Some(letter)),
                LiteralToken::One => letters.push(None),
                LiteralToken::Any if at < lead => {}
                LiteralToken::Any | LiteralToken::Start | LiteralToken::End => return None,
            }
        }
        Some(LiteralRule { floats, letters, ends })
    }

    /// The characters, when each is a certain one and their place is.
    fn text(&self) -> Option<String> {
        if self.floats && !self.ends { None } else { self.letters.iter().copied().collect() }
    }

    fn is_match(&self, text: &str, fold: bool) -> bool {
        let agree = |letter: &Option<char>, found: char| match *letter {
            Some(letter) => letter == if fold { found.to_ascii_lowercase() } else { found },
            None => true,
        };
        let here = |text: &str| {
            let mut found = text.chars();
            let begins = self.letters.iter().all(|letter| found.next().is_some_and(|c| agree(letter, c)));
            begins && (!self.ends || found.next().is_none())
        };
        match (self.floats, self.ends) {
            (false, _) => here(text),
            (true, false) => {
                let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                starts.into_iter().any(|at| text.get(at..).is_some_and(here))
            }
            (true, true) => {
                let mut found = text.chars().rev();
                self.letters.iter().rev().all(|letter| found.next().is_some_and(|c| agree(letter, c)))
            }
        }
    }
}

// ---- From the source to sequences
// --------------------------------------------------------------------------

/// A step of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LiteralToken {
    /// This character.
    Letter(char),
    /// Any one character: `.`
    One,
    /// Any number of characters: `.*`
    Any,
    /// The start of the text: `^`
    Start,
    /// The end of the text: `$`
    End,
}

/// Alternatives, written out.
type Sequences = Vec<Vec<LiteralToken>>;

/// Reads an expression that is known to be a legal one.
struct LiteralParser<'s> {
    rest: &'s str,
    depth: usize,
}

impl LiteralParser<'_> {
    /// Everything up to a closing parenthesis or the end.
    fn alternatives(&mut self) -> Option<Sequences> {
        let mut all = self.sequence()?;
        while self.eat('|') {
            all.extend(self.sequence()?);
            within_bounds(&all)?;
        }
        Some(all)
    }

    /// Everything up to the next `|`, closing parenthesis or the end, groups written out.
    fn sequence(&mut self) -> Option<Sequences> {
        let mut all: Sequences = vec![Vec::new()];
        while let Some(letter) = self.rest.chars().next().filter(|letter| !"|)".contains(*letter)) {
            self.eat(letter);
            match letter {
                '(' => {
                    let group = self.group()?;
                    if all.len() * group.len() > RULES_MAX {
                        return None;
                    }
                    all = all
                        .iter()
                        .flat_map(|head| group.iter().map(|tail| [&head[..], tail].concat()))
                        .collect();
                }
                _ => {
                    let tokens = self.single(letter)?;
                    all.iter_mut().for_each(|sequence| sequence.extend_from_slice(tokens.as_slice()));
                }
            }
            within_bounds(&all)?;
        }
        Some(all)
    }

    /// The alternatives of a group whose parenthesis is open; none at all is one more when `?` is after it.
    fn group(&mut self) -> Option<Sequences> {
        self.depth += 1;
        if self.depth > DEPTH_MAX || (self.rest.starts_with('?') && !self.skip("?:")) {
            return None;
        }
        let mut all = self.alternatives()?;
        if !self.eat(')') {
            return None;
        }
        self.depth -= 1;
        if self.eat('?') {
            all.push(Vec::new());
        }
        self.no_repetition()?;
        Some(all)
    }

    /// The token of one character that is not a parenthesis.
    fn single(&mut self, letter: char) -> Option<heapless::Vec<LiteralToken, 2>> {
        let tokens: &[LiteralToken] = match letter {
            '^' => &[LiteralToken::Start],
            '$' => &[LiteralToken::End],
            '.' => match self.rest.chars().next() {
                Some(times @ ('*' | '+')) => {
                    self.eat(times);
                    self.eat('?'); // as few as possible: the verdict is the same
                    if times == '*' { &[LiteralToken::Any] } else { &[LiteralToken::One, LiteralToken::Any] }
                }
                _ => &[LiteralToken::One],
            },
            '\\' => {
                let escaped = self.rest.chars().next().filter(|letter| letter.is_ascii_punctuation())?;
                self.eat(escaped);
                // Word boundaries.
                (!"<>".contains(escaped)).then_some(())?;
                &[LiteralToken::Letter(escaped)]
            }
            '[' | ']' | '{' | '}' | '*' | '+' | '?' => return None,
            letter => &[LiteralToken::Letter(letter)],
        };
        let tokens = heapless::Vec::from_slice(tokens).ok()?;
        self.no_repetition()?;
        Some(tokens)
    }

    /// Nothing may be repeated but what was understood above.
    fn no_repetition(&self) -> Option<()> {
        (!self.rest.starts_with(['*', '+', '?', '{'])).then_some(())
    }

    fn eat(&mut self, letter: char) -> bool {
        self.skip(letter.encode_utf8(&mut [0; 4]))
    }

    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// None when there are too many.
fn within_bounds(all: &Sequences) -> Option<()> {
    (all.len() <= RULES_MAX && all.iter().map(Vec::len).sum::<usize>() <= TOKENS_MAX).then_some(())
}

#[cfg(test)]
#[path = "literals_tests.rs"]
mod tests;
