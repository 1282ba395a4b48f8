//! The process: sockets, threads, signals and shutdown.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle as Task, LocalSet};

use crate::admin::serve::{Admin, serve};
use crate::listener::acceptors::{Acceptors, Update};
use crate::listener::sockets::{BindError, Sockets};
use crate::observe::access::AccessLog;
use crate::observe::stderr::say;
use crate::reload::{self, Cause, Loaded, Reload, Reloader};
use crate::settings::Source;
use crate::snapshot::Process;
use crate::takeover::{self, Predecessor};
use crate::worker::Worker;

/// A failure of the process.
#[derive(Debug)]
pub enum RunError {
    /// An address could not be bound.
    Bind(BindError),
    /// The system refused a thread, a socket or a signal handler.
    System(&'static str, io::Error),
    /// A worker thread ended unexpectedly.
    Worker(String),
    /// A second signal stopped the gateway with requests in flight.
    Interrupted,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
            Self::Worker(name) => write!(f, "{name} ended unexpectedly"),
            Self::Interrupted => f.write_str("stopped immediately by a second signal"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) => Some(error),
            Self::System(_, error) => Some(error),
            Self::Worker(_) | Self::Interrupted => None,
        }
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] if it could not start, or did not stop cleanly.
pub fn run(source: Source, loaded: Loaded) -> Result<(), RunError> {
    let process = Arc::clone(&loaded.process);
    let settings = &loaded.prepared.settings;
    process.log.start().map_err(|error| RunError::System("write the access log", error))?;
    let runtime = runtime()?;
    // Before anything listens, so that no signal is lost.
    let (signals, hangup) =
        runtime.block_on(async { Ok((Signals::new()?, handler(SignalKind::hangup())?)) })?;
    let rotation = runtime.block_on(async { handler(SignalKind::user_defined1()) })?;
    runtime.spawn(reopen_log(rotation, process.log.clone()));
    let takeover = settings.takeover.clone();
    let asked = takeover.as_deref().map(Predecessor::ask).transpose();
    let mut predecessor = asked.map_err(|error| RunError::System("take over the sockets", error))?.flatten();
    let mut sockets = Sockets::new(process.threads);
    if let Some(predecessor) = &mut predecessor {
        let given = std::mem::take(&mut predecessor.sockets);
        sockets.inherit(given).map_err(|error| RunError::System("take over the sockets", error))?;
    }
    let admin = sockets.bind("the admin listener", settings.admin, 1).map_err(RunError::Bind)?;
    let opened = sockets.open(&settings.listeners).map_err(RunError::Bind)?;

    let (drain, draining) = watch::channel(false);
    let (ended, workers_ended) = mpsc::unbounded_channel();
    let mut updates = Vec::new();
    let mut workers = Vec::new();
    for thread in 0..process.threads {
        let (sender, receiver) = mpsc::unbounded_channel();
        updates.push(sender);
        let shared = Shared { process: Arc::clone(&process), updates: receiver, drain: draining.clone() };
        workers.push(spawn(thread, shared, ended.clone())?);
    }
    drop(ended);
    let reloader = Reloader {
        process: Arc::clone(&process),
        source,
        sockets,
        workers: updates,
        runtime: runtime.handle().clone(),
    };
    let reload = reload::start(reloader, loaded, opened)
        .map_err(|error| RunError::System("apply the settings", error))?;
    runtime.spawn(follow(hangup, reload.clone()));
    let ready = Arc::new(AtomicBool::new(false));
    let admin_clones = admin.iter().map(std::net::TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
    let mut admins = Vec::new();
    for socket in admin {
        let admin = Admin {
            ready: Arc::clone(&ready),
            metrics: Arc::clone(&process.metrics),
            reload: reload.clone(),
        };
        admins.push(runtime.spawn(serve(socket, admin)));
    }
    ready.store(true, Ordering::Relaxed);
    let (tell, taken) = oneshot::channel();
    if let Some(path) = takeover {
        let reload = reload.clone();
        let sockets = move || {
            let mut all = reload.sockets()?;
            for socket in admin_clones.as_ref().ok()? {
                all.push(socket.try_clone().ok()?);
            }
            Some(all)
        };
        takeover::offer(&path, sockets, tell)
            .map_err(|error| RunError::System("offer the sockets at 'takeover'", error))?;
    }
    if let Some(predecessor) = predecessor {
        // A predecessor that has ended in the meantime needs no release.
        let _ = predecessor.release();
    }
    say("ready");

    let workers_count = workers.len();
    let supervisor =
        Supervisor { signals, workers_ended, workers: workers_count, ready, drain, reload, taken, admins };
    let outcome = runtime.block_on(supervisor.run());
    if matches!(outcome, Ok(Drained::Whole)) {
        for worker in workers {
            let name = worker.thread().name().unwrap_or("a worker").to_owned();
            worker.join().map_err(|_| RunError::Worker(name))?;
        }
    }
    process.log.flush();
    outcome.map(|_| ())
}

fn runtime() -> Result<Runtime, RunError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System("start a runtime", error))
}

/// State passed to a worker thread.
struct Shared {
    process: Arc<Process>,
    updates: mpsc::UnboundedReceiver<Update>,
    drain: watch::Receiver<bool>,
}

fn spawn(
    thread: usize,
    shared: Shared,
    ended: mpsc::UnboundedSender<Result<(), RunError>>,
) -> Result<JoinHandle<()>, RunError> {
    std::thread::Builder::new()
        .name(format!("worker-{thread}"))
        .spawn(move || {
            let panicked = Err(RunError::Worker(format!("worker {thread}")));
            let mut notice = Notice { ended, result: Some(panicked) };
            let result =
                runtime().and_then(|runtime| LocalSet::new().block_on(&runtime, work(thread, shared)));
            notice.result = Some(result);
        })
        .map_err(|error| RunError::System("start a worker thread", error))
}

/// Reports the end of a worker thread to the supervisor, even if it panics.
struct Notice {
    ended: mpsc::UnboundedSender<Result<(), RunError>>,
    result: Option<Result<(), RunError>>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            // Without a receiver the process is about to end.
            let _ = self.ended.send(result);
        }
    }
}

/// One worker thread: accepts until the gateway stops, then waits for its last connection.
async fn work(thread: usize, shared: Shared) -> Result<(), RunError> {
    let Shared { process, mut updates, mut drain } = shared;
    let Some(first) = updates.recv().await else { return Ok(()) };
    let metrics = Arc::clone(&process.metrics);
    let worker = Worker::new((thread, process.threads), metrics, process.log.worker());
    let ticking = Rc::clone(&worker);
    let ticks = tokio::task::spawn_local(async move {
        let watches = Rc::clone(&ticking.watches);
        watches.run(|| ticking.tick(), || ticking.log.hand_over()).await;
    });
    let mut acceptors = Acceptors::new(&worker, first);
    loop {
        tokio::select! {
            Some(update) = updates.recv() => acceptors.apply(update),
            // The sender lives as long as the process accepts.
            _ = drain.wait_for(|&drain| drain) => break,
        }
    }
    worker.drain();
    acceptors.close().await.map_err(|error| RunError::System("accept connections", error))?;
    while worker.connections() > 0 {
        worker.closed.notified().await;
    }
    worker.traces.close().await;
    ticks.abort();
    worker.log.hand_over();
    Ok(())
}

/// Signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        Ok(Self {
            terminate: handler(SignalKind::terminate())?,
            interrupt: handler(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn handler(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::System("handle signals", error))
}

/// Reloads the settings at SIGHUP.
async fn follow(mut hangup: Signal, reload: Reload) {
    while hangup.recv().await.is_some() {
        reload.ask(Cause::Signal);
    }
}

/// Reopens the access log at each SIGUSR1, after log rotation has renamed its file.
async fn reopen_log(mut rotation: Signal, log: AccessLog) {
    while rotation.recv().await.is_some() {
        say(if log.reopen() {
            "SIGUSR1: the access log is reopened"
        } else {
            "SIGUSR1: the access log has no file; nothing is reopened"
        });
    }
}

/// The result of the drain.
enum Drained {
    /// Every connection ended.
    Whole,
    /// The timeout was reached.
    InPart,
}

struct Supervisor {
    signals: Signals,
    workers_ended: mpsc::UnboundedReceiver<Result<(), RunError>>,
    workers: usize,
    ready: Arc<AtomicBool>,
    drain: watch::Sender<bool>,
    reload: Reload,
    /// Notified when another gateway has taken over the sockets.
    taken: oneshot::Receiver<()>,
    admins: Vec<Task<io::Result<()>>>,
}

impl Supervisor {
    async fn run(mut self) -> Result<Drained, RunError> {
        let mut is_taken = false;
        let received = tokio::select! {
            received = self.signals.next() => received,
            Ok(()) = &mut self.taken => {
                is_taken = true;
                "another gateway has taken over"
            }
            ended = self.workers_ended.recv() => {
                ended.unwrap_or(Ok(()))?;
                return Err(RunError::Worker("a worker thread".to_owned()));
            }
        };
        self.ready.store(false, Ordering::Relaxed);
        say(format_args!("{received}: draining"));
        let mut delay = self.reload.snapshot().stop.delay;
        if is_taken {
            // The other gateway accepts and is ready, so load balancers need no time to remove this one.
            delay = std::time::Duration::ZERO;
            self.admins.iter().for_each(Task::abort);
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = self.signals.next() => return Err(RunError::Interrupted),
        }
        let timeout = self.reload.snapshot().stop.timeout;
        // The workers' sockets close only after this side has closed them too.
        tokio::select! {
            () = self.reload.stop() => {}
            _ = self.signals.next() => return Err(RunError::Interrupted),
        }
        self.drain.send_replace(true);
        let workers = self.workers;
        let ended = &mut self.workers_ended;
        let all = async move {
            for _ in 0..workers {
                ended.recv().await.unwrap_or(Ok(()))?;
            }
            Ok(())
        };
        tokio::select! {
            result = all => {
                result?;
                say("drained");
                Ok(Drained::Whole)
            }
            () = tokio::time::sleep(timeout) => {
                say("drain timeout reached; closing the remaining connections");
                Ok(Drained::InPart)
            }
            _ = self.signals.next() => Err(RunError::Interrupted),
        }
    }
}
