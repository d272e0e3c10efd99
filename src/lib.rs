//! A dnstap collector that runs where nobody else's does, on a router with 64 MB of memory.
//!
//! # The way of a message
//!
//! ```text
//! socket, file                                    interface
//!   | bytes                                          | packets
//!   v                                                v
//! input: FrameReader                              capture: dissect, reassemble, classify, compose
//!   | one data frame                                 |
//!   v <----------------------------------------------+
//! wire: Dnstap, borrowed from the frame, and dns::Summary
//!   v
//! message: Event, on the stack
//!   |- stages                 pairing, filter, geoip ...: one list; the way may end at any
//!   v
//! statistics, history
//!   v
//! output: Outlets::offer      encodes into each outlet's own queue, or counts a drop
//!   v
//! tasks of the outputs, http
//! ```
//!
//! # Three promises
//!
//! * **Nothing flows back.** A module uses only modules declared above it here. The only writes against the
//!   stream are a Frame Streams reply and a statistics reset.
//! * **From a whole frame to the last `offer` nothing waits and nothing is allocated.** One function does it:
//!   [`pipeline::Collector::ingest`].
//! * **What a peer sends can change counters, never control.** No panic, no growth, and lines in the log of
//!   one kind are limited.
//!
//! # One thread
//!
//! One executor on the main thread does all the work, and [`reactor`] wakes it. In addition there is a thread
//! of a pool only while a name is resolved or a file is written. State is shared through `Cell` and
//! `RefCell`, borrowed for a moment and never over an await.
//!
//! # Where a new thing goes
//!
//! | a new | goes to | as |
//! |---|---|---|
//! | output, input | `output/`, `input/` | a file with its section and its plan, and a row of the table in `mod.rs` |
//! | thing done to each message | `message/` | a file with its section and an `impl Stage`, and a row in `mod.rs` |
//! | way to hide an address or a name | `message/privacy/` | a word of its `choice!`, and an arm each where it is loaded and used |
//! | counter of the traffic | `statistics/counters.rs` | a row: name, what a message adds, metric |
//! | counter of an output, of an input | `output/counters.rs`, `input/counters.rs` | a row, and the place where it counts |
//! | table | `statistics/descriptors.rs` | a row, and the function that finds its key or its rows |
//! | endpoint | `http/routes.rs` | a row with its handler |
//! | reason to drop or refuse | where it happens | a row of `reasons!` |
//! | record field | `format/fields.rs` | a row |
//! | key of the configuration | the `section!` of what it configures | a row |
//! | section of its own | the module that it configures | a `section!`, and a row in `config/mod.rs` |
//! | capacity | `limits/mod.rs` | a constant with its unit, reason and cost |

// Small programs (scripts/cross) are made for size but for the functions on the way of a message, which say
// `#[cfg_attr(for_size, optimize(speed))]`: an attribute that is not stable yet.
#![cfg_attr(for_size, feature(optimize_attribute))]
// Lines of the log are left out with their arguments.
#![cfg_attr(not(feature = "log"), allow(unused_variables))]
// A part that is left out leaves what only it used: that nothing is unused is judged where all parts are in.
#![cfg_attr(
    not(all(
        feature = "geoip",
        feature = "health",
        feature = "history",
        feature = "log",
        feature = "privacy",
        feature = "push",
        feature = "records",
        feature = "suffixes",
        feature = "tls",
        feature = "top"
    )),
    allow(dead_code, unused_imports)
)]

// Foundations: used by all.
// Version, target, features and commit of the program.
pub(crate) mod build;

// Values of the configuration: how each is read, and what is said when it is wrong.
pub mod values;

// Every capacity: its unit, its reason and its cost.
pub mod limits;

// Counters as rows: name, help, and where the value comes from.
pub(crate) mod metric;

// Reasons as types, and one counter for each.
pub mod reasons;

// Sections of the configuration: the keys that several share, once.
pub mod section;

// Copies of few bytes.
pub(crate) mod copy;

// Numbers as text.
pub(crate) mod decimal;

// Moments and spans of messages.
pub mod time;

// Waiting: descriptors, moments, other threads.
pub mod reactor;

// The operating system, in safe types; the only `unsafe`.
pub mod sys;

// A message, from bytes to counts.
// Bytes to values and back: Frame Streams, dnstap, DNS. No I/O, no clock.
pub mod wire;

// Local time: the zone of the machine.
pub(crate) mod zone;

// Bounded structures that know no DNS: heavy hitters, distinct counts, histograms, rates, the record queue.
pub mod sketch;

// One message, and the stages it passes.
pub mod message;

// Counters and tables.
pub mod statistics;

// Signs of trouble in the DNS: upstream servers, detectors, alarms.
pub mod health;

// Who an address is: the devices of a network.
pub mod names;

// The last exchanges, and the minutes of a month.
pub mod history;

// A message as text, JSON and YAML.
pub(crate) mod format;

// Packets to messages.
pub mod capture;

// Where messages come from and go to.
// Connections: dial, accept, reconnect, time limits, TLS; once, for inputs and outputs.
pub mod net;

// Where messages go.
pub mod output;

// The log of the program itself.
pub(crate) mod log;

// The way of a message, as one function.
pub mod pipeline;

// Where messages come from.
pub mod input;

// The web API and the page.
pub mod http;

// The program.
// The live screen, `dnstapd top`.
pub mod top;

// Rights of the process, the pid file, the service manager.
pub(crate) mod process;

// The configuration file, read and checked as a whole.
pub mod config;

// `dnstapd password`.
pub mod password;

// Completions for shells.
pub(crate) mod completions;

// The command line.
pub mod args;

// The daemon: everything opened, built and run.
pub mod daemon;

// `dnstapd cat`: a capture, printed.
pub mod cat;

// `--check`: what would run, and what it would cost.
pub mod check;
