//! Country and city of the query address, and on demand the network that it is in.
//!
//! ```text
//! file --- LocationDatabase::open, at start and at SIGHUP ---> sys::mapping --- look_up ---> Location
//! ```
//!
//! The database stays where it is: the kernel maps it, so 60 MB of cities cost the pages in use and no heap.
//! A lookup walks 128 nodes at most and reads two short texts out of the record; it allocates nothing unless
//! the record is broken. The last addresses are remembered: that makes a lookup ten times as fast, more where
//! the database is large. Promised: a file that is not a database with countries is refused before it is in
//! force, and one that was refused leaves the old one in force.
//!
//! Left out: coordinates and names in other languages than English. A build without the cargo feature
//! `geoip` has the same types, with no values.
//!
//! The format: MaxMind DB File Format Specification 2.0.

#[cfg(not(feature = "geoip"))]
mod absent;
#[cfg(feature = "geoip")]
mod database;
#[cfg(feature = "geoip")]
mod networks;
#[cfg(feature = "geoip")]
mod recent;

#[cfg(not(feature = "geoip"))]
pub(crate) use absent::{LocationDatabase, NetworkDatabase};
#[cfg(feature = "geoip")]
pub use database::LocationDatabase;
#[cfg(feature = "geoip")]
pub(crate) use networks::NetworkDatabase;

use core::ops::ControlFlow;
use std::path::Path;

use serde::Deserialize;

use super::event::Event;
use super::filter::FilterReason;
use super::hashes::MessageHashes;
use super::stages::{ConfiguredStage, Stage, StageSection};
use crate::limits::{PLACE_SLOT_BYTES, PLACES};
use crate::values::{FilePath, KeyError, required};

/// Whether this build knows databases.
pub const BUILT: bool = cfg!(feature = "geoip");

/// Section `geoip`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Look addresses up.
    pub(crate) enable: bool,
    /// The database: MaxMind's binary format, with cities.
    pub(crate) city_database: Option<FilePath>,
    /// Another database: MaxMind's binary format, with autonomous systems.
    pub(crate) asn_database: Option<FilePath>,
    /// The country as its ISO code instead of its English name.
    pub(crate) country_iso: bool,
}

/// Whether a database was found cut short while it was in use, since this was last asked.
pub(crate) fn was_cut() -> bool {
    #[cfg(feature = "geoip")]
    return crate::sys::mmap::Mapping::was_cut();
    #[cfg(not(feature = "geoip"))]
    false
}

impl StageSection for Section {
    fn check(&self) -> Result<(), KeyError> {
        if !self.enable || self.asn_database.is_some() {
            return Ok(());
        }
        required("city-database", &self.city_database)
    }

    fn missing_feature(&self) -> Option<KeyError> {
        let why = "needs the cargo feature `geoip`, which this build is without; allowed: `enable = false`";
        (self.enable && !BUILT).then(|| KeyError::new("enable", why))
    }

    fn memory(&self) -> Option<(String, usize)> {
        self.enable.then(|| (format!("places of the last {PLACES} addresses"), PLACES * PLACE_SLOT_BYTES))
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        let files = [("city-database", &self.city_database), ("asn-database", &self.asn_database)];
        let enabled = files.into_iter().filter(|_| self.enable);
        enabled.filter_map(|(key, path)| Some((key, path.as_deref()?))).collect()
    }
}

impl Stage for LocationDatabase {
    fn pass<'e>(&'e mut self, event: &mut Event<'e>, _: &mut MessageHashes<'e>) -> ControlFlow<FilterReason> {
        let location = event.query.address.map_or(Location::default(), |address| self.look_up(address));
        event.location = Some(location);
        ControlFlow::Continue(())
    }
}

impl ConfiguredStage for LocationDatabase {
    type Section = Section;
    const IN_FORCE: &'static str = "database";

    fn load(section: &Section) -> Result<Option<Self>, KeyError> {
        LocationDatabase::open(section)
    }

    fn words(&self, section: &Section) -> Vec<String> {
        let path = section.city_database.as_deref().unwrap_or(Path::new(""));
        vec![format!("{}, {}", path.display(), self.kind())]
    }
}

/// Whose an address is; the text is at most [`PLACE_BYTES`](crate::limits::PLACE_BYTES) long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AutonomousSystem<'a> {
    /// Number of the autonomous system.
    pub(crate) number: Option<u32>,
    /// Its name; empty when the database has none.
    pub(crate) organization: &'a str,
}

/// Where an address is; each text is at most [`PLACE_BYTES`](crate::limits::PLACE_BYTES) long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location<'a> {
    /// English name or ISO code; empty when the database has none.
    pub country: &'a str,
    /// English name; empty when the database has none.
    pub city: &'a str,
}
