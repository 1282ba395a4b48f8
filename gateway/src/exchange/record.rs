//! The end of an exchange: its counters and its line in the access log.

use http::Version;

use super::Exchange;
use crate::http::Source;
use crate::json_key;
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
    line.plain(json_key!("time"), &time)
        .plain(json_key!("request_id"), &exchange.id)
        .text(json_key!("listener"), &exchange.peer.listener.name)
        .plain(json_key!("client"), exchange.client.as_bytes())
        .plain(json_key!("protocol"), protocol(request.version))
        .text(json_key!("method"), method(exchange))
        .text(json_key!("host"), &request.target.host)
        .text(json_key!("path"), request.target.path.as_str())
        .optional(json_key!("route"), exchange.route())
        .optional(json_key!("upstream"), exchange.upstream)
        .optional(json_key!("endpoint"), exchange.endpoint)
        .number(json_key!("attempts"), exchange.attempts)
        .number(json_key!("status"), ended.status.map_or(0, |status| u64::from(status.as_u16())))
        .number(json_key!("received_bytes"), ended.received)
        .number(json_key!("sent_bytes"), ended.sent)
        .seconds(
            json_key!("duration_seconds"),
            u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX),
        );
    if let Some(identity) = &exchange.identity {
        line.text(json_key!("authenticator"), &identity.authenticator)
            .text(json_key!("subject"), &identity.subject);
    }
    if let Some((source, reason)) = exchange.failure {
        line.text(json_key!("failed_at"), source.as_str()).text(json_key!("failure"), reason);
    }
    if let Some(detail) = &exchange.detail {
        line.text(json_key!("detail"), detail);
    }
    line.finish();
}

/// The method that the client sent.
fn method<'e>(exchange: &'e Exchange<'_>) -> &'e str {
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
