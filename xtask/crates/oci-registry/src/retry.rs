//! The retry policy of failed requests.
//!
//! Time, sleep and random numbers come from [`Clock`].

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Time, sleep and random numbers.
pub trait Clock: Send + Sync {
    /// The time that durations are measured with.
    fn now(&self) -> Instant;
    /// The date, for headers that name one.
    fn date(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, duration: Duration);
    /// An unpredictable random number, uniform in `u64`.
    fn random(&self) -> u64;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn random(&self) -> u64 {
        // Every `RandomState` has keys of its own, so that equal input hashes differently each time.
        RandomState::new().hash_one(0)
    }
}

/// How a request failed that may succeed when it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transient {
    /// The connection failed: no server listens, or the name is unknown.
    Unreachable,
    /// A connection broke, timed out or ended before the answer did.
    Broken,
    /// The server asks to retry later, with or without Retry-After.
    Busy(Option<Duration>),
}

/// A failed request, and whether it is retried.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) transient: Option<Transient>,
    pub(super) error: anyhow::Error,
}

impl RequestError {
    /// A failure that a retry may solve.
    pub(super) fn transient(transient: Transient, error: impl Into<anyhow::Error>) -> Self {
        Self { transient: Some(transient), error: error.into() }
    }

    /// A failure that a retry would repeat.
    pub(super) fn permanent(error: impl Into<anyhow::Error>) -> Self {
        Self { transient: None, error: error.into() }
    }
}

/// How often and how long a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// No further try starts later than this after the first.
    pub total: Duration,
    /// The longest wait before the second try; it doubles with each further one.
    pub base: Duration,
    /// The longest wait that doubling leads to.
    pub ceiling: Duration,
    /// The longest wait that a server's Retry-After may ask for.
    pub patience: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 6,
            total: Duration::from_mins(5),
            base: Duration::from_millis(500),
            ceiling: Duration::from_secs(20),
            patience: Duration::from_mins(2),
        }
    }
}

/// Attempts if no server answers: mostly a mistyped name or a registry that is not running.
const ATTEMPTS_UNREACHABLE: u32 = 3;

/// The limit that ended the retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    Attempts,
    Time,
    AskedToWait(Duration),
}

impl Policy {
    /// The policy for a transfer of `bytes`: later tries may start as much later as the transfer takes
    /// on a slow line, at 256 KiB a second.
    pub(super) fn for_transfer(self, bytes: u64) -> Self {
        Self { total: self.total.saturating_add(Duration::from_secs(bytes / (256 * 1024))), ..self }
    }

    /// The wait before the next try, after `failed` tries that took `elapsed`.
    ///
    /// Exponential with full jitter. What a Retry-After asks for comes on top of it, since registries
    /// ask a whole crowd of clients for the same few microseconds.
    pub(super) fn wait(
        &self,
        transient: Transient,
        failed: u32,
        elapsed: Duration,
        random: u64,
    ) -> Result<Duration, GiveUp> {
        let attempts = match transient {
            Transient::Unreachable => self.attempts.min(ATTEMPTS_UNREACHABLE),
            Transient::Broken | Transient::Busy(_) => self.attempts,
        };
        if failed >= attempts {
            return Err(GiveUp::Attempts);
        }
        let doubled = self.base.saturating_mul(1 << failed.saturating_sub(1).min(20)).min(self.ceiling);
        let jitter = fraction(doubled, random);
        let asked = match transient {
            Transient::Busy(asked) => asked.unwrap_or_default(),
            Transient::Unreachable | Transient::Broken => Duration::ZERO,
        };
        if asked > self.patience {
            return Err(GiveUp::AskedToWait(asked));
        }
        let wait = asked.saturating_add(jitter);
        if elapsed.saturating_add(wait) > self.total { Err(GiveUp::Time) } else { Ok(wait) }
    }

    /// Retries until success, a permanent failure or the end of the policy.
    pub(super) fn run<T>(
        &self,
        clock: &dyn Clock,
        on_wait: Option<&OnWait>,
        mut attempt: impl FnMut() -> Result<T, RequestError>,
    ) -> anyhow::Result<T> {
        let started = clock.now();
        let mut failed = 0;
        loop {
            let failure = match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            failed += 1;
            let Some(transient) = failure.transient else { return Err(failure.error) };
            let elapsed = clock.now().saturating_duration_since(started);
            match self.wait(transient, failed, elapsed, clock.random()) {
                Ok(delay) => {
                    if let Some(on_wait) = on_wait {
                        on_wait(&Wait { failed, delay, why: format!("{:#}", failure.error) });
                    }
                    clock.sleep(delay);
                }
                Err(reason) => return Err(gave_up(failure.error, reason, failed, elapsed)),
            }
        }
    }
}

/// Why a request that may succeed later is not repeated.
#[derive(Debug)]
struct GaveUp(String);

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an error means that all retries of a request failed, and not a refusal.
pub fn is_given_up(error: &anyhow::Error) -> bool {
    error.downcast_ref::<GaveUp>().is_some()
}

fn gave_up(error: anyhow::Error, reason: GiveUp, failed: u32, elapsed: Duration) -> anyhow::Error {
    let seconds = elapsed.as_secs_f32();
    let why = match reason {
        GiveUp::Attempts if failed == 1 => return error,
        GiveUp::Attempts => format!("gave up after {failed} tries in {seconds:.1} s"),
        GiveUp::Time => format!("gave up after {seconds:.1} s, {failed} tries"),
        GiveUp::AskedToWait(asked) => {
            format!("the server asks to wait {} s, longer than is waited here", asked.as_secs())
        }
    };
    error.context(GaveUp(why))
}

fn fraction(of: Duration, random: u64) -> Duration {
    let nanos = u128::from(u64::try_from(of.as_nanos()).unwrap_or(u64::MAX));
    Duration::from_nanos(u64::try_from((nanos * u128::from(random)) >> 64).unwrap_or(u64::MAX))
}

/// Called before each wait for a retry.
pub type OnWait = Arc<dyn Fn(&Wait) + Send + Sync>;

/// A wait that is about to begin.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Tries that have failed.
    pub failed: u32,
    /// How long the wait will be.
    pub delay: Duration,
    /// How the last try failed.
    pub why: String,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "try {} failed, next in {:.1} s: {}", self.failed, self.delay.as_secs_f32(), self.why)
    }
}

/// How long a Retry-After header asks to wait (RFC 9110, section 10.2.3): seconds or a date. Units
/// and fractions, which some registries send, are understood too.
pub(super) fn retry_after(value: &str, date: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(at) = httpdate::parse_http_date(value) {
        return Some(at.duration_since(date).unwrap_or_default());
    }
    let number_end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(number_end);
    let seconds_each = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "µs" | "us" => 1e-6,
        "ns" => 1e-9,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds_each).ok()
}

#[cfg(test)]
pub(super) mod tests;
