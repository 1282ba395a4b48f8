//! Accepts the connections of one listening socket.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::open::{self, Accepted};
use crate::net::clients::{self, Clients};
use crate::observe::counter::{Connections, PerWorker};
use crate::observe::stderr;
use crate::settings::Listener;
use crate::snapshot::Current;
use crate::worker::Worker;

/// The pause after the system could not give a connection, above all for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// One listening socket of one worker.
#[derive(Debug)]
pub struct Acceptor {
    /// The worker.
    pub worker: Rc<Worker>,
    /// The settings in force.
    pub current: Rc<Current>,
    /// The settings of the listener.
    pub listener: Arc<Listener>,
    /// TLS, if the listener speaks it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The connections of each client, if they are limited.
    pub clients: Option<Arc<Clients>>,
    /// The most connections of this worker at a time.
    pub max_connections: usize,
    /// The counters of the listener.
    pub counters: Arc<PerWorker<Connections>>,
    /// Becomes true when the gateway stops.
    pub drain: watch::Receiver<bool>,
}

/// An accepted connection, counted until it is dropped.
#[derive(Debug)]
struct Counted {
    counters: Arc<PerWorker<Connections>>,
    slots: Rc<tokio::sync::Semaphore>,
    worker: usize,
    _client: Option<clients::Counted>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.of(self.worker).closed.add(1);
        self.slots.add_permits(1);
    }
}

impl Acceptor {
    /// Accepts until the gateway stops. At the limit further connections wait in the system's
    /// queue.
    ///
    /// # Errors
    ///
    /// The socket cannot be used.
    pub async fn run(self, socket: StdListener) -> std::io::Result<()> {
        let socket = TcpListener::from_std(socket)?;
        let slots = Rc::new(tokio::sync::Semaphore::new(self.max_connections));
        let mut drain = self.drain.clone();
        let mut failing = false;
        loop {
            let next = async {
                if let Ok(slot) = slots.acquire().await {
                    slot.forget();
                }
                socket.accept().await
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                _ = drain.wait_for(|&drain| drain) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.spawn(stream, peer, Rc::clone(&slots));
                }
                Err(error) => {
                    slots.add_permits(1);
                    // It would be said again at every attempt until it passes.
                    if !std::mem::replace(&mut failing, true) {
                        stderr::say(format_args!("listener '{}' cannot accept: {error}", self.listener.name));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.empty(socket, &slots)
    }

    /// Takes what the system has accepted already: closing the socket would reset it.
    fn empty(&self, socket: TcpListener, slots: &Rc<tokio::sync::Semaphore>) -> std::io::Result<()> {
        let socket = socket.into_std()?;
        while let Ok((stream, peer)) = socket.accept() {
            stream.set_nonblocking(true)?;
            self.spawn(TcpStream::from_std(stream)?, peer, Rc::clone(slots));
        }
        Ok(())
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, slots: Rc<tokio::sync::Semaphore>) {
        let client = match self.clients.as_ref().map(|clients| clients.enter(peer.ip())) {
            Some(None) => {
                // The client has as many connections as it may: this one is closed.
                slots.add_permits(1);
                return;
            }
            entered => entered.flatten(),
        };
        self.counters.of(self.worker.index).accepted.add(1);
        let counters = Arc::clone(&self.counters);
        let counted = Counted { counters, slots, worker: self.worker.index, _client: client };
        let (worker, current) = (Rc::clone(&self.worker), Rc::clone(&self.current));
        let opened = worker.open();
        let listener = Arc::clone(&self.listener);
        let accepted = Accepted { stream, address: peer, listener, tls: self.tls.clone() };
        tokio::task::spawn_local(async move {
            open::serve(worker, current, accepted).await;
            drop((counted, opened));
        });
    }
}
