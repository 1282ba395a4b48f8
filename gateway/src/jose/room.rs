//! Waiting places, shared fairly among clients.
//!
//! A flood comes from few addresses. If all places are taken, a request of a client with few places evicts
//! the latest request of the client with the most places: a flood cannot keep others from waiting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Receiver, Sender, channel};

/// A client: its address, for IPv6 the first 64 bits; `None` for a client without an address.
pub type Client = Option<IpAddr>;

/// The client of an address as text.
pub fn client(text: &str) -> Client {
    Some(match text.parse().ok()? {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    })
}

/// A fixed number of places.
#[derive(Debug)]
pub struct Room {
    places: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    next: u64,
    /// The requests of each client, the latest at the end.
    clients: HashMap<Client, Vec<(u64, Sender<()>)>>,
}

/// A place; released when dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    client: Client,
    number: u64,
    /// Closed when another request has taken the place.
    pub lost: Receiver<()>,
}

impl Room {
    /// A room with `places` free places.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, waiting: Mutex::default() })
    }

    /// Takes a place; `None` if the client has used its share.
    pub fn enter(self: &Arc<Self>, client: Client) -> Option<Place> {
        let mut waiting = self.waiting();
        if waiting.count >= self.places && !waiting.make_room(client) {
            return None;
        }
        let (sender, lost) = channel();
        let number = waiting.next;
        waiting.next += 1;
        waiting.count += 1;
        waiting.clients.entry(client).or_default().push((number, sender));
        Some(Place { room: Arc::clone(self), client, number, lost })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Evicts a request of the client with the most places, if it has at least two more than this client.
    fn make_room(&mut self, client: Client) -> bool {
        let own = self.clients.get(&client).map_or(0, Vec::len);
        let most = self.clients.values_mut().max_by_key(|places| places.len());
        let Some(places) = most.filter(|places| places.len() > own + 1) else { return false };
        places.pop();
        self.count -= 1;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting();
        let Some(places) = waiting.clients.get_mut(&self.client) else { return };
        let Some(at) = places.iter().rposition(|(number, _)| *number == self.number) else { return };
        places.remove(at);
        if places.is_empty() {
            waiting.clients.remove(&self.client);
        }
        waiting.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Room, client};

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn flood_does_not_block_other_clients() {
        let (flood, one, other) = (client("192.0.2.1"), client("192.0.2.2"), client("2001:db8::1"));
        let room = Room::new(4);
        let mut held: Vec<Place> = (0..4).map(|_| room.enter(flood).expect("a place")).collect();
        assert!(room.enter(flood).is_none(), "full");
        let mut first = room.enter(one).expect("a place of the flood");
        // Of the same /64.
        let mut second = room.enter(client("2001:db8::ffff")).expect("a place of the flood");
        assert_eq!(held.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, false, true, true]);
        // Each client gets its share.
        for client in [flood, one, other] {
            assert!(room.enter(client).is_none(), "{client:?}");
        }
        drop(held);
        assert!(!is_lost(&mut first) && !is_lost(&mut second));
        let places: Vec<Place> = (0..2).map(|_| room.enter(flood).expect("a place")).collect();
        drop((places, first, second));
        let waiting = room.waiting();
        assert_eq!((waiting.count, waiting.clients.len()), (0, 0));
    }

    #[test]
    fn clients_without_an_address_share_places() {
        assert_eq!(client("unix"), client("unknown"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
