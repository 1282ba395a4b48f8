//! Accepts the connections of one listening socket.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::Handler;
use super::connection::Connection;
use super::serve::serve;
use crate::observe::metrics::Metrics;
use crate::observe::stderr;
use crate::settings::Listener;

/// The pause after the system could not give a connection, above all for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// One listening socket with what its connections need.
#[derive(Debug)]
pub struct Acceptor<H> {
    /// The place of the listener in the settings.
    pub number: usize,
    /// Its settings.
    pub listener: Arc<Listener>,
    /// TLS, if it speaks it.
    pub tls: Option<Arc<ServerConfig>>,
    /// The most connections of this thread at a time.
    pub max_connections: usize,
    /// Who answers.
    pub handler: Arc<H>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Becomes true when the gateway stops.
    pub drain: watch::Receiver<bool>,
    /// Cloned for every connection and dropped at its end.
    pub alive: mpsc::Sender<()>,
}

impl<H: Handler> Acceptor<H> {
    /// Accepts until the gateway stops. At the limit further connections wait in the system's
    /// queue.
    ///
    /// # Errors
    ///
    /// The socket cannot be used.
    pub async fn run(self, socket: StdListener) -> std::io::Result<()> {
        let socket = TcpListener::from_std(socket)?;
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let mut drain = self.drain.clone();
        let mut failing = false;
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, socket.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                next = next => next,
                _ = drain.wait_for(|&drain| drain) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.spawn(stream, peer, slot.ok());
                }
                Err(error) => {
                    // It would be said again at every attempt until it passes.
                    if !std::mem::replace(&mut failing, true) {
                        stderr::say(format_args!("listener '{}' cannot accept: {error}", self.listener.name));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.empty(socket)
    }

    /// Takes in what the system has accepted already: closing the socket would reset it.
    fn empty(&self, socket: TcpListener) -> std::io::Result<()> {
        let socket = socket.into_std()?;
        while let Ok((stream, peer)) = socket.accept() {
            stream.set_nonblocking(true)?;
            self.spawn(TcpStream::from_std(stream)?, peer, None);
        }
        Ok(())
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, slot: Option<OwnedSemaphorePermit>) {
        let connection = Arc::new(Connection::new(
            self.number,
            peer,
            self.tls.is_some(),
            Arc::clone(&self.metrics),
            self.alive.clone(),
            slot,
        ));
        let listener = Arc::clone(&self.listener);
        let tls = self.tls.clone().map(TlsAcceptor::from);
        let (handler, drain) = (Arc::clone(&self.handler), self.drain.clone());
        tokio::spawn(async move {
            serve(stream, tls, &listener, connection, handler, drain).await;
        });
    }
}
