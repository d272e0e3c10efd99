//! Privacy in a build without it: a type with no values, so that nothing else needs to know.

use core::ops::ControlFlow;

use super::Section;
use crate::message::event::Event;
use crate::message::filter::FilterReason;
use crate::message::hashes::MessageHashes;
use crate::message::stages::Stage;
use crate::values::KeyError;

/// Never there.
#[derive(Debug)]
pub(crate) enum Privacy {}

impl Privacy {
    /// None.
    ///
    /// # Errors
    ///
    /// It is asked for; the configuration refuses that before.
    pub(super) fn open(section: &Section) -> Result<Option<Self>, KeyError> {
        if section.hides() {
            Err(KeyError::new("client", "needs the cargo feature `privacy`"))
        } else {
            Ok(None)
        }
    }

    /// Never called.
    pub(super) fn sample(&self) -> [u128; 3] {
        match *self {}
    }

    /// Never called.
    pub(crate) fn hide_subnet(&self, _: u16, _: u8, _: &mut [u8]) {
        match *self {}
    }
}

impl Stage for Privacy {
    fn pass<'e>(&'e mut self, _: &mut Event<'e>, _: &mut MessageHashes<'e>) -> ControlFlow<FilterReason> {
        match *self {}
    }
}
