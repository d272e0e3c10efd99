//! Sets of names by the million: lists of what a resolver blocks, and lists to filter by.
//!
//! ```text
//! hash of a name | 15 bits: which group | 32 bits: a number in the group |
//!
//! groups         | 0 | 31 | 64 | ...      where each begins
//! numbers        | sorted in a group: 31 of a million names |
//! ```
//!
//! An entry takes four bytes, whatever its length, so a million fit 4 MiB. While they are read, they take
//! eight each, and those that are in force until then stay: 12 MiB at most. The hash is of the name and of
//! what the entry stands for: itself, what is below, or both. Only what the set has entries of is looked for,
//! once for each label, by a binary search in one group. A name that is not in the set is taken for one
//! that is with a probability of 31 in 2^32 each time; the hash is seeded, so nobody can choose such a name.
//!
//! A list is a file of one of these forms, which are told line by line:
//!
//! | line | means |
//! |---|---|
//! | `example.com` | the name and what is below |
//! | `0.0.0.0 example.com`, as in a hosts file | the name alone |
//! | `example.com CNAME .` of a response policy zone | the name alone |
//! | `*.example.com CNAME .` | what is below |
//! | `example.com.rpz.local. CNAME .` | the same, once `$ORIGIN rpz.local.` or the zone's SOA record said what to leave out |
//! | `||example.com^`, `||example.com^$important` of an ad blocker | the name and what is below |
//! | `address=/example.com/`, `server=`, `local=` of dnsmasq | the name and what is below |
//!
//! Comments (`#`, `!`, `;`), exceptions (`@@`) and what is none of these are passed over.

use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;
use std::io::{self, BufRead, BufReader};

use crate::sys::random::{SeededState, seeded_state};
use crate::wire::name::Name;

/// A set of names.
#[derive(Debug)]
pub(crate) struct NameSet {
    groups: Box<[u32]>,
    numbers: Box<[u32]>,
    hasher: SeededState,
    /// Bit n: there are entries of scope n.
    scopes: u8,
}

/// The names that an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum EntryScope {
    /// The name.
    Alone,
    /// Names below it.
    Below,
    /// Both.
    Both,
}

impl EntryScope {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

const GROUP_BITS: u32 = 15;
/// Bytes of a line at most; what is longer is passed over.
const LINE_BYTES: u64 = 1024;
/// Entries at most: 64 MiB.
const ENTRIES_MAX: usize = 16 << 20;

impl NameSet {
    /// Reads lists.
    ///
    /// # Errors
    ///
    /// Those of the files.
    pub(crate) fn read(files: &mut dyn Iterator<Item = io::Result<std::fs::File>>) -> io::Result<Self> {
        let hasher = seeded_state();
        let (mut hashes, mut scopes) = (Vec::new(), 0);
        for file in files {
            let mut reader = BufReader::new(file?);
            let (mut line, mut zone) = (Vec::new(), String::new());
            loop {
                line.clear();
                let length = io::Read::take(&mut reader, LINE_BYTES).read_until(b'\n', &mut line)?;
                if length == 0 {
                    break;
                }
                let text = core::str::from_utf8(&line).unwrap_or_default();
                read_entry(text, &mut zone, |name, scope| {
                    if hashes.len() < ENTRIES_MAX
                        && let Some(hash) = hash_text(&hasher, name, scope)
                    {
                        hashes.push(halves(hash));
                        scopes |= scope.bit();
                    }
                });
            }
        }
        Ok(NameSet::of(hashes, scopes, hasher))
    }

    /// The set of some hashes, each in its two halves.
    fn of(mut hashes: Vec<[u32; 2]>, scopes: u8, hasher: SeededState) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let mut groups = vec![0u32; (1 << GROUP_BITS) + 1];
        for [group, _] in &hashes {
            if let Some(group) = groups.get_mut(*group as usize + 1) {
                *group += 1;
            }
        }
        let mut sum = 0;
        for group in &mut groups {
            sum += *group;
            *group = sum;
        }
        // The second halves move together, in the memory that they are in:
        //
        //     group number group number group number      number number number
        let mut numbers = hashes.into_flattened();
        let count = numbers.len() / 2;
        for at in 0..count {
            if let (Some(number), Some(place)) = (numbers.get(2 * at + 1).copied(), numbers.get_mut(at)) {
                *place = number;
            }
        }
        numbers.truncate(count);
        NameSet { groups: groups.into(), numbers: numbers.into(), hasher, scopes }
    }

    /// Bytes it takes.
    pub(crate) fn cost(&self) -> usize {
        size_of_val(&*self.groups) + size_of_val(&*self.numbers)
    }

    /// Whether an entry is the name, or one that it is below.
    pub(crate) fn contains(&self, name: Name<'_>) -> bool {
        if self.has_entry(name.wire_form(), [EntryScope::Alone, EntryScope::Both]) {
            return true;
        }
        if self.scopes == EntryScope::Alone.bit() {
            return false;
        }
        let mut rest = name.wire_form();
        while let Some((length, after)) = rest.split_first() {
            let Some(parent) = after.get(usize::from(*length)..).filter(|parent| parent.len() > 1) else {
                return false;
            };
            if self.has_entry(parent, [EntryScope::Below, EntryScope::Both]) {
                return true;
            }
            rest = parent;
        }
        false
    }

    /// Whether there is an entry of one of two scopes.
    fn has_entry(&self, wire: &[u8], scopes: [EntryScope; 2]) -> bool {
        let has = |scope: EntryScope| {
            self.scopes & scope.bit() != 0 && self.has(hash_wire(&self.hasher, wire, scope))
        };
        scopes.into_iter().any(has)
    }

    fn has(&self, hash: u64) -> bool {
        let [group, number] = halves(hash);
        let bounds = self.groups.get(group as usize..).and_then(|groups| groups.first_chunk());
        let Some([start, end]) = bounds else { return false };
        let group = self.numbers.get(*start as usize..*end as usize).unwrap_or_default();
        group.binary_search(&number).is_ok()
    }
}

/// The group of a hash, and its number there.
fn halves(hash: u64) -> [u32; 2] {
    [(hash >> (64 - GROUP_BITS)) as u32, (hash >> (32 - GROUP_BITS)) as u32]
}

/// The hash of a name in wire form, without regard to case.
fn hash_wire(hasher: &SeededState, wire: &[u8], scope: EntryScope) -> u64 {
    let mut hasher = hasher.build_hasher();
    Name::parse(wire).map_or(Name::ROOT, |(name, _)| name).hash_folded(&mut hasher);
    hasher.write_u8(scope as u8);
    hasher.finish()
}

/// The hash of a name as text; `None` if it is not one.
fn hash_text(hasher: &SeededState, text: &str, scope: EntryScope) -> Option<u64> {
    let mut wire = heapless::Vec::<u8, 256>::new();
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length).ok()?;
        wire.extend_from_slice(label.as_bytes()).ok()?;
    }
    wire.push(0).ok()?;
    Name::parse(&wire).is_ok().then(|| hash_wire(hasher, &wire, scope))
}

/// Hands over the names that a line lists; `zone` is the zone of a policy that the lines before were of, if
/// they said.
fn read_entry<'l>(line: &'l str, zone: &mut String, mut take: impl FnMut(&'l str, EntryScope)) {
    let line = line.trim();
    if let Some(origin) = line.strip_prefix("$ORIGIN") {
        set_zone(zone, origin.trim());
    }
    if line.starts_with(['#', '!', ';', '[', '$', '@']) {
        return;
    }
    let line = line.split(['#', ';']).next().unwrap_or_default().trim();
    let mut both = |name: &'l str| {
        if is_name(name) {
            take(name, EntryScope::Both);
        }
    };
    if let Some(rule) = line.strip_prefix("||") {
        // Rules with conditions or paths are for pages, not for names.
        let rule = rule.strip_suffix("$important").unwrap_or(rule);
        return rule.strip_suffix('^').into_iter().for_each(both);
    }
    if let Some((key, rest)) = line.split_once("=/") {
        if matches!(key, "address" | "server" | "local") {
            rest.split('/').take_while(|name| !name.is_empty()).for_each(both);
        }
        return;
    }
    let mut words = line.split_ascii_whitespace();
    let Some(first) = words.next() else { return };
    let Some(second) = words.next() else {
        return match first.strip_prefix("*.") {
            Some(name) if is_name(name) => take(name, EntryScope::Below),
            Some(_) => {}
            None => both(first),
        };
    };
    if first.parse::<IpAddr>().is_ok() {
        let names = core::iter::once(second).chain(words);
        return names.filter(|name| is_name(name)).for_each(|name| take(name, EntryScope::Alone));
    }
    let mut rest = core::iter::once(second)
        .chain(words)
        .skip_while(|word| word.eq_ignore_ascii_case("IN") || word.bytes().all(|byte| byte.is_ascii_digit()));
    let rr_type = rest.next().unwrap_or_default();
    if rr_type.eq_ignore_ascii_case("SOA") {
        set_zone(zone, first);
    }
    // `rpz-passthru.` lets a name pass.
    let is_policy = rr_type.eq_ignore_ascii_case("CNAME")
        && rest.next().is_some_and(|target| matches!(target, "." | "*." | "rpz-drop."));
    let first = without_zone(first, zone);
    match first.strip_prefix("*.") {
        Some(name) if is_policy && is_name(name) => take(name, EntryScope::Below),
        None if is_policy && is_name(first) => take(first, EntryScope::Alone),
        _ => {}
    }
}

/// Notes the zone of a policy: absolute names of it end so.
fn set_zone(zone: &mut String, name: &str) {
    if name.ends_with('.') && name.len() > 1 {
        zone.clear();
        zone.extend([".", name]);
    }
}

/// The name that a policy is for, of its name in the zone.
fn without_zone<'l>(name: &'l str, zone: &str) -> &'l str {
    let length = name.len().saturating_sub(zone.len());
    match name.split_at_checked(length) {
        Some((name, end)) if !zone.is_empty() && !name.is_empty() && end.eq_ignore_ascii_case(zone) => name,
        _ => name,
    }
}

/// Whether a word may be a name: no pattern, no address, and more than one character of letters and digits.
fn is_name(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !word.is_empty() && word.bytes().all(is_plain) && word.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> NameSet {
        let hasher = seeded_state();
        let (mut hashes, mut scopes, mut zone) = (Vec::new(), 0, String::new());
        for line in text.lines() {
            read_entry(line, &mut zone, |name, scope| {
                hashes.extend(hash_text(&hasher, name, scope).map(halves));
                scopes |= scope.bit();
            });
        }
        NameSet::of(hashes, scopes, hasher)
    }

    fn contains(set: &NameSet, text: &str) -> bool {
        let mut wire = Vec::new();
        for label in text.split('.') {
            wire.push(label.len() as u8);
            wire.extend(label.bytes());
        }
        wire.push(0);
        set.contains(Name::parse(&wire).unwrap().0)
    }

    #[test]
    fn every_form_means_what_it_says() {
        let check = |line: &str, itself: bool, below: bool| {
            let set = set(line);
            assert_eq!(
                (contains(&set, "Ads.example"), contains(&set, "x.ads.EXAMPLE")),
                (itself, below),
                "{line}"
            );
            assert!(!contains(&set, "example") && !contains(&set, "bads.example"), "{line}");
        };
        check("ads.example", true, true);
        check("ads.example. # that one", true, true);
        check("*.ads.example", false, true);
        check("0.0.0.0 ads.example", true, false);
        check("127.0.0.1 localhost ads.example", true, false);
        check("::  ads.example", true, false);
        check("ads.example CNAME .", true, false);
        check("ads.example 300 IN CNAME .", true, false);
        check("*.ads.example CNAME *.", false, true);
        check("ads.example CNAME rpz-passthru.", false, false);
        check("$ORIGIN rpz.test.\nads.example CNAME .", true, false);
        check("rpz.test. 60 IN SOA a. b. 1 2 3 4 5\nAds.example.RPZ.test. 60 IN CNAME .", true, false);
        check("$ORIGIN rpz.test.\n*.ads.example.rpz.test. CNAME .", false, true);
        check("$ORIGIN rpz.test.\nads.example.other.test. CNAME .", false, false);
        check("||ads.example^", true, true);
        check("||ads.example^$important", true, true);
        check("||ads.example^$third-party", false, false);
        check("@@||ads.example^", false, false);
        check("address=/ads.example/", true, true);
        check("server=/other.example/ads.example/", true, true);
        for line in
            ["# ads.example", "! ads.example", "", "ads.example A 192.0.2.1", "192.0.2.1", "[Adblock Plus]"]
        {
            check(line, false, false);
        }
    }

    proptest! {
        /// Whatever a file has in it, names are taken that are names, and nothing else is.
        #[test]
        fn any_line_is_read(
            lines in proptest::collection::vec("[-a-zA-Z0-9.*|^$#;=/@ \\t\\\\\u{e9}]{0,60}|\\PC{0,30}", 0..8),
            zone in "[a-z.]{0,8}",
        ) {
            let mut zone = zone;
            for line in &lines {
                read_entry(line, &mut zone, |name, _| assert!(is_name(name) && line.contains(name), "{line}: {name}"));
            }
            let _ = set(&lines.join("\n"));
        }
    }

    #[test]
    fn a_million_names_fit_four_mebibytes_and_are_found() {
        // The first tenth of them in a build that is slow.
        const NAMES: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        const BYTES: usize = if cfg!(debug_assertions) { 640 << 10 } else { 4 << 20 };
        let hasher = seeded_state();
        let names =
            |prefix: &'static str| (0..NAMES).map(move |number| format!("{prefix}{number}.example.net"));
        let hashes = names("a")
            .filter_map(|name| Some(halves(hash_text(&hasher, &name, EntryScope::Both)?)))
            .collect();
        let set = NameSet::of(hashes, EntryScope::Both.bit(), hasher.clone());
        assert!(set.cost() <= BYTES, "{}", set.cost());
        assert!(names("a").step_by(97).all(|name| contains(&set, &name)));
        let false_ones = names("b").filter(|name| contains(&set, name)).count();
        // One in 2^27 each, and each name is looked up four times.
        assert!(false_ones <= 2, "{false_ones}");
    }

    #[test]
    fn files_are_read_to_their_end() {
        let path = std::env::temp_dir().join(format!("dnstapd-names-{}", std::process::id()));
        std::fs::write(&path, "0.0.0.0 one.example\r\n\u{fffd}\n||two.example^\nthree.example").unwrap();
        let set = NameSet::read(&mut [std::fs::File::open(&path)].into_iter()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(set.numbers.len(), 3);
        assert!(["one.example", "two.example", "x.three.example"].iter().all(|name| contains(&set, name)));
    }
}
