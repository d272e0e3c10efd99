//! One DNS message, and what happens to it before it is counted.

pub mod event;
pub mod filter;
pub mod geoip;
pub mod hashes;
pub mod kinds;
pub mod name_set;
pub mod pairing;
pub mod privacy;
pub mod stages;
pub mod status;
