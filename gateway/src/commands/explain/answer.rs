//! Traces a request through a snapshot.

use std::rc::Rc;
use std::sync::Arc;

use super::Question;
use crate::exchange::{Exchange, Identity};
use crate::filter::Verdict;
use crate::http::hop;
use crate::route::{Lookup, mismatches};
use crate::settings::{self, AuthMethod, Balance, KeySource, Settings};
use crate::snapshot::{Action, Route, Snapshot};
use crate::upstream::Upstream;

/// How the gateway handles a request.
#[derive(Debug)]
pub struct Answer<'s> {
    /// The request.
    pub question: &'s Question,
    /// The listener.
    pub listener: Arc<settings::Listener>,
    /// The client's address, as used in logs and limits.
    pub client: String,
    /// The route, with its line in the file.
    pub route: Option<(&'s str, usize)>,
    /// The parameters of its path.
    pub parameters: Vec<(String, String)>,
    /// The filters: phase, name, and effect on the request.
    pub filters: Vec<(&'static str, &'static str, String)>,
    /// The client's identity, as found by the authenticators.
    pub identity: Option<Rc<Identity>>,
    /// The action that produces the response.
    pub outcome: String,
    /// The upstreams.
    pub upstreams: Vec<Target>,
    /// Path and query: as sent by the client, and as forwarded.
    pub path: (String, String),
    /// The host: as sent by the client, and as forwarded.
    pub host: (String, String),
    /// The other routes, best match first: name, line, and the reason why they do not match.
    pub others: Vec<(&'s str, usize, String)>,
}

/// An upstream that may receive the request.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its share of the requests, in percent.
    pub percent: u64,
    /// Its load balancing.
    pub balance: String,
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// The endpoint for this request, if that depends on the request only.
    pub chosen: Option<String>,
}

impl<'s> Answer<'s> {
    /// An answer with only the listener set.
    pub fn new(listener: &Arc<settings::Listener>, question: &'s Question) -> Self {
        Self {
            question,
            listener: Arc::clone(listener),
            client: question.client.to_string(),
            route: None,
            parameters: Vec::new(),
            filters: Vec::new(),
            identity: None,
            outcome: String::new(),
            upstreams: Vec::new(),
            path: Default::default(),
            host: Default::default(),
            others: Vec::new(),
        }
    }

    /// Traces a request after its head was parsed.
    pub fn find<'e>(&mut self, settings: &'s Settings, snapshot: &'e Snapshot, exchange: &mut Exchange<'e>) {
        self.path.0 = target(exchange);
        exchange.request.target.authority().unwrap_or_default().clone_into(&mut self.host.0);
        let found = snapshot.find(exchange.request);
        let lookup = |exchange: &Exchange<'_>, route: &settings::Route| {
            let request = &exchange.request;
            mismatches(
                route,
                &Lookup {
                    host: &request.target.host,
                    path: request.target.path.as_str(),
                    query: request.target.query(),
                    method: &request.method,
                    fields: &request.fields,
                },
            )
        };
        let mut others = Vec::new();
        for route in &settings.routes {
            let why = lookup(exchange, route);
            others.push((why.len(), route, why));
        }
        others.sort_by_key(|(count, ..)| *count);
        let route = match found {
            Ok((route, parameters)) => {
                exchange.parameters = parameters;
                route
            }
            Err(refused) => {
                self.refuse(&refused);
                self.tell_others(others.into_iter().map(|(_, route, why)| (route, why)), None);
                return;
            }
        };
        let taken = settings.routes.iter().find(|one| one.name == route.name);
        self.route = taken.map(|route| (route.name.as_str(), route.place.line));
        if let Some(taken) = taken {
            self.parameters = parameters(taken, exchange);
        }
        let others = others.into_iter().filter(|(_, other, _)| other.name != route.name);
        self.tell_others(others.map(|(_, route, why)| (route, why)), self.route);
        let asks_network = taken.is_none_or(|taken| asks_network(settings, taken));
        self.follow(route, exchange, asks_network);
    }

    fn tell_others(
        &mut self,
        others: impl Iterator<Item = (&'s settings::Route, Vec<crate::route::Mismatch>)>,
        taken: Option<(&str, usize)>,
    ) {
        for (route, why) in others {
            let why = match (why.is_empty(), taken) {
                (false, _) => why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                (true, Some((name, _))) => format!("matches too; '{name}' takes precedence"),
                (true, None) => "matches, but its path policy refuses the path".to_owned(),
            };
            self.others.push((route.name.as_str(), route.place.line, why));
        }
    }

    /// Runs the filters of the route and records its action.
    fn follow<'e>(&mut self, route: &'e Route, exchange: &mut Exchange<'e>, asks_network: bool) {
        // For filters that compute on another thread.
        let runtime = tokio::runtime::Builder::new_current_thread().build().ok().filter(|_| !asks_network);
        if let Err(refused) = hop::strip(&mut exchange.request.fields) {
            self.refuse(&refused);
        }
        for filter in &route.filters {
            let told = if self.outcome.is_empty() {
                let mut verdict = filter.request(exchange);
                if let Some(runtime) = &runtime {
                    while let Verdict::Wait(wait) = verdict {
                        verdict = runtime.block_on(wait)(exchange);
                    }
                }
                match verdict {
                    Verdict::Continue if filter.name() == "authentication" => {
                        self.identity.clone_from(&exchange.identity);
                        exchange.identity.as_deref().map_or("passes: not known".to_owned(), |identity| {
                            format!("passes: {}", described(identity))
                        })
                    }
                    Verdict::Continue => "passes".to_owned(),
                    Verdict::Answer(answer) => {
                        self.outcome =
                            format!("answered with {} by {}", answer.status.as_u16(), filter.name());
                        "answers".to_owned()
                    }
                    Verdict::Refuse(failure) => {
                        self.refuse(&*failure);
                        format!("refuses: {}", failure.reason())
                    }
                    Verdict::Wait(_) => "decided by a service, which is not called here".to_owned(),
                }
            } else {
                "not reached".to_owned()
            };
            self.filters.push((filter.phase().as_str(), filter.name(), told));
        }
        let stopped = !self.outcome.is_empty();
        match &route.action {
            Action::Forward(forward) => {
                self.path.1 = target(exchange);
                exchange.request.target.authority().unwrap_or_default().clone_into(&mut self.host.1);
                if route.endpoint_host {
                    "the endpoint's".clone_into(&mut self.host.1);
                }
                let total: u64 = forward.shares().map(|(weight, _)| weight).sum();
                for (weight, upstream) in forward.shares().filter(|(weight, _)| *weight > 0) {
                    self.upstreams.push(Target::of(upstream, weight * 100 / total.max(1), exchange));
                }
                if !stopped {
                    "forwarded".clone_into(&mut self.outcome);
                }
            }
            _ if stopped => {}
            Action::Redirect(redirect) => match redirect.answer(exchange) {
                Ok(answer) => {
                    let location = answer.fields.named(b"location").next().unwrap_or_default();
                    let location = String::from_utf8_lossy(location);
                    self.outcome = format!("redirected with {} to {location}", answer.status.as_u16());
                }
                Err(refused) => self.refuse(&refused),
            },
            Action::Respond(answer) => self.outcome = format!("answered with {}", answer.status.as_u16()),
            Action::Welcome => "answered with the built-in page".clone_into(&mut self.outcome),
        }
    }
}

/// Whether an authenticator of a route calls a service or fetches keys.
fn asks_network(settings: &Settings, route: &settings::Route) -> bool {
    let named = route.authentication.iter().flat_map(|authentication| &authentication.any);
    let known = named.filter_map(|name| settings.authenticators.iter().find(|one| one.name == *name));
    known.map(|authenticator| &authenticator.method).any(|method| match method {
        AuthMethod::ForwardAuth(_) => true,
        AuthMethod::Jwt(jwt) => matches!(jwt.keys, KeySource::Url(_)),
        AuthMethod::ApiKey(_) | AuthMethod::Basic(_) | AuthMethod::Certificate(_) => false,
    })
}

/// The identity as text.
fn described(identity: &Identity) -> String {
    let Identity { kind, authenticator, subject, groups, .. } = identity;
    let groups = if groups.is_empty() { String::new() } else { format!(", groups {}", groups.join(", ")) };
    format!("'{subject}' by '{authenticator}' ({}){groups}", kind.as_str())
}

fn target(exchange: &Exchange<'_>) -> String {
    let mut written = Vec::new();
    exchange.request.target.write_to(&mut written);
    String::from_utf8_lossy(&written).into_owned()
}

fn parameters(route: &settings::Route, exchange: &Exchange<'_>) -> Vec<(String, String)> {
    let settings::PathMatch::Template(segments) = &route.path else { return Vec::new() };
    let names = segments.iter().filter_map(|segment| match segment {
        settings::Segment::Parameter(name) | settings::Segment::Rest(name) => Some(name.clone()),
        settings::Segment::Literal(_) => None,
    });
    let path = exchange.request.target.path.as_str();
    let value = |place| exchange.parameters.get(place, path).unwrap_or_default().to_owned();
    names.enumerate().map(|(place, name)| (name, value(place))).collect()
}

impl Target {
    fn of(upstream: &Upstream, percent: u64, exchange: &Exchange<'_>) -> Self {
        let settings = &upstream.settings;
        let mut chosen = None;
        let balance = match &settings.balance {
            Balance::RoundRobin => "round_robin",
            Balance::LeastRequests => "least_requests",
            Balance::Hash { .. } => {
                let local = upstream.local(exchange.worker);
                let keyed = upstream.is_keyed(exchange);
                let picked = upstream.pick(&local, exchange, &[]).filter(|_| keyed);
                chosen = picked.and_then(|picked| settings.endpoints.get(picked.index)).map(shown);
                "hash"
            }
        };
        Self {
            name: settings.name.clone(),
            percent,
            balance: balance.to_owned(),
            endpoints: settings.endpoints.iter().map(shown).collect(),
            chosen,
        }
    }
}

fn shown(endpoint: &settings::Endpoint) -> String {
    let scheme = match (endpoint.scheme, &endpoint.address) {
        (_, crate::endpoint::Address::Unix(_)) => "",
        (settings::Scheme::Http, _) => "http://",
        (settings::Scheme::Https, _) => "https://",
        (settings::Scheme::H2c, _) => "h2c://",
    };
    format!("{scheme}{endpoint}")
}
