//! Upstreams: choice of endpoint and connection, and handling of failures.

pub mod backend;
mod config;
mod error;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use config::UpstreamProblem;
pub use error::UpstreamError;

use crate::dial::{self, DialSettings};
use crate::endpoint::{Cluster, Endpoint, Local, Moment, Outcome, Pick, Protocol, hash_key};
use crate::exchange::{Exchange, Peer};
use crate::http::head::HeadLimits;
use crate::http::name::Name;
use crate::http1::wire::Wire;
use crate::http2;
use crate::observe::counter::{Attempts, PerWorker, Tries};
use crate::observe::metrics::Metrics;
use crate::settings::{self, HashKey};
use crate::worker::{Slot, Worker};
use backend::Backend;

/// An upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Its settings.
    pub settings: settings::Upstream,
    /// Its counters.
    pub counters: PerWorker<Attempts>,
    /// The counters of its endpoints, in the order of the cluster.
    pub tries: Vec<PerWorker<Tries>>,
    /// Limits of response heads.
    pub limits: HeadLimits,
    /// Its endpoints and their health.
    pub cluster: Arc<Cluster>,
    /// Connection settings.
    pub dialing: DialSettings,
    /// The hash key of a request, if the load balancing uses one.
    key: Option<HashKey>,
    /// The index of its state in each worker.
    slot: Slot,
}

impl Upstream {
    fn new(
        settings: settings::Upstream,
        metrics: &Metrics,
        cluster: Arc<Cluster>,
        dialing: DialSettings,
    ) -> Self {
        let limits = HeadLimits { max_bytes: settings.max_header_bytes, max_fields: settings.max_headers };
        let key = match &settings.balance {
            settings::Balance::Hash { key, .. } => Some(key.clone()),
            _ => None,
        };
        let counters = metrics.upstream(&settings.name);
        let endpoints = cluster.endpoints.iter();
        let tries = endpoints.map(|endpoint| metrics.endpoint(&settings.name, &endpoint.name)).collect();
        Self { settings, counters, tries, limits, cluster, dialing, key, slot: Slot::take() }
    }

    /// The `Host` for a request that has none.
    pub fn host(&self) -> String {
        self.cluster.endpoints.first().map(|endpoint| endpoint.config.authority()).unwrap_or_default()
    }

    /// The worker's load balancing state.
    pub fn local(&self, worker: &Worker) -> Rc<Local> {
        worker.locals.get(&self.slot, || self.cluster.local(worker.index, worker.workers))
    }

    /// Whether the request alone determines its endpoint among the healthy ones.
    pub fn is_keyed(&self, exchange: &Exchange<'_>) -> bool {
        self.key.as_ref().is_some_and(|key| balancing_key(key, exchange).is_some())
    }

    /// The endpoint for the next attempt of a request.
    pub fn pick(
        &self,
        local: &Local,
        exchange: &Exchange<'_>,
        tried: &[crate::endpoint::EndpointId],
    ) -> Option<Pick<'_>> {
        let key = self.key.as_ref().and_then(|key| balancing_key(key, exchange));
        let now = if tried.is_empty() { Moment::from(exchange.started) } else { Moment::now() };
        self.cluster.pick(local, key, tried, now)
    }

    /// An open connection that can be reused: it has no unread bytes, since they would be taken for the
    /// response (RFC 9112 section 9.2). `checked` asks the system again, for requests that must not be sent
    /// twice.
    pub fn reuse(&self, worker: &Worker, endpoint: &Endpoint, checked: bool) -> Option<Backend> {
        if self.dialing.proxy_header.is_some() {
            // Such a connection belongs to one client.
            return None;
        }
        if let Some(sender) = worker.pools.share(endpoint.id) {
            return Some(Backend::Unopened(sender));
        }
        loop {
            let wire = worker.pools.take(endpoint.id, worker.watches.now())?;
            let stream = wire.stream();
            let unread = stream.has_unread_event() || (checked && stream.has_unread());
            if !unread {
                return Some(Backend::Http1(wire));
            }
        }
    }

    /// Keeps an HTTP/1 connection for the next request. `hint` is the server's keep-alive timeout in seconds.
    pub fn keep(&self, worker: &Worker, endpoint: &Endpoint, mut wire: Box<Wire>, hint: Option<u64>) {
        if !wire.received().is_empty() || wire.has_ended() || self.dialing.proxy_header.is_some() {
            // Unread bytes that belong to no response, or a connection of one client.
            return;
        }
        wire.rest();
        if let Some(buffer) = wire.output().release() {
            worker.buffers.give(buffer);
        }
        if let Some(buffer) = wire.input().release() {
            worker.buffers.give(buffer);
        }
        // Minus the time that a request needs to reach the server.
        let hint = hint.map(|seconds| Duration::from_secs(seconds.saturating_sub(1)));
        let time = hint.map_or(self.settings.idle_timeout, |hint| hint.min(self.settings.idle_timeout));
        worker.pools.put(endpoint.id, wire, self.settings.max_idle, worker.watches.now(), time);
    }

    /// Records the outcome of an attempt.
    pub fn report(&self, local: &Local, index: usize, outcome: Outcome, now: Moment) {
        if let Some(ejection) = self.cluster.report(local, index, outcome, now)
            && let Some(endpoint) = self.cluster.endpoints.get(index)
        {
            if let Some(tries) = self.tries.get(index) {
                tries.of(0).ejections.add_shared(1);
            }
            crate::observe::stderr::say(format_args!(
                "upstream '{}': {} is ejected for {:?} after {outcome}",
                self.settings.name, endpoint.name, ejection.time
            ));
        }
    }

    /// Connects to an endpoint.
    ///
    /// # Errors
    ///
    /// No connection was opened, or not in time.
    pub async fn dial(
        &self,
        worker: &Worker,
        endpoint: &Endpoint,
        peer: &Peer,
    ) -> Result<Backend, UpstreamError> {
        let deadline = tokio::time::Instant::now() + self.settings.connect_timeout;
        let dialed = dial::dial(endpoint, &self.dialing, &peer.proxied, deadline).await.map_err(|error| {
            if error.timed_out() { UpstreamError::ConnectTimeout } else { UpstreamError::Connect(error) }
        })?;
        if dialed.protocol != Protocol::Http2 {
            return Ok(Backend::Http1(Box::new(Wire::new(dialed.stream, Vec::new(), self.limits))));
        }
        let settings = http2::Settings {
            header_list_bytes: self.limits.max_bytes,
            fields: self.limits.max_fields,
            field_block_bytes: 4 * self.limits.max_bytes.max(64 << 10),
            ..http2::Settings::default()
        };
        let (driver, sender) = http2::connect(dialed.stream, Rc::new(settings));
        tokio::task::spawn_local(driver);
        if self.dialing.proxy_header.is_none() {
            worker.pools.add_shared(endpoint.id, sender.clone(), self.settings.idle_timeout);
        }
        Ok(Backend::Unopened(sender))
    }
}

/// The key of the consistent hash.
fn balancing_key(key: &HashKey, exchange: &Exchange<'_>) -> Option<u64> {
    let fields = &exchange.request.fields;
    match key {
        HashKey::ClientAddress => Some(hash_key(exchange.client.as_bytes())),
        HashKey::Header(name) => fields.named(name.as_bytes()).next().map(hash_key),
        HashKey::Cookie(name) => fields
            .all(Name::Cookie)
            .flat_map(|value| value.split(|&byte| byte == b';'))
            .find_map(|pair| pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(hash_key),
    }
}
