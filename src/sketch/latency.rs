//! Percentiles of the latency: a histogram with buckets that grow with what they hold.
//!
//! ```text
//! microseconds | 0 | 1 | ... | 7 | 8 | ... | 15 | 16 17 | 18 19 | ... | 64 .. 71 | 72 .. 79 | ...
//! ```
//!
//! From 8 on, eight buckets for each power of two, up to the minute that the longest latency has. A
//! percentile is the middle of the bucket that it falls in, so it is off by a sixteenth (6.3 %) at most;
//! below 8 microseconds by no more than the rounding, and it is one microsecond at least, so that 0 means
//! that there is none.
//!
//! It speaks of the present: every [`HALVING_MS`] everything counts half of what it did, and has gone after
//! half an hour. So that a lone response does not go with the first halving, each counts `WEIGHT`.

use crate::limits::LATENCY_BUCKETS;
use crate::time::Latency;

/// Latencies of one stream.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram {
    buckets: [u32; LATENCY_BUCKETS],
}

/// Milliseconds after which what was counted counts half.
pub(crate) const HALVING_MS: u64 = 300_000;

/// The weight of a response.
const WEIGHT: u32 = 64;

/// Buckets for each power of two, and as its logarithm.
const PARTS: u32 = 1 << PART_BITS;
const PART_BITS: u32 = 3;

/// Reads the name of a percentile: `latency-p95`.
pub(crate) fn parse(name: &str) -> Option<u64> {
    match name {
        "latency-p50" => Some(50),
        "latency-p95" => Some(95),
        "latency-p99" => Some(99),
        _ => None,
    }
}

impl LatencyHistogram {
    /// Nothing counted yet.
    pub(crate) const NONE: LatencyHistogram = LatencyHistogram { buckets: [0; LATENCY_BUCKETS] };

    /// Counts one response.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count(&mut self, latency: Latency) {
        let Some(bucket) = self.buckets.get_mut(bucket(latency.microseconds() as u32)) else { return };
        *bucket += WEIGHT;
        if *bucket >= u32::MAX / 2 {
            self.halve(); // before its time: 30 million responses of one kind
        }
    }

    /// Counts what another one counted, too.
    pub(crate) fn add(&mut self, other: &LatencyHistogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(more);
        }
        if self.buckets.iter().any(|bucket| *bucket >= u32::MAX / 2) {
            self.halve(); // as in `count`
        }
    }

    /// Makes everything count half.
    pub(crate) fn halve(&mut self) {
        for bucket in &mut self.buckets {
            *bucket /= 2;
        }
    }
}

/// Latencies in half of the memory: of 16 microseconds and more, and what is shorter counts as 16. Each
/// response has a quarter of the weight, and everything counts half before its time after four thousand of
/// one kind.
#[derive(Clone, Debug)]
pub(crate) struct CompactHistogram {
    buckets: [u16; LATENCY_BUCKETS - COMPACT_FIRST],
}

/// The bucket of 16 microseconds.
const COMPACT_FIRST: usize = 16;

/// The weight of a response.
const COMPACT_WEIGHT: u16 = 16;

impl CompactHistogram {
    /// Nothing counted yet.
    pub(crate) const NONE: CompactHistogram =
        CompactHistogram { buckets: [0; LATENCY_BUCKETS - COMPACT_FIRST] };

    /// Counts one response.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count(&mut self, latency: Latency) {
        let place = bucket(latency.microseconds() as u32).saturating_sub(COMPACT_FIRST);
        let Some(bucket) = self.buckets.get_mut(place) else { return };
        *bucket += COMPACT_WEIGHT;
        if *bucket >= u16::MAX - COMPACT_WEIGHT {
            self.halve();
        }
    }

    /// Makes everything count half.
    pub(crate) fn halve(&mut self) {
        for bucket in &mut self.buckets {
            *bucket /= 2;
        }
    }

    /// Whether no response counts any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|&bucket| bucket == 0)
    }

    /// Responses that still count, of which the older ones count less.
    pub(crate) fn responses(&self) -> u32 {
        self.buckets.iter().map(|bucket| u32::from(*bucket)).sum::<u32>() / u32::from(COMPACT_WEIGHT)
    }

    /// Microseconds within which that many in a hundred of all responses stay; 0 when there are none.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        reach(percent, self.buckets.iter().map(|bucket| u64::from(*bucket)))
            .map_or(0, |bucket| middle(bucket + COMPACT_FIRST))
    }
}

/// Microseconds within which that many in a hundred of all responses stay; 0 when there are none.
pub(crate) fn percentile<'a>(percent: u64, all: impl Iterator<Item = &'a LatencyHistogram>) -> u64 {
    let mut sums = [0u64; LATENCY_BUCKETS];
    for latencies in all {
        sums.iter_mut().zip(latencies.buckets).for_each(|(sum, bucket)| *sum += u64::from(bucket));
    }
    reach(percent, sums.iter().copied()).map_or(0, |bucket| middle(bucket).max(1))
}

/// The bucket with which that many in a hundred of all are reached.
fn reach(percent: u64, counts: impl Iterator<Item = u64> + Clone) -> Option<usize> {
    let wanted = (counts.clone().sum::<u64>() * percent).div_ceil(100).max(1);
    let mut passed = 0;
    { counts }.position(|count| {
        passed += count;
        passed >= wanted
    })
}

/// The bucket of a latency.
pub(crate) fn bucket(microseconds: u32) -> usize {
    let Some(exponent) = microseconds.checked_ilog2().and_then(|power| power.checked_sub(PART_BITS)) else {
        return microseconds as usize;
    };
    // The highest bit is the first of the `PARTS` that come before, and the bits after it count on from
    // there.
    (exponent * PARTS + (microseconds >> exponent)) as usize
}

/// The microseconds in the middle of a bucket, rounded down.
pub(crate) fn middle(bucket: usize) -> u64 {
    let (bucket, parts) = (bucket as u64, u64::from(PARTS));
    let Some(exponent) = (bucket / parts).checked_sub(1) else { return bucket };
    let first = (bucket - exponent * parts) << exponent;
    first + ((1 << exponent) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn latency(microseconds: u64) -> Latency {
        let asked = Time::new(1_700_000_000, 0).unwrap();
        let answered =
            Time::new(1_700_000_000 + microseconds / 1_000_000, (microseconds % 1_000_000) as u32 * 1_000);
        Latency::between(asked, answered.unwrap()).unwrap()
    }

    #[test]
    fn buckets_follow_each_other_and_hold_every_latency() {
        let mut last = 0;
        for microseconds in (0..100_000).chain((100_000..60_000_000).step_by(997)).chain([60_000_000]) {
            let bucket = bucket(microseconds);
            assert!(bucket == last || bucket == last + 1, "{microseconds}");
            last = bucket;
            let off = middle(bucket).abs_diff(u64::from(microseconds));
            assert!(off * 16 <= u64::from(microseconds), "{microseconds} is off by {off}");
        }
        assert_eq!(last, LATENCY_BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 24) as f64
        };
        for spread in [1.0, 4.0, 12.0] {
            let mut values: Vec<u64> =
                (0..20_000).map(|_| (200.0 * f64::exp(spread * random())) as u64).collect();
            let mut streams = [LatencyHistogram::NONE, LatencyHistogram::NONE];
            let mut compact = CompactHistogram::NONE;
            for (number, &value) in values.iter().enumerate() {
                streams[usize::from(number % 7 == 0)].count(latency(value));
                compact.count(latency(value));
            }
            values.sort_unstable();
            for percent in [50, 95, 99] {
                let exact = values[values.len() * percent as usize / 100 - 1];
                let found = percentile(percent, streams.iter());
                assert!(found.abs_diff(exact) * 16 <= exact, "{spread}, {percent} %: {found} for {exact}");
                let found = compact.percentile(percent);
                assert!(found.abs_diff(exact) * 16 <= exact, "{spread}, {percent} %: {found} for {exact}");
            }
        }
    }

    #[test]
    fn many_of_one_kind_leave_the_others() {
        let mut compact = CompactHistogram::NONE;
        assert_eq!((compact.percentile(50), compact.responses()), (0, 0));
        for number in 0..100_000 {
            compact.count(latency(if number % 20 == 0 { 50_000 } else { 3 }));
        }
        assert_eq!(compact.percentile(50), 16, "and less");
        assert!(compact.percentile(99).abs_diff(50_000) * 16 <= 50_000 && compact.responses() > 2_000);
    }

    #[test]
    fn what_is_long_ago_goes() {
        let mut latencies = LatencyHistogram::NONE;
        assert_eq!(percentile(50, [&latencies].into_iter()), 0);
        latencies.count(latency(5));
        for halvings in 0..7 {
            assert_eq!(percentile(50, [&latencies].into_iter()), 5, "{halvings}");
            latencies.halve();
        }
        assert_eq!(percentile(99, [&latencies].into_iter()), 0);
        // Of what is new and old, the new counts more.
        (0..100).for_each(|_| latencies.count(latency(1)));
        latencies.halve();
        (0..60).for_each(|_| latencies.count(latency(7)));
        assert_eq!(percentile(50, [&latencies].into_iter()), 7);
    }

    #[test]
    fn a_full_bucket_loses_half_and_the_shares_stay() {
        let mut latencies = LatencyHistogram::NONE;
        latencies.buckets[3] = u32::MAX / 2 - WEIGHT;
        latencies.buckets[4] = u32::MAX / 4;
        latencies.count(latency(3));
        assert_eq!((latencies.buckets[3], latencies.buckets[4]), (u32::MAX / 4, u32::MAX / 8));
    }

    #[test]
    fn names_are_read_or_refused() {
        assert_eq!(
            ["latency-p50", "latency-p95", "latency-p99", "latency-p98", "latency"].map(parse),
            [Some(50), Some(95), Some(99), None, None]
        );
    }
}
