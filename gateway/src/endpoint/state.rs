//! Health of an endpoint, shared by all workers.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use super::health::{FailureShare, HealthSettings, Verdict};
use super::moment::{Moment, millis};

/// Full weight of an endpoint, in thousandths.
pub(super) const FULL: u64 = 1000;
/// Initial weight of the slow start, in thousandths.
const INITIAL_WEIGHT: u64 = 100;

/// The health of an endpoint, shared by all workers.
///
/// A successful request reads two of these words and writes none, unless failures came before it.
#[derive(Debug)]
#[repr(align(64))]
pub struct EndpointState {
    /// End of the ejection.
    ejected_until: AtomicU64,
    /// Start of the time in which probes succeed; [`Moment::NEVER`] while they fail.
    up_since: AtomicU64,
    /// Consecutive connect failures, resets and timeouts.
    failures: AtomicU32,
    /// Consecutive failures and error statuses.
    errors: AtomicU32,
    /// Consecutive ejections.
    ejections: AtomicU32,
    /// A window's number, with its attempts and failed attempts.
    window: AtomicU64,
    window_requests: AtomicU32,
    window_failed: AtomicU32,
}

/// Health of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In service with full weight.
    Healthy,
    /// In slow start; the weight in thousandths.
    SlowStart(u64),
    /// Ejected until this moment.
    Ejected(Moment),
    /// Down according to probes.
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

    /// The moment from which it is in service; in the future while it is not.
    pub(super) fn in_service_since(&self) -> Moment {
        self.ejected_until().max(Moment::from_millis(self.up_since.load(Relaxed)))
    }

    /// Whether it is in service.
    pub fn in_service(&self, now: Moment) -> bool {
        self.in_service_since() <= now
    }

    pub(super) fn ejected(&self, now: Moment) -> bool {
        self.ejected_until() > now
    }

    /// Its effective weight in thousandths: 0 out of service, 1000 after the slow start.
    pub(super) fn share(&self, slow_start: Duration, now: Moment) -> u64 {
        let since = self.in_service_since();
        if since > now {
            return 0;
        }
        if since == Moment::START || slow_start.is_zero() {
            return FULL;
        }
        let elapsed = millis(now.since(since));
        (elapsed.saturating_mul(FULL) / millis(slow_start).max(1)).clamp(INITIAL_WEIGHT, FULL)
    }

    /// Its health, for people and metrics.
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

    /// Records a success. Attempts that began before the ejection do not count.
    pub(super) fn succeeded(&self, now: Moment) {
        if (self.errors.load(Relaxed) != 0 || self.failures.load(Relaxed) != 0) && self.in_service(now) {
            self.failures.store(0, Relaxed);
            self.errors.store(0, Relaxed);
        }
    }

    /// Records a failure. Returns whether the number of consecutive failures ejects it.
    pub(super) fn failed(&self, verdict: Verdict, settings: &HealthSettings) -> bool {
        let errors = add(&self.errors);
        let failures = if verdict == Verdict::Failure {
            add(&self.failures)
        } else {
            // It answered, so the connect failures are no longer consecutive.
            self.failures.store(0, Relaxed);
            0
        };
        settings.too_many(failures, errors)
    }

    /// Counts a failure, and the successes of a worker since its last report. Returns whether the percentage
    /// of failures ejects it.
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

    /// Ejects it and returns the duration.
    ///
    /// It returns on probation: the first failure ejects it again, the first success ends the probation.
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

    /// Applies the result of probes; returns whether it changed the state.
    pub(super) fn probed(&self, up: bool, now: Moment) -> bool {
        let was_up = self.up_since.load(Relaxed) != Moment::NEVER.millis();
        if up != was_up {
            let since = if up { now } else { Moment::NEVER };
            self.up_since.store(since.millis(), Relaxed);
        }
        up != was_up
    }
}

/// The number of the window that contains `now`.
pub(super) fn window(rule: &FailureShare, now: Moment) -> u64 {
    now.millis() / millis(rule.window).max(1)
}

/// Increments without wrapping.
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
    fn consecutive_failures_are_counted_by_kind() {
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
    fn endpoint_returns_with_slow_start_and_probation() {
        let settings = HealthSettings::default();
        let slow = Duration::from_secs(10);
        let state = EndpointState::new(Moment::START);
        assert_eq!(state.share(slow, at(0)), 1000);
        assert_eq!(state.eject(&settings, at(100)), Duration::from_secs(5));
        assert_eq!(state.standing(slow, at(104)), Standing::Ejected(at(105)));
        // A success from before the ejection is ignored.
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
    fn probes_mark_down_and_up() {
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
    fn failure_percentage_ejects() {
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
