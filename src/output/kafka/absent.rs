//! The output in a build without it: the configuration refuses an enabled section, so nothing here is
//! reached.

use core::fmt;
use std::io;

use super::super::{Outlet, RunningSink, Sink, TaskContext};
use super::Properties;
use super::Section;
use crate::values::KeyError;

/// Whether this build knows Kafka.
pub(crate) const BUILT: bool = false;

/// Nobody to ask.
///
/// # Errors
///
/// None.
pub(crate) fn check(_: &Properties, _: usize) -> Result<(), KeyError> {
    Ok(())
}

/// Never there.
pub(crate) enum KafkaSink {}

impl KafkaSink {
    /// Never made.
    ///
    /// # Errors
    ///
    /// Always.
    pub(crate) fn new(_: &Section) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Display for KafkaSink {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Sink for KafkaSink {
    fn cost(&self) -> usize {
        match *self {}
    }

    fn run(self: Box<Self>, _: &'static TaskContext, _: &'static Outlet) -> RunningSink {
        match *self {}
    }
}
