//! What `dnstapd top` makes of any bytes from a server or a terminal.

use dnstapd::top::answers::{Metrics, counters, streams, tables};
use dnstapd::top::json::JsonValue;
use dnstapd::top::keys::KeyDecoder;

/// Checks that bytes are read to their end, and alike however they are cut.
pub fn check(bytes: &[u8]) {
    let found = JsonValue::parse(bytes);
    for (name, is_read) in [
        ("counters", counters(bytes).is_ok()),
        ("streams", streams(bytes).is_ok()),
        ("tables", tables(bytes).is_ok()),
    ] {
        assert_eq!(is_read, found.as_ref().is_some_and(|found| found.get(name).is_some()));
    }
    let metrics = Metrics::parse(bytes);
    assert!(metrics.single.len() <= bytes.len());
    let (mut whole, mut keys) = (Vec::new(), KeyDecoder::default());
    keys.feed(bytes, |key| whole.push(key));
    assert!(whole.len() <= bytes.len());
}
