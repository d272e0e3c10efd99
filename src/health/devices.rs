//! Clients that were seen: hashes of their addresses, in open addressing.
//!
//! A table that is full takes no new ones and reports none. A home has 50 addresses, some thousand with those of IPv6 that
//! change by the day.

/// Slots for clients.
const SLOTS: usize = 1 << 10;
/// The table is full when that many are in use: a quarter stays free, so that every search ends.
const SEEN_MAX: usize = SLOTS / 4 * 3;

/// Clients that were seen.
#[derive(Debug)]
pub(crate) struct SeenDevices {
    slots: [u64; SLOTS],
    used: usize,
}

impl Default for SeenDevices {
    fn default() -> Self {
        SeenDevices { slots: [0; SLOTS], used: 0 }
    }
}

impl SeenDevices {
    /// Notes a client by the hash of its address; whether it was not seen before.
    pub(crate) fn is_new(&mut self, hash: u64) -> bool {
        let hash = hash.max(1);
        let mut slot = hash as usize % SLOTS;
        while let Some(held) = self.slots.get_mut(slot) {
            match *held {
                held if held == hash => return false,
                0 if self.used >= SEEN_MAX => return false,
                0 => {
                    *held = hash;
                    self.used += 1;
                    return true;
                }
                _ => slot = (slot + 1) % SLOTS,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once_and_a_full_table_is_silent() {
        let mut seen = SeenDevices::default();
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let new = (0..5_000).filter(|&number| seen.is_new(hash(number))).count();
        assert_eq!(new, SEEN_MAX);
        assert!((0..5_000).all(|number| !seen.is_new(hash(number))));
    }
}
