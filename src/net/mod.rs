//! Connections: what inputs and outputs share of the network.

pub mod backoff;
pub mod tls;
