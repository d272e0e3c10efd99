//! One exchange in eight bytes, and the values that it is made of.
//!
//! ```text
//!  63       51 50     43 42     35 34          16 15      7 6      0
//! +-----------+---------+---------+--------------+---------+--------+
//! |   time    | outcome | latency |     name     | client  | shape  |
//! +-----------+---------+---------+--------------+---------+--------+
//!  13: ms since 8: see    8: class 19: reference  9: number 7: number
//!  the one      Code                in the store  in page   in page
//!  before, plus
//!  1,024
//! ```
//!
//! The shape is all that few messages differ in: type, kind, protocol, family, stream and identity. Shape and
//! client are numbers in a list that each page has of its own. With answers the name has 18 bits; the highest
//! one says what the four bytes after the record are: an IPv4 address, or the reference of an IPv6 address or
//! of a name. What does not fit is in words before the record, which bear the shape [`EXTENSION`]: a time that is further away, and an outcome that has no code.

use crate::sketch::latency;
use crate::time::Latency;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Its response may still come.
    Pending,
    /// NOERROR.
    Answered,
    /// A policy or a list kept the answer back.
    Blocked,
    /// NXDOMAIN.
    Nxdomain,
    /// SERVFAIL, REFUSED and the like.
    Error,
    /// No response within 60 s.
    Unanswered,
    /// The query had to be forgotten before its response could come.
    Unknown,
}

impl Status {
    /// All there are, by number.
    pub(crate) const ALL: [Status; 7] = [
        Status::Pending,
        Status::Answered,
        Status::Blocked,
        Status::Nxdomain,
        Status::Error,
        Status::Unanswered,
        Status::Unknown,
    ];

    /// The name in the API.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Answered => "answered",
            Status::Blocked => "blocked",
            Status::Nxdomain => "nxdomain",
            Status::Error => "error",
            Status::Unanswered => "unanswered",
            Status::Unknown => "unknown",
        }
    }

    /// The status of that name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.label().eq_ignore_ascii_case(name))
    }

    /// The status of a response with that rcode, which is not blocked.
    pub(crate) const fn of_rcode(rcode: Option<u16>) -> Status {
        match rcode {
            None | Some(0) => Status::Answered,
            Some(3) => Status::Nxdomain,
            Some(_) => Status::Error,
        }
    }
}

/// The facts about an exchange once it is over, or as long as it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) status: Status,
    /// The rcode: the response's, else the query's; `None` if the payload was left out.
    pub(crate) rcode: Option<u16>,
    /// The first extended DNS error; `None` if there is none.
    pub(crate) ede: Option<u16>,
    /// Whether there is a response.
    pub(crate) responded: bool,
}

/// An outcome in eight bits.
///
/// ```text
///   000 nnnnn   no response: pending, unanswered, unknown with rcode 0, then without
///   001 eeeee   NOERROR              the lower bits are the extended error plus 1, 0 if there is none
///   010 eeeee   NXDOMAIN
///   011 eeeee   SERVFAIL
///   100 eeeee   REFUSED
///   101 eeeee   NOERROR, blocked
///   110 eeeee   NXDOMAIN, blocked
///   111 nnnnn   further rcodes without an extended error, REMOVED, DETAILED
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u8);

/// Outcomes of the group 000.
const WITHOUT_RESPONSE: [(Status, Option<u16>); 6] = [
    (Status::Pending, Some(0)),
    (Status::Unanswered, Some(0)),
    (Status::Unknown, Some(0)),
    (Status::Pending, None),
    (Status::Unanswered, None),
    (Status::Unknown, None),
];

/// Outcomes of the groups 001 to 110.
const COMMON: [(Status, u16); 6] = [
    (Status::Answered, 0),
    (Status::Nxdomain, 3),
    (Status::Error, 2),
    (Status::Error, 5),
    (Status::Blocked, 0),
    (Status::Blocked, 3),
];

/// Outcomes of the group 111, from its first number on.
const FURTHER: [(Status, Option<u16>); 9] = [
    (Status::Answered, None),
    (Status::Error, Some(1)),
    (Status::Error, Some(4)),
    (Status::Blocked, Some(5)),
    (Status::Error, Some(6)),
    (Status::Error, Some(7)),
    (Status::Error, Some(8)),
    (Status::Error, Some(9)),
    (Status::Error, Some(10)),
];

const GROUP: u8 = 5;
const EDE_MASK: u8 = (1 << GROUP) - 1;
const FURTHER_GROUP: u8 = 7 << GROUP;

impl Code {
    /// A record that was replaced by a later one.
    pub(super) const REMOVED: Code = Code(FURTHER_GROUP | 30);
    /// The outcome is in an extension.
    pub(super) const DETAILED: Code = Code(FURTHER_GROUP | 31);

    /// The code of an outcome; [`Code::DETAILED`] if it has none.
    #[inline]
    pub(super) fn of(outcome: &Outcome) -> Code {
        let Outcome { status, rcode, ede, responded } = *outcome;
        let ede = match ede {
            None => Some(0),
            Some(number) if number < u16::from(EDE_MASK) => Some(number as u8 + 1),
            Some(_) => None,
        };
        let place = |place: Option<usize>| place.map(|place| place as u8); // at most 9
        let code = match (responded, ede) {
            (false, Some(0)) => place(WITHOUT_RESPONSE.iter().position(|row| *row == (status, rcode))),
            (true, Some(ede)) => {
                let common = place(COMMON.iter().position(|row| (row.0, Some(row.1)) == (status, rcode)));
                let further = || place(FURTHER.iter().position(|row| ede == 0 && *row == (status, rcode)));
                common
                    .map(|group| (group + 1) << GROUP | ede)
                    .or_else(|| further().map(|n| FURTHER_GROUP | n))
            }
            _ => None,
        };
        code.map_or(Code::DETAILED, Code)
    }

    /// The outcome; `None` if the record is removed, or the outcome stands elsewhere.
    #[inline]
    pub(super) fn outcome(self) -> Option<Outcome> {
        let low = self.0 & EDE_MASK;
        Some(match self.0 >> GROUP {
            0 => {
                let (status, rcode) = *WITHOUT_RESPONSE.get(usize::from(low))?;
                Outcome { status, rcode, ede: None, responded: false }
            }
            7 => {
                let (status, rcode) = *FURTHER.get(usize::from(low))?;
                Outcome { status, rcode, ede: None, responded: true }
            }
            group => {
                let (status, rcode) = *COMMON.get(usize::from(group) - 1)?;
                let ede = low.checked_sub(1).map(u16::from);
                Outcome { status, rcode: Some(rcode), ede, responded: true }
            }
        })
    }
}

/// One record, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

/// The shape of a word that is not a record.
pub(super) const EXTENSION: u8 = 0x7f;
/// Numbers of shapes in a page.
pub(super) const SHAPES_MAX: usize = EXTENSION as usize;
/// Numbers of clients in a page.
pub(super) const CLIENTS_MAX: usize = 1 << 9;
/// The offset added to the time, which may go back a little: responses that bring their query's time along.
const TIME_BIAS: i64 = 1024;
const TIME_MAX: i64 = (1 << 13) - 1;
const ADDRESS: u64 = 1 << 34;

impl Word {
    /// A record with the fields of the figure, each within its bits.
    #[inline]
    pub(super) fn new(shape: u8, client: u16, name: u32, delta: i64) -> Word {
        let time = (delta + TIME_BIAS) as u64;
        Word(u64::from(shape) | u64::from(client) << 7 | u64::from(name) << 16 | time << 51)
    }

    /// Whether a record has room for that many milliseconds.
    #[inline]
    pub(super) fn holds(delta: i64) -> bool {
        (0..=TIME_MAX).contains(&(delta + TIME_BIAS))
    }

    /// Number of the shape in the page.
    #[inline]
    pub(super) fn shape(self) -> u8 {
        self.0 as u8 & 0x7f
    }

    /// Number of the client in the page.
    #[inline]
    pub(super) fn client(self) -> u16 {
        (self.0 >> 7) as u16 & 0x1ff
    }

    /// Reference of the name; 0 if there is none. With answers its highest bit is [`Word::with_address`]'s.
    #[inline]
    pub(super) fn name(self) -> u32 {
        (self.0 >> 16) as u32 & 0x7_ffff
    }

    /// The record, whose answer is an IPv4 address if so said, and else a reference.
    #[inline]
    pub(super) fn with_address(self, is_address: bool) -> Word {
        Word(self.0 & !ADDRESS | if is_address { ADDRESS } else { 0 })
    }

    /// Whether the answer is an IPv4 address.
    #[inline]
    pub(super) fn has_address(self) -> bool {
        self.0 & ADDRESS != 0
    }

    /// Milliseconds since the record before.
    #[inline]
    pub(super) fn delta(self) -> i64 {
        (self.0 >> 51) as i64 - TIME_BIAS
    }

    /// Class of the latency.
    #[inline]
    pub(super) fn latency(self) -> LatencyClass {
        LatencyClass((self.0 >> 35) as u8)
    }

    /// Code of the outcome.
    #[inline]
    pub(super) fn code(self) -> Code {
        Code((self.0 >> 43) as u8)
    }

    /// The record with another outcome.
    #[inline]
    pub(super) fn with(self, code: Code, latency: LatencyClass) -> Word {
        Word(self.0 & !(0xffff << 35) | u64::from(latency.0) << 35 | u64::from(code.0) << 43)
    }
}

/// A word that is before a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// Milliseconds that are added to the record's.
    Time(i64),
    /// The outcome, and whether the record has no time.
    Detail(Outcome, bool),
}

impl Extension {
    /// ```text
    ///  63                           8  7 6      0
    /// |  milliseconds, signed        | 0 |  127   |
    /// | flags, 4 | status, 3 | ede, 16 | rcode, 16 | ... | 1 | 127 |
    /// ```
    pub(super) fn pack(self) -> Word {
        Word(match self {
            Extension::Time(delta) => (delta << 8) as u64 | u64::from(EXTENSION),
            Extension::Detail(outcome, timeless) => {
                let number = |number: Option<u16>| u64::from(number.unwrap_or(0));
                let flags = [outcome.rcode.is_some(), outcome.ede.is_some(), outcome.responded, timeless];
                let flags = flags.iter().fold(0, |all, flag| all << 1 | u64::from(*flag));
                let status = outcome.status as u64;
                flags << 48
                    | status << 44
                    | number(outcome.ede) << 24
                    | number(outcome.rcode) << 8
                    | 0x80
                    | u64::from(EXTENSION)
            }
        })
    }

    /// The extension in a word; `None` if it is a record.
    #[inline]
    pub(super) fn unpack(word: Word) -> Option<Extension> {
        if word.shape() != EXTENSION {
            return None;
        }
        if word.0 & 0x80 == 0 {
            return Some(Extension::Time(word.0 as i64 >> 8));
        }
        let flag = |bit: u32| word.0 >> (48 + bit) & 1 == 1;
        let status = Status::ALL.get((word.0 >> 44) as usize & 7).copied().unwrap_or(Status::Unknown);
        let outcome = Outcome {
            status,
            rcode: flag(3).then_some((word.0 >> 8) as u16),
            ede: flag(2).then_some((word.0 >> 24) as u16),
            responded: flag(1),
        };
        Some(Extension::Detail(outcome, flag(0)))
    }
}

/// A latency as the log keeps it: off by 6.3 % at most, from 8 microseconds on; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LatencyClass(pub(super) u8);

impl LatencyClass {
    /// No latency.
    pub(crate) const NONE: LatencyClass = LatencyClass(0);

    /// The class of a latency.
    #[inline]
    pub(crate) fn of(latency: Option<Latency>) -> LatencyClass {
        latency.map_or(LatencyClass::NONE, |latency| {
            LatencyClass((latency::bucket(latency.microseconds() as u32) + 1) as u8) // at most 191
        })
    }

    /// Microseconds in the middle of the class; `None` if there is no latency.
    pub(crate) fn microseconds(self) -> Option<u64> {
        self.0.checked_sub(1).map(|bucket| latency::middle(usize::from(bucket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        let number = || prop_oneof![Just(None), (0u16..35).prop_map(Some), any::<u16>().prop_map(Some)];
        (0..7usize, number(), number(), any::<bool>()).prop_map(|(status, rcode, ede, responded)| Outcome {
            status: Status::ALL[status],
            rcode,
            ede,
            responded,
        })
    }

    proptest! {
        #[test]
        fn an_outcome_is_its_code_or_a_detail(outcome in outcome(), timeless: bool) {
            match Code::of(&outcome) {
                Code::DETAILED => {
                    let word = Extension::Detail(outcome, timeless).pack();
                    prop_assert_eq!(Extension::unpack(word), Some(Extension::Detail(outcome, timeless)));
                }
                code => prop_assert_eq!(code.outcome(), Some(outcome)),
            }
        }

        #[test]
        fn a_word_gives_back_what_it_was_made_of(
            shape in 0..EXTENSION, client in 0..CLIENTS_MAX as u16, name in 0..1u32 << 19,
            delta in -1024i64..7168, code: u8, latency: u8,
        ) {
            let word = Word::new(shape, client, name, delta).with(Code(code), LatencyClass(latency));
            prop_assert!(Word::holds(delta) && !Word::holds(delta + 8192) && !Word::holds(delta - 8192));
            prop_assert_eq!((word.shape(), word.client(), word.name()), (shape, client, name));
            prop_assert_eq!((word.delta(), word.code(), word.latency()), (delta, Code(code), LatencyClass(latency)));
            prop_assert_eq!(Extension::unpack(word), None);
            let time = delta.wrapping_mul(1 << 40) >> 8;
            prop_assert_eq!(Extension::unpack(Extension::Time(time).pack()), Some(Extension::Time(time)));
        }
    }

    #[test]
    fn every_code_is_its_outcomes() {
        for code in (0..=255).map(Code) {
            if let Some(outcome) = code.outcome() {
                assert_eq!(Code::of(&outcome), code, "{outcome:?}");
            }
        }
        assert_eq!([Code::REMOVED.outcome(), Code::DETAILED.outcome()], [None, None]);
    }

    #[test]
    fn latencies_are_within_their_class() {
        let zero = crate::time::Time::new(0, 0).unwrap();
        for microseconds in (0..200_000u64).chain((200_000..60_000_000).step_by(9973)).chain([60_000_000]) {
            let end =
                crate::time::Time::new(microseconds / 1_000_000, (microseconds % 1_000_000) as u32 * 1000);
            let kept = LatencyClass::of(Latency::between(zero, end.unwrap())).microseconds().unwrap();
            assert!(kept.abs_diff(microseconds) * 1000 <= microseconds * 63, "{microseconds}: {kept}");
        }
        assert_eq!(LatencyClass::of(None).microseconds(), None);
    }

    #[test]
    fn statuses_have_names() {
        for status in Status::ALL {
            assert_eq!(Status::parse(&status.label().to_uppercase()), Some(status));
        }
        assert_eq!(Status::parse("late"), None);
    }
}
