//! The health of the DNS: how the upstream servers answer, and what looks like an attack or a fault.
//!
//! ```text
//! message --- of clients ---> bursts, random subdomains, tunnels, rebinding, new devices, bypass ---> alarms
//!         \-- of upstreams -> servers: counts, timeouts, latency --- each second: slow upstream ---/
//! ```
//!
//! A detector is a small type in a file of its own, with state of fixed size that is made at start, and a
//! documentation that says where its idea comes from and how far it can be trusted. It is `None` while it is
//! off. What it finds goes to `Alarms`, where each subject is heard once in its hold-off.
//!
//! Times are the messages' own, so that a replayed capture shows the alarms of its day.

pub(crate) mod alarms;
pub(crate) mod section;
pub(crate) mod upstreams;

#[cfg(not(feature = "health"))]
mod absent;
#[cfg(feature = "health")]
mod bursts;
#[cfg(feature = "health")]
mod cache;
#[cfg(feature = "health")]
mod devices;
#[cfg(feature = "health")]
mod domain_table;
#[cfg(feature = "health")]
mod domains;
#[cfg(feature = "health")]
mod new_domains;
#[cfg(feature = "health")]
mod rebinding;
#[cfg(feature = "health")]
mod seen;
#[cfg(feature = "health")]
mod subdomains;
#[cfg(feature = "health")]
mod timeouts;
#[cfg(feature = "health")]
mod tunnel;
#[cfg(feature = "health")]
mod watch;

#[cfg(not(feature = "health"))]
pub(crate) use absent::Health;
pub(crate) use section::Section;
#[cfg(feature = "health")]
pub(crate) use watch::{Health, cost};

/// Bytes that a section asks for, and those for new domains.
#[cfg(not(feature = "health"))]
pub(crate) fn cost(_: &Section) -> [usize; 2] {
    [0; 2]
}

/// Whether this build has it.
pub(crate) const BUILT: bool = cfg!(feature = "health");

#[cfg(feature = "health")]
#[cfg(test)]
mod home_tests;
