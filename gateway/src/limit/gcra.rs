//! The generic cell rate algorithm: a token bucket that is one number.
//!
//! The number is the time at which the bucket will be full again. A request moves it on by the time that
//! one token takes to come back. A request for which it would lie further ahead than a whole bucket takes
//! is refused, and changes nothing.

use super::{Decision, Standing, seconds_up};

/// A rate with the burst that it allows. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// The time in which one token comes back.
    interval: u64,
    /// The tokens of a full bucket.
    burst: u64,
}

impl Gcra {
    /// `requests` in each `per` nanoseconds, of which `burst` may come at once.
    pub fn new(requests: u64, per: u64, burst: u64) -> Self {
        Self { interval: (per / requests.max(1)).max(1), burst: burst.max(1) }
    }

    /// The time in which one token comes back, and the tokens of a full bucket.
    pub fn parts(self) -> (u64, u64) {
        (self.interval, self.burst)
    }

    /// Takes a token at `now` from the bucket that is full at `full_at`, if there is one.
    pub fn take(self, full_at: &mut u64, now: u64) -> Decision {
        let next = now.max(*full_at).saturating_add(self.interval);
        let decision = self.judge(next - now);
        if matches!(decision, Decision::Allowed(_)) {
            *full_at = next;
        }
        decision
    }

    /// The time in which an empty bucket fills.
    pub fn most(self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }

    /// What is said of a request after which the bucket would be full in `ahead` nanoseconds.
    pub fn judge(self, ahead: u64) -> Decision {
        match ahead.checked_sub(self.most()) {
            None | Some(0) => Decision::Allowed(self.standing(ahead)),
            Some(wait) => Decision::Refused(Standing { remaining: 0, reset: seconds_up(wait) }),
        }
    }

    /// What a bucket that is full in `ahead` nanoseconds says of itself.
    pub fn standing(self, ahead: u64) -> Standing {
        let missing = ahead.div_ceil(self.interval);
        let next_token = ahead - missing.saturating_sub(1) * self.interval;
        Standing { remaining: self.burst.saturating_sub(missing), reset: seconds_up(next_token) }
    }

    /// Gives a token back that was taken for a request which another limit refused.
    pub fn give_back(self, full_at: &mut u64) {
        *full_at = full_at.saturating_sub(self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Gcra, Standing};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn tokens_are_taken_and_come_back() {
        // Two a second, three at once.
        let rate = Gcra::new(2, SECOND, 3);
        let allowed = |remaining, reset| Decision::Allowed(Standing { remaining, reset });
        let refused = |reset| Decision::Refused(Standing { remaining: 0, reset });
        let mut full_at = 0;
        let table = [
            (10 * SECOND, allowed(2, 1)),
            (10 * SECOND, allowed(1, 1)),
            (10 * SECOND, allowed(0, 1)),
            (10 * SECOND, refused(1)),
            // A refused request costs nothing: the token of 10.5 s is there.
            (10 * SECOND + SECOND / 2 - 1, refused(1)),
            (10 * SECOND + SECOND / 2, allowed(0, 1)),
            (10 * SECOND + SECOND / 2, refused(1)),
            (60 * SECOND, allowed(2, 1)),
        ];
        for (row, (now, expected)) in table.into_iter().enumerate() {
            assert_eq!(rate.take(&mut full_at, now), expected, "row {row}");
        }
        rate.give_back(&mut full_at);
        assert_eq!(rate.take(&mut full_at, 60 * SECOND), allowed(2, 1));
    }

    #[test]
    fn the_rate_holds_over_a_long_time() {
        for (requests, per, burst) in
            [(1, SECOND, 1), (7, SECOND, 1), (100, 60 * SECOND, 10), (1000, SECOND, 1000)]
        {
            let rate = Gcra::new(requests, per, burst);
            let (mut full_at, mut allowed) = (0, 0);
            let periods = 20;
            for step in 0..periods * 5000 {
                let now = step * (per / 5000);
                allowed += u64::from(matches!(rate.take(&mut full_at, now), Decision::Allowed(_)));
            }
            let most = (requests * periods + burst).min(periods * 5000);
            assert!(
                allowed <= most && allowed + burst + periods >= most,
                "{requests} {per} {burst}: {allowed} of {most}"
            );
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rate = Gcra::new(1, u64::MAX, u64::MAX);
        let mut full_at = u64::MAX;
        for now in [0, u64::MAX] {
            let _ = rate.take(&mut full_at, now);
        }
        let _ = Gcra::new(u64::MAX, 1, 0).take(&mut 0, 5);
    }
}
