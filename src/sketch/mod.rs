//! Bounded structures that know no DNS: heavy hitters, distinct counts, histograms, rates, a queue of records.

pub mod distinct;
pub mod heavy_hitters;
pub mod latency;
pub mod rates;
pub mod record_queue;
