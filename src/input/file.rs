//! Input `file`: replays a capture.

use crate::setting::{AtEnd, Fault, FilePath, Within, required};
use serde::Deserialize;

/// Section `input.file`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// The capture: Frame Streams, pcap or pcapng, told by its content.
    pub path: Option<FilePath>,
    /// Begin again after the last frame.
    #[serde(rename = "loop")]
    pub repeat: bool,
    /// Frames a second; unset = as fast as it goes.
    pub rate: Option<Rate>,
    /// After the last frame; unset = `exit` when it is the only input and does not loop.
    pub at_end: Option<AtEnd>,
}

/// What `rate` takes.
pub type Rate = Within<1, 1_000_000_000>;

impl Section {
    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// No path.
    pub fn check(&self) -> Result<(), Fault> {
        required("path", &self.path)
    }
}
