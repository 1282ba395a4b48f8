//! Routes: conditions for requests, and actions.

use std::fmt;
use std::time::Duration;

use http::Method;

use super::authenticator::{AccessRule, Authentication};
use super::policy::Policies;
use super::template::Template;
use crate::http::path::Policy;
use crate::settings::Place;

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// Its place in the settings.
    pub place: Place,
    /// Hosts in lower case; `*.example.com` matches every name below `example.com`; empty for any host.
    pub hosts: Vec<String>,
    /// The paths that it matches.
    pub path: PathMatch,
    /// The methods; empty for any.
    pub methods: Vec<Method>,
    /// Conditions on header fields; names in lower case.
    pub headers: Vec<Condition>,
    /// Conditions on query parameters; names decoded.
    pub query: Vec<Condition>,
    /// Authentication of clients, if required.
    pub authentication: Option<Authentication>,
    /// Access rules, one of which must match; empty if every request is allowed.
    pub authorization: Vec<AccessRule>,
    /// Handling of path constructs that servers interpret differently.
    pub path_policy: Policy,
    /// The action.
    pub action: Action,
    /// Changes to the fields of the request before it is forwarded.
    pub request_headers: HeaderEdits,
    /// Changes to the fields of the response, also of a redirect or a fixed response.
    pub response_headers: HeaderEdits,
    /// Whether its requests are traced, if traces are configured.
    pub traces: bool,
    /// Its policies.
    pub policies: Policies,
    /// The names of its limits.
    pub limits: Vec<String>,
    /// Maximum length of the request body in bytes; overrides the listener's.
    pub max_body_bytes: Option<u64>,
    /// Maximum time from the head of a request to the end of its response.
    pub request_timeout: Option<Duration>,
    /// Timeout of one attempt; overrides the upstream's `retries.per_try_timeout`.
    pub per_try_timeout: Option<Duration>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            name: String::new(),
            place: Place::default(),
            hosts: Vec::new(),
            path: PathMatch::Prefix(String::new()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            authentication: None,
            authorization: Vec::new(),
            path_policy: Policy::default(),
            action: Action::Welcome,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            traces: true,
            policies: Policies::default(),
            limits: Vec::new(),
            max_body_bytes: None,
            request_timeout: None,
            per_try_timeout: None,
        }
    }
}

/// The paths that a route matches. All are compared with canonical paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// This path and every path below it: without a trailing slash; empty for every path.
    Prefix(String),
    /// Only this path.
    Exact(String),
    /// Segments, some of which are parameters.
    Template(Vec<Segment>),
}

/// The paths as a template: `/users/{id}/*`.
impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{prefix}/*"),
            Self::Exact(path) => f.write_str(path),
            Self::Template(segments) => segments.iter().try_for_each(|segment| match segment {
                Segment::Literal(text) => write!(f, "/{text}"),
                Segment::Parameter(name) => write!(f, "/{{{name}}}"),
                Segment::Rest(name) => write!(f, "/{{*{name}}}"),
            }),
        }
    }
}

/// Maximum number of parameters in a path template.
pub const MAX_PARAMETERS: usize = 8;

/// A segment of a path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A literal text.
    Literal(String),
    /// `{name}`: one non-empty segment.
    Parameter(String),
    /// `{*name}`: the rest of the path with its slashes; it may be empty. Always the last segment.
    Rest(String),
}

/// A condition on a header field or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// The name.
    pub name: String,
    /// The condition on its value.
    pub test: Test,
}

/// A condition on a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// It equals this text. Of several fields or parameters of one name, the first is compared.
    Is(String),
    /// It is present.
    Present,
    /// It is absent.
    Absent,
}

/// The action of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Forwards the request to an upstream.
    Forward(Forward),
    /// Redirects the client.
    Redirect(Redirect),
    /// A fixed response.
    Respond(Respond),
    /// The built-in page.
    Welcome,
}

impl Action {
    /// The names of its upstreams.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        let forward = match self {
            Self::Forward(forward) => Some(forward),
            _ => None,
        };
        forward.into_iter().flat_map(|forward| {
            let mirror = forward.mirror.iter().map(|mirror| mirror.upstream.as_str());
            forward.split.iter().map(|share| share.upstream.as_str()).chain(mirror)
        })
    }
}

/// Forwarding settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The upstreams among which requests are split; at least one.
    pub split: Vec<Share>,
    /// The upstream that gets a copy of some requests and whose responses are discarded.
    pub mirror: Option<Mirror>,
    /// The path for the upstream, if it is not the canonical path.
    pub path: Option<PathRewrite>,
    /// The `Host` for the upstream, if it is not the client's.
    pub host: Option<HostRewrite>,
}

impl Forward {
    /// Forwards every request unchanged to one upstream.
    #[cfg(test)]
    pub fn to(upstream: &str) -> Self {
        Self {
            split: vec![Share { upstream: upstream.to_owned(), weight: 1 }],
            mirror: None,
            path: None,
            host: None,
        }
    }
}

/// An upstream in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The name of the upstream, one of [`super::Settings::upstreams`].
    pub upstream: String,
    /// Its weight relative to the others; 0 for no requests.
    pub weight: u32,
}

/// Copying of requests to a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The name of the mirror upstream.
    pub upstream: String,
    /// The percentage of requests that are copied.
    pub percent: u32,
}

/// The path for the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// Replaces the prefix of the route; canonical, without a trailing slash, and empty to remove the prefix.
    Prefix(String),
    /// Replaces the whole path, and the query too if the template has a `?`.
    Template(Template),
}

/// The `Host` for the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRewrite {
    /// The host of the endpoint, with the port if it is not the scheme's default.
    Endpoint,
    /// This host.
    Template(Template),
}

/// A redirect. Parts that are not set are kept from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: http::StatusCode,
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The host.
    pub host: Option<Template>,
    /// The port. If only the scheme is new, its default port is used.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<PathRewrite>,
}

/// A fixed response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// The status, 200 to 599.
    pub status: http::StatusCode,
    /// The value of `Content-Type`; none if there is no body.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
}

/// Changes to the fields of a message, made in the order of these lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Names of fields to remove, in lower case.
    pub remove: Vec<String>,
    /// Fields that replace all of the same name; names in lower case.
    pub set: Vec<(String, Template)>,
    /// Fields to add; names in lower case.
    pub add: Vec<(String, Template)>,
}

impl HeaderEdits {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
