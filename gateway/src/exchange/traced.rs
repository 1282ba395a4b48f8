//! The trace of a request: the header for the service, and the spans if it is recorded.

use std::time::SystemTime;

use http::{Method, StatusCode, Version};

use super::Exchange;
use super::record::method;
use crate::endpoint::{Address, Endpoint, Scheme};
use crate::observe::counter::Ended;
use crate::trace::{Context, Kind, Parent, Recording, RouteTraces, Span, TRACEPARENT, TRACESTATE, is_state};

/// The trace of a request.
#[derive(Debug)]
pub(super) struct Traced<'s> {
    route: &'s RouteTraces,
    context: Context,
    /// The recording, if the request is sampled.
    recording: Option<Box<Recording>>,
}

impl<'s> Exchange<'s> {
    /// Continues the client's trace or begins one, and sets the header for the service.
    pub fn begin_trace(&mut self, route: &'s RouteTraces) {
        let config = &route.tracer.config;
        let (fields, ids) = (&mut self.request.fields, &self.worker.trace_ids);
        let parent = if config.parent && self.readable { Parent::of(fields) } else { None };
        let context = parent.map_or_else(
            || Context::new(ids.trace(), config.one_in != 0 && ids.below(config.one_in) == 0),
            |parent| parent.context,
        );
        // Without a valid parent no trace state is forwarded.
        if parent.is_none() || !is_state(fields.named(TRACESTATE)) {
            fields.remove_named(TRACESTATE);
        }
        let mut recording = None;
        if context.is_sampled() || parent.is_none() {
            let span = ids.span();
            fields.set_named(TRACEPARENT, &context.traceparent(span));
            recording = context.is_sampled().then(|| Box::new(Recording::new(span, parent)));
        }
        self.traced = Some(Traced { route, context, recording });
    }

    /// The trace of the request, if its route is traced.
    pub fn trace(&self) -> Option<Context> {
        self.traced.as_ref().map(|traced| traced.context)
    }

    /// The current time, if the request is recorded.
    pub fn begin_wait(&self) -> Option<SystemTime> {
        self.traced.as_ref()?.recording.as_ref().map(|_| SystemTime::now())
    }

    /// Records that a filter waited from `begin` until now.
    pub fn end_wait(&mut self, name: &'static str, begin: Option<SystemTime>) {
        let Some(begin) = begin else { return };
        let id = self.worker.trace_ids.span();
        if let Some((context, recording)) = self.recording() {
            recording.add(Span {
                context,
                id,
                parent: Some(recording.id),
                is_remote: false,
                name: name.to_owned(),
                kind: Kind::Internal,
                begin,
                end: SystemTime::now(),
                attributes: Vec::new(),
                failed: false,
            });
        }
    }

    fn recording(&mut self) -> Option<(Context, &mut Recording)> {
        let traced = self.traced.as_mut()?;
        Some((traced.context, traced.recording.as_deref_mut()?))
    }

    /// Records that the request is about to be sent to an endpoint, and sends the span's id with it.
    pub fn begin_attempt(&mut self, endpoint: &Endpoint) {
        if self.traced.as_ref().is_none_or(|traced| traced.recording.is_none()) {
            return;
        }
        let id = self.worker.trace_ids.span();
        let resends = self.attempts.saturating_sub(1);
        let request = &mut *self.request;
        let name = known(&request.method);
        let mut attributes = vec![("http.request.method", name.into())];
        let scheme = if endpoint.config.scheme == Scheme::Https { "https" } else { "http" };
        // Without the query, which may contain secrets.
        let url = format!("{scheme}://{}{}", endpoint.config.authority(), request.target.path.as_str());
        attributes.push(("url.full", url.into()));
        match &endpoint.config.address {
            Address::Host { host, port } => {
                attributes.push(("server.address", host.as_str().into()));
                attributes.push(("server.port", u64::from(*port).into()));
            }
            Address::Unix(path) => attributes.push(("server.address", path.display().to_string().into())),
        }
        if resends > 0 {
            attributes.push(("http.request.resend_count", resends.into()));
        }
        let begin = SystemTime::now();
        if let Some(traced) = &mut self.traced
            && let Some(recording) = &mut traced.recording
        {
            request.fields.set_named(TRACEPARENT, &traced.context.traceparent(id));
            recording.attempt = Some(Span {
                context: traced.context,
                id,
                parent: Some(recording.id),
                is_remote: false,
                name: name.to_owned(),
                kind: Kind::Client,
                begin,
                end: begin,
                attributes,
                failed: false,
            });
        }
    }

    /// Records the status of a response, or the reason why there is none.
    pub fn end_attempt(&mut self, result: Result<StatusCode, &'static str>) {
        if let Some((_, recording)) = self.recording() {
            end_attempt(recording, result);
        }
    }

    /// Records the end of the request, and exports its spans.
    pub(super) fn end_trace(&mut self, ended: &Ended) {
        let Some(traced) = self.traced.take() else { return };
        let Some(mut recording) = traced.recording else { return };
        end_attempt(&mut recording, Err("canceled"));
        let name = match self.request.connect {
            Some(_) => "CONNECT",
            // Of a head that could not be read (OpenTelemetry's semantic conventions for HTTP).
            None if !self.readable => "HTTP",
            None => known(&self.request.method),
        };
        let parent = recording.parent;
        let mut span = Span {
            context: traced.context,
            id: recording.id,
            parent: parent.map(|parent| parent.span),
            is_remote: parent.is_some(),
            name: match &traced.route.pattern {
                Some(pattern) => format!("{name} {pattern}"),
                None => name.to_owned(),
            },
            kind: Kind::Server,
            begin: self.time,
            end: self.time + ended.duration,
            attributes: Vec::with_capacity(16),
            failed: ended.status.is_none_or(|status| status.is_server_error()),
        };
        span.set("http.request.method", if self.readable { name } else { "_OTHER" });
        if name == "_OTHER" {
            span.set("http.request.method_original", method(self));
        }
        if let Some(pattern) = &traced.route.pattern {
            span.set("http.route", pattern.as_str());
        }
        span.set("url.scheme", self.peer.scheme());
        span.set("url.path", self.request.target.path.as_str());
        span.set("server.address", self.request.target.host.as_str());
        span.set("client.address", &*self.client);
        span.set("network.protocol.name", "http");
        span.set("network.protocol.version", version(self.request.version));
        if let Some(agent) = self.request.fields.named(b"user-agent").next() {
            span.set("user_agent.original", String::from_utf8_lossy(agent).into_owned());
        }
        if let Some(status) = ended.status {
            span.set("http.response.status_code", u64::from(status.as_u16()));
        }
        match (self.failure, ended.status) {
            (Some((_, reason)), _) => span.set("error.type", reason),
            (None, Some(status)) if status.is_server_error() => span.set("error.type", status.as_str()),
            _ => {}
        }
        span.set("gateway.request_id", String::from_utf8_lossy(&self.id).into_owned());
        if let Some(route) = self.route() {
            span.set("gateway.route", route);
        }
        // The span of the request is always kept, even if there were too many others.
        recording.spans.push(span);
        let Recording { spans, dropped, .. } = *recording;
        self.worker.traces.push(&traced.route.tracer, spans, dropped);
    }
}

fn end_attempt(recording: &mut Recording, result: Result<StatusCode, &'static str>) {
    let Some(mut span) = recording.attempt.take() else { return };
    span.end = SystemTime::now();
    match result {
        Ok(status) => {
            span.set("http.response.status_code", u64::from(status.as_u16()));
            span.failed = status.is_client_error() || status.is_server_error();
            if span.failed {
                span.set("error.type", status.as_str());
            }
        }
        Err(reason) => {
            span.failed = true;
            span.set("error.type", reason);
        }
    }
    recording.add(span);
}

/// A method in the form of the semantic conventions.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
