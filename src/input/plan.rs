//! An input that is about to be made: what `--check` prints and adds up, and what the daemon starts.
//!
//! ```text
//! InputKind: a section, its rules --- plan ---> InputPlan: name, words, memory, Source
//!                                                 |- open   sockets, with the rights of the start
//!                                                 '- run    the task
//! ```
//!
//! Who loops over plans names no kind: a kind is one file, and one row of `Section::kinds`.

use core::future::Future;
use core::pin::Pin;
use std::io;
use std::path::Path;
use std::rc::Rc;

use smol::LocalExecutor;

use super::Section;
use super::counters::InputCounters;
use super::receiver::Receiver;
use crate::limits::Limits;
use crate::net::tls;
use crate::section::Switched;
use crate::sys::privileges::Identity;
use crate::values::{KeyError, PlanError};

/// One kind of input, as its section of the configuration.
pub(crate) trait InputKind: Switched {
    /// Name of the section, which is that of the input in metrics and log.
    fn name(&self) -> &'static str;

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    fn check(&self) -> Result<(), KeyError>;

    /// The files for TLS that a reload reads again.
    fn tls_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Whether it encrypts.
    fn uses_tls(&self) -> bool {
        false
    }

    /// The key that asks for what this build is without.
    fn missing_feature(&self) -> Option<KeyError> {
        (self.uses_tls() && !tls::BUILT).then(|| {
            KeyError::new(
                "tls-support",
                "needs the cargo feature `tls`, which this build is without; allowed: `false`",
            )
        })
    }

    /// The input of an enabled section: files are read, nothing is bound.
    ///
    /// # Errors
    ///
    /// Whatever the machine lacks.
    fn plan(&self, context: &InputPlanContext<'_>) -> Result<InputPlan, PlanError>;
}

/// Whatever a plan depends on outside of its section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputPlanContext<'a> {
    /// The capacities in force.
    pub(crate) limits: &'a Limits,
    /// All inputs.
    pub(crate) input: &'a Section,
}

/// One input, before anything runs.
pub(crate) struct InputPlan {
    /// Name in metrics and log: its section's.
    pub(crate) name: &'static str,
    /// Where it listens or reads, in words, for `--check`.
    pub(crate) words: String,
    /// Its tables and buffers, and their bytes.
    pub(crate) memory: Vec<(String, usize)>,
    /// The source of the messages.
    pub(crate) source: Box<dyn Source>,
}

/// Brings messages.
pub(crate) trait Source {
    /// Why it could not be opened, as far as that can be found out without opening it; each as what follows
    /// the name of the section, `: text` or `.key: text`.
    fn foresee(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whatever is not an error, but worth a word: `SECTION.KEY: text`.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Opens sockets, with the rights of the start; files that it makes are for `identity`.
    ///
    /// # Errors
    ///
    /// Whatever the machine lacks.
    fn open(&mut self, _identity: &Identity) -> io::Result<()> {
        Ok(())
    }

    /// Says what it will not be able to do; called with the rights that the process keeps.
    fn warn_of_lost_rights(&self) {}

    /// The part of it that a reload changes.
    fn reloadable(&self) -> Option<Rc<dyn Reloadable>> {
        None
    }

    /// Whether it makes messages of packets.
    fn reads_packets(&self) -> bool {
        false
    }

    /// Whether the daemon stops when it ends.
    fn is_last(&self) -> bool {
        false
    }

    /// The task.
    ///
    /// # Errors
    ///
    /// When the reactor refuses its socket.
    fn run(
        self: Box<Self>,
        context: InputContext,
        counters: &'static InputCounters,
    ) -> io::Result<RunningSource>;
}

/// A task that runs; it ends with an error when there is more than it could read.
pub(crate) type RunningSource = Pin<Box<dyn Future<Output = Result<(), BrokenOff>>>>;

/// A source that ended too early; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenOff;

/// Takes over what a reload changes.
pub(crate) trait Reloadable {
    /// Takes it from the new sections.
    ///
    /// # Errors
    ///
    /// The mistake, and its key; what was in force there stays so.
    fn reload(&self, section: &Section) -> Result<(), KeyError>;
}

/// Whatever the tasks of inputs share.
#[derive(Clone, Copy)]
pub(crate) struct InputContext {
    /// Runs the connections.
    pub(crate) executor: &'static LocalExecutor<'static>,
    /// Reads Frame Streams; knows where messages go.
    pub(crate) receiver: &'static Receiver<'static>,
}
