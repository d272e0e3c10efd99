//! Counters and tables, for each stream and for all together.

use crate::setting::{Seconds, TableFlag, Text, Within};
use serde::Deserialize;

/// Section `statistics`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Count names in lower case.
    pub qname_lowercase: bool,
    /// Rows of a table when the request does not say.
    pub max_items: MaxItems,
    /// Counters in `/counters`.
    pub default_counters: Vec<Text>,
    /// Tables of domains in `/tables`.
    pub default_top: Vec<TableFlag>,
    /// Tables of domains kept beside those of `default_top`.
    pub track: Vec<TableFlag>,
    /// Seconds after which counts in open tables are halved; 0 = never.
    pub window: Window,
}

/// What `max-items` takes.
pub type MaxItems = Within<1, 65_536>;

/// What `window` takes.
pub type Window = Within<0, { Seconds::MAX }>;

impl Default for Section {
    fn default() -> Self {
        let counters =
            ["clients", "domains", "query", "response", "qps", "response/noerror", "response/nxdomain"];
        Section {
            qname_lowercase: true,
            max_items: MaxItems::new(10),
            default_counters: counters.map(Text::new).to_vec(),
            default_top: ["noerror/query", "nxdomain/response"].map(TableFlag::new).to_vec(),
            track: Vec::new(),
            window: Window::new(3600),
        }
    }
}
