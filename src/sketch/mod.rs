//! Bounded structures that know no DNS: heavy hitters, distinct counts, histograms, rates, keys that were
//! seen, a queue of records.

#[cfg(feature = "health")]
pub(crate) mod cuckoo;
pub mod distinct;
pub mod heavy_hitters;
pub(crate) mod latency;
pub(crate) mod rates;
pub(crate) mod record_queue;
