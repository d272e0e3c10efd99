//! A few rules that stand for the public suffix list, in programs without it (feature `suffixes`): below a
//! top-level domain of two letters the second-level words that registries use (`co`, `com`, `ac`, ...), and
//! the domains of clouds whose next label is a customer. A rule that is missing makes one domain of many.

/// Second-level words below top-level domains of two letters.
const SECOND_LEVEL: &[&[u8]] = &[
    b"ac", b"co", b"com", b"edu", b"gen", b"gob", b"gov", b"go", b"gv", b"id", b"info", b"ltd", b"me",
    b"mil", b"ne", b"net", b"nic", b"nom", b"or", b"org", b"plc", b"priv", b"res", b"sch", b"web",
];

/// Domains whose next label is a customer, without their last label.
const CLOUDS: &[(&[u8], &[u8])] = &[
    (b"cloudfront", b"net"),
    (b"amazonaws", b"com"),
    (b"akamaiedge", b"net"),
    (b"akamai", b"net"),
    (b"akamaized", b"net"),
    (b"edgekey", b"net"),
    (b"edgesuite", b"net"),
    (b"azureedge", b"net"),
    (b"azurewebsites", b"net"),
    (b"trafficmanager", b"net"),
    (b"windows", b"net"),
    (b"fastly", b"net"),
    (b"cloudflare", b"net"),
    (b"github", b"io"),
    (b"blogspot", b"com"),
    (b"googleusercontent", b"com"),
    (b"herokuapp", b"com"),
    (b"netlify", b"app"),
    (b"vercel", b"app"),
    (b"pages", b"dev"),
];

/// How many labels of a name are its public suffix; `labels` come from right to left.
pub(super) fn suffix_labels<'a>(mut labels: impl Iterator<Item = &'a [u8]>) -> usize {
    let (Some(top), Some(second)) = (labels.next(), labels.next()) else { return 1 };
    let is = |label: &[u8], word: &[u8]| label.eq_ignore_ascii_case(word);
    let is_deep = (top.len() == 2 && SECOND_LEVEL.iter().any(|word| is(second, word)))
        || CLOUDS.iter().any(|(word, of)| is(second, word) && is(top, of));
    if is_deep { 2 } else { 1 }
}
