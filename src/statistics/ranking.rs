//! The rows of a table, heaviest first, some at a time.
//!
//! A reader takes the best rows that come after the last one it has, so it holds no copy of a table and no
//! borrow while its answer is on the way. What changes in the meantime can make a row be missed; it cannot
//! make one appear twice or out of order, unless the table ages or is reset in between.
//!
//! Rows of equal number are in order of their text.

use core::cmp::Ordering;
use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::counters::{Direction, OTHER_RCODE};
pub use super::descriptors::KeyedTable;
use super::tables::StreamTables;
use super::{Statistics, StreamScope, tlds};
use crate::limits::PLACE_BYTES;
use crate::sketch::heavy_hitters::HeavyHitters;
use crate::wire::iana::{Rcode, RrType};
use crate::wire::name::{NAME_MAX, Name};
use crate::wire::text::{TEXT_PER_BYTE, write_label_text};

/// A table.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    /// Counters, which are exact.
    Counted(Direction, CountedRows),
    /// One with memory of its own.
    Keyed(Direction, KeyedTable),
    /// Names, by number of what is tracked.
    Domains(usize),
    /// Query addresses by messages.
    ClientHits,
    /// Query addresses by bytes.
    ClientBytes,
    /// Query addresses by messages, those of a device together; the devices are known to whoever shows it.
    Devices,
}

/// Hands over all rows of a scope and direction: their subjects and numbers.
pub type CountedRows = for<'a> fn(&'a Statistics, StreamScope, Direction, &mut dyn FnMut(RowLabel<'a>, u64));

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'a> {
    /// Its subject.
    pub label: RowLabel<'a>,
    /// How often, or how many bytes.
    pub number: u64,
    /// The true number is as much above or below at most.
    pub(crate) error: u64,
}

/// The subject of a row.
#[derive(Clone, Copy, Debug)]
pub enum RowLabel<'a> {
    /// A name in wire form.
    Name(&'a [u8]),
    /// An address in 4 or 16 bytes.
    Address(&'a [u8]),
    /// Text as it is.
    Text(&'a str),
    /// A country as its database has it.
    Country(&'a [u8]),
    /// A counter: direction, and one of these.
    Rcode(Direction, Rcode),
    /// A counter of a type.
    Type(Direction, RrType),
    /// A counter of a top-level domain.
    Tld(Direction, usize),
    /// All that have no row of their own.
    Others(Direction),
}

/// Rows taken at once.
pub(crate) const BATCH: usize = 32;

/// Where a reader has come to.
#[derive(Clone, Debug, Default)]
pub struct RowPosition {
    number: u64,
    /// The bytes of a name or of a country, or the text of something else.
    bytes: heapless::Vec<u8, NAME_MAX>,
    kind: PositionKind,
}

/// The row a cursor is after.
#[derive(Clone, Copy, Debug, Default)]
enum PositionKind {
    #[default]
    Nothing,
    Name,
    Country,
    Text,
}

/// Bytes of the text of a label that is neither name nor country.
const LABEL_TEXT: usize = 64;

/// The best rows so far.
#[derive(Debug)]
pub struct TopRows<'a, 'c> {
    rows: heapless::Vec<TableRow<'a>, BATCH>,
    limit: usize,
    after: &'c RowPosition,
}

impl RowPosition {
    /// Goes on after a row.
    pub(crate) fn pass(&mut self, row: &TableRow<'_>) {
        self.number = row.number;
        self.bytes.clear();
        let mut text = heapless::String::<LABEL_TEXT>::new();
        let (kind, bytes) = match row.label {
            RowLabel::Name(wire) => (PositionKind::Name, wire),
            RowLabel::Country(bytes) => (PositionKind::Country, bytes),
            label => {
                let _ = write!(text, "{label}");
                (PositionKind::Text, text.as_bytes())
            }
        };
        self.kind = kind;
        let _ = self.bytes.extend_from_slice(bytes);
    }

    /// Whether a row is still to come.
    fn is_before(&self, row: &TableRow<'_>) -> bool {
        let label = match self.kind {
            PositionKind::Nothing => return true,
            PositionKind::Name => RowLabel::Name(&self.bytes),
            PositionKind::Country => RowLabel::Country(&self.bytes),
            PositionKind::Text => RowLabel::Text(core::str::from_utf8(&self.bytes).unwrap_or_default()),
        };
        row.number.cmp(&self.number).then_with(|| label.compare(&row.label)) == Ordering::Less
    }
}

impl<'a, 'c> TopRows<'a, 'c> {
    /// None yet; at most `limit` rows that come after the cursor, and at most [`BATCH`].
    pub fn new(limit: usize, after: &'c RowPosition) -> Self {
        TopRows { rows: heapless::Vec::new(), limit: limit.min(BATCH), after }
    }

    /// The rows, best first.
    pub fn rows(&self) -> &[TableRow<'a>] {
        &self.rows
    }

    /// Considers a row.
    fn offer(&mut self, row: TableRow<'a>) {
        if row.number == 0 || self.limit == 0 || !self.after.is_before(&row) {
            return;
        }
        if self.rows.len() == self.limit {
            if !self.rows.last().is_some_and(|last| row.precedes(last)) {
                return;
            }
            self.rows.pop();
        }
        let place = self.rows.partition_point(|other| other.precedes(&row));
        let _ = self.rows.insert(place, row);
    }
}

impl TableRow<'_> {
    fn precedes(&self, other: &TableRow<'_>) -> bool {
        other.number.cmp(&self.number).then_with(|| self.label.compare(&other.label)) == Ordering::Less
    }
}

impl RowLabel<'_> {
    /// The address that it is.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        if let RowLabel::Address(bytes) = self { address(bytes) } else { None }
    }

    /// The order of the texts.
    fn compare(&self, other: &RowLabel<'_>) -> Ordering {
        match (self, other) {
            (RowLabel::Name(a), RowLabel::Name(b)) => name_text(a).cmp(name_text(b)),
            (RowLabel::Country(a), RowLabel::Country(b)) => a.cmp(b),
            _ => {
                let (mut a, mut b) =
                    (heapless::String::<LABEL_TEXT>::new(), heapless::String::<LABEL_TEXT>::new());
                let _ = write!(a, "{self}").and_then(|()| write!(b, "{other}"));
                a.cmp(&b)
            }
        }
    }
}

/// The bytes of a name's text, escapes apart: near enough to order by, and different for different names.
fn name_text(wire: &[u8]) -> impl Iterator<Item = u8> {
    let mut left = wire.first().copied().unwrap_or(0);
    wire.iter().skip(1).map(move |&byte| {
        if left == 0 {
            left = byte;
            return b'.';
        }
        left -= 1;
        byte
    })
}

impl fmt::Display for RowLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RowLabel::Name(wire) => Name::parse(wire).map_or(Ok(()), |(name, _)| write!(f, "{name}")),
            RowLabel::Address(bytes) => address(bytes).map_or(Ok(()), |address| write!(f, "{address}")),
            RowLabel::Text(text) => f.write_str(text),
            RowLabel::Country(bytes) => {
                let mut room = [0; PLACE_BYTES * TEXT_PER_BYTE];
                let length = write_label_text(bytes, &mut room).unwrap_or(0);
                f.write_str(room.get(..length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
            }
            RowLabel::Rcode(direction, rcode) => lower(f, direction, format_args!("{rcode}")),
            RowLabel::Type(direction, rrtype) => lower(f, direction, format_args!("{rrtype}")),
            RowLabel::Tld(direction, number) => write!(f, "{}/{}", direction.word(), tlds::domain(number)),
            RowLabel::Others(direction) => write!(f, "{}/other", direction.word()),
        }
    }
}

/// The address in 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(|v4| IpAddr::V4(Ipv4Addr::from(v4)));
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6))))
}

/// Writes the name of a counter, which is in lower case.
fn lower(f: &mut fmt::Formatter<'_>, direction: Direction, what: fmt::Arguments<'_>) -> fmt::Result {
    let mut text = heapless::String::<32>::new();
    text.write_fmt(what)?;
    text.make_ascii_lowercase();
    write!(f, "{}/{text}", direction.word())
}

impl Statistics {
    /// Offers all rows of a table.
    pub fn rank<'a>(&'a self, scope: StreamScope, table: Table, best: &mut TopRows<'a, '_>) {
        let sets = self.sets(scope);
        match table {
            Table::Counted(direction, rows) => {
                rows(self, scope, direction, &mut |label, number| {
                    best.offer(TableRow { label, number, error: 0 });
                });
            }
            Table::Keyed(direction, table) => {
                merge(sets, |set| set.keyed.get(table, direction), 0, |key| table.label(key), best);
            }
            Table::Domains(place) => merge(sets, |set| set.domains.get(place), 0, RowLabel::Name, best),
            Table::ClientHits => merge(sets, |set| Some(&set.clients), 0, RowLabel::Address, best),
            Table::ClientBytes => merge(sets, |set| Some(&set.clients), 1, RowLabel::Address, best),
            Table::Devices => {}
        }
    }

    /// Hands over the query addresses of all sets of a scope, each with its number of messages and by how
    /// much it may be off.
    pub(crate) fn each_client(&self, scope: StreamScope, mut take: impl FnMut(IpAddr, [u64; 2])) {
        for entry in self.sets(scope).iter().flat_map(|set| set.clients.entries()) {
            let ([certain, _], [guessed, _], [unseen, _]) = (entry.certain, entry.guessed, entry.unseen);
            if let Some(address) = address(entry.name) {
                take(address, [certain + guessed, guessed.max(unseen.saturating_sub(guessed))]);
            }
        }
    }

    /// The total of a table, with and without a row.
    pub fn total(&self, scope: StreamScope, table: Table) -> u64 {
        let sets = self.sets(scope);
        let of = |top: Option<&HeavyHitters<1>>| top.map_or(0, |top| top.total()[0]);
        match table {
            Table::Counted(direction, rows) => {
                let mut total: u64 = 0;
                rows(self, scope, direction, &mut |_, number| total = total.wrapping_add(number));
                total
            }
            Table::Keyed(direction, table) => {
                sets.iter().map(|set| of(set.keyed.get(table, direction))).sum()
            }
            Table::Domains(place) => sets.iter().map(|set| of(set.domains.get(place))).sum(),
            Table::ClientHits | Table::Devices => sets.iter().map(|set| set.clients.total()[0]).sum(),
            Table::ClientBytes => sets.iter().map(|set| set.clients.total()[1]).sum(),
        }
    }

    /// The count of a top-level domain.
    pub(super) fn tld(&self, scope: StreamScope, direction: Direction, number: usize) -> u64 {
        self.sets(scope).iter().map(|set| set.tlds.value(direction, number)).sum()
    }

    /// The sets of tables that make up a scope; none for a stream without its own.
    fn sets(&self, scope: StreamScope) -> &[StreamTables] {
        let sets = &self.tables.sets;
        match scope {
            StreamScope::Global => sets,
            StreamScope::Stream(id) => {
                let place = id.place();
                let own = place < sets.len().saturating_sub(1) && !self.streams.is_other(id);
                sets.get(place..=place).filter(|_| own).unwrap_or_default()
            }
        }
    }
}

/// The rows of top-level domains.
pub fn tld_rows<'a>(
    statistics: &'a Statistics,
    scope: StreamScope,
    direction: Direction,
    each: &mut dyn FnMut(RowLabel<'a>, u64),
) {
    for number in 0..tlds::ROWS {
        each(RowLabel::Tld(direction, number), statistics.tld(scope, direction, number));
    }
}

/// The rows of rcodes.
pub(super) fn rcode_rows<'a>(
    statistics: &'a Statistics,
    scope: StreamScope,
    direction: Direction,
    each: &mut dyn FnMut(RowLabel<'a>, u64),
) {
    for slot in 0..=OTHER_RCODE {
        let rcode = u16::try_from(slot).ok().filter(|_| slot < OTHER_RCODE).map(Rcode);
        let label = rcode.map_or(RowLabel::Others(direction), |rcode| RowLabel::Rcode(direction, rcode));
        each(label, statistics.sum(scope, |stream| stream.counters.rcode_slot(direction, slot)));
    }
}

/// The rows of question types.
pub(super) fn type_rows<'a>(
    statistics: &'a Statistics,
    scope: StreamScope,
    direction: Direction,
    each: &mut dyn FnMut(RowLabel<'a>, u64),
) {
    for (slot, rrtype) in statistics.unknown_types.slots() {
        let label = rrtype.map_or(RowLabel::Others(direction), |rrtype| RowLabel::Type(direction, rrtype));
        each(label, statistics.sum(scope, |stream| stream.counters.type_slot(direction, slot)));
    }
}

/// Offers the rows of one table in several sets: each thing once, with the sum of its numbers and of what
/// each set may have missed.
fn merge<'a, const N: usize>(
    sets: &'a [StreamTables],
    table: impl Fn(&'a StreamTables) -> Option<&'a HeavyHitters<N>>,
    column: usize,
    label: impl Fn(&'a [u8]) -> RowLabel<'a>,
    best: &mut TopRows<'a, '_>,
) {
    let of = |values: [u64; N]| values.get(column).copied().unwrap_or(0);
    let tables = || sets.iter().filter_map(&table).filter(|table| table.total() != [0; N]);
    for (place, own) in tables().enumerate() {
        for entry in own.entries() {
            if tables().take(place).any(|earlier| earlier.holds(entry.key)) {
                continue;
            }
            let (mut certain, mut guessed, mut unseen) =
                (of(entry.certain), of(entry.guessed), of(entry.unseen));
            for (_, other) in tables().enumerate().filter(|&(other, _)| other != place) {
                match other.find(entry.key) {
                    None => unseen += of(other.bound(entry.key)),
                    Some(more) => {
                        certain += of(more.certain);
                        guessed += of(more.guessed);
                        unseen += of(more.unseen);
                    }
                }
            }
            let error = guessed.max(unseen - guessed.min(unseen));
            best.offer(TableRow { label: label(entry.name), number: certain + guessed, error });
        }
    }
}
