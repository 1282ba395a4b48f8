//! When an endpoint is ejected, and for how long.

use std::time::Duration;

use super::statuses::Statuses;

/// How one attempt at an endpoint ended. What the client did (it went away, its body was too long)
/// is no outcome of the endpoint and is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A final response with this status arrived.
    Status(u16),
    /// No connection: the name did not resolve, the connection was refused, the TLS handshake failed.
    ConnectFailed,
    /// The connection broke before the end of the response, or what came was not HTTP.
    Reset,
    /// The connection or the response did not come in time.
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

/// Ejects an endpoint by the share of its attempts that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureShare {
    /// The share of failures that ejects, in percent.
    pub percent: u32,
    /// The number of attempts below which nothing is decided.
    pub min_requests: u32,
    /// The time over which attempts are counted.
    pub window: Duration,
}

/// How outcomes decide on an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Statuses that count as errors of the endpoint.
    pub error_statuses: Statuses,
    /// Ejects after so many connect failures in a row; 0 for never.
    pub consecutive_failures: u32,
    /// Ejects after so many connect failures, resets, timeouts or error statuses in a row; 0 for never.
    pub consecutive_errors: u32,
    /// Ejects by the share of failures and error statuses.
    pub failure_share: Option<FailureShare>,
    /// How long the first ejection lasts; each further one lasts twice as long.
    pub ejection_time: Duration,
    /// The longest ejection. After so long in service the next ejection is a first one again.
    pub max_ejection_time: Duration,
    /// How much of an upstream outcomes may eject at a time, in percent; one endpoint always.
    pub max_ejected_percent: u32,
    /// How long an endpoint that comes back takes to get its full weight.
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

/// What an outcome says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// It was reached, and answered with an error, broke off or was too slow.
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

    /// Whether so many in a row eject.
    pub(super) fn too_many(&self, failures: u32, errors: u32) -> bool {
        let reached = |count, limit| limit != 0 && count >= limit;
        reached(failures, self.consecutive_failures) || reached(errors, self.consecutive_errors)
    }

    /// How long an ejection lasts that follows `earlier` others.
    pub(super) fn time(&self, earlier: u32) -> Duration {
        let factor = 1u32.checked_shl(earlier).unwrap_or(u32::MAX);
        self.ejection_time.saturating_mul(factor).min(self.max_ejection_time)
    }

    /// How many of so many endpoints may be ejected at a time.
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
    fn outcomes_by_setting() {
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
    fn each_ejection_is_twice_as_long() {
        let settings = HealthSettings::default();
        for (earlier, seconds) in [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (31, 300), (200, 300)] {
            assert_eq!(settings.time(earlier), Duration::from_secs(seconds), "{earlier}");
        }
    }

    #[test]
    fn a_part_of_an_upstream_stays() {
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
    fn zero_turns_a_rule_off() {
        let settings =
            HealthSettings { consecutive_failures: 0, consecutive_errors: 0, ..Default::default() };
        assert!(!settings.too_many(1000, 1000));
    }
}
