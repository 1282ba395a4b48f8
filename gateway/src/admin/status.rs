//! The status of the gateway as JSON, for the admin page and `gateway top`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::endpoint::{Moment, Standing};
use crate::json::Json;
use crate::observe::clock::rfc3339;
use crate::observe::counter::{CLASSES, PerWorker, Requests};
use crate::observe::durations::Histogram;
use crate::observe::metrics::Metrics;
use crate::observe::recent::RecentFailure;
use crate::snapshot::{Action, Route, Snapshot};
use crate::upstream::Upstream;

/// The state of the gateway. Counters start with the process; two queries give rates.
pub fn status(metrics: &Metrics, snapshot: &Snapshot, ready: bool) -> Json {
    let mut routes: Vec<Json> = snapshot.routes().map(route).collect();
    let unrouted = metrics.unrouted();
    if unrouted.sum(|one| one.durations.count.get()) > 0 {
        routes.push(requests("", "no route", &unrouted));
    }
    Json::object([
        ("version", Json::text(env!("CARGO_PKG_VERSION"))),
        ("ready", Json::Bool(ready)),
        ("time_ms", Json::Number(millis(SystemTime::now()))),
        ("log_lines_dropped", Json::Number(metrics.log_lines_dropped())),
        ("routes", Json::List(routes)),
        ("upstreams", Json::list(snapshot.upstreams.iter().map(|one| upstream(one)))),
        ("listeners", Json::list(snapshot.listeners.iter().map(listener))),
        ("failures", Json::list(metrics.recent.list().iter().map(failure))),
    ])
}

fn route(route: &Route) -> Json {
    let action = match &route.action {
        Action::Forward(forward) => {
            let names: Vec<&str> = forward.shares().map(|(_, one)| one.settings.name.as_str()).collect();
            format!("to {}", names.join(", "))
        }
        Action::Redirect(_) => "redirect".to_owned(),
        Action::Respond(_) => "respond".to_owned(),
        Action::Welcome => "welcome page".to_owned(),
    };
    requests(&route.name, &action, &route.counters)
}

fn requests(name: &str, action: &str, counters: &PerWorker<Requests>) -> Json {
    let durations = Histogram::of(counters, |one| &one.durations);
    Json::object([
        ("name", Json::text(name)),
        ("action", Json::text(action)),
        ("statuses", classes(|class| counters.sum(|one| one.classes[class].get()))),
        ("micros", Json::Number(counters.sum(|one| one.durations.micros.get()))),
        ("buckets", Json::list(durations.classic.into_iter().map(Json::Number))),
        ("count", Json::Number(durations.count)),
    ])
}

/// Counts by status class.
fn classes(count: impl Fn(usize) -> u64) -> Json {
    Json::object(CLASSES.iter().enumerate().map(|(number, class)| (*class, Json::Number(count(number)))))
}

fn upstream(upstream: &Upstream) -> Json {
    let now = Moment::now();
    let endpoints = upstream.cluster.endpoints.iter().zip(&upstream.tries).map(|(endpoint, tries)| {
        let state = match endpoint.state.standing(upstream.settings.slow_start, now) {
            Standing::Healthy => "up".to_owned(),
            Standing::SlowStart(share) => format!("slow start, {} %", share / 10),
            Standing::Ejected(until) => format!("ejected for {} s", until.since(now).as_secs() + 1),
            Standing::Down => "down".to_owned(),
        };
        let ended = tries.sum(|one| one.ended.get());
        Json::object([
            ("name", Json::text(&endpoint.name)),
            ("state", Json::Text(state)),
            ("statuses", classes(|class| tries.sum(|one| one.classes[class].get()))),
            ("canceled", Json::Number(tries.sum(|one| one.canceled.get()))),
            ("in_flight", Json::Number(tries.sum(|one| one.began.get()).saturating_sub(ended))),
            ("micros", Json::Number(tries.sum(|one| one.micros.get()))),
            ("ejections", Json::Number(tries.sum(|one| one.ejections.get()))),
        ])
    });
    let circuit = upstream.cluster.circuit.as_ref().map_or(Json::Null, |circuit| {
        let (in_flight, waiting) = circuit.load();
        Json::object([
            ("in_flight", Json::Number(in_flight as u64)),
            ("waiting", Json::Number(waiting as u64)),
            ("max", Json::Number(circuit.settings().max_requests as u64)),
        ])
    });
    Json::object([
        ("name", Json::text(&upstream.settings.name)),
        ("circuit", circuit),
        ("retries", Json::Number(upstream.counters.sum(|one| one.retries.get()))),
        ("endpoints", Json::list(endpoints)),
    ])
}

fn listener(listener: &crate::snapshot::Listener) -> Json {
    let accepted = listener.counters.sum(|one| one.accepted.get());
    let closed = listener.counters.sum(|one| one.closed.get());
    Json::object([
        ("name", Json::text(&listener.settings.name)),
        ("address", Json::text(listener.settings.address.to_string())),
        ("open", Json::Number(accepted.saturating_sub(closed))),
        ("accepted", Json::Number(accepted)),
    ])
}

fn failure(failure: &RecentFailure) -> Json {
    Json::object([
        ("time", Json::text(rfc3339(failure.time))),
        ("request_id", Json::text(&failure.request_id)),
        ("method", Json::text(&failure.method)),
        ("path", Json::text(&failure.path)),
        ("route", Json::text(&failure.route)),
        ("endpoint", Json::text(&failure.endpoint)),
        ("status", Json::Number(u64::from(failure.status))),
        ("failed_at", Json::text(failure.failed_at)),
        ("failure", Json::text(failure.failure)),
        ("detail", Json::text(&failure.detail)),
    ])
}

fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
