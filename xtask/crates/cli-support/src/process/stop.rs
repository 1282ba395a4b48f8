//! A run that a signal ends takes its children with it.
//!
//! What a child or a step came to after the signal says nothing about it, so nobody hears of it: whoever
//! would go on from there waits for the end of the process instead. One thread brings that about: it passes
//! the signal on, waits, removes what is temporary, says what happened and ends the process.
//!
//! A signal that was ignored when the run began stays so: `nohup`, and a script's jobs in the background. On
//! Windows the system's own way of ending remains.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Whether a signal ends this run.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Held by whoever is about to have a child: a child that nobody knows of yet would be left behind.
static STARTING: RwLock<()> = RwLock::new(());

/// Whether a signal ends this run.
pub(super) fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Goes no further where a signal ends this run.
pub fn checkpoint() {
    while is_stopping() {
        std::thread::park();
    }
}

/// Starts a child, where no signal ends this run.
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

/// Leaves it to the system what a signal does.
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

    /// How long children may take to end by themselves. GitHub's runner sends the next signal after 7.5
    /// seconds, and Docker kills after 10.
    const GOING: Duration = Duration::from_secs(5);
    /// How long what must end at once is waited for: killing, starting, saying the last line.
    const AT_ONCE: Duration = Duration::from_secs(1);
    /// Signals this close to the first are the same wish: `timeout` sends to the process and to its group, and
    /// a terminal to a child that has it from us too.
    const SAME: Duration = Duration::from_secs(1);
    /// Between two looks at what still runs.
    const LOOK: Duration = Duration::from_millis(25);

    /// From now on SIGTERM, SIGINT and SIGHUP end this run in order, a second one at once.
    pub fn stop_on_signals() -> Result<()> {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let mut signals = Signals::new(heeded(status.as_deref())).context("listen to signals")?;
        let listen = move || {
            if let Some(signal) = signals.forever().next() {
                stop(signal, &mut signals);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen).context("listen to signals")?;
        Ok(())
    }

    /// The signals that are not ignored by the status of this process (proc(5)). Where the system does not
    /// tell, SIGHUP is left alone, since `nohup` is what it is ignored for.
    fn heeded(status: Option<&str>) -> Vec<i32> {
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
        // One that takes long to start must not keep all else from ending.
        while matches!(STARTING.try_write(), Err(TryLockError::WouldBlock)) && began.elapsed() < AT_ONCE {
            thread::sleep(Duration::from_millis(1));
        }
        end_children(signal, signals, began);
        let _held = temporary::remove_all();
        let name = signal_name(signal).unwrap_or("a signal");
        let (said, wait) = mpsc::channel::<()>();
        // A reader of standard error that does not read must not keep this from ending.
        let say = move || {
            ui::last_line(&format!("stopped by {name}"));
            drop(said);
        };
        let _ = thread::Builder::new().spawn(say);
        let _ = wait.recv_timeout(AT_ONCE);
        // Without what runs at an orderly end: other threads hold what it would wait for.
        exit(128 + signal)
    }

    /// Passes the signal on to all that runs below this process, and kills what does not end in time or where
    /// another signal comes.
    fn end_children(signal: i32, signals: &mut Signals, began: Instant) {
        let own = std::process::id();
        adopt();
        let mut told = BTreeSet::new();
        let mut known = BTreeSet::new();
        let first = tree::ticks();
        // What was started before the signal may have been overlooked, and what nobody is the parent of any
        // more nobody ends. Whatever else is new, a child that took the signal has started to clean up.
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
            if alive.is_empty() || killing.is_some_and(|since| since.elapsed() > AT_ONCE) {
                return;
            }
            let again = signals.pending().count() > 0 && began.elapsed() >= SAME;
            if again || began.elapsed() > GOING {
                killing.get_or_insert_with(Instant::now);
            }
            if killing.is_some() {
                tree::send(&alive, Signal::KILL);
            }
            thread::sleep(LOOK);
        }
    }

    /// From now on processes whose parent ends become children of this one, where the system can do that.
    /// Elsewhere one that is not yet known when its parent ends gets away.
    fn adopt() {
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_signal_that_is_ignored_stays_so() {
            for (status, expected) in [
                (Some("Name:\tx\nSigIgn:\t0000000000000000\n"), &[SIGTERM, SIGINT, SIGHUP][..]),
                // As under `nohup`, and with SIGPIPE ignored as Rust has it.
                (Some("SigIgn:\t0000000000001001\nSigCgt:\t0\n"), &[SIGTERM, SIGINT]),
                // As a script's job in the background has it.
                (Some("SigIgn:\t0000000000001006\n"), &[SIGTERM, SIGHUP]),
                (Some("SigIgn:\tlots\n"), &[SIGTERM, SIGINT]),
                (None, &[SIGTERM, SIGINT]),
            ] {
                assert_eq!(heeded(status), expected, "{status:?}");
            }
        }
    }
}
