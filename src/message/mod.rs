//! One DNS message, and what happens to it before it is counted.

pub mod event;
pub mod filter;
pub mod geoip;
pub mod hashes;
pub(crate) mod kinds;
pub(crate) mod name_set;
pub mod pairing;
pub(crate) mod privacy;
pub mod stages;
pub(crate) mod status;
