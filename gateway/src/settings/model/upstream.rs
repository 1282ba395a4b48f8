//! Upstreams: the services behind the gateway.

use std::fmt;
use std::time::Duration;

use super::listener::{Certificate, NamedFile};
use crate::endpoint::{Address, Protocol, Statuses};
use crate::proxy_protocol;
use crate::settings::Place;

/// A service behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// Where the settings name it.
    pub place: Place,
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
    /// The version of HTTP to speak.
    pub protocol: Protocol,
    /// How `https://` endpoints are verified.
    pub tls: UpstreamTls,
    /// Which endpoint takes the next request.
    pub balance: Balance,
    /// When an endpoint is passed over for its failures; none for never.
    pub outlier: Option<Outlier>,
    /// A request sent at intervals to see whether an endpoint works.
    pub probe: Option<Probe>,
    /// The time over which an endpoint that works again gets its full share.
    pub slow_start: Duration,
    /// The most requests at a time; none for no limit.
    pub circuit: Option<Circuit>,
    /// When a request is sent again.
    pub retries: Retries,
    /// The PROXY protocol header at the begin of each connection to an endpoint.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// The longest head of a response in bytes.
    pub max_header_bytes: usize,
    /// The most fields in the head of a response.
    pub max_headers: usize,
    /// The longest time to resolve a name and connect, TLS included.
    pub connect_timeout: Duration,
    /// The longest time from the last byte of a request to the head of its response.
    pub response_timeout: Duration,
    /// The longest pause within a response body.
    pub body_timeout: Duration,
    /// How long a connection is kept for reuse.
    pub idle_timeout: Duration,
    /// The most resting connections for each endpoint and thread.
    pub max_idle: usize,
}

impl Upstream {
    /// The same without the places in the file, so that it can be compared with another file's.
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

/// A server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
    /// Its share of the requests against the weights of the others; at least 1.
    pub weight: u32,
    /// Requests go to the endpoints of the lowest number of which enough are healthy.
    pub priority: u32,
}

impl fmt::Display for Endpoint {
    /// `host:port` or `unix:/path`, as logs name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http://`, or none: without TLS.
    Http,
    /// `https://`: with TLS.
    Https,
    /// `h2c://`: HTTP/2 by prior knowledge without TLS.
    H2c,
}

/// TLS to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// The authorities to trust, in PEM, instead of the system's.
    pub ca: Option<NamedFile>,
    /// The certificate by which the gateway authenticates itself.
    pub identity: Option<Certificate>,
    /// The name to send as SNI and to verify, instead of the endpoint's host.
    pub server_name: Option<String>,
}

/// Which endpoint takes the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// One after another, by weight.
    RoundRobin,
    /// The less busy one of two that are chosen at random by weight.
    LeastRequests,
    /// Equal keys go to the same endpoint while it is healthy and not too busy.
    Hash {
        /// What is hashed.
        key: HashKey,
        /// How many requests an endpoint may have at a time, in percent of the average.
        max_load_percent: u32,
    },
}

/// The key of a consistent hash. A request without it goes to a random endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a field, by its name in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The address of the client.
    ClientAddress,
}

/// When an endpoint is passed over for its failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// After so many consecutive failures: connections that broke, timeouts, counted statuses.
    pub failures: u32,
    /// After so many consecutive failures to connect.
    pub connect_failures: u32,
    /// The statuses of responses that count as failures.
    pub statuses: Statuses,
    /// How long it is passed over the first time; each further time in a row takes longer by this.
    pub base_ejection: Duration,
    /// The longest time it is passed over.
    pub max_ejection: Duration,
    /// The largest part of the endpoints that may be passed over at a time, in percent. At least
    /// one may, if there is another.
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

/// A request sent at intervals to see whether an endpoint works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its path, with query.
    pub path: String,
    /// The time from one to the next, for each endpoint.
    pub interval: Duration,
    /// The longest time to the end of the response's head.
    pub timeout: Duration,
    /// The statuses of an endpoint that works.
    pub statuses: Statuses,
    /// The `Host` field, instead of the endpoint's.
    pub host: Option<String>,
    /// An endpoint works again after so many good responses in a row.
    pub healthy_after: u32,
    /// An endpoint is passed over after so many failures in a row.
    pub unhealthy_after: u32,
}

/// The most requests at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// The most requests in flight over all threads.
    pub max_requests: u32,
    /// The most requests that wait for one of those to end; beyond it 503.
    pub max_pending: u32,
    /// How long a request may wait; then 503.
    pub queue_timeout: Duration,
}

/// When a request is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// How often a request is tried again, at most.
    pub attempts: u32,
    /// The statuses of responses after which a request that is idempotent is tried again.
    pub statuses: Statuses,
    /// The longest time from the last byte of a try to the head of its response.
    pub per_try_timeout: Option<Duration>,
    /// The most retries in percent of the requests in flight.
    pub budget_percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 1, statuses: Statuses::default(), per_try_timeout: None, budget_percent: 20 }
    }
}
