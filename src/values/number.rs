//! Numbers with a unit or a range.

use super::{Invalid, Value, deserialize};
use std::fmt;
use std::time::Duration;

/// A size in bytes from `MIN` to `MAX`: a number, or a string with K, M or G (1024-based, either case).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize<const MIN: u64 = 0, const MAX: u64 = { i64::MAX as u64 }>(u64);

impl<const MIN: u64, const MAX: u64> ByteSize<MIN, MAX> {
    /// A size known at compile time; brought into the range.
    pub(crate) const fn new(bytes: u64) -> Self {
        if bytes < MIN {
            return ByteSize(MIN);
        }
        if bytes > MAX {
            return ByteSize(MAX);
        }
        ByteSize(bytes)
    }

    /// The size; `MIN <= bytes <= MAX`.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The size of something kept in memory: `usize::MAX` when it does not fit.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The size, when it is in the range.
    fn checked(bytes: u64) -> Result<Self, Invalid> {
        if (MIN..=MAX).contains(&bytes) { Ok(ByteSize(bytes)) } else { Err(Invalid::Value) }
    }
}

impl<const MIN: u64, const MAX: u64> Value for ByteSize<MIN, MAX> {
    fn allowed() -> String {
        let form = "bytes as a number or with K, M, G (1024-based), such as \"256K\"";
        match (MIN, MAX == i64::MAX as u64) {
            (0, true) => form.to_owned(),
            (_, true) => format!("{form}, at least {}", ByteSize::<0>(MIN)),
            (_, false) => format!("{form}, {} to {}", ByteSize::<0>(MIN), ByteSize::<0>(MAX)),
        }
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'K' | b'k') => (text.get(..text.len() - 1), 1 << 10),
            Some(b'M' | b'm') => (text.get(..text.len() - 1), 1 << 20),
            Some(b'G' | b'g') => (text.get(..text.len() - 1), 1 << 30),
            _ => (Some(text), 1),
        };
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = digits.and_then(|digits| digits.parse().ok()).ok_or(Invalid::Value)?;
        Self::checked(number.checked_mul(unit).ok_or(Invalid::Value)?)
    }

    fn from_integer(integer: i64) -> Result<Self, Invalid> {
        Self::checked(u64::try_from(integer).map_err(|_| Invalid::Value)?)
    }
}

/// As short as it can be written in a file: `256K`, `10M`, `1000`.
impl<const MIN: u64, const MAX: u64> fmt::Display for ByteSize<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1u64 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        match units.iter().find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, letter)) => write!(f, "{}{letter}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de, const MIN: u64, const MAX: u64> serde::Deserialize<'de> for ByteSize<MIN, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read(deserializer)
    }
}

/// A count from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounded<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Bounded<MIN, MAX> {
    /// A count known at compile time; brought into the range.
    pub(crate) const fn new(count: u32) -> Self {
        if count < MIN {
            return Bounded(MIN);
        }
        if count > MAX {
            return Bounded(MAX);
        }
        Bounded(count)
    }

    /// The count; `MIN <= count <= MAX`.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Value for Bounded<MIN, MAX> {
    fn allowed() -> String {
        format!("a number, {MIN} to {MAX}")
    }

    fn from_integer(integer: i64) -> Result<Self, Invalid> {
        let count = u32::try_from(integer).map_err(|_| Invalid::Value)?;
        if (MIN..=MAX).contains(&count) { Ok(Bounded(count)) } else { Err(Invalid::Value) }
    }
}

impl<'de, const MIN: u32, const MAX: u32> serde::Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read(deserializer)
    }
}

/// A time in whole seconds, from one second to a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(u32);

impl Seconds {
    /// The longest time, in seconds: a year.
    pub(crate) const MAX: u32 = 365 * 86_400;

    /// A time known at compile time; zero becomes one second.
    pub(crate) const fn new(seconds: u32) -> Self {
        Seconds(if seconds == 0 { 1 } else { seconds })
    }

    /// The time; never zero.
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Value for Seconds {
    fn allowed() -> String {
        format!("whole seconds, 1 to {}", Seconds::MAX)
    }

    fn from_integer(integer: i64) -> Result<Self, Invalid> {
        match u32::try_from(integer) {
            Ok(seconds @ 1..=Seconds::MAX) => Ok(Seconds(seconds)),
            _ => Err(Invalid::Value),
        }
    }
}

/// A port from `MIN` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortNumber<const MIN: u16>(u16);

/// The port of a peer: 1 to 65535.
pub(crate) type Port = PortNumber<1>;

/// A port to listen on: 0 to 65535, where 0 lets the system choose a free one.
pub(crate) type ListenPort = PortNumber<0>;

impl<const MIN: u16> PortNumber<MIN> {
    /// A port known at compile time; brought into the range.
    pub(crate) const fn new(port: u16) -> Self {
        PortNumber(if port < MIN { MIN } else { port })
    }

    /// The port; `MIN <= port`.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl<const MIN: u16> Value for PortNumber<MIN> {
    fn allowed() -> String {
        let any = if MIN == 0 { " (0 = any free one)" } else { "" };
        format!("a port, {MIN} to 65535{any}")
    }

    fn from_integer(integer: i64) -> Result<Self, Invalid> {
        match u16::try_from(integer) {
            Ok(port) if port >= MIN => Ok(PortNumber(port)),
            _ => Err(Invalid::Value),
        }
    }
}

impl<'de, const MIN: u16> serde::Deserialize<'de> for PortNumber<MIN> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read(deserializer)
    }
}

deserialize!(Seconds);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_numbers_and_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(ByteSize::<0>::from_text(text).ok().map(ByteSize::get), expected, "{text:?}");
        };
        check("0", Some(0));
        check("1000", Some(1000));
        check("256K", Some(262_144));
        check("256k", Some(262_144));
        check("10M", Some(10_485_760));
        check("1g", Some(1_073_741_824));
        // i64::MAX is the most TOML writes; 8G of G is 2^63, one beyond.
        check("8589934591G", Some(9_223_372_035_781_033_984));
        check("8589934592G", None);
        check("18446744073709551615", None);
        for wrong in ["", "K", "-1", "+1", " 1", "1 K", "1.5M", "10MB", "0x10", "1T", "ß", "1é"] {
            check(wrong, None);
        }
        assert_eq!(ByteSize::<0>::from_integer(-1), Err(Invalid::Value));
    }

    #[test]
    fn bytes_keep_their_range() {
        type Queue = ByteSize<8192, 1_073_741_824>;
        assert_eq!(Queue::from_text("8191"), Err(Invalid::Value));
        assert_eq!(Queue::from_text("8K").map(ByteSize::get), Ok(8192));
        assert_eq!(Queue::from_integer(1_073_741_825), Err(Invalid::Value));
        assert_eq!((Queue::new(1).get(), Queue::new(u64::MAX).get()), (8192, 1_073_741_824));
    }

    /// Everything shown can be read again, and is the same.
    #[test]
    fn bytes_round_trip() {
        for bytes in [0, 1, 1000, 1023, 1024, 1025, 10 << 20, 3 << 30, (1 << 30) + 1024] {
            let size = ByteSize::<0>::new(bytes);
            assert_eq!(ByteSize::from_text(&size.to_string()), Ok(size));
        }
        assert_eq!(ByteSize::<0>::new(10 << 20).to_string(), "10M");
        assert_eq!(ByteSize::<0>::new(1025).to_string(), "1025");
    }

    #[test]
    fn ports_begin_where_they_may() {
        assert_eq!(Port::from_integer(0), Err(Invalid::Value));
        assert_eq!(ListenPort::from_integer(0).map(PortNumber::get), Ok(0));
        assert_eq!(Port::from_integer(65_535).map(PortNumber::get), Ok(65_535));
        assert_eq!(Port::from_integer(65_536), Err(Invalid::Value));
        assert_eq!(Port::from_integer(-1), Err(Invalid::Value));
        assert_eq!(Port::from_text("53"), Err(Invalid::Type));
    }

    #[test]
    fn seconds_are_never_zero() {
        assert_eq!(Seconds::from_integer(0), Err(Invalid::Value));
        assert_eq!(Seconds::from_integer(1).map(Seconds::duration), Ok(Duration::from_secs(1)));
        assert_eq!(Seconds::from_integer(31_536_001), Err(Invalid::Value));
    }
}
