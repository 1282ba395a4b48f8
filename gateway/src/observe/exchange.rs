//! One request and its response, as logs and metrics see them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use hyper::{Method, StatusCode, Version};

use super::access::AccessLog;
use super::clock;
use super::json::Line;
use super::metrics::{Ended, Metrics};
use super::request_id::RequestIds;
use crate::http::{Failure, Source};

/// What all requests report to.
#[derive(Debug)]
pub struct Observer {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: AccessLog,
    /// Names for requests.
    pub ids: RequestIds,
    /// The names of the routes, in the order of the settings.
    pub routes: Vec<String>,
}

/// What is known of a request from the start.
#[derive(Debug)]
pub struct Begin {
    /// The name of the listener.
    pub listener: String,
    /// The address of the peer.
    pub client: IpAddr,
    /// The version in which the request came.
    pub version: Version,
    /// Its method, if it could be read.
    pub method: Option<Method>,
}

/// A request from its head to the end of its response.
#[derive(Debug)]
pub struct Exchange {
    observer: Arc<Observer>,
    begin: Begin,
    started: Instant,
    time: SystemTime,
    request_id: String,
    received: AtomicU64,
    sent: AtomicU64,
    found: Mutex<Found>,
}

/// What becomes known of a request on its way.
#[derive(Debug, Default)]
struct Found {
    client: Option<IpAddr>,
    host: String,
    path: String,
    route: Option<usize>,
    upstream: Option<String>,
    endpoint: Option<String>,
    attempts: u64,
    status: Option<StatusCode>,
    failure: Option<(Source, &'static str)>,
    /// What the failure says beyond its reason; never shown to the client.
    detail: Option<String>,
}

/// Ends the exchange when dropped; there is one for each.
#[derive(Debug)]
pub struct Ending(Arc<Exchange>);

impl Exchange {
    /// Begins to observe a request.
    pub fn begin(observer: Arc<Observer>, begin: Begin) -> (Arc<Self>, Ending) {
        observer.metrics.request_began();
        let exchange = Arc::new(Self {
            request_id: observer.ids.next(),
            observer,
            begin,
            started: Instant::now(),
            time: SystemTime::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            found: Mutex::new(Found::default()),
        });
        (Arc::clone(&exchange), Ending(exchange))
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the request.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The version in which the request came.
    pub fn version(&self) -> Version {
        self.begin.version
    }

    /// When the head of the request had been read.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Notes the client behind trusted proxies.
    pub fn set_client(&self, client: IpAddr) {
        self.found().client = Some(client);
    }

    /// Notes what the request is meant for.
    pub fn set_target(&self, host: &str, path: &str) {
        let mut found = self.found();
        host.clone_into(&mut found.host);
        path.clone_into(&mut found.path);
    }

    /// Notes the route, by its place in the settings.
    pub fn set_route(&self, route: usize) {
        self.found().route = Some(route);
    }

    /// Notes that the request is about to be sent to an endpoint.
    pub fn set_endpoint(&self, upstream: &str, endpoint: &str) {
        let mut found = self.found();
        found.upstream = Some(upstream.to_owned());
        found.endpoint = Some(endpoint.to_owned());
        found.attempts += 1;
    }

    /// Notes the status of the response.
    pub fn set_status(&self, status: StatusCode) {
        self.found().status = Some(status);
    }

    /// Counts bytes of the request body.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes of the response body.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes why the request failed. The first failure stays, since others follow from it.
    pub fn fail(&self, failure: &dyn Failure) {
        let first = self.fail_with(failure.origin(), failure.reason());
        if first && failure.origin() != Source::Downstream {
            self.found().detail = Some(failure.to_string());
        }
    }

    /// Notes a failure by its source and reason; false if there was one before.
    pub fn fail_with(&self, source: Source, reason: &'static str) -> bool {
        let mut found = self.found();
        if found.failure.is_some() {
            return false;
        }
        found.failure = Some((source, reason));
        drop(found);
        self.observer.metrics.failed(source, reason);
        true
    }

    fn end(&self) {
        if self.found().status.is_none() {
            // Dropped before there was an answer.
            self.fail_with(Source::Downstream, "client_closed");
        }
        let found = self.found();
        let ended = Ended {
            route: found.route,
            status: found.status,
            duration: self.started.elapsed(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        };
        self.observer.metrics.request_ended(&ended);
        if self.observer.log.is_enabled() {
            self.observer.log.write(self.line(&found, &ended));
        }
    }

    fn line(&self, found: &Found, ended: &Ended) -> String {
        let client = found.client.unwrap_or(self.begin.client).to_string();
        let route = found.route.and_then(|number| self.observer.routes.get(number));
        let mut line = Line::default();
        line.text("time", &clock::rfc3339(self.time))
            .text("request_id", &self.request_id)
            .text("listener", &self.begin.listener)
            .text("client", &client)
            .text("protocol", protocol(self.begin.version))
            .text("method", self.begin.method.as_ref().map_or("", Method::as_str))
            .text("host", &found.host)
            .text("path", &found.path)
            .optional("route", route.map(String::as_str))
            .optional("upstream", found.upstream.as_deref())
            .optional("endpoint", found.endpoint.as_deref())
            .number("attempts", found.attempts)
            .number("status", found.status.map_or(0, |status| u64::from(status.as_u16())))
            .number("received_bytes", ended.received)
            .number("sent_bytes", ended.sent)
            .seconds("duration_seconds", ended.duration.as_secs_f64());
        if let Some((source, reason)) = found.failure {
            line.text("failed_at", source.as_str()).text("failure", reason);
        }
        if let Some(detail) = &found.detail {
            line.text("detail", detail);
        }
        line.finish()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
