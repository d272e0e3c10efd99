//! Bursts: more responses of one code in a minute than usual.
//!
//! One count for the minute under way, by the messages' own clock. It is exact, and reports each response
//! from the threshold on, so that the alarm has all of them.

/// Responses of one code.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Burst {
    minute: u64,
    count: u64,
}

impl Burst {
    /// Counts one response; the count from the threshold on.
    pub(crate) fn count(&mut self, seconds: u64, threshold: u64) -> Option<u64> {
        let minute = seconds / 60;
        if minute != self.minute {
            *self = Burst { minute, count: 0 };
        }
        self.count += 1;
        (self.count >= threshold).then_some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_within_one_minute() {
        let mut burst = Burst::default();
        let mut count = |seconds: u64| burst.count(seconds, 3);
        assert_eq!([count(0), count(59), count(60), count(61)], [None; 4]);
        assert_eq!([count(119), count(119), count(119)], [Some(3), Some(4), Some(5)]);
        assert_eq!([count(120), count(121), count(122)], [None, None, Some(3)]);
    }
}
