//! The listening sockets of the process.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::socket;
use crate::observe::stderr::say;
use crate::settings::Listener;

/// Identity of a listening socket across reloads: its address, and the name of its listener if the system
/// chose the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketKey {
    address: SocketAddr,
    name: Option<String>,
}

impl SocketKey {
    /// The key of a listener.
    pub fn of(listener: &Listener) -> Self {
        let name = (listener.address.port() == 0).then(|| listener.name.clone());
        Self { address: listener.address, name }
    }
}

/// An address could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The name of the listener, such as `listener 'web'`.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// The error.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, error } = self;
        write!(f, "{name} cannot listen on {address}: {error}; free the address or choose another")
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The sockets of each listener, one per worker.
pub type Opened = HashMap<SocketKey, Vec<TcpListener>>;

/// The sockets of all listeners. The workers have the same ones; a socket is closed when both sides have
/// dropped it.
#[derive(Debug)]
pub struct Sockets {
    threads: usize,
    open: Opened,
    /// Sockets inherited from the previous gateway that are not in use yet.
    inherited: HashMap<SocketAddr, Vec<TcpListener>>,
}

impl Sockets {
    /// No sockets yet, for `threads` workers.
    pub fn new(threads: usize) -> Self {
        Self { threads, open: Opened::new(), inherited: HashMap::new() }
    }

    /// Inherits the sockets of the previous gateway; listeners with the same addresses get them.
    ///
    /// # Errors
    ///
    /// A descriptor is not a socket.
    pub fn inherit(&mut self, sockets: Vec<TcpListener>) -> io::Result<()> {
        for socket in sockets {
            self.inherited.entry(socket.local_addr()?).or_default().push(socket);
        }
        Ok(())
    }

    /// The sockets of an address: inherited ones, or `count` new ones.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub fn bind(
        &mut self,
        name: &str,
        address: SocketAddr,
        count: usize,
    ) -> Result<Vec<TcpListener>, BindError> {
        match self.inherited.remove(&address) {
            Some(sockets) => {
                say(format_args!("{name} listens on {address}"));
                Ok(sockets)
            }
            None => bind(name, address, count),
        }
    }

    /// Clones of all sockets, for the next gateway.
    ///
    /// # Errors
    ///
    /// No file descriptors are available.
    pub fn clones(&self) -> io::Result<Vec<TcpListener>> {
        self.open.values().flatten().map(TcpListener::try_clone).collect()
    }

    /// Opens sockets for listeners that have none yet.
    ///
    /// # Errors
    ///
    /// An address cannot be bound. No new socket stays open.
    pub fn open(&mut self, listeners: &[Listener]) -> Result<Opened, BindError> {
        let mut opened = Opened::new();
        for listener in listeners {
            let key = SocketKey::of(listener);
            if !self.open.contains_key(&key) {
                let name = format!("listener '{}'", listener.name);
                opened.insert(key, self.bind(&name, listener.address, self.threads)?);
            }
        }
        Ok(opened)
    }

    /// Keeps the sockets of these listeners, and closes this side of the others. Gives each worker the
    /// sockets that are new to it.
    ///
    /// # Errors
    ///
    /// No file descriptors are available.
    pub fn keep(
        &mut self,
        opened: Opened,
        listeners: &[Listener],
    ) -> io::Result<Vec<Vec<(SocketKey, TcpListener)>>> {
        let mut workers: Vec<Vec<_>> = (0..self.threads).map(|_| Vec::new()).collect();
        for (key, sockets) in &opened {
            // Several workers may share a socket, and one worker may have several.
            for number in 0..sockets.len().max(self.threads) {
                let socket = sockets[number % sockets.len()].try_clone()?;
                workers[number % self.threads].push((key.clone(), socket));
            }
        }
        let keys: Vec<SocketKey> = listeners.iter().map(SocketKey::of).collect();
        self.open.retain(|key, _| keys.contains(key));
        self.open.extend(opened);
        Ok(workers)
    }

    /// Closes this side of all sockets.
    pub fn close(&mut self) {
        self.open.clear();
    }
}

/// Binds sockets and logs their address.
///
/// # Errors
///
/// The address cannot be bound.
fn bind(name: &str, address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    let failed = |error| BindError { name: name.to_owned(), address, error };
    let sockets = socket::bind(address, count).map_err(failed)?;
    let bound = sockets.first().map_or(Ok(address), TcpListener::local_addr).map_err(failed)?;
    say(format_args!("{name} listens on {bound}"));
    Ok(sockets)
}
