//! The process: sockets, threads, signals, and an orderly end.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::admin::serve::{Admin, serve};
use crate::listener::accept::Acceptor;
use crate::listener::socket;
use crate::observe::access::AccessLog;
use crate::observe::metrics::Metrics;
use crate::observe::stderr::say;
use crate::prepare::Prepared;
use crate::probe;
use crate::settings::Settings;
use crate::snapshot::{Current, Snapshot};
use crate::state::StateStore;
use crate::upstream::Upstream;
use crate::worker::Worker;

/// The gateway could not do its work.
#[derive(Debug)]
pub enum RunError {
    /// An address could not be bound.
    Bind(String, SocketAddr, io::Error),
    /// The system refused a thread, a socket or a signal handler.
    System(&'static str, io::Error),
    /// A worker thread ended before its time.
    Worker(String),
    /// Told to stop a second time, it stopped with requests in flight.
    Interrupted,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(name, address, error) => {
                write!(f, "{name} cannot listen on {address}: {error}; free the address or choose another")
            }
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
            Self::Worker(name) => write!(f, "{name} ended unexpectedly"),
            Self::Interrupted => f.write_str("stopped at once, at the second signal"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(_, _, error) | Self::System(_, error) => Some(error),
            Self::Worker(_) | Self::Interrupted => None,
        }
    }
}

/// What the worker threads share.
struct Shared {
    snapshot: Arc<Snapshot>,
    threads: usize,
    metrics: Arc<Metrics>,
    log: AccessLog,
    drain: watch::Receiver<bool>,
}

/// Runs until told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] if it could not begin, or did not end in order.
pub fn run(prepared: Prepared) -> Result<(), RunError> {
    let Prepared { settings, tls, upstreams, metrics, log } = prepared;
    log.start().map_err(|error| RunError::System("start the log thread", error))?;
    let metrics = Arc::new(metrics);
    let (drain, draining) = watch::channel(false);
    let shared = Arc::new(Shared {
        snapshot: Arc::new(Snapshot::compile(&settings, tls, upstreams, &metrics, &StateStore::default())),
        threads: settings.threads,
        metrics: Arc::clone(&metrics),
        log: log.clone(),
        drain: draining,
    });

    let runtime = runtime()?;
    runtime.spawn(probe::run(
        probes(&shared.snapshot),
        Arc::new(|change: &probe::Change| {
            let probe::Change { upstream, endpoint, down } = change;
            match down {
                None => say(format_args!("upstream '{upstream}': {endpoint} is up")),
                Some(reason) => say(format_args!("upstream '{upstream}': {endpoint} is down: {reason}")),
            }
        }),
    ));
    // Before anything listens: from here on no signal is lost.
    let (signals, hangup) =
        runtime.block_on(async { Ok((Signals::new()?, handler(SignalKind::hangup())?)) })?;
    runtime.spawn(shrug_off(hangup));
    let admin = bind("the admin listener", settings.admin, 1)?;
    let sockets = bind_all(&settings)?;
    let ready = Arc::new(AtomicBool::new(false));
    for socket in admin {
        let in_force = Arc::clone(&shared.snapshot);
        let admin = Admin {
            ready: Arc::clone(&ready),
            metrics: Arc::clone(&metrics),
            snapshot: Arc::new(move || Arc::clone(&in_force)),
        };
        runtime.spawn(serve(socket, admin));
    }
    let (ended, workers_ended) = mpsc::unbounded_channel();
    let mut workers = Vec::new();
    for (thread, sockets) in sockets.into_iter().enumerate() {
        workers.push(spawn(thread, sockets, Arc::clone(&shared), ended.clone())?);
    }
    drop((ended, shared));
    ready.store(true, Ordering::Relaxed);
    say("ready");

    let supervisor = Supervisor { signals, workers_ended, workers: workers.len(), ready, drain };
    let outcome = runtime.block_on(supervisor.run(&settings));
    if matches!(outcome, Ok(Drained::Whole)) {
        for worker in workers {
            let name = worker.thread().name().unwrap_or("a worker").to_owned();
            worker.join().map_err(|_| RunError::Worker(name))?;
        }
    }
    log.flush();
    outcome.map(|_| ())
}

/// What is to be probed.
fn probes(snapshot: &Snapshot) -> Vec<probe::ProbeTarget> {
    let target = |upstream: &Arc<Upstream>| {
        let settings = Arc::new(upstream.probe()?);
        let (cluster, dial) = (Arc::clone(&upstream.cluster), upstream.dialing.clone());
        Some(probe::ProbeTarget { cluster, settings, dial })
    };
    snapshot.upstreams.iter().filter_map(target).collect()
}

fn runtime() -> Result<Runtime, RunError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System("start a runtime", error))
}

fn bind(name: &str, address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, RunError> {
    let failed = |error| RunError::Bind(name.to_owned(), address, error);
    let sockets = socket::bind(address, count).map_err(failed)?;
    let bound = sockets.first().map_or(Ok(address), TcpListener::local_addr).map_err(failed)?;
    say(format_args!("{name} listens on {bound}"));
    Ok(sockets)
}

/// For each thread, a socket of each listener with the listener's number.
fn bind_all(settings: &Settings) -> Result<Vec<Vec<(usize, TcpListener)>>, RunError> {
    let mut threads: Vec<Vec<_>> = (0..settings.threads).map(|_| Vec::new()).collect();
    for (number, listener) in settings.listeners.iter().enumerate() {
        let name = format!("listener '{}'", listener.name);
        let sockets = bind(&name, listener.address, settings.threads)?;
        for (thread, socket) in threads.iter_mut().zip(sockets) {
            thread.push((number, socket));
        }
    }
    Ok(threads)
}

fn spawn(
    thread: usize,
    sockets: Vec<(usize, TcpListener)>,
    shared: Arc<Shared>,
    ended: mpsc::UnboundedSender<Result<(), RunError>>,
) -> Result<JoinHandle<()>, RunError> {
    std::thread::Builder::new()
        .name(format!("worker-{thread}"))
        .spawn(move || {
            let panicked = Err(RunError::Worker(format!("worker {thread}")));
            let mut notice = Notice { ended, result: Some(panicked) };
            let result = runtime()
                .and_then(|runtime| LocalSet::new().block_on(&runtime, work(thread, sockets, &shared)));
            notice.result = Some(result);
        })
        .map_err(|error| RunError::System("start a worker thread", error))
}

/// Tells the supervisor how a worker thread ended, even if it panics.
struct Notice {
    ended: mpsc::UnboundedSender<Result<(), RunError>>,
    result: Option<Result<(), RunError>>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            // With nobody to hear it, the process is about to end anyway.
            let _ = self.ended.send(result);
        }
    }
}

/// One worker thread: accepts until the gateway stops, then waits for its last connection.
async fn work(thread: usize, sockets: Vec<(usize, TcpListener)>, shared: &Shared) -> Result<(), RunError> {
    let worker = Worker::new((thread, shared.threads), Arc::clone(&shared.metrics), shared.log.worker());
    let current = Current::new(Arc::clone(&shared.snapshot));
    let ticking = Rc::clone(&worker);
    let ticks = tokio::task::spawn_local(async move {
        let watches = Rc::clone(&ticking.watches);
        watches.run(|| ticking.tick(), || ticking.log.hand_over()).await;
    });
    let mut accepting = Vec::new();
    for (number, socket) in sockets {
        let Some(listener) = shared.snapshot.listeners.get(number) else {
            continue;
        };
        let acceptor = Acceptor {
            tls: listener.tls.clone(),
            clients: listener.clients.clone(),
            max_connections: listener.settings.max_connections.div_ceil(shared.threads),
            listener: Arc::clone(&listener.settings),
            counters: Arc::clone(&listener.counters),
            worker: Rc::clone(&worker),
            current: Rc::clone(&current),
            drain: shared.drain.clone(),
        };
        accepting.push(tokio::task::spawn_local(acceptor.run(socket)));
    }
    let mut drain = shared.drain.clone();
    // The sender lives as long as the process accepts.
    let _ = drain.wait_for(|&drain| drain).await;
    worker.drain();
    for task in accepting {
        task.await
            .map_err(io::Error::other)
            .and_then(|accepted| accepted)
            .map_err(|error| RunError::System("accept connections", error))?;
    }
    while worker.connections() > 0 {
        worker.closed.notified().await;
    }
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

/// Answers SIGHUP with a line. Those who send it expect other daemons' reload, so that without a
/// handler they would end the gateway with its requests in flight.
async fn shrug_off(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        say("SIGHUP: nothing is reloaded, settings and certificates are read only at the start; \
             restart the gateway to change them");
    }
}

/// How the drain ended.
enum Drained {
    /// Every connection came to its end.
    Whole,
    /// The time was up before.
    InPart,
}

struct Supervisor {
    signals: Signals,
    workers_ended: mpsc::UnboundedReceiver<Result<(), RunError>>,
    workers: usize,
    ready: Arc<AtomicBool>,
    drain: watch::Sender<bool>,
}

impl Supervisor {
    async fn run(mut self, settings: &Settings) -> Result<Drained, RunError> {
        let received = tokio::select! {
            received = self.signals.next() => received,
            ended = self.workers_ended.recv() => {
                ended.unwrap_or(Ok(()))?;
                return Err(RunError::Worker("a worker thread".to_owned()));
            }
        };
        self.ready.store(false, Ordering::Relaxed);
        say(format_args!("{received}: draining"));
        tokio::select! {
            () = tokio::time::sleep(settings.drain_delay) => {}
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
            () = time_up(settings.drain_timeout) => {
                say("the drain timeout is up; closing what is still open");
                Ok(Drained::InPart)
            }
            _ = self.signals.next() => Err(RunError::Interrupted),
        }
    }
}

async fn time_up(limit: Duration) {
    tokio::time::sleep(limit).await;
}
