//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::counter::{BUCKETS, CLASSES, PerWorker, Requests};

/// Counters of routes with their names.
type Routes = [(String, Arc<PerWorker<Requests>>)];

/// A text with metric families one after another.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
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

    /// Adds the families of the requests of all routes.
    pub fn requests(&mut self, routes: &Routes) {
        self.family("gateway_requests_total", "counter", "Requests ended, by route and class of status.");
        for (route, counters) in routes {
            for (number, class) in CLASSES.iter().enumerate() {
                let labels = [("route", route.as_str()), ("status_class", class)];
                let count = counters.sum(|one| one.classes[number].get());
                self.sample("gateway_requests_total", &labels, count);
            }
        }
        self.family(
            "gateway_request_duration_seconds",
            "histogram",
            "Time from the head of a request to the end of its response.",
        );
        for (route, counters) in routes {
            self.durations(route, counters);
        }
        self.family("gateway_request_body_bytes_total", "counter", "Bytes of request bodies.");
        for (route, counters) in routes {
            let received = counters.sum(|one| one.received.get());
            self.sample("gateway_request_body_bytes_total", &[("route", route)], received);
        }
        self.family("gateway_response_body_bytes_total", "counter", "Bytes of response bodies.");
        for (route, counters) in routes {
            let sent = counters.sum(|one| one.sent.get());
            self.sample("gateway_response_body_bytes_total", &[("route", route)], sent);
        }
    }

    fn durations(&mut self, route: &str, counters: &PerWorker<Requests>) {
        const NAME: &str = "gateway_request_duration_seconds";
        let mut below = 0;
        for (number, bound) in BUCKETS.iter().enumerate() {
            below += counters.sum(|one| one.buckets[number].get());
            let bound = bound.to_string();
            self.sample(&format!("{NAME}_bucket"), &[("route", route), ("le", &bound)], below);
        }
        // Between two loads a request may end: the last bucket must not fall below the others.
        let count = counters.sum(|one| one.count.get()).max(below);
        self.sample(&format!("{NAME}_bucket"), &[("route", route), ("le", "+Inf")], count);
        let sum = Duration::from_micros(counters.sum(|one| one.micros.get())).as_secs_f64();
        self.sample(&format!("{NAME}_sum"), &[("route", route)], sum);
        self.sample(&format!("{NAME}_count"), &[("route", route)], count);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}
