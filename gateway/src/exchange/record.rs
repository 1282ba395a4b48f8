//! The end of an exchange: its counters and its line in the access log.

use http::Version;

use super::Exchange;
use crate::http::Source;
use crate::observe::counter::Ended;
use crate::observe::json::Line;

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
        // Dropped before there was an answer.
        exchange.fail_with(Source::Downstream, "client_closed");
    }
    let worker = exchange.worker;
    let ended = Ended {
        status: exchange.status,
        duration: exchange.started.elapsed(),
        received: exchange.received,
        sent: exchange.sent,
    };
    let counters = exchange.route.map_or(&*worker.unrouted, |(_, counters)| counters);
    counters.of(worker.index).ended(&ended);
    worker.in_flight.of(worker.index).ended.add(1);
    if worker.log.is_enabled() {
        worker.log.line(|out| write(exchange, &ended, out));
    }
}

fn write(exchange: &Exchange<'_>, ended: &Ended, out: &mut Vec<u8>) {
    let time = exchange.worker.clock.text(exchange.time);
    let request = &exchange.request;
    let mut line = Line::new(out);
    line.text("time", std::str::from_utf8(&time).unwrap_or_default())
        .text("request_id", std::str::from_utf8(&exchange.id).unwrap_or_default())
        .text("listener", &exchange.peer.listener.name)
        .text("client", &exchange.client)
        .text("protocol", protocol(request.version))
        .text("method", if exchange.readable { request.method.as_str() } else { "" })
        .text("host", &request.target.host)
        .text("path", request.target.path.as_str())
        .optional("route", exchange.route())
        .optional("upstream", exchange.upstream)
        .optional("endpoint", exchange.endpoint)
        .number("attempts", exchange.attempts)
        .number("status", ended.status.map_or(0, |status| u64::from(status.as_u16())))
        .number("received_bytes", ended.received)
        .number("sent_bytes", ended.sent)
        .seconds("duration_seconds", u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX));
    if let Some((source, reason)) = exchange.failure {
        line.text("failed_at", source.as_str()).text("failure", reason);
    }
    if let Some(detail) = &exchange.detail {
        line.text("detail", detail);
    }
    line.finish();
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
