//! Bounded structures that know no DNS: heavy hitters, distinct counts, histograms, rates, a queue of records.

pub mod distinct;
pub mod heavy_hitters;
pub(crate) mod latency;
pub(crate) mod rates;
pub(crate) mod record_queue;
