//! Prepares settings: reads the files that they name, and finds suspicious values.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::filter::authentication::Authenticators;
use crate::limit::stores::Stores;
use crate::listener::tls;
use crate::route;
use crate::settings::{self, AuthMethod, Place, Problem, Settings, files, secret, warning};
use crate::snapshot::{Parts, Process, Snapshot};
use crate::tls::ServerTls;
use crate::trace::{Tracer, TracerConfig};
use crate::upstream::Upstream;

/// Settings with the contents of all files that they name.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) settings: Settings,
    /// TLS of each listener that has it.
    tls: Vec<Option<ServerTls>>,
    upstreams: Vec<Arc<Upstream>>,
    parts: Parts,
}

impl Prepared {
    /// Makes a snapshot from settings without problems.
    pub(crate) fn compile(self, process: &Process) -> (Settings, Snapshot) {
        let snapshot = Snapshot::compile(&self.settings, self.tls, self.upstreams, self.parts, process);
        (self.settings, snapshot)
    }
}

/// Findings in settings and in the files that they name.
#[derive(Debug, Default)]
pub struct Findings {
    /// Errors: the settings cannot be used.
    pub problems: Vec<Problem>,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

/// Reads the files that the settings name. If there are problems, the result must not be used.
///
/// `found`: the problems of the settings file itself. If there are any, warnings about unused items are
/// omitted. `previous` is the current snapshot: unchanged parts are taken from it.
pub fn prepare(
    settings: Settings,
    file: &str,
    found: Vec<Problem>,
    process: &Process,
    previous: Option<&Snapshot>,
) -> (Prepared, Findings) {
    let place = |(place, text)| Problem { file: file.to_owned(), place: Some(place), code: None, text };
    let warn =
        |code, place, text| Problem { file: file.to_owned(), place: Some(place), code: Some(code), text };
    let is_whole = found.is_empty();
    let mut problems = found;
    let mut warnings = Vec::new();
    for read in [files::check(&settings.files, SystemTime::now()), secret::check(&settings.secrets)] {
        problems.extend(read.problems.into_iter().map(place));
        warnings.extend(read.warnings.into_iter().map(|(place, code, text)| warn(code, place, text)));
    }
    if is_whole {
        warnings.extend(
            unused(&settings).into_iter().map(|(place, text)| warn(warning::UNUSED_UPSTREAM, place, text)),
        );
        warnings.extend(
            shadowed(&settings).into_iter().map(|(place, text)| warn(warning::SHADOWED_ROUTE, place, text)),
        );
    }
    let mut configs = Vec::new();
    for listener in &settings.listeners {
        let before = previous.and_then(|previous| previous.listener(&listener.name)?.tls.as_deref());
        let loaded = listener.tls.as_ref().map(|tls| tls::load(listener, tls, before)).transpose();
        configs.push(loaded.unwrap_or_else(|errors| {
            // An unreadable file is reported already.
            let known: Vec<_> = problems.iter().filter_map(|problem| problem.place).collect();
            let errors = errors.into_iter().filter(|(place, _)| !known.contains(place));
            problems.extend(errors.map(place));
            None
        }));
    }
    let before: HashMap<&str, &Arc<Upstream>> = previous
        .iter()
        .flat_map(|previous| &previous.upstreams)
        .map(|upstream| (upstream.settings.name.as_str(), upstream))
        .collect();
    let mut upstreams = Vec::new();
    for upstream in &settings.upstreams {
        let before = before.get(upstream.name.as_str()).copied();
        match Upstream::compile(upstream, &process.resolver, &process.metrics, before) {
            Ok(upstream) => upstreams.push(upstream),
            Err(errors) => {
                // An unreadable file is reported already, at its place.
                for text in errors.into_iter().map(|problem| problem.error.to_string()) {
                    if !problems.iter().any(|known| known.text == text) {
                        problems.push(place((upstream.place, text)));
                    }
                }
            }
        }
    }
    if let Some(token) = &settings.admin_token
        && (1..16).contains(&token.expose().len())
    {
        let text = "'token' is shorter than 16 bytes; make one with: openssl rand -hex 32";
        problems.push(place((token.place, text.to_owned())));
    }
    warnings.extend(exposed(&settings).into_iter().map(|(at, code, text)| warn(code, at, text)));
    let before = previous.map(|previous| &previous.authenticators);
    let authenticators = Authenticators::load(&settings.authenticators, &process.resolver, before);
    let authenticators = authenticators.unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(place));
        Authenticators::default()
    });
    let before = previous.map(|previous| &previous.stores);
    let stores = Stores::load(&settings.stores, &process.resolver, &process.metrics, before);
    let stores = stores.unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(place));
        Stores::default()
    });
    let before = previous.and_then(|previous| previous.tracer.as_ref());
    let tracer = settings.traces.as_ref().map(|traces| tracer(traces, process, before)).transpose();
    let tracer = tracer.unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(place));
        None
    });
    for found in [&mut problems, &mut warnings] {
        found.sort_by_key(|problem| problem.place);
        // A listener reports its files again.
        found.dedup();
    }
    let parts = Parts { authenticators, stores, tracer };
    (Prepared { settings, tls: configs, upstreams, parts }, Findings { problems, warnings })
}

/// The trace exporter. If unchanged it is taken from `previous`; certificate authorities are read again.
fn tracer(
    traces: &settings::Traces,
    process: &Process,
    previous: Option<&Arc<Tracer>>,
) -> Result<Arc<Tracer>, Vec<(Place, String)>> {
    let text = str::to_owned;
    let mut resource = vec![
        (text("service.name"), traces.service_name.clone()),
        (text("service.version"), text(env!("CARGO_PKG_VERSION"))),
        (text("service.instance.id"), process.instance.clone()),
    ];
    resource.retain(|(name, _)| traces.resource.iter().all(|(own, _)| own != name));
    resource.extend(traces.resource.iter().cloned());
    let config = TracerConfig {
        url: traces.url.clone(),
        ca: traces.ca.as_ref().map(|file| file.path.clone()),
        headers: traces
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        one_in: traces.one_in,
        parent: traces.parent,
        resource,
        timeout: traces.timeout,
        max_waiting: traces.max_waiting,
    };
    if let Some(previous) = previous.filter(|previous| previous.config == config && config.ca.is_none()) {
        return Ok(Arc::clone(previous));
    }
    let place = traces.ca.as_ref().map_or(traces.place, |file| file.place);
    let made = Tracer::new(config, &process.resolver, process.metrics.traces());
    made.map(Arc::new).map_err(|errors| errors.into_iter().map(|error| (place, error.to_string())).collect())
}

/// Warnings about credentials on unencrypted connections, and about limits that each replica counts for
/// itself.
fn exposed(settings: &Settings) -> Vec<(Place, &'static str, String)> {
    let mut found = Vec::new();
    let used: HashSet<&str> = settings
        .routes
        .iter()
        .flat_map(|route| &route.authentication)
        .flat_map(|authentication| authentication.any.iter().map(String::as_str))
        .collect();
    let is_shown = |method: &AuthMethod| match method {
        AuthMethod::ApiKey(_) | AuthMethod::Basic(_) | AuthMethod::Jwt(_) => true,
        AuthMethod::Certificate(_) | AuthMethod::ForwardAuth(_) => false,
    };
    let readable = settings.listeners.iter().find(|listener| {
        listener.tls.is_none()
            && listener.proxy_protocol.is_none()
            && listener.trusted_proxies.is_empty()
            && !listener.address.ip().is_loopback()
    });
    for authenticator in &settings.authenticators {
        if let Some(listener) = readable.filter(|_| is_shown(&authenticator.method))
            && used.contains(authenticator.name.as_str())
        {
            let (name, listener) = (&authenticator.name, &listener.name);
            let text = format!(
                "clients send credentials for '{name}' to the listener '{listener}' without TLS; add 'tls', or \
                 'trusted_proxies' where a proxy before it ends TLS"
            );
            found.push((authenticator.place, warning::CREDENTIALS_WITHOUT_TLS, text));
        }
    }
    if settings.replicas > 1 {
        for limit in settings.limits.iter().filter(|limit| limit.store.is_none()) {
            let (name, replicas) = (&limit.name, settings.replicas);
            let text = format!(
                "each gateway counts the limit '{name}' for itself: with {replicas} replicas clients may send \
                 {replicas} times as much; a limit with 'store' counts for all"
            );
            found.push((limit.place, warning::LIMIT_PER_PROCESS, text));
        }
    }
    found
}

/// Upstreams that no route uses.
fn unused(settings: &Settings) -> Vec<(Place, String)> {
    let used: HashSet<&str> = settings.routes.iter().flat_map(|route| route.action.upstreams()).collect();
    let unused = settings.upstreams.iter().filter(|upstream| !used.contains(upstream.name.as_str()));
    unused
        .map(|upstream| (upstream.place, format!("no route uses the upstream '{}'", upstream.name)))
        .collect()
}

/// Routes that no request matches.
fn shadowed(settings: &Settings) -> Vec<(Place, String)> {
    let routes = &settings.routes;
    let pairs = route::shadowed(routes).into_iter();
    pairs
        .filter_map(|(shadowed, taker)| {
            let (route, taker) = (routes.get(shadowed)?, routes.get(taker)?);
            let (name, by, line) = (&route.name, &taker.name, taker.place.line);
            let text = format!(
                "no request reaches the route '{name}'; others, such as '{by}' in line {line}, take them"
            );
            Some((route.place, text))
        })
        .collect()
}
