//! Country and city of the query address.

use crate::setting::{Fault, FilePath, required};
use serde::Deserialize;

/// Section `geoip`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Look addresses up.
    pub enable: bool,
    /// The database: MaxMind's binary format, with cities.
    pub city_database: Option<FilePath>,
    /// The country as its ISO code instead of its English name.
    pub country_iso: bool,
}

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No database.
    pub fn check(&self) -> Result<(), Fault> {
        required("city-database", &self.city_database)
    }
}
