//! Random numbers of the kernel, for the seeds of hashes and for waits of chance length.
//!
//! Whoever can foresee a seed can choose names or addresses that all fall into one row of a table. Addresses
//! of memory are not secret: with the kernel's randomisation off, or on MIPS with its 20 bits, they are the
//! same in every run. So the seeds come from getrandom(2).
//!
//! Nothing here waits. A router may start this program before its kernel has gathered enough chance; it is
//! then asked for what it has (`GRND_INSECURE`), and a kernel older than that flag leaves the address and the
//! time.

use core::hash::BuildHasher;
use std::sync::OnceLock;
use std::time::SystemTime;

use foldhash::SharedSeed;
use foldhash::quality::{RandomState, SeedableRandomState};
use nix::libc;

/// The hasher of names and addresses: seeded by the kernel, different for each table and run.
pub(crate) type SeededState = SeedableRandomState;

/// Seeds a hash again.
pub(crate) fn seeded_state() -> SeededState {
    static SHARED: OnceLock<SharedSeed> = OnceLock::new();
    SeededState::with_seed(number(), SHARED.get_or_init(|| SharedSeed::from_u64(number())))
}

/// A random number.
pub(crate) fn number() -> u64 {
    let mut bytes = [0; 8];
    if fill(&mut bytes, libc::GRND_NONBLOCK) || fill(&mut bytes, libc::GRND_INSECURE) {
        return u64::from_ne_bytes(bytes);
    }
    RandomState::default().hash_one(SystemTime::now())
}

/// Fills `bytes`; `false` if the kernel has none for the asking now.
fn fill(bytes: &mut [u8; 8], flags: libc::c_uint) -> bool {
    // SAFETY: the pointer and the length are those of one array, which is borrowed for the call.
    #[allow(unsafe_code)]
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), flags) };
    usize::try_from(filled) == Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_are_alike() {
        let mut hashes: Vec<u64> = (0..100).map(|_| seeded_state().hash_one("www.example.com.")).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 100);
        let mut bytes = [0; 8];
        assert!(fill(&mut bytes, libc::GRND_NONBLOCK), "the kernel of this machine has random numbers");
    }
}
