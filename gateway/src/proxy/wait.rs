//! Waits for what is not of the exchange: for as long as the client is there and the request has time.

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

/// Begins the time of the request, which otherwise begins when it is forwarded.
pub(super) fn begin<D: Downstream>(exchange: &Exchange<'_>, route: &Route, down: &D) {
    if let Some(limit) = grpc::limit(exchange.request, route.request_timeout) {
        down.deadlines().set_once(For::Request, limit);
    }
}

/// Waits until `what` is there: the decision of a filter, a connection, a place.
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
