//! Properties of the parsers, and what other libraries make of the same octets.
//!
//! Inputs are what a sender would write (with a model of what must be read from it), the same with some octets
//! changed, and any octets at all. `tests/oracle` says what must be true of each; the fuzz targets use the
//! same checks.

#[path = "../oracle/mod.rs"]
mod oracle;

mod dns;
mod dnstap;
mod framestream;
mod mutation;
mod text;
