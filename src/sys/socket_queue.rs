//! The bytes that wait in a socket.
#![allow(unsafe_code)]

use core::ffi::c_int;
use std::os::fd::RawFd;

use nix::libc;

/// Bytes that wait in a socket to be read; 0 where the kernel does not tell.
pub(crate) fn waiting_bytes(socket: RawFd) -> usize {
    let mut bytes: c_int = 0;
    // SAFETY: the kernel writes one number there, if the descriptor is that of a socket.
    let asked = unsafe { libc::ioctl(socket, libc::FIONREAD, &raw mut bytes) };
    usize::try_from(bytes).ok().filter(|_| asked == 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_that_wait_are_counted() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(waiting_bytes(ours.as_raw_fd()), 0);
        theirs.write_all(&[0; 3000]).unwrap();
        theirs.write_all(&[0; 500]).unwrap();
        assert_eq!((waiting_bytes(ours.as_raw_fd()), waiting_bytes(-1)), (3500, 0));
    }
}
