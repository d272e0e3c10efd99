//! The numbers the kernel has of this process, read from `/proc` into buffers on the stack.
//!
//! Everything is an `Option`: a process may live without `/proc`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::libc;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// Bytes of memory in use.
pub fn resident_bytes() -> Option<u64> {
    let mut buffer = [0; 128];
    // proc(5): total, resident, ... in pages.
    let pages: u64 = read("/proc/self/statm", &mut buffer)?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(configured(SysconfVar::PAGE_SIZE)?)
}

/// Processor time used by all threads.
pub(crate) fn cpu_time() -> Option<Duration> {
    Some(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?.into())
}

/// When this process began, since 1970. Moves with the clock when that is set.
pub(crate) fn started() -> Option<Duration> {
    let mut buffer = [0; 1024];
    let stat = read("/proc/self/stat", &mut buffer)?;
    // The command in parentheses may hold anything, parentheses too; `starttime` is the 22nd field, the 20th
    // after it.
    let (_, after_command) = stat.rsplit_once(')')?;
    let ticks: u64 = after_command.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let per_second = configured(SysconfVar::CLK_TCK)?;
    let since_boot = Duration::from_millis(ticks.checked_mul(1_000)?.checked_div(per_second)?);
    Some(Duration::from_secs(booted()?) + since_boot)
}

/// Descriptors that are open.
pub(crate) fn open_descriptors() -> Option<u64> {
    let directory = File::open("/proc/self/fd").ok()?;
    let mut entries = DirectoryEntries([0; 1024]);
    let mut count = 0;
    loop {
        let length = next_entries(&directory, &mut entries)?;
        if length == 0 {
            // One of them is the directory itself.
            return u64::checked_sub(count, 1);
        }
        count += count_entries(entries.0.get(..length)?)?;
    }
}

/// When the machine began, in seconds since 1970: `btime` in `/proc/stat`, which has lines of any length
/// before it.
fn booted() -> Option<u64> {
    let mut file = File::open("/proc/stat").ok()?;
    let mut buffer = [0; 512];
    let mut line = heapless::Vec::<u8, 32>::new();
    loop {
        let length = file.read(&mut buffer).ok().filter(|&length| length > 0)?;
        for &byte in buffer.get(..length)? {
            if byte != b'\n' {
                // What is longer than the line we look for is not that line.
                let _ = line.push(byte);
                continue;
            }
            if let Some(seconds) = line.strip_prefix(b"btime ") {
                return core::str::from_utf8(seconds).ok()?.trim().parse().ok();
            }
            line.clear();
        }
    }
}

fn configured(variable: SysconfVar) -> Option<u64> {
    sysconf(variable).ok()?.and_then(|value| u64::try_from(value).ok())
}

/// As much of a file as the buffer holds.
fn read<'b>(path: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
    let length = File::open(path).ok()?.read(buffer).ok()?;
    core::str::from_utf8(buffer.get(..length)?).ok()
}

/// Room for directory entries, aligned as the kernel's `linux_dirent64`.
#[repr(align(8))]
struct DirectoryEntries([u8; 1024]);

/// Reads the next entries of a directory; tells how many bytes they take, 0 at the end.
fn next_entries(directory: &File, entries: &mut DirectoryEntries) -> Option<usize> {
    let (room, length) = (entries.0.as_mut_ptr(), entries.0.len());
    // SAFETY: getdents64(2) writes at most `length` bytes to `room`, which is borrowed for writing here and
    // that long; any bytes are valid in it. The descriptor is open as long as `directory` is borrowed.
    let read = unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), room, length) };
    usize::try_from(read).ok()
}

/// How many of the entries are descriptors: all but `.` and `..`.
///
/// ```text
/// | inode 8 | offset 8 | length 2 | type 1 | name ... 0 |
/// ```
fn count_entries(mut entries: &[u8]) -> Option<u64> {
    let mut count = 0;
    while let Some(&[low, high]) = entries.get(16..18) {
        count += u64::from(entries.get(19)? != &b'.');
        entries = entries.get(usize::from(u16::from_ne_bytes([low, high])).max(1)..)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_of_a_plausible_size() {
        assert!((100 << 10..10 << 30).contains(&resident_bytes().unwrap()));
        let before = cpu_time().unwrap();
        let worked = (0..1_000).any(|_| {
            core::hint::black_box((0..200_000u64).fold(0, |sum, number| core::hint::black_box(sum ^ number)));
            cpu_time().unwrap() > before
        });
        assert!(worked);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.saturating_sub(started().unwrap());
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
        assert!(now + Duration::from_secs(2) > started().unwrap());
    }

    #[test]
    fn open_descriptors_are_those_of_the_directory() {
        // Other tests open and close files in the meantime, so a batch is opened that outweighs them.
        let before = open_descriptors().unwrap();
        let files: Vec<File> = (0..500).map(|_| File::open("/dev/null").unwrap()).collect();
        let more = open_descriptors().unwrap() - before;
        assert!((400..600).contains(&more), "{more}");
        drop(files);
    }
}
