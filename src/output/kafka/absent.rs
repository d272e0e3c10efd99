//! The output in a build without it: the configuration refuses an enabled section, so nothing here is reached.

use std::io;

use super::super::Plan;
use super::Properties;
use super::Section;
use crate::values::KeyError;

/// Whether this build knows Kafka.
pub const BUILT: bool = false;

/// Nobody to ask.
///
/// # Errors
///
/// None.
pub fn check(_: &Properties, _: usize) -> Result<(), KeyError> {
    Ok(())
}

/// None.
///
/// # Errors
///
/// Always.
pub fn plan(_: &Section) -> io::Result<Plan> {
    Err(io::ErrorKind::Unsupported.into())
}
