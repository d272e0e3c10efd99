//! One DNS message, and what happens to it before it is counted.

pub mod event;
pub mod filter;
pub mod geoip;
pub mod hashes;
pub(crate) mod kinds;
pub(crate) mod name_set;
pub mod pairing;
pub(crate) mod privacy;
pub mod stages;
pub(crate) mod status;

/// Hands the stages that have a section of the configuration to a macro, which makes something of each.
///
/// A row: the name of the section and of the file here that has it, and the type of the stage. A message
/// passes them in this order; the rest of the program knows none of them by name: how each is read, checked,
/// opened, reloaded and paid for is in its file ([`stages::StageSection`], [`stages::ConfiguredStage`]).
macro_rules! configured_stages {
    ($make:ident) => {
        $make! {
            /// Country and city; it sees addresses as they were sent.
            geoip: LocationDatabase,
            /// Who asked, hidden from all that follows.
            privacy: Privacy,
        }
    };
}
pub(crate) use configured_stages;
