//! The documents of the web API, each in pieces of one send buffer.

pub(super) mod listing;
pub(super) mod metrics;
pub(super) mod metrics_text;
pub(super) mod page;
pub(super) mod tables;
