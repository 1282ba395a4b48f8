//! The end of an exchange: its counters and its line in the access log.

use http::Version;

use super::Exchange;
use crate::http::Source;
use crate::http::fields::Fields;
use crate::observe::counter::{self, Ended};
use crate::observe::line::Line;
use crate::observe::log_settings::{KnownField, LogField};
use crate::observe::recent::RecentFailure;

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.ended {
            end(self);
        }
    }
}

/// Counts and logs an exchange.
pub(super) fn end(exchange: &mut Exchange<'_>) {
    if exchange.status.is_none() {
        // Dropped before a response was sent.
        exchange.fail_with(Source::Downstream, "client_closed");
    }
    let worker = exchange.worker;
    let ended = Ended {
        status: exchange.status,
        duration: exchange.started.elapsed(),
        received: exchange.received,
        sent: exchange.sent,
    };
    let counters = exchange.route.map_or(&worker.unrouted, |(_, counters)| counters);
    counters.of(worker.index).ended(&ended);
    worker.in_flight.of(worker.index).ended.add(1);
    if exchange.failure.is_some() {
        worker.metrics.recent.add(|| failure(exchange));
    }
    if worker.log.is_enabled() && is_logged(exchange) {
        worker.log.line(|out| write(exchange, &ended, out));
    }
    if exchange.traced.is_some() {
        exchange.end_trace(&ended);
    }
}

/// Whether the request is logged. Upstream failures and requests without a response always are.
fn is_logged(exchange: &Exchange<'_>) -> bool {
    let class = counter::class(exchange.status);
    if class == 0 || class == 5 || matches!(exchange.failure, Some((Source::Upstream, _))) {
        return true;
    }
    match exchange.log_rates[class] {
        0 => false,
        1 => true,
        one_in => exchange.worker.random(u64::from(one_in)) == 0,
    }
}

fn write(exchange: &Exchange<'_>, ended: &Ended, out: &mut Vec<u8>) {
    let format = exchange.worker.log.format();
    let request = &exchange.request;
    let mut line = Line::new(out, format.style);
    for (key, field) in &format.fields {
        let known = match field {
            LogField::Known(known) => known,
            LogField::RequestHeader(name) => {
                line.optional(key, joined(&request.fields, name).as_deref());
                continue;
            }
            LogField::ResponseHeader(name) => {
                line.optional(key, joined(&exchange.response.fields, name).as_deref());
                continue;
            }
        };
        match known {
            KnownField::Time => line.plain(key, &exchange.worker.clock.text(exchange.time)),
            KnownField::RequestId => line.plain(key, &exchange.id),
            KnownField::TraceId => {
                if let Some(context) = exchange.trace() {
                    line.plain(key, &context.trace_text());
                }
            }
            KnownField::Listener => line.text(key, &exchange.peer.listener.name),
            KnownField::Client => line.plain(key, exchange.client.as_bytes()),
            KnownField::Protocol => line.plain(key, protocol(request.version)),
            KnownField::Method => line.text(key, method(exchange)),
            KnownField::Host => line.text(key, &request.target.host),
            KnownField::Path => line.text(key, request.target.path.as_str()),
            KnownField::Route => line.optional(key, exchange.route()),
            KnownField::Upstream => line.optional(key, exchange.upstream),
            KnownField::Endpoint => line.optional(key, exchange.endpoint),
            KnownField::Attempts => line.number(key, exchange.attempts),
            KnownField::Status => {
                line.number(key, ended.status.map_or(0, |status| u64::from(status.as_u16())));
            }
            KnownField::ReceivedBytes => line.number(key, ended.received),
            KnownField::SentBytes => line.number(key, ended.sent),
            KnownField::Duration => {
                line.seconds(key, u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX));
            }
            // Rare fields are omitted if they are empty.
            KnownField::Authenticator => {
                if let Some(identity) = &exchange.identity {
                    line.text(key, &identity.authenticator);
                }
            }
            KnownField::Subject => {
                if let Some(identity) = &exchange.identity {
                    line.text(key, &identity.subject);
                }
            }
            KnownField::FailedAt => {
                if let Some((source, _)) = exchange.failure {
                    line.text(key, source.as_str());
                }
            }
            KnownField::Failure => {
                if let Some((_, reason)) = exchange.failure {
                    line.text(key, reason);
                }
            }
            KnownField::Detail => {
                if let Some(detail) = &exchange.detail {
                    line.text(key, detail);
                }
            }
        }
    }
    line.finish();
}

/// All values of a header (RFC 9110 section 5.3).
fn joined(fields: &Fields, name: &str) -> Option<String> {
    let mut values = fields.named(name.as_bytes()).map(String::from_utf8_lossy);
    let mut text = values.next()?.into_owned();
    for value in values {
        text.push_str(", ");
        text.push_str(&value);
    }
    Some(text)
}

/// A failed request, for the admin page.
fn failure(exchange: &Exchange<'_>) -> RecentFailure {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (source, reason) = exchange.failure.unwrap_or((Source::Downstream, ""));
    RecentFailure {
        time: exchange.time,
        request_id: text(std::str::from_utf8(&exchange.id).ok()),
        method: method(exchange).to_owned(),
        path: exchange.request.target.path.as_str().to_owned(),
        route: text(exchange.route()),
        endpoint: text(exchange.endpoint),
        status: exchange.status.map_or(0, |status| status.as_u16()),
        failed_at: source.as_str(),
        failure: reason,
        detail: text(exchange.detail.as_deref()),
    }
}

/// The method that the client sent.
pub(super) fn method<'e>(exchange: &'e Exchange<'_>) -> &'e str {
    match exchange.request.connect {
        _ if !exchange.readable => "",
        Some(_) => "CONNECT",
        None => exchange.request.method.as_str(),
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2",
        _ => b"HTTP/1.1",
    }
}
