//! The tables people look at: what is kept for whom, and counted how.
//!
//! The first streams have tables of their own, all others share one more set; the tables of all streams
//! together are merged from these when somebody asks, so a message is counted once. Rcodes and types need no
//! table, they are among the counters.

use super::Section;
use super::TableName;
use super::counter_name::{parse_rcode, parse_type};
use super::counters::Direction;
use super::descriptors::{DEVICES, KeyedTables};
use super::ranking::Table;
use super::tlds::TldCounts;
use crate::limits::Limits;
use crate::message::event::Event;
use crate::message::hashes::MessageHashes;
use crate::sketch::heavy_hitters::{ADDRESS_BYTES, HeavyHitters, NAME_BYTES};
use crate::sys::random::{SeededState, seeded_state};
use crate::values::{KeyError, nearest};
use crate::wire::iana::{Rcode, RrType};

/// All tables.
#[derive(Debug)]
pub(crate) struct Tables {
    /// One for each of the first streams, the last for the others.
    pub(crate) sets: Box<[StreamTables]>,
    /// The tables of domains in each set.
    tracked: Box<[TrackedTable]>,
    hasher: SeededState,
    window_ms: u64,
    /// Since numbers were halved.
    passed_ms: u64,
}

/// The tables of one stream, or of those without their own.
#[derive(Debug)]
pub(crate) struct StreamTables {
    /// Top-level domains.
    pub(crate) tlds: TldCounts,
    /// Names, in the order of what is tracked.
    pub(crate) domains: Box<[HeavyHitters<1>]>,
    /// Query addresses, by messages and bytes.
    pub(crate) clients: HeavyHitters<2>,
    /// Those of the list with memory of their own.
    pub(crate) keyed: KeyedTables,
}

/// A table of domains: whose it is, and what it counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackedTable {
    flag: String,
    direction: Direction,
    by: CountedBy,
}

/// The subject of a table of domains.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CountedBy {
    /// Messages.
    Hit,
    /// Bytes of DNS payload.
    Length,
    /// Messages with an rcode.
    Rcode(Rcode),
    /// Messages with a question type.
    Type(RrType),
}

/// Tables of domains at most: some 4 MB by default.
pub(crate) const TRACKED_MAX: usize = 64;

impl TrackedTable {
    /// Takes a flag, such as `nxdomain/response`; `None` for one that counts nothing.
    pub(crate) fn parse(flag: &str) -> Option<Self> {
        let (direction, by) = TrackedTable::read(flag)?;
        Some(TrackedTable { flag: flag.to_owned(), direction, by })
    }

    /// Whether a flag means this table, in whichever spelling.
    pub(crate) fn is_meant(&self, flag: &str) -> bool {
        TrackedTable::read(flag) == Some((self.direction, self.by))
    }

    fn read(flag: &str) -> Option<(Direction, CountedBy)> {
        let (what, direction) = flag.rsplit_once('/')?;
        let direction = Direction::parse(direction)?;
        let by = match what {
            "hit" => CountedBy::Hit,
            "length" => CountedBy::Length,
            _ => {
                let rcode = || parse_rcode(what).map(CountedBy::Rcode);
                rcode().or_else(|| parse_type(what).map(CountedBy::Type))?
            }
        };
        Some((direction, by))
    }

    /// The tables that a configuration asks for, each once; those of `default-top` first.
    ///
    /// # Errors
    ///
    /// A flag that counts nothing, or too many of them.
    pub(crate) fn of(section: &Section) -> Result<Vec<Self>, KeyError> {
        let mut tracked: Vec<TrackedTable> = Vec::new();
        for (key, flags) in [("default-top", &section.default_top), ("track", &section.track)] {
            for flag in flags {
                // No table of domains; it is put together when somebody asks.
                if flag.as_str() == DEVICES.flag {
                    continue;
                }
                let table = TrackedTable::parse(flag.as_str()).ok_or_else(|| unknown(key, flag))?;
                if !tracked.iter().any(|known| known.is_meant(flag.as_str())) {
                    tracked.push(table);
                }
            }
            if tracked.len() > TRACKED_MAX {
                return Err(KeyError::new(key, format!("too many tables; allowed: {TRACKED_MAX} in all")));
            }
        }
        Ok(tracked)
    }

    /// The flag.
    pub(crate) fn flag(&self) -> &str {
        &self.flag
    }

    /// How much a message counts; 0 = not at all.
    #[inline]
    fn amount(&self, event: &Event<'_>, direction: Direction) -> u64 {
        if self.direction != direction {
            return 0;
        }
        match self.by {
            CountedBy::Hit => 1,
            CountedBy::Length => u64::from(event.length),
            CountedBy::Rcode(rcode) => u64::from(event.dns.rcode == Some(rcode)),
            CountedBy::Type(rrtype) => {
                u64::from(event.dns.question.as_ref().and_then(|question| question.qtype) == Some(rrtype))
            }
        }
    }
}

fn unknown(key: &'static str, flag: &TableName) -> KeyError {
    let flag = flag.as_str();
    let meant = meant(flag).map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default();
    let text = format!(
        "`{flag}` counts nothing{meant}; allowed: `hit`, `length`, an rcode or a type in lower case, and `/query` or `/response`"
    );
    KeyError::new(key, text)
}

/// The flag of a table that was probably meant by one of none.
fn meant(flag: &str) -> Option<String> {
    let (what, direction) = flag.rsplit_once('/')?;
    let mnemonics = Rcode::KNOWN.iter().chain(RrType::KNOWN).map(|(_, mnemonic)| *mnemonic);
    let what = nearest(what, ["hit", "length"].into_iter().chain(mnemonics))?.to_ascii_lowercase();
    Some(format!("{what}/{direction}"))
}

impl StreamTables {
    fn new(limits: &Limits, tracked: usize, lowercase: bool, looks_up_places: bool) -> Self {
        let domains = || HeavyHitters::new(limits.top_names, NAME_BYTES).in_lower_case(lowercase);
        StreamTables {
            tlds: TldCounts::new(),
            domains: (0..tracked).map(|_| domains()).collect(),
            clients: HeavyHitters::new(limits.top_clients, ADDRESS_BYTES),
            keyed: KeyedTables::new(looks_up_places),
        }
    }

    /// Empties the open tables.
    fn reset_open(&mut self) {
        let (tables, clients) = self.open();
        tables.for_each(HeavyHitters::reset);
        clients.reset();
    }

    /// All open tables.
    fn open(&mut self) -> (impl Iterator<Item = &mut HeavyHitters<1>>, &mut HeavyHitters<2>) {
        (self.domains.iter_mut().chain(self.keyed.iter_mut()), &mut self.clients)
    }
}

impl Tables {
    /// Empty tables; some are kept only where clients are looked up.
    pub(crate) fn new(limits: &Limits, section: &Section, looks_up_places: bool) -> Self {
        let tracked = TrackedTable::of(section).unwrap_or_default();
        let set = |_| StreamTables::new(limits, tracked.len(), section.qname_lowercase, looks_up_places);
        Tables {
            sets: (0..sets(limits)).map(set).collect(),
            tracked: tracked.into(),
            hasher: seeded_state(),
            window_ms: u64::from(section.window.get()) * 1_000,
            passed_ms: 0,
        }
    }

    /// Bytes of the sets with that many tables of domains, and how many sets there are.
    pub(crate) fn cost(limits: &Limits, tracked: usize, looks_up_places: bool) -> (usize, usize) {
        let domains = tracked * HeavyHitters::<1>::cost(limits.top_names, NAME_BYTES);
        let clients = HeavyHitters::<2>::cost(limits.top_clients, ADDRESS_BYTES);
        let keyed = KeyedTables::cost(looks_up_places);
        (sets(limits) * (TldCounts::COST + domains + clients + keyed), sets(limits))
    }

    /// The tables of domains that are tracked.
    pub(crate) fn tracked(&self) -> &[TrackedTable] {
        &self.tracked
    }

    /// Names that lost their place to others, in all tables.
    pub(crate) fn evicted_domains(&self) -> u64 {
        self.sets.iter().flat_map(|set| &set.domains).map(HeavyHitters::evicted).sum()
    }

    /// Clients that lost their place to others.
    pub(crate) fn evicted_clients(&self) -> u64 {
        self.sets.iter().map(|set| set.clients.evicted()).sum()
    }

    /// Whether a table is kept.
    pub(crate) fn keeps(&self, table: Table) -> bool {
        let Table::Keyed(direction, keyed) = table else { return true };
        self.sets.iter().any(|set| set.keyed.get(keyed, direction).is_some())
    }

    /// Counts a message of the stream at that place, whose name has the top-level domain of that number.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn observe(
        &mut self,
        place: usize,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        tld: usize,
    ) {
        let place = place.min(self.sets.len().saturating_sub(1));
        let Some(set) = self.sets.get_mut(place) else { return };
        let direction = Direction::of(event);
        if let (Some(hash), Some(address)) = (hashes.client, event.query.address) {
            let amounts = [1, u64::from(event.length)];
            match address {
                core::net::IpAddr::V4(v4) => set.clients.count(hash, amounts, &v4.octets()),
                core::net::IpAddr::V6(v6) => set.clients.count(hash, amounts, &v6.octets()),
            }
        }
        if let Some(hash) = hashes.domain {
            set.tlds.count(direction, tld);
            for (table, tracked) in set.domains.iter_mut().zip(&self.tracked) {
                let amount = tracked.amount(event, direction);
                if amount > 0 {
                    table.count(hash, [amount], hashes.name.wire_form());
                }
            }
        }
        set.keyed.count(event, direction, &self.hasher);
    }

    /// Halves the numbers of open tables when it is time.
    pub(crate) fn tick(&mut self, milliseconds: u64) {
        self.passed_ms += milliseconds;
        if self.window_ms == 0 || self.passed_ms < self.window_ms {
            return;
        }
        self.passed_ms %= self.window_ms;
        for set in &mut self.sets {
            let (tables, clients) = set.open();
            tables.for_each(HeavyHitters::age);
            clients.age();
        }
    }

    /// Counts from zero again.
    pub(crate) fn reset(&mut self) {
        for set in &mut self.sets {
            set.tlds.reset();
            set.reset_open();
        }
    }

    /// Empties the tables of the stream at that place, which is another stream's from now on. Counts of
    /// top-level domains never go down, so those of all streams together keep them in the set of the
    /// others.
    pub(crate) fn forget(&mut self, place: usize) {
        let Some((others, sets)) = self.sets.split_last_mut() else { return };
        let Some(set) = sets.get_mut(place) else { return };
        others.tlds.take_from(&mut set.tlds);
        set.reset_open();
    }
}

/// Sets of tables: one for each of the first streams and one for the others.
fn sets(limits: &Limits) -> usize {
    limits.table_streams.min(limits.streams) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_or_refused() {
        let by = |flag| TrackedTable::parse(flag).map(|tracked| (tracked.direction, tracked.by));
        assert_eq!(by("hit/query"), Some((Direction::Query, CountedBy::Hit)));
        assert_eq!(by("length/response"), Some((Direction::Response, CountedBy::Length)));
        assert_eq!(by("nxdomain/response"), Some((Direction::Response, CountedBy::Rcode(Rcode(3)))));
        assert_eq!(by("tsla/query"), Some((Direction::Query, CountedBy::Type(RrType(52)))));
        for wrong in ["", "hit", "hit/ip", "nothing/query", "a/b/query", "/query"] {
            assert_eq!(by(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_table_is_kept_once_in_whichever_spelling() {
        let track = ["tlsa/query", "tsla/query", "noimp/response", "NOTIMP/response", "none/query"]
            .map(TableName::new);
        let section = Section { default_top: Vec::new(), track: track.into(), ..Section::default() };
        let tracked = TrackedTable::of(&section).unwrap();
        let flags: Vec<&str> = tracked.iter().map(TrackedTable::flag).collect();
        assert_eq!(flags, ["tlsa/query", "noimp/response", "none/query"]);
        assert!(
            tracked[0].is_meant("tsla/query")
                && tracked[1].is_meant("notimp/response")
                && tracked[2].is_meant("type0/query")
        );
        assert!(!tracked[0].is_meant("tlsa/response") && !tracked[0].is_meant("tlsa"));
    }
}
