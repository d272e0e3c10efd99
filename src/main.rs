//! dnstapd
fn main() {}
