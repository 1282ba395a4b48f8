//! Which endpoint takes the next request.

use std::time::{Duration, Instant};

/// Goes around the endpoints of one upstream and passes over those that failed lately.
#[derive(Debug)]
pub struct Balance {
    next: usize,
    /// For each endpoint, until when it is passed over.
    resting: Vec<Option<Instant>>,
    cooldown: Duration,
}

impl Balance {
    /// A round of so many endpoints. `start` lets threads begin at different ones.
    pub fn new(endpoints: usize, start: usize, cooldown: Duration) -> Self {
        Self { next: start, resting: vec![None; endpoints], cooldown }
    }

    /// The next endpoint, if there is any at all.
    ///
    /// Those in `tried` come last, those that rest before them: an endpoint that is passed over is
    /// still better than none.
    pub fn pick(&mut self, tried: &[usize], now: Instant) -> Option<usize> {
        let count = self.resting.len();
        let rank = |endpoint: usize| {
            let rests = self.resting[endpoint].is_some_and(|until| until > now);
            (tried.contains(&endpoint), rests)
        };
        // `min_by_key` takes the first of equals, which is the next in turn.
        let picked = (0..count)
            .map(|step| self.next.wrapping_add(step) % count)
            .min_by_key(|&endpoint| rank(endpoint))?;
        self.next = picked + 1;
        Some(picked)
    }

    /// The endpoint could not be reached.
    pub fn failed(&mut self, endpoint: usize, now: Instant) {
        if let Some(resting) = self.resting.get_mut(endpoint) {
            *resting = Some(now + self.cooldown);
        }
    }

    /// The endpoint could be reached.
    pub fn succeeded(&mut self, endpoint: usize) {
        if let Some(resting) = self.resting.get_mut(endpoint) {
            *resting = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Balance;

    #[test]
    fn endpoints_take_turns() {
        let mut balance = Balance::new(3, 1, Duration::from_secs(5));
        let now = Instant::now();
        let picks: Vec<_> = (0..6).filter_map(|_| balance.pick(&[], now)).collect();
        assert_eq!(picks, [1, 2, 0, 1, 2, 0]);
        assert_eq!(Balance::new(0, 7, Duration::ZERO).pick(&[], now), None);
    }

    #[test]
    fn a_failed_endpoint_rests() {
        let mut balance = Balance::new(3, 0, Duration::from_secs(5));
        let now = Instant::now();
        balance.failed(1, now);
        let picks: Vec<_> = (0..4).filter_map(|_| balance.pick(&[], now)).collect();
        assert_eq!(picks, [0, 2, 0, 2]);
        let later = now + Duration::from_secs(6);
        assert_eq!(balance.pick(&[], later), Some(0));
        assert_eq!(balance.pick(&[], later), Some(1));
        balance.failed(2, later);
        balance.succeeded(2);
        assert_eq!(balance.pick(&[], later), Some(2));
    }

    #[test]
    fn an_endpoint_tried_before_is_the_last_choice() {
        let mut balance = Balance::new(2, 0, Duration::from_secs(5));
        let now = Instant::now();
        assert_eq!(balance.pick(&[0], now), Some(1));
        balance.failed(1, now);
        assert_eq!(balance.pick(&[0], now), Some(1));
        assert_eq!(balance.pick(&[0, 1], now), Some(0));
    }
}
