//! Properties of the parsers, and what other libraries make of the same bytes.
//!
//! Inputs are what a sender would write (with a model of what must be read from it), the same with some bytes
//! changed, and any bytes at all. `tests/oracle` says what must be true of each; the fuzz targets use the
//! same checks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

#[allow(unreachable_pub, reason = "the fuzz targets see it")]
#[path = "../oracle/mod.rs"]
mod oracle;

mod captures;
mod configuration;
mod container;
mod dns;
mod dnstap;
mod framestream;
#[cfg(feature = "geoip")]
mod geoip;
mod mutation;
mod packet;
mod query;
mod rdata;
mod text;
mod top;

use proptest::prelude::ProptestConfig;

/// So many inputs, or `PROPTEST_CASES` when it is set. A failing one is printed, not written into the tree.
fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if asked { default } else { ProptestConfig { cases, ..default } }
}
