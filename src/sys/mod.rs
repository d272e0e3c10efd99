//! What the operating system gives, in safe types.

#[cfg(feature = "geoip")]
pub mod mapping;
pub mod proc;
pub mod signals;
pub mod stdio;
