//! A request becomes the upstream's, and its response the client's.

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, TE, UPGRADE};
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode, Uri, Version};
use tokio::time::Instant;

use super::{Pending, Reply, respond, tunnel};
use crate::http::target::Target;
use crate::http::{Failure, Rejection, headers};
use crate::listener::Connection;
use crate::observe::exchange::Exchange;
use crate::policy::forwarded::{self, Hop};
use crate::policy::request_body::RequestBody;
use crate::policy::response_body::ResponseBody;
use crate::settings::Listener;
use crate::upstream::{Answer, Upstream, UpstreamError};

/// The name of the request, for the upstream and the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const EARLY: Rejection = Rejection::bad("switch_early", "The client did not wait for the other protocol.");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Why a request has no response to pass on.
pub enum Failed {
    /// Its own fault.
    Request(Rejection),
    /// The upstream's.
    Upstream(UpstreamError),
}

impl Failed {
    /// The failure itself.
    pub fn as_failure(&self) -> &dyn Failure {
        match self {
            Self::Request(failure) => failure,
            Self::Upstream(failure) => failure,
        }
    }
}

impl From<Rejection> for Failed {
    fn from(rejection: Rejection) -> Self {
        Self::Request(rejection)
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// The head of a response, cleaned, with what may follow it.
pub struct Forwarded {
    answer: Answer,
    switch: Option<(OnUpgrade, OnUpgrade)>,
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub fn expects_continue(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Sends a request to its upstream and waits for the head of the response.
pub async fn forward(
    upstream: &Upstream,
    listener: &Listener,
    connection: &Connection,
    mut parts: Parts,
    target: Target,
    body: RequestBody,
    exchange: &Exchange,
) -> Result<Forwarded, Failed> {
    let switching =
        parts.version == Version::HTTP_11 && body.is_empty() && headers::wants_websocket(&parts.headers);
    let downstream = std::mem::replace(&mut parts.extensions, Extensions::new())
        .remove::<OnUpgrade>()
        .filter(|_| switching);
    rewrite(&mut parts, &target, upstream, listener, connection, exchange)?;
    if downstream.is_some() {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, WEBSOCKET);
    }
    let mut answer = upstream.send(&parts, body, exchange).await?;
    let switch = switched(&mut answer.response, downstream)?;
    clean(&mut answer.response)?;
    Ok(Forwarded { answer, switch })
}

/// The two ends to join, if the upstream switched protocols as it was asked to.
fn switched(
    response: &mut Response<Incoming>,
    downstream: Option<OnUpgrade>,
) -> Result<Option<(OnUpgrade, OnUpgrade)>, UpstreamError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let to_websocket = response
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    match downstream {
        Some(downstream) if to_websocket => Ok(Some((downstream, hyper::upgrade::on(response)))),
        _ => Err(UpstreamError::Malformed("it switches protocols unasked")),
    }
}

/// Makes the head of a request the upstream's.
fn rewrite(
    parts: &mut Parts,
    target: &Target,
    upstream: &Upstream,
    listener: &Listener,
    connection: &Connection,
    exchange: &Exchange,
) -> Result<(), Rejection> {
    const UNFIT: Rejection = Rejection::bad("path_malformed", "The path is malformed.");
    let peer = connection.peer.ip();
    let authority = target.authority().and_then(|authority| HeaderValue::from_str(authority).ok());
    let hop = Hop {
        peer,
        scheme: if connection.tls { "https" } else { "http" },
        authority: authority.as_ref(),
        trusted: listener.trusted_proxies.iter().any(|network| network.contains(peer)),
    };
    let fields = &mut parts.headers;
    // Before the gateway's own fields are added, so that none of them can be named here
    // (CVE-2024-45410).
    headers::strip_hop_by_hop(fields)?;
    headers::strip_mimics(fields);
    forwarded::apply(fields, &hop);
    if parts.version == Version::HTTP_2 {
        headers::join_cookies(fields);
    }
    headers::add_via(fields, parts.version);
    if let Ok(id) = HeaderValue::from_str(exchange.request_id()) {
        fields.insert(X_REQUEST_ID, id);
    }
    // A client of HTTP/1.0 may name no host, the upstream must get one.
    let host = authority.clone().or_else(|| upstream.host());
    if let Some(host) = host {
        fields.insert(HOST, host);
    }
    if fields.contains_key(TE) {
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let mut origin_form = Vec::new();
    target.write_to(&mut origin_form);
    parts.uri = Uri::try_from(origin_form).map_err(|_| UNFIT)?;
    parts.version = Version::HTTP_11;
    Ok(())
}

/// Makes the head of a response the client's.
fn clean(response: &mut Response<Incoming>) -> Result<(), UpstreamError> {
    let version = response.version();
    let fields = response.headers_mut();
    headers::strip_hop_by_hop(fields)
        .map_err(|_| UpstreamError::Malformed("its Connection field is no list"))?;
    fields.remove(TE);
    headers::add_via(fields, version);
    Ok(())
}

impl Forwarded {
    /// The response for the client.
    pub fn into_reply(self, connection: &Connection, deadline: Option<Instant>, pending: Pending) -> Reply {
        let Answer { response, pause } = self.answer;
        let (mut parts, body) = response.into_parts();
        parts.extensions = Extensions::new();
        parts.version = Version::HTTP_11;
        respond::name(&mut parts.headers, &pending.exchange);
        if let Some((downstream, upstream)) = self.switch {
            if !connection.switch() {
                return respond::failure(&EARLY, pending);
            }
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, WEBSOCKET);
            let body = ResponseBody::none(std::sync::Arc::clone(&pending.exchange));
            tokio::spawn(tunnel::join(downstream, upstream, pending));
            return Response::from_parts(parts, body);
        }
        debug_assert!(parts.status.as_u16() >= 200 || body.is_end_stream());
        let Pending { exchange, ending, in_flight } = pending;
        let body = ResponseBody::upstream(body, pause, deadline, exchange, ending, in_flight);
        Response::from_parts(parts, body)
    }
}
