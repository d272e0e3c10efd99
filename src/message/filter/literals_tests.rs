//! LiteralSet alternatives decide as the engine does.

use super::*;
use proptest::prelude::*;
use regex_lite::Regex;

fn engine(source: &str) -> Regex {
    Regex::new(&format!("^(?:{source})")).unwrap()
}

/// Checks that what users write is understood, and decided as by the engine.
fn check(source: &str, texts: &[&str]) {
    let plain = LiteralSet::of(source).unwrap_or_else(|| panic!("{source} needs the engine"));
    let engine = engine(source);
    for text in texts {
        assert_eq!(plain.is_match(text), engine.is_match(text), "{source} on {text}");
    }
}

#[test]
fn what_people_write_needs_no_engine() {
    let names = [
        "",
        ".",
        "com.",
        "example.com.",
        "www.example.com.",
        "WWW.Example.COM.",
        "a.b.example.com.",
        "xexample.com.",
        "example.com.org.",
        "example",
        "www.example.net.",
        "xcom.org.",
        "comx.org.",
        ".doubleclick.net.",
        "doubleclick.net.",
        "ad.doubleclick.net.",
        "1.2.0.192.in-addr.arpa.",
        "é.example.com.",
        "foo",
        "bar",
        "bazaar",
    ];
    for source in [
        "",
        "example",
        "example\\.com\\.$",
        "^example\\.com\\.$",
        "^(www\\.)?example\\.com\\.$",
        ".*\\.example\\.com\\.$",
        ".*\\.example\\.com\\.",
        "(^|\\.)doubleclick\\.net\\.$",
        "(^|.*\\.)doubleclick\\.net\\.$",
        "(?:.*\\.)?example\\.(com|net)\\.",
        "foo|bar|baz",
        ".*.com",
        ".*com$",
        ".+\\.arpa\\.$",
        ".*",
        ".+",
        "^$",
        "$",
        "^",
        "(?i)www\\.example\\.com\\.",
        "(?i).*\\.EXAMPLE\\.com\\.$",
        ".*example.*",
        "www.example.com.",
        ".*example.com.$",
        "..",
        "(a|b|)(c|d)?",
        "(foo|bar)$|ba",
        ".*?\\.com\\.",
        "x|",
        "(((foo)))",
        ".*(foo|bar|com)",
        ".*xam",
        ".*$",
        "a\\-b",
    ] {
        check(source, &names);
    }
}

#[test]
fn the_rest_needs_it() {
    for source in [
        "[ab]", "a*", "a+", "a?", "\\d", "\\bfoo", "a.*b", "(a|b)*", "(a|b)+", "(?P<x>a)", "(?s)a", "a{2}",
        "a(?i)b", "b$a", "a^", ".*^a", "(a|b){2}", ".?", "(a)??",
    ] {
        assert!(LiteralSet::of(source).is_none(), "{source}");
        engine(source);
    }
    let many = ["(a|b|c|d|e|f|g|h)"; 5].concat();
    assert!(LiteralSet::of(&many).is_none());
    assert!(LiteralSet::of(&"(".repeat(100)).is_none());
    let loose: Vec<_> = (0..=LOOSE_MAX).map(|number| format!(".*x{number}y")).collect();
    assert!(LiteralSet::of(&loose.join("|")).is_none());
}

#[test]
fn a_thousand_alternatives_are_one_look() {
    let names: Vec<_> = (0..1_000).map(|number| format!("host{number}\\.example\\.")).collect();
    let plain = LiteralSet::of(&format!("(.*\\.)?({})$", names.join("|"))).unwrap();
    assert_eq!((plain.exact.len(), plain.suffixes.len(), plain.loose.len()), (1_000, 1_000, 0));
    for (text, verdict) in [
        ("host7.example.", true),
        ("a.host999.example.", true),
        ("host1000.example.", false),
        ("xhost7.example.", false),
    ] {
        assert_eq!(plain.is_match(text), verdict, "{text}");
    }
}

/// Expressions of the letters that matter, most of them of the kind that is understood.
fn source() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        8 => proptest::sample::select(vec!["a", "b", "A", "\\.", "ab", "k", "é"]).prop_map(str::to_owned),
        2 => proptest::sample::select(vec![".", ".*", ".+", "^", "$", ".*?"]).prop_map(str::to_owned),
    ];
    let sequence = proptest::collection::vec(atom, 0..5).prop_map(|atoms| atoms.concat());
    let tree = sequence.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            inner.clone().prop_map(|part| format!("(?:{part})?")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one}{other}")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("{one}|{other}")),
        ]
    });
    (any::<bool>(), tree).prop_map(|(fold, source)| if fold { format!("(?i){source}") } else { source })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_the_engines(
        source in source(),
        texts in proptest::collection::vec("[abAB.ékK\u{212a}]{0,7}", 1..20),
    ) {
        if let Some(plain) = LiteralSet::of(&source) {
            let engine = engine(&source);
            for text in &texts {
                prop_assert_eq!(plain.is_match(text), engine.is_match(text), "{} on {}", &source, text);
            }
        }
    }

    #[test]
    fn any_expression_the_engine_takes_is_decided_alike(
        source in "[ab.*+?|()^$\\\\\\[\\]{}12,:i-]{0,12}",
        texts in proptest::collection::vec("[ab.12,i-]{0,7}", 1..10),
    ) {
        let anchored = Regex::new(&source).and_then(|_| Regex::new(&format!("^(?:{source})")));
        if let (Ok(engine), Some(plain)) = (anchored, LiteralSet::of(&source)) {
            for text in &texts {
                prop_assert_eq!(plain.is_match(text), engine.is_match(text), "{} on {}", &source, text);
            }
        }
    }
}
