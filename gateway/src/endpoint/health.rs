//! Ejection rules and ejection times.

use std::time::Duration;

use super::statuses::Statuses;

/// The outcome of one attempt at an endpoint. Faults of the client (it disconnected, its body was too long)
/// are not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A final response with this status.
    Status(u16),
    /// No connection: name resolution, TCP connect or TLS handshake failed.
    ConnectFailed,
    /// The connection broke before the end of the response, or the response was not HTTP.
    Reset,
    /// A timeout while connecting or waiting for the response.
    TimedOut,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::ConnectFailed => f.write_str("a failure to connect"),
            Self::Reset => f.write_str("a broken connection"),
            Self::TimedOut => f.write_str("a timeout"),
        }
    }
}

/// Ejection by the percentage of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureShare {
    /// The percentage of failures that ejects.
    pub percent: u32,
    /// Minimum number of attempts for a decision.
    pub min_requests: u32,
    /// The time over which attempts are counted.
    pub window: Duration,
}

/// Ejection settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Statuses that count as errors.
    pub error_statuses: Statuses,
    /// Consecutive connect failures that eject; 0 turns the rule off.
    pub consecutive_failures: u32,
    /// Consecutive connect failures, resets, timeouts or error statuses that eject; 0 turns the rule off.
    pub consecutive_errors: u32,
    /// Ejection by the percentage of failures and error statuses.
    pub failure_share: Option<FailureShare>,
    /// Duration of the first ejection; each further one lasts twice as long.
    pub ejection_time: Duration,
    /// Maximum duration of an ejection. After this time in service the count of ejections restarts.
    pub max_ejection_time: Duration,
    /// Maximum percentage of ejected endpoints of an upstream; one endpoint may always be ejected.
    pub max_ejected_percent: u32,
    /// Time over which a returning endpoint gets its full weight.
    pub slow_start: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            error_statuses: Statuses::new([(500, 599)]),
            consecutive_failures: 3,
            consecutive_errors: 5,
            failure_share: None,
            ejection_time: Duration::from_secs(5),
            max_ejection_time: Duration::from_mins(5),
            max_ejected_percent: 67,
            slow_start: Duration::from_secs(10),
        }
    }
}

/// Classification of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// It was reached, and answered with an error, broke the connection or was too slow.
    Error,
    /// It was not reached.
    Failure,
}

impl HealthSettings {
    pub(super) fn verdict(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Status(status) if self.error_statuses.contains(status) => Verdict::Error,
            Outcome::Status(_) => Verdict::Good,
            Outcome::Reset | Outcome::TimedOut => Verdict::Error,
            Outcome::ConnectFailed => Verdict::Failure,
        }
    }

    /// Whether these consecutive counts eject.
    pub(super) fn too_many(&self, failures: u32, errors: u32) -> bool {
        let reached = |count, limit| limit != 0 && count >= limit;
        reached(failures, self.consecutive_failures) || reached(errors, self.consecutive_errors)
    }

    /// Duration of an ejection after `earlier` others.
    pub(super) fn time(&self, earlier: u32) -> Duration {
        let factor = 1u32.checked_shl(earlier).unwrap_or(u32::MAX);
        self.ejection_time.saturating_mul(factor).min(self.max_ejection_time)
    }

    /// Maximum number of ejected endpoints out of `endpoints`.
    pub(super) fn may_be_ejected(&self, endpoints: usize) -> usize {
        let percent = usize::try_from(self.max_ejected_percent.min(100)).unwrap_or(100);
        (endpoints * percent / 100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{HealthSettings, Outcome, Statuses, Verdict};

    #[test]
    fn outcomes_are_classified_by_the_settings() {
        let settings = HealthSettings { error_statuses: Statuses::new([(502, 504)]), ..Default::default() };
        let table = [
            (Outcome::Status(200), Verdict::Good),
            (Outcome::Status(404), Verdict::Good),
            (Outcome::Status(500), Verdict::Good),
            (Outcome::Status(502), Verdict::Error),
            (Outcome::Status(504), Verdict::Error),
            (Outcome::ConnectFailed, Verdict::Failure),
            (Outcome::Reset, Verdict::Error),
            (Outcome::TimedOut, Verdict::Error),
        ];
        for (outcome, expected) in table {
            assert_eq!(settings.verdict(outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn ejection_time_doubles() {
        let settings = HealthSettings::default();
        for (earlier, seconds) in [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (31, 300), (200, 300)] {
            assert_eq!(settings.time(earlier), Duration::from_secs(seconds), "{earlier}");
        }
    }

    #[test]
    fn ejected_share_is_limited() {
        let limit = |percent, endpoints| {
            HealthSettings { max_ejected_percent: percent, ..Default::default() }.may_be_ejected(endpoints)
        };
        for (percent, endpoints, expected) in
            [(67, 1, 1), (67, 2, 1), (67, 3, 2), (67, 10, 6), (0, 10, 1), (100, 4, 4), (400, 4, 4)]
        {
            assert_eq!(limit(percent, endpoints), expected, "{percent} % of {endpoints}");
        }
    }

    #[test]
    fn zero_disables_a_rule() {
        let settings =
            HealthSettings { consecutive_failures: 0, consecutive_errors: 0, ..Default::default() };
        assert!(!settings.too_many(1000, 1000));
    }
}
