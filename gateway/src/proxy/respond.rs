//! The response of an upstream is sent to the client.

use std::future::poll_fn;
use std::task::Poll;

use http::Version;

use super::attempt::{Received, is_switching};
use super::downstream::Downstream;
use super::forward::{Forwarding, Stopped, add_via};
use super::pump::{Fault, Pump, Waits};
use super::send::Answered;
use super::{Failed, tunnel};
use crate::endpoint::{Moment, Outcome};
use crate::exchange::fault::{ClientFault, ResponseFault};
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::http1::head::Framing;
use crate::upstream::backend::Backend;
use crate::worker::watch::For;

impl<D: Downstream> Forwarding<'_, '_, D> {
    /// Sends the response to the client.
    pub(super) async fn respond(&mut self, answered: Answered<'_>) -> Result<(), Failed> {
        let Answered { pick, received, in_flight: _in_flight, sent: _sent, permit: _permit } = answered;
        let Received { mut backend, head, persistence, said } = received;
        let (upstream, exchange) = (self.upstream, &mut *self.exchange);
        exchange.response.status = head.status;
        let switches =
            is_switching(exchange, self.said) && tunnel::agreed(exchange, &backend, said.websocket)?;
        add_via(&mut exchange.response.fields, head.version);
        for filter in &self.route.filters {
            filter.response(exchange);
        }
        let id = exchange.id;
        exchange.response.fields.set(Name::RequestId, &id);
        if switches {
            return Box::pin(tunnel::join(exchange, self.down, backend)).await;
        }
        let framing = match head.framing {
            Framing::None => head.announced.map_or(Framing::None, Framing::Length),
            Framing::Chunked | Framing::Close => self.down.unknown_length(),
            Framing::Length(length) => Framing::Length(length),
        };
        exchange.set_status(head.status);
        self.down.send_head(exchange.response, framing, head.framing != Framing::None);
        let takes_trailers = self.said.takes_trailers || exchange.request.version == Version::HTTP_2;
        let mut download = Pump::new(takes_trailers);
        let sent = self.transfer(&mut backend, &mut download).await;
        let exchange = &mut *self.exchange;
        exchange.received = exchange.received.max(self.upload.bytes);
        exchange.sent = download.bytes;
        if let Err(Failed::BrokenOff(failure)) = &sent
            && failure.origin() == Source::Upstream
        {
            let local = upstream.local(exchange.worker);
            upstream.report(&local, pick.index, Outcome::Reset, Moment::now());
        }
        sent?;
        let (persists, hint) = persistence;
        if let Backend::Http1(wire) = backend
            && persists
            && self.upload.is_done()
            && wire.is_sent()
        {
            upstream.keep(exchange.worker, pick.endpoint, wire, hint);
        }
        Ok(())
    }

    /// Moves both bodies on until the response has ended.
    async fn transfer(&mut self, backend: &mut Backend, download: &mut Pump) -> Result<(), Failed> {
        let broken_off = |failure: Box<dyn Failure>| Poll::Ready(Err(Failed::BrokenOff(failure)));
        let mut moved = 0;
        let mut uploading = !self.upload.is_done();
        poll_fn(|cx| {
            self.down.deadlines().register(cx);
            if uploading {
                match self.poll_upload(cx, backend) {
                    Poll::Pending => {}
                    Poll::Ready(Err(Stopped::Refused(failure))) => return broken_off(failure),
                    // A request body that breaks off changes nothing in a response that has begun.
                    Poll::Ready(_) => uploading = false,
                }
            }
            let Self { exchange, route, upstream, down, .. } = &mut *self;
            let polled = download.poll(cx, backend, *down, |_, piece| {
                for filter in &route.response_filters {
                    route.filters[*filter].response_data(exchange, piece);
                }
                Ok(())
            });
            match polled {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Fault::Source(broken))) => {
                    return broken_off(Box::new(ResponseFault::Aborted(broken)));
                }
                Poll::Ready(Err(Fault::Sink)) => return broken_off(Box::new(ClientFault::Closed)),
                Poll::Pending => {}
            }
            let deadlines = down.deadlines();
            if deadlines.has_passed(For::Request) {
                return broken_off(Box::new(ResponseFault::RequestTimeout));
            }
            if deadlines.has_passed(For::Upstream) {
                return broken_off(Box::new(ResponseFault::Timeout));
            }
            if deadlines.has_passed(For::Client) {
                return broken_off(Box::new(ClientFault::Closed));
            }
            if download.bytes != moved {
                moved = download.bytes;
                deadlines.unset(For::Client);
                deadlines.unset(For::Upstream);
            }
            match download.waits {
                Waits::Source => {
                    deadlines.unset(For::Client);
                    deadlines.set_once(For::Upstream, upstream.settings.body_timeout);
                    if !uploading && down.poll_gone(cx).is_ready() {
                        return broken_off(Box::new(ClientFault::Closed));
                    }
                }
                Waits::Sink => {
                    deadlines.unset(For::Upstream);
                    deadlines.set_once(For::Client, exchange.peer.listener.body_timeout);
                }
            }
            Poll::Pending
        })
        .await
    }
}
