//! The operating system, in safe types.

pub mod accounts;
pub(crate) mod bpf;
pub mod files;
pub mod interfaces;
#[cfg(feature = "kafka-plain")]
pub mod kafka;
#[cfg(feature = "geoip")]
pub mod mmap;
pub mod new_password;
pub mod owned_file;
pub mod packet;
pub mod privileges;
pub mod proc;
pub mod random;
pub mod seccomp;
pub mod signals;
pub mod stdio;
pub mod table_memory;
pub mod terminal;
pub mod unix_listener;
