//! The list of tables: what each is called, where, and what it counts.
//!
//! A row here is a table in `/tables`, in `dnstapd_top` of the metrics, on the page and in `dnstapd top`.
//! There are two lists. [`TABLES`] reads its rows out of memory that is there anyway, such as the counters. A
//! row of `keyed_tables!` has memory of its own as well, which it names by a key of the message and by two
//! bounds: it is made, counted, aged, emptied and paid for by that row.
//!
//! The tables of domains are chosen by the configuration (`statistics.default-top` and `track`); they stand
//! where the list says [`DOMAINS_AT`] and are named by their flags.

use core::hash::BuildHasher;

use super::counters::Direction;
use super::keyed_tables::keyed_tables;
use super::ranking::{RowLabel, Table, rcode_rows, tld_rows, type_rows};
use crate::limits::TOP_COUNTRIES;
use crate::message::event::Event;
use crate::sketch::heavy_hitters::HeavyHitters;

/// One table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableDescriptor {
    /// The member of `tables` in the answer that it belongs to.
    pub(crate) group: &'static str,
    /// Its name in there; empty for a table of domains, which has its flag.
    pub(crate) flag: &'static str,
    /// Its name among all tables, for labels; empty for a table of domains.
    pub(crate) label: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// Its rows.
    pub(crate) table: Table,
}

const fn row(
    group: &'static str,
    flag: &'static str,
    label: &'static str,
    title: &'static str,
    table: Table,
) -> TableDescriptor {
    TableDescriptor { group, flag, label, title, table }
}

/// The tables of a group: of queries and of responses.
macro_rules! both {
    ($group:expr, $title:literal, $table:path, $rows:expr) => {
        [
            row(
                $group,
                "hit/query",
                concat!($group, "/hit/query"),
                concat!($title, ", queries"),
                $table(Direction::Query, $rows),
            ),
            row(
                $group,
                "hit/response",
                concat!($group, "/hit/response"),
                concat!($title, ", responses"),
                $table(Direction::Response, $rows),
            ),
        ]
    };
}

/// The tables without memory of their own, but for those of domains, in the order of the answer.
const TABLES: &[&[TableDescriptor]] = &[
    &both!("tlds", "TLDs", Table::Counted, tld_rows),
    &[row("clients", "hit/ip", "hit/ip", "Clients by messages", Table::ClientHits)],
    &[row("clients", "length/ip", "length/ip", "Clients by bytes", Table::ClientBytes)],
    &both!("rcodes", "Rcodes", Table::Counted, rcode_rows),
    &both!("rrtypes", "Types", Table::Counted, type_rows),
];

keyed_tables! {
    /// Countries of those who ask, where they are looked up.
    countries {
        title: "Countries",
        label: RowLabel::Country,
        key: country,
        rows: TOP_COUNTRIES,
        key_bytes: 24,
        is_kept: |looks_up_places| looks_up_places,
    }
}

#[inline]
fn country<'e>(event: &Event<'e>) -> Option<&'e [u8]> {
    event.location.map(|location| location.country.as_bytes()).filter(|country| !country.is_empty())
}

/// All tables but those of domains, in the order of the answer.
pub(crate) fn tables() -> impl Iterator<Item = TableDescriptor> {
    TABLES.iter().chain(KEYED).copied().flatten().copied()
}

/// The table of devices, which is there where somebody asks for it.
pub(crate) const DEVICES: TableDescriptor =
    row("clients", "hit/device", "hit/device", "Devices by messages", Table::Devices);
/// The table of devices comes after that many of [`tables`].
pub(crate) const DEVICES_AT: usize = 4;

/// The tables of domains come after that many of [`tables`].
pub(crate) const DOMAINS_AT: usize = 2;

impl TableDescriptor {
    /// The table of domains of that number.
    pub(crate) const fn domains(number: usize) -> Self {
        row("domains", "", "", "", Table::Domains(number))
    }

    /// Whether its numbers are bytes.
    pub(crate) fn is_of_bytes(&self) -> bool {
        self.flag.starts_with("length/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once_and_groups_together() {
        let tables: Vec<TableDescriptor> = tables().collect();
        for (at, descriptor) in tables.iter().enumerate() {
            for other in &tables[..at] {
                assert_ne!((other.group, other.flag), (descriptor.group, descriptor.flag));
                assert_ne!(other.label, descriptor.label);
            }
            let earlier = tables[..at].iter().any(|other| other.group == descriptor.group);
            assert!(!earlier || tables[at - 1].group == descriptor.group, "{}", descriptor.group);
            assert!(descriptor.label.ends_with(descriptor.flag));
        }
        assert!(tables[DEVICES_AT - 1].group == DEVICES.group && tables[DEVICES_AT].group != DEVICES.group);
        assert!(tables[..DOMAINS_AT].iter().all(|descriptor| descriptor.group == "tlds"));
    }
}
