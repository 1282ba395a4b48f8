//! The wait of a filter: for as long as the client is there and the request has time.

use std::future::poll_fn;
use std::task::Poll;

use super::Failed;
use super::downstream::Downstream;
use super::grpc;
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::filter::{Resume, Wait};
use crate::snapshot::Route;
use crate::upstream::UpstreamError;
use crate::worker::watch::For;

/// Begins the time of the request, which otherwise begins when it is forwarded.
pub(super) fn begin<D: Downstream>(exchange: &Exchange<'_>, route: &Route, down: &D) {
    if let Some(limit) = grpc::limit(exchange.request, route.request_timeout) {
        down.deadlines().set_once(For::Request, limit);
    }
}

/// Waits until the filter can decide.
pub(super) async fn end<D: Downstream>(mut wait: Wait, down: &mut D) -> Result<Resume, Failed> {
    poll_fn(|cx| {
        down.deadlines().register(cx);
        if let Poll::Ready(resume) = wait.as_mut().poll(cx) {
            return Poll::Ready(Ok(resume));
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
