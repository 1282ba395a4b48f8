//! Results of settings reloads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exposition::Exposition;

const TOTAL: &str = "gateway_config_reloads_total";
const GOOD: &str = "gateway_config_last_reload_successful";
const WHEN: &str = "gateway_config_last_reload_success_timestamp_seconds";
const TIME: &str = "gateway_config_last_reload_duration_seconds";

/// The reloads of the process.
#[derive(Debug)]
pub struct Reloads(Mutex<ReloadHistory>);

/// The results so far.
#[derive(Debug, Clone)]
pub struct ReloadHistory {
    /// Successful reloads.
    pub succeeded: u64,
    /// Failed reloads; the previous settings stayed in force.
    pub failed: u64,
    /// Time of the last successful reload.
    pub last_success: SystemTime,
    /// Time of the last reload.
    pub last: SystemTime,
    /// How long the last reload took.
    pub duration: Duration,
    /// The problems of the last reload, one per line; empty if it succeeded.
    pub problems: Vec<String>,
}

impl Default for Reloads {
    fn default() -> Self {
        let now = SystemTime::now();
        Self(Mutex::new(ReloadHistory {
            succeeded: 0,
            failed: 0,
            last_success: now,
            last: now,
            duration: Duration::ZERO,
            problems: Vec::new(),
        }))
    }
}

impl Reloads {
    /// The results so far.
    pub fn history(&self) -> ReloadHistory {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records a reload; it failed if there are problems.
    pub fn ended(&self, duration: Duration, problems: Vec<String>) {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.last = SystemTime::now();
        history.duration = duration;
        if problems.is_empty() {
            history.succeeded += 1;
            history.last_success = history.last;
        } else {
            history.failed += 1;
        }
        history.problems = problems;
    }

    /// Adds the families.
    pub(super) fn render(&self, out: &mut Exposition) {
        let history = self.history();
        out.family(TOTAL, "counter", "Reloads of the settings, by result.");
        out.sample(&[("result", "success")], history.succeeded);
        out.sample(&[("result", "failure")], history.failed);
        out.family(GOOD, "gauge", "Whether the last reload of the settings succeeded; 1 before the first.");
        out.sample(&[], u8::from(history.problems.is_empty()));
        out.family(WHEN, "gauge", "Time of the last successful reload, since 1970.");
        let since = history.last_success.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.sample(&[], since.as_secs());
        out.family(TIME, "gauge", "Duration of the last reload of the settings.");
        out.sample(&[], history.duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Reloads;
    use crate::observe::exposition::Exposition;
    use crate::observe::format::Format;

    #[test]
    fn reloads_are_counted_and_the_last_one_is_reported() {
        let reloads = Reloads::default();
        let has = |line: &str| {
            let mut out = Exposition::default();
            reloads.render(&mut out);
            let text = String::from_utf8(out.finish(Format::Text)).expect("text");
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        };
        has("gateway_config_last_reload_successful 1");
        let begun = reloads.history().last_success;
        reloads.ended(Duration::from_millis(3), vec!["f:1:1: bad".to_owned()]);
        assert_eq!(reloads.history().last_success, begun);
        has("gateway_config_last_reload_successful 0");
        has("gateway_config_reloads_total{result=\"failure\"} 1");
        reloads.ended(Duration::from_millis(250), Vec::new());
        has("gateway_config_last_reload_successful 1");
        has("gateway_config_reloads_total{result=\"success\"} 1");
        has("gateway_config_last_reload_duration_seconds 0.25");
        assert!(reloads.history().last_success >= begun);
    }
}
