//! The traffic minute by minute for 25 hours, and hour by hour for 31 days.
//!
//! ```text
//!            loaded, placed by the wall clock     since the start, one after the other
//!   | ...  | slot | slot | slot | (gap) | (gap) | slot | slot | slot | running |
//!                                                                 end - 60   end
//! ```
//!
//! A slot ends when the monotonic clock says so: a step of the wall clock loses no slot and counts none
//! twice. The wall clock only gives them dates: those of the slots since the start follow from the end of the
//! running one, so after a step all of them move at once, and those of before the start, which were read from
//! a file, keep the dates they had. Where that date is in the future or has a slot since the start, a clock
//! was wrong, and they move with those since the start: none is lost, and none counted twice. While the wall
//! clock is older than the program, which it is on a router without a clock of its own that has not
//! heard from a time server, there are no dates; nor are there for `PATIENCE_MS` while it is behind what was
//! loaded, as it is on a router that begins with the time of its newest file: what was saved would be in the
//! future.
//!
//! Both lists are arrays with the newest slot first, moved by one place a minute: 42 kB, which takes some
//! microseconds.

use core::num::NonZeroU64;

use crate::limits;
use crate::sketch::distinct::DistinctCounts;
use crate::sketch::latency::{self, LatencyHistogram};
use crate::time::Latency;

/// The series.
#[derive(Debug)]
pub(crate) struct Series {
    minutes: SlotTrack,
    hours: SlotTrack,
    minute: RunningSlot,
    hour: RunningSlot,
    /// Different clients of the minute and of the hour.
    clients: DistinctCounts,
    /// When the running minute ends, by the monotonic clock in milliseconds.
    ends: u64,
    /// When it ends by the wall clock, in seconds since 1970; a multiple of 60.
    end: Option<u64>,
    /// When a clock behind what was loaded is believed, by the monotonic clock in milliseconds.
    patience: u64,
    /// Steps of the clock that gave other dates to slots that had some.
    redated: u32,
    /// Minutes that have ended in the running hour, while there is no wall clock to say when that ends.
    minutes_of_hour: u64,
}

/// The record of a minute or an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeriesSlot {
    /// Whether anything is known.
    pub(crate) is_known: bool,
    /// Counts in the order of [`COUNTS`].
    pub(crate) counts: [u32; COUNTS.len()],
    /// Different clients.
    pub(crate) clients: u32,
    /// Microseconds within which half of the responses came.
    pub(crate) p50: u32,
    /// And 95 of 100.
    pub(crate) p95: u32,
}

/// Names of the counts of a slot.
pub(crate) const COUNTS: [&str; 5] = ["queries", "responses", "nxdomain", "servfail", "blocked"];

/// A count of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeriesCount {
    /// Queries.
    Queries,
    /// Responses.
    Responses,
    /// Responses with NXDOMAIN.
    Nxdomain,
    /// Responses with SERVFAIL.
    Servfail,
    /// Responses that are blocked.
    Blocked,
}

/// Which of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeriesPeriod {
    /// 60 minutes.
    Hour,
    /// 1,440 minutes.
    Day,
    /// 744 hours.
    Month,
}

impl SeriesPeriod {
    /// All of them.
    pub(crate) const ALL: [SeriesPeriod; 3] = [SeriesPeriod::Hour, SeriesPeriod::Day, SeriesPeriod::Month];

    /// The name in the API.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            SeriesPeriod::Hour => "hour",
            SeriesPeriod::Day => "day",
            SeriesPeriod::Month => "month",
        }
    }

    /// The period of that name.
    pub(crate) fn parse(name: &str) -> Option<SeriesPeriod> {
        SeriesPeriod::ALL.into_iter().find(|period| period.label() == name)
    }

    /// Slots, the running one among them.
    pub(crate) const fn slots(self) -> usize {
        match self {
            SeriesPeriod::Hour => 60,
            SeriesPeriod::Day => 1_440,
            SeriesPeriod::Month => 744,
        }
    }

    /// Seconds of a slot.
    pub(crate) const fn step(self) -> u64 {
        match self {
            SeriesPeriod::Hour | SeriesPeriod::Day => MINUTE,
            SeriesPeriod::Month => HOUR,
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
/// Slots of 25 hours and of 31 days.
const MINUTES: usize = 1_500;
const HOURS: usize = 744;
/// Milliseconds for which a clock is not believed that is behind what was loaded: a time server answers
/// within a minute or two of a boot.
const PATIENCE_MS: u64 = 600_000;
/// The two sets of clients.
const OF_MINUTE: usize = 0;
const OF_HOUR: usize = 1;

/// A slot that still counts.
#[derive(Clone, Debug)]
struct RunningSlot {
    counts: [u32; COUNTS.len()],
    latencies: LatencyHistogram,
}

impl RunningSlot {
    const NOTHING: RunningSlot = RunningSlot { counts: [0; COUNTS.len()], latencies: LatencyHistogram::NONE };

    fn slot(&self, clients: u64) -> SeriesSlot {
        let percentile = |percent| saturated(latency::percentile(percent, core::iter::once(&self.latencies)));
        let (p50, p95) = (percentile(50), percentile(95));
        SeriesSlot { is_known: true, counts: self.counts, clients: saturated(clients), p50, p95 }
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Slots of one length that have ended.
#[derive(Debug)]
struct SlotTrack {
    /// The newest first.
    slots: Box<[SeriesSlot]>,
    step: u64,
    /// Slots since the start, which are the first ones.
    live: usize,
    /// End of the newest of those that were loaded, by the wall clock, and its place; `None` if nothing was
    /// loaded.
    loaded: Option<(NonZeroU64, usize)>,
}

impl SlotTrack {
    fn new(slots: usize, step: u64) -> Self {
        SlotTrack { slots: limits::table(slots, SeriesSlot::default()), step, live: 0, loaded: None }
    }

    /// Takes the slot that ended.
    fn push(&mut self, slot: SeriesSlot) {
        self.move_back(0, 1);
        if let Some(first) = self.slots.first_mut() {
            *first = slot;
        }
        self.live = (self.live + 1).min(self.slots.len());
        self.loaded =
            self.loaded.map(|(end, place)| (end, place + 1)).filter(|(_, place)| *place < self.slots.len());
    }

    /// Moves all slots from a place on that many places back; what falls off the end is forgotten.
    fn move_back(&mut self, from: usize, places: usize) {
        let length = self.slots.len();
        let from = from.min(length);
        let places = places.min(length - from);
        self.slots.copy_within(from..length - places, from + places);
        self.slots.get_mut(from..from + places).unwrap_or_default().fill(SeriesSlot::default());
    }

    /// Puts the loaded slots where they belong now that the running slot ends at `end`; `false` if there is
    /// no such place: it is in the future, or one of a slot since the start. Then the clock was wrong
    /// before the start or is wrong now, and they stay as far before the start as they are. What they say
    /// of their dates is kept, in case that the clock comes back.
    fn place(&mut self, end: u64) -> bool {
        let Some((newest, at)) = self.loaded else { return true };
        // The slot at place 0 ended one step before the running one ends.
        let wanted = (end as i64 - newest.get() as i64).div_euclid(self.step as i64) - 1;
        let Some(target) = usize::try_from(wanted).ok().filter(|target| *target >= self.live) else {
            return false;
        };
        match target.checked_sub(at) {
            Some(places) => self.move_back(at, places),
            None => {
                let length = self.slots.len();
                self.slots.copy_within(at.., target);
                self.slots.get_mut(target + length - at..).unwrap_or_default().fill(SeriesSlot::default());
            }
        }
        self.loaded = Some((newest, target)).filter(|(_, at)| *at < self.slots.len());
        true
    }

    /// Takes out the counts of a slot that was loaded and has not ended yet: it ends at `end`.
    fn take_unfinished(&mut self, end: u64) -> [u32; COUNTS.len()] {
        let Some((newest, at)) = self.loaded.filter(|(newest, _)| newest.get() == end) else {
            return [0; COUNTS.len()];
        };
        let slot = self.slots.get_mut(at).map(core::mem::take).unwrap_or_default();
        self.loaded = NonZeroU64::new(newest.get() - self.step)
            .map(|newest| (newest, at + 1))
            .filter(|(_, at)| *at < self.slots.len());
        slot.counts
    }

    /// Takes a slot from a file, which ended at `end`. Only before the first slot has ended; a slot that is
    /// there is kept.
    fn load(&mut self, end: u64, slot: SeriesSlot) {
        let Some(end) =
            NonZeroU64::new(end).filter(|end| self.live == 0 && end.get().is_multiple_of(self.step))
        else {
            return;
        };
        let (newest, at) = self.loaded.unwrap_or((end, 0));
        let place = match end.get().checked_sub(newest.get()) {
            Some(later) => {
                self.move_back(at, (later / self.step) as usize);
                self.loaded = Some((end, at));
                at
            }
            None => at + ((newest.get() - end.get()) / self.step) as usize,
        };
        // A slot that ran when it was saved is there again, with more, once it ended.
        let messages = |slot: &SeriesSlot| slot.counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let is_less = |held: &&mut SeriesSlot| !held.is_known || messages(held) < messages(&slot);
        if let Some(held) = self.slots.get_mut(place).filter(is_less) {
            *held = slot;
        }
    }
}

impl Series {
    /// Bytes of the series.
    pub(crate) const COST: usize = (MINUTES + HOURS) * size_of::<SeriesSlot>()
        + 2 * DistinctCounts::cost(limits::DISTINCT_BYTES_MIN)
        + size_of::<Series>();

    /// Empty series, which begin at `now` in milliseconds of the monotonic clock.
    pub(crate) fn new(now: u64) -> Self {
        Series {
            minutes: SlotTrack::new(MINUTES, MINUTE),
            hours: SlotTrack::new(HOURS, HOUR),
            minute: RunningSlot::NOTHING,
            hour: RunningSlot::NOTHING,
            clients: DistinctCounts::new([limits::DISTINCT_BYTES_MIN; 2].into_iter()),
            ends: now + MINUTE * 1_000,
            end: None,
            patience: now + PATIENCE_MS,
            redated: 0,
            minutes_of_hour: 0,
        }
    }

    /// Counts one.
    #[inline]
    pub(crate) fn count(&mut self, count: SeriesCount) {
        if let Some(count) = self.minute.counts.get_mut(count as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts a latency.
    #[inline]
    pub(crate) fn count_latency(&mut self, latency: Latency) {
        self.minute.latencies.count(latency);
    }

    /// Counts a client by the hash of its address.
    #[inline]
    pub(crate) fn count_client(&mut self, hash: u64) {
        // Who was seen in this minute was seen in this hour.
        if self.clients.insert(OF_MINUTE, hash) {
            self.clients.insert(OF_HOUR, hash);
        }
    }

    /// Ends the slots that are over. `now` is the monotonic clock in milliseconds, `wall` the time in seconds
    /// since 1970, `None` while that is not to be believed.
    pub(crate) fn tick(&mut self, now: u64, wall: Option<u64>) {
        if let Some(wall) = wall {
            self.date(now, wall);
        }
        while now >= self.ends {
            self.end_minute();
        }
    }

    /// Follows the wall clock if that was set.
    fn date(&mut self, now: u64, wall: u64) {
        let predicted = wall.saturating_add_signed(((self.ends as i64) - (now as i64)).div_euclid(1_000));
        if self.end.is_some_and(|end| end.abs_diff(predicted) <= 1) {
            return;
        }
        let end = match self.end {
            // The first date: the running slot is cut where the minute ends.
            None => (wall / MINUTE + 1) * MINUTE,
            Some(_) => (predicted + MINUTE / 2) / MINUTE * MINUTE,
        };
        let is_behind = self.minutes.loaded.is_some_and(|(newest, _)| end < newest.get());
        if self.end.is_none() && is_behind && now < self.patience {
            return;
        }
        let mut is_redated = self.end.is_some_and(|before| before != end);
        if self.end.is_none() {
            self.go_on(end);
        }
        self.end = Some(end);
        self.ends = now.saturating_add_signed((end as i64 - wall as i64) * 1_000);
        is_redated |= !self.minutes.place(end);
        is_redated |= !self.hours.place(end.next_multiple_of(HOUR));
        self.redated += u32::from(is_redated);
    }

    /// Goes on counting what was saved of the slots that run now. The minute is part of the hour.
    fn go_on(&mut self, end: u64) {
        let minute = self.minutes.take_unfinished(end);
        let hour = self.hours.take_unfinished(end.next_multiple_of(HOUR));
        let counts = self.minute.counts.iter_mut().zip(&mut self.hour.counts);
        for ((in_minute, in_hour), (minute, hour)) in counts.zip(minute.into_iter().zip(hour)) {
            *in_minute = in_minute.saturating_add(minute);
            *in_hour = in_hour.saturating_add(hour.saturating_sub(minute));
        }
    }

    fn end_minute(&mut self) {
        let slot = self.minute.slot(self.clients.count(OF_MINUTE));
        self.minutes.push(slot);
        self.hour.latencies.add(&self.minute.latencies);
        for (sum, count) in self.hour.counts.iter_mut().zip(slot.counts) {
            *sum = sum.saturating_add(count);
        }
        self.minute = RunningSlot::NOTHING;
        self.clients.reset_set(OF_MINUTE);
        self.minutes_of_hour += 1;
        let is_hour = match self.end {
            Some(end) => end.is_multiple_of(HOUR),
            None => self.minutes_of_hour == HOUR / MINUTE,
        };
        if is_hour {
            self.hours.push(self.hour.slot(self.clients.count(OF_HOUR)));
            self.hour = RunningSlot::NOTHING;
            self.clients.reset_set(OF_HOUR);
            self.minutes_of_hour = 0;
        }
        self.ends += MINUTE * 1_000;
        self.end = self.end.map(|end| end + MINUTE);
    }

    /// The running hour with all of its minutes.
    fn running_hour(&self) -> SeriesSlot {
        let mut all = self.hour.clone();
        all.latencies.add(&self.minute.latencies);
        for (sum, count) in all.counts.iter_mut().zip(self.minute.counts) {
            *sum = sum.saturating_add(count);
        }
        all.slot(self.clients.count(OF_HOUR))
    }

    /// The slot of a period: number 0 is the oldest, the last one is running.
    pub(crate) fn slot(&self, period: SeriesPeriod, number: usize) -> SeriesSlot {
        let (track, running): (_, fn(&Series) -> SeriesSlot) = match period {
            SeriesPeriod::Hour | SeriesPeriod::Day => {
                (&self.minutes, |series| series.minute.slot(series.clients.count(OF_MINUTE)))
            }
            SeriesPeriod::Month => (&self.hours, Series::running_hour),
        };
        match (period.slots() - 1).saturating_sub(number).checked_sub(1) {
            None => running(self),
            Some(place) => track.slots.get(place).copied().unwrap_or_default(),
        }
    }

    /// When the running slot of a period ends, in seconds since 1970; `None` while there is no date.
    pub(crate) fn end(&self, period: SeriesPeriod) -> Option<u64> {
        self.end.map(|end| end.next_multiple_of(period.step()))
    }

    /// The slots that have ended and are known, with their ends, the oldest first: those that ended after
    /// `since`.
    pub(crate) fn ended(&self, period: SeriesPeriod, since: u64) -> impl Iterator<Item = (u64, SeriesSlot)> {
        let track = if period == SeriesPeriod::Month { &self.hours } else { &self.minutes };
        let end = self.end(period);
        let dated = move |(place, slot): (usize, &SeriesSlot)| {
            let end = end?.checked_sub((place as u64 + 1) * track.step)?;
            (slot.is_known && end > since).then_some((end, *slot))
        };
        track.slots.iter().enumerate().rev().filter_map(dated)
    }

    /// Takes a slot from a file. Before the first [`Series::tick`].
    pub(crate) fn load(&mut self, period: SeriesPeriod, end: u64, slot: SeriesSlot) {
        let track = if period == SeriesPeriod::Month { &mut self.hours } else { &mut self.minutes };
        track.load(end, slot);
    }

    /// Forgets what was loaded: the same follows, with the dates of another clock.
    pub(crate) fn load_anew(&mut self) {
        for track in [&mut self.minutes, &mut self.hours] {
            track.slots.fill(SeriesSlot::default());
            track.loaded = None;
        }
    }

    /// Steps of the clock that gave other dates to slots.
    pub(crate) fn redated(&self) -> u32 {
        self.redated
    }

    /// Slots that are known, the running ones among them.
    pub(crate) fn known(&self) -> usize {
        let tracks = [&self.minutes, &self.hours];
        tracks.iter().map(|track| 1 + track.slots.iter().filter(|slot| slot.is_known).count()).sum()
    }

    /// Forgets everything; the slots end when they would have.
    pub(crate) fn clear(&mut self) {
        for track in [&mut self.minutes, &mut self.hours] {
            track.slots.fill(SeriesSlot::default());
            (track.live, track.loaded) = (0, None);
        }
        (self.minute, self.hour) = (RunningSlot::NOTHING, RunningSlot::NOTHING);
        self.clients.reset();
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
