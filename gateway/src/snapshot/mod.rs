//! The settings in force, compiled: one immutable value from which everything that a connection or
//! an exchange needs can be reached. Another snapshot takes its place as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::exchange::{Exchange, Request};
use crate::filter::Filter;
use crate::filter::body_limit::BodyLimit;
use crate::filter::forwarded::Forwarded;
use crate::listener::clients::Clients;
use crate::observe::counter::{Connections, PerWorker, Requests};
use crate::observe::metrics::Metrics;
use crate::route::{Parameters, Refused, Table};
use crate::settings::{self, Settings};
use crate::tls::ServerTls;
use crate::upstream::Upstream;

/// Settings in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Where requests are accepted.
    pub listeners: Vec<Listener>,
    /// The services behind the gateway.
    pub upstreams: Vec<Arc<Upstream>>,
    table: Table<Arc<Route>>,
}

/// A listener with what it needs.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its settings.
    pub settings: Arc<settings::Listener>,
    /// TLS, if it speaks it.
    pub tls: Option<Arc<ServerConfig>>,
    /// The connections of each client, if they are limited.
    pub clients: Option<Arc<Clients>>,
    /// Its counters.
    pub counters: Arc<PerWorker<Connections>>,
}

/// A route with its filters and its action.
#[derive(Debug)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// Its counters.
    pub counters: Arc<PerWorker<Requests>>,
    /// Its filters, in the order in which they see a request.
    pub filters: Vec<Box<dyn Filter>>,
    /// Those of them that see the data of requests.
    pub data_filters: Vec<usize>,
    /// Those of them that see the data of responses.
    pub response_filters: Vec<usize>,
    /// What answers a request.
    pub action: Action,
    /// The longest time from the head of a request to the end of its response.
    pub request_timeout: Option<std::time::Duration>,
}

/// What answers a request.
#[derive(Debug)]
pub enum Action {
    /// An upstream.
    Forward(Forward),
    /// The built-in page.
    Welcome,
}

/// Which upstream a request is forwarded to.
#[derive(Debug)]
pub struct Forward {
    /// Upstreams, each with the sum of its weight and those before it.
    split: Vec<(u64, Arc<Upstream>)>,
}

impl Forward {
    fn compile(forward: &settings::Forward, upstreams: &HashMap<String, Arc<Upstream>>) -> Self {
        let mut sum = 0;
        let split = forward
            .split
            .iter()
            .filter_map(|share| {
                sum += u64::from(share.weight);
                Some((sum, Arc::clone(upstreams.get(&share.upstream)?)))
            })
            .collect();
        Self { split }
    }

    /// The upstream for a request; none if no share has a weight.
    pub fn upstream(&self, exchange: &Exchange<'_>) -> Option<&Upstream> {
        let total = self.split.last()?.0;
        let point = if self.split.len() == 1 { 0 } else { exchange.worker.random(total) };
        let share = self.split.iter().find(|(sum, _)| point < *sum);
        share.map(|(_, upstream)| &**upstream)
    }
}

impl Snapshot {
    /// Compiles settings that are free of problems.
    pub fn compile(
        settings: &Settings,
        tls: Vec<Option<ServerTls>>,
        upstreams: Vec<Upstream>,
        metrics: &Metrics,
    ) -> Self {
        let all: Vec<Arc<Upstream>> = upstreams.into_iter().map(Arc::new).collect();
        let named = |upstream: &Arc<Upstream>| (upstream.settings.name.clone(), Arc::clone(upstream));
        let upstreams: HashMap<String, Arc<Upstream>> = all.iter().map(named).collect();
        Self {
            listeners: settings
                .listeners
                .iter()
                .zip(tls)
                .map(|(listener, tls)| Listener {
                    settings: Arc::new(listener.clone()),
                    tls: tls.map(|tls| tls.config),
                    clients: listener.max_connections_per_client.map(Clients::new),
                    counters: metrics.listener(&listener.name),
                })
                .collect(),
            upstreams: all,
            table: settings
                .routes
                .iter()
                .map(|route| (route, Arc::new(Route::compile(route, &upstreams, metrics))))
                .collect(),
        }
    }

    /// The route that takes a request, with the parameters of its path. The policy of the route is
    /// applied to the path.
    ///
    /// # Errors
    ///
    /// No route takes the request, or the policy refuses its path.
    pub fn find(&self, request: &mut Request) -> Result<(&Route, Parameters), Refused> {
        let found = self.table.resolve(&mut request.target, &request.method, &request.fields)?;
        Ok((found.route, found.parameters()))
    }
}

impl Route {
    fn compile(
        route: &settings::Route,
        upstreams: &HashMap<String, Arc<Upstream>>,
        metrics: &Metrics,
    ) -> Self {
        let filters: Vec<Box<dyn Filter>> =
            vec![Box::new(BodyLimit { max_bytes: route.max_body_bytes }), Box::new(Forwarded)];
        let which = |sees: fn(&dyn Filter) -> bool| {
            (0..filters.len()).filter(|&number| sees(&*filters[number])).collect()
        };
        let action = match &route.action {
            settings::Action::Forward(forward) => Action::Forward(Forward::compile(forward, upstreams)),
            _ => Action::Welcome,
        };
        Self {
            name: route.name.clone(),
            counters: metrics.route(&route.name),
            data_filters: which(|filter| filter.sees_request_data()),
            response_filters: which(|filter| filter.sees_response_data()),
            filters,
            action,
            request_timeout: route.request_timeout,
        }
    }
}
