//! Connections counted by client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of a listener by client address, over all workers. Locked once per connection, and only if
/// a limit is set.
#[derive(Debug)]
pub struct Clients {
    most: usize,
    connections: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of a client, counted until it is dropped.
#[derive(Debug)]
pub struct Counted {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Clients {
    /// Allows at most `most` connections per client.
    pub fn new(most: usize) -> Self {
        Self { most, connections: Mutex::default() }
    }

    /// Counts a connection; `None` if the client has reached the limit.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Counted { clients: Arc::clone(self), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut connections = self.clients.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Clients;

    #[test]
    fn limit_is_counted_per_client() {
        let clients = Arc::new(Clients::new(2));
        let one = "192.0.2.1".parse().expect("an address");
        let held = (clients.enter(one), clients.enter(one));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(clients.enter(one).is_none());
        assert!(clients.enter("192.0.2.2".parse().expect("an address")).is_some());
        drop(held.0);
        assert!(clients.enter(one).is_some());
        drop(held.1);
        assert!(clients.connections.lock().expect("unpoisoned").is_empty());
    }
}
