//! The trace exporter and the sampling decision.

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

/// Maximum length of a collector's response in bytes.
const MAX_RESPONSE: usize = 64 << 10;
/// Maximum pause before a batch is sent again.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Maximum number of attempts to send a batch.
const MAX_SENDS: u32 = 5;

/// Trace settings.
#[derive(Clone, PartialEq, Eq)]
pub struct TracerConfig {
    /// The collector's URL.
    pub url: Url,
    /// The certificate authorities for the collector; default: the system's.
    pub ca: Option<PathBuf>,
    /// Header fields for the collector, which may contain secrets.
    pub headers: Vec<(String, String)>,
    /// One of this number of requests without a caller's decision is sampled; 0 for none.
    pub one_in: u64,
    /// Whether the caller's trace and sampling decision are used.
    pub parent: bool,
    /// Attributes of this process.
    pub resource: Vec<(String, String)>,
    /// Timeout of one request to the collector.
    pub timeout: Duration,
    /// Maximum number of spans queued per worker.
    pub max_waiting: usize,
}

impl std::fmt::Debug for TracerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracerConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The trace exporter, shared by all workers.
#[derive(Debug)]
pub struct Tracer {
    /// Its settings.
    pub config: TracerConfig,
    /// Counters of spans.
    pub counters: PerWorker<Traces>,
    service: Service,
    fields: Fields,
    /// The last batch was not accepted.
    failing: AtomicBool,
}

/// Trace settings of one route, or of requests without a route.
#[derive(Debug)]
pub struct RouteTraces {
    /// The exporter.
    pub tracer: Arc<Tracer>,
    /// The paths of the route, for `http.route`.
    pub pattern: Option<String>,
}

/// The result of sending a batch.
enum Sent {
    /// Accepted, except this number of spans.
    Taken(u64),
    /// It may be retried, after the pause that the collector requests.
    Later(String, Option<Duration>),
    /// It must not be retried.
    Refused(String),
}

impl Tracer {
    /// An exporter that has not sent anything yet.
    ///
    /// # Errors
    ///
    /// The certificate authorities cannot be read, or the processor does not support TLS.
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

    /// Sends a batch, with retries where they are allowed (OTLP 1.x, section "OTLP/HTTP"), and counts the
    /// result. `last`: no retries.
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
                        say(format_args!("traces: {} accepts spans again", self.config.url));
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
                        tokio::time::sleep(named.unwrap_or(pause).min(MAX_PAUSE)).await;
                        pause = (pause * 2).min(MAX_PAUSE);
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

/// The retry delay of a response.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.fields.named(b"retry-after").next()?;
    std::str::from_utf8(value).ok()?.parse().ok().map(Duration::from_secs)
}
