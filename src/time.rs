//! Moments and durations, and how they are written.
//!
//! All times are the messages' own, in UTC. Waits and deadlines do not use them: they run on the monotonic
//! clock, for a router boots in 1970.

use core::fmt;
use std::time::SystemTime;

use crate::decimal::{Ascii, pair, write_millionths, write_padded, write_thousandths};

/// A moment in UTC, from the year 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970; `seconds <= SECONDS_MAX`.
    pub seconds: u64,
    /// `nanoseconds < 1_000_000_000`.
    pub(crate) nanoseconds: u32,
}

/// Last second of the year 9999: later ones have no ISO 8601 form of fixed width.
const SECONDS_MAX: u64 = 253_402_300_799;
const NANOSECONDS: u64 = 1_000_000_000;

impl Time {
    /// A moment; `None` if the fraction is a whole second or more, or the year has five digits.
    pub fn new(seconds: u64, nanoseconds: u32) -> Option<Self> {
        (seconds <= SECONDS_MAX && u64::from(nanoseconds) < NANOSECONDS)
            .then_some(Time { seconds, nanoseconds })
    }

    /// The moment it is now; the year 1970 while the clock is not set.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Time { seconds: since.as_secs().min(SECONDS_MAX), nanoseconds: since.subsec_nanos() }
    }

    /// Nanoseconds since 1970; fits, as `SECONDS_MAX` is below 2^38.
    fn nanoseconds_total(self) -> i128 {
        i128::from(self.seconds) * i128::from(NANOSECONDS) + i128::from(self.nanoseconds)
    }
}

/// Time between a query and its response, at most 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Latency(u64);

impl Latency {
    /// Longest latency in nanoseconds: what took longer is not the same exchange.
    const MAX: i128 = 60 * NANOSECONDS as i128;

    /// From `asked` to `answered`; absent when negative or over 60 s.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn between(asked: Time, answered: Time) -> Option<Self> {
        let nanoseconds = answered.nanoseconds_total() - asked.nanoseconds_total();
        (0..=Self::MAX)
            .contains(&nanoseconds)
            .then(|| Latency(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    }

    /// Nanoseconds.
    pub(crate) fn nanoseconds(self) -> u64 {
        self.0
    }

    /// Microseconds, rounded to the nearest.
    pub(crate) fn microseconds(self) -> u64 {
        (self.0 + 500) / 1_000
    }

    /// Milliseconds, rounded to the nearest.
    pub(crate) fn milliseconds(self) -> u64 {
        (self.0 + 500_000) / 1_000_000
    }
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// 1970 and later.
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
}

impl Date {
    /// The day that is `days` after 1970-01-01, counted in eras of 400 years that begin on a 1 March.
    pub(crate) fn from_days(days: u64) -> Self {
        let days = days + 719_468; // from 0000-03-01
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Date { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
    }
}

/// Bytes of `YYYY-MM-DDTHH:MM:SS`.
const DATE_TIME_BYTES: usize = 19;

/// `YYYY-MM-DD`, `between`, `HH:MM:SS`.
fn date_time(time: Time, between: u8) -> [u8; DATE_TIME_BYTES] {
    let date = Date::from_days(time.seconds / 86_400);
    let second = time.seconds % 86_400;
    let ([y3, y2], [y1, y0]) = (pair(date.year / 100), pair(date.year));
    let ([n1, n0], [d1, d0]) = (pair(date.month), pair(date.day));
    let ([h1, h0], [m1, m0], [s1, s0]) = (pair(second / 3_600), pair(second / 60 % 60), pair(second % 60));
    [y3, y2, y1, y0, b'-', n1, n0, b'-', d1, d0, between, h1, h0, b':', m1, m0, b':', s1, s0]
}

/// Bytes of `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`.
pub(crate) const TIMESTAMP_BYTES: usize = 32;

/// Makes timestamps, and remembers the text of the second: most messages are of the same as the one before.
#[derive(Debug)]
pub(crate) struct TimestampText {
    seconds: u64,
    date_time: [u8; DATE_TIME_BYTES],
}

impl Default for TimestampText {
    fn default() -> Self {
        TimestampText { seconds: 0, date_time: date_time(Time { seconds: 0, nanoseconds: 0 }, b'T') }
    }
}

impl TimestampText {
    /// `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`; the fraction is cut, not rounded.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn of(&mut self, time: Time) -> [u8; TIMESTAMP_BYTES] {
        if time.seconds != self.seconds {
            *self = TimestampText { seconds: time.seconds, date_time: date_time(time, b'T') };
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] = self.date_time;
        let microseconds = u64::from(time.nanoseconds / 1_000);
        let ([t, u], [v, w], [x, y]) =
            (pair(microseconds / 10_000), pair(microseconds / 100), pair(microseconds));
        [
            a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, b'.', t, u, v, w, x, y, b'+', b'0',
            b'0', b':', b'0', b'0',
        ]
    }
}

/// Writes `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`; the fraction is cut, not rounded.
///
/// # Errors
///
/// When there is no room.
pub(crate) fn write_timestamp(out: &mut impl Ascii, time: Time) -> fmt::Result {
    out.write_ascii(&TimestampText::default().of(time))
}

/// Writes `YYYY-MM-DDTHH:MM:SS.mmmZ`; the fraction is cut, not rounded.
///
/// # Errors
///
/// When there is no room.
pub(crate) fn write_log_time(out: &mut impl Ascii, time: Time) -> fmt::Result {
    out.write_ascii(&date_time(time, b'T'))?;
    out.write_char('.')?;
    write_padded(out, u64::from(time.nanoseconds / 1_000_000), 3)?;
    out.write_char('Z')
}

/// Writes `YYYY-MM-DD HH:MM:SS,mmm`; the fraction is cut, not rounded.
///
/// # Errors
///
/// When there is no room.
pub(crate) fn write_comma_time(out: &mut impl Ascii, time: Time) -> fmt::Result {
    out.write_ascii(&date_time(time, b' '))?;
    out.write_char(',')?;
    write_padded(out, u64::from(time.nanoseconds / 1_000_000), 3)
}

/// Bytes of `Mmm dd HH:MM:SS`.
pub(crate) const MONTH_TIME_BYTES: usize = 15;

/// `Mmm dd HH:MM:SS` with a space before a day of one digit (RFC 3164, 4.1.2).
pub(crate) fn month_time(time: Time) -> [u8; MONTH_TIME_BYTES] {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let date = Date::from_days(time.seconds / 86_400);
    let [a, b, c] = *MONTHS.get(usize::try_from(date.month - 1).unwrap_or(0)).copied().unwrap_or(b"---");
    let [tens, ones] = pair(date.day);
    let tens = if tens == b'0' { b' ' } else { tens };
    let [.., h1, h0, _, m1, m0, _, s1, s0] = date_time(time, b'T');
    [a, b, c, b' ', tens, ones, b' ', h1, h0, b':', m1, m0, b':', s1, s0]
}

/// Writes a latency in seconds with three decimals, rounded.
pub(crate) fn write_seconds(out: &mut impl Ascii, latency: Latency) -> fmt::Result {
    write_thousandths(out, latency.milliseconds())
}

/// Writes a latency in seconds with up to six decimals, rounded, without trailing zeros.
///
/// # Errors
///
/// When there is no room.
pub(crate) fn write_short_seconds(out: &mut impl Ascii, latency: Latency) -> fmt::Result {
    write_millionths(out, latency.microseconds())
}

/// Reads a time as RFC 3339 has it, such as `2020-09-16T18:51:53.591736+00:00`, in milliseconds since 1970; a
/// space may stand for the plus, which it does in a query that was not encoded.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let numbers = |text: &str, between: char| -> Option<[u64; 3]> {
        let mut parts = text.split(between);
        let mut next = || parts.next()?.parse::<u64>().ok();
        Some([next()?, next()?, next()?])
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(clock, ':')?);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let digits = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = rest.split_at_checked(digits.map_or(0, |digits| digits + 1))?;
    let fraction = fraction
        .bytes()
        .skip(1)
        .take(3)
        .zip([100, 10, 1])
        .map(|(digit, unit)| u64::from(digit - b'0') * unit);
    // The day of a date: as `Date::from_days`, the other way round.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-" | " "), offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if sign == "-" { -minutes } else { minutes }
        }
        _ => return None,
    };
    Some((seconds as i64 - offset * 60) * 1_000 + fraction.sum::<u64>() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_six_digits_cut() {
        let remembered = core::cell::RefCell::new(TimestampText::default());
        let check = |seconds, nanoseconds, expected: &str| {
            let mut out = String::new();
            write_timestamp(&mut out, Time { seconds, nanoseconds }).unwrap();
            assert_eq!(out, expected);
            assert_eq!(remembered.borrow_mut().of(Time { seconds, nanoseconds }), out.as_bytes());
            assert_eq!(remembered.borrow_mut().of(Time { seconds, nanoseconds }), out.as_bytes());
        };
        check(0, 0, "1970-01-01T00:00:00.000000+00:00");
        check(1_600_282_313, 591_736_999, "2020-09-16T18:51:53.591736+00:00");
        check(951_782_400, 1_000, "2000-02-29T00:00:00.000001+00:00");
        check(4_107_542_399, 999_999_999, "2100-02-28T23:59:59.999999+00:00");
        check(253_402_300_799, 0, "9999-12-31T23:59:59.000000+00:00");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in (0..4_200_000_000u64).step_by(86_399 * 7) {
            let mut text = String::new();
            write_timestamp(&mut text, Time { seconds, nanoseconds: 591_736_000 }).unwrap();
            assert_eq!(parse_time(&text), Some(seconds as i64 * 1_000 + 591), "{text}");
        }
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_time("1970-01-01T00:00:00.5 00:00"), Some(500));
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some(0));
        for text in [
            "",
            "1970-01-01",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.",
            "-5",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = Date::from_days(0);
        for days in 1..200_000 {
            let date = Date::from_days(days);
            let next_day = (date.year, date.month, date.day) == (before.year, before.month, before.day + 1);
            let first = date.day == 1 && (28..=31).contains(&before.day);
            assert!(next_day || first, "{before:?} {date:?}");
            before = date;
        }
    }

    #[test]
    fn latency_is_within_a_minute() {
        let at = |seconds, nanoseconds| Time { seconds, nanoseconds };
        assert_eq!(Latency::between(at(10, 0), at(10, 0)).map(Latency::nanoseconds), Some(0));
        assert_eq!(Latency::between(at(9, 999_999_999), at(10, 1)).map(Latency::nanoseconds), Some(2));
        assert_eq!(Latency::between(at(10, 1), at(10, 0)), None);
        assert!(Latency::between(at(10, 0), at(70, 0)).is_some());
        assert_eq!(Latency::between(at(10, 0), at(70, 1)), None);
    }

    #[test]
    fn times_without_an_iso_form_are_absent() {
        assert_eq!(Time::new(5, 1_000_000_000), None);
        assert!(Time::new(SECONDS_MAX, 999_999_999).is_some());
        assert_eq!(Time::new(SECONDS_MAX + 1, 0), None);
    }

    #[test]
    fn latencies_are_rounded() {
        let check = |nanoseconds: u64, text: &str, json: &str| {
            let answered = Time {
                seconds: nanoseconds / 1_000_000_000,
                nanoseconds: (nanoseconds % 1_000_000_000) as u32,
            };
            let latency = Latency::between(Time { seconds: 0, nanoseconds: 0 }, answered).unwrap();
            let (mut long, mut short) = (String::new(), String::new());
            write_seconds(&mut long, latency).unwrap();
            write_short_seconds(&mut short, latency).unwrap();
            assert_eq!((long.as_str(), short.as_str()), (text, json));
        };
        check(0, "0.000", "0");
        check(48_000_000, "0.048", "0.048");
        check(2_000_000_000, "2.000", "2");
        check(1_234_567, "0.001", "0.001235");
        check(999_999_999, "1.000", "1");
        check(60_000_000_000, "60.000", "60");
    }
}
