//! Signals: SIGTERM, SIGINT and SIGHUP end the children first, then this process.
//!
//! Results after a signal are meaningless; [`checkpoint`] parks threads until the process exits. One thread forwards the
//! signal to all children, waits for them, removes temporary files, prints the last line and exits.
//!
//! A signal that was ignored when the process started stays ignored, as under `nohup`. On Windows the system's default
//! applies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Whether a signal has arrived.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Read-locked while a child is being started, so that the signal reaches that child too.
static STARTING: RwLock<()> = RwLock::new(());

/// Whether a signal has arrived.
pub(super) fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Parks this thread until the process exits, if a signal has arrived.
pub fn checkpoint() {
    while is_stopping() {
        std::thread::park();
    }
}

/// Runs `start`, which starts a child, unless a signal has arrived.
pub(super) fn start<T>(start: impl FnOnce() -> T) -> T {
    let starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    if is_stopping() {
        drop(starting);
        checkpoint();
    }
    start()
}

#[cfg(unix)]
pub use unix::stop_on_signals;

/// Does nothing: the system's default applies.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub fn stop_on_signals() -> anyhow::Result<()> {
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::collections::BTreeSet;
    use std::sync::{TryLockError, mpsc};
    use std::thread;
    use std::time::{Duration, Instant};

    use anyhow::{Context as _, Result};
    use rustix::process::Signal;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::{exit, signal_name};

    use super::super::tree;
    use super::{Ordering, STARTING, STOPPING};
    use crate::{temporary, ui};

    /// Time for children to end after the signal. GitHub's runner sends the next signal after 7.5 seconds, and Docker
    /// kills after 10.
    const CHILD_GRACE: Duration = Duration::from_secs(5);
    /// Time for what takes no time normally: a kill, the start of a child, printing the last line.
    const SHORT_WAIT: Duration = Duration::from_secs(1);
    /// Signals within this time of the first are the same request: `timeout` signals the process and its group.
    const SAME_REQUEST: Duration = Duration::from_secs(1);
    /// Interval between two looks at the running children.
    const POLL: Duration = Duration::from_millis(25);

    /// Installs the handler. The first signal ends the process in order, a second one kills the children at once.
    pub fn stop_on_signals() -> Result<()> {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let mut signals = Signals::new(not_ignored(status.as_deref())).context("listen to signals")?;
        let listen = move || {
            if let Some(signal) = signals.forever().next() {
                stop(signal, &mut signals);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen).context("listen to signals")?;
        Ok(())
    }

    /// The signals that this process does not ignore, from its status file (proc(5)). Without that file SIGHUP counts as
    /// ignored, because of `nohup`.
    fn not_ignored(status: Option<&str>) -> Vec<i32> {
        let ignored = status.and_then(|text| text.lines().find_map(|line| line.strip_prefix("SigIgn:")));
        match ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
            Some(mask) => {
                [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|n| mask >> (n - 1) & 1 == 0).collect()
            }
            None => vec![SIGTERM, SIGINT],
        }
    }

    fn stop(signal: i32, signals: &mut Signals) -> ! {
        let began = Instant::now();
        STOPPING.store(true, Ordering::SeqCst);
        // A child that takes long to start must not delay the exit.
        while matches!(STARTING.try_write(), Err(TryLockError::WouldBlock)) && began.elapsed() < SHORT_WAIT {
            thread::sleep(Duration::from_millis(1));
        }
        end_children(signal, signals, began);
        let _held = temporary::remove_all();
        let name = signal_name(signal).unwrap_or("a signal");
        let (notified, wait) = mpsc::channel::<()>();
        // A full pipe on standard error must not delay the exit.
        let say = move || {
            ui::last_line(&format!("stopped by {name}"));
            drop(notified);
        };
        let _ = thread::Builder::new().spawn(say);
        let _ = wait.recv_timeout(SHORT_WAIT);
        // Without exit handlers: they could wait for locks that parked threads hold.
        exit(128 + signal)
    }

    /// Forwards the signal to all descendants. Kills those that do not end in time, or all of them at a second signal.
    fn end_children(signal: i32, signals: &mut Signals, began: Instant) {
        let own = std::process::id();
        adopt();
        let mut told = BTreeSet::new();
        let mut known = BTreeSet::new();
        let first = tree::ticks();
        // Signal processes that started before the signal, and orphans. Others were started by a child that is cleaning
        // up: leave them alone.
        let is_meant = |one: &tree::Below, told: &BTreeSet<u32>| {
            let before = one.started.zip(first).is_some_and(|(started, first)| started < first);
            !told.contains(&one.pid) && (told.is_empty() || before || one.parent == own)
        };
        let mut killing: Option<Instant> = None;
        loop {
            let alive = tree::running(own, &mut known);
            let new: Vec<_> = alive.iter().filter(|one| is_meant(one, &told)).map(|one| one.pid).collect();
            tree::send(&new, Signal::from_named_raw(signal).unwrap_or(Signal::TERM));
            told.extend(new);
            let alive: Vec<_> = alive.into_iter().map(|one| one.pid).collect();
            known.extend(&alive);
            if alive.is_empty() || killing.is_some_and(|since| since.elapsed() > SHORT_WAIT) {
                return;
            }
            let again = signals.pending().count() > 0 && began.elapsed() >= SAME_REQUEST;
            if again || began.elapsed() > CHILD_GRACE {
                killing.get_or_insert_with(Instant::now);
            }
            if killing.is_some() {
                tree::send(&alive, Signal::KILL);
            }
            thread::sleep(POLL);
        }
    }

    /// Makes orphaned descendants children of this process, on Linux. Elsewhere an orphan that was not seen before its
    /// parent ended is lost.
    fn adopt() {
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_ignored_signal_stays_ignored() {
            for (status, expected) in [
                (Some("Name:\tx\nSigIgn:\t0000000000000000\n"), &[SIGTERM, SIGINT, SIGHUP][..]),
                // As under `nohup`, and with SIGPIPE ignored as Rust has it.
                (Some("SigIgn:\t0000000000001001\nSigCgt:\t0\n"), &[SIGTERM, SIGINT]),
                // As a script's job in the background has it.
                (Some("SigIgn:\t0000000000001006\n"), &[SIGTERM, SIGHUP]),
                (Some("SigIgn:\tlots\n"), &[SIGTERM, SIGINT]),
                (None, &[SIGTERM, SIGINT]),
            ] {
                assert_eq!(not_ignored(status), expected, "{status:?}");
            }
        }
    }
}
