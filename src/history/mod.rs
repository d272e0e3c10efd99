//! The memory of the daemon: who asked for what, and when.
//!
//! * [`log`]: the last exchanges, encoded small, in memory made at start
//! * [`series`]: the minutes of a day and the hours of a month
//!
//! Time is an argument everywhere, and nothing here does I/O but [`save`].

#![allow(dead_code, reason = "the pipeline and the web API come next")]

pub mod log;
pub mod series;
