//! The way of an output to the one peer that it sends to: one connection after another, as long as it takes.
//!
//! ```text
//! away --- attempt ---> connected --- it breaks off ---> away
//!  '-- a wait of `Reconnect` --<---- it fails ----'
//! ```
//!
//! Inputs that wait for the output, its counters and the log learn of each change here, once for all outputs
//! that have a peer. What is said over a connection is each output's own business.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::io;

use defmt_or_log::info;
use smol::future::or;

use super::{Outlet, Outlets, WriteState};
use crate::net::reconnect::Reconnect;
use crate::values::Seconds;

/// The connections of an output to its peer.
#[derive(Debug)]
pub(super) struct Uplink<'o> {
    outlet: &'o Outlet,
    outlets: &'o Outlets,
    /// The peer, as the log has it.
    peer: String,
    reconnect: Reconnect,
}

impl<'o> Uplink<'o> {
    /// Not connected yet; `retry` is the first wait between attempts.
    pub(super) fn new(
        outlet: &'o Outlet,
        outlets: &'o Outlets,
        peer: &dyn fmt::Display,
        retry: Seconds,
    ) -> Self {
        outlet.set_write_state(WriteState::Away);
        let peer = peer.to_string();
        let reconnect = Reconnect::new(format!("Output {}: {peer}", outlet.name()), retry);
        Uplink { outlet, outlets, peer, reconnect }
    }

    /// A connection that `attempt` made, at the latest try; `None` once the daemon stops and nothing is
    /// queued.
    pub(super) async fn connect<T>(&mut self, attempt: impl AsyncFn() -> io::Result<T>) -> Option<T> {
        while !self.outlet.is_over() {
            match self.attempt(attempt()).await {
                Ok(connection) => {
                    self.succeeded();
                    self.connected();
                    return Some(connection);
                }
                Err(_) if self.outlet.is_over() => break,
                Err(error) => self.pause(error.to_string()).await,
            }
        }
        None
    }

    /// One attempt. Nobody waits for a connection that nothing is to be sent over.
    ///
    /// # Errors
    ///
    /// Those of the attempt; `Interrupted` once the daemon stops and nothing is queued.
    pub(super) async fn attempt<T>(&self, attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let ended = async {
            self.outlet.ended().await;
            Err(io::ErrorKind::Interrupted.into())
        };
        or(attempt, ended).await
    }

    /// Notes that there is a connection.
    pub(super) fn connected(&self) {
        self.outlet.set_connected();
        info!("Output {}: connected to {}", self.outlet.name(), self.peer);
    }

    /// The connection broke off: waits for the next attempt.
    pub(super) async fn broke_off(&mut self, error: io::Error) {
        self.pause(format!("the connection is gone: {error}")).await;
    }

    /// Waits for the next attempt, or until there is nothing to send any more; `why` is the end of the last
    /// one.
    pub(super) async fn pause(&mut self, why: String) {
        self.note(WriteState::Away);
        let outlet = self.outlet;
        or(outlet.ended(), self.wait(why, None)).await;
    }

    /// Waits for the next attempt, for the time that the peer asked for if it did.
    pub(super) async fn wait(&mut self, why: String, asked: Option<Duration>) {
        match asked {
            Some(time) => self.reconnect.pause_for(time, why).await,
            None => self.reconnect.pause(why).await,
        }
    }

    /// The peer works: the next wait is a first one again.
    pub(super) fn succeeded(&mut self) {
        self.reconnect.succeeded();
    }

    /// Whether the last attempt failed.
    pub(super) fn is_troubled(&self) -> bool {
        self.reconnect.is_troubled()
    }

    /// Notes how the last attempt to write went.
    pub(super) fn note(&self, state: WriteState) {
        self.outlet.set_write_state(state);
        self.outlets.progressed();
    }
}
