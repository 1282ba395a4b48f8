//! The settings as plain data.

mod authenticator;
mod limit;
mod listener;
mod policy;
mod route;
mod template;
mod traces;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use crate::observe::log_settings::LogSettings;

pub use authenticator::{
    AccessRule, ApiKey, AuthMethod, Authentication, Authenticator, Basic, CertificateName, ClaimCondition,
    ClientCertificate, Credential, ForwardAuth, Jwt, KeySource, KeyUrl, NamedKey,
};
pub use limit::{Amount, Calendar, KeyPart, Limit, LimitRule, Store, StoreFail};
pub use listener::{
    BodyRate, Certificate, ClientAuth, Http2, Listener, NamedFile, Protocols, ProxyProtocol, Tls,
};
pub use policy::{
    ClientNetworks, Compression, Cors, Maintenance, Origin, Policies, QueryEdits, SecurityHeaders,
};
pub use route::{
    Action, Condition, Forward, HeaderEdits, HostRewrite, MAX_PARAMETERS, Mirror, PathMatch, PathRewrite,
    Redirect, Respond, Route, Segment, Share, Test,
};
pub use template::{Part, Template, TemplateError, Variable, is_parameter};
pub use traces::Traces;
pub use upstream::{
    Balance, Circuit, Endpoint, HashKey, Outlier, Probe, Retries, Scheme, Upstream, UpstreamTls,
};

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
    /// Whether files that have changed are read again without being asked to.
    pub watch: bool,
    /// What is logged of requests, and where.
    pub access_log: LogSettings,
    /// Where traces go, if requests are traced.
    pub traces: Option<Traces>,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// What opens the admin page to other machines.
    pub admin_token: Option<Secret>,
    /// The most memory in bytes; 0 for no bound, none for a part of the limit of the cgroup.
    pub max_memory: Option<u64>,
    /// Where another gateway asks for the sockets of this one.
    pub takeover: Option<PathBuf>,
    /// How many gateways run with these settings; only warnings depend on it.
    pub replicas: usize,
    /// Where the gateway accepts requests.
    pub listeners: Vec<Listener>,
    /// The services behind the gateway.
    pub upstreams: Vec<Upstream>,
    /// How clients prove who they are.
    pub authenticators: Vec<Authenticator>,
    /// The stores that limits name.
    pub stores: Vec<Store>,
    /// The limits that routes name.
    pub limits: Vec<Limit>,
    /// Which request is answered how.
    pub routes: Vec<Route>,
    /// The settings with their defaults in TOML, secrets masked; cut off where they are very long.
    pub shown: String,
    /// Every file that the settings name, also where another mistake stands beside it.
    pub files: Vec<(FileKind, NamedFile)>,
    /// Every secret that the settings name.
    pub secrets: Vec<Secret>,
}

/// What a file that the settings name must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A certificate chain in PEM.
    Chain,
    /// A private key in PEM.
    Key,
    /// The certificates of authorities in PEM.
    Authorities,
    /// API keys or a key set, which their authenticator reads.
    Credentials,
    /// The value of a secret, which is read with the other secrets.
    Secret,
}
