//! The time zone of the machine, for the one format that means local time (RFC 3164).
//!
//! It is looked for where programs look: in the variable `TZ`, in `/etc/TZ` (OpenWrt), in `/etc/localtime`; a
//! machine that has none is in UTC. `TZ` is a rule, or the name of a file below `/usr/share/zoneinfo`. No C
//! library is asked: a static program has none that knows zones.
//!
//! ```text
//! CET-1CEST,M3.5.0,M10.5.0/3     POSIX, 8.3: an hour east of Greenwich; two from the last Sunday of March, 02:00, to the
//!                                last Sunday of October, 03:00
//! TZif ...                       RFC 9636: moments at which the offset changes, and such a rule for what comes after them
//! ```
//!
//! Only changes since 2000 are kept, at most [`CHANGES_MAX`] of them; what a file says of leap seconds is
//! passed over.

use std::env;
use std::path::{Path, PathBuf};

use crate::sys::files::read_whole;
use crate::time::{Date, Time};
use crate::wire::cursor::Cursor;

/// The offsets of a zone from UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Zone {
    /// Before the first change, in seconds.
    first: i64,
    /// Moments and the offsets from then on, in rising order.
    changes: Vec<(i64, i64)>,
    /// For what comes after the last change.
    rule: Option<ZoneRule>,
}

/// The offsets of a zone, year after year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ZoneRule {
    standard: i64,
    /// Offset in summer, and when it begins and ends.
    summer: Option<(i64, YearDay, YearDay)>,
}

/// A day of each year, and seconds after its local midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct YearDay {
    day: DayRule,
    seconds: i64,
}

/// Which day of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayRule {
    /// `Jn`: 1 to 365, 29 February is never counted.
    WithoutLeapDay(i64),
    /// `n`: 0 to 365.
    WithLeapDay(i64),
    /// `Mm.w.d`: a weekday of a month, the last one for week 5.
    Weekday { month: i64, week: i64, weekday: i64 },
}

impl Zone {
    /// That of this machine.
    pub(crate) fn of_machine() -> Zone {
        let rules = |path: &str| read_whole(Path::new(path), FILE_MAX).ok();
        let written = env::var("TZ").ok().filter(|text| !text.is_empty());
        let found = match written {
            Some(text) => Zone::named(&text),
            None => rules("/etc/TZ")
                .and_then(|bytes| Zone::of_rule(String::from_utf8(bytes).ok()?.trim()))
                .or_else(|| Zone::of_file(&rules("/etc/localtime")?)),
        };
        found.unwrap_or_default()
    }

    /// That of a value of `TZ`.
    fn named(text: &str) -> Option<Zone> {
        let name = text.strip_prefix(':').unwrap_or(text);
        Zone::of_rule(name).or_else(|| {
            let path = PathBuf::from("/usr/share/zoneinfo").join(name);
            Zone::of_file(&read_whole(&path, FILE_MAX).ok()?)
        })
    }

    /// That of a rule as POSIX has it.
    fn of_rule(text: &str) -> Option<Zone> {
        let rule = ZoneRule::parse(text)?;
        Some(Zone { first: rule.standard, changes: Vec::new(), rule: Some(rule) })
    }

    /// That of a file (RFC 9636, 3).
    fn of_file(bytes: &[u8]) -> Option<Zone> {
        let mut cursor = Cursor::new(bytes);
        let old = TzifHeader::parse(&mut cursor)?;
        if old.version == 0 {
            return old.read(&mut cursor, 4);
        }
        // The same once more, in 64 bits.
        cursor.take(old.bytes(4)?)?;
        let mut zone = TzifHeader::parse(&mut cursor)?.read(&mut cursor, 8)?;
        let footer = core::str::from_utf8(cursor.rest()).ok()?.trim_matches('\n');
        zone.rule = ZoneRule::parse(footer);
        if let (Some(rule), true) = (zone.rule, zone.changes.is_empty()) {
            zone.first = rule.standard;
        }
        Some(zone)
    }

    /// The local time at a moment, as if it were UTC.
    pub(crate) fn local(&self, time: Time) -> Time {
        let seconds = i64::try_from(time.seconds).unwrap_or(i64::MAX);
        let local = u64::try_from(seconds.saturating_add(self.offset(seconds))).unwrap_or(0);
        Time::new(local, time.nanoseconds).unwrap_or(time)
    }

    /// Seconds east of Greenwich at a moment.
    fn offset(&self, seconds: i64) -> i64 {
        let after = self.changes.partition_point(|(moment, _)| *moment <= seconds);
        match self.rule {
            Some(rule) if after == self.changes.len() => rule.offset(seconds),
            _ => {
                after.checked_sub(1).and_then(|at| self.changes.get(at)).map_or(self.first, |change| change.1)
            }
        }
    }
}

/// The counts before the data of a file.
struct TzifHeader {
    version: u8,
    /// Of UT indicators, standard indicators, leap seconds, changes, types, characters.
    counts: [usize; 6],
}

impl TzifHeader {
    fn parse(cursor: &mut Cursor<'_>) -> Option<TzifHeader> {
        let [b'T', b'Z', b'i', b'f', version] = cursor.array()? else { return None };
        cursor.take(15)?;
        let mut counts = [0; 6];
        for count in &mut counts {
            *count = usize::try_from(cursor.u32()?).ok().filter(|count| *count <= FILE_MAX as usize)?;
        }
        Some(TzifHeader { version, counts })
    }

    /// Bytes of the data, with moments of that many.
    fn bytes(&self, moment: usize) -> Option<usize> {
        let [ut, standard, leaps, changes, types, characters] = self.counts;
        Some(changes * (moment + 1) + types * 6 + characters + leaps * (moment + 4) + standard + ut)
    }

    /// The data, with moments of that many bytes.
    fn read(&self, cursor: &mut Cursor<'_>, moment: usize) -> Option<Zone> {
        let [.., changes, types, _] = self.counts;
        let mut data = Cursor::new(cursor.take(self.bytes(moment)?)?);
        let mut moments = Cursor::new(data.take(changes * moment)?);
        let kinds = data.take(changes)?;
        let types = data.take(types * 6)?;
        let offset_of = |kind: u8| {
            let mut entry = Cursor::new(types.get(usize::from(kind) * 6..)?);
            Some(i64::from(entry.u32()? as i32))
        };
        let mut zone = Zone { first: offset_of(0)?, ..Zone::default() };
        for kind in kinds {
            let at = if moment == 4 {
                i64::from(moments.u32()? as i32)
            } else {
                i64::from_be_bytes(moments.array()?)
            };
            let offset = offset_of(*kind)?;
            if at < SINCE {
                zone.first = offset;
            } else if zone.changes.len() < CHANGES_MAX {
                zone.changes.push((at, offset));
            }
        }
        Some(zone)
    }
}

impl ZoneRule {
    /// Reads a rule; `None` if it is none.
    fn parse(text: &str) -> Option<ZoneRule> {
        let (standard, rest) = named_offset(text)?;
        let standard = standard?;
        if rest.is_empty() {
            return Some(ZoneRule { standard, summer: None });
        }
        let (offset, rest) = named_offset(rest)?;
        // Nobody says when: as in the United States, as other programs take it.
        let days = if rest.is_empty() { ",M3.2.0,M11.1.0" } else { rest };
        let (start, end) = days.strip_prefix(',')?.split_once(',')?;
        let summer = (offset.unwrap_or(standard + 3_600), YearDay::parse(start)?, YearDay::parse(end)?);
        Some(ZoneRule { standard, summer: Some(summer) })
    }

    fn offset(&self, seconds: i64) -> i64 {
        let Some((summer, start, end)) = self.summer else { return self.standard };
        let local_days = (seconds + self.standard).div_euclid(DAY);
        let year = Date::from_days(u64::try_from(local_days).unwrap_or(0)).year;
        let year = i64::try_from(year).unwrap_or(i64::MAX);
        let start = start.moment(year) - self.standard;
        let end = end.moment(year) - summer;
        let is_summer =
            if start < end { (start..end).contains(&seconds) } else { !(end..start).contains(&seconds) };
        if is_summer { summer } else { self.standard }
    }
}

/// A zone's short name, `CET` or `<+03>`, and the offset that follows it, if any; what is after them.
fn named_offset(text: &str) -> Option<(Option<i64>, &str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => text.split_at(text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len())),
    };
    if name.len() < 3 {
        return None;
    }
    let end = rest.find(',').unwrap_or(rest.len());
    let end =
        rest.get(..end)?.find(|letter: char| letter.is_ascii_alphabetic() || letter == '<').unwrap_or(end);
    let (offset, rest) = rest.split_at(end);
    if offset.is_empty() {
        return Some((None, rest));
    }
    // What POSIX counts west of Greenwich.
    Some((Some(-clock(offset)?), rest))
}

/// `[+-]hh[:mm[:ss]]` in seconds.
fn clock(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    for (at, part) in digits.split(':').enumerate() {
        let unit = [3_600, 60, 1].get(at)?;
        seconds += unit * i64::from(part.parse::<u8>().ok().filter(|number| at == 0 || *number < 60)?);
    }
    (seconds <= 167 * 3_600).then_some(sign * seconds)
}

impl YearDay {
    fn parse(text: &str) -> Option<YearDay> {
        let (day, seconds) = match text.split_once('/') {
            Some((day, time)) => (day, clock(time)?),
            None => (text, 2 * 3_600),
        };
        let within = |text: &str, range: core::ops::RangeInclusive<i64>| {
            text.parse().ok().filter(|number| range.contains(number))
        };
        let day = if let Some(weekday) = day.strip_prefix('M') {
            let (month, rest) = weekday.split_once('.')?;
            let (week, weekday) = rest.split_once('.')?;
            DayRule::Weekday {
                month: within(month, 1..=12)?,
                week: within(week, 1..=5)?,
                weekday: within(weekday, 0..=6)?,
            }
        } else if let Some(day) = day.strip_prefix('J') {
            DayRule::WithoutLeapDay(within(day, 1..=365)?)
        } else {
            DayRule::WithLeapDay(within(day, 0..=365)?)
        };
        Some(YearDay { day, seconds })
    }

    /// The moment in a year, as local time.
    fn moment(self, year: i64) -> i64 {
        let january = days_to(year, 1);
        let is_leap = days_to(year + 1, 1) - january == 366;
        let day = match self.day {
            DayRule::WithLeapDay(day) => january + day,
            DayRule::WithoutLeapDay(day) => january + day - 1 + i64::from(is_leap && day >= 60),
            DayRule::Weekday { month, week, weekday } => {
                let first = days_to(year, month);
                let next = if month == 12 { days_to(year + 1, 1) } else { days_to(year, month + 1) };
                // 1970 began on a Thursday.
                let wanted = first + (weekday - (first + 4)).rem_euclid(7) + 7 * (week - 1);
                if wanted < next { wanted } else { wanted - 7 }
            }
        };
        day * DAY + self.seconds
    }
}

/// Days from 1970-01-01 to the first of a month.
fn days_to(year: i64, month: i64) -> i64 {
    // Years that begin in March, so that the leap day is the last one.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5
        - 719_468
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Changes before 2000-01-01 are one.
const SINCE: i64 = 946_684_800;

/// Changes at most; zones with a rule have some tens.
const CHANGES_MAX: usize = 256;

/// The longest file of a zone, in bytes.
const FILE_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &Zone, moments: &[(i64, i64)]) {
        for (seconds, offset) in moments {
            assert_eq!(zone.offset(*seconds), *offset, "{seconds} in {zone:?}");
        }
    }

    /// By `TZ=... date -d @SECONDS +%z`.
    #[test]
    fn rules_are_those_of_posix() {
        let berlin = Zone::of_rule("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
        check(&berlin, &[(1_774_745_999, 3_600), (1_774_746_000, 7_200)]);
        check(&berlin, &[(1_792_889_999, 7_200), (1_792_890_000, 3_600)]);
        let sydney = Zone::of_rule("AEST-10AEDT,M10.1.0,M4.1.0/3").unwrap();
        // 2026-04-04 16:00 UTC and 2026-10-03 16:00 UTC.
        check(&sydney, &[(1_775_318_399, 39_600), (1_775_318_400, 36_000)]);
        check(&sydney, &[(1_791_043_199, 36_000), (1_791_043_200, 39_600)]);
        check(&Zone::of_rule("<+0545>-5:45").unwrap(), &[(0, 20_700), (1_774_746_000, 20_700)]);
        check(&Zone::of_rule("EST5").unwrap(), &[(0, -18_000)]);
        check(&Zone::of_rule("UTC0").unwrap(), &[(0, 0)]);
        for none in
            ["", "CE-1", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "Europe/Berlin", "<+03", "CET"]
        {
            assert_eq!(Zone::of_rule(none), None, "{none}");
        }
    }

    /// A file of two types, a change in 1999, one in 2001, and a rule.
    #[test]
    fn files_are_those_of_the_rfc() {
        let mut file = Vec::new();
        for moment in [4usize, 8] {
            file.extend(b"TZif2");
            file.extend([0; 15]);
            for count in [0u32, 0, 0, 2, 2, 8] {
                file.extend(count.to_be_bytes());
            }
            for at in [915_148_800i64, 978_307_200] {
                file.extend(&at.to_be_bytes()[8 - moment..]);
            }
            file.extend([1, 0]);
            for offset in [3_600i32, 7_200] {
                file.extend(offset.to_be_bytes());
                file.extend([0, 0]);
            }
            file.extend(b"ONE\0TWO\0");
        }
        let whole = [&file[..], b"\n<+01>-1\n"].concat();
        check(&Zone::of_file(&whole).unwrap(), &[(946_684_800, 7_200), (978_307_200, 3_600)]);
        let other = [&file[..], b"\nABC-3\n"].concat();
        check(&Zone::of_file(&other).unwrap(), &[(978_307_199, 7_200), (978_307_200, 10_800)]);
        for length in 0..file.len() {
            assert_eq!(Zone::of_file(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn local_time_is_written_as_if_it_were_utc() {
        let zone = Zone::of_rule("XXX5").unwrap();
        let time = Time::new(1_600_000_000, 5).unwrap();
        assert_eq!(zone.local(time), Time::new(1_599_982_000, 5).unwrap());
        assert_eq!(zone.local(Time::new(1, 0).unwrap()), Time::new(0, 0).unwrap());
        assert_eq!(Zone::default().local(time), time);
    }
}
