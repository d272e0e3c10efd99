//! Saves what is remembered, a segment each time, within a budget of bytes a day.
//!
//! ```text
//! executor: entries of 16 KiB ---> pool thread: history.tmp, write ---> ... ---> sync, rename to history-0000000042.seg
//! ```
//!
//! A segment has what is new: minutes, hours, devices that changed, and exchanges that are over, in this
//! order, up to what the budget lets it have. Exchanges beyond stay for the next one, and are counted if they
//! have to go before. Once a day and at a stop a segment has all of the series and devices, and after a step
//! of the clock all of the series, which has other dates then; so that older segments can go, as soon as the
//! log holds none of their exchanges any more.
//!
//! Once a day and at a stop the domains and clients that were seen (`health::seen`) have a file of their own,
//! `seen.seg`, if the budget has 300 KB.
//!
//! The budget is a bucket of tokens, as large as a day's worth and refilled evenly. So that the first day
//! keeps it, too, the bucket is half full at the start, and filled half as fast for a day; a stop on that day
//! may use all that is left of the day's worth. A file costs its pages, since that is how a kernel writes;
//! files of the last day that are there at the start are taken off. Nothing is saved in parts: a file has its
//! name when it is whole and on the disk. Only this task touches the folder, on a thread of the pool.

use core::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use defmt_or_log::{info, warn};
use event_listener::{Event as Notice, listener};
use smol::future::or;

use super::History;
use super::log::{ExchangeReader, ExchangeWriter, Position};
use super::saved::{read_slot, write_slot};
use super::series::SeriesPeriod;
use crate::health::Health;
use crate::limits::HISTORY_SAVE_BYTES;
use crate::reactor::Timer;
use crate::sys::files::{make_anew, read_whole};
use crate::wire::segment::{
    ANEW, DEVICE, END, EXCHANGE, FIRST_SEEN, Input, MAGIC, Output, SEED, SEEN, SLOT, entries,
};

/// Where, how often and how much is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaveSettings {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Between two segments.
    pub(crate) interval: Duration,
    /// Bytes a day; 0 = no limit.
    pub(crate) budget: u64,
}

/// Asks the task to do something now.
#[derive(Debug, Default)]
pub struct SaverControl {
    is_to_erase: Cell<bool>,
    is_to_end: Cell<bool>,
    has_ended: Cell<bool>,
    asked: Notice,
    done: Notice,
}

/// The task.
#[derive(Debug)]
pub(crate) struct Saver {
    settings: SaveSettings,
    writer: ExchangeWriter,
    block: Vec<u8>,
    segments: Vec<Segment>,
    /// The number of the next segment.
    next: u32,
    /// The newest one with all of the series and devices, and when it was written.
    whole: u32,
    whole_at: Option<Instant>,
    /// When it was saved who was seen.
    seen_at: Instant,
    bucket: Bucket,
    /// Ends of the newest minute and hour that are saved, in seconds since 1970.
    ends: [u64; 2],
    /// Steps of the clock until the series was saved with the dates that it has.
    redated: u32,
}

/// A file that is there.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u32,
    /// The page of its newest exchange.
    page: u32,
}

/// Bytes that may be written.
#[derive(Debug)]
struct Bucket {
    /// A day's worth; 0 = no limit.
    size: u64,
    tokens: u64,
    /// When it began, and the seconds after that to which it is filled.
    began: Instant,
    filled: u64,
    /// Bytes of the last day, those before the start included, as long as that is its first.
    spent: u64,
}

const DAY_SECONDS: u64 = 86_400;
/// How a kernel writes.
const PAGE_BYTES: u64 = 4096;
/// Bytes of a segment that is read.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a slot at most, with its part of a block.
const SLOT_BYTES_MAX: u64 = 64;
/// Files that are kept.
const SEGMENTS: usize = 512;
const TEMPORARY: &str = "history.tmp";
const SEEN_FILE: &str = "seen.seg";
/// Bytes that this one may have: the filters, and the last 256 domains that were new.
const SEEN_FILE_BYTES: u64 = 300 << 10;
const PERIODS: [SeriesPeriod; 2] = [SeriesPeriod::Day, SeriesPeriod::Month];

impl SaverControl {
    /// Has all files erased.
    pub(crate) fn erase(&self) {
        self.is_to_erase.set(true);
        self.asked.notify(usize::MAX);
    }

    /// Waits until all files are erased.
    pub(crate) async fn erased(&self) {
        self.until(|| !self.is_to_erase.get()).await;
    }

    /// Has everything saved once more, and waits for that.
    pub(crate) async fn end(&self) {
        self.is_to_end.set(true);
        self.asked.notify(usize::MAX);
        self.until(|| self.has_ended.get()).await;
    }

    async fn until(&self, is_done: impl Fn() -> bool) {
        while !is_done() {
            listener!(self.done => done);
            if !is_done() {
                done.await;
            }
        }
    }
}

impl Bucket {
    /// One that has spent so much within the day before.
    fn new(size: u64, spent: u64, now: Instant) -> Bucket {
        Bucket { size, tokens: (size / 2).saturating_sub(spent), began: now, filled: 0, spent }
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        let new = self.earned(seconds).saturating_sub(self.earned(self.filled));
        // What is less than a token is not lost: the clock goes on by whole ones.
        if new > 0 {
            self.tokens = self.tokens.saturating_add(new).min(self.size);
            self.filled = seconds;
        }
    }

    /// Bytes that so many seconds bring: half as many on the first day.
    fn earned(&self, seconds: u64) -> u64 {
        let halves = seconds.saturating_add(seconds.saturating_sub(DAY_SECONDS));
        self.size.saturating_mul(halves) / (2 * DAY_SECONDS)
    }

    /// Bytes that a file may have now: whole pages. The last one of a first day may have what is left of that
    /// day.
    fn room(&self, is_last: bool) -> u64 {
        let left = match is_last && self.filled < DAY_SECONDS {
            true => self.size.saturating_sub(self.spent),
            false => self.tokens,
        };
        if self.size == 0 { u64::MAX } else { left / PAGE_BYTES * PAGE_BYTES }
    }

    fn take(&mut self, bytes: u64) {
        let pages = bytes.next_multiple_of(PAGE_BYTES);
        self.tokens = self.tokens.saturating_sub(pages);
        self.spent = self.spent.saturating_add(pages);
    }
}

impl Saver {
    /// Bytes of it.
    pub(crate) const COST: usize =
        ExchangeWriter::COST + HISTORY_SAVE_BYTES + SEGMENTS * size_of::<Segment>() + size_of::<Saver>();

    /// Reads what was saved, sets aside what is none of ours, and goes on from there.
    pub(crate) fn load(settings: SaveSettings, history: &mut History) -> Saver {
        let _ = fs::remove_file(settings.folder.join(TEMPORARY));
        let mut numbers: Vec<u32> = fs::read_dir(&settings.folder)
            .map(|names| {
                names.flatten().filter_map(|entry| number_of(&entry.file_name().to_string_lossy())).collect()
            })
            .unwrap_or_default();
        numbers.sort_unstable();
        let mut segments = Vec::with_capacity(SEGMENTS);
        let (mut written, mut ends) = (0, [0; 2]);
        for number in &numbers {
            let path = settings.folder.join(name_of(*number));
            match load_segment(&path, history, &mut ends) {
                Ok(()) => {
                    written += bytes_of_today(&path);
                    let page = history.log().map_or(0, |log| log.end().parts().0);
                    if segments.len() == SEGMENTS {
                        segments.remove(0);
                    }
                    segments.push(Segment { number: *number, page });
                }
                Err(error) => {
                    let aside = path.with_extension("broken");
                    let moved = fs::rename(&path, &aside).is_ok();
                    let what = if moved { "it is set aside" } else { "it is passed over" };
                    warn!("history.path: {}: {}; {}", path.display().to_string(), error.to_string(), what);
                }
            }
        }
        history.end_loading();
        if !segments.is_empty() {
            let records = history.log().map_or(0, super::log::Log::records);
            info!("History: {} exchanges from {}", records, settings.folder.display().to_string());
        }
        Saver {
            writer: ExchangeWriter::new(Position::default()),
            block: Vec::with_capacity(HISTORY_SAVE_BYTES),
            segments,
            next: numbers.last().map_or(0, |last| last.wrapping_add(1)),
            whole: 0,
            whole_at: None,
            seen_at: Instant::now(),
            bucket: Bucket::new(settings.budget, written, Instant::now()),
            ends,
            redated: history.series.redated(),
            settings,
        }
    }

    /// Reads which domains and clients were seen.
    pub(crate) fn load_seen(&mut self, health: &RefCell<Option<Health>>) {
        let Some(health) = &mut *health.borrow_mut() else { return };
        let path = self.settings.folder.join(SEEN_FILE);
        if !health.has_seen() || !path.exists() {
            return;
        }
        if self.bucket.size > 0 {
            self.bucket.take(bytes_of_today(&path));
        }
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "not of this version, or broken");
        let read = read_whole(&path, SEGMENT_BYTES_MAX).and_then(|bytes| {
            entries(&bytes, |kind, input| match kind {
                SEED | SEEN | FIRST_SEEN => health.read_saved(kind, input),
                _ => None,
            })
            .ok_or_else(broken)
        });
        if let Err(error) = read {
            let moved = fs::rename(&path, path.with_extension("broken")).is_ok();
            let what = if moved { "it is set aside" } else { "it is passed over" };
            warn!("history.path: {}: {}; {}", path.display().to_string(), error.to_string(), what);
        }
    }

    /// Saves again and again, until it is to end.
    pub(crate) async fn run(
        mut self,
        history: &RefCell<History>,
        health: &RefCell<Option<Health>>,
        control: &SaverControl,
    ) {
        let mut due = Instant::now() + self.settings.interval;
        self.whole_at = Some(Instant::now());
        loop {
            listener!(control.asked => asked);
            if !control.is_to_erase.get() && !control.is_to_end.get() {
                or(asked, async {
                    Timer::at(due).await;
                })
                .await;
            }
            if control.is_to_erase.get() {
                self.erase(history).await;
                control.is_to_erase.set(false);
                control.done.notify(usize::MAX);
            }
            let is_last = control.is_to_end.get();
            if !is_last && Instant::now() < due {
                continue;
            }
            due = Instant::now() + self.settings.interval;
            if let Err(error) = self.save_seen(health, is_last).await {
                let folder = self.settings.folder.display().to_string();
                warn!(
                    "history.path: {}: {}; who was seen waits for the next time",
                    folder,
                    error.to_string()
                );
            }
            if let Err(error) = self.save(history, is_last, Instant::now()).await {
                let folder = self.settings.folder.display().to_string();
                warn!("history.path: {}: {}; what is new waits for the next time", folder, error.to_string());
                history.borrow_mut().devices_mut().forget_saved();
            }
            if is_last {
                control.has_ended.set(true);
                control.done.notify(usize::MAX);
                return;
            }
        }
    }

    /// Writes a segment, if there is something for it and the budget has a page.
    async fn save(&mut self, history: &RefCell<History>, is_last: bool, now: Instant) -> io::Result<()> {
        self.bucket.fill(now);
        let room = self.bucket.room(is_last);
        if room == 0 {
            return Ok(());
        }
        let day = Duration::from_secs(DAY_SECONDS);
        // While slots have no dates, those that were saved stay in their segments.
        let (is_dated, redated, known) = {
            let series = &history.borrow().series;
            (series.end(SeriesPeriod::Day).is_some(), series.redated(), series.known() as u64)
        };
        let is_whole = is_dated && (is_last || self.whole_at.is_some_and(|at| now.duration_since(at) >= day));
        // Not in part: what is before it counts no more.
        let is_anew = is_dated && (is_whole || redated != self.redated) && room >= known * SLOT_BYTES_MAX;
        let start = history.borrow().log().and_then(super::log::Log::saved).unwrap_or_default();
        self.writer.restart(start);
        let mut step = SaveStep {
            since: if is_whole || is_anew { [0; 2] } else { self.ends },
            ends: if is_anew { [0; 2] } else { self.ends },
            is_anew,
            period: 0,
            device: 0,
            is_whole,
            is_last,
        };
        let path = self.settings.folder.join(TEMPORARY);
        let writer = &mut self.writer;
        let mut fill = |out: &mut Output<'_>| step.fill(&mut history.borrow_mut(), writer, out);
        let Some((file, length)) = write_blocks(&mut self.block, &path, room, &mut fill).await? else {
            return Ok(());
        };
        let end = self.settings.folder.join(name_of(self.next));
        let number = self.next;
        smol::unblock(move || finish(file, &path, &end)).await?;
        self.bucket.take(length);
        self.next = self.next.wrapping_add(1);
        self.ends = step.ends;
        self.redated = if is_anew { redated } else { self.redated };
        if let Some(log) = history.borrow_mut().log_mut() {
            log.set_saved(self.writer.position);
        }
        self.segments.push(Segment { number, page: self.writer.position.parts().0 });
        if is_whole {
            (self.whole, self.whole_at) = (number, Some(now));
        }
        self.remove_old(history).await;
        Ok(())
    }

    /// Writes which domains and clients were seen, once a day and at the end, if the budget has enough.
    async fn save_seen(&mut self, health: &RefCell<Option<Health>>, is_last: bool) -> io::Result<()> {
        let is_due = is_last || self.seen_at.elapsed().as_secs() >= DAY_SECONDS;
        let has_seen = || health.borrow().as_ref().is_some_and(Health::has_seen);
        self.bucket.fill(Instant::now());
        if !is_due || !has_seen() || self.bucket.room(is_last) < SEEN_FILE_BYTES {
            return Ok(());
        }
        let (path, mut next) = (self.settings.folder.join(TEMPORARY), 0);
        let mut fill = |out: &mut Output<'_>| {
            let more = health.borrow().as_ref().and_then(|health| health.write_saved(next, out));
            next = more.unwrap_or(next);
            more.is_some()
        };
        let Some((file, length)) = write_blocks(&mut self.block, &path, u64::MAX, &mut fill).await? else {
            return Ok(());
        };
        // Switched off meanwhile: a part says nothing.
        if !has_seen() {
            return Ok(());
        }
        let end = self.settings.folder.join(SEEN_FILE);
        smol::unblock(move || finish(file, &path, &end)).await?;
        self.bucket.take(length);
        self.seen_at = Instant::now();
        Ok(())
    }

    /// Removes the segments that nothing in memory stems from, and the oldest if there are too many.
    async fn remove_old(&mut self, history: &RefCell<History>) {
        let (whole, surplus) = (self.whole, self.segments.len().saturating_sub(SEGMENTS - 1));
        let mut old = Vec::new();
        let mut place = 0;
        self.segments.retain(|segment| {
            let history = history.borrow();
            let has_gone =
                segment.number < whole && history.log().is_none_or(|log| log.has_gone(segment.page));
            let goes = has_gone || place < surplus;
            place += 1;
            if goes {
                old.push(self.settings.folder.join(name_of(segment.number)));
            }
            !goes
        });
        if !old.is_empty() {
            smol::unblock(move || old.iter().for_each(|path| drop(fs::remove_file(path)))).await;
        }
    }

    /// Erases all files, also those set aside.
    async fn erase(&mut self, history: &RefCell<History>) {
        self.segments.clear();
        self.ends = [0; 2];
        if let Some(log) = history.borrow_mut().log_mut() {
            log.set_saved(log.end());
        }
        let folder = self.settings.folder.clone();
        smol::unblock(move || {
            let Ok(names) = fs::read_dir(&folder) else { return };
            for name in names.flatten().map(|entry| entry.file_name()) {
                let text = name.to_string_lossy();
                let is_ours = text == TEMPORARY
                    || number_of(&text).is_some()
                    || text
                        .strip_suffix(".broken")
                        .is_some_and(|stem| number_of(&format!("{stem}.seg")).is_some());
                if is_ours {
                    // What stays is read at the next start, which says so.
                    let _ = fs::remove_file(folder.join(&name));
                }
            }
        })
        .await;
    }
}

/// How far a segment is.
struct SaveStep {
    /// Slots that ended later are written.
    since: [u64; 2],
    /// Ends of the newest ones written.
    ends: [u64; 2],
    /// The period that is written, then the devices, then the exchanges.
    period: usize,
    device: usize,
    is_whole: bool,
    is_last: bool,
    /// Whether all of the series is still to be announced.
    is_anew: bool,
}

impl SaveStep {
    /// Writes as much as there is room for; `false` if there is no more.
    fn fill(&mut self, history: &mut History, writer: &mut ExchangeWriter, out: &mut Output<'_>) -> bool {
        if core::mem::take(&mut self.is_anew) {
            out.byte(ANEW);
        }
        while let Some(period) = PERIODS.get(self.period).copied() {
            let (Some(since), Some(newest)) =
                (self.since.get_mut(self.period), self.ends.get_mut(self.period))
            else {
                return false;
            };
            for (end, slot) in history.series.ended(period, *since) {
                if !out.has_room() {
                    return true;
                }
                write_slot(out, period, end, &slot);
                (*since, *newest) = (end, (*newest).max(end));
            }
            if !out.has_room() {
                return true;
            }
            // The one that runs is written as it is: what was saved last counts.
            let running = history.series.slot(period, period.slots() - 1);
            if let Some(end) = history.series.end(period).filter(|_| running.counts != [0; 5]) {
                write_slot(out, period, end, &running);
            }
            self.period += 1;
        }
        if history.log.is_some()
            && let Some(next) = history.devices.write_saved(self.device, self.is_whole, out)
        {
            self.device = next;
            return true;
        }
        self.device = usize::MAX;
        history.log.as_ref().is_some_and(|log| log.write_saved(writer, self.is_last, out))
    }
}

/// Reads one file. Nothing of it is taken if it is not whole.
fn load_segment(path: &Path, history: &mut History, ends: &mut [u64; 2]) -> io::Result<()> {
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

fn skip(_: u8, input: &mut Input<'_>) -> Option<()> {
    skip_rest(input)
}

fn skip_rest(input: &mut Input<'_>) -> Option<()> {
    input.skip_all();
    Some(())
}

/// Bytes of a file, in pages, if it was written within a day.
fn bytes_of_today(path: &Path) -> u64 {
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
async fn write_blocks(
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

fn finish(mut file: File, path: &Path, end: &Path) -> io::Result<()> {
    file.write_all(&END)?;
    file.sync_data()?;
    fs::rename(path, end)
}

fn name_of(number: u32) -> String {
    format!("history-{number:010}.seg")
}

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("history-")?.strip_suffix(".seg")?.parse().ok()
}

#[cfg(test)]
#[path = "saver_tests.rs"]
mod tests;
