//! The list of tables: what each is called, where, and what it counts.
//!
//! A row here is a table in `/tables`, in `dnstapd_top` of the metrics, on the page and in `dnstapd top`. The
//! tables of domains are chosen by the configuration (`statistics.default-top` and `track`); they stand where
//! the list says [`DOMAINS_AT`] and are named by their flags.

use super::counters::Direction::{Query, Response};
use super::ranking::Table;

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// All tables but those of domains, in the order of the answer.
#[rustfmt::skip]
pub(crate) const TABLES: &[TableDescriptor] = &[
    row("tlds",      "hit/query",    "tlds/hit/query",         "TLDs, queries",        Table::Tlds(Query)),
    row("tlds",      "hit/response", "tlds/hit/response",      "TLDs, responses",      Table::Tlds(Response)),
    row("clients",   "hit/ip",       "hit/ip",                 "Clients by messages",  Table::ClientHits),
    row("clients",   "length/ip",    "length/ip",              "Clients by bytes",     Table::ClientBytes),
    row("rcodes",    "hit/query",    "rcodes/hit/query",       "Rcodes, queries",      Table::Rcodes(Query)),
    row("rcodes",    "hit/response", "rcodes/hit/response",    "Rcodes, responses",    Table::Rcodes(Response)),
    row("rrtypes",   "hit/query",    "rrtypes/hit/query",      "Types, queries",       Table::Types(Query)),
    row("rrtypes",   "hit/response", "rrtypes/hit/response",   "Types, responses",     Table::Types(Response)),
    row("countries", "hit/query",    "countries/hit/query",    "Countries, queries",   Table::Countries(Query)),
    row("countries", "hit/response", "countries/hit/response", "Countries, responses", Table::Countries(Response)),
];

/// The table of devices, which is there where somebody asks for it.
pub(crate) const DEVICES: TableDescriptor =
    row("clients", "hit/device", "hit/device", "Devices by messages", Table::Devices);
/// The table of devices comes after that many of [`TABLES`].
pub(crate) const DEVICES_AT: usize = 4;

/// The tables of domains come after that many of [`TABLES`].
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

    /// Whether the table is there only where clients are looked up.
    pub(crate) fn is_of_countries(&self) -> bool {
        matches!(self.table, Table::Countries(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once_and_groups_together() {
        for (at, descriptor) in TABLES.iter().enumerate() {
            for other in &TABLES[..at] {
                assert_ne!((other.group, other.flag), (descriptor.group, descriptor.flag));
                assert_ne!(other.label, descriptor.label);
            }
            let earlier = TABLES[..at].iter().any(|other| other.group == descriptor.group);
            assert!(!earlier || TABLES[at - 1].group == descriptor.group, "{}", descriptor.group);
            assert!(descriptor.label.ends_with(descriptor.flag));
        }
        assert!(TABLES[DEVICES_AT - 1].group == DEVICES.group && TABLES[DEVICES_AT].group != DEVICES.group);
        assert!(TABLES[..DOMAINS_AT].iter().all(|descriptor| descriptor.group == "tlds"));
    }
}
