//! Rules of the house that a compiler does not know.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail, that is its point")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The program's own files with their text, by path below `src`; what only tests use is left out.
fn program() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(root().join("src")).unwrap().display().to_string();
            (relative, fs::read_to_string(file).unwrap())
        })
        .filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
        .collect()
}

// ------------ Layers ----------------------------------------------------------

/// The modules of the library, in the order in which they are declared.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    without_tests(&code(&text))
        .lines()
        .filter_map(|line| Some(line.split_once("mod ")?.1.strip_suffix(';')?.to_owned()))
        .collect()
}

/// The uses of modules that are declared below the file's own one, as `PATH:LINE: MODULE`.
fn uses_of_lower_modules(modules: &[String], path: &str, text: &str) -> Vec<String> {
    let place = |name: &str| modules.iter().position(|module| module == name);
    let Some(own) = place(path.split('/').next().unwrap().trim_end_matches(".rs")) else { return Vec::new() };
    used_modules(&without_tests(&code(text)))
        .into_iter()
        .filter(|(_, used)| place(used).is_some_and(|used| used > own))
        .map(|(line, used)| format!("{path}:{line}: {used}"))
        .collect()
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let modules = modules();
    assert!(modules.len() > 15, "{modules:?}");
    let wrong: Vec<String> =
        program().iter().flat_map(|(path, text)| uses_of_lower_modules(&modules, path, text)).collect();
    assert_eq!(wrong, Vec::<String>::new(), "modules declared below are used");
}

/// Violations planted where a reader line by line does not find them, and what only looks like one.
#[test]
fn a_planted_violation_is_found() {
    let modules = ["wire", "output", "http"].map(str::to_owned);
    let found = |text: &str| uses_of_lower_modules(&modules, "wire/name.rs", text);
    assert_eq!(found("use crate::http::Stop;\n"), ["wire/name.rs:1: http"]);
    assert_eq!(
        found(
            "use crate::{\n    wire::cursor::Cursor,\n    output::{\n        Outlet,\n    },\n    http,\n};\n"
        ),
        ["wire/name.rs:3: output", "wire/name.rs:6: http"]
    );
    assert_eq!(
        found("fn f() {\n    let x = crate::\n        output::NAME;\n}\n"),
        ["wire/name.rs:3: output"]
    );
    let after_tests = "#[cfg(test)]\nmod tests {\n    use crate::http;\n    const BRACE: &str = \"}\";\n}\nuse crate::output;\n";
    assert_eq!(found(after_tests), ["wire/name.rs:6: output"]);
    assert_eq!(found("#[cfg(test)]\nuse crate::output;\nuse crate::http;\n"), ["wire/name.rs:3: http"]);
    for fine in [
        "// use crate::http;\n/// [`crate::http`]\n/* crate::http */",
        "const TEXT: &str = \"crate::http\";\nconst RAW: &str = r#\"crate::\"http\"#;\nconst QUOTE: char = '\"'; // crate::http",
        "use crate::wire::http;\nuse super::http;",
        "#[cfg(test)]\n#[path = \"name_tests.rs\"]\nmod tests;",
        "impl<'a> A<'a> {\n    #[cfg(test)]\n    fn f(&'a self) -> [u8; 2] { crate::http::f() }\n}",
    ] {
        assert_eq!(found(fine), Vec::<String>::new(), "{fine}");
    }
}

/// The names after `crate::`, those in braces too, each with its line.
fn used_modules(code: &str) -> Vec<(usize, String)> {
    let word =
        |at: usize| code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let skip_space = |at: usize| at + (code[at..].len() - code[at..].trim_start().len());
    let mut used = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let at = skip_space(at + start.len());
        if !code[at..].starts_with('{') {
            used.push((line(at), word(at)));
            continue;
        }
        let (mut depth, mut begins) = (0, false);
        for (offset, letter) in code[at..].char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 1 && begins && !letter.is_whitespace() {
                used.push((line(at + offset), word(at + offset)));
            }
            begins = depth == 1 && (matches!(letter, '{' | ',') || (begins && letter.is_whitespace()));
        }
    }
    used
}

/// The code with its comments and the contents of its literals as spaces; lines stay where they are.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let blank =
        |out: &mut String, part: &str| out.extend(part.chars().map(|c| if c == '\n' { c } else { ' ' }));
    while let Some(first) = rest.chars().next() {
        let before_is_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hashes = rest.strip_prefix('r').map(|r| r.chars().take_while(|c| *c == '#').count());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = hashes.filter(|n| !before_is_word && rest[1 + n..].starts_with('"')) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if first == '"' {
            length_of_quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            length_of_quoted(rest, '\'')
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        blank(&mut out, &rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Whether a quote begins a character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    matches!((letters.next(), letters.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

fn length_of_quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The code with every item after `#[cfg(test)]` as spaces: up to its `;`, or the brace that closes it.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let (mut braces, mut brackets, mut end) = (0, 0, out.len());
        for (at, letter) in out[start..].char_indices() {
            match letter {
                '{' => braces += 1,
                '[' | '(' => brackets += 1,
                ']' | ')' => brackets -= 1,
                '}' => braces -= 1,
                _ => {}
            }
            if braces == 0 && ((letter == ';' && brackets == 0) || letter == '}') {
                end = start + at + 1;
                // A list in braces of an import ends with its `;`.
                if out[end..].trim_start().starts_with(';') {
                    end += out[end..].find(';').unwrap() + 1;
                }
                break;
            }
        }
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

// ------------ Names and words -------------------------------------------------

/// Type names that still stand for more than one thing. The list may only get shorter.
const NAMES_OF_SEVERAL: &[&str] = &[];

/// One name, one thing, over the whole crate; the `Section` of each module apart, and a type that is there
/// twice because a cargo feature chooses one.
#[test]
fn a_type_name_stands_for_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in program() {
        let code = without_tests(&code(&text));
        for line in code.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub").map_or(line, |rest| {
                rest.split_once(')').filter(|_| rest.starts_with('(')).map_or(rest, |(_, rest)| rest)
            });
            let Some((kind, rest)) = line.trim_start().split_once(' ') else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if matches!(kind, "struct" | "enum" | "union" | "trait")
                && name != "Section"
                && !name.is_empty()
                && !path.ends_with("generated.rs")
            {
                places.entry(name).or_default().push(path.clone());
            }
        }
    }
    // `absent.rs` is what a build without the feature has in place of its neighbours.
    let several: BTreeMap<_, _> = places
        .into_iter()
        .filter(|(_, paths)| paths.iter().filter(|path| !path.ends_with("absent.rs")).count() > 1)
        .collect();
    let unknown: Vec<_> =
        several.iter().filter(|(name, _)| !NAMES_OF_SEVERAL.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "names of several things: {unknown:#?}");
}

/// A doc begins with a noun or a verb: "The bytes of a record", not "What a record is made of".
#[test]
fn no_doc_begins_with_what() {
    let mut wrong = Vec::new();
    for (path, text) in program() {
        if path.ends_with("generated.rs") {
            continue;
        }
        let mut before = "";
        for (at, line) in text.lines().map(str::trim_start).enumerate() {
            let is_first = !before.starts_with("///") && !before.starts_with("//!");
            if is_first && (line.starts_with("/// What ") || line.starts_with("//! What ")) {
                wrong.push(format!("{path}:{}: {line}", at + 1));
            }
            before = line;
        }
    }
    assert!(wrong.is_empty(), "{} docs begin with \"What\":\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    for (path, text) in program().iter().filter(|(path, _)| !path.starts_with("sys/")) {
        assert!(!text.contains("unsafe {") && !text.contains("allow(unsafe_code"), "{path}");
    }
}

#[test]
fn no_64_bit_atomics() {
    for (path, text) in program() {
        assert!(!text.contains("AtomicU64") && !text.contains("AtomicI64"), "{path}");
    }
}

// ------------ Lines ------------------------------------------------------------

/// The longest line, as `.rustfmt.toml` has it.
const WIDTH: usize = 110;

/// Files of Python, of shells and of prose: tests, scripts, documentation.
fn written_by_hand(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with(['.', '_']) && !["target", "src", "data"].contains(&&*name) {
                written_by_hand(&path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path)
            && (name.ends_with(".py") || name.ends_with(".md") || text.starts_with("#!"))
        {
            found.push((path, text));
        }
    }
}

/// The lines that rustfmt has no say in are no longer than its own. Tables, what is quoted and the commands of
/// shells are as long as they are.
#[test]
fn lines_are_as_long_as_in_rust() {
    assert!(
        fs::read_to_string(root().join(".rustfmt.toml")).unwrap().contains(&format!("max_width = {WIDTH}"))
    );
    let (mut files, mut long) = (Vec::new(), Vec::new());
    written_by_hand(&root(), &mut files);
    assert!(files.len() > 100, "{}", files.len());
    for (path, text) in files {
        let is_prose = path.extension().is_some_and(|extension| extension == "md");
        let is_python = text.lines().next().is_some_and(|line| line.contains("python"))
            || path.extension().is_some_and(|extension| extension == "py");
        let (mut is_quoted, path) = (false, path.display());
        for (number, line) in text.lines().enumerate() {
            let was_quoted = is_quoted;
            let quote = if is_prose { "```" } else { "\"\"\"" };
            is_quoted ^= line.matches(quote).count() % 2 == 1;
            let is_free = match (is_prose, is_python) {
                (true, _) => line.starts_with(['|', ' ']) || was_quoted,
                (_, true) => was_quoted || is_quoted,
                _ => !line.trim_start().starts_with('#'),
            };
            if line.chars().count() > WIDTH && !is_free {
                long.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert!(long.len() <= LONG_LINES, "longer than {WIDTH} columns:\n{}", long.join("\n"));
}

/// Lines that are longer all the same. The number may only get smaller.
const LONG_LINES: usize = 40;
