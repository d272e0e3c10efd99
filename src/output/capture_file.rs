//! A Frame Streams capture that is written to: how it begins, ends, and goes on.
//!
//! A capture is START, data frames, STOP. One that a crash cut has no STOP, and may end within a frame. To go
//! on with an older one, everything after its last whole data frame is cut off.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::sys::files::open_regular;
use crate::wire::framestream::{ControlFrame, ControlKind};
pub(crate) use crate::wire::handshake::{START, STOP};

/// How many bytes of the captures at `path` can be gone on with; 0 for an empty file.
///
/// Several captures, one after the other, are what `cat` and a program that appends make: all are kept, and
/// the last one is gone on with, whose STOP is cut off.
///
/// # Errors
///
/// When it cannot be read, or is not a capture of dnstap that can be gone on with: then nothing of it may be
/// cut off.
pub(crate) fn usable_bytes(path: &Path) -> io::Result<u64> {
    let file = open_regular(path)?;
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    // `usable <= read <= size`; between a STOP and the next START the STOP lies between the first two.
    let (mut read, mut usable, mut is_open) = (0, 0, false);
    while let Some(unit) = next(&mut reader, size - read)? {
        let bytes = match unit {
            NextItem::Data(bytes) | NextItem::Start(bytes) | NextItem::Stop(bytes) => bytes,
        };
        read += bytes;
        is_open = match (unit, is_open) {
            (NextItem::Data(_), true) | (NextItem::Start(_), false) => {
                usable = read;
                true
            }
            (NextItem::Stop(_), true) => false,
            _ => return Err(no_capture()),
        };
    }
    // A frame that a crash cut off ends an open capture. Elsewhere the rest is not ours to cut off.
    if is_open || read == size { Ok(usable) } else { Err(no_capture()) }
}

/// The next item, and its bytes.
enum NextItem {
    Data(u64),
    Start(u64),
    Stop(u64),
}

/// Reads one frame of at most `left` bytes; `None` when there is no whole one.
fn next(reader: &mut BufReader<File>, left: u64) -> io::Result<Option<NextItem>> {
    let Some(length) = word(reader, left)? else { return Ok(None) };
    if length > 0 {
        let whole = 4 + u64::from(length);
        if whole > left {
            return Ok(None);
        }
        reader.seek_relative(i64::from(length))?;
        return Ok(Some(NextItem::Data(whole)));
    }
    let Some(length) = word(reader, left.saturating_sub(4))? else { return Ok(None) };
    let whole = 8 + u64::from(length);
    if whole > left {
        return Ok(None);
    }
    let mut payload = [0; 512];
    let Some(payload) = payload.get_mut(..length as usize) else { return Err(no_capture()) };
    reader.read_exact(payload)?;
    match ControlFrame::parse(payload) {
        Ok(control) if control.kind == ControlKind::Start && control.matches_dnstap() => {
            Ok(Some(NextItem::Start(whole)))
        }
        Ok(control) if control.kind == ControlKind::Stop => Ok(Some(NextItem::Stop(whole))),
        _ => Err(no_capture()),
    }
}

fn word(reader: &mut BufReader<File>, left: u64) -> io::Result<Option<u32>> {
    if left < 4 {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(Some(u32::from_be_bytes(bytes)))
}

fn no_capture() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "not a Frame Streams capture of dnstap, so nothing is appended",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_cut_ends_with_its_last_whole_frame() {
        let path = std::env::temp_dir().join(format!("dnstapd-capture-{}", std::process::id()));
        let frames: [&[u8]; 4] = [START, b"\0\0\0\x03abc", b"\0\0\0\x01d", STOP];
        let whole = frames.concat();
        let ends = [0, START.len(), START.len() + 7, START.len() + 12];
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let expected = ends.iter().rev().find(|&&end| end <= length).copied().unwrap() as u64;
            match usable_bytes(&path) {
                Ok(usable) => assert_eq!(usable, expected, "{length}"),
                Err(_) => assert!((1..START.len()).contains(&length), "{length}"),
            }
        }
        // Two captures, the second cut within a frame: everything before that is kept.
        let two = [&whole, START, b"\0\0\0\x01e"].concat();
        for (rest, kept) in [(&b""[..], two.len()), (b"\0\0\0\x05f", two.len()), (STOP, two.len())] {
            std::fs::write(&path, [&two, rest].concat()).unwrap();
            assert_eq!(usable_bytes(&path).unwrap(), kept as u64);
        }
        let others: [&[u8]; 6] = [
            b"text line\n",
            STOP,
            &[&b"\0\0\0\x01d"[..], START].concat(),
            &[START, START].concat(),
            &[&whole, &b"x"[..]].concat(),
            &[&whole, STOP].concat(),
        ];
        for other in others {
            std::fs::write(&path, other).unwrap();
            assert!(usable_bytes(&path).is_err(), "{other:?}");
        }
        std::fs::remove_file(path).unwrap();
    }
}
