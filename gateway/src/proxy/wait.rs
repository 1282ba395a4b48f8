//! Waits with the client's connection and the request timeout in view.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::Failed;
use super::downstream::Downstream;
use super::grpc;
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::snapshot::Route;
use crate::upstream::UpstreamError;
use crate::worker::watch::For;

/// Starts the request timeout, which otherwise starts when the request is forwarded.
pub(super) fn begin<D: Downstream>(exchange: &Exchange<'_>, route: &Route, down: &D) {
    if let Some(limit) = grpc::limit(exchange.request, route.request_timeout) {
        down.deadlines().set_once(For::Request, limit);
    }
}

/// Waits for `what`: the decision of a filter, a connection, a place in a queue.
pub(super) async fn end<D: Downstream, F: Future + Unpin>(
    mut what: F,
    down: &mut D,
) -> Result<F::Output, Failed> {
    poll_fn(|cx| {
        down.deadlines().register(cx);
        if let Poll::Ready(found) = Pin::new(&mut what).poll(cx) {
            return Poll::Ready(Ok(found));
        }
        if down.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failed::BrokenOff(Box::new(ClientFault::Closed))));
        }
        if down.deadlines().has_passed(For::Request) {
            return Poll::Ready(Err(UpstreamError::RequestTimeout.into()));
        }
        Poll::Pending
    })
    .await
}
