//! Databases in a build without them: a type with no values, so that nothing else needs to know.

use core::net::IpAddr;

use super::{AutonomousSystem, Location, Section};
use crate::values::KeyError;

/// Never there.
#[derive(Debug)]
pub enum LocationDatabase {}

impl LocationDatabase {
    /// None.
    ///
    /// # Errors
    ///
    /// One is asked for; the configuration refuses that before.
    pub(super) fn open(section: &Section) -> Result<Option<Self>, KeyError> {
        if section.enable {
            Err(KeyError::new("enable", "needs the cargo feature `geoip`"))
        } else {
            Ok(None)
        }
    }

    /// Never called.
    pub(crate) fn look_up(&self, _: IpAddr) -> Location<'_> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn kind(&self) -> &str {
        match *self {}
    }

    /// Never called.
    pub(crate) fn built(&self) -> u64 {
        match *self {}
    }
}

/// Never there.
#[derive(Debug)]
pub(crate) enum NetworkDatabase {}

impl NetworkDatabase {
    /// None.
    ///
    /// # Errors
    ///
    /// Never: that of places speaks.
    pub(crate) fn load(_: &Section) -> Result<Option<Self>, KeyError> {
        Ok(None)
    }

    /// Never called.
    pub(crate) fn look_up(&self, _: IpAddr) -> AutonomousSystem<'_> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn kind(&self) -> &str {
        match *self {}
    }
}
