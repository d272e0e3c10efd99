//! The operating system, in safe types.

pub(crate) mod accounts;
pub(crate) mod bpf;
pub(crate) mod files;
pub(crate) mod interfaces;
#[cfg(feature = "kafka-plain")]
pub(crate) mod kafka;
#[cfg(feature = "geoip")]
pub(crate) mod mmap;
mod netlink;
pub(crate) mod new_password;
pub(crate) mod owned_file;
pub(crate) mod packet;
pub(crate) mod privileges;
pub mod proc;
pub(crate) mod random;
pub(crate) mod route_socket;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod socket_queue;
pub(crate) mod stdio;
pub mod table_memory;
pub(crate) mod terminal;
pub(crate) mod unix_listener;
