//! One device: its name, its MAC, and its counts.

use super::files::{Mac, NameSource};

/// Bytes of a name: a label of the DNS is no longer.
pub(super) const NAME_BYTES: usize = 63;

/// A device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(super) is_used: bool,
    /// Whether it is saved as it is.
    pub(super) is_saved: bool,
    pub(super) source: Option<NameSource>,
    pub(super) name: heapless::String<NAME_BYTES, u8>,
    pub(super) mac: Option<Mac>,
    /// Seconds since 1970.
    pub(super) first_seen: u32,
    pub(super) last_seen: u32,
    pub(super) queries: u32,
    pub(super) blocked: u32,
    /// Number of its latest new address, plus 1.
    pub(super) first_address: u32,
    /// Numbers that whoever asks for devices by another measure adds up: by that, and by how much it may be
    /// off.
    pub(super) sums: [u32; 2],
}

impl Device {
    pub(super) const FREE: Device = Device {
        is_used: false,
        is_saved: false,
        source: None,
        name: heapless::String::new(),
        mac: None,
        first_seen: 0,
        last_seen: 0,
        queries: 0,
        blocked: 0,
        first_address: 0,
        sums: [0; 2],
    };

    pub(super) fn set_name(&mut self, name: &str, source: NameSource) {
        if self.source == Some(source) && self.name == name {
            return;
        }
        (self.source, self.is_saved) = (Some(source), false);
        self.name.clear();
        for letter in name.chars() {
            if self.name.push(letter).is_err() {
                return;
            }
        }
    }

    /// Takes over what was counted for a device that turned out to be this one, and its name if that weighs
    /// more.
    pub(super) fn take_over(&mut self, other: &Device) {
        self.queries = self.queries.saturating_add(other.queries);
        self.blocked = self.blocked.saturating_add(other.blocked);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.first_seen = match (self.first_seen, other.first_seen) {
            (0, seen) | (seen, 0) => seen,
            (one, two) => one.min(two),
        };
        if self.source < other.source {
            (self.source, self.name) = (other.source, other.name.clone());
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.source.map(|_| self.name.as_str())
    }

    /// The MAC.
    pub(crate) fn mac(&self) -> Option<Mac> {
        self.mac
    }

    /// When it first asked, and when last, in seconds since 1970.
    pub(crate) fn seen(&self) -> (u32, u32) {
        (self.first_seen, self.last_seen)
    }

    /// The numbers that were added up.
    pub(crate) fn sums(&self) -> [u32; 2] {
        self.sums
    }

    /// Queries.
    pub(crate) fn queries(&self) -> u32 {
        self.queries
    }

    /// Responses that were blocked.
    pub(crate) fn blocked(&self) -> u32 {
        self.blocked
    }
}
