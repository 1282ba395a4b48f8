//! Key sets from a URL: fetched, cached, refreshed, and served stale during an outage.
//!
//! One fetch runs at a time for all workers, and at least `min_refresh_interval` passes between the starts of
//! two fetches, regardless of how many tokens name unknown keys. A key is considered unknown only after a
//! fetch that began after the token arrived: a token is never refused for a key that was published before the
//! token was sent.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use http::Method;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::room::{Client, Room};
use super::set::KeySet;
use crate::fetch::{Call, Service};
use crate::http::fields::Fields;
use crate::observe::stderr::say;

/// Fetch settings of a key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// The authenticator's name for messages.
    pub name: String,
    /// Age at which the keys are fetched again; requests use the old keys in the meantime.
    pub refresh_interval: Duration,
    /// Minimum time between the starts of two fetches.
    pub min_refresh_interval: Duration,
    /// Age from which the keys are no longer used.
    pub max_age: Duration,
    /// Timeout of a fetch.
    pub timeout: Duration,
    /// Maximum size of a key set in bytes.
    pub max_bytes: usize,
    /// Maximum number of requests that wait for a fetch.
    pub max_waiting: usize,
}

/// A key set from a URL; shared by all workers.
pub struct Remote {
    settings: RemoteSettings,
    service: Service,
    held: ArcSwap<Held>,
    progress: Mutex<Progress>,
    /// The last completed fetch.
    ended: watch::Sender<Ended>,
    /// The requests that wait for a fetch.
    room: Arc<Room>,
}

/// Cached keys.
#[derive(Debug, Default)]
pub struct Held {
    /// The keys.
    pub keys: KeySet,
    /// Changes with every change of the keys.
    pub generation: u64,
    json: Vec<u8>,
    fetched: Option<Instant>,
}

#[derive(Debug, Default)]
struct Progress {
    running: bool,
    /// The number of started fetches.
    begun: u64,
    last: Option<Instant>,
    failing: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    /// The number of the fetch, counted from 1.
    number: u64,
    well: bool,
}

/// Reasons why the keys are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// The fetch failed.
    Failed,
    /// Too many requests wait for a fetch.
    Crowded,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Remote {
    /// A key set that was not fetched yet.
    pub fn new(service: Service, settings: RemoteSettings) -> Arc<Self> {
        let room = Room::new(settings.max_waiting);
        Arc::new(Self {
            settings,
            service,
            held: ArcSwap::default(),
            progress: Mutex::default(),
            ended: watch::Sender::default(),
            room,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &RemoteSettings {
        &self.settings
    }

    /// The service that publishes the keys.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The keys; `None` if there are none or they are too old. Starts a refresh if it is due.
    pub fn keys(self: &Arc<Self>) -> Option<Guard<Arc<Held>>> {
        let held = self.held.load();
        if held.fetched?.elapsed() >= self.settings.refresh_interval {
            self.refresh();
        }
        self.usable(held)
    }

    fn usable(&self, held: Guard<Arc<Held>>) -> Option<Guard<Arc<Held>>> {
        (held.fetched?.elapsed() < self.settings.max_age).then_some(held)
    }

    /// Starts a fetch on the caller's runtime, unless one is running or the last one started a short time
    /// ago.
    pub fn refresh(self: &Arc<Self>) {
        let _ = self.begin();
    }

    /// Waits, in one of the client's places, until `known` is true for the keys, or a fetch that starts from
    /// now on has ended.
    ///
    /// # Errors
    ///
    /// The fetch failed, or too many requests wait.
    pub fn renewed(
        self: &Arc<Self>,
        client: Client,
        known: impl Fn(&KeySet) -> bool + Send + 'static,
    ) -> impl Future<Output = Result<(), Unsettled>> + Send + 'static {
        let remote = Arc::clone(self);
        // From now on, not from the first poll.
        let arrived = remote.progress().begun;
        async move {
            let mut place = remote.room.enter(client).ok_or(Unsettled::Crowded)?;
            tokio::select! {
                // Polled first, since a completed fetch decides.
                biased;
                settled = remote.settled(arrived, known) => settled,
                _ = &mut place.lost => Err(Unsettled::Crowded),
            }
        }
    }

    /// Waits until `known` is true for the keys, or a fetch after number `arrived` has ended.
    async fn settled(
        self: &Arc<Self>,
        arrived: u64,
        known: impl Fn(&KeySet) -> bool,
    ) -> Result<(), Unsettled> {
        let mut ended = self.ended.subscribe();
        loop {
            let last = *ended.borrow_and_update();
            if self.usable(self.held.load()).is_some_and(|held| known(&held.keys)) {
                return Ok(());
            }
            if last.number > arrived {
                return if last.well { Ok(()) } else { Err(Unsettled::Failed) };
            }
            match self.begin() {
                // The sender lives as long as `self`.
                None => drop(ended.changed().await),
                Some(earliest) => sleep_until(earliest).await,
            }
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a fetch unless one is running; returns the earliest time for the next one, if that is later.
    fn begin(self: &Arc<Self>) -> Option<Instant> {
        let mut progress = self.progress();
        if progress.running {
            return None;
        }
        let earliest = progress.last.map(|last| last + self.settings.min_refresh_interval);
        if let Some(earliest) = earliest.filter(|earliest| *earliest > Instant::now()) {
            return Some(earliest);
        }
        progress.running = true;
        progress.begun += 1;
        progress.last = Some(Instant::now());
        let running = Running { remote: Arc::clone(self), number: progress.begun, well: false };
        drop(progress);
        tokio::spawn(running.run());
        None
    }

    async fn fetch(&self) -> Result<(), String> {
        let mut fields = Fields::new();
        fields.push(b"accept", b"application/jwk-set+json, application/json");
        let (timeout, max_bytes) = (self.settings.timeout, self.settings.max_bytes);
        let call =
            Call { method: Method::GET, target: None, fields: &fields, body: None, timeout, max_bytes };
        let begun = Instant::now();
        let reply = self.service.call(call).await.map_err(|error| error.to_string())?;
        let url = &self.service.url;
        if reply.status != http::StatusCode::OK {
            return Err(format!("{url}: the status is {}, not 200", reply.status.as_u16()));
        }
        let keys = KeySet::read(&reply.body).map_err(|error| format!("{url}: {error}"))?;
        let before = self.held.load();
        let generation = before.generation + u64::from(before.json != reply.body);
        self.held.store(Arc::new(Held { keys, generation, json: reply.body, fetched: Some(begun) }));
        Ok(())
    }
}

/// A running fetch; it ends when dropped, also together with its runtime.
struct Running {
    remote: Arc<Remote>,
    number: u64,
    well: bool,
}

impl Running {
    async fn run(mut self) {
        let result = self.remote.fetch().await;
        self.well = result.is_ok();
        let name = &self.remote.settings.name;
        let failed_before = std::mem::replace(&mut self.remote.progress().failing, result.is_err());
        match result {
            Err(error) if !failed_before => {
                say(format_args!(
                    "authenticator '{name}': the keys cannot be fetched, the cached ones are used: {error}"
                ));
            }
            Ok(()) if failed_before => {
                say(format_args!("authenticator '{name}': the keys were fetched again"));
            }
            _ => {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.remote.progress().running = false;
        self.remote.ended.send_replace(Ended { number: self.number, well: self.well });
    }
}
