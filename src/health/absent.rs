//! The health in a build without it: a type with no values, so that nothing else needs to know.

use super::Section;
use super::alarms::{Alarm, Alarms};
use super::upstreams::Upstreams;
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::wire::segment::{Input, Output};

/// Never there in this build.
#[derive(Debug)]
pub(crate) enum Health {}

impl Health {
    /// Never there.
    pub(crate) fn start(_: &Section) -> Option<Self> {
        None
    }

    /// Never called.
    pub(crate) fn configure(&mut self, _: &Section) {
        match *self {}
    }

    /// Never called.
    pub(crate) fn observe(&mut self, _: &Event<'_>, _: &MessageHashes<'_>, _: usize) -> Option<bool> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn tick(&mut self, _: u64) {
        match *self {}
    }

    /// Never called.
    pub(crate) fn upstreams(&self) -> &Upstreams {
        match *self {}
    }

    /// Never called.
    pub(crate) fn alarms(&self) -> &Alarms {
        match *self {}
    }

    /// Never called.
    pub(crate) fn has_news(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub(crate) fn tell(&mut self, _: impl FnMut(&Alarm<'_>)) {
        match *self {}
    }

    /// Never called.
    pub(crate) fn has_seen(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub(crate) fn write_saved(&self, _: usize, _: &mut Output<'_>) -> Option<usize> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn read_saved(&mut self, _: u8, _: &mut Input<'_>) -> Option<()> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn reset(&mut self) {
        match *self {}
    }
}
