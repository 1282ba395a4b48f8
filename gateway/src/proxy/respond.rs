//! Sends the response of an upstream to the client.

use std::future::poll_fn;
use std::task::Poll;

use http::Version;

use super::attempt::{Received, is_switching};
use super::downstream::Downstream;
use super::encoded::Encoded;
use super::forward::{Forwarding, Stopped, add_via};
use super::pump::{Fault, Pump, Waits};
use super::send::Answered;
use super::whole::Discard;
use super::{Failed, tunnel};
use crate::endpoint::{Moment, Outcome};
use crate::exchange::fault::{ClientFault, ResponseFault};
use crate::http::coding::Encoder;
use crate::http::message::Broken;
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::http1::head::Framing;
use crate::upstream::backend::Backend;
use crate::worker::watch::For;

/// Maximum number of bytes read from a dropped body.
const MAX_DROPPED: usize = 64 << 10;

impl<D: Downstream> Forwarding<'_, '_, D> {
    /// Sends the response to the client.
    pub(super) async fn respond(&mut self, answered: Answered<'_>) -> Result<(), Failed> {
        let Answered { pick, received, in_flight: _in_flight, sent: _sent, permit: _permit } = answered;
        let Received { mut backend, head, persistence, hop_options } = received;
        let (upstream, exchange) = (self.upstream, &mut *self.exchange);
        exchange.response.status = head.status;
        let switches = is_switching(exchange, self.hop_options)
            && tunnel::agreed(exchange, &backend, hop_options.websocket)?;
        add_via(&mut exchange.response.fields, head.version);
        exchange.response.framing = match head.framing {
            Framing::None => head.announced.map_or(Framing::None, Framing::Length),
            known => known,
        };
        for filter in &self.route.response_filters {
            self.route.filters[*filter].response_head(exchange).map_err(Failed::Told)?;
        }
        for filter in &self.route.filters {
            filter.response(exchange);
        }
        let id = exchange.id;
        exchange.response.fields.set(Name::RequestId, &id);
        if switches {
            return Box::pin(tunnel::join(exchange, self.down, backend)).await;
        }
        let has_body = head.framing != Framing::None && !self.bodiless;
        let framing = match exchange.response.framing {
            Framing::Chunked | Framing::Close if has_body => self.down.unknown_length(),
            Framing::Chunked | Framing::Close => Framing::None,
            known => known,
        };
        exchange.set_status(head.status);
        self.down.send_head(exchange.response, framing, has_body);
        let takes_trailers = self.hop_options.takes_trailers || exchange.request.version == Version::HTTP_2;
        let mut download = Pump::new(takes_trailers);
        let sent = if self.bodiless {
            self.drop_body(&mut backend, &mut download).await
        } else {
            let mut encoder = exchange.encoder.take();
            self.transfer(&mut backend, &mut download, encoder.as_deref_mut()).await
        };
        let exchange = &mut *self.exchange;
        exchange.received = exchange.received.max(self.upload.bytes);
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
            && download.is_done()
            && self.upload.is_done()
            && wire.is_sent()
        {
            upstream.keep(exchange.worker, pick.endpoint, wire, hint);
        }
        Ok(())
    }

    /// Ends a response to HEAD. The received part of the body is discarded; the connection is reused if that
    /// is all.
    async fn drop_body(&mut self, backend: &mut Backend, download: &mut Pump) -> Result<(), Failed> {
        let limit = self.exchange.peer.listener.body_timeout;
        self.down.deadlines().set(For::Client, limit);
        let ended = poll_fn(|cx| {
            self.down.deadlines().register(cx);
            if self.down.deadlines().has_passed(For::Client) {
                return Poll::Ready(Err(Broken::Closed));
            }
            self.down.poll_finish(cx, None)
        })
        .await;
        ended.map_err(|_| Failed::BrokenOff(Box::new(ClientFault::Closed)))?;
        poll_fn(|cx| {
            let _ = download.poll(cx, backend, &mut Discard(MAX_DROPPED), |_, _| Ok(()));
            Poll::Ready(())
        })
        .await;
        Ok(())
    }

    /// Transfers both bodies until the response has ended.
    async fn transfer(
        &mut self,
        backend: &mut Backend,
        download: &mut Pump,
        mut encoder: Option<&mut Encoder>,
    ) -> Result<(), Failed> {
        let broken_off = |failure: Box<dyn Failure>| Poll::Ready(Err(Failed::BrokenOff(failure)));
        let (mut moved, mut written) = (0, 0);
        let mut uploading = !self.upload.is_done();
        poll_fn(|cx| {
            self.down.deadlines().register(cx);
            if uploading {
                match self.poll_upload(cx, backend) {
                    Poll::Pending => {}
                    Poll::Ready(Err(Stopped::Refused(failure))) => return broken_off(failure),
                    // A failure of the request body does not change a response that was begun.
                    Poll::Ready(_) => uploading = false,
                }
            }
            let Self { exchange, route, upstream, down, .. } = &mut *self;
            let mut refused = None;
            let observe = |so_far, piece: &[u8]| {
                for filter in &route.response_filters {
                    if let Err(failure) = route.filters[*filter].response_data(exchange, so_far, piece) {
                        refused = Some(failure);
                        return Err(Broken::Closed);
                    }
                }
                Ok(())
            };
            let polled = match &mut encoder {
                None => download.poll(cx, backend, *down, observe),
                Some(encoder) => {
                    let mut sink = Encoded { down: *down, encoder, sent: &mut written };
                    download.poll(cx, backend, &mut sink, observe)
                }
            };
            exchange.sent = if encoder.is_some() { written } else { download.bytes };
            if let Some(failure) = refused {
                return broken_off(failure);
            }
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
