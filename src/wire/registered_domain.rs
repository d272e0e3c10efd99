//! The registered domain of a name: what somebody owns, and everything below is theirs.
//!
//! `a.b.example.co.uk.` is below `example.co.uk.`. Which domains are open to registration the public suffix list says;
//! the few rules here stand for it: below a top-level domain of two letters the second-level words that registries use
//! (`co`, `com`, `ac`, ...), and the domains of clouds whose next label is a customer. A rule that is missing makes one
//! domain of many. Names below `arpa` have no registered domain, nor has a top-level domain.

use super::name::Name;

/// Labels looked at: more than a name has.
const LABELS_MAX: usize = 128;

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

/// The registered domain of a name, and the number of labels below it; `None` for a name that is in none.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn registered_domain<'a>(name: &Name<'a>) -> Option<(Name<'a>, usize)> {
    let bytes = name.octets();
    let mut starts: heapless::Vec<u8, LABELS_MAX> = heapless::Vec::new();
    let mut start = 0;
    while let Some(&length) = bytes.get(start).filter(|length| **length > 0) {
        starts.push(u8::try_from(start).ok()?).ok()?;
        start += usize::from(length) + 1;
    }
    let label = |from_end: usize| -> Option<&'a [u8]> {
        let start = usize::from(*starts.get(starts.len().checked_sub(from_end)?)?);
        bytes.get(start + 1..start + 1 + usize::from(*bytes.get(start)?))
    };
    let (top, second) = (label(1)?, label(2)?);
    if top.eq_ignore_ascii_case(b"arpa") {
        return None;
    }
    let is = |label: &[u8], word: &[u8]| label.eq_ignore_ascii_case(word);
    let is_deep = (top.len() == 2 && SECOND_LEVEL.iter().any(|word| is(second, word)))
        || CLOUDS.iter().any(|(word, of)| is(second, word) && is(top, of));
    let labels = if is_deep { 3 } else { 2 };
    let below = starts.len().checked_sub(labels)?;
    let start = usize::from(*starts.get(below)?);
    Name::parse(bytes.get(start..)?).ok().map(|(domain, _)| (domain, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_that_somebody_owns() {
        let check = |name: &str, expected: Option<(&str, usize)>| {
            let labels = name.split('.').filter(|label| !label.is_empty());
            let labels = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            let bytes = labels.chain([0]).collect::<Vec<u8>>();
            let found = registered_domain(&Name::parse(&bytes).unwrap().0);
            let found = found.map(|(domain, below)| (domain.to_string(), below));
            assert_eq!(found, expected.map(|(domain, below)| (domain.to_owned(), below)), "{name}");
        };
        check("www.example.com", Some(("example.com.", 1)));
        check("example.com", Some(("example.com.", 0)));
        check("a.b.Example.CO.uk", Some(("Example.CO.uk.", 2)));
        check("x.customer.cloudfront.net", Some(("customer.cloudfront.net.", 1)));
        for none in ["", "com", "co.uk", "cloudfront.net", "1.0.0.127.in-addr.arpa"] {
            check(none, None);
        }
    }
}
