//! A worker's connections to a store, and the choice of the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::error::StoreError;
use super::node::Node;
use super::resp::{self, Reply};
use super::script::Script;
use super::slots::{Redirection, SLOTS, ranges, slot};
use super::store::Store;
use crate::endpoint::Address;

/// How often one command is sent before it is given up.
const MAX_SENDS: usize = 5;
/// The most servers of a cluster.
const MAX_NODES: usize = 1000;
/// The shortest time between two reads of the slot table.
const REFRESH: Duration = Duration::from_secs(1);

/// The clients of one worker, by store.
#[derive(Debug, Default)]
pub struct Clients(RefCell<Vec<Rc<Client>>>);

impl Clients {
    /// The client of a store, made when it is first asked for.
    pub fn get(&self, store: &Arc<Store>) -> Rc<Client> {
        let mut clients = self.0.borrow_mut();
        let known = clients.iter().find(|client| std::ptr::eq(client.store.as_ptr(), Arc::as_ptr(store)));
        if let Some(known) = known {
            return Rc::clone(known);
        }
        let client = Rc::new(Client::new(store));
        clients.push(Rc::clone(&client));
        client
    }

    /// Closes connections to stores that are in no snapshot.
    pub fn sweep(&self) {
        self.0.borrow_mut().retain(|client| client.store.strong_count() > 0);
    }
}

/// The connections of one worker to one store.
#[derive(Debug)]
pub struct Client {
    store: Weak<Store>,
    nodes: RefCell<Vec<Rc<Node>>>,
    /// The server of each slot by its place in `nodes`; empty unless the store is a cluster.
    slots: RefCell<Vec<Option<u16>>>,
    refreshed: Cell<Option<Instant>>,
    /// A server said that it is one of several.
    is_cluster: Cell<bool>,
}

impl Client {
    fn new(store: &Arc<Store>) -> Self {
        let nodes = store.config.servers.iter().cloned().map(Node::new).map(Rc::new).collect();
        Self {
            store: Arc::downgrade(store),
            nodes: RefCell::new(nodes),
            slots: RefCell::default(),
            refreshed: Cell::new(None),
            is_cluster: Cell::new(false),
        }
    }

    /// The store, unless it is in no snapshot any more.
    pub fn store(&self) -> Option<Arc<Store>> {
        self.store.upgrade()
    }

    /// Whether several keys can be asked for at once: not where they are in several slots of a cluster.
    pub fn takes_together(&self, keys: &[&[u8]]) -> bool {
        let mut slots = keys.iter().map(|key| slot(key));
        let first = slots.next();
        !self.is_cluster.get() || slots.all(|slot| Some(slot) == first)
    }

    /// Runs a script on keys, which replies with numbers.
    ///
    /// # Errors
    ///
    /// There is no answer within the timeout of the store.
    pub async fn run(
        self: &Rc<Self>,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[u64],
    ) -> Result<Vec<i64>, StoreError> {
        if !self.takes_together(keys) {
            return Err(StoreError::Apart);
        }
        let store = self.store.upgrade().ok_or(StoreError::Unavailable)?;
        let answer = timeout(store.config.timeout, self.ask(&store, script, keys, arguments)).await;
        answer.unwrap_or(Err(StoreError::Timeout))
    }

    async fn ask(
        self: &Rc<Self>,
        store: &Arc<Store>,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[u64],
    ) -> Result<Vec<i64>, StoreError> {
        let slot = keys.first().map_or(0, |key| slot(key));
        let mut node = self.node_of(slot)?;
        let (mut asking, mut whole) = (false, false);
        let mut error = String::new();
        for _ in 0..MAX_SENDS {
            let sent = node.send(store, asking, |out| write(out, script, whole, keys, arguments));
            let reply = match sent {
                Some(reply) => reply.await.ok(),
                None => None,
            };
            let Some(reply) = reply else {
                self.forget(slot);
                return Err(StoreError::Unavailable);
            };
            error = match reply {
                Reply::Error(error) => error,
                reply => match numbers(reply) {
                    Some(numbers) => return Ok(numbers),
                    None => "no numbers from the script".to_owned(),
                },
            };
            if let Some(there) = Redirection::read(&error) {
                asking = there.once;
                self.is_cluster.set(true);
                let place = self.place(&node, there.host, there.port)?;
                let asked = std::mem::replace(&mut node, self.node(place)?);
                if !there.once {
                    self.set(slot..=slot, place);
                    self.refresh(store, asked);
                }
            } else if error.starts_with("NOSCRIPT") {
                whole = true;
            } else if error.starts_with("CROSSSLOT") {
                self.is_cluster.set(true);
                return Err(StoreError::Apart);
            } else {
                if error.starts_with("READONLY") {
                    // It has become a replica; its name may resolve to another server.
                    node.close();
                }
                break;
            }
        }
        Err(StoreError::Refused(error))
    }

    fn node(&self, place: u16) -> Result<Rc<Node>, StoreError> {
        self.nodes.borrow().get(usize::from(place)).cloned().ok_or(StoreError::Unavailable)
    }

    /// The server of a slot, or any server whose last connection did not fail.
    fn node_of(&self, slot: usize) -> Result<Rc<Node>, StoreError> {
        let known = self.slots.borrow().get(slot).copied().flatten();
        if let Some(place) = known {
            return self.node(place);
        }
        let nodes = self.nodes.borrow();
        let works = nodes.iter().find(|node| !node.is_paused()).or(nodes.first());
        works.cloned().ok_or(StoreError::Unavailable)
    }

    /// The place of a server. Without a host it is that of the server that named it.
    fn place(&self, named_by: &Node, host: &str, port: u16) -> Result<u16, StoreError> {
        let host = match (&named_by.address, host) {
            (Address::Host { host, .. }, "") => host.clone(),
            (_, host) => host.to_owned(),
        };
        let address = Address::Host { host, port };
        let mut nodes = self.nodes.borrow_mut();
        let place = nodes.iter().position(|node| node.address == address).unwrap_or(nodes.len());
        if place == nodes.len() {
            if place >= MAX_NODES {
                return Err(StoreError::Unavailable);
            }
            nodes.push(Rc::new(Node::new(address)));
        }
        u16::try_from(place).map_err(|_| StoreError::Unavailable)
    }

    fn set(&self, range: std::ops::RangeInclusive<usize>, place: u16) {
        let mut slots = self.slots.borrow_mut();
        slots.resize(SLOTS, None);
        if let Some(range) = slots.get_mut(range) {
            range.fill(Some(place));
        }
    }

    /// Asks another server for the slot table, because the server of this slot does not answer.
    fn forget(&self, slot: usize) {
        if let Some(place) = self.slots.borrow_mut().get_mut(slot) {
            *place = None;
        }
    }

    /// Reads the slot table from a server, in a task of its own.
    fn refresh(self: &Rc<Self>, store: &Arc<Store>, node: Rc<Node>) {
        if self.refreshed.get().is_some_and(|last| last.elapsed() < REFRESH) {
            return;
        }
        self.refreshed.set(Some(Instant::now()));
        let Some(reply) = node.send(store, false, |out| resp::write(out, &[b"CLUSTER", b"SLOTS"])) else {
            return;
        };
        let client = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let Ok(reply) = reply.await else { return };
            for range in ranges(&reply) {
                if let Ok(place) = client.place(&node, &range.host, range.port) {
                    client.set(range.first..=range.last, place);
                }
            }
        });
    }
}

/// The numbers of a reply; none if it is no list of numbers.
fn numbers(reply: Reply) -> Option<Vec<i64>> {
    let Reply::List(list) = reply else { return None };
    let number = |reply: Reply| if let Reply::Integer(number) = reply { Some(number) } else { None };
    list.into_iter().map(number).collect()
}

/// Appends a call of a script: EVALSHA, or EVAL for a server that has not loaded it.
fn write(out: &mut Vec<u8>, script: &Script, whole: bool, keys: &[&[u8]], arguments: &[u64]) {
    let texts: Vec<String> = arguments.iter().map(u64::to_string).collect();
    let call: [&[u8]; 2] =
        if whole { [b"EVAL", script.text.as_bytes()] } else { [b"EVALSHA", script.hash.as_bytes()] };
    let count = keys.len().to_string();
    let mut words = vec![call[0], call[1], count.as_bytes()];
    words.extend(keys);
    words.extend(texts.iter().map(String::as_bytes));
    resp::write(out, &words);
}
