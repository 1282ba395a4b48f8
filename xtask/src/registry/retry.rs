//! When a failed request is worth another try, and how long to wait before it.
//!
//! Pure policy: the time, the waiting and the chance come through [`Clock`].

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::http_date;

/// Time, waiting and chance.
pub trait Clock: Send + Sync {
    /// The time that durations are measured with.
    fn now(&self) -> Instant;
    /// The date, for headers that name one.
    fn date(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, duration: Duration);
    /// A number that nobody can foresee, evenly from all of `u64`.
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
pub(super) enum Passing {
    /// No connection came about: nothing listens, or the name is unknown.
    Unreachable,
    /// A connection broke, timed out or ended before the answer did.
    Broken,
    /// The server said that it cannot answer now, and perhaps how long to wait.
    Busy(Option<Duration>),
}

/// A failed request, and whether it is worth another try.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) passing: Option<Passing>,
    pub(super) error: anyhow::Error,
}

impl Trouble {
    /// A failure that may pass.
    pub(super) fn passing(passing: Passing, error: impl Into<anyhow::Error>) -> Self {
        Self { passing: Some(passing), error: error.into() }
    }

    /// A failure that another try would only repeat.
    pub(super) fn lasting(error: impl Into<anyhow::Error>) -> Self {
        Self { passing: None, error: error.into() }
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

/// Tries where nothing answers at all: mostly a mistyped name or a registry that is not running.
const ATTEMPTS_UNREACHABLE: u32 = 3;

/// Why there is no further try.
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
        passing: Passing,
        failed: u32,
        elapsed: Duration,
        random: u64,
    ) -> Result<Duration, GiveUp> {
        let attempts = match passing {
            Passing::Unreachable => self.attempts.min(ATTEMPTS_UNREACHABLE),
            Passing::Broken | Passing::Busy(_) => self.attempts,
        };
        if failed >= attempts {
            return Err(GiveUp::Attempts);
        }
        let doubled = self.base.saturating_mul(1 << failed.saturating_sub(1).min(20)).min(self.ceiling);
        let jitter = fraction(doubled, random);
        let asked = match passing {
            Passing::Busy(asked) => asked.unwrap_or_default(),
            Passing::Unreachable | Passing::Broken => Duration::ZERO,
        };
        if asked > self.patience {
            return Err(GiveUp::AskedToWait(asked));
        }
        let wait = asked.saturating_add(jitter);
        if elapsed.saturating_add(wait) > self.total { Err(GiveUp::Time) } else { Ok(wait) }
    }

    /// Tries until one succeeds, fails for good, or the policy ends it.
    pub(super) fn run<T>(
        &self,
        clock: &dyn Clock,
        on_wait: Option<&OnWait>,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> anyhow::Result<T> {
        let started = clock.now();
        let mut failed = 0;
        loop {
            let trouble = match attempt() {
                Ok(value) => return Ok(value),
                Err(trouble) => trouble,
            };
            failed += 1;
            let Some(passing) = trouble.passing else { return Err(trouble.error) };
            let elapsed = clock.now().saturating_duration_since(started);
            match self.wait(passing, failed, elapsed, clock.random()) {
                Ok(delay) => {
                    if let Some(on_wait) = on_wait {
                        on_wait(&Wait { failed, delay, why: format!("{:#}", trouble.error) });
                    }
                    clock.sleep(delay);
                }
                Err(reason) => return Err(gave_up(trouble.error, reason, failed, elapsed)),
            }
        }
    }
}

fn gave_up(error: anyhow::Error, reason: GiveUp, failed: u32, elapsed: Duration) -> anyhow::Error {
    let seconds = elapsed.as_secs_f32();
    match reason {
        GiveUp::Attempts if failed == 1 => error,
        GiveUp::Attempts => error.context(format!("gave up after {failed} tries in {seconds:.1} s")),
        GiveUp::Time => error.context(format!("gave up after {seconds:.1} s, {failed} tries")),
        GiveUp::AskedToWait(asked) => error
            .context(format!("the server asks to wait {} s, longer than is waited here", asked.as_secs())),
    }
}

fn fraction(of: Duration, random: u64) -> Duration {
    let nanos = u128::from(u64::try_from(of.as_nanos()).unwrap_or(u64::MAX));
    Duration::from_nanos(u64::try_from((nanos * u128::from(random)) >> 64).unwrap_or(u64::MAX))
}

/// Told of each wait before a further try.
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
    if let Some(at) = http_date::parse(value, date) {
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
pub(super) mod tests {
    use super::*;
    use crate::error::Fault;
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    /// A clock that only moves by sleeping, and writes down how long.
    #[derive(Debug)]
    pub(in super::super) struct FakeClock {
        start: Instant,
        pub(in super::super) slept: Mutex<Vec<Duration>>,
        random: u64,
    }

    impl FakeClock {
        pub(in super::super) fn new(random: u64) -> Self {
            Self { start: Instant::now(), slept: Mutex::default(), random }
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Instant {
            self.start + self.slept.lock().unwrap().iter().sum::<Duration>()
        }
        fn date(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(1_700_000_000)
        }
        fn sleep(&self, duration: Duration) {
            self.slept.lock().unwrap().push(duration);
        }
        fn random(&self) -> u64 {
            self.random
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_jitter_is_full() {
        let policy = Policy { attempts: 20, ..Policy::default() };
        let wait = |failed, random| policy.wait(Passing::Broken, failed, Duration::ZERO, random).unwrap();
        let half = u64::MAX / 2 + 1;
        for (failed, expected) in
            [(1, 250), (2, 500), (3, 1000), (4, 2000), (6, 8000), (7, 10_000), (19, 10_000)]
        {
            assert_eq!(wait(failed, half), ms(expected), "{failed}");
        }
        assert_eq!(wait(1, 0), Duration::ZERO);
        assert!(wait(1, u64::MAX) < ms(500) && wait(1, u64::MAX) > ms(499));
    }

    #[test]
    fn a_retry_after_is_honoured_with_jitter_on_top_within_patience() {
        let policy = Policy::default();
        let half = u64::MAX / 2 + 1;
        let wait = |asked| policy.wait(Passing::Busy(asked), 1, Duration::ZERO, half);
        assert_eq!(wait(None), Ok(ms(250)));
        assert_eq!(wait(Some(Duration::from_micros(880))), Ok(Duration::from_micros(250_880)));
        assert_eq!(wait(Some(ms(120_000))), Ok(ms(120_250)));
        assert_eq!(wait(Some(ms(120_001))), Err(GiveUp::AskedToWait(ms(120_001))));
    }

    #[test]
    fn the_end_comes_by_tries_or_by_time() {
        let policy = Policy::default();
        let cases = [
            (Passing::Broken, 5, 0, None),
            (Passing::Broken, 6, 0, Some(GiveUp::Attempts)),
            (Passing::Unreachable, 2, 0, None),
            (Passing::Unreachable, 3, 0, Some(GiveUp::Attempts)),
            (Passing::Broken, 1, 299, None),
            (Passing::Broken, 1, 301, Some(GiveUp::Time)),
            (Passing::Busy(Some(ms(20_000))), 1, 290, Some(GiveUp::Time)),
        ];
        for (passing, failed, seconds, expected) in cases {
            let outcome = policy.wait(passing, failed, Duration::from_secs(seconds), 0);
            assert_eq!(outcome.err(), expected, "{passing:?} {failed} {seconds}");
        }
        let seconds = |bytes| policy.for_transfer(bytes).total.as_secs();
        assert_eq!((seconds(0), seconds(1 << 30), seconds(u64::MAX)), (300, 300 + 4096, 300 + (1 << 46) - 1));
        let one = Policy { attempts: 1, ..policy };
        assert_eq!(one.wait(Passing::Unreachable, 1, Duration::ZERO, 0), Err(GiveUp::Attempts));
    }

    #[test]
    fn a_run_sleeps_as_the_policy_says_and_tells_of_it() {
        let clock = FakeClock::new(u64::MAX / 2 + 1);
        let told = Arc::new(Mutex::new(Vec::new()));
        let on_wait: OnWait = {
            let told = Arc::clone(&told);
            Arc::new(move |wait: &Wait| told.lock().unwrap().push(wait.to_string()))
        };
        let mut left = 3;
        let value = Policy::default().run(&clock, Some(&on_wait), || {
            left -= 1;
            if left > 0 { Err(Trouble::passing(Passing::Broken, Fault::failed("cut"))) } else { Ok(7) }
        });
        assert_eq!(value.unwrap(), 7);
        assert_eq!(*clock.slept.lock().unwrap(), [ms(250), ms(500)]);
        assert_eq!(
            *told.lock().unwrap(),
            ["try 1 failed, next in 0.2 s: cut", "try 2 failed, next in 0.5 s: cut"]
        );
    }

    #[test]
    fn a_lasting_failure_is_not_repeated_and_giving_up_says_so() {
        let clock = FakeClock::new(0);
        let mut tries = 0;
        let lasting: anyhow::Result<()> = Policy::default().run(&clock, None, || {
            tries += 1;
            Err(Trouble::lasting(Fault::failed("no")))
        });
        assert_eq!((lasting.unwrap_err().to_string().as_str(), tries), ("no", 1));
        let broken: anyhow::Result<()> = Policy::default().run(&clock, None, || {
            Err(Trouble::passing(Passing::Broken, Fault::failed("cut").at("http://r/")))
        });
        let broken = broken.unwrap_err();
        assert_eq!(format!("{broken:#}"), "gave up after 6 tries in 0.0 s: http://r/: cut");
    }

    #[test]
    fn retry_after_is_seconds_a_date_or_what_go_prints() {
        let date = UNIX_EPOCH + Duration::from_secs(784_111_770);
        let cases = [
            ("3", Some(ms(3000))),
            (" 0 ", Some(ms(0))),
            ("1.5", Some(ms(1500))),
            ("880.092µs", Some(Duration::from_nanos(880_092))),
            ("1.16676ms", Some(Duration::from_nanos(1_166_760))),
            ("2m", Some(ms(120_000))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(ms(7000))),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(ms(0))),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
            ("1.2.3", None),
            ("NaN", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, date), expected, "{value}");
        }
    }

    #[test]
    fn the_real_clock_gives_other_numbers_each_time() {
        let numbers: std::collections::BTreeSet<_> = (0..100).map(|_| SystemClock.random()).collect();
        assert!(numbers.len() > 90);
    }
}
