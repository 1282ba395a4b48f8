//! Responses the gateway makes itself.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode, Version};

use super::forward::X_REQUEST_ID;
use super::{Pending, Reply};
use crate::http::Failure;
use crate::observe::exchange::Exchange;
use crate::policy::response_body::ResponseBody;

/// A short plain answer to a request that failed. The cause goes to the log, not to the client.
pub fn failure(failure: &dyn Failure, pending: Pending) -> Reply {
    pending.exchange.fail(failure);
    // In HTTP/2 the field is forbidden, and the other requests of the connection stand apart.
    let close = failure.ends_connection() && pending.exchange.version() != Version::HTTP_2;
    let status = failure.status();
    let text = format!(
        "{} {}\n{}\nRequest {}\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
        failure.public(),
        pending.exchange.request_id()
    );
    let mut reply = page(status, "text/plain; charset=utf-8", text.into(), pending);
    if let Some((name, value)) = failure.field() {
        reply.headers_mut().insert(name, value);
    }
    if close {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// A page of the gateway's own.
pub fn page(status: StatusCode, kind: &'static str, text: Bytes, pending: Pending) -> Reply {
    let Pending { exchange, ending, in_flight } = pending;
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    name(&mut fields, &exchange);
    let body = ResponseBody::local(text, Arc::clone(&exchange), ending, in_flight);
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = fields;
    reply
}

/// Tells the client the name of its request.
pub fn name(fields: &mut HeaderMap, exchange: &Exchange) {
    if let Ok(id) = HeaderValue::from_str(exchange.request_id()) {
        fields.insert(X_REQUEST_ID, id);
    }
}
