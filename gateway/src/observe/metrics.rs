//! Counters for Prometheus (text exposition format 0.0.4).
//!
//! Every label value comes from the settings or from a fixed list of words, never from a request,
//! so that the number of series is bounded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;

use crate::http::Source;
use crate::settings::Settings;

/// Upper bounds of the duration buckets in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    routes: Vec<Route>,
    listeners: Vec<Listener>,
    upstreams: Vec<Upstream>,
    in_flight: AtomicI64,
    log_lines_dropped: AtomicU64,
    /// Failures by source and reason; both are fixed words. Failing is rare enough for a lock.
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

#[derive(Debug)]
struct Route {
    name: String,
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

#[derive(Debug)]
struct Listener {
    name: String,
    accepted: AtomicU64,
    open: AtomicI64,
}

#[derive(Debug)]
struct Upstream {
    name: String,
    connections: AtomicU64,
    reused: AtomicU64,
    retries: AtomicU64,
}

/// A request that has ended, as the counters see it.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The place of the route in the settings, if one was found.
    pub route: Option<usize>,
    /// The status sent, if one was.
    pub status: Option<StatusCode>,
    /// The time from the head of the request to the end of the response.
    pub duration: Duration,
    /// Bytes of the request body.
    pub received: u64,
    /// Bytes of the response body.
    pub sent: u64,
}

impl Metrics {
    /// Counters for everything named in the settings, all at zero.
    pub fn new(settings: &Settings) -> Self {
        let mut routes: Vec<Route> = settings.routes.iter().map(|route| Route::new(&route.name)).collect();
        routes.push(Route::new(""));
        Self {
            routes,
            listeners: settings
                .listeners
                .iter()
                .map(|listener| Listener {
                    name: listener.name.clone(),
                    accepted: AtomicU64::new(0),
                    open: AtomicI64::new(0),
                })
                .collect(),
            upstreams: settings
                .upstreams
                .iter()
                .map(|upstream| Upstream {
                    name: upstream.name.clone(),
                    connections: AtomicU64::new(0),
                    reused: AtomicU64::new(0),
                    retries: AtomicU64::new(0),
                })
                .collect(),
            in_flight: AtomicI64::new(0),
            log_lines_dropped: AtomicU64::new(0),
            failures: Mutex::new(BTreeMap::new()),
        }
    }

    /// A request began.
    pub fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended.
    pub fn request_ended(&self, ended: &Ended) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        // Requests without a route are counted under the empty name, the last.
        let unrouted = self.routes.len() - 1;
        let Some(route) = self.routes.get(ended.route.unwrap_or(unrouted)) else {
            return;
        };
        let class = ended.status.map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = route.classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let seconds = ended.duration.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|&bound| seconds <= bound) {
            route.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX);
        route.micros.fetch_add(micros, Ordering::Relaxed);
        route.count.fetch_add(1, Ordering::Relaxed);
        route.received.fetch_add(ended.received, Ordering::Relaxed);
        route.sent.fetch_add(ended.sent, Ordering::Relaxed);
    }

    /// A request failed.
    pub fn failed(&self, source: Source, reason: &'static str) {
        if let Ok(mut failures) = self.failures.lock() {
            *failures.entry((source.as_str(), reason)).or_default() += 1;
        }
    }

    /// A listener accepted a connection.
    pub fn connection_opened(&self, listener: usize) {
        if let Some(listener) = self.listeners.get(listener) {
            listener.accepted.fetch_add(1, Ordering::Relaxed);
            listener.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection to a listener ended.
    pub fn connection_closed(&self, listener: usize) {
        if let Some(listener) = self.listeners.get(listener) {
            listener.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A connection to an upstream was opened.
    pub fn upstream_connected(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection to an upstream was used again.
    pub fn upstream_reused(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.reused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request was sent to an upstream again.
    pub fn upstream_retried(&self, upstream: usize) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A line of the access log was lost.
    pub fn log_line_dropped(&self) {
        self.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything in the text format.
    pub fn render(&self) -> String {
        let mut out = Exposition(String::with_capacity(4096));
        out.family("gateway_build_info", "gauge", "The version that runs.");
        let version = env!("CARGO_PKG_VERSION");
        out.sample("gateway_build_info", &[("version", version)], 1);

        out.family("gateway_requests_total", "counter", "Requests ended, by route and class of status.");
        for route in &self.routes {
            for (class, counter) in CLASSES.iter().zip(&route.classes) {
                let labels = [("route", route.name.as_str()), ("status_class", class)];
                out.sample("gateway_requests_total", &labels, load(counter));
            }
        }
        out.family(
            "gateway_request_duration_seconds",
            "histogram",
            "Time from the head of a request to the end of its response.",
        );
        for route in &self.routes {
            out.histogram("gateway_request_duration_seconds", route);
        }
        self.render_route(&mut out, "gateway_request_body_bytes_total", "request", |route| &route.received);
        self.render_route(&mut out, "gateway_response_body_bytes_total", "response", |route| &route.sent);
        out.family("gateway_requests_in_flight", "gauge", "Requests not ended.");
        out.sample("gateway_requests_in_flight", &[], self.in_flight.load(Ordering::Relaxed));

        out.family("gateway_failures_total", "counter", "Requests that failed.");
        if let Ok(failures) = self.failures.lock() {
            for ((source, reason), count) in failures.iter() {
                let labels = [("source", *source), ("reason", *reason)];
                out.sample("gateway_failures_total", &labels, *count);
            }
        }
        out.family("gateway_connections_total", "counter", "Connections accepted.");
        for listener in &self.listeners {
            let labels = [("listener", listener.name.as_str())];
            out.sample("gateway_connections_total", &labels, load(&listener.accepted));
        }
        out.family("gateway_connections_open", "gauge", "Connections open.");
        for listener in &self.listeners {
            let labels = [("listener", listener.name.as_str())];
            let open = listener.open.load(Ordering::Relaxed);
            out.sample("gateway_connections_open", &labels, open);
        }
        self.render_upstream(
            &mut out,
            "gateway_upstream_connections_total",
            "Connections opened to an upstream.",
            |upstream| &upstream.connections,
        );
        self.render_upstream(
            &mut out,
            "gateway_upstream_connections_reused_total",
            "Requests sent on a connection already open.",
            |upstream| &upstream.reused,
        );
        self.render_upstream(
            &mut out,
            "gateway_upstream_retries_total",
            "Requests sent to an upstream again.",
            |upstream| &upstream.retries,
        );
        out.family(
            "gateway_log_lines_dropped_total",
            "counter",
            "Lines of the access log that were lost since nobody read them in time.",
        );
        out.sample("gateway_log_lines_dropped_total", &[], load(&self.log_lines_dropped));
        out.0
    }

    fn render_route(
        &self,
        out: &mut Exposition,
        name: &str,
        what: &str,
        counter: impl Fn(&Route) -> &AtomicU64,
    ) {
        out.family(name, "counter", &format!("Bytes of {what} bodies."));
        for route in &self.routes {
            out.sample(name, &[("route", route.name.as_str())], load(counter(route)));
        }
    }

    fn render_upstream(
        &self,
        out: &mut Exposition,
        name: &str,
        help: &str,
        counter: impl Fn(&Upstream) -> &AtomicU64,
    ) {
        out.family(name, "counter", help);
        for upstream in &self.upstreams {
            let labels = [("upstream", upstream.name.as_str())];
            out.sample(name, &labels, load(counter(upstream)));
        }
    }
}

impl Route {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            classes: Default::default(),
            buckets: Default::default(),
            count: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn histogram(&mut self, name: &str, route: &Route) {
        let label = route.name.as_str();
        let mut below = 0;
        for (bound, counter) in BUCKETS.iter().zip(&route.buckets) {
            below += load(counter);
            let bound = bound.to_string();
            self.sample(&format!("{name}_bucket"), &[("route", label), ("le", bound.as_str())], below);
        }
        // Between two loads a request may end: the last bucket must not fall below the others.
        let count = load(&route.count).max(below);
        let labels = [("route", label), ("le", "+Inf")];
        self.sample(&format!("{name}_bucket"), &labels, count);
        let sum = Duration::from_micros(load(&route.micros)).as_secs_f64();
        self.sample(&format!("{name}_sum"), &[("route", label)], sum);
        self.sample(&format!("{name}_count"), &[("route", label)], count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::StatusCode;

    use super::{Ended, Metrics};
    use crate::http::Source;

    #[test]
    fn counters_are_rendered() {
        let metrics = Metrics::new(&crate::settings::built_in());
        for (route, status, millis) in [
            (Some(0), Some(StatusCode::OK), 3),
            (Some(0), Some(StatusCode::OK), 60_000),
            (None, Some(StatusCode::NOT_FOUND), 1),
            (None, None, 1),
        ] {
            metrics.request_began();
            metrics.request_ended(&Ended {
                route,
                status,
                duration: Duration::from_millis(millis),
                received: 2,
                sent: 3,
            });
        }
        metrics.failed(Source::Upstream, "connect");
        metrics.connection_opened(0);
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
