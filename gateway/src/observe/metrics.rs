//! All counters of the process, by the names in the settings.
//!
//! Every label value comes from the settings or from a fixed list of words, never from a request,
//! so that the number of series is bounded. Counters are found by name when a snapshot is made, so
//! that they outlive it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::access::AccessLog;
use super::counter::{Attempts, Connections, InFlight, PerWorker, Requests};
use super::exposition::Exposition;
use super::reloads::Reloads;
use crate::http::Source;

/// Counters by name.
type ByName<T> = Mutex<BTreeMap<String, Arc<PerWorker<T>>>>;

/// One of the counters of an upstream.
type Value = fn(&Attempts) -> u64;

/// All counters.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    routes: ByName<Requests>,
    listeners: ByName<Connections>,
    upstreams: ByName<Attempts>,
    /// Requests that found no route.
    unrouted: Arc<PerWorker<Requests>>,
    in_flight: Arc<PerWorker<InFlight>>,
    log: AccessLog,
    /// How the reloads of the settings went.
    pub reloads: Reloads,
    /// Failures by source and reason; both are fixed words. Only failing requests take the lock.
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Metrics {
    /// Counters for so many workers, all at zero.
    pub fn new(workers: usize, log: AccessLog) -> Self {
        Self {
            workers,
            routes: ByName::default(),
            listeners: ByName::default(),
            upstreams: ByName::default(),
            unrouted: Arc::new(PerWorker::new(workers)),
            in_flight: Arc::new(PerWorker::new(workers)),
            log,
            reloads: Reloads::default(),
            failures: Mutex::default(),
        }
    }

    fn named<T: Default>(&self, all: &ByName<T>, name: &str) -> Arc<PerWorker<T>> {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.entry(name.to_owned()).or_insert_with(|| Arc::new(PerWorker::new(self.workers)));
        Arc::clone(found)
    }

    /// The counters of a route.
    pub fn route(&self, name: &str) -> Arc<PerWorker<Requests>> {
        self.named(&self.routes, name)
    }

    /// The counters of a listener.
    pub fn listener(&self, name: &str) -> Arc<PerWorker<Connections>> {
        self.named(&self.listeners, name)
    }

    /// The counters of an upstream.
    pub fn upstream(&self, name: &str) -> Arc<PerWorker<Attempts>> {
        self.named(&self.upstreams, name)
    }

    /// The counters of requests that find no route.
    pub fn unrouted(&self) -> Arc<PerWorker<Requests>> {
        Arc::clone(&self.unrouted)
    }

    /// The counters of requests that have not ended.
    pub fn in_flight(&self) -> Arc<PerWorker<InFlight>> {
        Arc::clone(&self.in_flight)
    }

    /// Drops the counters of names that are in no snapshot any more.
    pub fn drop_unused(&self) {
        fn unused<T>(all: &ByName<T>) {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, counters| Arc::strong_count(counters) > 1);
        }
        unused(&self.routes);
        unused(&self.listeners);
        unused(&self.upstreams);
    }

    /// Counts a request that failed.
    pub fn failed(&self, source: Source, reason: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((source.as_str(), reason)).or_default() += 1;
    }

    /// Everything in the text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let mut out = Exposition::default();
        out.family("gateway_build_info", "gauge", "The version that runs.");
        out.sample("gateway_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let mut routes = entries(&self.routes);
        routes.push((String::new(), self.unrouted()));
        out.requests(&routes);
        out.family("gateway_requests_in_flight", "gauge", "Requests not ended.");
        let began = self.in_flight.sum(|one| one.began.get());
        let ended = self.in_flight.sum(|one| one.ended.get());
        out.sample("gateway_requests_in_flight", &[], began.saturating_sub(ended));
        out.family("gateway_failures_total", "counter", "Requests that failed.");
        for ((source, reason), count) in &*self.failures.lock().unwrap_or_else(PoisonError::into_inner) {
            out.sample("gateway_failures_total", &[("source", source), ("reason", reason)], *count);
        }
        self.render_connections(&mut out);
        out.family(
            "gateway_log_lines_dropped_total",
            "counter",
            "Lines of the access log that were lost, since standard output took them too slowly.",
        );
        out.sample("gateway_log_lines_dropped_total", &[], self.log.dropped());
        self.reloads.render(&mut out);
        out.finish()
    }

    fn render_connections(&self, out: &mut Exposition) {
        let listeners = entries(&self.listeners);
        out.family("gateway_connections_total", "counter", "Connections accepted.");
        for (name, counters) in &listeners {
            let accepted = counters.sum(|one| one.accepted.get());
            out.sample("gateway_connections_total", &[("listener", name)], accepted);
        }
        out.family("gateway_connections_open", "gauge", "Connections open.");
        for (name, counters) in &listeners {
            let closed = counters.sum(|one| one.closed.get());
            let open = counters.sum(|one| one.accepted.get()).saturating_sub(closed);
            out.sample("gateway_connections_open", &[("listener", name)], open);
        }
        let families: [(&str, &str, Value); 3] = [
            ("gateway_upstream_connections_total", "Connections opened to an upstream.", |one| {
                one.connections.get()
            }),
            (
                "gateway_upstream_connections_reused_total",
                "Requests sent on a connection already open.",
                |one| one.reused.get(),
            ),
            ("gateway_upstream_retries_total", "Requests sent to an upstream again.", |one| {
                one.retries.get()
            }),
        ];
        let upstreams = entries(&self.upstreams);
        for (family, help, value) in families {
            out.family(family, "counter", help);
            for (name, counters) in &upstreams {
                out.sample(family, &[("upstream", name)], counters.sum(value));
            }
        }
        out.family("gateway_mirrored_requests_total", "counter", "Copies of requests for a mirror.");
        let results: [(&str, Value); 3] = [
            ("answered", |one| one.mirrors_answered.get()),
            ("failed", |one| one.mirrors_failed.get()),
            ("skipped", |one| one.mirrors_skipped.get()),
        ];
        for (name, counters) in &upstreams {
            for (result, value) in results {
                let labels = [("upstream", name.as_str()), ("result", result)];
                out.sample("gateway_mirrored_requests_total", &labels, counters.sum(value));
            }
        }
    }
}

fn entries<T>(all: &ByName<T>) -> Vec<(String, Arc<PerWorker<T>>)> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().map(|(name, counters)| (name.clone(), Arc::clone(counters))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{AccessLog, Metrics};
    use crate::http::Source;
    use crate::observe::counter::Ended;

    #[test]
    fn counters_are_rendered() {
        let metrics = Metrics::new(2, AccessLog::new(false));
        let welcome = metrics.route("welcome");
        for (counters, worker, status, millis) in [
            (&welcome, 0, Some(StatusCode::OK), 3),
            (&welcome, 1, Some(StatusCode::OK), 60_000),
            (&metrics.unrouted(), 0, Some(StatusCode::NOT_FOUND), 1),
            (&metrics.unrouted(), 0, None, 1),
        ] {
            metrics.in_flight().of(worker).began.add(1);
            let duration = Duration::from_millis(millis);
            counters.of(worker).ended(&Ended { status, duration, received: 2, sent: 3 });
            metrics.in_flight().of(worker).ended.add(1);
        }
        metrics.failed(Source::Upstream, "connect");
        metrics.listener("web").of(1).accepted.add(1);
        let text = metrics.render();
        for line in [
            "gateway_requests_total{route=\"welcome\",status_class=\"2xx\"} 2",
            "gateway_requests_total{route=\"\",status_class=\"4xx\"} 1",
            "gateway_requests_total{route=\"\",status_class=\"none\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"0.0025\"} 0",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"0.005\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"30\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"+Inf\"} 2",
            "gateway_request_duration_seconds_sum{route=\"welcome\"} 60.003",
            "gateway_request_body_bytes_total{route=\"welcome\"} 4",
            "gateway_requests_in_flight 0",
            "gateway_failures_total{source=\"upstream\",reason=\"connect\"} 1",
            "gateway_connections_open{listener=\"web\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
