//! Upstreams: the services behind the gateway.

use std::fmt;
use std::time::Duration;

use super::listener::{Certificate, NamedFile};
use crate::endpoint::{Address, Protocol, Statuses};
use crate::proxy_protocol;
use crate::settings::Place;

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// Its place in the settings.
    pub place: Place,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// TLS for `https://` endpoints.
    pub tls: UpstreamTls,
    /// Load balancing.
    pub balance: Balance,
    /// Ejection of failing endpoints; `None` for none.
    pub outlier: Option<Outlier>,
    /// Active health check.
    pub probe: Option<Probe>,
    /// The time over which a recovered endpoint gets its full share.
    pub slow_start: Duration,
    /// Circuit breaker; `None` for no limit.
    pub circuit: Option<Circuit>,
    /// Retries.
    pub retries: Retries,
    /// The PROXY protocol header at the start of each connection to an endpoint.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// Maximum length of a response head in bytes.
    pub max_header_bytes: usize,
    /// Maximum number of fields in a response head.
    pub max_headers: usize,
    /// Maximum time to resolve the name and connect, including TLS.
    pub connect_timeout: Duration,
    /// Maximum time from the last byte of a request to the head of its response.
    pub response_timeout: Duration,
    /// Maximum pause within a response body.
    pub body_timeout: Duration,
    /// How long a connection is kept for reuse.
    pub idle_timeout: Duration,
    /// Maximum number of idle connections per endpoint and thread.
    pub max_idle: usize,
}

impl Upstream {
    /// A copy without places in the file, so that settings of two files can be compared.
    #[must_use]
    pub fn without_places(&self) -> Self {
        let mut upstream = Self { place: Place::default(), ..self.clone() };
        let identity = upstream.tls.identity.iter_mut();
        let pair = identity.flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
        for file in upstream.tls.ca.iter_mut().chain(pair) {
            file.place = Place::default();
        }
        upstream
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            name: String::new(),
            place: Place::default(),
            endpoints: Vec::new(),
            protocol: Protocol::Auto,
            tls: UpstreamTls::default(),
            balance: Balance::RoundRobin,
            outlier: Some(Outlier::default()),
            probe: None,
            slow_start: Duration::ZERO,
            circuit: None,
            retries: Retries::default(),
            proxy_protocol: None,
            max_header_bytes: 64 << 10,
            max_headers: 128,
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_mins(1),
            max_idle: 64,
        }
    }
}

/// An endpoint of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its scheme.
    pub scheme: Scheme,
    /// Its address.
    pub address: Address,
    /// Its weight relative to the others; at least 1.
    pub weight: u32,
    /// Its zone: requests go to the lowest number with enough healthy endpoints.
    pub priority: u32,
}

impl fmt::Display for Endpoint {
    /// `host:port` or `unix:/path`, as in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The scheme of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http://`, or none: without TLS.
    Http,
    /// `https://`: with TLS.
    Https,
    /// `h2c://`: HTTP/2 by prior knowledge without TLS.
    H2c,
}

/// TLS settings of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// The trusted certificate authorities, in PEM, instead of the system's.
    pub ca: Option<NamedFile>,
    /// The gateway's client certificate.
    pub identity: Option<Certificate>,
    /// The name to send as SNI and to verify, instead of the endpoint's host.
    pub server_name: Option<String>,
}

/// Load balancing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Weighted round robin.
    RoundRobin,
    /// The less loaded of two endpoints chosen at random by weight.
    LeastRequests,
    /// Equal keys go to the same endpoint while it is healthy and not overloaded.
    Hash {
        /// The key.
        key: HashKey,
        /// Maximum load of an endpoint, in percent of the average.
        max_load_percent: u32,
    },
}

/// The key of a consistent hash. Requests without it go to a random endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a header field, by its name in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The client's address.
    ClientAddress,
}

/// Ejection of failing endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// Consecutive failures that eject: broken connections, timeouts, counted statuses.
    pub failures: u32,
    /// Consecutive connect failures that eject.
    pub connect_failures: u32,
    /// The statuses that count as failures.
    pub statuses: Statuses,
    /// Duration of the first ejection; each consecutive one is longer by this time.
    pub base_ejection: Duration,
    /// Maximum duration of an ejection.
    pub max_ejection: Duration,
    /// Maximum percentage of ejected endpoints. At least one may be ejected, if there is another.
    pub max_ejected_percent: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            failures: 5,
            connect_failures: 1,
            statuses: Statuses::new([(500, 599)]),
            base_ejection: Duration::from_secs(5),
            max_ejection: Duration::from_mins(5),
            max_ejected_percent: 50,
        }
    }
}

/// An active health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its path, with query.
    pub path: String,
    /// The time from one probe to the next, for each endpoint.
    pub interval: Duration,
    /// Maximum time to the end of the response's head.
    pub timeout: Duration,
    /// The statuses of a healthy endpoint.
    pub statuses: Statuses,
    /// The `Host` field, instead of the endpoint's.
    pub host: Option<String>,
    /// Consecutive successes after which an endpoint is up.
    pub healthy_after: u32,
    /// Consecutive failures after which an endpoint is down.
    pub unhealthy_after: u32,
}

/// Circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Maximum number of requests in flight over all threads.
    pub max_requests: u32,
    /// Maximum number of waiting requests; beyond it 503.
    pub max_pending: u32,
    /// Maximum wait; then 503.
    pub queue_timeout: Duration,
}

/// Retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Maximum number of retries of a request.
    pub attempts: u32,
    /// The statuses after which an idempotent request is retried.
    pub statuses: Statuses,
    /// Maximum time from the last byte of an attempt to the head of its response.
    pub per_try_timeout: Option<Duration>,
    /// Maximum percentage of retries among the requests in flight.
    pub budget_percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 1, statuses: Statuses::default(), per_try_timeout: None, budget_percent: 20 }
    }
}
