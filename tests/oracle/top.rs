//! What `dnstapd top` makes of any bytes from a server or a terminal.

use dnstapd::top::answers::{Metrics, counters, streams, tables};
use dnstapd::top::json::JsonValue;
use dnstapd::top::keys::KeyDecoder;

/// Checks that bytes are read to their end, and alike however they are cut.
pub fn check(octets: &[u8]) {
    let found = JsonValue::parse(octets);
    for (name, is_read) in [
        ("counters", counters(octets).is_ok()),
        ("streams", streams(octets).is_ok()),
        ("tables", tables(octets).is_ok()),
    ] {
        assert_eq!(is_read, found.as_ref().is_some_and(|found| found.get(name).is_some()));
    }
    let metrics = Metrics::parse(octets);
    assert!(metrics.single.len() <= octets.len());
    let (mut whole, mut keys) = (Vec::new(), KeyDecoder::default());
    keys.feed(octets, |key| whole.push(key));
    assert!(whole.len() <= octets.len());
}
