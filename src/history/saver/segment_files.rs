//! The files: their names, one read whole, one written block by block on a thread of the pool.
//!
//! Nothing is saved in parts: a file has its name when it is whole and on the disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use defmt_or_log::warn;

use super::budget::{DAY_SECONDS, PAGE_BYTES};
use crate::health::Health;
use crate::history::History;
use crate::history::log::ExchangeReader;
use crate::history::saved::read_slot;
use crate::history::series::SeriesPeriod;
use crate::sys::files::{make_anew, read_whole};
use crate::wire::segment::{
    ANEW, DEVICE, END, EXCHANGE, FIRST_SEEN, Input, MAGIC, Output, SEED, SEEN, SLOT, entries,
};

/// The file that is being written.
pub(super) const TEMPORARY: &str = "history.tmp";
/// The file of the domains and clients that were seen.
pub(super) const SEEN_FILE: &str = "seen.seg";
/// Bytes of a segment that is read.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Numbers of the segments in a folder, the oldest first.
pub(super) fn numbers_in(folder: &Path) -> Vec<u32> {
    let Ok(names) = fs::read_dir(folder) else { return Vec::new() };
    let numbers = names.flatten().filter_map(|entry| number_of(&entry.file_name().to_string_lossy()));
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Reads one file. Nothing of it is taken if it is not whole.
pub(super) fn load_segment(path: &Path, history: &mut History, ends: &mut [u64; 2]) -> io::Result<()> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a segment of this version, or broken");
    let bytes = read_whole(path, SEGMENT_BYTES_MAX)?;
    // Once to see that it is whole.
    entries(&bytes, skip).ok_or_else(broken)?;
    let mut reader = ExchangeReader::of_file();
    entries(&bytes, |kind, input| match kind {
        SLOT => {
            let (period, end, slot) = read_slot(input)?;
            history.series.load(period, end, slot);
            let newest = ends.get_mut(usize::from(period == SeriesPeriod::Month))?;
            // It may have been running still: it is saved once more.
            *newest = (*newest).max(end.saturating_sub(period.step()));
            Some(())
        }
        ANEW => {
            history.series.load_anew();
            *ends = [0; 2];
            Some(())
        }
        DEVICE if history.has_devices && history.log.is_some() => history.devices.read_saved(input),
        DEVICE => skip_rest(input),
        EXCHANGE => match &mut history.log {
            Some(log) => reader.read(input, log),
            None => skip_rest(input),
        },
        _ => None,
    })
    .ok_or_else(broken)
}

/// Reads which domains and clients were seen.
pub(super) fn read_seen(path: &Path, health: &mut Health) -> io::Result<()> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not of this version, or broken");
    let bytes = read_whole(path, SEGMENT_BYTES_MAX)?;
    entries(&bytes, |kind, input| match kind {
        SEED | SEEN | FIRST_SEEN => health.read_saved(kind, input),
        _ => None,
    })
    .ok_or_else(broken)
}

/// Renames a file that cannot be used, and says why it cannot.
pub(super) fn set_aside(path: &Path, error: &io::Error) {
    let moved = fs::rename(path, path.with_extension("broken")).is_ok();
    let what = if moved { "it is set aside" } else { "it is passed over" };
    warn!("history.path: {}: {}; {}", path.display().to_string(), error.to_string(), what);
}

/// Erases all files of ours, also those set aside.
pub(super) fn erase_all(folder: &Path) {
    let Ok(names) = fs::read_dir(folder) else { return };
    for name in names.flatten().map(|entry| entry.file_name()) {
        let text = name.to_string_lossy();
        let is_aside = |stem: &str| number_of(&format!("{stem}.seg")).is_some();
        let is_ours = text == TEMPORARY
            || number_of(&text).is_some()
            || text.strip_suffix(".broken").is_some_and(is_aside);
        if is_ours {
            // What stays is read at the next start, which says so.
            let _ = fs::remove_file(folder.join(&name));
        }
    }
}

fn skip(_: u8, input: &mut Input<'_>) -> Option<()> {
    skip_rest(input)
}

fn skip_rest(input: &mut Input<'_>) -> Option<()> {
    input.skip_all();
    Some(())
}

/// Bytes of a file, in pages, if it was written within a day.
pub(super) fn bytes_of_today(path: &Path) -> u64 {
    let day = Duration::from_secs(DAY_SECONDS);
    let Ok(metadata) = path.metadata() else { return 0 };
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    if age.is_some_and(|age| age < day) { metadata.size().next_multiple_of(PAGE_BYTES) } else { 0 }
}

/// Appends a block to the file that is made with the first one.
fn append(file: Option<File>, path: &Path, block: &[u8]) -> io::Result<File> {
    let mut file = match file {
        Some(file) => file,
        None => {
            let mut file = make_anew(path, 0o600)?;
            file.write_all(&MAGIC)?;
            file
        }
    };
    file.write_all(block)?;
    Ok(file)
}

/// Writes blocks until there is no more for them, or no room; the file, to be finished, and its bytes.
pub(super) async fn write_blocks(
    block: &mut Vec<u8>,
    path: &Path,
    room: u64,
    fill: &mut dyn FnMut(&mut Output<'_>) -> bool,
) -> io::Result<Option<(File, u64)>> {
    let mut file = None;
    let mut length = (MAGIC.len() + END.len()) as u64;
    loop {
        let most = usize::try_from(room.saturating_sub(length)).unwrap_or(usize::MAX);
        let mut out = Output::begin(block, most);
        let has_more = out.has_room() && fill(&mut out);
        if out.end() {
            let (mut filled, path) = (core::mem::take(block), path.to_path_buf());
            length += filled.len() as u64;
            let (result, filled) = smol::unblock(move || {
                let result = append(file, &path, &filled);
                filled.clear();
                (result, filled)
            })
            .await;
            *block = filled;
            file = Some(result?);
        }
        if !has_more {
            return Ok(file.map(|file| (file, length)));
        }
        smol::future::yield_now().await;
    }
}

pub(super) fn finish(mut file: File, path: &Path, end: &Path) -> io::Result<()> {
    file.write_all(&END)?;
    file.sync_data()?;
    fs::rename(path, end)
}

pub(super) fn name_of(number: u32) -> String {
    format!("history-{number:010}.seg")
}

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("history-")?.strip_suffix(".seg")?.parse().ok()
}
