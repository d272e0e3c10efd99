//! The registered domain of a name: what somebody owns, and everything below is theirs.
//!
//! `a.b.example.co.uk.` is below `example.co.uk.`, for `co.uk.` is open to registration: a public suffix
//! ([`suffixes`], or in programs for small routers the few of `few_suffixes`). Names below `arpa` have no
//! registered domain, nor has a public suffix.

#[cfg(not(feature = "suffixes"))]
use super::few_suffixes as suffixes;
use super::name::Name;
#[cfg(feature = "suffixes")]
use super::suffixes;

/// Labels looked at: more than a name has.
const LABELS_MAX: usize = 128;

/// The registered domain of a name, and the number of labels below it; `None` for a name that is in none.
#[cfg_attr(for_size, optimize(speed))]
pub(crate) fn registered_domain<'a>(name: &Name<'a>) -> Option<(Name<'a>, usize)> {
    let bytes = name.wire_form();
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
    if label(1)?.eq_ignore_ascii_case(b"arpa") {
        return None;
    }
    let suffix = suffixes::suffix_labels((1..=starts.len()).map_while(label));
    let below = starts.len().checked_sub(suffix + 1)?;
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
