//! The network: what inputs, outputs and the web API share of it.
//!
//! ```text
//! dial       resolve a name, connect to the first of its addresses that answers, keepalive, TLS
//! reconnect  the waits between attempts, and what the log says of them
//! accept     connections of a listener, one after the other; nobody starves while they come
//! timeout    an end to patience
//! tls        TLS on either side
//! ```

pub(crate) mod accept;
pub(crate) mod dial;
pub(crate) mod reconnect;
pub(crate) mod timeout;
pub mod tls;
