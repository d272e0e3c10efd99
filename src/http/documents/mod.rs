//! The documents of the web API, each in pieces of one send buffer.

pub(super) mod counters;
pub(super) mod metrics;
pub(super) mod metrics_text;
pub(super) mod page;
pub(super) mod streams;
pub(super) mod tables;
