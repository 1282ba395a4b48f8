//! The listeners of one worker, updated on reload.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::task::JoinHandle;

use super::accept::Acceptor;
use super::sockets::SocketKey;
use crate::snapshot::{Current, Snapshot};
use crate::worker::Worker;

/// New settings for a worker.
#[derive(Debug)]
pub struct Update {
    /// The settings.
    pub snapshot: Arc<Snapshot>,
    /// Sockets that are new to the worker.
    pub sockets: Vec<(SocketKey, TcpListener)>,
    /// Notified when the settings are in force.
    pub done: Sender<()>,
}

/// The listeners of one worker.
#[derive(Debug)]
pub struct Acceptors {
    worker: Rc<Worker>,
    current: Rc<Current>,
    open: HashMap<SocketKey, Rc<Acceptor>>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Acceptors {
    /// The listeners of the first settings.
    pub fn new(worker: &Rc<Worker>, first: Update) -> Self {
        let current = Current::new(Arc::clone(&first.snapshot));
        let mut acceptors =
            Self { worker: Rc::clone(worker), current, open: HashMap::new(), tasks: Vec::new() };
        acceptors.apply(first);
        acceptors
    }

    /// Puts settings in force.
    pub fn apply(&mut self, update: Update) {
        self.current.replace(Arc::clone(&update.snapshot));
        let mut before = std::mem::take(&mut self.open);
        for listener in &update.snapshot.listeners {
            let key = SocketKey::of(&listener.settings);
            let acceptor = match before.remove(&key) {
                Some(acceptor) => {
                    acceptor.change(listener.clone());
                    acceptor
                }
                None => Acceptor::new(&self.worker, &self.current, listener.clone()),
            };
            self.open.insert(key, acceptor);
        }
        for removed in before.into_values() {
            removed.remove();
        }
        self.tasks.retain(|task| !task.is_finished());
        for (key, socket) in update.sockets {
            if let Some(acceptor) = self.open.get(&key) {
                self.tasks.push(tokio::task::spawn_local(Rc::clone(acceptor).run(socket)));
            }
        }
        // If the reload thread has ended, the receiver is gone.
        let _ = update.done.send(());
    }

    /// Stops accepting; completes when the system's queue is empty.
    ///
    /// # Errors
    ///
    /// A socket could not be used.
    pub async fn close(self) -> io::Result<()> {
        for acceptor in self.open.values() {
            acceptor.close();
        }
        for task in self.tasks {
            task.await.map_err(io::Error::other).flatten()?;
        }
        Ok(())
    }
}
