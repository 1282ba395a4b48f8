//! What is known of a connection, shared between its bytes, its requests and its driver.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::http::Rejection;
use crate::observe::metrics::Metrics;

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// The place of its listener in the settings.
    pub listener: usize,
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub tls: bool,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    /// Held as long as the connection lives, so that a draining thread knows when all are gone.
    _alive: mpsc::Sender<()>,
    /// Its share of the most connections at a time.
    _slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct State {
    /// Requests whose head has come in.
    began: u64,
    /// Requests handed to the handler.
    handled: u64,
    /// Requests whose response has ended.
    ended: u64,
    idle_since: Instant,
    /// A request refused for its form, by its number, counted from 1.
    refused: Option<(u64, Rejection)>,
    /// The connection speaks another protocol from now on.
    switched: bool,
    draining: bool,
    /// Since when the socket has taken what is written; nothing while it does not.
    writable_since: Option<Instant>,
    waker: Option<Waker>,
}

/// A request whose response has not ended.
#[derive(Debug)]
pub struct InFlight {
    connection: Arc<Connection>,
}

impl Connection {
    /// A connection just accepted.
    pub fn new(
        listener: usize,
        peer: SocketAddr,
        tls: bool,
        metrics: Arc<Metrics>,
        alive: mpsc::Sender<()>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        metrics.connection_opened(listener);
        Self {
            listener,
            peer,
            tls,
            state: Mutex::new(State {
                began: 0,
                handled: 0,
                ended: 0,
                idle_since: Instant::now(),
                refused: None,
                switched: false,
                draining: false,
                writable_since: Some(Instant::now()),
                waker: None,
            }),
            metrics,
            _alive: alive,
            _slot: slot,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of a request has come in.
    pub fn begin(&self) {
        self.state().began += 1;
    }

    /// The request whose head comes next is refused.
    pub fn refuse(&self, rejection: Rejection) {
        let mut state = self.state();
        state.began += 1;
        state.refused = Some((state.began, rejection));
    }

    /// The next request is handed to the handler; an error if it was refused for its form.
    pub fn handle(&self) -> Result<(), Rejection> {
        let mut state = self.state();
        state.handled += 1;
        match state.refused {
            Some((number, rejection)) if number == state.handled => Err(rejection),
            _ => Ok(()),
        }
    }

    /// A request in flight, that [`Connection::begin`] has announced.
    pub fn in_flight(self: &Arc<Self>) -> InFlight {
        InFlight { connection: Arc::clone(self) }
    }

    /// Since when no request is in flight, if none is.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.began <= state.ended).then_some(state.idle_since)
    }

    /// Whether no request has come in yet.
    pub fn is_fresh(&self) -> bool {
        self.state().began == 0
    }

    /// The socket takes what is written again, or no longer.
    pub fn set_writable(&self, writable: bool) {
        self.state().writable_since = writable.then(Instant::now);
    }

    /// Since when the socket has taken what is written, if it does.
    pub fn writable_since(&self) -> Option<Instant> {
        self.state().writable_since
    }

    /// Has `waker` woken when the requests in flight have ended or the connection is to drain.
    pub fn wake_when_idle(&self, waker: &Waker) {
        self.state().waker = Some(waker.clone());
    }

    /// The gateway stops: no further request is to come in.
    pub fn drain(&self) {
        let waker = {
            let mut state = self.state();
            state.draining = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the gateway stops.
    pub fn is_draining(&self) -> bool {
        self.state().draining
    }

    /// The connection speaks another protocol from now on. It cannot if what the client sent in
    /// advance has been refused: the codec holds other bytes in its place.
    pub fn switch(&self) -> bool {
        let mut state = self.state();
        state.switched = state.refused.is_none();
        state.switched
    }

    /// Whether the connection speaks another protocol.
    pub fn is_switched(&self) -> bool {
        self.state().switched
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.connection_closed(self.listener);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.connection.state();
            state.ended += 1;
            state.idle_since = Instant::now();
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
