//! Counters that are metrics: field, name, type and help from one row.
//!
//! ```text
//! counters! {
//!     pub struct InputCounters {
//!         /// Bytes read.
//!         pub bytes: Counter = counter("dnstapd_input_bytes_total");
//!         /// Messages that a filter left out.
//!         pub filtered: Tally<FilterReason> = counter("dnstapd_filtered_total", "filter");
//!         /// Not shown.
//!         pub name: &'static str;
//!     }
//! }
//! ```
//!
//! makes the struct, its `Default`, and `InputCounters::METRICS`, the rows that `/metrics` walks. The help is
//! the doc comment of the field. A row with several samples names the label that tells them apart.

use core::cell::Cell;

/// A number that goes up, or up and down.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds that many.
    pub(crate) fn add(&self, number: u64) {
        self.0.set(self.0.get().wrapping_add(number));
    }

    /// Adds one.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    /// Takes one off.
    pub(crate) fn uncount(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }

    /// Puts another number in its place.
    pub(crate) fn set(&self, number: u64) {
        self.0.set(number);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The values of a row.
pub(crate) trait Samples {
    /// Label and value of the sample at a place; `None` after the last. A counter has one, with an empty
    /// label.
    fn sample(&self, index: usize) -> Option<(&'static str, u64)>;
}

impl Samples for Counter {
    fn sample(&self, index: usize) -> Option<(&'static str, u64)> {
        (index == 0).then(|| ("", self.get()))
    }
}

/// A row that not everybody has.
impl<S: Samples> Samples for Option<S> {
    fn sample(&self, index: usize) -> Option<(&'static str, u64)> {
        self.as_ref()?.sample(index)
    }
}

/// One family of samples, read from a `T`.
pub struct MetricRow<T: 'static> {
    /// Name in the metrics.
    pub(crate) name: &'static str,
    /// The help, a sentence.
    pub(crate) help: &'static str,
    /// Type, in the format's word.
    pub(crate) kind: &'static str,
    /// The label that tells its samples apart; empty when it has one.
    pub(crate) label: &'static str,
    /// Where the values are.
    pub(crate) samples: fn(&T) -> &dyn Samples,
}

/// Makes a struct of counters and its rows.
macro_rules! counters {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $owner:ident {
            $(
                #[doc = $help:literal]
                $field_visibility:vis $field:ident: $type:ty $(= $kind:ident($name:literal $(, $label:literal)?))?;
            )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Default)]
        $visibility struct $owner {
            $(#[doc = $help] $field_visibility $field: $type,)+
        }

        impl $owner {
            /// The parts of it that are metrics.
            $visibility const METRICS: &'static [$crate::metric::MetricRow<$owner>] = &[
                $($($crate::metric::MetricRow {
                    name: $name,
                    help: $help.trim_ascii_start(),
                    kind: stringify!($kind),
                    label: concat!($($label)?),
                    samples: |owner| &owner.$field,
                },)?)+
            ];
        }
    };
}

pub(crate) use counters;

#[cfg(test)]
mod tests {
    use super::*;

    counters! {
        /// An example.
        struct Example {
            /// Frames, all of them.
            frames: Counter = counter("frames_total");
            /// Frames not everybody has.
            odd: Option<Counter> = gauge("odd", "why");
            /// Not a metric.
            name: &'static str;
        }
    }

    #[test]
    fn a_field_is_a_row() {
        let example = Example { name: "x", ..Example::default() };
        example.frames.add(3);
        let [frames, odd] = Example::METRICS else { panic!("two rows") };
        assert_eq!(
            (frames.name, frames.help, frames.kind, frames.label),
            ("frames_total", "Frames, all of them.", "counter", "")
        );
        assert_eq!((odd.name, odd.kind, odd.label, example.name), ("odd", "gauge", "why", "x"));
        assert_eq!((frames.samples)(&example).sample(0), Some(("", 3)));
        assert_eq!((frames.samples)(&example).sample(1), None);
        assert_eq!((odd.samples)(&example).sample(0), None);
    }
}
