//! What must be true of every input of a parser: one `check` each, for `tests/parsers` and for the fuzz
//! targets.
//!
//! A check takes any bytes and panics when a promise is broken: a value that contradicts another one, what is
//! composed not parsing again, or an oracle (micropb, domain, dns-parser, a plain reading of the
//! specification) that sees something else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

pub mod configuration;
pub mod container;
pub mod dns;
pub mod dnstap;
pub mod framestream;
#[cfg(feature = "geoip")]
pub mod geoip;
pub mod packet;
pub mod query;
pub mod rdata;
pub mod text;
pub mod top;
