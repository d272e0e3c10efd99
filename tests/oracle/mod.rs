//! What must be true of every input of a parser: one `check` each, for `tests/parsers` and for the fuzz targets.
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

pub(crate) mod configuration;
pub(crate) mod container;
pub(crate) mod dns;
pub(crate) mod dnstap;
pub(crate) mod framestream;
#[cfg(feature = "geoip")]
pub(crate) mod geoip;
pub(crate) mod packet;
pub(crate) mod query;
pub(crate) mod rdata;
pub(crate) mod text;
pub(crate) mod top;
