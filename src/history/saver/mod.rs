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
//! Files of the last day that are there at the start are taken off the budget. Only this task touches the
//! folder, on a thread of the pool.
//!
//! * `budget`: how much may be written
//! * `segment_contents`: the entries of a segment, and how far it is
//! * `segment_files`: files and their names

mod budget;
mod segment_contents;
mod segment_files;

use core::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use defmt_or_log::{info, warn};
use event_listener::{Event as Notice, listener};
use smol::future::or;

use self::budget::{DAY_SECONDS, WriteBudget};
use self::segment_contents::SegmentContents;
use self::segment_files::{
    SEEN_FILE, TEMPORARY, bytes_of_today, erase_all, finish, load_segment, name_of, numbers_in, read_seen,
    set_aside, write_blocks,
};
use super::History;
use super::log::{ExchangeWriter, Position};
use super::series::SeriesPeriod;
use crate::health::Health;
use crate::limits::HISTORY_SAVE_BYTES;
use crate::reactor::Timer;
use crate::sys::files::cannot_make;
use crate::wire::segment::Output;

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

impl SaveSettings {
    /// Why nothing can be saved in the folder.
    pub(crate) fn obstacle(&self) -> Option<io::Error> {
        cannot_make(&self.folder.join(TEMPORARY))
    }
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
    budget: WriteBudget,
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

/// Bytes of a slot at most, with its part of a block.
const SLOT_BYTES_MAX: u64 = 64;
/// Files that are kept.
const SEGMENTS: usize = 512;
/// Bytes that the file of what was seen may have: the filters, and the last 256 domains that were new.
const SEEN_FILE_BYTES: u64 = 300 << 10;

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

impl Saver {
    /// Bytes of it.
    pub(crate) const COST: usize =
        ExchangeWriter::COST + HISTORY_SAVE_BYTES + SEGMENTS * size_of::<Segment>() + size_of::<Saver>();

    /// Reads what was saved, sets aside what is none of ours, and goes on from there.
    pub(crate) fn load(settings: SaveSettings, history: &mut History) -> Saver {
        let _ = fs::remove_file(settings.folder.join(TEMPORARY));
        let numbers = numbers_in(&settings.folder);
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
                Err(error) => set_aside(&path, &error),
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
            budget: WriteBudget::new(settings.budget, written, Instant::now()),
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
        self.budget.take(bytes_of_today(&path));
        if let Err(error) = read_seen(&path, health) {
            set_aside(&path, &error);
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
        self.budget.fill(now);
        let room = self.budget.room(is_last);
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
        let mut step = SegmentContents {
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
        self.budget.take(length);
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
        self.budget.fill(Instant::now());
        if !is_due || !has_seen() || self.budget.room(is_last) < SEEN_FILE_BYTES {
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
        self.budget.take(length);
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
        smol::unblock(move || erase_all(&folder)).await;
    }
}

#[cfg(test)]
mod tests;
