//! The slowest that data may come: a limit on the silence between two pieces does not end what drips.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// Bytes a second below which a transfer is no transfer, whatever line it is on.
const SLOWEST: u64 = 1024;

/// How much has come since when.
#[derive(Debug)]
pub(super) struct Pace {
    grace: Duration,
    started: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// A pace that is looked at after `grace`.
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, started: None, bytes: 0 }
    }

    /// Counts what came; an error where it is too little for the time since the first piece.
    pub(super) fn came(&mut self, bytes: usize) -> io::Result<()> {
        let started = *self.started.get_or_insert_with(Instant::now);
        self.bytes += bytes as u64;
        if too_slow(self.grace, started.elapsed(), self.bytes) {
            return Err(io::Error::new(ErrorKind::TimedOut, TooSlow));
        }
        Ok(())
    }
}

fn too_slow(grace: Duration, elapsed: Duration, bytes: u64) -> bool {
    elapsed > grace.saturating_add(Duration::from_secs(bytes / SLOWEST))
}

#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "less than {SLOWEST} bytes a second")
    }
}

impl std::error::Error for TooSlow {}

/// A reader that must keep the pace.
#[derive(Debug)]
pub(super) struct Paced<R> {
    pub(super) inner: R,
    pub(super) pace: Pace,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pace.came(read)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_too_slow_and_a_slow_line_is_not() {
        let minute = Duration::from_mins(1);
        for (seconds, bytes, expected) in [
            (0, 0, false),
            (60, 0, false),
            (61, 0, true),
            (61, 61, true),
            (61, 2048, false),
            (3600, 3600, true),
            (3600, 100_000_000, false),
        ] {
            let elapsed = Duration::from_secs(seconds);
            assert_eq!(too_slow(minute, elapsed, bytes), expected, "{seconds} s, {bytes} bytes");
        }
    }
}
