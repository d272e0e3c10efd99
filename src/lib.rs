//! The collector's library: see `main.rs` for the program.

pub mod wire;
