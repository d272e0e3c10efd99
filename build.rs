//! Makes the dashboard's page out of its three sources, in `src/http/documents/page`: one document in gzip,
//! and what the answer's head says of it. So nobody can forget to make them anew.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a build may fail, and says why")]

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Where the sources are.
const FOLDER: &str = "src/http/documents/page";

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=DNSTAPD_COMMIT={}", commit());
    let read = |name: &str| fs::read_to_string(Path::new(FOLDER).join(name)).expect("a source of the page");
    let (style, script) = (read("style.css"), read("script.js"));
    let style = minifier::css::minify(&style).expect("a style sheet").to_string();
    let script = minifier::js::minify(&script).to_string();
    let page = read("index.html")
        .replace("<style></style>", &format!("<style>{style}</style>"))
        .replace("<script></script>", &format!("<script>{script}</script>"));

    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(page.as_bytes()).expect("memory");
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
    fs::write(out.join("page.html.gz"), gzip.finish().expect("memory")).expect("a writable folder");
    fs::write(out.join("page.rs"), constants).expect("a writable folder");
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
