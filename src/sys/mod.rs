//! What the operating system gives, in safe types.

pub mod accounts;
#[cfg(feature = "kafka-plain")]
pub mod kafka;
pub mod links;
#[cfg(feature = "geoip")]
pub mod mapping;
pub mod packet;
pub mod privileges;
pub mod proc;
pub mod seccomp;
pub mod signals;
pub mod stdio;
pub mod terminal;
