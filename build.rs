//! Makes the dashboard's page out of its three sources, in `src/http/documents/page`: one document in gzip,
//! and what the answer's head says of it. So nobody can forget to make them anew. The script is sent with
//! short names, for it has to fit into 64 KiB.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a build may fail, and says why")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Where the sources are.
const FOLDER: &str = "src/http/documents/page";

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=DNSTAPD_COMMIT={}", commit());
    let read = |name: &str| fs::read_to_string(Path::new(FOLDER).join(name)).expect("a source of the page");
    let (style, script) = (read("style.css"), read("script.js"));
    let style = minifier::css::minify(&style).expect("a style sheet").to_string().replace(";}", "}");
    let script = minifier::js::minify(&shorten(&script)).to_string();
    let page = read("index.html")
        .replace("<style></style>", &format!("<style>{style}</style>"))
        .replace("<script></script>", &format!("<script>{script}</script>"));

    let mut gzip = Vec::new();
    let effort =
        zopfli::Options { iteration_count: NonZeroU64::new(3).expect("not 0"), ..zopfli::Options::default() };
    zopfli::compress(effort, zopfli::Format::Gzip, page.as_bytes(), &mut gzip).expect("memory");
    let version: String = Sha256::digest(&page).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(&style),
        hash(&script)
    );
    // Weak, for it is the same in each form (RFC 9110, 8.8.1).
    let tag = format!("W/\"{version}\"");
    let length = page.len();
    let constants = format!(
        "const POLICY: &str = {policy:?};\nconst TAG: &str = {tag:?};\nconst LENGTH: usize = {length};\n"
    );

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    fs::write(out.join("page.html"), &page).expect("a writable folder");
    fs::write(out.join("page.html.gz"), gzip).expect("a writable folder");
    fs::write(out.join("page.rs"), constants).expect("a writable folder");
}

// ------------ Names of the script -------------------------------------------

/// Words of the language, names of the browser, and what tests ask the page for: all other names of the
/// script are its own.
const KEPT: &str = "\
    async await break case catch class const continue default delete do else export extends false finally for \
    function get if import in instanceof let new null of return set static super switch this throw true try \
    typeof undefined var void while yield \
    AbortSignal Array Blob Boolean Date Error EventSource FormData Infinity Intl JSON Map Math NaN Number Object \
    Promise RegExp ResizeObserver Set String TextDecoder TextEncoder URL URLSearchParams Uint8Array \
    addEventListener cancelAnimationFrame clearInterval clearTimeout decodeURIComponent document \
    encodeURIComponent fetch history innerHeight innerWidth isFinite isNaN localStorage location matchMedia \
    navigator parseFloat parseInt performance requestAnimationFrame scrollTo sessionStorage setInterval setTimeout \
    structuredClone window \
    log names showState state take tell";

/// A part of the script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Space or a comment.
    Space,
    /// A name or a word of the language.
    Word,
    /// A number, a string, a regular expression, a text between two holes of a template.
    Literal,
    /// Anything else: one character, or `...`, `=>`, `?.`.
    Sign,
}

/// The script with short names of its own. A name that stands outside of all brackets is the same short one
/// everywhere; each statement of the script gives the others anew, the same name the same short one, so that
/// whatever hid another one still does. Names of properties stay; `{name}` becomes `{name:n}`. Classes with
/// members are not understood.
fn shorten(script: &str) -> String {
    let parts = parts(script);
    let kept: BTreeSet<&str> = KEPT.split_whitespace().collect();
    let names = names(&parts, &kept);
    let (shared, local): (Vec<_>, Vec<_>) = names.into_iter().partition(|(_, places)| places.is_shared);
    let mut replaced = BTreeMap::new();
    // In each statement: the short names of the shared ones that it has, and those of its own.
    let mut used: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut own: BTreeMap<usize, Vec<(&str, Vec<Place>)>> = BTreeMap::new();
    give(shared, &kept, &BTreeSet::new(), |place, short, text| {
        used.entry(place.statement).or_default().insert(short.to_owned());
        replaced.insert(place.at, text);
    });
    for (name, Places { list, .. }) in local {
        for part in list.chunk_by(|one, next| one.statement == next.statement) {
            own.entry(part[0].statement).or_default().push((name, part.to_vec()));
        }
    }
    for (statement, names) in own {
        let names = names.into_iter().map(|(name, list)| (name, Places { list, is_shared: false })).collect();
        let used = used.remove(&statement).unwrap_or_default();
        give(names, &kept, &used, |place, _, text| drop(replaced.insert(place.at, text)));
    }
    parts
        .into_iter()
        .enumerate()
        .fold(String::new(), |out, (at, (_, text))| out + replaced.get(&at).map_or(text, String::as_str))
}

/// Gives names their short ones, the shortest to the most frequent, and what is to stand at their places.
fn give(
    mut names: Vec<(&str, Places)>,
    kept: &BTreeSet<&str>,
    used: &BTreeSet<String>,
    mut put: impl FnMut(Place, &str, String),
) {
    names.sort_by_key(|(_, places)| core::cmp::Reverse(places.list.len()));
    let letters = || ('a'..='z').chain('A'..='Z').chain(['_']);
    let one = letters().map(String::from);
    let two = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}")));
    let free = |short: &String| !kept.contains(short.as_str()) && !used.contains(short);
    for ((name, places), short) in names.into_iter().zip(one.chain(two).filter(free)) {
        for place in places.list {
            put(place, &short, if place.is_shorthand { format!("{name}:{short}") } else { short.clone() });
        }
    }
}

/// The places of a name.
#[derive(Default)]
struct Places {
    list: Vec<Place>,
    /// Whether one of them is outside of all brackets.
    is_shared: bool,
}

/// A place of a name.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    /// The number of the statement that it is in.
    statement: usize,
    /// It stands for a property as well: `{name}`.
    is_shorthand: bool,
}

/// The names that are no properties.
fn names<'s>(parts: &[(Part, &'s str)], kept: &BTreeSet<&str>) -> BTreeMap<&'s str, Places> {
    let seen: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].0 != Part::Space).collect();
    let text = |place: Option<usize>| place.and_then(|place| seen.get(place)).map_or("", |at| parts[*at].1);
    let mut open: Vec<char> = Vec::new();
    let mut names: BTreeMap<&str, Places> = BTreeMap::new();
    let mut statement = 0;
    for (place, &at) in seen.iter().enumerate() {
        let (part, word) = parts[at];
        let (before, after) = (text(place.checked_sub(1)), text(Some(place + 1)));
        let is_key = open.last() == Some(&'o') && matches!(before, "{" | ",");
        match (part, word) {
            (Part::Literal, _) if word.starts_with(['`', '}']) => {
                if word.starts_with('}') {
                    open.pop();
                }
                if word.ends_with("${") {
                    open.push('$');
                }
            }
            (Part::Sign, "{") => {
                let is_word = before.starts_with(|c: char| c.is_ascii_alphabetic());
                let is_block = match before {
                    ")" | "=>" | ";" | "}" | "" => true,
                    "{" => open.last() == Some(&'b'),
                    _ => is_word && !matches!(before, "const" | "let" | "return" | "of" | "in"),
                };
                open.push(if is_block { 'b' } else { 'o' });
            }
            (Part::Sign, "(" | "[") => open.push('('),
            (Part::Sign, ")" | "]" | "}") => {
                open.pop();
                statement += usize::from(open.is_empty() && word == "}");
            }
            (Part::Sign, ";") if open.is_empty() => statement += 1,
            (Part::Word, _) if kept.contains(word) || word == "$" || matches!(before, "." | "?.") => {}
            (Part::Word, _) if is_key && matches!(after, ":" | "(") => {}
            (Part::Word, _) if open.last() == Some(&'o') && before == "async" && after == "(" => {}
            (Part::Word, _) => {
                let places = names.entry(word).or_default();
                places.list.push(Place { at, statement, is_shorthand: is_key });
                places.is_shared |= open.is_empty();
            }
            _ => {}
        }
    }
    names
}

/// Cuts the script; nothing is lost.
fn parts(script: &str) -> Vec<(Part, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
    let mut parts: Vec<(Part, &str)> = Vec::new();
    // Of `{` and of `${`.
    let mut open: Vec<bool> = Vec::new();
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        let last = parts.iter().rev().find(|(part, _)| *part != Part::Space).copied();
        let (part, length) = if first.is_whitespace() {
            (Part::Space, first.len_utf8())
        } else if rest.starts_with("//") {
            (Part::Space, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Part::Space, rest.find("*/").expect("the end of a comment") + 2)
        } else if first == '\'' || first == '"' {
            (Part::Literal, end_of(rest, |rest| rest.starts_with(first)) + 1)
        } else if first == '`' || first == '}' && open.last() == Some(&true) {
            if first == '}' {
                open.pop();
            }
            let end = end_of(rest, |rest| rest.starts_with('`') || rest.starts_with("${"));
            let is_hole = rest[end..].starts_with('$');
            if is_hole {
                open.push(true);
            }
            (Part::Literal, end + 1 + usize::from(is_hole))
        } else if first.is_ascii_digit()
            || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())
        {
            (Part::Literal, rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len()))
        } else if is_word(first) {
            (Part::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len()))
        } else if first == '/' && begins_expression(last) {
            let mut is_class = false;
            let end = end_of(rest, |rest| {
                is_class = rest.starts_with('[') || is_class && !rest.starts_with(']');
                rest.starts_with('/') && !is_class
            });
            (Part::Literal, end + 1 + rest[end + 1..].find(|c| !is_word(c)).unwrap_or(0))
        } else {
            match first {
                '{' => open.push(false),
                '}' => drop(open.pop()),
                _ => {}
            }
            let long = ["...", "=>", "?."].into_iter().find(|sign| rest.starts_with(sign));
            (Part::Sign, long.map_or(first.len_utf8(), str::len))
        };
        let (text, after) = rest.split_at(length);
        parts.push((part, text));
        rest = after;
    }
    parts
}

/// Whether an expression begins after a part, or goes on: what `/` means.
fn begins_expression(last: Option<(Part, &str)>) -> bool {
    match last {
        Some((Part::Literal, _)) => false,
        Some((Part::Word, word)) => word == "return",
        Some((_, sign)) => !matches!(sign, ")" | "]" | "}"),
        None => true,
    }
}

/// Where a text ends whose first character is passed over: a backslash hides the character after it.
fn end_of(text: &str, mut ends: impl FnMut(&str) -> bool) -> usize {
    let mut is_hidden = true;
    let end = text.char_indices().find(|(at, letter)| {
        let was_hidden = is_hidden;
        is_hidden = *letter == '\\' && !was_hidden;
        !was_hidden && ends(&text[*at..])
    });
    end.expect("the end of a literal").0
}

/// The commit that is built: as the environment says, else as git does. Only for releases: other builds would
/// be made anew after each commit.
fn commit() -> String {
    println!("cargo::rerun-if-env-changed=DNSTAPD_COMMIT");
    if let Ok(commit) = env::var("DNSTAPD_COMMIT") {
        return commit;
    }
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return "unknown".to_owned();
    }
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// How a content security policy names a style or script that may stand in the page (CSP Level 3, 2.3.1).
fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text)))
}

/// Base64 with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, place| bits << 8 | u32::from(*group.get(place).unwrap_or(&0)));
        let digit = |place: usize| char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]);
        (0..4).map(|place| if place <= group.len() { digit(place) } else { '=' }).collect()
    };
    bytes.chunks(3).map(group).collect()
}
