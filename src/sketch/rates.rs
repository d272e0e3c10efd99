//! Messages a second, by differences of counters at each tick: of the last tick, and on average.
//!
//! An average over a minute is one that forgets: what happened a minute ago counts 1/e of what happens now,
//! as in the load average of Unix. It needs no list of samples, two numbers for each stream and direction. So
//! that it is right from the first second on and not only after some minutes, it is divided by the part of
//! the time that it has seen ([`WindowCoverage`]).

/// Rates of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRates {
    queries: Rate,
    responses: Rate,
}

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// The counter at the last tick.
    counted: u64,
    /// Messages a second in the last tick.
    now: u64,
    /// Messages a second in millionths, by window; not yet divided by what was seen.
    averages: [u64; WINDOWS.len()],
}

/// The window of an average, in milliseconds.
const WINDOWS: [u64; 2] = [60_000, 300_000];

/// Which rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateKind {
    /// Queries.
    Queries,
    /// Responses.
    Responses,
    /// Both.
    Messages,
}

/// Over which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RatePeriod {
    /// The last second.
    Second,
    /// The last minute, more or less.
    Minute,
    /// The last five.
    FiveMinutes,
}

/// Reads the name of a rate: `qps`, `rps-1m`, `pps-5m`.
pub(crate) fn parse(name: &str) -> Option<(RateKind, RatePeriod)> {
    let (kind, period) = match name.split_once('-') {
        None => (name, RatePeriod::Second),
        Some((kind, "1m")) => (kind, RatePeriod::Minute),
        Some((kind, "5m")) => (kind, RatePeriod::FiveMinutes),
        Some(_) => return None,
    };
    let kind = match kind {
        "qps" => RateKind::Queries,
        "rps" => RateKind::Responses,
        "pps" => RateKind::Messages,
        _ => return None,
    };
    Some((kind, period))
}

impl StreamRates {
    /// No traffic yet.
    pub(crate) const ZERO: StreamRates = StreamRates { queries: Rate::ZERO, responses: Rate::ZERO };

    /// Takes the counters of now; `milliseconds` have passed since the last call.
    pub(crate) fn tick(&mut self, queries: u64, responses: u64, milliseconds: u64) {
        self.queries.tick(queries, milliseconds);
        self.responses.tick(responses, milliseconds);
    }

    /// A rate in millionths; an average is yet to be divided by what was seen.
    pub(crate) fn of(&self, kind: RateKind, period: RatePeriod) -> u64 {
        let flow = |flow: &Rate| match (period, flow.averages) {
            (RatePeriod::Second, _) => flow.now.saturating_mul(1_000_000),
            (RatePeriod::Minute, [minute, _]) => minute,
            (RatePeriod::FiveMinutes, [_, minutes]) => minutes,
        };
        match kind {
            RateKind::Queries => flow(&self.queries),
            RateKind::Responses => flow(&self.responses),
            RateKind::Messages => flow(&self.queries).saturating_add(flow(&self.responses)),
        }
    }
}

impl Rate {
    const ZERO: Rate = Rate { counted: 0, now: 0, averages: [0; WINDOWS.len()] };

    fn tick(&mut self, counted: u64, milliseconds: u64) {
        let difference = counted.saturating_sub(self.counted);
        self.counted = counted;
        if difference == 0 && self.averages == [0; WINDOWS.len()] {
            self.now = 0;
            return; // most streams of most daemons, most of the time
        }
        let milliseconds = milliseconds.max(1);
        self.now = (difference * 1_000 + milliseconds / 2) / milliseconds;
        let now = difference.saturating_mul(1_000_000_000) / milliseconds;
        for (average, window) in self.averages.iter_mut().zip(WINDOWS) {
            *average = forget(*average, now, milliseconds, window);
        }
    }
}

/// How much of each window was seen, since the counters began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowCoverage([u64; WINDOWS.len()]);

impl WindowCoverage {
    /// Nothing yet.
    pub(crate) const NOTHING: WindowCoverage = WindowCoverage([0; WINDOWS.len()]);
    const ALL: u64 = 1_000_000_000_000;

    /// So much time has passed.
    pub(crate) fn tick(&mut self, milliseconds: u64) {
        for (seen, window) in self.0.iter_mut().zip(WINDOWS) {
            *seen = forget(*seen, Self::ALL, milliseconds.max(1), window);
        }
    }

    /// The rate of a period in millionths, to the thousandth.
    pub(crate) fn complete(&self, rate: u64, period: RatePeriod) -> u64 {
        let WindowCoverage([minute, minutes]) = *self;
        let seen = match period {
            RatePeriod::Second => return rate,
            RatePeriod::Minute => minute,
            RatePeriod::FiveMinutes => minutes,
        };
        let rate = u128::from(rate) * u128::from(Self::ALL) / u128::from(seen.max(1));
        u64::try_from((rate + 500) / 1_000 * 1_000).unwrap_or(u64::MAX)
    }
}

/// The average when the value has been `now` for so long: `now + (average - now) * exp(-time / window)`, the
/// exponential by its first Padé approximant, which is right to 10^-6 for a second in a minute.
fn forget(average: u64, now: u64, milliseconds: u64, window: u64) -> u64 {
    let time = milliseconds.min(2 * window);
    let kept = average.saturating_mul(2 * window - time);
    kept.saturating_add(now.saturating_mul(2 * time)) / (2 * window + time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_over_the_time_passed() {
        let mut rates = StreamRates::ZERO;
        let of = |rates: &StreamRates| {
            [RateKind::Queries, RateKind::Responses, RateKind::Messages]
                .map(|kind| rates.of(kind, RatePeriod::Second))
        };
        rates.tick(100, 50, 1_000);
        assert_eq!(of(&rates), [100_000_000, 50_000_000, 150_000_000]);
        rates.tick(100, 250, 2_000);
        assert_eq!(of(&rates), [0, 100_000_000, 100_000_000]);
        rates.tick(100, 250, 0);
        assert_eq!(of(&rates), [0, 0, 0]);
    }

    /// The averages after each second of a flow, beside those computed with floating point.
    #[test]
    fn averages_are_those_of_the_formula_from_the_first_second_on() {
        let (mut rates, mut seen, mut counted) = (StreamRates::ZERO, WindowCoverage::NOTHING, 0);
        let mut exact = [[0.0; 2]; 2]; // sum and weight, by window
        let flow = |second: u32| match second {
            0..400 => 250,
            400..500 => 1_000_000,
            500..2000 => u64::from(second.is_multiple_of(3)),
            _ => 0,
        };
        for second in 0..12_000 {
            counted += flow(second);
            rates.tick(counted, 2 * counted, 1_000);
            seen.tick(1_000);
            let windows = [(60.0, RatePeriod::Minute), (300.0, RatePeriod::FiveMinutes)];
            for ((window, period), [sum, weight]) in windows.into_iter().zip(&mut exact) {
                let kept = f64::exp(-1.0 / window);
                *sum = *sum * kept + flow(second) as f64 * (1.0 - kept);
                *weight = *weight * kept + 1.0 - kept;
                let value = |kind| seen.complete(rates.of(kind, period), period) as f64 / 1e6;
                let expected = *sum / *weight;
                let off = (value(RateKind::Queries) - expected).abs();
                assert!(
                    off <= 0.0015 + expected * 1e-3,
                    "{second} s, {period:?}: {} for {expected}",
                    value(RateKind::Queries)
                );
                let all = (value(RateKind::Messages) - 3.0 * expected).abs();
                assert!(all <= 0.003 + expected * 3e-3, "{second} s, {period:?}");
            }
            if second < 400 {
                assert_eq!(
                    seen.complete(
                        rates.of(RateKind::Queries, RatePeriod::FiveMinutes),
                        RatePeriod::FiveMinutes
                    ),
                    250_000_000
                );
            }
        }
        assert_eq!(
            seen.complete(rates.of(RateKind::Messages, RatePeriod::FiveMinutes), RatePeriod::FiveMinutes),
            0
        );
    }

    #[test]
    fn any_time_may_pass_and_any_number_be_counted() {
        for milliseconds in [0, 1, 999, 120_000, 600_000, 86_400_000, u64::MAX / 2] {
            let (mut rates, mut seen) = (StreamRates::ZERO, WindowCoverage::NOTHING);
            for counted in [1, 1_000_000_000_000, u64::MAX / 2_000, 0] {
                rates.tick(counted, counted, milliseconds);
                seen.tick(milliseconds);
                for period in [RatePeriod::Second, RatePeriod::Minute, RatePeriod::FiveMinutes] {
                    seen.complete(rates.of(RateKind::Messages, period), period);
                }
            }
        }
    }

    #[test]
    fn names_are_read_or_refused() {
        assert_eq!(parse("qps"), Some((RateKind::Queries, RatePeriod::Second)));
        assert_eq!(parse("rps-1m"), Some((RateKind::Responses, RatePeriod::Minute)));
        assert_eq!(parse("pps-5m"), Some((RateKind::Messages, RatePeriod::FiveMinutes)));
        for wrong in ["", "qps-", "qps-2m", "query-1m", "qps-1m-5m", "-1m"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
