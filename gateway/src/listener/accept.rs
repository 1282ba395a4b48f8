//! Accepts the connections of one listener on one worker.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::open::{self, Accepted};
use crate::net::clients;
use crate::observe::counter::{Connections, PerWorker};
use crate::observe::stderr;
use crate::snapshot::{Current, Listener};
use crate::worker::Worker;

/// Pause after accept failed, usually for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener on one worker.
#[derive(Debug)]
pub struct Acceptor {
    worker: Rc<Worker>,
    current: Rc<Current>,
    /// The listener in the current snapshot.
    listener: RefCell<Listener>,
    /// Set to true when the connections with the current settings must close.
    ending: RefCell<Rc<Cell<bool>>>,
    /// Open connections.
    open: Cell<usize>,
    /// Notified when a connection ends or the limit changes.
    has_room: Notify,
    is_closed: Cell<bool>,
    /// Notified when the listener is closed.
    closed: Notify,
}

/// An accepted connection, counted until it is dropped.
#[derive(Debug)]
struct Counted {
    acceptor: Rc<Acceptor>,
    counters: PerWorker<Connections>,
    _client: Option<clients::Counted>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let acceptor = &self.acceptor;
        self.counters.of(acceptor.worker.index).closed.add(1);
        acceptor.open.set(acceptor.open.get() - 1);
        acceptor.has_room.notify_waiters();
    }
}

impl Acceptor {
    /// A listener that is not accepting yet.
    pub fn new(worker: &Rc<Worker>, current: &Rc<Current>, listener: Listener) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            current: Rc::clone(current),
            listener: RefCell::new(listener),
            ending: RefCell::default(),
            open: Cell::new(0),
            has_room: Notify::new(),
            is_closed: Cell::new(false),
            closed: Notify::new(),
        })
    }

    /// Changes the settings for new connections. Open ones close after their request in flight if settings
    /// that were fixed at their start have changed.
    pub fn change(&self, listener: Listener) {
        let suits = {
            let before = self.listener.borrow();
            let asks_the_same = match (&before.tls, &listener.tls) {
                (Some(before), Some(tls)) => before.asks_the_same(tls),
                (before, tls) => before.is_none() && tls.is_none(),
            };
            asks_the_same && before.settings.suits(&listener.settings)
        };
        *self.listener.borrow_mut() = listener;
        if !suits {
            self.end_connections();
        }
        self.has_room.notify_waiters();
    }

    fn end_connections(&self) {
        self.ending.take().set(true);
        self.worker.watches.wake_all();
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.closed.notify_waiters();
    }

    /// Stops accepting, and closes the connections after their requests in flight.
    pub fn remove(&self) {
        self.close();
        self.end_connections();
    }

    /// Maximum number of connections of this worker.
    fn most(&self) -> usize {
        self.listener.borrow().settings.max_connections.div_ceil(self.worker.workers)
    }

    /// Accepts until the listener is closed. At the limit further connections wait in the system's queue.
    ///
    /// # Errors
    ///
    /// The socket cannot be used.
    pub async fn run(self: Rc<Self>, socket: StdListener) -> std::io::Result<()> {
        let socket = TcpListener::from_std(socket)?;
        let mut failing = false;
        loop {
            let closed = self.closed.notified();
            if self.is_closed.get() {
                break;
            }
            let next = async {
                while self.open.get() >= self.most() {
                    self.has_room.notified().await;
                }
                socket.accept().await
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                () = closed => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.spawn(stream, peer);
                }
                Err(error) => {
                    // Logged once, not at every attempt.
                    if !std::mem::replace(&mut failing, true) {
                        let name = &self.listener.borrow().settings.name;
                        stderr::say(format_args!("listener '{name}' cannot accept: {error}"));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.empty(socket)
    }

    /// Accepts the connections in the system's queue: closing the socket would reset them.
    fn empty(self: &Rc<Self>, socket: TcpListener) -> std::io::Result<()> {
        let socket = socket.into_std()?;
        while let Ok((stream, peer)) = socket.accept() {
            stream.set_nonblocking(true)?;
            self.spawn(TcpStream::from_std(stream)?, peer);
        }
        Ok(())
    }

    fn spawn(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Listener { settings, tls, clients, counters } = self.listener.borrow().clone();
        let client = match clients.as_ref().map(|clients| clients.enter(peer.ip())) {
            // The client has reached its connection limit: this connection is closed.
            Some(None) => return,
            entered => entered.flatten(),
        };
        counters.of(self.worker.index).accepted.add(1);
        self.open.set(self.open.get() + 1);
        let counted = Counted { acceptor: Rc::clone(self), counters, _client: client };
        let (worker, current) = (Rc::clone(&self.worker), Rc::clone(&self.current));
        let opened = worker.open();
        let tls = tls.map(|tls| Arc::clone(&tls.config));
        let ending = Rc::clone(&self.ending.borrow());
        let accepted = Accepted { stream, address: peer, listener: settings, tls, ending };
        tokio::task::spawn_local(async move {
            open::serve(worker, current, accepted).await;
            drop((counted, opened));
        });
    }
}
