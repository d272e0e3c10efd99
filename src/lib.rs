//! A dnstap collector that runs where nobody else's does, on a router with 64 MB of memory.
//!
//! # The way of a message
//!
//! ```text
//! socket, file                                             interface
//!   | octets                                                 | packets
//!   v                                                        v
//! wire::framestream::Deframer, wire::handshake::Receiver   packet::Path, which composes
//!   | one data frame                                         |
//!   v  <-----------------------------------------------------+
//! wire::dnstap::Dnstap         borrowed from the frame
//!   v
//! event::Event                 on the stack; wire::dns::Summary tells what the DNS payload says
//!   |- pairing                 fills in the latency
//!   |- filter                  the way may end here
//!   |- geoip                   fills in country and city
//!   v
//! statistics::Statistics
//!   v
//! output::Outlets::offer       encodes into each output's own queue, or counts a drop
//!   v
//! output::*::run, http         tasks
//! ```
//!
//! # Three promises
//!
//! * **Nothing flows back.** A module uses only modules declared above it here. The only writes against the
//!   stream are a Frame Streams reply and a statistics reset.
//! * **From a whole frame to the last `offer` nothing waits and nothing is allocated.** One function does it:
//!   [`collector::Collector::ingest`].
//! * **What a peer sends can change counters, never control.** No panic, no growth, at most one line in the log
//!   for each connection and reason.
//!
//! # One thread
//!
//! One executor on the main thread does all the work. Beside it there is only the helper thread of `async-io`,
//! which sleeps. State is shared through `Cell` and `RefCell`, borrowed for a moment and never over an await.

pub mod values;

pub mod limits;

pub mod section;

pub mod metric;

pub mod reasons;

pub mod decimal;

pub mod time;

pub mod sys;

pub mod log;

pub mod wire;

pub mod sketch;

pub mod message;

pub mod statistics;

pub mod history;

pub mod format;

pub mod capture;

pub mod net;

pub mod output;

pub mod pipeline;

pub mod input;

pub mod http;

pub mod top;

pub mod process;

pub mod config;

pub mod args;

pub mod daemon;

pub mod check;
