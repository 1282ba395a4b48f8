//! Points in time that fit into an atomic.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked for the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// The beginning; also means "never happened".
    pub const START: Self = Self(0);
    /// A moment that is never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// The current time, from the monotonic clock.
    pub fn now() -> Self {
        Self::from(Instant::now())
    }

    /// The moment `millis` milliseconds after the beginning.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the beginning.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `duration` later, at most [`Moment::NEVER`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        Self(millis(instant.saturating_duration_since(*START)))
    }
}

/// A duration in whole milliseconds, at most `u64::MAX`.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Moment;

    #[test]
    fn moments_do_not_wrap() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment::NEVER.after(second), Moment::NEVER);
        assert_eq!(Moment::START.after(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment::START.since(Moment::NEVER), Duration::ZERO);
        assert_eq!(Moment::from_millis(1500).since(Moment::from_millis(500)), second);
        assert_eq!(Moment::from(Instant::now()).since(Moment::now()), Duration::ZERO);
        let now = Instant::now();
        assert!(Moment::from(now + second) >= Moment::from(now).after(second));
    }
}
