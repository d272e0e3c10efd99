//! Rules of the house that a compiler does not know.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail, that is its point")]

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

/// The modules of the library, in the order in which they are declared.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect()
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let modules = modules();
    let place = |name: &str| modules.iter().position(|module| module == name);
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(root().join("src")).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let Some(own) = place(first.trim_end_matches(".rs")) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for used in used_modules(line) {
                if place(&used).is_some_and(|used| used > own) {
                    wrong.push(format!("{}:{}: {used}", relative.display(), number + 1));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "modules declared below are used");
}

/// The names after `crate::` on a line, those in braces too.
fn used_modules(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => used.extend(list.split(',').map(|item| word(item.trim()))),
            None => used.push(word(rest)),
        }
    }
    used
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files.iter().filter(|file| !file.starts_with(root().join("src/sys"))) {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("unsafe {") && !text.contains("allow(unsafe_code"), "{}", file.display());
    }
}

#[test]
fn no_64_bit_atomics() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("AtomicU64") && !text.contains("AtomicI64"), "{}", file.display());
    }
}
