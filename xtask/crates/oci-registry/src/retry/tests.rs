//! A clock of the tests' own; waits, ends, and what servers say of when to come back.

use super::*;
use cli_support::error::Fault;
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
    let wait = |failed, random| policy.wait(Transient::Broken, failed, Duration::ZERO, random).unwrap();
    let half = u64::MAX / 2 + 1;
    for (failed, expected) in [(1, 250), (2, 500), (3, 1000), (4, 2000), (6, 8000), (7, 10_000), (19, 10_000)]
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
    let wait = |asked| policy.wait(Transient::Busy(asked), 1, Duration::ZERO, half);
    assert_eq!(wait(None), Ok(ms(250)));
    assert_eq!(wait(Some(Duration::from_micros(880))), Ok(Duration::from_micros(250_880)));
    assert_eq!(wait(Some(ms(120_000))), Ok(ms(120_250)));
    assert_eq!(wait(Some(ms(120_001))), Err(GiveUp::AskedToWait(ms(120_001))));
}

#[test]
fn retries_end_by_count_or_by_time() {
    let policy = Policy::default();
    let cases = [
        (Transient::Broken, 5, 0, None),
        (Transient::Broken, 6, 0, Some(GiveUp::Attempts)),
        (Transient::Unreachable, 2, 0, None),
        (Transient::Unreachable, 3, 0, Some(GiveUp::Attempts)),
        (Transient::Broken, 1, 299, None),
        (Transient::Broken, 1, 301, Some(GiveUp::Time)),
        (Transient::Busy(Some(ms(20_000))), 1, 290, Some(GiveUp::Time)),
    ];
    for (transient, failed, seconds, expected) in cases {
        let outcome = policy.wait(transient, failed, Duration::from_secs(seconds), 0);
        assert_eq!(outcome.err(), expected, "{transient:?} {failed} {seconds}");
    }
    let seconds = |bytes| policy.for_transfer(bytes).total.as_secs();
    assert_eq!((seconds(0), seconds(1 << 30), seconds(u64::MAX)), (300, 300 + 4096, 300 + (1 << 46) - 1));
    let one = Policy { attempts: 1, ..policy };
    assert_eq!(one.wait(Transient::Unreachable, 1, Duration::ZERO, 0), Err(GiveUp::Attempts));
}

#[test]
fn retries_sleep_by_the_policy_and_are_reported() {
    let clock = FakeClock::new(u64::MAX / 2 + 1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let on_wait: OnWait = {
        let told = Arc::clone(&told);
        Arc::new(move |wait: &Wait| told.lock().unwrap().push(wait.to_string()))
    };
    let mut left = 3;
    let value = Policy::default().run(&clock, Some(&on_wait), || {
        left -= 1;
        if left > 0 { Err(RequestError::transient(Transient::Broken, Fault::failed("cut"))) } else { Ok(7) }
    });
    assert_eq!(value.unwrap(), 7);
    assert_eq!(*clock.slept.lock().unwrap(), [ms(250), ms(500)]);
    assert_eq!(
        *told.lock().unwrap(),
        ["try 1 failed, next in 0.2 s: cut", "try 2 failed, next in 0.5 s: cut"]
    );
}

#[test]
fn a_permanent_failure_is_not_retried() {
    let clock = FakeClock::new(0);
    let mut tries = 0;
    let lasting: anyhow::Result<()> = Policy::default().run(&clock, None, || {
        tries += 1;
        Err(RequestError::permanent(Fault::failed("no")))
    });
    assert_eq!((lasting.unwrap_err().to_string().as_str(), tries), ("no", 1));
    let broken: anyhow::Result<()> = Policy::default().run(&clock, None, || {
        Err(RequestError::transient(Transient::Broken, Fault::failed("cut").at("http://r/")))
    });
    let broken = broken.unwrap_err();
    assert_eq!(format!("{broken:#}"), "gave up after 6 tries in 0.0 s: http://r/: cut");
}

#[test]
fn retry_after_is_parsed_as_seconds_a_date_or_a_go_duration() {
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
