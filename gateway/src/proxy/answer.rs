//! Responses that the gateway generates.

use std::future::poll_fn;
use std::task::ready;

use bytes::Bytes;
use http::{Method, StatusCode, Version};

use super::downstream::Downstream;
use super::grpc;
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::filter::{Answer, Filter};
use crate::http::message::Sink;
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::http1::head::Framing;
use crate::worker::watch::For;

/// Sends a short plain-text response for a failed request. The cause is logged, not sent to the client.
pub async fn failure<D: Downstream>(
    exchange: &mut Exchange<'_>,
    down: &mut D,
    filters: &[Box<dyn Filter>],
    failure: &dyn Failure,
) {
    exchange.fail(failure);
    if failure.ends_connection() {
        down.close_after();
    }
    if grpc::asks(exchange) {
        return send(exchange, down, filters, grpc::answer(failure)).await;
    }
    let status = failure.status();
    let text = format!(
        "{} {}\n{}\nRequest {}\n",
        status.as_str(),
        status.canonical_reason().unwrap_or("Error"),
        failure.public(),
        std::str::from_utf8(&exchange.id).unwrap_or_default(),
    );
    let mut answer = page(status, "text/plain; charset=utf-8", text.into());
    if let Some((name, value)) = failure.field() {
        answer.fields.add(name, value.as_bytes());
    }
    send(exchange, down, filters, answer).await;
}

/// A response with a page of the gateway.
pub fn page(status: StatusCode, kind: &str, body: Bytes) -> Answer {
    let mut answer = Answer { status, body, ..Answer::default() };
    answer.fields.add(Name::ContentType, kind.as_bytes());
    answer.fields.add(Name::CacheControl, b"no-store");
    answer
}

/// Sends a response with a known body.
pub async fn send<D: Downstream>(
    exchange: &mut Exchange<'_>,
    down: &mut D,
    filters: &[Box<dyn Filter>],
    answer: Answer,
) {
    if exchange.request.connect.is_some() && answer.status.is_success() {
        // A 2xx would mean that the tunnel is open.
        return Box::pin(self::failure(exchange, down, filters, &ClientFault::NoTunnel)).await;
    }
    let Answer { status, fields, body } = answer;
    exchange.response.status = status;
    exchange.response.fields = fields;
    exchange.response.framing = Framing::None;
    for filter in filters {
        filter.response(exchange);
    }
    let id = exchange.id;
    exchange.response.fields.add(Name::RequestId, &id);
    exchange.set_status(status);
    let bodiless = exchange.request.method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.len() as u64;
    // A 304 describes a different body than this one (RFC 9110 section 8.6); a gRPC response in HTTP/2 ends
    // with its head.
    let unframed = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || (exchange.request.version == Version::HTTP_2 && exchange.response.fields.has(Name::GrpcStatus));
    let framing = if unframed { Framing::None } else { Framing::Length(length) };
    down.discard_body();
    down.send_head(exchange.response, framing, !bodiless);
    let left = if bodiless { Bytes::new() } else { body };
    if write(exchange, down, &left).await.is_err() {
        exchange.fail(&ClientFault::Closed);
        down.abort(Source::Downstream);
    }
}

/// Writes a body and ends it, while the client reads.
async fn write<D: Downstream>(exchange: &mut Exchange<'_>, down: &mut D, body: &[u8]) -> Result<(), ()> {
    let limit = exchange.peer.listener.body_timeout;
    let mut at = 0;
    down.deadlines().set(For::Client, limit);
    let written = poll_fn(|cx| {
        down.deadlines().register(cx);
        if down.deadlines().has_passed(For::Client) {
            return std::task::Poll::Ready(Err(()));
        }
        while at < body.len() {
            let count = ready!(Sink::poll_write(down, cx, &body[at..])).map_err(|_| ())?;
            at += count;
            down.deadlines().set(For::Client, limit);
        }
        down.poll_finish(cx, None).map_err(|_| ())
    })
    .await;
    exchange.sent += at as u64;
    down.deadlines().unset(For::Client);
    written
}
