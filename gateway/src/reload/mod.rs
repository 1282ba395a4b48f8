//! Reloads the settings while the gateway runs.
//!
//! One thread reads, checks and compiles settings, so that no worker waits for it, and frees snapshots that
//! no worker uses any more. It also watches the files, see `watch`.

mod load;
mod probes;
mod watch;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc as async_mpsc, oneshot, watch as watch_channel};

use crate::listener::acceptors::Update;
use crate::listener::sockets::{Opened, Sockets};
use crate::observe::log_settings::LogSettings;
use crate::observe::stderr::{print_line, say};
use crate::settings::{Listener, Problem, Settings, Source};
use crate::snapshot::{Process, Snapshot};
pub use load::{Loaded, load};
use probes::Probes;
use watch::Watched;

/// How long to wait for a worker to apply settings, which it does between two tasks.
const WORKER_TIMEOUT: Duration = Duration::from_secs(10);

/// The trigger of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// SIGHUP.
    Signal,
    /// A file has changed.
    Files,
    /// A request to the admin listener.
    Admin,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "SIGHUP",
            Self::Files => "a file has changed",
            Self::Admin => "requested at the admin listener",
        })
    }
}

/// Outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The problems because of which the previous settings stay in force; empty if the new ones are in force.
    pub problems: Vec<String>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
    /// The duration.
    pub duration: Duration,
}

enum Request {
    Reload(Cause, Option<oneshot::Sender<Outcome>>),
    /// Must be answered with all sockets.
    Sockets(Sender<Vec<TcpListener>>),
    /// Must be answered when all sockets are closed.
    Stop(oneshot::Sender<()>),
}

/// Requests reloads.
#[derive(Debug, Clone)]
pub struct Reload {
    requests: Sender<Request>,
    current: watch_channel::Receiver<Arc<Snapshot>>,
}

impl Reload {
    /// Requests a reload.
    pub fn ask(&self, cause: Cause) {
        // During the drain, settings no longer matter.
        let _ = self.requests.send(Request::Reload(cause, None));
    }

    /// Reloads; `None` if the gateway is stopping.
    pub async fn reload(&self, cause: Cause) -> Option<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.requests.send(Request::Reload(cause, Some(reply))).ok()?;
        outcome.await.ok()
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// All listening sockets; `None` if the gateway is stopping, or without file descriptors.
    pub fn sockets(&self) -> Option<Vec<TcpListener>> {
        let (reply, sockets) = mpsc::channel();
        self.requests.send(Request::Sockets(reply)).ok()?;
        sockets.recv().ok()
    }

    /// Stops the reload thread and closes the sockets on this side.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.requests.send(Request::Stop(reply)).is_ok() {
            let _ = stopped.await;
        }
    }
}

/// Everything a reload needs.
#[derive(Debug)]
pub struct Reloader {
    /// State of the process.
    pub process: Arc<Process>,
    /// The source of the settings.
    pub source: Source,
    /// The sockets of the listeners.
    pub sockets: Sockets,
    /// One channel per worker.
    pub workers: Vec<async_mpsc::UnboundedSender<Update>>,
    /// The runtime of the health probes.
    pub runtime: Handle,
}

/// Settings that take effect at a restart only.
#[derive(Debug)]
struct Fixed {
    threads: usize,
    admin: SocketAddr,
    takeover: Option<PathBuf>,
    /// Without the rules, which belong to routes.
    access_log: LogSettings,
}

impl Fixed {
    /// Those of the first settings.
    fn of(settings: &Settings) -> Self {
        let access_log = LogSettings { rules: Vec::new(), ..settings.access_log.clone() };
        Self {
            threads: settings.threads,
            admin: settings.admin,
            takeover: settings.takeover.clone(),
            access_log,
        }
    }

    /// A warning for each changed value.
    fn changes(&self, settings: &Settings) -> Vec<String> {
        let now = Self::of(settings);
        let mut changes = Vec::new();
        let stays = |key: &str, before: &dyn fmt::Display, now: &dyn fmt::Display| {
            format!("'{key}' is {now}, but stays {before} until the gateway is restarted")
        };
        if self.threads != now.threads {
            changes.push(stays("threads", &self.threads, &now.threads));
        }
        if self.admin != now.admin {
            changes.push(stays("admin.address", &self.admin, &now.admin));
        }
        if self.takeover != now.takeover {
            changes.push(
                "'takeover' has changed, but takes effect only after a restart of the gateway".to_owned(),
            );
        }
        if self.access_log != now.access_log {
            changes.push(
                "'access_log' has changed, but only its rules take effect before the gateway is restarted"
                    .to_owned(),
            );
        }
        changes
    }
}

/// The reload thread.
struct Thread {
    reloader: Reloader,
    fixed: Fixed,
    current: watch_channel::Sender<Arc<Snapshot>>,
    /// Earlier snapshots that may still be in use.
    retired: Vec<Arc<Snapshot>>,
    probes: Probes,
    watched: Watched,
    requests: Receiver<Request>,
}

/// Applies the first settings on the workers, and starts the thread.
///
/// # Errors
///
/// The system provided no thread or no socket.
pub fn start(reloader: Reloader, loaded: Loaded, opened: Opened) -> io::Result<Reload> {
    let (requester, requests) = mpsc::channel();
    let (settings, snapshot) = loaded.prepared.compile(&reloader.process);
    let (current, published) = watch_channel::channel(Arc::new(snapshot));
    let mut thread = Thread {
        fixed: Fixed::of(&settings),
        current,
        retired: Vec::new(),
        probes: Probes::new(reloader.runtime.clone()),
        watched: if settings.watch { loaded.watched } else { Watched::default() },
        requests,
        reloader,
    };
    let snapshot = Arc::clone(&published.borrow());
    thread.put_in_force(&snapshot, opened, &settings.listeners)?;
    std::thread::Builder::new().name("reload".to_owned()).spawn(move || thread.run())?;
    Ok(Reload { requests: requester, current: published })
}

impl Thread {
    fn run(mut self) {
        loop {
            let first = match self.requests.recv_timeout(watch::INTERVAL) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) if self.watched.look() => Request::Reload(Cause::Files, None),
                Err(RecvTimeoutError::Timeout) => {
                    self.free();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // One reload answers all pending requests.
            let mut replies = Vec::new();
            let mut reason = None;
            for request in std::iter::once(first).chain(self.requests.try_iter()) {
                match request {
                    Request::Reload(cause, reply) => {
                        reason.get_or_insert(cause);
                        replies.extend(reply);
                    }
                    Request::Sockets(reply) => {
                        if let Ok(sockets) = self.reloader.sockets.clones() {
                            let _ = reply.send(sockets);
                        }
                    }
                    Request::Stop(reply) => {
                        self.reloader.sockets.close();
                        let _ = reply.send(());
                        return;
                    }
                }
            }
            let Some(cause) = reason else { continue };
            let outcome = self.reload(cause);
            for reply in replies {
                let _ = reply.send(outcome.clone());
            }
            self.free();
        }
    }

    /// Frees unused snapshots.
    fn free(&mut self) {
        let before = self.retired.len();
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        if self.retired.len() < before {
            self.reloader.process.drop_unused();
        }
    }

    fn reload(&mut self, cause: Cause) -> Outcome {
        let begun = Instant::now();
        let (problems, warnings) = match self.read() {
            Ok(warnings) => (Vec::new(), warnings),
            Err((problems, warnings)) => (problems, warnings),
        };
        let outcome = Outcome { problems, warnings, duration: begun.elapsed() };
        // Counted first: a client that has the response must find the reload in the metrics.
        self.reloader.process.metrics.reloads.ended(outcome.duration, outcome.problems.clone());
        for warning in &outcome.warnings {
            print_line(format_args!("{warning} (warning)"));
        }
        for problem in &outcome.problems {
            print_line(problem);
        }
        let (count, time) = (outcome.problems.len(), outcome.duration);
        match count {
            0 => say(format_args!("settings reloaded in {time:.1?} ({cause})")),
            1 => say(format_args!(
                "settings not reloaded ({cause}): 1 problem; the previous settings stay in force"
            )),
            _ => say(format_args!(
                "settings not reloaded ({cause}): {count} problems; the previous settings stay in force"
            )),
        }
        outcome
    }

    /// Reads and applies settings; returns the warnings, or the problems with the warnings.
    fn read(&mut self) -> Result<Vec<String>, (Vec<String>, Vec<String>)> {
        let texts = |found: Vec<Problem>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
        let process = &self.reloader.process;
        let before = Arc::clone(&self.current.borrow());
        let Loaded { prepared, findings, watched, .. } =
            load(&self.reloader.source, |_| Arc::clone(process), Some(&before));
        let mut warnings = texts(findings.warnings);
        if !findings.problems.is_empty() {
            // Unread settings may also change whether files are watched.
            if !self.watched.is_empty() {
                self.watched = watched;
            }
            return Err((texts(findings.problems), warnings));
        }
        warnings.extend(self.fixed.changes(&prepared.settings));
        self.watched = if prepared.settings.watch { watched } else { Watched::default() };
        let opened = match self.reloader.sockets.open(&prepared.settings.listeners) {
            Ok(opened) => opened,
            Err(error) => return Err((vec![error.to_string()], warnings)),
        };
        let (settings, snapshot) = prepared.compile(process);
        let snapshot = Arc::new(snapshot);
        if let Err(error) = self.put_in_force(&snapshot, opened, &settings.listeners) {
            return Err((vec![format!("no socket for a new listener: {error}")], warnings));
        }
        self.current.send_replace(snapshot);
        self.retired.push(before);
        Ok(warnings)
    }

    /// Applies a snapshot on every worker.
    fn put_in_force(
        &mut self,
        snapshot: &Arc<Snapshot>,
        opened: Opened,
        listeners: &[Listener],
    ) -> io::Result<()> {
        let runtime = self.reloader.runtime.enter();
        snapshot.authenticators.fetch_keys();
        drop(runtime);
        self.reloader.process.metrics.memory.set(snapshot.max_memory);
        let sockets = self.reloader.sockets.keep(opened, listeners)?;
        let (done, all_done) = mpsc::channel();
        for (worker, sockets) in self.reloader.workers.iter().zip(sockets) {
            let update = Update { snapshot: Arc::clone(snapshot), sockets, done: done.clone() };
            // The end of a worker also ends the process.
            let _ = worker.send(update);
        }
        drop(done);
        let deadline = Instant::now() + WORKER_TIMEOUT;
        while all_done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        self.probes.follow(snapshot);
        Ok(())
    }
}
