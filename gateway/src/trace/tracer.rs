//! Where traces go, and which requests are recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use super::otlp;
use super::span::Span;
use crate::dial::ClientTlsError;
use crate::dial::dns::Resolver;
use crate::fetch::{Call, Reply, Service, Url};
use crate::http::fields::Fields;
use crate::observe::counter::{PerWorker, Traces};
use crate::observe::stderr::say;

/// The longest response of a collector in bytes.
const MAX_RESPONSE: usize = 64 << 10;
/// The longest pause before a batch is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a batch is sent before it is dropped.
const MAX_SENDS: u32 = 5;

/// What the settings say of traces.
#[derive(Clone, PartialEq, Eq)]
pub struct TracerConfig {
    /// The collector.
    pub url: Url,
    /// The authorities of its certificate; without them, those of the system.
    pub ca: Option<PathBuf>,
    /// Fields of the requests to it, which may hold secrets.
    pub headers: Vec<(String, String)>,
    /// Of so many requests without a caller's decision, one is recorded; with 0 none.
    pub one_in: u64,
    /// Whether the trace of the caller and its decision are kept.
    pub parent: bool,
    /// What is known of this process.
    pub resource: Vec<(String, String)>,
    /// The longest time of one request to the collector.
    pub timeout: Duration,
    /// The most spans that wait in a worker.
    pub max_waiting: usize,
}

impl std::fmt::Debug for TracerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracerConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Where traces go, shared by all workers.
#[derive(Debug)]
pub struct Tracer {
    /// Its settings.
    pub config: TracerConfig,
    /// What became of spans.
    pub counters: PerWorker<Traces>,
    service: Service,
    fields: Fields,
    /// The last batch was not taken.
    failing: AtomicBool,
}

/// The traces of one route, or of requests without a route.
#[derive(Debug)]
pub struct RouteTraces {
    /// Where they go.
    pub tracer: Arc<Tracer>,
    /// The paths of the route, as `http.route` has them.
    pub pattern: Option<String>,
}

/// What became of a batch.
enum Sent {
    /// The collector took it, but for so many spans.
    Taken(u64),
    /// It may be sent again, after the pause that the collector names.
    Later(String, Option<Duration>),
    /// It must not be sent again.
    Refused(String),
}

impl Tracer {
    /// A collector that has got nothing.
    ///
    /// # Errors
    ///
    /// The authorities cannot be read, or this machine cannot do TLS.
    pub fn new(
        config: TracerConfig,
        resolver: &Arc<Resolver>,
        counters: PerWorker<Traces>,
    ) -> Result<Self, Vec<ClientTlsError>> {
        let service = Service::new(config.url.clone(), config.ca.clone(), resolver)?;
        let mut fields = Fields::new();
        fields.push(b"content-type", b"application/x-protobuf");
        for (name, value) in &config.headers {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        Ok(Self { config, counters, service, fields, failing: AtomicBool::new(false) })
    }

    /// Sends a batch, again where the collector may take it later (OTLP 1.x, section "OTLP/HTTP"), and counts
    /// what became of it. `last`: it is sent once.
    pub(super) async fn send(&self, spans: &[Span], worker: usize, last: bool) {
        let body = otlp::request(&self.config.resource, spans);
        let count = spans.len() as u64;
        let counters = self.counters.of(worker);
        let mut pause = Duration::from_secs(1);
        let sends = if last { 1 } else { MAX_SENDS };
        let mut why = String::new();
        for number in 1..=sends {
            match self.send_once(&body).await {
                Sent::Taken(rejected) => {
                    let rejected = rejected.min(count);
                    counters.exported.add(count - rejected);
                    counters.dropped.add(rejected);
                    if self.failing.swap(false, Ordering::Relaxed) {
                        say(format_args!("traces: {} takes spans again", self.config.url));
                    }
                    return;
                }
                Sent::Refused(error) => {
                    why = error;
                    break;
                }
                Sent::Later(error, named) => {
                    why = error;
                    if number < sends {
                        tokio::time::sleep(named.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
        counters.dropped.add(count);
        if !self.failing.swap(true, Ordering::Relaxed) {
            say(format_args!("traces: spans are dropped: {why}"));
        }
    }

    async fn send_once(&self, body: &[u8]) -> Sent {
        let call = Call {
            method: Method::POST,
            target: None,
            fields: &self.fields,
            body: Some(body),
            timeout: self.config.timeout,
            max_bytes: MAX_RESPONSE,
        };
        match self.service.call(call).await {
            Err(error) => Sent::Later(error.to_string(), None),
            Ok(reply) if reply.status == StatusCode::OK => Sent::Taken(otlp::rejected(&reply.body)),
            Ok(reply) => {
                let error = format!("{}: the status is {}, not 200", self.config.url, reply.status.as_u16());
                match reply.status.as_u16() {
                    429 | 502 | 503 | 504 => Sent::Later(error, retry_after(&reply)),
                    _ => Sent::Refused(error),
                }
            }
        }
    }
}

/// The pause that a response names, in seconds.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.fields.named(b"retry-after").next()?;
    std::str::from_utf8(value).ok()?.parse().ok().map(Duration::from_secs)
}
