//! Settings made ready: the files they name are read, and what is likely wrong is found.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::dial::dns::Resolver;
use crate::listener::tls;
use crate::observe::access::AccessLog;
use crate::observe::metrics::Metrics;
use crate::route;
use crate::settings::{Place, Problem, Settings, files};
use crate::tls::ServerTls;
use crate::upstream::Upstream;

/// Settings with everything they name read and found good.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) settings: Settings,
    /// TLS for each listener that speaks it.
    pub(crate) tls: Vec<Option<ServerTls>>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) metrics: Metrics,
    pub(crate) log: AccessLog,
}

/// What was found in settings and in the files they name.
#[derive(Debug, Default)]
pub struct Findings {
    /// What makes them unfit for use.
    pub problems: Vec<Problem>,
    /// What an operator should look at.
    pub warnings: Vec<Problem>,
}

/// Reads the files the settings name. With any problem the result is not fit for use.
///
/// `whole`: all of the file could be read. Otherwise nothing is said of what may only seem unused.
pub fn prepare(settings: Settings, file: &str, whole: bool) -> (Prepared, Findings) {
    let place = |(place, text)| Problem { file: file.to_owned(), place: Some(place), code: None, text };
    let read = files::check(&settings.files, SystemTime::now());
    let mut problems: Vec<Problem> = read.problems.into_iter().map(place).collect();
    let mut warnings: Vec<Problem> = read.warnings.into_iter().map(place).collect();
    if whole {
        warnings.extend(unused(&settings).into_iter().map(place));
        warnings.extend(shadowed(&settings).into_iter().map(place));
    }
    let mut configs = Vec::new();
    for listener in &settings.listeners {
        let loaded = listener.tls.as_ref().map(|tls| tls::load(listener, tls)).transpose();
        configs.push(loaded.unwrap_or_else(|errors| {
            // A file that cannot be read is named already.
            let known: Vec<_> = problems.iter().filter_map(|problem| problem.place).collect();
            let errors = errors.into_iter().filter(|(place, _)| !known.contains(place));
            problems.extend(errors.map(place));
            None
        }));
    }
    let log = AccessLog::new(settings.access_log);
    let metrics = Metrics::new(settings.threads, log.clone());
    let resolver = Arc::new(Resolver::default());
    let mut upstreams = Vec::new();
    for upstream in &settings.upstreams {
        match Upstream::compile(upstream, &resolver, &metrics) {
            Ok(upstream) => upstreams.push(upstream),
            Err(errors) => {
                let errors = errors.into_iter().map(|problem| (upstream.place, problem.error.to_string()));
                problems.extend(errors.map(place));
            }
        }
    }
    let prepared = Prepared { settings, tls: configs, upstreams, metrics, log };
    (prepared, Findings { problems, warnings })
}

/// Upstreams to which no route leads.
fn unused(settings: &Settings) -> Vec<(Place, String)> {
    let used: HashSet<&str> = settings.routes.iter().flat_map(|route| route.action.upstreams()).collect();
    let unused = settings.upstreams.iter().filter(|upstream| !used.contains(upstream.name.as_str()));
    unused
        .map(|upstream| (upstream.place, format!("no route leads to the upstream '{}'", upstream.name)))
        .collect()
}

/// Routes that no request reaches.
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
