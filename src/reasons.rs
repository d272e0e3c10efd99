//! Reasons, and counters by reason: what was dropped, rejected, filtered, malformed or refused, and why.
//!
//! A family of reasons is one table. The macro `reasons!` makes the enum, the label in the metrics, the text
//! in the log and the list of all of it, so none can be forgotten:
//!
//! ```text
//! reasons! {
//!     pub enum Malformed {
//!         /// Fewer bytes than the header has.
//!         ShortHeader = "short_header", "shorter than a DNS header";
//!         /// The name of the first question is malformed.
//!         Name(error: NameError);
//!     }
//! }
//! ```
//!
//! A row with another family in it stands for all of that family's reasons: `Malformed` has five here. A
//! [`Tally`] has one counter for each, reached by index: counting is an addition, and every reason is there
//! with 0 from the first scrape on.

use core::cell::Cell;

use crate::metric::Samples;

/// A family of reasons; made by `reasons!`.
pub trait Reason: Copy + 'static {
    /// How many there are.
    const COUNT: usize;

    /// A counter for each.
    type Counts: AsRef<[Cell<u64>]>;

    /// A counter for each, all 0.
    fn counts() -> Self::Counts;

    /// Its place in the list of all: `0 <= index < COUNT`.
    fn index(self) -> usize;

    /// The reason at a place in the list of all.
    fn nth(index: usize) -> Option<Self>;

    /// Its label in the metrics.
    fn label(self) -> &'static str;

    /// All of them, in the order of the table.
    fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map_while(Self::nth)
    }
}

/// Makes a family of reasons from its table.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $(
                $(#[$doc:meta])*
                $reason:ident $(($inner:ident: $family:ident))? $(= $label:literal $(, $text:literal)?)?;
            )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$doc])* $reason $(($family))?,)+
        }

        impl $crate::reasons::Reason for $name {
            const COUNT: usize = 0 $(+ $crate::reasons::reasons!(@count $($family)?))+;

            type Counts = [::core::cell::Cell<u64>; <$name as $crate::reasons::Reason>::COUNT];

            fn counts() -> Self::Counts {
                [const { ::core::cell::Cell::new(0) }; <$name as $crate::reasons::Reason>::COUNT]
            }

            fn index(self) -> usize {
                let (reason, before) = (self, 0);
                $($crate::reasons::reasons!(@index reason before $name $reason $($family)?);)+
                before
            }

            fn nth(index: usize) -> Option<Self> {
                let left = index;
                $($crate::reasons::reasons!(@nth left $name $reason $($family)?);)+
                let _ = left;
                None
            }

            fn label(self) -> &'static str {
                match self {
                    $($name::$reason $(($inner))? => $crate::reasons::reasons!(@label $($inner)? $($label)?),)+
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match *self {
                    $($name::$reason $(($inner))? => {
                        $crate::reasons::reasons!(@text f $($inner)? $($label $($text)?)?)
                    })+
                }
            }
        }

        $($(
            impl From<$family> for $name {
                fn from($inner: $family) -> Self {
                    $name::$reason($inner)
                }
            }
        )?)+
    };

    (@count) => { 1 };
    (@count $family:ident) => { <$family as $crate::reasons::Reason>::COUNT };

    // Each row moves `before` past itself; the row that has the reason returns.
    (@index $of:ident $before:ident $name:ident $reason:ident) => {
        if matches!($of, $name::$reason) {
            return $before;
        }
        let $before = $before + 1;
    };
    (@index $of:ident $before:ident $name:ident $reason:ident $family:ident) => {
        if let $name::$reason(inner) = $of {
            return $before + $crate::reasons::Reason::index(inner);
        }
        let $before = $before + <$family as $crate::reasons::Reason>::COUNT;
    };

    // Each row takes its reasons off `left`; the row in which it ends returns.
    (@nth $left:ident $name:ident $reason:ident) => {
        if $left == 0 {
            return Some($name::$reason);
        }
        let $left = $left - 1;
    };
    (@nth $left:ident $name:ident $reason:ident $family:ident) => {
        if let Some(inner) = <$family as $crate::reasons::Reason>::nth($left) {
            return Some($name::$reason(inner));
        }
        let $left = $left - <$family as $crate::reasons::Reason>::COUNT;
    };

    (@label $inner:ident) => { $crate::reasons::Reason::label($inner) };
    (@label $label:literal) => { $label };

    (@text $f:ident $inner:ident) => { ::core::fmt::Display::fmt(&$inner, $f) };
    (@text $f:ident $label:literal) => { $f.write_str($label) };
    (@text $f:ident $label:literal $text:literal) => { $f.write_str($text) };
}

pub(crate) use reasons;

/// One counter for each reason of a family.
pub struct Tally<R: Reason>(R::Counts);

impl<R: Reason> Tally<R> {
    /// Counts `number` more for a reason.
    pub(crate) fn add(&self, reason: impl Into<R>, number: u64) {
        if let Some(count) = self.0.as_ref().get(reason.into().index()) {
            count.set(count.get().wrapping_add(number));
        }
    }

    /// Counts one more for a reason.
    pub fn count(&self, reason: impl Into<R>) {
        self.add(reason, 1);
    }

    /// Count of one reason.
    pub fn of(&self, reason: impl Into<R>) -> u64 {
        self.0.as_ref().get(reason.into().index()).map_or(0, Cell::get)
    }

    /// Sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.as_ref().iter().map(Cell::get).sum()
    }
}

impl<R: Reason> Default for Tally<R> {
    fn default() -> Self {
        Tally(R::counts())
    }
}

impl<R: Reason> core::fmt::Debug for Tally<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries((0..).map_while(|index| self.sample(index))).finish()
    }
}

impl<R: Reason> Samples for Tally<R> {
    fn sample(&self, index: usize) -> Option<(&'static str, u64)> {
        Some((R::nth(index)?.label(), self.0.as_ref().get(index)?.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    reasons! {
        /// A family.
        enum Inner {
            /// One.
            Slow = "slow";
            /// Another.
            Gone = "gone", "the peer is gone";
        }
    }

    reasons! {
        /// A family with another in its middle.
        enum Outer {
            /// Before.
            Full = "full", "no room";
            /// The others.
            Inner(inner: Inner);
            /// After.
            Late = "late";
        }
    }

    #[test]
    fn a_family_lists_its_reasons_in_the_order_of_the_table() {
        let all: Vec<_> = Outer::all().collect();
        assert_eq!(all, [Outer::Full, Outer::Inner(Inner::Slow), Outer::Inner(Inner::Gone), Outer::Late]);
        assert_eq!(all.iter().map(|reason| reason.index()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(
            all.iter().map(|reason| reason.label()).collect::<Vec<_>>(),
            ["full", "slow", "gone", "late"]
        );
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["no room", "slow", "the peer is gone", "late"]);
    }

    #[test]
    fn every_reason_is_listed_from_the_start() {
        let tally = Tally::<Outer>::default();
        tally.count(Inner::Gone);
        tally.add(Outer::Late, 2);
        let rows: Vec<_> = (0..).map_while(|index| tally.sample(index)).collect();
        assert_eq!(rows, [("full", 0), ("slow", 0), ("gone", 1), ("late", 2)]);
        assert_eq!((tally.of(Inner::Gone), tally.of(Outer::Full), tally.total()), (1, 0, 3));
    }
}
