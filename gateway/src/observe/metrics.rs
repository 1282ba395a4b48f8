//! All counters of the process, by the names in the settings.
//!
//! Every label value is from the settings or from a fixed list of words, never from a request, so that the
//! number of series is bounded. Snapshots look up counters by name when they are compiled, so counters
//! survive a reload.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::access::AccessLog;
use super::counter::{
    Attempts, CLASSES, Connections, InFlight, PerWorker, Requests, StoreRequests, Traces, Tries,
    WeakPerWorker,
};
use super::durations::Histogram;
use super::exposition::Exposition;
use super::memory::Memory;
use super::process;
use super::recent::RecentFailures;
use super::reloads::Reloads;
use crate::http::Source;

/// Counters by key. Snapshots own them: a concurrent scrape does not keep a series alive.
type ByKey<K, T> = Mutex<BTreeMap<K, WeakPerWorker<T>>>;
type ByName<T> = ByKey<String, T>;

/// Reads one counter.
type Value<T> = fn(&T) -> u64;

/// All counters.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    routes: ByName<Requests>,
    listeners: ByName<Connections>,
    upstreams: ByName<Attempts>,
    /// By upstream and endpoint name.
    endpoints: ByKey<(String, String), Tries>,
    stores: ByName<StoreRequests>,
    /// Requests without a route.
    unrouted: PerWorker<Requests>,
    in_flight: PerWorker<InFlight>,
    traces: PerWorker<Traces>,
    log: AccessLog,
    /// Results of settings reloads.
    pub reloads: Reloads,
    /// The memory of the process and its limit.
    pub memory: Memory,
    /// The latest failed requests.
    pub recent: RecentFailures,
    /// Failures by source and reason; both are fixed words. Only failing requests lock it.
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Metrics {
    /// Counters for `workers` workers, all zero.
    pub fn new(workers: usize, log: AccessLog) -> Self {
        Self {
            workers,
            routes: ByName::default(),
            listeners: ByName::default(),
            upstreams: ByName::default(),
            endpoints: ByKey::default(),
            stores: ByName::default(),
            unrouted: PerWorker::new(workers),
            in_flight: PerWorker::new(workers),
            traces: PerWorker::new(workers),
            log,
            reloads: Reloads::default(),
            memory: Memory::default(),
            recent: RecentFailures::default(),
            failures: Mutex::default(),
        }
    }

    fn named<K: Ord, T: Default>(&self, all: &ByKey<K, T>, name: K) -> PerWorker<T> {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = all.get(&name).and_then(WeakPerWorker::upgrade) {
            return counters;
        }
        let counters = PerWorker::new(self.workers);
        all.insert(name, counters.downgrade());
        counters
    }

    /// The counters of a route.
    pub fn route(&self, name: &str) -> PerWorker<Requests> {
        self.named(&self.routes, name.to_owned())
    }

    /// The counters of a listener.
    pub fn listener(&self, name: &str) -> PerWorker<Connections> {
        self.named(&self.listeners, name.to_owned())
    }

    /// The counters of an upstream.
    pub fn upstream(&self, name: &str) -> PerWorker<Attempts> {
        self.named(&self.upstreams, name.to_owned())
    }

    /// The counters of an endpoint of an upstream.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> PerWorker<Tries> {
        self.named(&self.endpoints, (upstream.to_owned(), endpoint.to_owned()))
    }

    /// The counters of a store.
    pub fn store(&self, name: &str) -> PerWorker<StoreRequests> {
        self.named(&self.stores, name.to_owned())
    }

    /// The counters of requests without a route.
    pub fn unrouted(&self) -> PerWorker<Requests> {
        self.unrouted.clone()
    }

    /// The counters of requests in flight.
    pub fn in_flight(&self) -> PerWorker<InFlight> {
        self.in_flight.clone()
    }

    /// The counters of spans.
    pub fn traces(&self) -> PerWorker<Traces> {
        self.traces.clone()
    }

    /// Drops the counters of names that are in no snapshot.
    pub fn drop_unused(&self) {
        fn unused<K: Ord, T>(all: &ByKey<K, T>) {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, counters| !counters.is_unused());
        }
        unused(&self.routes);
        unused(&self.listeners);
        unused(&self.upstreams);
        unused(&self.endpoints);
        unused(&self.stores);
    }

    /// Counts a request that failed.
    pub fn failed(&self, source: Source, reason: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((source.as_str(), reason)).or_default() += 1;
    }

    /// Lines of the access log that were lost.
    pub fn log_lines_dropped(&self) -> u64 {
        self.log.dropped()
    }

    /// All families except those of the endpoints' health, which are not counters.
    pub fn expose(&self) -> Exposition {
        let mut out = Exposition::default();
        out.family("gateway_build_info", "gauge", "The running version.");
        out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.requests(&mut out);
        out.family("gateway_requests_in_flight", "gauge", "Requests in flight.");
        let began = self.in_flight.sum(|one| one.began.get());
        let ended = self.in_flight.sum(|one| one.ended.get());
        out.sample(&[], began.saturating_sub(ended));
        out.family("gateway_failures_total", "counter", "Failed requests, by side and reason.");
        for ((source, reason), count) in &*self.failures.lock().unwrap_or_else(PoisonError::into_inner) {
            out.sample(&[("source", source), ("reason", reason)], *count);
        }
        self.connections(&mut out);
        self.upstreams(&mut out);
        self.endpoints(&mut out);
        self.stores(&mut out);
        out.family("gateway_log_lines_dropped_total", "counter", "Lost lines of the access log.");
        out.sample(&[], self.log.dropped());
        out.family("gateway_trace_spans_total", "counter", "Trace spans, by result.");
        out.sample(&[("result", "exported")], self.traces.sum(|one| one.exported.get()));
        out.sample(&[("result", "dropped")], self.traces.sum(|one| one.dropped.get()));
        self.reloads.render(&mut out);
        process::render(&mut out);
        out.family(
            "gateway_memory_max_bytes",
            "gauge",
            "Memory in use above which requests are refused; 0 for no limit.",
        );
        out.sample(&[], self.memory.most());
        out
    }

    fn requests(&self, out: &mut Exposition) {
        let mut routes = entries(&self.routes);
        // Requests without a route.
        routes.push((String::new(), self.unrouted()));
        out.family("gateway_requests_total", "counter", "Completed requests, by status class.");
        for (route, counters) in &routes {
            for (number, class) in CLASSES.iter().enumerate() {
                let count = counters.sum(|one| one.classes[number].get());
                out.sample(&[("route", route), ("status_class", class)], count);
            }
        }
        out.family(
            "gateway_request_duration_seconds",
            "histogram",
            "Time from the head of a request to the end of its response.",
        );
        for (route, counters) in &routes {
            out.histogram(&[("route", route)], Histogram::of(counters, |one| &one.durations));
        }
        let families: [(&str, &str, Value<Requests>); 2] = [
            ("gateway_request_body_bytes_total", "Bytes of request bodies.", |one| one.received.get()),
            ("gateway_response_body_bytes_total", "Bytes of response bodies.", |one| one.sent.get()),
        ];
        for (family, help, value) in families {
            out.family(family, "counter", help);
            for (route, counters) in &routes {
                out.sample(&[("route", route)], counters.sum(value));
            }
        }
    }

    fn connections(&self, out: &mut Exposition) {
        let listeners = entries(&self.listeners);
        out.family("gateway_connections_total", "counter", "Connections accepted.");
        for (name, counters) in &listeners {
            out.sample(&[("listener", name)], counters.sum(|one| one.accepted.get()));
        }
        out.family("gateway_connections_open", "gauge", "Connections open.");
        for (name, counters) in &listeners {
            let closed = counters.sum(|one| one.closed.get());
            let open = counters.sum(|one| one.accepted.get()).saturating_sub(closed);
            out.sample(&[("listener", name)], open);
        }
    }

    fn upstreams(&self, out: &mut Exposition) {
        let upstreams = entries(&self.upstreams);
        out.family(
            "gateway_upstream_duration_seconds",
            "histogram",
            "Time from the choice of an endpoint to the head of its response or to its failure.",
        );
        for (name, counters) in &upstreams {
            out.histogram(&[("upstream", name)], Histogram::of(counters, |one| &one.durations));
        }
        let families: [(&str, &str, Value<Attempts>); 3] = [
            ("gateway_upstream_connections_total", "Connections opened to an upstream.", |one| {
                one.connections.get()
            }),
            ("gateway_upstream_connections_reused_total", "Requests sent on a reused connection.", |one| {
                one.reused.get()
            }),
            ("gateway_upstream_retries_total", "Retries of requests to an upstream.", |one| {
                one.retries.get()
            }),
        ];
        for (family, help, value) in families {
            out.family(family, "counter", help);
            for (name, counters) in &upstreams {
                out.sample(&[("upstream", name)], counters.sum(value));
            }
        }
        out.family("gateway_mirrored_requests_total", "counter", "Requests copied to a mirror, by result.");
        let results: [(&str, Value<Attempts>); 3] = [
            ("answered", |one| one.mirrors_answered.get()),
            ("failed", |one| one.mirrors_failed.get()),
            ("skipped", |one| one.mirrors_skipped.get()),
        ];
        for (name, counters) in &upstreams {
            for (result, value) in results {
                out.sample(&[("upstream", name), ("result", result)], counters.sum(value));
            }
        }
    }

    fn stores(&self, out: &mut Exposition) {
        out.family("gateway_store_requests_total", "counter", "Requests of limits to a store, by result.");
        let results: [(&str, Value<StoreRequests>); 4] = [
            ("answered", |one| one.answered.get()),
            ("timeout", |one| one.timeout.get()),
            ("unavailable", |one| one.unavailable.get()),
            ("refused", |one| one.refused.get()),
        ];
        for (name, counters) in &entries(&self.stores) {
            for (result, value) in results {
                out.sample(&[("store", name), ("result", result)], counters.sum(value));
            }
        }
    }

    fn endpoints(&self, out: &mut Exposition) {
        let endpoints = entries(&self.endpoints);
        out.family(
            "gateway_endpoint_requests_total",
            "counter",
            "Requests sent to an endpoint, by status class; none: a failure, canceled: the client disconnected.",
        );
        for ((upstream, endpoint), counters) in &endpoints {
            let labels =
                |class| [("upstream", upstream.as_str()), ("endpoint", endpoint), ("status_class", class)];
            for (number, class) in CLASSES.iter().enumerate() {
                out.sample(&labels(class), counters.sum(|one| one.classes[number].get()));
            }
            out.sample(&labels("canceled"), counters.sum(|one| one.canceled.get()));
        }
        out.family("gateway_endpoint_requests_in_flight", "gauge", "Requests in flight to an endpoint.");
        for ((upstream, endpoint), counters) in &endpoints {
            let ended = counters.sum(|one| one.ended.get());
            let open = counters.sum(|one| one.began.get()).saturating_sub(ended);
            out.sample(&[("upstream", upstream), ("endpoint", endpoint)], open);
        }
        out.family("gateway_endpoint_ejections_total", "counter", "Ejections of an endpoint.");
        for ((upstream, endpoint), counters) in &endpoints {
            let ejections = counters.sum(|one| one.ejections.get());
            out.sample(&[("upstream", upstream), ("endpoint", endpoint)], ejections);
        }
    }
}

fn entries<K: Clone + Ord, T>(all: &ByKey<K, T>) -> Vec<(K, PerWorker<T>)> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(|(name, counters)| Some((name.clone(), counters.upgrade()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{AccessLog, Metrics};
    use crate::http::Source;
    use crate::observe::counter::Ended;
    use crate::observe::format::Format;

    #[test]
    fn series_ends_with_the_last_snapshot_that_names_it() {
        let metrics = Metrics::new(1, AccessLog::new(false));
        let (first, second) = (metrics.route("a"), metrics.route("a"));
        drop(first);
        // A reference held by a concurrent scrape.
        let scraped = super::entries(&metrics.routes);
        drop(second);
        metrics.drop_unused();
        assert_eq!(scraped.len(), 1);
        drop(scraped);
        assert!(super::entries(&metrics.routes).is_empty());
    }

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
        let (listener, endpoint) = (metrics.listener("web"), metrics.endpoint("app", "a:1"));
        listener.of(1).accepted.add(1);
        endpoint.of(0).classes[0].add(1);
        let text = String::from_utf8(metrics.expose().finish(Format::Text)).expect("text");
        for line in [
            "gateway_requests_total{route=\"welcome\",status_class=\"2xx\"} 2",
            "gateway_requests_total{route=\"\",status_class=\"4xx\"} 1",
            "gateway_requests_total{route=\"\",status_class=\"none\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"0.0025\"} 0",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"0.005\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"30.0\"} 1",
            "gateway_request_duration_seconds_bucket{route=\"welcome\",le=\"+Inf\"} 2",
            "gateway_request_duration_seconds_sum{route=\"welcome\"} 60.003",
            "gateway_request_body_bytes_total{route=\"welcome\"} 4",
            "gateway_requests_in_flight 0",
            "gateway_failures_total{source=\"upstream\",reason=\"connect\"} 1",
            "gateway_connections_open{listener=\"web\"} 1",
            "gateway_endpoint_requests_total{upstream=\"app\",endpoint=\"a:1\",status_class=\"none\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let text = String::from_utf8(metrics.expose().finish(Format::OpenMetrics)).expect("text");
        assert!(text.contains("# TYPE gateway_requests counter\n") && text.ends_with("\n# EOF\n"), "{text}");
    }
}
