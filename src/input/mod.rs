//! Where messages come from.
//!
//! Every input hands whole frames to the collector and counts into its own [`counters::InputCounters`]. A new
//! kind is one file, which says in an [`InputPlan`] where it reads, what it costs and what its task is, and
//! one row of the table `kinds!` below. What inputs over streams share is in `frame_reader` (bytes to
//! frames), `receiver` (a connection), `connections` (places and deadlines), `gather` (pauses between small
//! reads) and `large_buffers` (long frames).

pub mod connections;
pub mod counters;
pub(crate) mod file;
mod file_mode;
mod frame_reader;
mod gather;
mod large_buffers;
mod plan;
pub mod receiver;
pub(crate) mod sniffer;
pub mod tcp_client;
pub mod tcp_server;
pub(crate) mod unix_socket;

use crate::section::Switched;
use crate::values::{PlanError, Several};
use file::AtEnd;
use serde::Deserialize;

pub(crate) use plan::{BrokenOff, InputContext, InputKind, InputPlan, InputPlanContext, Reloadable};

/// Makes the section `input` of the table of kinds.
macro_rules! kinds {
    ($($(#[$doc:meta])* $visible:vis $field:ident: $tables:ty,)*) => {
        /// Section `input`: one table for each kind of input.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Section {
            $($(#[$doc])* $visible $field: $tables,)*
        }

        impl Section {
            /// All kinds, whether they are enabled or not, each with the path of its section below `input`.
            pub(crate) fn kinds(&self) -> Vec<(String, &dyn InputKind)> {
                let mut kinds = Vec::new();
                $(self.$field.list(&mut kinds);)*
                kinds
            }
        }
    };
}

kinds! {
    /// Listens on TCP.
    pub tcp_socket: tcp_server::Section,
    /// Connects to senders that listen; one table or several.
    pub(crate) tcp_client: Several<tcp_client::Section>,
    /// Listens on a Unix socket.
    pub(crate) unix_socket: unix_socket::Section,
    /// Reads packets from an interface.
    pub(crate) sniffer: sniffer::Section,
    /// Replays a capture.
    pub(crate) file: file::Section,
}

/// The tables of one kind: one, or several.
trait KindTables {
    /// Adds each with the path of its section.
    fn list<'s>(&'s self, kinds: &mut Vec<(String, &'s dyn InputKind)>);
}

impl<K: InputKind + 'static> KindTables for K {
    fn list<'s>(&'s self, kinds: &mut Vec<(String, &'s dyn InputKind)>) {
        kinds.push((self.name().to_owned(), self));
    }
}

impl<K: InputKind + 'static> KindTables for Several<K> {
    fn list<'s>(&'s self, kinds: &mut Vec<(String, &'s dyn InputKind)>) {
        let name = self.first().map_or("", InputKind::name);
        kinds.extend(self.paths(name).map(|(path, kind)| (path, kind as &dyn InputKind)));
    }
}

impl Section {
    /// The kinds that are to run.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = (String, &dyn InputKind)> {
        self.kinds().into_iter().filter(|(_, kind)| kind.is_enabled())
    }

    /// The inputs that are to run.
    ///
    /// # Errors
    ///
    /// The section that cannot work on this machine, and why.
    pub(crate) fn plans(
        &self,
        context: &InputPlanContext<'_>,
    ) -> Result<Vec<InputPlan>, (String, PlanError)> {
        self.enabled().map(|(path, kind)| kind.plan(context).map_err(|error| (path, error))).collect()
    }

    /// Settles what depends on the other inputs: `tcp-socket.enable` and `file.at-end`.
    ///
    /// `asked` says that the command line gave the listener an address or a port.
    pub(crate) fn resolve(&mut self, asked: bool) {
        let others = self.enabled().any(|(_, kind)| ![tcp_server::NAME, file::NAME].contains(&kind.name()));
        self.tcp_socket.enable.get_or_insert(asked || !(others || self.file.enable));
        let alone = !others && !self.tcp_socket.is_enabled();
        let at_end = if alone && !self.file.repeat { AtEnd::Exit } else { AtEnd::Stay };
        self.file.at_end.get_or_insert(at_end);
    }
}
