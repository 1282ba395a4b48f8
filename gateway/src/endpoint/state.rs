//! What all workers know of an endpoint.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use super::health::{FailureShare, HealthSettings, Verdict};
use super::moment::{Moment, millis};

/// Full weight of an endpoint, in thousandths.
pub(super) const FULL: u64 = 1000;
/// Weight with which an endpoint begins its slow start, in thousandths.
const SLOWEST: u64 = 100;

/// The health of an endpoint, shared by all workers.
///
/// A request that succeeds reads two of these words and writes none, unless failures came before it.
#[derive(Debug)]
#[repr(align(64))]
pub struct EndpointState {
    /// Until when outcomes have it ejected.
    ejected_until: AtomicU64,
    /// Since when probes find it up; [`Moment::NEVER`] while they find it down.
    up_since: AtomicU64,
    /// Connect failures, resets and timeouts in a row.
    failures: AtomicU32,
    /// Failures and error statuses in a row.
    errors: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Attempts, and those that failed, in the window with this number.
    window: AtomicU64,
    window_requests: AtomicU32,
    window_failed: AtomicU32,
}

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes its share of the requests.
    Healthy,
    /// It came back lately and takes less than its share; the weight in thousandths.
    SlowStart(u64),
    /// Outcomes of requests ejected it until then.
    Ejected(Moment),
    /// Probes find it down.
    Down,
}

impl EndpointState {
    /// A healthy endpoint. With a `since` after [`Moment::START`] it begins with a slow start.
    pub fn new(since: Moment) -> Self {
        Self {
            ejected_until: AtomicU64::new(0),
            up_since: AtomicU64::new(since.millis()),
            failures: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            window: AtomicU64::new(0),
            window_requests: AtomicU32::new(0),
            window_failed: AtomicU32::new(0),
        }
    }

    fn ejected_until(&self) -> Moment {
        Moment::from_millis(self.ejected_until.load(Relaxed))
    }

    /// Since when it takes requests; in the future while it takes none.
    pub(super) fn in_service_since(&self) -> Moment {
        self.ejected_until().max(Moment::from_millis(self.up_since.load(Relaxed)))
    }

    /// Whether it takes requests.
    pub fn in_service(&self, now: Moment) -> bool {
        self.in_service_since() <= now
    }

    pub(super) fn ejected(&self, now: Moment) -> bool {
        self.ejected_until() > now
    }

    /// How much of its weight counts now, in thousandths: 0 out of service, all after the slow start.
    pub(super) fn share(&self, slow_start: Duration, now: Moment) -> u64 {
        let since = self.in_service_since();
        if since > now {
            return 0;
        }
        if since == Moment::START || slow_start.is_zero() {
            return FULL;
        }
        let elapsed = millis(now.since(since));
        (elapsed.saturating_mul(FULL) / millis(slow_start).max(1)).clamp(SLOWEST, FULL)
    }

    /// How it stands, for people and metrics.
    pub fn standing(&self, slow_start: Duration, now: Moment) -> Standing {
        if self.up_since.load(Relaxed) == Moment::NEVER.millis() {
            return Standing::Down;
        }
        match self.share(slow_start, now) {
            0 => Standing::Ejected(self.ejected_until()),
            FULL => Standing::Healthy,
            share => Standing::SlowStart(share),
        }
    }

    /// An attempt succeeded. What was under way when the endpoint was ejected does not count.
    pub(super) fn succeeded(&self, now: Moment) {
        if (self.errors.load(Relaxed) != 0 || self.failures.load(Relaxed) != 0) && self.in_service(now) {
            self.failures.store(0, Relaxed);
            self.errors.store(0, Relaxed);
        }
    }

    /// An attempt failed. Tells whether so many did in a row that it is to be ejected.
    pub(super) fn failed(&self, verdict: Verdict, settings: &HealthSettings) -> bool {
        let errors = add(&self.errors);
        let failures = if verdict == Verdict::Failure {
            add(&self.failures)
        } else {
            // It answers, so that failures to do so are no longer in a row.
            self.failures.store(0, Relaxed);
            0
        };
        settings.too_many(failures, errors)
    }

    /// Counts a failure, and the successes a worker saw since it last told. Tells whether the share of
    /// failures is such that it is to be ejected.
    pub(super) fn failed_in_window(&self, rule: &FailureShare, successes: u32, now: Moment) -> bool {
        let window = window(rule, now);
        if self.window.swap(window, Relaxed) != window {
            self.window_requests.store(0, Relaxed);
            self.window_failed.store(0, Relaxed);
        }
        let requests = self.window_requests.fetch_add(successes.saturating_add(1), Relaxed);
        let requests = u64::from(requests) + u64::from(successes) + 1;
        let failed = u64::from(add(&self.window_failed));
        requests >= u64::from(rule.min_requests) && failed * 100 >= requests * u64::from(rule.percent)
    }

    /// Takes it out of service and tells for how long.
    ///
    /// It comes back on probation: the first failure ejects it again, the first success clears it.
    pub(super) fn eject(&self, settings: &HealthSettings, now: Moment) -> Duration {
        let last_end = self.ejected_until();
        let first = last_end == Moment::START || now.since(last_end) >= settings.max_ejection_time;
        let earlier = if first { 0 } else { self.ejections.load(Relaxed) };
        let time = settings.time(earlier);
        self.ejections.store(earlier.saturating_add(1), Relaxed);
        self.failures.store(settings.consecutive_failures.saturating_sub(1), Relaxed);
        self.errors.store(settings.consecutive_errors.saturating_sub(1), Relaxed);
        self.window_requests.store(0, Relaxed);
        self.window_failed.store(0, Relaxed);
        self.ejected_until.store(now.after(time).millis(), Relaxed);
        time
    }

    /// Takes over what probes found; tells whether it is news.
    pub(super) fn probed(&self, up: bool, now: Moment) -> bool {
        let was_up = self.up_since.load(Relaxed) != Moment::NEVER.millis();
        if up != was_up {
            let since = if up { now } else { Moment::NEVER };
            self.up_since.store(since.millis(), Relaxed);
        }
        up != was_up
    }
}

/// The number of the window in which `now` lies.
pub(super) fn window(rule: &FailureShare, now: Moment) -> u64 {
    now.millis() / millis(rule.window).max(1)
}

/// One more, without wrapping.
fn add(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Relaxed).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EndpointState, Standing};
    use crate::endpoint::health::{FailureShare, HealthSettings, Verdict};
    use crate::endpoint::moment::Moment;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn failures_in_a_row_are_counted_by_kind() {
        use Verdict::{Error, Failure, Good};
        let settings =
            HealthSettings { consecutive_failures: 2, consecutive_errors: 4, ..HealthSettings::default() };
        let table: [(&[Verdict], bool); 6] = [
            (&[Failure], false),
            (&[Failure, Failure], true),
            (&[Failure, Good, Failure], false),
            (&[Failure, Error, Failure], false),
            (&[Failure, Error, Failure, Error], true),
            (&[Error, Error, Error, Good, Error], false),
        ];
        for (verdicts, expected) in table {
            let state = EndpointState::new(Moment::START);
            let mut last = false;
            for &verdict in verdicts {
                if verdict == Good {
                    state.succeeded(at(1));
                } else {
                    last = state.failed(verdict, &settings);
                }
            }
            assert_eq!(last, expected, "{verdicts:?}");
        }
    }

    #[test]
    fn an_endpoint_comes_back_slowly_and_on_probation() {
        let settings = HealthSettings::default();
        let slow = Duration::from_secs(10);
        let state = EndpointState::new(Moment::START);
        assert_eq!(state.share(slow, at(0)), 1000);
        assert_eq!(state.eject(&settings, at(100)), Duration::from_secs(5));
        assert_eq!(state.standing(slow, at(104)), Standing::Ejected(at(105)));
        // A success from before the ejection changes nothing.
        state.succeeded(at(104));
        for (second, share) in [(104, 0), (105, 100), (106, 100), (110, 500), (115, 1000), (999, 1000)] {
            assert_eq!(state.share(slow, at(second)), share, "{second}");
        }
        assert_eq!(state.standing(slow, at(110)), Standing::SlowStart(500));
        assert!(state.failed(Verdict::Error, &settings), "the first failure ejects again");
        assert_eq!(state.eject(&settings, at(110)), Duration::from_secs(10));
        state.succeeded(at(121));
        assert!(!state.failed(Verdict::Error, &settings), "a success clears it");
        assert_eq!(state.eject(&settings, at(130)), Duration::from_secs(20));
        assert_eq!(state.eject(&settings, at(449)), Duration::from_secs(40));
        assert_eq!(state.eject(&settings, at(489 + 300)), Duration::from_secs(5), "long in service");
    }

    #[test]
    fn probes_take_out_and_bring_back() {
        let state = EndpointState::new(Moment::START);
        let slow = Duration::from_secs(10);
        assert!(!state.probed(true, at(1)));
        assert!(state.probed(false, at(2)));
        assert!(!state.probed(false, at(3)));
        assert_eq!(state.standing(slow, at(4)), Standing::Down);
        assert!(!state.in_service(at(1_000_000)));
        assert!(state.probed(true, at(10)));
        assert_eq!(state.share(slow, at(15)), 500);
        state.eject(&HealthSettings::default(), at(15));
        assert!(!state.probed(true, at(16)), "a probe that succeeds does not end an ejection");
        assert!(!state.in_service(at(16)));
    }

    #[test]
    fn a_share_of_failures_ejects() {
        let rule = FailureShare { percent: 50, min_requests: 10, window: Duration::from_secs(10) };
        // For each failure: the second, the successes before it, and whether it ejects.
        let table: [&[(u64, u32, bool)]; 4] = [
            &[(1, 0, false), (1, 0, false)],
            &[(1, 9, false), (1, 0, false), (1, 0, false)],
            &[(1, 4, false), (1, 1, false), (1, 0, false), (1, 0, false), (1, 0, true)],
            &[(1, 4, false), (9, 0, false), (11, 9, false)],
        ];
        for steps in table {
            let state = EndpointState::new(Moment::START);
            for &(second, successes, expected) in steps {
                assert_eq!(state.failed_in_window(&rule, successes, at(second)), expected, "{steps:?}");
            }
        }
    }
}
