//! What a route does beyond forwarding: who may come, what browsers may do, how responses are sent.

use std::time::Duration;

use http::Method;

use super::template::Template;
use crate::settings::network::Network;

/// The policies of a route.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Which addresses may send requests.
    pub clients: Option<ClientNetworks>,
    /// What other sites may do in a browser.
    pub cors: Option<Cors>,
    /// Whether requests are refused for the time being.
    pub maintenance: Option<Maintenance>,
    /// Changes to the query before the request is forwarded.
    pub query: QueryEdits,
    /// Whether a HEAD is forwarded as a GET.
    pub head_by_get: bool,
    /// The longest response body of an upstream in bytes.
    pub max_response_bytes: Option<u64>,
    /// Fields that make browsers stricter.
    pub security_headers: Option<SecurityHeaders>,
    /// How responses are compressed.
    pub compression: Option<Compression>,
}

/// Which addresses may send requests.
#[derive(Debug, Clone, Default)]
pub struct ClientNetworks {
    /// Who may; empty for everyone who is not denied.
    pub allow: Vec<Network>,
    /// Who may not; goes before `allow`.
    pub deny: Vec<Network>,
}

/// Requests are refused with 503.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Whether it is in force.
    pub enabled: bool,
    /// After how long clients are to try again.
    pub retry_after: Option<Duration>,
    /// Addresses that are served all the same.
    pub exempt: Vec<Network>,
    /// The body of the response; none for the one of every failure.
    pub body: Option<String>,
    /// The `Content-Type` of the body.
    pub content_type: String,
}

/// Cross-origin requests of browsers (Fetch standard, section 3.3).
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// The origins that are allowed.
    pub origins: Vec<Origin>,
    /// The methods that are allowed; none for any.
    pub methods: Option<Vec<Method>>,
    /// The names of fields that are allowed, in lower case.
    pub headers: Vec<String>,
    /// Whether any field but `Authorization` is allowed.
    pub any_header: bool,
    /// Fields of responses that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether cookies and other credentials may be sent.
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Duration,
}

/// An origin that is allowed (RFC 6454 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Any origin.
    Any,
    /// This one, as browsers write it.
    Exact(String),
    /// Every name below a domain: what stands before the name, and what behind it, such as `https://`
    /// and `.example.com`.
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

/// Fields that are added to responses without them.
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    /// How long browsers use TLS only (RFC 6797); none for no such field.
    pub hsts: Option<Duration>,
    /// Whether that holds for all names below the host too.
    pub hsts_include_subdomains: bool,
    /// Whether browsers may build that in.
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

/// How responses are compressed.
#[derive(Debug, Clone)]
pub struct Compression {
    /// The codings that are offered, the best first.
    pub codings: Vec<crate::http::coding::Coding>,
    /// The shortest body of known length that is compressed.
    pub min_bytes: u64,
    /// Media types in lower case; `text/*` stands for all of a kind.
    pub types: Vec<String>,
}

impl QueryEdits {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
