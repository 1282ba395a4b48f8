//! Routes: which request is answered how.

use std::fmt;
use std::time::Duration;

use http::Method;

use super::authenticator::{AccessRule, Authentication};
use super::policy::Policies;
use super::template::Template;
use crate::http::path::Policy;
use crate::settings::Place;

/// Which requests are answered how.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where the settings define it.
    pub place: Place,
    /// Hosts in lower case; `*.example.com` stands for every name below `example.com`; none for
    /// any host.
    pub hosts: Vec<String>,
    /// Which paths it takes.
    pub path: PathMatch,
    /// The methods; none for any.
    pub methods: Vec<Method>,
    /// What fields of the request must hold; names in lower case.
    pub headers: Vec<Condition>,
    /// What parameters of the query must hold; names decoded.
    pub query: Vec<Condition>,
    /// How it is found out who sent a request, if that is asked.
    pub authentication: Option<Authentication>,
    /// Rules of which one must hold; empty if every request may pass.
    pub authorization: Vec<AccessRule>,
    /// What is done with what servers read in different ways in a path.
    pub path_policy: Policy,
    /// What answers the request.
    pub action: Action,
    /// Changes to the fields of the request before it is forwarded.
    pub request_headers: HeaderEdits,
    /// Changes to the fields of the response, also of a redirect or a fixed response.
    pub response_headers: HeaderEdits,
    /// Whether its requests are traced, where there are traces.
    pub traces: bool,
    /// What it does beyond that.
    pub policies: Policies,
    /// The names of its limits.
    pub limits: Vec<String>,
    /// The longest request body in bytes, instead of the listener's.
    pub max_body_bytes: Option<u64>,
    /// The longest time from the head of a request to the end of its response.
    pub request_timeout: Option<Duration>,
    /// The longest time of one try, instead of the upstream's `retries.per_try_timeout`.
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

/// Which paths a route takes. All are compared with canonical paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// This path and every path below it: without a slash at its end, empty for every path.
    Prefix(String),
    /// Just this path.
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

/// The most parameters of a path template.
pub const MAX_PARAMETERS: usize = 8;

/// A segment of a path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This very text.
    Literal(String),
    /// `{name}`: one segment that is not empty.
    Parameter(String),
    /// `{*name}`: the rest of the path, slashes included; it may be empty. Always the last.
    Rest(String),
}

/// What a field or a query parameter must hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// The name.
    pub name: String,
    /// What is asked of its value.
    pub test: Test,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// It is this text. Of several fields or parameters of one name, the first counts.
    Is(String),
    /// There is one.
    Present,
    /// There is none.
    Absent,
}

/// What answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An upstream.
    Forward(Forward),
    /// A response that sends the client elsewhere.
    Redirect(Redirect),
    /// A fixed response.
    Respond(Respond),
    /// The built-in page.
    Welcome,
}

impl Action {
    /// The names of the upstreams it leads to.
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

/// How a request is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The upstreams that share the requests; at least one.
    pub split: Vec<Share>,
    /// The upstream that gets a copy of some requests and whose responses are dropped.
    pub mirror: Option<Mirror>,
    /// The path that the upstream is asked for, if it is not the canonical path.
    pub path: Option<PathRewrite>,
    /// The `Host` that the upstream is told, if it is not the client's.
    pub host: Option<HostRewrite>,
}

impl Forward {
    /// Every request goes to one upstream, as it is.
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

/// The part of an upstream in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The name of the upstream, one of [`super::Settings::upstreams`].
    pub upstream: String,
    /// Its part of the requests against the weights of the others; 0 for none.
    pub weight: u32,
}

/// A copy of some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The name of the upstream that gets them.
    pub upstream: String,
    /// How many requests are copied, in percent.
    pub percent: u32,
}

/// The path that the upstream is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// The prefix of the route is replaced by this one, which is canonical, without a slash at its
    /// end, and empty if the prefix is just removed.
    Prefix(String),
    /// The whole path, and the query too if there is a `?`.
    Template(Template),
}

/// The `Host` that the upstream is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRewrite {
    /// The host of the endpoint, with the port if it is not the scheme's.
    Endpoint,
    /// This one.
    Template(Template),
}

/// A response that sends the client elsewhere. What is not given is kept from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: http::StatusCode,
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The host.
    pub host: Option<Template>,
    /// The port. A new scheme without it means the scheme's own port.
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
