//! The compiled settings: one immutable value with everything that a connection or an exchange needs. A
//! reload replaces it as a whole.

mod current;
mod process;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::exchange::{Exchange, Request};
use crate::filter::authentication::{Authentication, Authenticators, IdentityFields};
use crate::filter::authorization::Authorization;
use crate::filter::body_limit::BodyLimit;
use crate::filter::clients::Addresses;
use crate::filter::compression::Compression;
use crate::filter::cors::{self, Cors};
use crate::filter::forwarded::Forwarded;
use crate::filter::header_edits::{RequestHeaders, ResponseHeaders};
use crate::filter::limits::{Limits, Named};
use crate::filter::maintenance::Maintenance;
use crate::filter::mirror::Mirror;
use crate::filter::query_edits::QueryEdits;
use crate::filter::redirect::Redirect;
use crate::filter::response_limit::ResponseLimit;
use crate::filter::rewrite::Rewrite;
use crate::filter::security_headers::SecurityHeaders;
use crate::filter::{Answer, Filter, respond};
use crate::http::fields::Fields;
use crate::http::target::Target;
use crate::limit::Limit;
use crate::limit::shared::Shared;
use crate::limit::stores::Stores;
use crate::net::clients::Clients;
use crate::observe::counter::{Connections, PerWorker, Requests};
use crate::observe::log_settings::{LogRates, LogSettings};
use crate::observe::memory::of_cgroup;
use crate::route::{Parameters, Refused, Table};
use crate::settings::{self, HostRewrite, Settings};
use crate::tls::ServerTls;
use crate::trace::{RouteTraces, Tracer};
use crate::upstream::Upstream;
pub use current::{Current, WorkerSnapshot};
pub use process::Process;

/// Compiled settings.
#[derive(Debug)]
pub struct Snapshot {
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// The upstreams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The settings for the admin page, with secrets masked.
    pub shown: String,
    /// The token for access to the admin page from other machines.
    pub admin_token: Option<settings::Secret>,
    routes: Vec<Arc<Route>>,
    /// The authenticators.
    pub authenticators: Authenticators,
    /// Stores of limits shared by several gateways.
    pub stores: Stores,
    /// The trace exporter.
    pub tracer: Option<Arc<Tracer>>,
    /// The traces of requests without a route.
    pub unrouted_traces: Option<RouteTraces>,
    /// Memory limit in bytes above which requests are refused; 0 for none.
    pub max_memory: u64,
    /// Shutdown settings.
    pub stop: Stop,
    table: Table<Arc<Route>>,
}

/// Shutdown settings.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// How long the gateway still accepts connections.
    pub delay: Duration,
    /// Maximum time for requests in flight after that.
    pub timeout: Duration,
}

/// A listener with its compiled parts.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its settings.
    pub settings: Arc<settings::Listener>,
    /// TLS, if it uses it.
    pub tls: Option<Arc<ServerTls>>,
    /// Connections by client, if they are limited.
    pub clients: Option<Arc<Clients>>,
    /// Its counters.
    pub counters: PerWorker<Connections>,
}

/// A route with its filters and its action. With many routes cache lines matter: the fields that every
/// request reads are first.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Route {
    /// Its counters.
    pub counters: PerWorker<Requests>,
    /// Its name in logs and metrics.
    pub name: String,
    /// Its filters, in the order in which they process a request.
    pub filters: Vec<Box<dyn Filter>>,
    /// Maximum time from the head of a request to the end of its response.
    pub request_timeout: Option<Duration>,
    /// Timeout of one attempt; overrides the upstream's.
    pub per_try_timeout: Option<Duration>,
    /// Sampling rates of the access log.
    pub log_rates: LogRates,
    /// Whether a HEAD is forwarded as a GET.
    pub head_by_get: bool,
    /// Whether it answers preflights for its methods (Fetch standard, section 3.3).
    answers_preflights: bool,
    /// Whether the upstream gets the endpoint's host instead of the client's.
    pub endpoint_host: bool,
    /// Its trace settings, if it is traced.
    pub traces: Option<RouteTraces>,
    /// Indexes of its filters that inspect request bodies.
    pub data_filters: Vec<usize>,
    /// Indexes of its filters that inspect response bodies.
    pub response_filters: Vec<usize>,
    /// Its action.
    pub action: Action,
}

/// Parts of a snapshot by their names in the settings.
type ByName<T> = HashMap<String, Arc<T>>;

/// Compiled items that routes refer to by name.
#[derive(Debug, Default)]
pub struct Parts {
    /// The authenticators.
    pub authenticators: Authenticators,
    /// Stores of limits shared by several gateways.
    pub stores: Stores,
    /// The trace exporter.
    pub tracer: Option<Arc<Tracer>>,
}

/// Limits by name, with the shared store if there is one.
type Limited = HashMap<String, (Arc<Limit>, Option<Shared>)>;

/// The action of a route.
#[derive(Debug)]
pub enum Action {
    /// Forwards the request to an upstream.
    Forward(Forward),
    /// Redirects the client.
    Redirect(Redirect),
    /// A fixed response.
    Respond(Answer),
    /// The built-in page.
    Welcome,
}

/// The choice of an upstream.
#[derive(Debug)]
pub struct Forward {
    /// Upstreams, each with the cumulative weight up to it.
    split: Vec<(u64, Arc<Upstream>)>,
    /// The mirror.
    pub mirror: Option<Arc<Upstream>>,
}

impl Forward {
    fn compile(forward: &settings::Forward, upstreams: &ByName<Upstream>) -> Self {
        let mut sum = 0;
        let split = forward
            .split
            .iter()
            .filter_map(|share| {
                sum += u64::from(share.weight);
                Some((sum, Arc::clone(upstreams.get(&share.upstream)?)))
            })
            .collect();
        let mirror = forward.mirror.as_ref().and_then(|mirror| upstreams.get(&mirror.upstream).cloned());
        Self { split, mirror }
    }

    /// The upstreams with their weights.
    pub fn shares(&self) -> impl Iterator<Item = (u64, &Upstream)> {
        let before = std::iter::once(0).chain(self.split.iter().map(|(sum, _)| *sum));
        self.split.iter().zip(before).map(|((sum, upstream), before)| (sum - before, &**upstream))
    }

    /// The upstream of a request; `None` if every weight is 0.
    pub fn upstream(&self, exchange: &Exchange<'_>) -> Option<&Upstream> {
        let total = self.split.last()?.0;
        let point = if self.split.len() == 1 { 0 } else { exchange.worker.random(total) };
        let share = self.split.iter().find(|(sum, _)| point < *sum);
        share.map(|(_, upstream)| &**upstream)
    }
}

impl Snapshot {
    /// Compiles settings without problems.
    pub fn compile(
        settings: &Settings,
        tls: Vec<Option<ServerTls>>,
        all: Vec<Arc<Upstream>>,
        Parts { authenticators, stores, tracer }: Parts,
        process: &Process,
    ) -> Self {
        let named = |upstream: &Arc<Upstream>| (upstream.settings.name.clone(), Arc::clone(upstream));
        let upstreams: ByName<Upstream> = all.iter().map(named).collect();
        let limit = |limit: &settings::Limit| {
            let counts = process.states.get(&limit.name, limit.rule.clone(), Limit::new);
            let store = limit.store.as_ref().and_then(|name| stores.get(name));
            let shared = store.map(|store| Shared::new(store, limit.fail, &limit.name));
            (limit.name.clone(), (counts, shared))
        };
        let limits: Limited = settings.limits.iter().map(limit).collect();
        let known = (&authenticators, &limits);
        let log = &settings.access_log;
        let compile =
            |route| Arc::new(Route::compile(route, &upstreams, known, tracer.as_ref(), process, log));
        let routes: Vec<Arc<Route>> = settings.routes.iter().map(compile).collect();
        Self {
            shown: settings.shown.clone(),
            admin_token: settings.admin_token.clone(),
            table: settings.routes.iter().zip(routes.iter().cloned()).collect(),
            routes,
            listeners: settings
                .listeners
                .iter()
                .zip(tls)
                .map(|(listener, tls)| Listener {
                    settings: Arc::new(listener.clone()),
                    tls: tls.map(Arc::new),
                    clients: listener
                        .max_connections_per_client
                        .map(|most| process.states.get(&listener.name, most, |&most| Clients::new(most))),
                    counters: process.metrics.listener(&listener.name),
                })
                .collect(),
            max_memory: settings.max_memory.unwrap_or_else(of_cgroup),
            stop: Stop { delay: settings.drain_delay, timeout: settings.drain_timeout },
            upstreams: all,
            authenticators,
            stores,
            unrouted_traces: tracer
                .as_ref()
                .map(|tracer| RouteTraces { tracer: Arc::clone(tracer), pattern: None }),
            tracer,
        }
    }

    /// The routes in the order of the settings.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().map(|route| &**route)
    }

    /// The listener with this name.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.settings.name == name)
    }

    /// The route of a request, with its path parameters. The policy of the route is applied to the path.
    ///
    /// # Errors
    ///
    /// No route matches, or the policy refuses the path.
    pub fn find(&self, request: &mut Request) -> Result<(&Route, Parameters), Refused> {
        if let Some(asked) = cors::asked_method(&request.method, &request.fields)
            && let Some(found) = self.find_preflight(asked, &mut request.target, &request.fields)
        {
            return Ok(found);
        }
        let found = self.table.resolve(&mut request.target, &request.method, &request.fields)?;
        Ok((found.route, found.parameters()))
    }

    /// The route that answers a preflight: the route of the announced request, since that route may not allow
    /// OPTIONS.
    fn find_preflight(
        &self,
        method: &[u8],
        target: &mut Target,
        fields: &Fields,
    ) -> Option<(&Route, Parameters)> {
        let method = Method::from_bytes(method).ok()?;
        let mut settled = target.clone();
        let found = self.table.resolve(&mut settled, &method, fields).ok()?;
        let found = found.route.answers_preflights.then(|| (&**found.route, found.parameters()))?;
        *target = settled;
        Some(found)
    }
}

impl Route {
    fn compile(
        route: &settings::Route,
        upstreams: &ByName<Upstream>,
        known: (&Authenticators, &Limited),
        tracer: Option<&Arc<Tracer>>,
        process: &Process,
        log: &LogSettings,
    ) -> Self {
        let filters = filters(route, known, process);
        let which = |sees: fn(&dyn Filter) -> bool| {
            (0..filters.len()).filter(|&number| sees(&*filters[number])).collect()
        };
        let mut endpoint_host = false;
        let action = match &route.action {
            settings::Action::Forward(forward) => {
                endpoint_host = forward.host == Some(HostRewrite::Endpoint);
                Action::Forward(Forward::compile(forward, upstreams))
            }
            settings::Action::Redirect(redirect) => Action::Redirect(Redirect::compile(redirect, route)),
            settings::Action::Respond(fixed) => Action::Respond(respond::compile(fixed)),
            settings::Action::Welcome => Action::Welcome,
        };
        Self {
            name: route.name.clone(),
            counters: process.metrics.route(&route.name),
            log_rates: log.rates(&route.name),
            traces: tracer.filter(|_| route.traces).map(|tracer| RouteTraces {
                tracer: Arc::clone(tracer),
                pattern: Some(route.path.to_string()),
            }),
            data_filters: which(|filter| filter.sees_request_data()),
            response_filters: which(|filter| filter.sees_response_data()),
            filters,
            action,
            request_timeout: route.request_timeout,
            per_try_timeout: route.per_try_timeout,
            head_by_get: route.policies.head_by_get,
            answers_preflights: route.policies.cors.is_some(),
            endpoint_host,
        }
    }
}

/// The filters of a route in the order of their phases. Unused filters are omitted.
fn filters(
    route: &settings::Route,
    (authenticators, limits): (&Authenticators, &Limited),
    process: &Process,
) -> Vec<Box<dyn Filter>> {
    let mut filters: Vec<Box<dyn Filter>> = vec![Box::new(BodyLimit { max_bytes: route.max_body_bytes })];
    let mut add = |filter: Option<Box<dyn Filter>>| filters.extend(filter);
    let policies = &route.policies;
    add(boxed(policies.clients.clone().map(Addresses)));
    add(boxed(Cors::compile(policies.cors.as_ref())));
    add(boxed(Maintenance::compile(policies.maintenance.as_ref())));
    let named = |name: &String| {
        let (limit, shared) = limits.get(name)?;
        Some(Named { name: name.clone(), limit: Arc::clone(limit), shared: shared.clone() })
    };
    for limits in Limits::compile(&route.name, route.limits.iter().filter_map(named).collect()) {
        add(Some(Box::new(limits)));
    }
    if let settings::Action::Forward(forward) = &route.action {
        add(boxed(IdentityFields::compile(authenticators)));
        add(Some(Box::new(Forwarded)));
        add(boxed(RequestHeaders::compile(route)));
        add(boxed(Rewrite::compile(forward, route)));
        add(boxed(QueryEdits::compile(route)));
        add(boxed(policies.max_response_bytes.map(ResponseLimit)));
        add(boxed(forward.mirror.as_ref().map(|mirror| Mirror {
            percent: mirror.percent,
            counters: process.metrics.upstream(&mirror.upstream),
        })));
    }
    add(boxed(Authentication::compile(route, authenticators)));
    add(boxed(Authorization::compile(route, authenticators)));
    add(boxed(SecurityHeaders::compile(policies.security_headers.as_ref())));
    add(boxed(ResponseHeaders::compile(route)));
    if matches!(route.action, settings::Action::Forward(_)) {
        // After all filters that may set `no-transform`.
        add(boxed(policies.compression.clone().map(Compression)));
    }
    filters.sort_by_key(|filter| filter.phase());
    filters
}

fn boxed<F: Filter + 'static>(filter: Option<F>) -> Option<Box<dyn Filter>> {
    filter.map(|filter| Box::new(filter) as Box<dyn Filter>)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Limit, Limited, Process};
    use crate::filter::authentication::Authenticators;
    use crate::settings::parse;

    const WHOLE: &str = "
        [[listeners]]
        address = '127.0.0.1:0'
        [upstreams.a]
        endpoints = ['a:1']
        [authenticators.keys]
        api_key = { header = 'x', keys = [{ name = 'a', sha256 = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b' }] }
        headers = { X-User = 'sub' }
        [[routes]]
        upstream = 'a'
        response_headers = { remove = ['server'] }
        mirror = { upstream = 'a' }
        rewrite = { prefix = '/x' }
        request_headers = { remove = ['cookie'] }
        max_body_bytes = 1
        max_response_bytes = 1
        clients = { deny = ['192.0.2.1'] }
        cors = { origins = ['*'] }
        maintenance = { enabled = true }
        request_query = { remove = ['x'] }
        security_headers = true
        compression = true
        limits = ['early', 'late']
        authentication = { any = ['keys'] }
        authorization = [{ methods = ['GET'] }]
        [limits.early]
        requests = 1
        per = '1s'
        [limits.late]
        requests = 1
        per = '1s'
        key = ['identity']
        [[routes]]
        path = '/plain'
        upstream = 'a'
        [[routes]]
        path = '/no'
        respond = { status = 404 }
    ";

    /// The table in the document has the order of the filters.
    #[test]
    fn filters_have_the_order_of_the_document() {
        let documented: Vec<(&str, &str)> = include_str!("../../../docs/gateway.md")
            .lines()
            .skip_while(|line| !line.starts_with("| phase | filter |"))
            .skip(2)
            .map_while(|line| line.strip_prefix("| "))
            .filter_map(|row| row.split_once(" | "))
            .map(|(phase, row)| (phase, row.split('|').next().unwrap_or_default().trim().trim_matches('`')))
            .collect();
        let (settings, problems) = parse("f", WHOLE);
        assert!(problems.is_empty(), "{problems:?}");
        let process = Process::new(1, false);
        let authenticators =
            Authenticators::load(&settings.authenticators, &process.resolver, None).expect("no files");
        let limits: Limited = settings
            .limits
            .iter()
            .map(|limit| (limit.name.clone(), (Arc::new(Limit::new(&limit.rule)), None)))
            .collect();
        let filters: Vec<_> = settings
            .routes
            .iter()
            .map(|route| super::filters(route, (&authenticators, &limits), &process))
            .collect();
        let shown = |number: usize| -> Vec<(&str, &str)> {
            filters[number].iter().map(|filter| (filter.phase().as_str(), filter.name())).collect()
        };
        assert_eq!(shown(0), documented);
        let only = |names: &[&str]| -> Vec<(&str, &str)> {
            documented.iter().filter(|(_, name)| names.contains(name)).copied().collect()
        };
        assert_eq!(shown(1), only(&["max_body_bytes", "identity_fields", "forwarded"]), "a plain route");
        assert_eq!(shown(2), only(&["max_body_bytes"]), "a fixed response");
    }
}
