//! Tables with memory of their own: the heaviest keys of some kind, of queries and of responses.
//!
//! ```text
//! keyed_tables! {
//!     countries {
//!         title: "Countries",
//!         label: RowLabel::Country,
//!         key: country,
//!         rows: TOP_COUNTRIES,
//!         key_bytes: 24,
//!         is_kept: |looks_up_places| looks_up_places,
//!     }
//! }
//! ```
//!
//! makes a field of each and one call after the other, known when the program is built: a message passes no
//! table of functions, and one that is not kept costs a comparison. A key is counted by its hash; two bounds
//! say how many rows there are, and how many bytes a key has on average.

/// Makes the memory and the descriptors of its rows.
macro_rules! keyed_tables {
    ($($(#[$doc:meta])* $name:ident {
        title: $title:literal,
        label: $label:expr,
        key: $key:path,
        rows: $rows:expr,
        key_bytes: $bytes:expr,
        is_kept: $is_kept:expr,
    })+) => {
        /// A table with memory of its own.
        #[allow(non_camel_case_types, reason = "each has the name of its row")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum KeyedTable {
            $($(#[$doc])* $name,)+
        }

        /// The tables with memory of their own, of one set of streams: of queries and of responses; `None` for
        /// those that are not kept.
        #[derive(Debug)]
        pub(crate) struct KeyedTables {
            $($(#[$doc])* $name: Option<[HeavyHitters<1>; 2]>,)+
        }

        /// Their descriptors, in the order of the answer.
        const KEYED: &[&[TableDescriptor]] = &[
            $(&both!(
                stringify!($name),
                $title,
                Table::Keyed,
                KeyedTable::$name
            ),)+
        ];

        impl KeyedTables {
            /// Empty tables; clients may be looked up or not.
            pub(crate) fn new(looks_up_places: bool) -> Self {
                let table = |rows, bytes| [0; 2].map(|_| HeavyHitters::new(rows, bytes));
                KeyedTables { $($name: kept($is_kept, looks_up_places).then(|| table($rows, $bytes)),)+ }
            }

            /// Bytes of them.
            pub(crate) fn cost(looks_up_places: bool) -> usize {
                let cost = |is_kept, rows, bytes| {
                    if is_kept { 2 * HeavyHitters::<1>::cost(rows, bytes) } else { 0 }
                };
                0 $(+ cost(kept($is_kept, looks_up_places), $rows, $bytes))+
            }

            /// Counts a message.
            #[inline]
            pub(crate) fn count(
                &mut self,
                event: &Event<'_>,
                direction: Direction,
                hasher: &impl BuildHasher,
            ) {
                $(if let Some([queries, responses]) = &mut self.$name
                    && let Some(key) = $key(event)
                {
                    let table = if direction == Direction::Query { queries } else { responses };
                    table.count(hasher.hash_one(key), [1], key);
                })+
            }

            /// One of them, if it is kept.
            pub(crate) fn get(
                &self,
                table: KeyedTable,
                direction: Direction,
            ) -> Option<&HeavyHitters<1>> {
                let [queries, responses] = match table {
                    $(KeyedTable::$name => self.$name.as_ref()?,)+
                };
                Some(if direction == Direction::Query { queries } else { responses })
            }

            /// All that are kept.
            pub(crate) fn iter_mut(
                &mut self,
            ) -> impl Iterator<Item = &mut HeavyHitters<1>> {
                [$(&mut self.$name,)+].into_iter().flatten().flatten()
            }
        }

        impl KeyedTable {
            /// The subject of the row of a key.
            pub(crate) fn label(self, key: &[u8]) -> RowLabel<'_> {
                match self {
                    $(KeyedTable::$name => $label(key),)+
                }
            }
        }

        /// Whether a table is kept, by its row.
        fn kept(is_kept: fn(bool) -> bool, looks_up_places: bool) -> bool {
            is_kept(looks_up_places)
        }
    };
}
pub(super) use keyed_tables;
