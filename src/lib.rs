//! The collector's library: see `main.rs` for the program.

pub mod setting;

pub mod limits;

pub mod log;

pub mod wire;

pub mod filter;

pub mod geoip;

pub mod statistics;

pub mod output;

pub mod input;

pub mod http;

pub mod process;

pub mod config;

pub mod args;
