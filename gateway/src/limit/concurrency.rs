//! How many requests of one key may be in flight, and how many may wait for one of those to end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Requests in flight by key, for all workers together. Memory is bounded by the requests in flight.
#[derive(Debug)]
pub struct Concurrency {
    max: u64,
    max_waiting: usize,
    keys: Mutex<HashMap<Box<[u8]>, InFlight>>,
}

#[derive(Debug, Default)]
struct InFlight {
    running: u64,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// The right of one request to be in flight; it ends when dropped.
#[derive(Debug)]
pub struct Permit {
    concurrency: Arc<Concurrency>,
    /// None once the right has passed to another request.
    key: Option<Box<[u8]>>,
    /// How many more requests might have been in flight when this one began.
    pub remaining: u64,
}

/// What a request that asks to be in flight is told.
#[derive(Debug)]
pub enum Entry {
    /// It may go on.
    Now(Permit),
    /// It waits; dropping the receiver gives its place up.
    Wait(oneshot::Receiver<Permit>),
    /// As many are in flight and wait as may.
    Full,
}

impl Concurrency {
    /// At most `max` requests in flight for each key, and `max_waiting` that wait.
    pub fn new(max: u64, max_waiting: usize) -> Arc<Self> {
        Arc::new(Self { max, max_waiting, keys: Mutex::default() })
    }

    /// Asks for a request with this key. Those that wait go first come, first served.
    pub fn enter(self: &Arc<Self>, key: &[u8]) -> Entry {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.get_mut(key) {
            if known.running >= self.max {
                known.waiting.retain(|sender| !sender.is_closed());
                if known.waiting.len() >= self.max_waiting {
                    return Entry::Full;
                }
                let (sender, receiver) = oneshot::channel();
                known.waiting.push_back(sender);
                return Entry::Wait(receiver);
            }
            known.running += 1;
            return Entry::Now(self.permit(key.into(), self.max - known.running));
        }
        keys.insert(key.into(), InFlight { running: 1, waiting: VecDeque::new() });
        Entry::Now(self.permit(key.into(), self.max.saturating_sub(1)))
    }

    fn permit(self: &Arc<Self>, key: Box<[u8]>, remaining: u64) -> Permit {
        Permit { concurrency: Arc::clone(self), key: Some(key), remaining }
    }

    /// The next request that waits for this key, with which the count stays as it is; otherwise one
    /// fewer is in flight.
    fn next(&self, key: &[u8]) -> Option<oneshot::Sender<Permit>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get_mut(key)?;
        let next = known.waiting.pop_front();
        if next.is_none() {
            known.running -= 1;
            if known.running == 0 {
                keys.remove(key);
            }
        }
        next
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(mut key) = self.key.take() else { return };
        while let Some(sender) = self.concurrency.next(&key) {
            // Not under the lock: one that has stopped waiting gives the permit back.
            match sender.send(self.concurrency.permit(key, 0)) {
                Ok(()) => return,
                Err(mut permit) => match permit.key.take() {
                    Some(back) => key = back,
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Concurrency, Entry, Permit};

    fn now(entry: Entry) -> Permit {
        match entry {
            Entry::Now(permit) => permit,
            other => panic!("not at once: {other:?}"),
        }
    }

    #[test]
    fn each_key_has_its_requests_and_its_queue() {
        let limit = Concurrency::new(2, 1);
        let (first, second) = (now(limit.enter(b"a")), now(limit.enter(b"a")));
        assert_eq!((first.remaining, second.remaining), (1, 0));
        let _other = now(limit.enter(b"b"));
        let Entry::Wait(mut waiting) = limit.enter(b"a") else { panic!("a place in the queue") };
        assert!(matches!(limit.enter(b"a"), Entry::Full));
        drop(first);
        let third = waiting.try_recv().expect("a permit");
        assert!(matches!(limit.enter(b"a"), Entry::Wait(_)));
        // That one gave up at once: its place is free, and no permit is lost with it.
        drop((second, third));
        let (_one, _two) = (now(limit.enter(b"a")), now(limit.enter(b"a")));
        assert!(matches!(Concurrency::new(1, 0).enter(b"a"), Entry::Now(_)));
    }

    #[test]
    fn a_permit_for_a_request_that_gave_up_is_not_lost() {
        let limit = Concurrency::new(1, 2);
        let held = now(limit.enter(b"a"));
        let Entry::Wait(first) = limit.enter(b"a") else { panic!("a place") };
        let Entry::Wait(mut second) = limit.enter(b"a") else { panic!("a place") };
        drop(first);
        drop(held);
        drop(second.try_recv().expect("a permit"));
        // And one that was sent before its request gave up.
        let held = now(limit.enter(b"a"));
        let Entry::Wait(third) = limit.enter(b"a") else { panic!("a place") };
        drop(held);
        drop(third);
        drop(now(limit.enter(b"a")));
        assert!(limit.keys.lock().expect("unpoisoned").is_empty());
    }

    #[test]
    fn the_limit_holds_over_all_threads() {
        let limit = Concurrency::new(3, 100);
        let running = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (limit, running) = (Arc::clone(&limit), Arc::clone(&running));
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let permit = match limit.enter(b"a") {
                            Entry::Now(permit) => permit,
                            Entry::Wait(waiting) => waiting.blocking_recv().expect("a permit"),
                            Entry::Full => panic!("the queue has room"),
                        };
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(limit.keys.lock().expect("unpoisoned").is_empty());
    }
}
