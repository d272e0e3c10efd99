//! Which messages are kept.

use crate::setting::{MessageName, Pattern, Within};
use serde::Deserialize;

/// Section `filter`. A message is kept when every key that is set agrees.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Keep names that match.
    pub qname_regex: Option<Pattern>,
    /// Keep identities that match.
    pub dnstap_identities: Option<Pattern>,
    /// Leave out names that match.
    pub exclude_qname_regex: Option<Pattern>,
    /// Leave out identities that match.
    pub exclude_identities: Option<Pattern>,
    /// Keep these message types; empty = all.
    pub message_types: Vec<MessageName>,
    /// Keep one message in this many.
    pub sample_rate: SampleRate,
}

/// What `sample-rate` takes.
pub type SampleRate = Within<1, 1_000_000_000>;

impl Default for Section {
    fn default() -> Self {
        Section {
            qname_regex: None,
            dnstap_identities: None,
            exclude_qname_regex: None,
            exclude_identities: None,
            message_types: Vec::new(),
            sample_rate: SampleRate::new(1),
        }
    }
}
