//! The services behind the gateway: which endpoint, which connection, and what to do when one
//! fails.

mod error;
pub mod pool;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpStream;

pub use error::UpstreamError;

use crate::exchange::{Exchange, Peer};
use crate::http::head::HeadLimits;
use crate::http1::wire::Wire;
use crate::net::Stream;
use crate::observe::counter::{Attempts, Counter, PerWorker};
use crate::settings;
use crate::worker::Worker;

/// A service behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    /// Its settings.
    pub settings: settings::Upstream,
    /// Its counters.
    pub counters: Arc<PerWorker<Attempts>>,
    /// What the heads of its responses may measure.
    pub limits: HeadLimits,
    endpoints: Vec<Endpoint>,
    turns: PerWorker<Counter>,
}

/// A server of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Its number in the process, never used again.
    pub id: u64,
    /// Its name in logs.
    pub label: String,
}

impl Upstream {
    /// An upstream with these settings.
    pub fn new(settings: settings::Upstream, counters: Arc<PerWorker<Attempts>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let endpoints = settings
            .endpoints
            .iter()
            .map(|endpoint| Endpoint {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                label: endpoint.to_string(),
            })
            .collect();
        let limits = HeadLimits { max_bytes: settings.max_header_bytes, max_fields: settings.max_headers };
        Self { settings, counters, limits, endpoints, turns: PerWorker::new(256) }
    }

    /// The `Host` for a request that names none.
    pub fn host(&self) -> &str {
        self.endpoints.first().map_or("", |endpoint| &endpoint.label)
    }

    /// The endpoint for the next attempt of a request.
    pub fn pick(&self, worker: &Worker, _exchange: &Exchange<'_>, tried: &[u64]) -> Option<&Endpoint> {
        let turns = self.turns.of(worker.index);
        let count = self.endpoints.len();
        let turn = usize::try_from(turns.get()).unwrap_or_default();
        let order = (0..count).map(|step| turn.wrapping_add(step) % count);
        let place = order.min_by_key(|&place| tried.contains(&self.endpoints[place].id))?;
        turns.add(1);
        self.endpoints.get(place)
    }

    /// An idle connection that is fit for use. `checked` asks the system once more, for requests that
    /// must not be sent twice.
    pub fn take_idle(&self, worker: &Worker, endpoint: &Endpoint, checked: bool) -> Option<Box<Wire>> {
        loop {
            let wire = worker.pools.take(endpoint.id, worker.watches.now())?;
            if !checked || !wire.stream().has_unread() {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep_idle(&self, worker: &Worker, endpoint: &Endpoint, mut wire: Box<Wire>, hint: Option<u64>) {
        if !wire.received().is_empty() || wire.has_ended() {
            // Bytes that belong to no response.
            return;
        }
        wire.rest();
        if let Some(buffer) = wire.output().release() {
            worker.buffers.give(buffer);
        }
        if let Some(buffer) = wire.input().release() {
            worker.buffers.give(buffer);
        }
        // The server's own timeout, less the time that a request takes to it.
        let hint = hint.map(|seconds| Duration::from_secs(seconds.saturating_sub(1)));
        let time = hint.map_or(self.settings.idle_timeout, |hint| hint.min(self.settings.idle_timeout));
        worker.pools.put(endpoint.id, wire, self.settings.max_idle, worker.watches.now(), time);
    }

    /// An endpoint answered.
    pub fn succeeded(&self, _worker: &Worker, _endpoint: &Endpoint, _status: StatusCode) {}

    /// An endpoint could not be reached or broke off.
    pub fn failed(&self, _worker: &Worker, _endpoint: &Endpoint) {}

    /// Connects to an endpoint.
    ///
    /// # Errors
    ///
    /// No connection was made, or not in time.
    pub async fn dial(&self, endpoint: &Endpoint, _peer: &Peer) -> Result<Box<Wire>, UpstreamError> {
        let connected = tokio::time::timeout(self.settings.connect_timeout, TcpStream::connect(&endpoint.label))
            .await
            .map_err(|_| UpstreamError::ConnectTimeout)?;
        let stream = connected.map_err(|error| UpstreamError::Connect(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| UpstreamError::Connect(error.to_string()))?;
        Ok(Box::new(Wire::new(Stream::Tcp(stream), Vec::new(), self.limits)))
    }
}
