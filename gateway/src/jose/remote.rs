//! The keys of an issuer by URL: fetched, cached, rotated, and served stale through an outage.
//!
//! One fetch runs at a time for all workers, and two begin at least `min_refresh_interval` apart, however
//! many tokens name unknown keys. Whether a key is known is decided by a fetch that began after the
//! token came: so a token is never refused for a key that was published before it was sent.

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

/// How the keys of an issuer are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// The name in messages.
    pub name: String,
    /// The age at which keys are fetched anew, beside requests that go on with the old ones.
    pub refresh_interval: Duration,
    /// The shortest time from the begin of one fetch to that of the next.
    pub min_refresh_interval: Duration,
    /// The age from which keys are used no more.
    pub max_age: Duration,
    /// The time for one fetch.
    pub timeout: Duration,
    /// The largest key set in bytes.
    pub max_bytes: usize,
    /// The most requests that wait for a fetch at a time.
    pub max_waiting: usize,
}

/// The keys of an issuer by URL; shared by all workers.
pub struct Remote {
    settings: RemoteSettings,
    service: Service,
    held: ArcSwap<Held>,
    progress: Mutex<Progress>,
    /// The last fetch that ended.
    ended: watch::Sender<Ended>,
    /// The requests that wait for a fetch.
    room: Arc<Room>,
}

/// Keys with their age.
#[derive(Debug, Default)]
pub struct Held {
    /// The keys.
    pub keys: KeySet,
    /// Another number for every change of the keys.
    pub generation: u64,
    json: Vec<u8>,
    fetched: Option<Instant>,
}

#[derive(Debug, Default)]
struct Progress {
    running: bool,
    /// How many fetches have begun.
    begun: u64,
    last: Option<Instant>,
    failing: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    /// Which fetch it was, counted from 1.
    number: u64,
    well: bool,
}

/// Why it is not known whether there is a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// The keys could not be fetched.
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
    /// Keys of which none have been fetched.
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

    /// The service that has the keys.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The keys, unless there are none or they are too old. Keys that are due are fetched anew beside.
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

    /// Begins a fetch on the runtime of the caller, unless one runs or the last began a short time ago.
    pub fn refresh(self: &Arc<Self>) {
        let _ = self.begin();
    }

    /// Waits until `known` is true of the keys, or a fetch that began from now on has ended, in a place of this
    /// client.
    ///
    /// # Errors
    ///
    /// That fetch failed, or too many requests wait.
    pub fn renewed(
        self: &Arc<Self>,
        client: Client,
        known: impl Fn(&KeySet) -> bool + Send + 'static,
    ) -> impl Future<Output = Result<(), Unsettled>> + Send + 'static {
        let remote = Arc::clone(self);
        // From now on, not from when it is first polled.
        let arrived = remote.progress().begun;
        async move {
            let mut place = remote.room.enter(client).ok_or(Unsettled::Crowded)?;
            tokio::select! {
                // First: a fetch that has ended settles it.
                biased;
                settled = remote.settled(arrived, known) => settled,
                _ = &mut place.lost => Err(Unsettled::Crowded),
            }
        }
    }

    /// Waits until `known` is true of the keys, or a fetch after number `arrived` has ended.
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
                // The sender lives as long as this does.
                None => drop(ended.changed().await),
                Some(earliest) => sleep_until(earliest).await,
            }
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a fetch unless one runs; tells from when on one may begin, if that is later.
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

/// A fetch, ended when it is dropped, also with the runtime on which it runs.
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
                    "authenticator '{name}': the keys are not fetched, those at hand are used: {error}"
                ));
            }
            Ok(()) if failed_before => {
                say(format_args!("authenticator '{name}': the keys are fetched again"));
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
