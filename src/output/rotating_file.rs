//! A file that grows by whole records and rotates: the part of the file output that may block.
//!
//! Everything here runs on the blocking pool, with the batch of records inside, so a disk that stalls holds
//! up nobody. Before each write the path is looked at: when another file or none is there (logrotate, `rm`),
//! the file is opened again, and so is a capture that was emptied (logrotate's `copytruncate`). When a write
//! fails half-way, the file is cut back to where it was, and the batch stays, to be written again as a whole.
//! So a file holds whole records only, except after a crash of the machine.
//!
//! Rotation: `NAME` becomes `NAME.1`, `NAME.1` becomes `NAME.2`, up to the number of files kept; the oldest
//! is replaced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::capture_file::{self, START, STOP};
use crate::sys::owned_file;
use crate::sys::privileges::Identity;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statfs::{JFFS2_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, statfs};

/// Where a file is, and how large it and its like become.
#[derive(Debug, Clone)]
pub(crate) struct FileSettings {
    /// The live file.
    pub(crate) path: PathBuf,
    /// Rotated before it reaches this size; 0 = never.
    pub(crate) max_size: u64,
    /// Rotated files that are kept; 0 = never rotated.
    pub(crate) count: u32,
    /// Whether it is a Frame Streams capture.
    pub(crate) is_capture: bool,
    /// Whether it is the program's own log: others may read it, and it may be a pipe that somebody reads.
    pub(crate) is_log: bool,
    /// Bytes of a batch of records.
    pub(crate) batch: usize,
}

/// The live file, and the records that are to be written to it.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    /// Rotated before it reaches this size; `None` = never.
    max: Option<u64>,
    /// Rotated files that are kept.
    count: u32,
    /// Whether it is a Frame Streams capture.
    is_capture: bool,
    /// Whether it is the log.
    is_log: bool,
    file: Option<File>,
    /// Bytes in the file after the last write.
    size: u64,
    /// Whole records; its capacity never changes.
    pub(crate) batch: Vec<u8>,
}

impl RotatingFile {
    /// Opens the file, for appending when it exists, and gives it to `identity`, who opens it from then on.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is a pipe, a socket or a folder.
    pub(crate) fn open(settings: FileSettings, identity: Option<&Identity>) -> io::Result<Self> {
        let FileSettings { path, max_size, count, is_capture, is_log, batch } = settings;
        let mut live = RotatingFile {
            path,
            max: (max_size > 0 && count > 0).then_some(max_size),
            count,
            is_capture,
            is_log,
            file: None,
            size: 0,
            batch: Vec::with_capacity(batch),
        };
        live.open_anew(identity)?;
        Ok(live)
    }

    /// Whether it is ever renamed.
    pub(crate) fn rotates(&self) -> bool {
        self.max.is_some()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the next batch, when its first record has `first`: what the file has room for, else what a
    /// new file has room for.
    pub(crate) fn room(&self, first: usize) -> usize {
        let left = |size: u64| {
            let left =
                self.max.map_or(u64::MAX, |max| max.saturating_sub(1 + self.tail()).saturating_sub(size));
            usize::try_from(left).unwrap_or(usize::MAX)
        };
        let room = if first <= left(self.size) { left(self.size) } else { left(self.head()).max(first) };
        room.min(self.batch.capacity())
    }

    /// Writes the batch and empties it.
    ///
    /// # Errors
    ///
    /// Those of the file system; the batch is kept.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if !self.is_in_place() {
            self.reopen()?;
        }
        let bytes = self.batch.len() as u64;
        let end = self.size + bytes + self.tail();
        if self.size > self.head() && self.max.is_some_and(|max| end >= max) {
            match self.rotate() {
                // Better a log that is too long than none: its folder may be one where this user makes no
                // files.
                Err(_) if self.is_log && self.file.is_some() => {}
                result => result?,
            }
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(&self.batch) {
            // Not for a device; there is nothing to cut either.
            let _ = file.set_len(self.size);
            return Err(error);
        }
        self.size += if file.metadata()?.is_file() { bytes } else { 0 };
        self.batch.clear();
        Ok(())
    }

    /// Throws the batch away; the number of lines in it.
    pub(crate) fn discard_batch(&mut self) -> u32 {
        let lines = self.batch.iter().filter(|&&byte| byte == b'\n').count();
        self.batch.clear();
        u32::try_from(lines).unwrap_or(u32::MAX)
    }

    /// Opens the file at the path.
    fn open_anew(&mut self, identity: Option<&Identity>) -> io::Result<()> {
        self.file = None;
        // Not waiting for the reader of a pipe, not becoming the terminal's session.
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file =
            owned_file::open_for(&self.path, identity, flags, if self.is_log { LOG_MODE } else { MODE })?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        let is_pipe = self.is_log && kind.is_fifo();
        if !kind.is_file() && !kind.is_char_device() && !is_pipe {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        self.size = metadata.len();
        if self.is_capture && metadata.is_file() {
            self.size = go_on(&self.path, &file)?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Ends the open file, and opens the one at the path, which may be another or the same.
    ///
    /// # Errors
    ///
    /// As [`RotatingFile::open`].
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        // It may be gone, or on a disk that is full: then it stays without its end, as after a crash.
        let _ = self.finish();
        self.open_anew(None)
    }

    /// Ends the open file as its format wants it, unless somebody emptied it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(mut file) if self.is_capture && file.metadata()?.len() >= self.head() => {
                file.write_all(STOP)
            }
            _ => Ok(()),
        }
    }

    /// Bytes before the first record.
    fn head(&self) -> u64 {
        if self.is_capture { START.len() as u64 } else { 0 }
    }

    /// Bytes after the last record of a file that is ended.
    fn tail(&self) -> u64 {
        if self.is_capture { STOP.len() as u64 } else { 0 }
    }

    /// Whether the open file is the one at the path, and has its beginning; takes over its size.
    fn is_in_place(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(&self.path)) else { return false };
        self.size = open.len();
        let has_beginning = self.size >= self.head() || !open.is_file();
        has_beginning && (open.dev(), open.ino()) == (there.dev(), there.ino())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.count).rev() {
            match fs::rename(self.rotated(number), self.rotated(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.rotated(1))?;
        self.reopen()
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Makes a file a capture that data can be appended to, and tells its size.
fn go_on(path: &Path, mut file: &File) -> io::Result<u64> {
    let usable = capture_file::usable_bytes(path)?;
    file.set_len(usable)?;
    if usable > 0 {
        return Ok(usable);
    }
    file.write_all(START).inspect_err(|_| {
        let _ = file.set_len(0);
    })?;
    Ok(START.len() as u64)
}

/// Who may read a new file: owner and group, for it tells who asked what.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);

/// Who may read a new log: everybody, as long as the folder lets them.
const LOG_MODE: Mode = MODE.union(Mode::S_IROTH);

/// Whether a file at `path` would wear out the flash of a router.
pub(crate) fn is_on_flash(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    statfs(folder)
        .is_ok_and(|system| [OVERLAYFS_SUPER_MAGIC, JFFS2_SUPER_MAGIC].contains(&system.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, max_size: u64, count: u32, is_capture: bool) -> io::Result<RotatingFile> {
        RotatingFile::open(
            FileSettings {
                path: path.to_owned(),
                max_size,
                count,
                is_capture,
                is_log: false,
                batch: 1 << 10,
            },
            None,
        )
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("dnstapd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// Writes records as the output does, and gives the files from oldest to newest.
    fn written(name: &str, max: u64, count: u32, records: &[&str]) -> Vec<String> {
        let folder = folder(name);
        let path = folder.join("log");
        fs::write(&path, "old\n").unwrap();
        let mut live = open(&path, max, count, false).unwrap();
        let mut rest = records;
        while let Some(first) = rest.first() {
            let mut room = live.room(first.len());
            while let Some((record, others)) = rest.split_first().filter(|(record, _)| record.len() <= room) {
                room -= record.len();
                live.batch.extend_from_slice(record.as_bytes());
                rest = others;
            }
            live.write().unwrap();
        }
        let files = (1..=count).rev().map(|number| live.rotated(number)).chain([path]);
        let files = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
        fs::remove_dir_all(folder).unwrap();
        files
    }

    #[test]
    fn records_stay_whole_and_files_below_the_limit() {
        let records = ["one\n", "two\n", "three\n", "four\n", "a line longer than any file\n", "six\n"];
        assert_eq!(
            written("rotate", 13, 9, &records),
            ["old\none\ntwo\n", "three\nfour\n", "a line longer than any file\n", "six\n"]
        );
        assert_eq!(written("few", 13, 1, &records), ["a line longer than any file\n", "six\n"]);
        let all = [&["old\n"], &records[..]].concat().concat();
        assert_eq!(written("no-size", 0, 9, &records), std::slice::from_ref(&all));
        assert_eq!(written("no-count", 13, 0, &records), [all]);
    }

    #[test]
    fn a_log_that_cannot_be_renamed_grows() {
        let folder = folder("no-rename");
        let path = folder.join("log");
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(folder.join("log.1/inner")).unwrap();
        for is_log in [true, false] {
            let settings = FileSettings {
                path: path.clone(),
                max_size: 4,
                count: 1,
                is_capture: false,
                is_log,
                batch: 64,
            };
            let mut live = RotatingFile::open(settings, None).unwrap();
            for line in [b"one\n", b"two\n"] {
                live.batch.extend_from_slice(line);
                assert_eq!(live.write().is_ok(), is_log || fs::metadata(&path).unwrap().len() == 0);
                live.discard_batch();
            }
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_made_anew() {
        let folder = folder("moved");
        let path = folder.join("log");
        let mut live = open(&path, 0, 0, false).unwrap();
        for (at, text) in ["a\n", "b\n", "c\n"].iter().enumerate() {
            live.batch.extend_from_slice(text.as_bytes());
            live.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), *text);
            if at == 0 {
                fs::rename(&path, folder.join("old")).unwrap()
            } else {
                fs::remove_file(&path).unwrap()
            }
        }
        fs::remove_dir_all(&folder).unwrap();
        live.batch.extend_from_slice(b"d\n");
        assert!(live.write().is_err());
        fs::create_dir(&folder).unwrap();
        live.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "d\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_capture_that_was_emptied_begins_anew() {
        let folder = folder("emptied");
        let path = folder.join("log");
        let mut live = open(&path, 0, 0, true).unwrap();
        for frame in [b"\0\0\0\x01a", b"\0\0\0\x01b"] {
            live.batch.extend_from_slice(frame);
            live.write().unwrap();
            assert_eq!(fs::read(&path).unwrap(), [START, frame].concat());
            File::create(&path).unwrap();
        }
        live.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"", "no end without a beginning");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(open(&std::env::temp_dir(), 0, 0, false).is_err());
        assert!(open(Path::new("/dev/null"), 10, 3, false).is_ok());
        assert!(open(Path::new("/dev/full"), 10, 3, false).unwrap().file.is_some());
    }
}
