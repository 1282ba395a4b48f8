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

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The number of worker threads.
    pub threads: usize,
    /// How long the gateway still accepts connections after a stop signal, while `/readyz` already fails.
    pub drain_delay: Duration,
    /// Maximum time for requests in flight to finish when the gateway stops.
    pub drain_timeout: Duration,
    /// Whether changed files are reloaded automatically.
    pub watch: bool,
    /// The access log.
    pub access_log: LogSettings,
    /// Trace export, if requests are traced.
    pub traces: Option<Traces>,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// The token for access to the admin page from other machines.
    pub admin_token: Option<Secret>,
    /// Memory limit in bytes; 0 for none, `None` for a percentage of the cgroup's limit.
    pub max_memory: Option<u64>,
    /// The Unix socket at which another gateway takes over the sockets.
    pub takeover: Option<PathBuf>,
    /// The number of gateways with these settings; only warnings depend on it.
    pub replicas: usize,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The upstreams.
    pub upstreams: Vec<Upstream>,
    /// The authenticators.
    pub authenticators: Vec<Authenticator>,
    /// The stores for limits.
    pub stores: Vec<Store>,
    /// The limits.
    pub limits: Vec<Limit>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The settings with their defaults in TOML, with secrets masked; truncated if they are very long.
    pub shown: String,
    /// Every file that the settings name, even if there are other mistakes.
    pub files: Vec<(FileKind, NamedFile)>,
    /// Every secret that the settings name.
    pub secrets: Vec<Secret>,
}

/// The required content of a file that the settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A certificate chain in PEM.
    Chain,
    /// A private key in PEM.
    Key,
    /// The certificates of authorities in PEM.
    Authorities,
    /// API keys or a key set, which the authenticator reads.
    Credentials,
    /// The value of a secret, which is read with the other secrets.
    Secret,
}
