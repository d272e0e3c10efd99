//! Bytes to values and back.
//!
//! No I/O, clock, log, allocation or panic: what goes in is a slice, what comes out is a value that may
//! borrow from it. *Parse* is from wire form, *compose* is to wire form, `Display` and `write_text` are
//! presentation form. Whatever bytes come, a parser answers; those of DNS messages never even refuse.
//!
//! In the order a message travels:
//!
//! * [`cursor`]: the one place that splits slices
//! * [`framestream`]: a byte stream into data and control frames
//! * [`foreign`]: other protocols at the wrong port
//! * [`handshake`]: what the control frames mean, and the answers to them
//! * [`dnstap`]: a data frame into a dnstap message; `expected`: the shapes that nearly all have
//! * [`compose`]: a dnstap message into a data frame
//! * [`name`] and [`text`]: domain names, and bytes in presentation form
//! * [`hash`]: names as keys, without regard to case
//! * [`registered_domain`]: who owns a name
//! * [`dns`]: a DNS message into what is counted and printed of it
//! * [`answers`]: the little of a response that tells whether it is blocked
//! * [`edns`]: the OPT record
//! * [`rdata`]: data of records in presentation form
//! * [`iana`]: numbers and their names

pub mod cursor;
pub(crate) mod foreign;
pub mod framestream;
pub mod handshake;
pub mod iana;
pub mod text;

pub mod name;

pub(crate) mod hash;

#[cfg(not(feature = "suffixes"))]
mod few_suffixes;
#[cfg(feature = "suffixes")]
mod suffixes;

pub(crate) mod registered_domain;

pub mod answers;
pub mod dns;
pub mod dnstap;
pub mod edns;
mod expected;
pub mod rdata;

// Made from proto/dnstap.proto by proto/generate; its style is micropb's.
#[allow(clippy::all, clippy::indexing_slicing, missing_docs, nonstandard_style, unreachable_pub, unused, unused_qualifications)]
#[rustfmt::skip]
mod generated;

pub(crate) mod client_subnet;
pub mod compose;
pub(crate) mod hidden_name;
pub(crate) mod segment;
