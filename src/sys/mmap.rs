//! A file as memory: read when it is looked at, and forgotten when memory runs short.
//!
//! Who shortens a mapped file takes its pages away: the kernel answers a look at them with SIGBUS, which
//! would end the process. So a handler puts a page of zeros where one of ours is missing, and the reader, who
//! must expect any bytes anyway, goes on. Where a page is missing that is none of ours the process ends as it
//! would have.
#![allow(unsafe_code)]

use core::ffi::c_int;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Once;

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{SysconfVar, sysconf};

/// A regular file, mapped for reading.
///
/// The file is to be replaced by renaming another one to its place, and not to be written to: what is written
/// shows here, and what is cut off is zeros from then on.
#[derive(Clone, Debug)]
pub struct Mapping(Rc<MappedRegion>);

/// The mapped bytes, until the last who looks at it is gone.
#[derive(Debug)]
struct MappedRegion {
    start: NonNull<libc::c_void>,
    /// As `mmap` was told; > 0.
    length: NonZeroUsize,
}

impl Mapping {
    /// Maps all of a file.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is empty, or no regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        // A pipe without a writer would keep us waiting.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(invalid("no regular file"));
        }
        let length = usize::try_from(metadata.len()).map_err(|_| invalid("longer than the address space"))?;
        let length = NonZeroUsize::new(length).ok_or_else(|| invalid("the file is empty"))?;
        listen();
        // SAFETY: the kernel chooses the place, so nothing that is mapped already is touched. The mapping is
        // only read, and unmapped once, in `drop`.
        let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }?;
        guard(start.as_ptr() as usize, length.get());
        Ok(Mapping(Rc::new(MappedRegion { start, length })))
    }

    /// Whether a look at a mapped file met a page that was cut off, since this was last asked.
    pub(crate) fn was_cut() -> bool {
        CUT.swap(false, Ordering::Relaxed)
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` on are mapped and readable for as long as the region lives,
        // which `self` keeps; any bytes are valid. Nothing in this process writes to them, and others are
        // asked not to (see above).
        unsafe { slice::from_raw_parts(self.0.start.cast::<u8>().as_ptr(), self.0.length.get()) }
    }
}

impl Drop for MappedRegion {
    fn drop(&mut self) {
        unguard(self.start.as_ptr() as usize);
        // SAFETY: exactly what was mapped in `open`; no slice of it outlives `self`.
        let unmapped = unsafe { munmap(self.start, self.length.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

// ------------ Guard ------------------------------------------------------------

/// Start and length of what is mapped; a length of 0 is a free place. One is in force, one about to be.
static GUARDED: [(AtomicUsize, AtomicUsize); 4] = [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 4];

/// Bytes of a page.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Whether a page was missing.
static CUT: AtomicBool = AtomicBool::new(false);

/// Puts the handler in force, once.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|page| usize::try_from(page).ok());
        PAGE.store(page.unwrap_or(0), Ordering::Relaxed);
        let action =
            SigAction::new(SigHandler::SigAction(on_missing_page), SaFlags::SA_SIGINFO, SigSet::empty());
        // SAFETY: the handler uses atomics and two system calls, which POSIX and Linux allow in a handler.
        let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
    });
}

fn guard(start: usize, length: usize) {
    if let Some((place, size)) = GUARDED.iter().find(|(_, length)| length.load(Ordering::Relaxed) == 0) {
        place.store(start, Ordering::Relaxed);
        size.store(length, Ordering::Relaxed);
    }
}

fn unguard(start: usize) {
    for (place, length) in &GUARDED {
        if place.load(Ordering::Relaxed) == start {
            length.store(0, Ordering::Relaxed);
        }
    }
}

/// Puts a page of zeros where one of ours is missing.
extern "C" fn on_missing_page(_: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands over a whole `siginfo_t`, which for SIGBUS has the address in it.
    let address = unsafe { (*info).si_addr() } as usize;
    let page = PAGE.load(Ordering::Relaxed);
    let is_ours = GUARDED.iter().any(|(start, length)| {
        let offset = address.checked_sub(start.load(Ordering::Relaxed));
        offset.is_some_and(|offset| offset < length.load(Ordering::Relaxed))
    });
    if is_ours && page > 0 {
        let (protection, flags) =
            (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
        let at = (address - address % page) as *mut libc::c_void;
        // SAFETY: the page lies within a mapping of ours, which begins at a page: nothing else is replaced.
        // Whoever reads there finds zeros instead of nothing.
        if unsafe { libc::mmap(at, page, protection, flags, -1, 0) } != libc::MAP_FAILED {
            CUT.store(true, Ordering::Relaxed);
            return;
        }
    }
    // SAFETY: allowed in a handler. The look is repeated on return, and ends the process now.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_is_in_it() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert_eq!(Mapping::open(path).unwrap().as_ref(), std::fs::read(path).unwrap());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for path in ["/", "/dev/null", "/nowhere"] {
            assert!(Mapping::open(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_cut_off_is_zeros() {
        let path = std::env::temp_dir().join(format!("dnstapd-mapping-{}", std::process::id()));
        std::fs::write(&path, [7; 300_000]).unwrap();
        let mapping = Mapping::open(&path).unwrap();
        assert!(mapping.as_ref().iter().all(|&byte| byte == 7));
        OpenOptions::new().write(true).open(&path).unwrap().set_len(100_000).unwrap();
        let sum: usize = mapping.as_ref().iter().map(|&byte| usize::from(byte)).sum();
        assert_eq!(sum, 7 * 100_000);
        assert!(Mapping::was_cut());
        std::fs::remove_file(path).unwrap();
    }
}
