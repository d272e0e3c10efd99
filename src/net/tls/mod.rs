//! TLS, as a server for inputs and the web API, and as a client.
//!
//! ```text
//! PEM files --- files ---> Server, Client --- accept, connect ---> a stream like any other
//!                  ^            |
//!                  +-- reload --+   connections that are open keep what they began with
//! ```
//!
//! It promises TLS 1.2 and 1.3 and nothing older, certificates checked against the names and authorities
//! configured, and that whatever is wrong with a file is said with its key and its name. Sessions are not
//! resumed: senders connect once and stay, and a sender that closes with a ticket unread would reset the
//! connection and lose its last messages.
//!
//! Left out: deadlines, which are the caller's, and revocation lists. A build without the cargo feature `tls`
//! has the same types, with no values.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod files;
pub(crate) mod flush;
#[cfg(feature = "tls")]
mod server;

use std::io;

#[cfg(not(feature = "tls"))]
pub use absent::{Client, Server};
#[cfg(not(feature = "tls"))]
pub(crate) use absent::{ClientStream, ServerStream, socket};
#[cfg(feature = "tls")]
pub use client::Client;
#[cfg(feature = "tls")]
pub(crate) use client::{ClientStream, socket};
#[cfg(feature = "tls")]
pub use server::Server;
#[cfg(feature = "tls")]
pub(crate) use server::ServerStream;

/// Whether this build knows TLS.
pub(crate) const BUILT: bool = cfg!(feature = "tls");

/// Why a connection to a [`Server`] came to nothing.
#[derive(Debug)]
pub enum Refused {
    /// The peer closed it before the handshake was over.
    Closed,
    /// The peer does not speak TLS.
    Plain,
    /// Versions, certificates or the handshake itself are not to our liking, or ours not to the peer's.
    Handshake(io::Error),
}
