//! Messages a second, by differences of counters at each tick.

/// Rates of one stream over the last tick.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Counters at the last tick.
    queries: u64,
    responses: u64,
    /// Queries a second.
    pub qps: u64,
    /// Responses a second.
    pub rps: u64,
}

impl Rates {
    /// No traffic yet.
    pub const ZERO: Rates = Rates { queries: 0, responses: 0, qps: 0, rps: 0 };

    /// Takes the counters of now; `milliseconds` have passed since the last call.
    pub fn tick(&mut self, queries: u64, responses: u64, milliseconds: u64) {
        let rate = |now: u64, before: u64| {
            let difference = now.saturating_sub(before);
            (difference * 1_000 + milliseconds / 2) / milliseconds.max(1)
        };
        self.qps = rate(queries, self.queries);
        self.rps = rate(responses, self.responses);
        (self.queries, self.responses) = (queries, responses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_over_the_time_passed() {
        let mut rates = Rates::ZERO;
        rates.tick(100, 50, 1_000);
        assert_eq!((rates.qps, rates.rps), (100, 50));
        rates.tick(100, 250, 2_000);
        assert_eq!((rates.qps, rates.rps), (0, 100));
    }
}
