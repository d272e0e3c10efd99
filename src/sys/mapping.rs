//! A file as memory: read when it is looked at, and forgotten when memory runs short.
#![allow(unsafe_code)]

use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::slice;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A regular file, mapped for reading.
///
/// The file is to be replaced by renaming another one to its place, and not to be written to: what is written
/// shows here, and where the file was cut off the kernel ends the process with SIGBUS.
#[derive(Clone, Debug)]
pub struct Mapping(Rc<Region>);

/// What is mapped, until the last who looks at it is gone.
#[derive(Debug)]
struct Region {
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
    pub fn open(path: &Path) -> io::Result<Self> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        // A pipe without a writer would keep us waiting.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(invalid("no regular file"));
        }
        let length = usize::try_from(metadata.len()).map_err(|_| invalid("longer than the address space"))?;
        let length = NonZeroUsize::new(length).ok_or_else(|| invalid("the file is empty"))?;
        // SAFETY: the kernel chooses the place, so nothing that is mapped already is touched. The mapping is only
        // read, and unmapped once, in `drop`.
        let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Mapping(Rc::new(Region { start, length })))
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `length` octets from `start` on are mapped and readable for as long as the region lives, which `self` keeps; any octets
        // are valid. Nothing in this process writes to them, and others are asked not to (see above).
        unsafe { slice::from_raw_parts(self.0.start.cast::<u8>().as_ptr(), self.0.length.get()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped in `open`; no slice of it outlives `self`.
        let unmapped = unsafe { munmap(self.start, self.length.get()) };
        debug_assert!(unmapped.is_ok());
    }
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
}
