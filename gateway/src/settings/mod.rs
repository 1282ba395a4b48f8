//! The settings: what an operator writes, read with every mistake found in one go.

mod built_in;
mod listeners;
pub mod network;
mod parse;
mod problem;
mod reader;
mod routes;
mod units;
mod upstreams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use built_in::built_in;
pub use parse::{load, parse};
pub use problem::{Place, Problem};
pub use units::duration;

use crate::http::head::HeadLimits;

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The number of worker threads.
    pub threads: usize,
    /// How long the gateway still accepts connections after it was told to stop, while `/readyz`
    /// already says no.
    pub drain_delay: Duration,
    /// The longest time for requests in flight to finish when the gateway stops.
    pub drain_timeout: Duration,
    /// Whether every request is logged on standard output.
    pub access_log: bool,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// Where the gateway accepts requests.
    pub listeners: Vec<Listener>,
    /// The services behind the gateway.
    pub upstreams: Vec<Upstream>,
    /// Which request goes where.
    pub routes: Vec<Route>,
}

/// A place where the gateway accepts requests.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// The address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<Tls>,
    /// The longest time from the first byte of a request to the end of its head; also for the
    /// first request of a connection and for its TLS handshake.
    pub header_timeout: Duration,
    /// The longest time a connection may rest between requests.
    pub idle_timeout: Duration,
    /// The longest time a client may pause within a request body.
    pub body_timeout: Duration,
    /// What a request head may measure.
    pub head: HeadLimits,
    /// The longest request body in bytes.
    pub max_body_bytes: u64,
    /// The most connections at a time over all threads.
    pub max_connections: usize,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<network::Network>,
}

/// The files that make a listener speak TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain in PEM, the server's own first.
    pub certificate: PathBuf,
    /// Where the settings name it.
    pub certificate_place: Place,
    /// The private key in PEM.
    pub key: PathBuf,
    /// Where the settings name it.
    pub key_place: Place,
}

/// A service behind the gateway.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// `host:port` of every server.
    pub endpoints: Vec<String>,
    /// The longest time to resolve a name and connect.
    pub connect_timeout: Duration,
    /// The longest time from the last byte of a request to the head of its response.
    pub response_timeout: Duration,
    /// The longest pause within a response body.
    pub body_timeout: Duration,
    /// How long a connection is kept for reuse.
    pub idle_timeout: Duration,
    /// The most resting connections for each endpoint and thread.
    pub max_idle: usize,
    /// How often a request is tried again where that is safe.
    pub retries: usize,
    /// How long an endpoint that refused a connection is passed over.
    pub cooldown: Duration,
}

/// Which requests go to which upstream.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// Hosts in lower case; `*.example.com` stands for every name below `example.com`; none for
    /// any host.
    pub hosts: Vec<String>,
    /// The canonical path prefix without a slash at its end; empty for every path.
    pub prefix: String,
    /// The methods; none for any.
    pub methods: Vec<String>,
    /// What to do with the request.
    pub action: Action,
    /// The longest request body in bytes, instead of the listener's.
    pub max_body_bytes: Option<u64>,
    /// The longest time from the head of a request to the end of its response.
    pub request_timeout: Option<Duration>,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Forward it to the upstream at this place in [`Settings::upstreams`].
    Forward(usize),
    /// Answer with the built-in page.
    Welcome,
}
