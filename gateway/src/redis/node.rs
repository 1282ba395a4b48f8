//! One server, with a connection that is opened when it is needed.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::Receiver;

use super::connection::Connection;
use super::resp::Reply;
use super::store::Store;
use crate::endpoint::Address;

/// The first pause after a failed connection; each further one is twice as long,
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A server.
#[derive(Debug)]
pub struct Node {
    /// Its address.
    pub address: Address,
    connection: RefCell<Option<Connection>>,
    /// Not before then a connection is opened, and the pause after that.
    pause: Cell<Option<(Instant, Duration)>>,
}

impl Node {
    /// A server without a connection.
    pub fn new(address: Address) -> Self {
        Self { address, connection: RefCell::default(), pause: Cell::default() }
    }

    /// Sends a command, on a new connection if there is none; none if that failed a short time ago, or the
    /// server is silent. `asking` sends `ASKING` first: the slot is being moved to this server.
    pub fn send(
        &self,
        store: &Arc<Store>,
        asking: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Receiver<Reply>> {
        let mut held = self.connection.borrow_mut();
        if let Some(ended) = held.take_if(|connection| connection.is_closed()) {
            let before = self.pause.take().filter(|_| !ended.was_opened());
            let pause = before.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LONGEST_PAUSE));
            self.pause.set(Some((Instant::now() + pause, pause)));
        }
        if held.is_none() && self.pauses() {
            return None;
        }
        let connection = held.get_or_insert_with(|| Connection::open(store, &self.address));
        if asking {
            connection.send_unanswered(&[b"ASKING"]);
        }
        connection.send(store.config.timeout, write)
    }

    /// Whether its last connection failed a short time ago.
    pub fn is_paused(&self) -> bool {
        self.connection.borrow().is_none() && self.pauses()
    }

    fn pauses(&self) -> bool {
        self.pause.get().is_some_and(|(until, _)| Instant::now() < until)
    }

    /// Closes its connection.
    pub fn close(&self) {
        self.connection.take();
    }
}
