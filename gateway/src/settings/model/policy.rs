//! Policies of a route: client networks, CORS, maintenance, security headers, compression.

use std::time::Duration;

use http::Method;

use super::template::Template;
use crate::settings::network::Network;

/// The policies of a route.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// The allowed client addresses.
    pub clients: Option<ClientNetworks>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Maintenance mode.
    pub maintenance: Option<Maintenance>,
    /// Changes to the query before the request is forwarded.
    pub query: QueryEdits,
    /// Whether a HEAD is forwarded as a GET.
    pub head_by_get: bool,
    /// Maximum length of an upstream's response body in bytes.
    pub max_response_bytes: Option<u64>,
    /// Security headers.
    pub security_headers: Option<SecurityHeaders>,
    /// Compression of responses.
    pub compression: Option<Compression>,
}

/// The allowed client addresses.
#[derive(Debug, Clone, Default)]
pub struct ClientNetworks {
    /// Allowed networks; empty for all that are not denied.
    pub allow: Vec<Network>,
    /// Denied networks; takes precedence over `allow`.
    pub deny: Vec<Network>,
}

/// Requests are refused with 503.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Whether it is enabled.
    pub enabled: bool,
    /// The delay after which clients should retry.
    pub retry_after: Option<Duration>,
    /// Client networks that are served nevertheless.
    pub exempt: Vec<Network>,
    /// The body of the response; `None` for the default error body.
    pub body: Option<String>,
    /// The `Content-Type` of the body.
    pub content_type: String,
}

/// Cross-origin requests of browsers (Fetch standard, section 3.3).
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// The allowed origins.
    pub origins: Vec<Origin>,
    /// The allowed methods; `None` for any.
    pub methods: Option<Vec<Method>>,
    /// The names of allowed header fields, in lower case.
    pub headers: Vec<String>,
    /// Whether any header field except `Authorization` is allowed.
    pub any_header: bool,
    /// Response header fields that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether cookies and other credentials may be sent.
    pub credentials: bool,
    /// How long a browser may cache the response to a preflight.
    pub max_age: Duration,
}

/// An allowed origin (RFC 6454 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Any origin.
    Any,
    /// This origin, as browsers write it.
    Exact(String),
    /// Every name below a domain: the parts before and after the name, such as `https://` and `.example.com`.
    Below(String, String),
}

/// Changes to the query, in the order of these lists. Names are decoded.
#[derive(Debug, Clone, Default)]
pub struct QueryEdits {
    /// Parameters to remove.
    pub remove: Vec<String>,
    /// Parameters that replace all of the same name.
    pub set: Vec<(String, Template)>,
    /// Parameters to add.
    pub add: Vec<(String, Template)>,
}

/// Header fields that are added to responses without them.
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    /// How long browsers must use TLS (RFC 6797); `None` to send no such field.
    pub hsts: Option<Duration>,
    /// Whether it includes all subdomains.
    pub hsts_include_subdomains: bool,
    /// Whether browsers may include the host in their preload list.
    pub hsts_preload: bool,
    /// The value of `X-Frame-Options`, if it is sent.
    pub frame_options: Option<&'static str>,
    /// The value of `Referrer-Policy`.
    pub referrer_policy: String,
    /// The value of `Content-Security-Policy`.
    pub content_security_policy: Option<String>,
    /// The value of `Permissions-Policy`.
    pub permissions_policy: Option<String>,
}

/// Compression of responses.
#[derive(Debug, Clone)]
pub struct Compression {
    /// The offered codings, the preferred one first.
    pub codings: Vec<crate::http::coding::Coding>,
    /// Minimum length of a body with known length to be compressed.
    pub min_bytes: u64,
    /// Media types in lower case; `text/*` matches all of a type.
    pub types: Vec<String>,
}

impl QueryEdits {
    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
