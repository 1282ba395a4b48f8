//! Forwards a request to an upstream, and the response to the client.

use std::task::{Context, Poll};

use http::{Method, Version};

use super::Failed;
use super::downstream::Downstream;
use super::kept::{Again, Kept};
use super::pump::{Fault, Pump};
use super::{grpc, mirror};
use crate::exchange::Exchange;
use crate::http::Failure;
use crate::http::fields::Fields;
use crate::http::hop::HopOptions;
use crate::http::message::Broken;
use crate::http::name::Name;
use crate::snapshot::{Forward, Route};
use crate::upstream::backend::Backend;
use crate::upstream::{Upstream, UpstreamError};
use crate::worker::watch::For;

/// The state of an exchange that is being forwarded.
pub(super) struct Forwarding<'a, 's, D> {
    pub exchange: &'a mut Exchange<'s>,
    pub route: &'s Route,
    pub upstream: &'s Upstream,
    /// The client side.
    pub down: &'a mut D,
    /// The hop-by-hop options of the request.
    pub hop_options: HopOptions,
    /// The transfer of the request body to the upstream.
    pub upload: Pump,
    /// The copy of the request body for a retry.
    pub kept: Kept,
    /// The response body is dropped: the client sent HEAD, the upstream received GET.
    pub bodiless: bool,
}

/// The reason why a request body was not forwarded completely.
pub(super) enum Stopped {
    /// A filter refused a piece of it.
    Refused(Box<dyn Failure>),
    /// The client or the upstream broke the connection.
    Broken(Fault),
}

impl<D: Downstream> Forwarding<'_, '_, D> {
    /// Forwards the next part of the request body, through the filters that inspect it.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        backend: &mut Backend,
    ) -> Poll<Result<(), Stopped>> {
        let Self { exchange, route, down, upload, kept, .. } = self;
        let mut refused = None;
        // Only an HTTP/2 endpoint can report that it did not process a request whose body it received.
        let keeps = matches!(backend, Backend::Http2(_));
        let (again, at) = kept.take();
        let mut source = Again { bytes: &again, at, rest: *down };
        let moved = upload.poll(cx, &mut source, backend, |so_far, piece| {
            kept.push(piece, keeps);
            exchange.received = so_far;
            for filter in &route.data_filters {
                if let Err(failure) = route.filters[*filter].request_data(exchange, piece) {
                    refused = Some(failure);
                    return Err(Broken::Closed);
                }
            }
            Ok(())
        });
        let at = source.at;
        kept.put(again, at);
        moved.map_err(|fault| refused.map_or(Stopped::Broken(fault), Stopped::Refused))
    }
}

/// Forwards the request.
pub(super) async fn forward<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s Route,
    forward: &'s Forward,
    hop_options: HopOptions,
    down: &mut D,
) -> Result<(), Failed> {
    let Some(upstream) = forward.upstream(exchange) else {
        return Err(UpstreamError::Malformed("no upstream of the route has a weight").into());
    };
    if let Some(limit) = grpc::limit(exchange.request, route.request_timeout) {
        // A filter that waited may have started the request timeout already.
        down.deadlines().set_once(For::Request, limit);
    }
    finish_request(exchange, upstream, hop_options);
    let bodiless = route.head_by_get && exchange.request.method == Method::HEAD;
    if bodiless {
        exchange.request.method = Method::GET;
    }
    let has_body = !exchange.request.framing.is_empty();
    let upload = if has_body { Pump::new(true) } else { Pump::done() };
    if !has_body {
        mirror::begin(exchange, route, forward, hop_options, &upload);
    }
    let mut forwarding =
        Forwarding { exchange, route, upstream, down, hop_options, upload, kept: Kept::default(), bodiless };
    let answered = forwarding.send().await;
    let Forwarding { exchange, down, upload, .. } = &mut forwarding;
    if bodiless {
        exchange.request.method = Method::HEAD;
    }
    exchange.received = upload.bytes;
    mirror::begin(exchange, route, forward, hop_options, upload);
    down.deadlines().unset(For::Check);
    let outcome = match answered {
        Ok(answered) => forwarding.respond(answered).await,
        Err(failed) => Err(failed),
    };
    for what in [For::Client, For::Upstream, For::Request] {
        forwarding.down.deadlines().unset(what);
    }
    outcome
}

/// Adds the fields that only the gateway can set.
fn finish_request(exchange: &mut Exchange<'_>, upstream: &Upstream, hop_options: HopOptions) {
    let request = &mut *exchange.request;
    let fields = &mut request.fields;
    match request.target.authority().map(str::as_bytes) {
        // In HTTP/1 a client may send no host, or an empty one. The upstream requires one (RFC 9113 section
        // 8.3.1).
        None | Some([] | [b':', ..]) => fields.set(Name::Host, upstream.host().as_bytes()),
        Some(authority) if fields.get(Name::Host) != Some(authority) => fields.set(Name::Host, authority),
        Some(_) => {}
    }
    if !request.expects_continue {
        fields.remove(Name::Expect);
    }
    if hop_options.takes_trailers {
        fields.add(Name::Te, b"trailers");
    }
    add_via(fields, request.version);
    fields.add(Name::RequestId, &exchange.id);
}

/// Adds the gateway to the `Via` of a message received in `version` (RFC 9110 section 7.6.3).
pub(super) fn add_via(fields: &mut Fields, version: Version) {
    let entry: &[u8] = match version {
        Version::HTTP_2 => b"2 gateway",
        Version::HTTP_10 => b"1.0 gateway",
        _ => b"1.1 gateway",
    };
    fields.add(Name::Via, entry);
}
