//! The process: sockets, threads, signals, and an orderly end.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::serve::{Admin, serve};
use crate::listener::accept::Acceptor;
use crate::listener::{socket, tls};
use crate::observe::access::AccessLog;
use crate::observe::exchange::Observer;
use crate::observe::metrics::Metrics;
use crate::observe::request_id::RequestIds;
use crate::observe::stderr::say;
use crate::proxy::Proxy;
use crate::route::{self, Table};
use crate::settings::{Listener, Place, Problem, Settings, files};

/// Settings with everything they name read and found good.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    /// TLS for each listener that speaks it.
    tls: Vec<Option<Arc<ServerConfig>>>,
}

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

/// What was found in settings and in the files they name.
#[derive(Debug, Default)]
pub struct Findings {
    /// What makes them unfit for use.
    pub problems: Vec<Problem>,
    /// What an operator should look at.
    pub warnings: Vec<Problem>,
}

/// Reads the files the settings name. With any problem the result is not fit for use.
pub fn prepare(settings: Settings, file: &str) -> (Prepared, Findings) {
    let place = |(place, text)| Problem { file: file.to_owned(), place: Some(place), text };
    let read = files::check(&settings.files, SystemTime::now());
    let mut problems: Vec<Problem> = read.problems.into_iter().map(place).collect();
    let mut warnings: Vec<Problem> = read.warnings.into_iter().map(place).collect();
    warnings.extend(unused(&settings).into_iter().map(place));
    warnings.extend(shadowed(&settings).into_iter().map(place));
    let mut configs = Vec::new();
    for listener in &settings.listeners {
        let loaded = listener.tls.as_ref().map(tls::load).transpose();
        configs.push(loaded.unwrap_or_else(|errors| {
            problems.extend(errors.into_iter().map(|error| place((error.place, error.text))));
            None
        }));
    }
    let prepared = Prepared { settings, tls: configs };
    (prepared, Findings { problems, warnings })
}

/// Upstreams to which no route leads.
fn unused(settings: &Settings) -> Vec<(Place, String)> {
    let used: HashSet<&str> = settings.routes.iter().flat_map(|route| route.action.upstreams()).collect();
    let unused = settings.upstreams.iter().filter(|upstream| !used.contains(upstream.name.as_str()));
    unused
        .map(|upstream| (upstream.place, format!("no route leads to the upstream '{}'", upstream.name)))
        .collect()
}

/// Routes that no request reaches.
fn shadowed(settings: &Settings) -> Vec<(Place, String)> {
    let routes = &settings.routes;
    let pairs = route::shadowed(routes).into_iter();
    pairs
        .filter_map(|(shadowed, taker)| {
            let (route, taker) = (routes.get(shadowed)?, routes.get(taker)?);
            let (name, by, line) = (&route.name, &taker.name, taker.place.line);
            let text = format!(
                "no request reaches the route '{name}'; others, such as '{by}' in line {line}, take them"
            );
            Some((route.place, text))
        })
        .collect()
}

/// What the worker threads share.
struct Shared {
    settings: Arc<Settings>,
    listeners: Vec<Arc<Listener>>,
    tls: Vec<Option<Arc<ServerConfig>>>,
    table: Arc<Table<usize>>,
    observer: Arc<Observer>,
    drain: watch::Receiver<bool>,
}

/// Runs until told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] if it could not begin, or did not end in order.
pub fn run(prepared: Prepared) -> Result<(), RunError> {
    let Prepared { settings, tls } = prepared;
    let settings = Arc::new(settings);
    let metrics = Arc::new(Metrics::new(&settings));
    let log = AccessLog::start(settings.access_log, Arc::clone(&metrics))
        .map_err(|error| RunError::System("start the log thread", error))?;
    let (drain, draining) = watch::channel(false);
    let observer = Observer {
        metrics: Arc::clone(&metrics),
        log: log.clone(),
        ids: RequestIds::default(),
        routes: settings.routes.iter().map(|route| route.name.clone()).collect(),
    };
    let shared = Arc::new(Shared {
        listeners: settings.listeners.iter().cloned().map(Arc::new).collect(),
        table: Arc::new(settings.routes.iter().enumerate().map(|(number, route)| (route, number)).collect()),
        observer: Arc::new(observer),
        drain: draining,
        settings: Arc::clone(&settings),
        tls,
    });

    let runtime = runtime()?;
    // Before anything listens: from here on no signal is lost.
    let (signals, hangup) =
        runtime.block_on(async { Ok((Signals::new()?, handler(SignalKind::hangup())?)) })?;
    runtime.spawn(shrug_off(hangup));
    let admin = bind("the admin listener", settings.admin, 1)?;
    let sockets = bind_all(&settings)?;
    let ready = Arc::new(AtomicBool::new(false));
    for socket in admin {
        let admin = Admin { ready: Arc::clone(&ready), metrics: Arc::clone(&metrics) };
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
            let result = runtime().and_then(|runtime| runtime.block_on(work(thread, sockets, &shared)));
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
    let proxy = Arc::new(Proxy::new(
        Arc::clone(&shared.settings),
        Arc::clone(&shared.table),
        Arc::clone(&shared.observer),
        thread,
    ));
    let (alive, mut all_gone) = mpsc::channel(1);
    let mut accepting = Vec::new();
    for (number, socket) in sockets {
        let listener = Arc::clone(&shared.listeners[number]);
        let acceptor = Acceptor {
            number,
            tls: shared.tls[number].clone(),
            max_connections: listener.max_connections.div_ceil(shared.settings.threads),
            listener,
            handler: Arc::clone(&proxy),
            metrics: Arc::clone(&shared.observer.metrics),
            drain: shared.drain.clone(),
            alive: alive.clone(),
        };
        accepting.push(tokio::spawn(acceptor.run(socket)));
    }
    drop(alive);
    for task in accepting {
        task.await
            .map_err(io::Error::other)
            .and_then(|accepted| accepted)
            .map_err(|error| RunError::System("accept connections", error))?;
    }
    let () = all_gone.recv().await.unwrap_or(());
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
